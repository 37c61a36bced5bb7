"""A trace as running sums, so that the mean between any two samples costs nothing; bins that follow an event."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

_BEFORE = np.array(
    [1.0, 0.8, 0.62, 0.46, 0.33, 0.22, 0.13, 0.06]
)  # of the baseline window, back from the onset
_N_RISE, _N_DECAY = 20, 24
RISE_TO, DECAY_TO = 2.0, 5.0  # times to peak, and decay constants behind them, that a window covers
N_BEFORE = len(_BEFORE)
N_BINS = N_BEFORE + _N_RISE + _N_DECAY


class Sums:
    """Means of any stretch of a trace in constant time.

    Parameters
    ----------
    values : (n_samples,) in any unit; what is not finite counts as missing.
    """

    def __init__(self, values: NDArray[np.floating]) -> None:
        x = np.asarray(values, np.float64)
        good = np.isfinite(x)
        self.n = len(x)
        self.whole = bool(good.all())
        self.level = float(np.median(x[good][:: max(1, int(good.sum()) // 100_000)])) if good.any() else 0.0
        filled = np.where(good, x - self.level, 0.0)
        self._sum = np.concatenate([[0.0], np.cumsum(filled)])
        self._count = None if self.whole else np.concatenate([[0], np.cumsum(good)])

    def means(self, edges: Indices) -> tuple[Floats, Floats]:
        """Return mean above `level`, and number of samples, between consecutive edges (..., n + 1) -> (..., n)."""
        e = np.clip(edges, 0, self.n)
        if self._count is None:
            count = np.diff(e, axis=-1).astype(np.float64)
        else:
            count = np.diff(self._count[e], axis=-1).astype(np.float64)
        total = np.diff(self._sum[e], axis=-1)
        return np.asarray(total / np.maximum(count, 1)), np.maximum(count, 0)

    def missing(self, first: Indices, last: Indices) -> NDArray[np.bool_]:
        """Return which stretches [first, last) hold a sample that is no number."""
        if self._count is None:
            return np.zeros(np.shape(first), bool)
        a, b = np.clip(first, 0, self.n), np.clip(last, 0, self.n)
        return np.asarray(self._count[b] - self._count[a] < b - a)


@dataclass(frozen=True)
class Bins:
    """The trace around each event, in bins; times in samples.

    Attributes
    ----------
    y : (n_events, n_bins) mean of each bin, above `Sums.level`.
    count : samples of each; 0 where a bin is empty or outside the limits.
    centre, half : middle of each bin, and half the width of a continuous bin of the same second moment.
    """

    y: Floats
    count: Floats
    centre: Floats
    half: Floats

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Bins:
        """Return some events."""
        return Bins(self.y[rows], self.count[rows], self.centre[rows], self.half[rows])

    def put(self, rows: NDArray[np.intp], other: Bins) -> Bins:
        """Return these with those of some events replaced."""
        made = [part.copy() for part in (self.y, self.count, self.centre, self.half)]
        for mine, new in zip(made, (other.y, other.count, other.centre, other.half), strict=True):
            mine[rows] = new
        return Bins(*made)


def bins_between(sums: Sums, edges: Indices) -> Bins:
    """Return the bins between consecutive integer edges (n_events, n + 1)."""
    y, count = sums.means(edges)
    width = np.asarray(np.diff(np.clip(edges, 0, sums.n), axis=-1), np.float64)
    centre = np.asarray(0.5 * (edges[..., :-1] + edges[..., 1:] - 1.0), np.float64)
    return Bins(y, count, centre, np.asarray(0.5 * np.sqrt(np.maximum(width**2 - 1, 0)), np.float64))


def around(
    sums: Sums, onset: Floats, to_peak: Floats, decay: Floats, first: Floats, last: Floats, least: float
) -> Bins:
    """Return bins of a window that follows the length of each event.

    Parameters
    ----------
    onset, to_peak, decay : (n_events,) samples.
    first, last : (n_events,) limits of each window, samples.
    least : shortest baseline window, samples.
    """
    before = np.maximum(1.5 * to_peak + decay, least)
    pre = onset[:, None] - before[:, None] * _BEFORE
    rise = onset[:, None] + to_peak[:, None] * np.linspace(0, RISE_TO, _N_RISE + 1)
    fall = np.linspace(0, 1, _N_DECAY + 1)[1:] ** 1.5
    decay_edges = rise[:, -1:] + DECAY_TO * decay[:, None] * fall
    edges = np.concatenate([pre, rise, decay_edges], axis=1)
    edges = np.clip(np.ceil(edges), np.ceil(first)[:, None], np.floor(last)[:, None]).astype(np.intp)
    return bins_between(sums, np.maximum.accumulate(edges, axis=1))


def steps_between(sums: Sums, start: Floats, stop: Floats, n: int) -> Bins:
    """Return up to `n` bins of equal width in [start, stop] of each event, at least one sample in all."""
    start, stop = np.ceil(start - 0.5), np.floor(stop + 0.5)
    stop = np.maximum(stop, start + 1)
    edges = np.rint(start[:, None] + (stop - start)[:, None] * np.linspace(0, 1, n + 1)).astype(np.intp)
    return bins_between(sums, edges)
