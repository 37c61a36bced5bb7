"""Long action potentials, measured: threshold, amplitude, rise and width of those that last 5 ms and more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.classical.ap import millivolts
from napari_biofm.events.classical.long_action_potentials import (
    LongActionPotential,
    long_action_potentials,
    running_mean,
)
from napari_biofm.events.crossings import crossing_after, crossing_before
from napari_biofm.events.measuring.bins import Floats, Indices
from napari_biofm.events.measuring.spikes import THRESHOLD_SLOPE, Peaks
from napari_biofm.types import Trace

MARGIN_S = 6.0  # around an event, that its measurement may need
BESIDE_S = 5e-3


def with_long_ones(values: NDArray[np.floating], fs: float, unit: str, at: Indices, made: Peaks) -> Peaks:
    """Return the numbers of action potentials, those of long ones read from their whole course.

    The threshold is the potential where dV/dt of the upstroke exceeds 10 mV/ms (a tenth of the steepest where that is slower)
    and stays above; the half width reaches from there over the plateau to the end. One exponential does not describe how such
    an action potential ends, so that it has no decay.

    Parameters
    ----------
    values : (n_samples,). fs : Hz. unit : of the values. at : (n_events,) sorted samples. made : as short ones.
    """
    columns = {name: np.array(getattr(made, name)) for name in made.__dataclass_fields__}
    for one in long_action_potentials(Trace(np.asarray(values, np.float32), fs, unit)):
        near = BESIDE_S * fs
        for i in np.flatnonzero((at >= one.foot - near) & (at <= one.peak + near)):
            for name, value in _read(values, fs, unit, one).items():
                columns[name][i] = value
    return replace(made, **columns)


def threshold_of(values: NDArray[np.floating], fs: float, unit: str, one: LongActionPotential) -> int:
    """Return the sample where a long action potential begins: from there to the steepest rise dV/dt stays above the limit.

    Parameters
    ----------
    values : (n_samples,). fs : Hz. unit : of the values.
    """
    first, smooth = _course(values, fs, one)
    return first + _threshold(smooth[: one.peak - first + 1], one.rise_width(fs) // 2, fs, millivolts(unit))


def _course(values: NDArray[np.floating], fs: float, one: LongActionPotential) -> tuple[int, Floats]:
    """Return the first sample of the course, and its values as smooth as the rise allows."""
    first = max(0, one.foot - 5 * one.rise - round(0.01 * fs))
    x = np.asarray(values[first : one.end + round(0.1 * fs)], np.float64)
    return first, running_mean(x, one.rise_width(fs))


def _read(values: NDArray[np.floating], fs: float, unit: str, one: LongActionPotential) -> dict[str, float]:
    first, smooth = _course(values, fs, one)
    peak, end = one.peak - first, one.end - first
    threshold = _threshold(smooth[: peak + 1], one.rise_width(fs) // 2, fs, millivolts(unit))
    base, top = float(smooth[threshold]), float(smooth[peak])
    up = {q: crossing_before(smooth, peak, base + q * (top - base)) for q in (0.1, 0.2, 0.5, 0.8, 0.9)}
    half = base + 0.5 * (top - base)
    down = crossing_before(-smooth, end, -half)  # the last time that it falls through
    if not down > peak:  # it fell no further than to the half of what is above threshold
        down = crossing_after(smooth, peak, half)
    return {
        "peak": float(one.peak), "baseline": base, "amplitude": top - base,
        "rise_20_80": up[0.8] - up[0.2], "rise_10_90": up[0.9] - up[0.1],
        "half_width": down - up[0.5], "decay": np.nan,
    }  # fmt: skip


def _threshold(x: Floats, half: int, fs: float, factor: float) -> int:
    """Return the sample from which the upstroke at the end of a stretch is steep; slopes over twice `half` samples."""
    half, slope = max(1, half), np.zeros(len(x))
    if len(x) > 2 * half:
        slope[half:-half] = (x[2 * half :] - x[: -2 * half]) * factor * fs / (2e3 * half)
    steepest = int(np.argmax(slope))
    most = slope[steepest]
    gentle = np.flatnonzero(slope[:steepest] < (THRESHOLD_SLOPE if most > THRESHOLD_SLOPE else 0.1 * most))
    return int(gentle[-1]) + 1 if len(gentle) else 0
