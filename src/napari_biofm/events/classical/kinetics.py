"""Amplitude, rise and decay of many events at once.

Definitions, the same for every detector of this room:

- amplitude: peak minus baseline, with its sign, in the unit of the trace; the baseline is the mean of
  the samples just before the onset, so an event on the tail of another one is measured from there.
- rise_s: time from 20 % to 80 % of the amplitude on the way up, between samples by straight lines.
- decay_s: time constant of one exponential, least squares, from the moment the event has fallen to
  80 % until the next event or the end of the window; NaN where nothing can be fitted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_biofm.events.classical.common import Floats, Indices, Samples

_AT_ONCE = 1024  # events per round: bounds the memory of the windows
_SHAPES = 40  # time constants tried per event
_FIT_SAMPLES = 192  # samples of a decay that enter the fit


@dataclass(frozen=True)
class Kinetics:
    """Shape of each event, (n_events,) each.

    Attributes
    ----------
    baseline, amplitude : unit of the trace.
    rise_s, decay_s : seconds, NaN where they cannot be measured.
    """

    baseline: Floats
    amplitude: Floats
    rise_s: Floats
    decay_s: Floats


def windows(values: NDArray[np.floating], start: Indices, length: int) -> Floats:
    """Return (n_events, length) samples from each start on; the ends of the trace are repeated."""
    index = start[:, None] + np.arange(length)
    return np.asarray(values[np.clip(index, 0, len(values) - 1)], np.float64)


def highest(values: Samples, start: Indices, length: int, sign: ArrayLike) -> Indices:
    """Return the index of the extreme of each window, in the direction of its sign."""
    if not len(start):
        return np.zeros(0, np.intp)
    signs = np.broadcast_to(np.asarray(sign, np.float64), start.shape)
    best = np.empty(len(start), np.intp)
    for a in range(0, len(start), _AT_ONCE):
        part = slice(a, a + _AT_ONCE)
        piece = windows(values, start[part], max(1, length)) * signs[part, None]
        best[part] = np.argmax(piece, axis=1)
    return np.asarray(np.clip(start + best, 0, len(values) - 1), np.intp)


def measure(
    values: Samples,
    onset: Indices,
    peak: Indices,
    sign: ArrayLike,
    sampling_rate: float,
    *,
    before: int,
    after: int,
) -> Kinetics:
    """Measure events that were found elsewhere.

    Parameters
    ----------
    values : (n_samples,) trace, lightly smoothed if it is noisy.
    onset, peak : (n_events,) sorted sample indices, onset <= peak.
    sign : +1 upward, -1 downward, one or (n_events,).
    sampling_rate : Hz.
    before : samples before the onset that make the baseline, and look-back of the rise.
    after : samples after the peak that may belong to the decay.
    """
    n = len(peak)
    result = np.full((4, n), np.nan)
    signs = np.broadcast_to(np.asarray(sign, np.float64), (n,))
    limit = np.concatenate([onset[1:], [len(values)]]) if n else onset
    for a in range(0, n, _AT_ONCE):
        p = slice(a, a + _AT_ONCE)
        base = windows(values, onset[p] - before, before).mean(axis=1)
        height = signs[p] * (np.asarray(values[peak[p]], np.float64) - base)
        result[0, p], result[1, p] = base, signs[p] * height
        back = int(min(max(np.max(peak[p] - onset[p], initial=0) + before, 2), 4 * before + after))
        up = (windows(values, peak[p] - back, back + 1) - base[:, None]) * signs[p, None]
        result[2, p] = _rise(up, height)
        down = (windows(values, peak[p], after) - base[:, None]) * signs[p, None]
        room = np.clip(np.minimum(limit[p], len(values)) - peak[p], 0, after)
        result[3, p] = decay_constant(down, height, room)
    return Kinetics(result[0], result[1], result[2] / sampling_rate, result[3] / sampling_rate)


def _rise(up: Floats, height: Floats) -> Floats:
    """Return samples from 20 to 80 % on the way to the last column of `up` (n_events, n_before)."""
    late, early = (_last_crossing(up, level * height) for level in (0.8, 0.2))
    rise = late - early
    return np.where((height > 0) & (rise > 0), rise, np.nan)


def _last_crossing(up: Floats, level: Floats) -> Floats:
    """Return where each row last rises through its level, in samples; NaN if it never is below."""
    below = up < level[:, None]
    width = up.shape[1]
    last = width - 1 - np.argmax(below[:, ::-1], axis=1)
    rows = np.arange(len(up))
    following = np.minimum(last + 1, width - 1)
    step = up[rows, following] - up[rows, last]
    fraction = np.where(step > 0, (level - up[rows, last]) / np.where(step > 0, step, 1), 0.0)
    return np.where(below.any(axis=1) & (last < width - 1), last + np.clip(fraction, 0, 1), np.nan)


def decay_constant(down: Floats, height: Floats, room: Indices) -> Floats:
    """Return the time constant of a mono-exponential fall to zero, in samples.

    For each of 40 time constants the best amplitude is known in closed form; the one with the
    smallest squared error is refined by a parabola through its neighbours.

    Parameters
    ----------
    down : (n_events, n_after) from the peak on, upright, baseline 0.
    height : (n_events,) amplitude.
    room : (n_events,) samples of each row that belong to the event.
    """
    n, width = down.shape
    if n == 0 or width < 4:
        return np.full(n, np.nan)
    fallen = down < 0.8 * height[:, None]
    start = np.where(fallen.any(axis=1), np.argmax(fallen, axis=1), width)
    step = max(1, width // _FIT_SAMPLES)
    grid = np.arange(0, width, step)
    used = (grid >= start[:, None]) & (grid < room[:, None])
    tau = np.geomspace(0.5 * step, 2.0 * width, _SHAPES)
    falls = np.exp(-grid[:, None] / tau)
    data = np.where(used, down[:, grid], 0.0)
    cross, power = data @ falls, used @ falls**2
    gain = np.where(cross > 0, cross**2 / np.maximum(power, 1e-12), 0.0)
    best = np.argmax(gain, axis=1)
    inner = np.clip(best, 1, _SHAPES - 2)
    rows = np.arange(n)
    left, mid, right = gain[rows, inner - 1], gain[rows, inner], gain[rows, inner + 1]
    bend = left - 2 * mid + right
    shift = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, 1), 0.0)
    result = tau[inner] * (tau[1] / tau[0]) ** np.clip(shift, -1, 1)
    good = (height > 0) & (used.sum(axis=1) >= 4) & (best > 0) & (best < _SHAPES - 1)
    return np.where(good, result, np.nan)
