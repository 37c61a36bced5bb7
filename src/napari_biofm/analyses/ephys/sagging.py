"""The fitted course of a hyperpolarising step: charging of the membrane and the sag back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_biofm.analyses.ephys.common import Floats, boxcar
from napari_biofm.analyses.ephys.spiking import SpikingSweep

_ONSET_S = 0.5e-3  # behind the start: the pipette charges
_POINTS = 1500  # of the fit
_BETTER = 15.0  # F by which the second exponential has to describe the step better
_REBOUND_MEAN_S = 2e-3


@dataclass(frozen=True, eq=False)
class SagFit:
    """Numbers of one step by name, and the fitted course: t_ms and course (n,), from the start of the step."""

    values: dict[str, float]
    t_ms: Floats
    course: Floats


def _two(t: Floats, end: float, charge: float, tau: float, back: float, slow: float) -> Floats:
    return np.asarray(end + charge * np.exp(-t / tau) - back * np.exp(-t / slow))


def sag_of(one: SpikingSweep, rebound_s: float) -> SagFit:
    """Fit one exponential (charging) and two (and sag) to a step, and take the two where they are better.

    Parameters
    ----------
    one : sweep whose epoch is a step.
    rebound_s : time after the step in which the rebound is looked for.
    """
    fs, nan = one.fs, float("nan")
    before = one.volts[max(0, one.start - round(0.1 * fs)) : one.start]
    base = float(np.mean(before)) if len(before) else nan
    values = dict.fromkeys(("tau_membrane", "tau_sag", "rebound"), nan) | {
        "baseline": base,
        "rebound_spikes": nan,
    }
    piece = one.volts[one.start + round(_ONSET_S * fs) : one.stop]
    step = max(1, len(piece) // _POINTS)
    t = _ONSET_S + np.arange(len(piece))[step // 2 :: step][: len(piece) // step] / fs
    v = piece[: len(piece) // step * step].reshape(-1, step).mean(axis=1)[: len(t)]
    fine = np.linspace(_ONSET_S, (one.stop - one.start) / fs, 2000)
    course, found = _fitted(t, v, base, fine)
    values |= found
    values |= {"peak": float(course.min()), "steady": float(course[-1])}
    values["sag"] = values["steady"] - values["peak"]
    values["sag_ratio"] = values["sag"] / (base - values["peak"]) if base > values["peak"] else nan
    after = one.volts[one.stop + round(1e-3 * fs) : one.stop + round(rebound_s * fs)]
    if len(after) > 10:
        peaks = one.marks.peak
        inside = (peaks >= one.stop) & (peaks < one.stop + len(after))
        values["rebound_spikes"] = float(inside.sum())
        if not inside.any():
            values["rebound"] = float(boxcar(after, round(_REBOUND_MEAN_S * fs)).max()) - base
    return SagFit(values, fine * 1e3, course)


def _fitted(t: Floats, v: Floats, base: float, fine: Floats) -> tuple[Floats, dict[str, float]]:
    from scipy.optimize import curve_fit

    span = t[-1] - t[0]
    end = float(v[-max(1, len(v) // 10) :].mean())
    low = float(v.min())

    def single(x: Floats, end: float, charge: float, tau: float) -> Floats:
        return np.asarray(end + charge * np.exp(-x / tau))

    guess = (end, base - end, span / 15)
    one, _ = curve_fit(single, t, v, guess, bounds=([-300, -300, 1e-4], [200, 300, 5 * span]), maxfev=4000)
    rest = float(((v - single(t, *one)) ** 2).sum())
    back = max(end - low, 0.2)
    start = (end, base - low + 0.5, span / 25, back, span / 4)
    bounds = ([-300, -300, 1e-4, 0.0, 2e-3], [200, 300, span, 300, 5 * span])
    try:
        two, _ = curve_fit(_two, t, v, start, bounds=bounds, maxfev=8000)
    except RuntimeError:  # one exponential describes it
        return single(fine, *one), {"tau_membrane": 1e3 * float(one[2]), "tau_sag": float("nan")}
    left = float(((v - _two(t, *two)) ** 2).sum())
    better = (rest - left) / 2 / max(left / max(len(v) - 5, 1), 1e-30)
    if better < _BETTER or two[4] < 1.5 * two[2]:
        return single(fine, *one), {"tau_membrane": 1e3 * float(one[2]), "tau_sag": float("nan")}
    return _two(fine, *two), {"tau_membrane": 1e3 * float(two[2]), "tau_sag": 1e3 * float(two[4])}
