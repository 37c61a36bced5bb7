"""Access resistance, membrane resistance, capacitance: the current that a small voltage step makes.

scipy is imported where it is used: loading it takes longer than opening the dock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_STEADY = (0.7, 0.98)  # part of the pulse in which the current is steady
_LATE_BLOCKS = 24  # medians that stand for the samples behind the transient
_LONGEST_DELAY_S = 1.5e-3  # of the amplifier's filter
_WIDEST_S = 0.6e-3  # standard deviation of the filter's impulse response
_SEEN = 5.0  # times the noise of the current: smaller transients are not fitted
_LEAST_EXPLAINED = 0.8
_LEAST_SAMPLES, _LEAST_WIDTHS = 1.0, 1.3  # of the sampling interval and of the filter: shorter is too fast
_MOST_DOUBT = 0.1  # standard error of the amplitude over it


@dataclass(frozen=True)
class MembraneTest:
    """What a voltage step tells of pipette and cell; NaN where it tells nothing.

    Attributes
    ----------
    access_resistance, membrane_resistance, input_resistance : Ohm; the last is the sum of the others.
    capacitance : F.
    tau : s, of the capacitive transient.
    holding_current : A, before the step.
    step : V.
    reason : why something is NaN, "" if nothing is.
    """

    access_resistance: float
    membrane_resistance: float
    input_resistance: float
    capacitance: float
    tau: float
    holding_current: float
    step: float
    reason: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether everything was measured."""
        return not self.reason


