"""Action potentials, extracellular spikes and heart beats: read from the raw samples around the peak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.classical.ap import millivolts
from napari_biofm.events.classical.dvdt import slope_mv_per_ms
from napari_biofm.events.classical.kinetics import decay_constant, windows
from napari_biofm.events.measuring.bins import Floats, Indices

THRESHOLD_SLOPE = 10.0  # mV/ms; as in `features.ap`
_LOOK_BACK_S = 10e-3
_AFTER_S = 10e-3
_REFINE_S = 0.5e-3
_AT_ONCE = 1024


@dataclass(frozen=True)
class Peaks:
    """Numbers of sharp events, (n_events,) each; NaN where they cannot be measured.

    Attributes
    ----------
    peak : samples. baseline, amplitude : unit of the trace.
    rise_20_80, rise_10_90, half_width, decay : samples.
    """

    peak: Floats
    baseline: Floats
    amplitude: Floats
    rise_20_80: Floats
    rise_10_90: Floats
    half_width: Floats
    decay: Floats


def action_potentials(values: NDArray[np.floating], fs: float, unit: str, at: Indices) -> Peaks:
    """Measure action potentials from threshold to peak.

    The peak is the highest sample within 0.5 ms of the mark. The threshold is the potential where dV/dt exceeds
    10 mV/ms and stays above up to the steepest rise (a tenth of the steepest rise where it is slower than that).

    Parameters
    ----------
    values : (n_samples,). fs : Hz. unit : of the values. at : (n_events,) sorted samples.
    """
    peak = _extreme(values, at, max(1, round(_REFINE_S * fs)), 1.0)
    back = max(3, round(_LOOK_BACK_S * fs))
    limit = np.minimum(np.diff(peak, prepend=-back - 1), back)  # not beyond the peak before
    columns: list[tuple[Floats, ...]] = []
    for k in range(0, len(peak), _AT_ONCE):
        part = slice(k, k + _AT_ONCE)
        columns.append(_upstrokes(values, fs, unit, peak[part], np.maximum(limit[part], 2), back))
    base, late = (
        (np.concatenate(c) for c in zip(*columns, strict=True)) if columns else (np.zeros(0), np.zeros(0))
    )
    return _read(values, peak, base, np.ones(len(peak)), late, max(8, round(_AFTER_S * fs)))


def _upstrokes(
    values: NDArray[np.floating], fs: float, unit: str, peak: Indices, limit: Indices, back: int
) -> tuple[Floats, Floats]:
    """Return the potential at threshold, and how many samples before the peak it lies."""
    half = max(1, round(0.05e-3 * fs))
    raw = windows(values, peak - back - half, back + 2 * half + 1)
    factor = millivolts(unit)
    slope = np.stack([slope_mv_per_ms(row * factor, fs)[half:-half] for row in raw]).astype(np.float64)
    column = np.arange(back + 1)
    outside = column < back - limit[:, None]
    steepest = np.argmax(np.where(outside, -np.inf, slope), axis=1)
    most = slope[np.arange(len(peak)), steepest]
    least = np.where(most > THRESHOLD_SLOPE, THRESHOLD_SLOPE, 0.1 * most)[:, None]
    gentle = (slope < least) & (column < steepest[:, None]) & ~outside
    last = back - np.argmax(gentle[:, ::-1], axis=1)
    begin = np.where(gentle.any(axis=1), last + 1, back - limit)
    return raw[np.arange(len(peak)), begin + half], (back - begin).astype(np.float64)


def extracellular(values: NDArray[np.floating], fs: float, at: Indices, sign: Floats) -> Peaks:
    """Measure extracellular spikes from the line between what lies before and after them.

    The ends of the line are medians 0.6 to 1.8 ms before and 1.6 to 2.8 ms after the trough, so that a slow field
    is no part of the amplitude. The trough is the vertex of a parabola through the samples of the middle two fifths of the
    usual half width (that of the median spike), and is looked for on means of as many: the deepest single sample
    would have the noise in it.
    """
    reach = _top(values, at, sign, fs)
    peak = np.concatenate(
        [_extreme(values, at[sign == s], max(1, round(0.3e-3 * fs)), s, reach) for s in (-1.0, 1.0)]
    )
    peak = peak[np.argsort(np.concatenate([np.flatnonzero(sign == s) for s in (-1.0, 1.0)]), kind="stable")]
    width = max(3, round(1.2e-3 * fs))
    before, after = round(0.6e-3 * fs), round(1.6e-3 * fs)
    left = np.median(windows(values, peak - before - width, width), axis=1)
    right = np.median(windows(values, peak + after, width), axis=1)
    share = (before + width / 2) / (before + after + width)
    base = left + (right - left) * share
    top, place = _vertex(values, peak, sign, reach)
    made = _read(
        values, peak, base, sign, np.full(len(peak), float(round(1e-3 * fs))), max(6, round(1.5e-3 * fs)), top
    )
    return Peaks(
        place,
        *(
            getattr(made, k)
            for k in ("baseline", "amplitude", "rise_20_80", "rise_10_90", "half_width", "decay")
        ),
    )


def heart_beats(values: NDArray[np.floating], fs: float, at: Indices, sign: Floats) -> Peaks:
    """Measure R peaks from the median of the samples 60 to 100 ms before them."""
    width, before = max(2, round(0.04 * fs)), round(0.06 * fs)
    base = np.median(windows(values, at - before - width, width), axis=1)
    return _read(values, at, base, sign, np.full(len(at), float(round(0.06 * fs))), max(6, round(0.08 * fs)))


def _top(values: NDArray[np.floating], at: Indices, sign: Floats, fs: float) -> int:
    """Return how many samples on each side of the trough belong to it: a fifth of the half width of the median spike."""
    least, half = max(1, round(0.05e-3 * fs)), max(3, round(1e-3 * fs))
    if not len(at):
        return least
    some = np.unique(np.linspace(0, len(at) - 1, min(len(at), 500)).astype(np.intp))
    pieces = windows(values, at[some] - half, 2 * half + 1) * sign[some, None]
    pieces = pieces[np.isfinite(pieces).all(1)]
    if not len(pieces):
        return least
    middle = np.median(pieces, axis=0)
    top = half - half // 3 + int(np.argmax(middle[half - half // 3 : half + half // 3 + 1]))
    low = np.flatnonzero(middle < 0.5 * (middle[top] + np.median(middle)))
    left, right = low[low < top], low[low > top]
    if not len(left) or not len(right):
        return least
    return int(np.clip(round(0.2 * (right[0] - left[-1])), least, max(least, round(0.15e-3 * fs))))


def _extreme(values: NDArray[np.floating], at: Indices, reach: int, sign: float, smooth: int = 0) -> Indices:
    """Return the highest places within `reach` of each, of means over 2 `smooth` + 1 samples."""
    found = np.empty(len(at), np.intp)
    for k in range(0, len(at), _AT_ONCE):
        part = at[k : k + _AT_ONCE]
        piece = windows(values, part - reach - smooth, 2 * (reach + smooth) + 1) * sign
        if smooth:
            piece = np.lib.stride_tricks.sliding_window_view(piece, 2 * smooth + 1, axis=1).mean(-1)
        found[k : k + _AT_ONCE] = part - reach + np.argmax(np.nan_to_num(piece, nan=-np.inf), axis=1)
    return np.clip(found, 0, len(values) - 1)


def _vertex(values: NDArray[Any], peak: Indices, sign: Floats, reach: int) -> tuple[Floats, Floats]:
    """Return value and place of the vertex of the parabola of least squares through 2 `reach` + 1 samples."""
    x = np.arange(-reach, reach + 1, dtype=np.float64)
    y = windows(values, peak - reach, 2 * reach + 1)
    design = np.linalg.pinv(np.stack([np.ones_like(x), x, x**2], 1))
    c, b, a = (y @ design.T).T
    bent = a * sign < -1e-12
    move = np.where(bent, np.clip(-b / np.where(bent, 2 * a, 1), -reach, reach), 0.0)
    return np.where(bent, c + b * move + a * move**2, values[peak]), np.asarray(peak + move, np.float64)


def _read(
    values: NDArray[np.floating],
    peak: Indices,
    base: Floats,
    sign: Floats,
    late: Floats,
    after: int,
    top: Floats | None = None,
) -> Peaks:
    """Return the numbers of peaks with a known baseline.

    Parameters
    ----------
    late : (n_events,) samples before the peak in which the event rises.
    after : samples after the peak that belong to it, at most up to the next one.
    """
    n, highest = len(peak), np.asarray(values, np.float64)[peak] if top is None else top
    height = sign * (highest - base)
    result = {name: np.full(n, np.nan) for name in ("20", "10", "half", "decay")}
    room = np.clip(np.diff(peak, append=len(values)), 0, after)
    back = int(min(max(late.max(initial=2), 2), 20_000))
    for k in range(0, n, _AT_ONCE):
        p = slice(k, k + _AT_ONCE)
        way = sign[p, None]
        up = (windows(values, peak[p] - back, back + 1) - base[p, None]) * way
        up[np.arange(back + 1) < back - late[p, None]] = -np.inf
        down = (windows(values, peak[p], after + 1) - base[p, None]) * way
        early = {q: _upward(up, q * height[p]) for q in (0.1, 0.2, 0.5, 0.8, 0.9)}
        result["20"][p], result["10"][p] = early[0.8] - early[0.2], early[0.9] - early[0.1]
        result["half"][p] = _downward(down, 0.5 * height[p], room[p]) + back - early[0.5]
        result["decay"][p] = decay_constant(down[:, :-1], height[p], room[p])
    for name in ("20", "10", "half"):
        result[name][~(result[name] > 0)] = np.nan
    return Peaks(
        peak.astype(np.float64),
        base,
        sign * height,
        result["20"],
        result["10"],
        result["half"],
        result["decay"],
    )


def _upward(up: Floats, level: Floats) -> Floats:
    """Return where each row rises through its level for the last time, in samples from its start."""
    below = up < level[:, None]
    width, rows = up.shape[1], np.arange(len(up))
    last = width - 1 - np.argmax(below[:, ::-1], axis=1)
    following = np.minimum(last + 1, width - 1)
    low = np.where(np.isfinite(up[rows, last]), up[rows, last], 0.0)
    step = up[rows, following] - low
    share = np.where(step > 0, (level - low) / np.where(step > 0, step, 1), 0.0)
    return np.where(below.any(axis=1) & (last < width - 1), last + np.clip(share, 0, 1), np.nan)


def _downward(down: Floats, level: Floats, room: Indices) -> Floats:
    """Return where each row falls through its level for the first time, in samples; NaN beyond its room."""
    below = down < level[:, None]
    first, rows = np.argmax(below, axis=1), np.arange(len(down))
    before = np.maximum(first - 1, 0)
    step = down[rows, before] - down[rows, first]
    share = np.where(step > 0, (down[rows, before] - level) / np.where(step > 0, step, 1), 0.0)
    found = below.any(axis=1) & (first > 0) & (first <= room)
    return np.where(found, before + np.clip(share, 0, 1), np.nan)
