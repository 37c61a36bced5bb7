"""F0 and what is made with it: dF/F, z-scores, and whether an F0 can be trusted.

Sources: running-percentile baseline, Dombeck et al., Neuron 56:43 (2007).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.calcium.settings import TraceSettings
from napari_biofm.signals.filters import running_percentile

LEAST_SHARE = 0.1  # of a cell's own light that must be left as F0 after the neuropil is subtracted
_SMOOTH_S = 0.15  # standard deviation of the Gaussian before the percentile
_LEAST_LOSS, _MOST_LEFT = 0.05, 0.3  # of brightness, and of its variance after the fit: less is no bleaching
_PASSES = (
    2  # a percentile of a falling trace lies at the late end of its window; of what is left over, it does not
)


@dataclass(frozen=True, eq=False)
class Relative:
    """One trace relative to its baseline.

    Attributes
    ----------
    dff : (T,) (F - F0) / F0, NaN throughout where F0 cannot be trusted.
    zscore : (T,) (F - F0) / standard deviation of the noise from frame to frame.
    trusted : whether F0 is a baseline.
    floor : (T,) F0.
    """

    dff: NDArray[np.float32]
    zscore: NDArray[np.float32]
    trusted: bool
    floor: NDArray[np.float32]


def noise_of(trace: NDArray[np.floating]) -> float:
    """Return the standard deviation of the noise: the median absolute step from frame to frame over .954.

    Parameters
    ----------
    trace : (T,) any unit; NaN marks gaps.
    """
    step = np.diff(np.asarray(trace, np.float64))
    step = np.abs(step[np.isfinite(step)])
    return float(np.median(step)) / (0.6745 * np.sqrt(2)) if step.size else 0.0


def baseline_of(
    trace: NDArray[np.floating], frame_rate: float, settings: TraceSettings
) -> NDArray[np.float32]:
    """Return F0: the running percentile of a lightly smoothed trace, plus what that lies below the mean of its noise.

    Parameters
    ----------
    trace : (T,) fluorescence; NaN marks gaps, which do not count.
    frame_rate : Hz.
    settings : percentile, and window in seconds.
    """
    values = np.asarray(trace, np.float32)
    good = np.isfinite(values)
    if not good.any():
        return np.full(len(values), np.nan, np.float32)
    if not good.all():
        values = np.interp(np.arange(len(values)), np.flatnonzero(good), values[good]).astype(np.float32)
    window = max(int(settings.window * frame_rate), 3)
    floor = np.zeros_like(values)
    for _ in range(_PASSES):
        floor += _floor(values - floor, frame_rate, window, settings.percentile)
    below = _below_noise(float(frame_rate), window, float(settings.percentile))
    return floor - np.float32(below * noise_of(trace))


def _floor(
    values: NDArray[np.float32], frame_rate: float, window: int, percentile: float
) -> NDArray[np.float32]:
    from scipy import ndimage

    smooth = ndimage.gaussian_filter1d(values, max(_SMOOTH_S * frame_rate, 0.5))
    return running_percentile(smooth, window, percentile)


@lru_cache(maxsize=64)
def _below_noise(frame_rate: float, window: int, percentile: float) -> float:
    """Return where the floor of white noise of one standard deviation lies: below zero for a low percentile."""
    noise = np.random.default_rng(0).standard_normal(max(12 * window, 2000)).astype(np.float32)
    floor = np.zeros_like(noise)
    for _ in range(_PASSES):
        floor += _floor(noise - floor, frame_rate, window, percentile)
    return float(floor.mean())


def dff_of(trace: NDArray[np.floating], frame_rate: float, settings: TraceSettings) -> NDArray[np.float32]:
    """Return (F - F0) / F0; NaN throughout where F0 is not above zero.

    Parameters
    ----------
    trace : (T,) fluorescence above the dark level, neuropil already subtracted.
    frame_rate : Hz.
    settings : of the baseline.
    """
    return relative_to_baseline(trace, frame_rate, settings, 0.0).dff


def relative_to_baseline(
    trace: NDArray[np.floating],
    frame_rate: float,
    settings: TraceSettings,
    least: float,
    decay: NDArray[np.float32] | None = None,
) -> Relative:
    """Return a trace relative to its baseline.

    Parameters
    ----------
    trace : (T,) fluorescence above the dark level, neuropil already subtracted; NaN marks gaps.
    frame_rate : Hz.
    settings : of the baseline.
    least : F0 must lie above it to be trusted.
    decay : (T,) brightness of the bleaching field, 1 at the first frame, which F0 follows; None for a steady one.
    """
    values = np.asarray(trace, np.float32)
    floor = baseline_of(values if decay is None else values / decay, frame_rate, settings)
    if decay is not None and settings.correct_bleaching:
        values = values / decay
    elif decay is not None:
        floor = floor * decay
    rise = values - floor
    noise = noise_of(values)
    score = rise / np.float32(noise) if noise > 0 else np.where(np.isfinite(rise), 0, np.nan)
    finite = floor[np.isfinite(floor)]
    trusted = bool(finite.size and finite.min() > max(least, 1e-9))
    dff = rise / floor if trusted else np.full(len(values), np.nan)
    return Relative(np.asarray(dff, np.float32), np.asarray(score, np.float32), trusted, floor)


def bleaching_of(field: NDArray[np.floating], frame_rate: float) -> NDArray[np.float32]:
    """Return the fitted decay of the whole field, 1 at the first frame; ones where it does not decay.

    Parameters
    ----------
    field : (T,) mean brightness above the dark level; NaN marks gaps.
    frame_rate : Hz.
    """
    from scipy import optimize

    n = len(field)
    time = np.arange(n) / frame_rate
    if not np.isfinite(field).any():
        return np.ones(n, np.float32)
    floor = running_percentile(field, max(n // 20, 3), 20.0).astype(np.float64)
    if n < 20 or floor[0] <= 0 or floor[-max(n // 10, 1) :].mean() >= floor[: max(n // 10, 1)].mean():
        return np.ones(n, np.float32)

    def decay(t: NDArray[np.float64], amplitude: float, tau: float, rest: float) -> NDArray[np.float64]:
        return amplitude * np.exp(-t / tau) + rest

    guess = (max(floor[0] - floor[-1], 1e-9), max(time[-1] / 2, 1e-3), max(floor[-1], 0.0))
    bounds = ([0, 1 / frame_rate, 0], [np.inf, 100 * max(time[-1], 1.0), np.inf])
    try:
        found, _ = optimize.curve_fit(decay, time, floor, guess, bounds=bounds, maxfev=2000)
    except (RuntimeError, ValueError):
        return np.ones(n, np.float32)
    fitted = decay(time, *found)
    left = float(np.var(floor - fitted) / max(float(np.var(floor)), 1e-30))
    if fitted[-1] > (1 - _LEAST_LOSS) * fitted[0] or left > _MOST_LEFT:
        return np.ones(n, np.float32)
    return np.asarray(np.maximum(fitted / fitted[0], 0.05), np.float32)