def membrane_test(
    current: NDArray[np.floating],
    sampling_rate: float,
    start: int,
    stop: int,
    step: float,
    rest: int = 0,
    *,
    early: float = 0.0,
) -> MembraneTest:
    """Measure pipette and cell from the current around a voltage step.

    Parameters
    ----------
    current : (n_samples,) A.
    sampling_rate : Hz.
    start, stop : first and one-past-last sample of the step in the command.
    step : its height, V.
    rest : first sample of the steady voltage before it.
    early : s by which the step may begin before `start`, for recorded commands, which are filtered.

    Returns
    -------
    MembraneTest
        With NaN and a reason where there is no transient, or it is too fast for the filter.

    Notes
    -----
    A membrane (Rm, Cm) behind an access resistance Rs, seen through a filter. After a step dV the current is
    I(t) = dV / (Rs + Rm) + A exp(-t / tau), with A = dV / Rs - dV / (Rs + Rm) and tau = Cm Rs Rm / (Rs + Rm).
    The filter delays the onset by d and rounds it with a width w: the sum above, convolved with a Gaussian, is
    fitted (least squares) for the steady current, A, tau, d and w. Then

    - Rs = dV / (A + steady), the peak extrapolated to the onset behind the filter;
    - Rm = dV / steady - Rs;
    - Cm = Q / dV ((Rs + Rm) / Rm)^2, with Q = A tau the charge of the transient.

    Source: whole-cell step analysis as in Axon Guide, 3rd ed., chapter 4, and Ogden & Stanfield, Patch clamp
    techniques for single channels and whole-cell recording (Microelectrode Techniques, 1994).
    """
    nan = math.nan
    length = stop - start
    if length < 10 or start - rest < 3 or step == 0 or stop > len(current):
        return MembraneTest(nan, nan, nan, nan, nan, nan, step, "the step is too short, or begins at once")
    settled = rest + (start - rest) // 2  # the current has settled after the step before
    before = np.asarray(current[settled:start], np.float64)
    after = np.asarray(current[start:stop], np.float64)
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        return MembraneTest(nan, nan, nan, nan, nan, nan, step, "the current has gaps")
    ahead = min(len(before) // 2, max(2, round(early * sampling_rate)))
    holding = float(np.median(before[: len(before) - ahead] if early else before))
    noise = float(np.std(before[: len(before) - ahead]))
    pulse = np.sign(step) * (np.concatenate([before[len(before) - ahead :], after]) - holding)
    late = pulse[ahead + int(_STEADY[0] * length) : ahead + max(int(_STEADY[1] * length), 4)]
    steady = float(np.median(late))
    top = ahead + int(np.argmax(pulse[ahead : ahead + max(4, length // 3)]))
    if pulse[top] - steady <= _SEEN * max(noise, 1e-18):
        total = abs(step) / steady if steady > 3 * noise / math.sqrt(len(late)) else nan
        return MembraneTest(nan, nan, total, nan, nan, holding, step, "no capacitive transient is seen")
    fitted = _fit(pulse, sampling_rate, ahead, top, steady, early)
    if fitted is None:
        total = abs(step) / steady if steady > 0 else nan
        return MembraneTest(nan, nan, total, nan, nan, holding, step, "no exponential fits the transient")
    return _of_circuit(fitted, abs(step), step, holding, noise, len(late), sampling_rate)


@dataclass(frozen=True)
class _Transient:
    """Steady current and amplitude (A), time constant, delay and width of the filter (s).

    `doubt` is the standard error of the amplitude over the amplitude.
    """

    steady: float
    amplitude: float
    tau: float
    delay: float
    width: float
    doubt: float


def _of_circuit(
    fitted: _Transient, size: float, step: float, holding: float, noise: float, n: int, rate: float
) -> MembraneTest:
    nan = math.nan
    access = size / (fitted.amplitude + fitted.steady)
    seen = fitted.steady > 3 * noise / math.sqrt(n)
    total = size / fitted.steady if seen else nan
    membrane = total - access if seen else nan
    # where the steady current drowns in noise, Rm is so much larger than Rs that the correction is 1
    correction = (total / membrane) ** 2 if seen and membrane > 0 else 1.0
    capacitance = fitted.amplitude * fitted.tau / size * correction
    reason = "" if seen else "the steady current cannot be told from the noise"
    too_fast = fitted.tau < max(_LEAST_SAMPLES / rate * (fitted.width > 0), _LEAST_WIDTHS * fitted.width)
    if too_fast or fitted.doubt > _MOST_DOUBT:
        access, membrane = nan, nan
        capacitance = capacitance if correction < 1.2 else nan
        reason = f"a transient of {1e6 * fitted.tau:.0f} us is too fast for the filter and the sampling rate"
        if not too_fast:
            reason = "the onset of the transient cannot be told from its decay"
    elif seen and membrane <= 0:
        return MembraneTest(
            nan, nan, total, nan, fitted.tau, holding, step, "the current does not fall after the step"
        )
    return MembraneTest(access, membrane, total, capacitance, fitted.tau, holding, step, reason)


def _fit(pulse: Floats, rate: float, ahead: int, top: int, steady: float, early: float) -> _Transient | None:
    """Fit the model of `membrane_test` to a pulse that begins at sample `ahead`, in steps of 1 / rate."""
    from scipy.optimize import least_squares

    size = float(pulse[top] - steady)
    charge = float(np.sum(pulse[ahead:] - steady)) / rate
    tau = min(max(charge / size, 0.5 / rate), (len(pulse) - ahead) / rate)
    tau = _tail(pulse[top:] - steady, rate) or tau
    onset = int(np.argmax(pulse > 0.5 * pulse[top]))  # of a current that no filter rounds
    sharp = pulse[onset] - steady > 0.75 * size and abs(pulse[max(onset - 1, 0)]) < 0.1 * pulse[top]
    sharp = sharp and top - onset <= 1 and (onset == ahead or early > 0)
    times, values, weights = _points(pulse, rate, ahead, max(top, ahead + round(6 * tau * rate)))
    scale = np.array([abs(size), abs(size), tau, 1 / rate, 1 / rate])
    rise = max((top - ahead) / rate, 0.5 / rate)
    guess = np.array([steady, size, tau, (onset - ahead) / rate, 0.0]) if sharp else np.array(
        [steady, size * 1.2, tau, 0.6 * rise, 0.25 * rise]
    )  # fmt: skip
    free = 3 if sharp else 5

    def away(free_ones: Floats) -> Floats:
        p = np.concatenate([free_ones * scale[:free], guess[free:]])
        return weights * (_model(times, *p) - values) / abs(size)

    low = np.array([-np.inf, 0.0, 0.02 / rate, -max(early, 0.01 / rate), 0.02 / rate])[:free] / scale[:free]
    high = np.array([np.inf, np.inf, len(pulse) / rate, _LONGEST_DELAY_S, _WIDEST_S])[:free] / scale[:free]
    first = np.clip(guess[:free] / scale[:free], low + 1e-9, high - 1e-9)
    found = least_squares(away, first, bounds=(low, high), max_nfev=300)
    s, a, t, d, w = np.concatenate([found.x * scale[:free], guess[free:]])
    spread = float(np.sum(weights**2 * ((values - np.average(values, weights=weights**2)) / size) ** 2))
    if 1 - 2 * found.cost / max(spread, 1e-30) < _LEAST_EXPLAINED or a <= 0:
        return None
    curve = found.jac.T @ found.jac
    error = 2 * found.cost / max(len(values) - free, 1)
    curve[range(3, free), range(3, free)] += (
        error  # delay and width are known to a sample before anything is fitted
    )
    doubt = math.sqrt(abs(float(np.linalg.pinv(curve)[1, 1])) * error) * scale[1] / a
    return _Transient(float(s), float(a), float(t), float(d), float(w), doubt)


def _points(pulse: Floats, rate: float, ahead: int, last: int) -> tuple[Floats, Floats, Floats]:
    """Return time, value and weight: every sample of the transient, medians of what follows (events pass by)."""
    last = min(last, len(pulse))
    times = (np.arange(len(pulse)) - ahead) / rate
    rest = np.array_split(np.arange(last, len(pulse)), min(_LATE_BLOCKS, max(len(pulse) - last, 1)))
    rest = [block for block in rest if len(block)]
    blocks = [(times[b].mean(), np.median(pulse[b]), 0.8 * math.sqrt(len(b))) for b in rest]
    more = np.array(blocks).reshape(-1, 3)
    return (
        np.concatenate([times[:last], more[:, 0]]),
        np.concatenate([pulse[:last], more[:, 1]]),
        np.concatenate([np.ones(last), more[:, 2]]),
    )


def _model(t: Floats, steady: float, size: float, tau: float, delay: float, width: float) -> Floats:
    """Return a step and an exponential from `delay` on, behind a Gaussian filter of a `width` (s)."""
    from scipy.special import erfc, erfcx, ndtr

    u = t - delay
    if width <= 0:
        on = u >= -1e-9
        return np.where(on, steady + size * np.exp(-np.where(on, u, 0.0) / tau), 0.0)
    z = (width / tau - u / width) / math.sqrt(2.0)
    slow = np.exp(np.minimum(0.5 * (width / tau) ** 2 - u / tau, 600.0)) * erfc(np.minimum(z, 5.0))
    fast = np.exp(-0.5 * np.minimum((u / width) ** 2, 1400.0)) * erfcx(np.maximum(z, 5.0))
    return np.asarray(steady * ndtr(u / width) + 0.5 * size * np.where(z < 5.0, slow, fast))


def _tail(falling: Floats, rate: float) -> float:
    """Return the time constant (s) between 70 and 15 % of a falling transient; 0 where it is not seen."""
    below = np.flatnonzero(falling < 0.15 * falling[0])
    last = int(below[0]) if len(below) else len(falling)
    used = np.flatnonzero(falling[:last] < 0.7 * falling[0])
    if len(used) < 3:
        return 0.0
    slope = float(np.polyfit(used / rate, np.log(falling[used]), 1)[0])
    return -1.0 / slope if slope < 0 else 0.0
