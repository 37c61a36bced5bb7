"""Pieces of a waveform that hold a level or rise in a straight line: where a command changes.

Works on commands as a protocol gives them and on recorded ones, which carry noise and rounded edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MOST_PIECES = 200  # a waveform of more is no sequence of levels and ramps
_MOST_RAMPS = 24
_MOST_SAMPLES = 10_000  # that are looked at in full; longer waveforms are averaged first
_EDGE_S = 0.3e-3  # rounded edges of recorded commands are shorter
_SIGNIFICANT = 14.0  # times the variance of the noise and log(n): what a change must explain
_ALIKE = 0.004  # of the range: pieces that differ by less are one
_JUMP = 0.02  # of the range: a change from one sample to the next that is a cut for sure, unless it is noise
_SLOW_S = 5e-3  # hum and drift are seen in means over this long


@dataclass(frozen=True)
class Piece:
    """A stretch of a waveform that is a straight line.

    Attributes
    ----------
    start, stop : first and one-past-last sample.
    first, last : values of the line at its ends, in the unit of the waveform.
    is_ramp : whether the line rises or falls by more than noise does.
    """

    start: int
    stop: int
    first: float
    last: float
    is_ramp: bool

    @property
    def level(self) -> float:
        """The level that is held, or the one a ramp ends at."""
        return self.last if self.is_ramp else 0.5 * (self.first + self.last)


def pieces(values: NDArray[np.floating], sampling_rate: float, least: float = 0.0) -> list[Piece]:
    """Cut a waveform where it changes.

    Parameters
    ----------
    values : (n_samples,) of any unit.
    sampling_rate : Hz.
    least : changes smaller than this are noise, in the unit of the values.

    Returns
    -------
    Pieces without gaps between them; none if values are missing, or if there are more than
    `MOST_PIECES` or two dozen ramps, as in a sine.

    Notes
    -----
    Binary segmentation with a straight line per piece (least squares): a cut stays if it explains
    `_SIGNIFICANT` times the variance of the noise times log(n). Neighbours that differ by less than
    `least`, 0.4 % of the range, or four times the noise (hum included) are joined; a piece shorter than 0.3 ms between
    two levels is a rounded edge. Cuts are refined sample by sample at the end.
    """
    wave = np.asarray(values, np.float64)
    if len(wave) < 3 or not np.isfinite(wave).all():
        return []
    span = float(np.ptp(wave))
    if span <= least or span <= 1e-6 * float(np.abs(wave).max()):
        middle = float(np.median(wave))
        return [Piece(0, len(wave), middle, middle, False)]
    noise = max(_noise(wave), 1e-5 * span)
    hum = min(_noise(_averaged(wave, max(1, round(_SLOW_S * sampling_rate)))), 0.05 * span)
    bounds = _bounds(wave, noise, max(noise, hum), span)
    if bounds is None:
        return []
    edge = max(3, round(_EDGE_S * sampling_rate))
    alike = _Alike(max(least, _ALIKE * span, 4 * hum), 8 * noise)
    for _ in range(2):
        bounds = _without_edges(wave, bounds, edge, alike)
        bounds = _joined(wave, bounds, alike)
        bounds = _refined(wave, bounds, edge)
    found = [_piece(wave, a, b, alike) for a, b in pairwise(bounds)]
    return found if sum(one.is_ramp for one in found) <= _MOST_RAMPS else []


@dataclass(frozen=True)
class _Alike:
    """How much pieces may differ and be one: `always`, or `noise` over the root of the shorter one's samples."""

    always: float
    noise: float

    def over(self, n: int) -> float:
        return max(self.always, self.noise / np.sqrt(max(n, 1)))


def line(values: NDArray[np.floating], start: int, stop: int, least: float = 0.0) -> Piece:
    """Return the level, or the straight line, over samples [start, stop) of a waveform.

    Parameters
    ----------
    values : (n_samples,) of any unit, without gaps.
    least : a rise by less is none.
    """
    wave = np.asarray(values[start:stop], np.float64)
    room = max(least, _ALIKE * float(np.ptp(values)) if len(values) else 0.0)
    one = _piece(wave, 0, len(wave), _Alike(room, 8 * _noise(wave)))
    return Piece(start, stop, one.first, one.last, one.is_ramp)


def residual(values: NDArray[np.floating], found: list[Piece]) -> Floats:
    """Return (n_samples,) what is left of a waveform when its pieces are taken away."""
    rest = np.array(values, np.float64)
    for one in found:
        rest[one.start : one.stop] -= np.linspace(one.first, one.last, one.stop - one.start)
    return rest


def _noise(wave: Floats) -> float:
    """Return the standard deviation of noise, from the change between samples that follow each other."""
    return 1.4826 * float(np.median(np.abs(np.diff(wave, 2)))) / np.sqrt(6.0) if len(wave) > 4 else 0.0


def _averaged(wave: Floats, block: int) -> Floats:
    return wave[: len(wave) // block * block].reshape(-1, block).mean(axis=1) if block > 1 else wave


def _bounds(wave: Floats, noise: float, slow: float, span: float) -> list[int] | None:
    """Return where pieces begin, 0 and the end with them; None if there are too many."""
    jumps = np.flatnonzero(np.abs(np.diff(wave)) > max(12 * noise, _JUMP * span)) + 1
    if len(jumps) > MOST_PIECES:
        return None
    bounds = [0]
    for a, b in pairwise([0, *jumps.tolist(), len(wave)]):
        block = -(-(b - a) // _MOST_SAMPLES)
        cuts = _cuts(_averaged(wave[a:b], block), slow)
        if cuts is None:
            return None
        inside = [0, *(cut * block for cut in cuts), b - a]
        if block > 1:
            inside = _refined(wave[a:b], inside, 2 * block)
        bounds += [a + cut for cut in inside[1:]]
    return bounds if len(bounds) <= MOST_PIECES else None


def _cuts(wave: Floats, noise: float) -> list[int] | None:
    """Return where pieces begin, sorted; None if there are too many."""
    enough = _SIGNIFICANT * noise**2 * np.log(max(len(wave), 2))
    open_ones, found = [(0, len(wave))], []
    while open_ones:
        a, b = open_ones.pop()
        cut, gain = _best_cut(wave[a:b])
        if gain <= enough:
            continue
        found.append(a + cut)
        if len(found) > MOST_PIECES:
            return None
        open_ones += [(a, a + cut), (a + cut, b)]
    return sorted(found)


def _best_cut(wave: Floats) -> tuple[int, float]:
    """Return where two straight lines fit best, and how much less they leave than one line does."""
    n = len(wave)
    if n < 4:
        return 0, 0.0
    t = np.arange(n, dtype=np.float64)
    y = wave - wave.mean()
    sums = [np.concatenate([[0.0], np.cumsum(v)]) for v in (t, y, t * t, t * y, y * y)]
    k = np.arange(1, n)
    left = _left_over(k, *(s[1:n] for s in sums))
    right = _left_over(n - k, *(s[n] - s[1:n] for s in sums))
    whole = _left_over(np.array([n]), *(s[n:] for s in sums))[0]
    both = left + right
    best = int(np.argmin(both))
    return best + 1, float(whole - both[best])


def _left_over(n: NDArray[np.integer], t: Floats, y: Floats, tt: Floats, ty: Floats, yy: Floats) -> Floats:
    """Return the squares that a straight line leaves, from sums over its n points."""
    spread = tt - t * t / n
    both = ty - t * y / n
    slope = np.divide(both, spread, out=np.zeros_like(both), where=spread > 0.5)
    return np.maximum(yy - y * y / n - slope * both, 0.0)


def _refined(wave: Floats, bounds: list[int], reach: int) -> list[int]:
    """Move each cut to the sample within `reach` where two lines fit best."""
    moved = [bounds[0]]
    for cut, after in pairwise(bounds[1:]):
        a = max(moved[-1], cut - 8 * reach)
        b = min(after, cut + 8 * reach)
        low, high = max(a + 1, cut - reach), min(b - 1, cut + reach + 1)
        if b - a >= 4 and high > low:
            best, _ = _best_cut(wave[a:b])
            cut = a + best if low <= a + best <= high else cut
        if cut > moved[-1]:
            moved.append(cut)
    if bounds[-1] > moved[-1]:
        moved.append(bounds[-1])
    return moved


def _piece(wave: Floats, a: int, b: int, alike: _Alike) -> Piece:
    y = wave[a:b]
    if b - a < 3:
        middle = float(np.median(y))
        return Piece(a, b, middle, middle, False)
    stride = max(1, (b - a) // _MOST_SAMPLES)
    y = y[::stride]
    t = stride * np.arange(len(y), dtype=np.float64)
    t -= t.mean()
    slope = float(t @ y / (t @ t))
    rise = slope * (b - a - 1)
    if abs(rise) < alike.over(b - a):
        middle = float(np.median(y))
        return Piece(a, b, middle, middle, False)
    mean = float(y.mean())
    return Piece(a, b, mean - rise / 2, mean + rise / 2, True)


def _without_edges(wave: Floats, bounds: list[int], shortest: int, alike: _Alike) -> list[int]:
    """Give pieces that only lead from one level to the next to their neighbours."""
    kept, before_that = list(bounds), -1
    while len(kept) != before_that:
        before_that, i = len(kept), 1
        while i < len(kept) - 2:
            a, b = kept[i], kept[i + 1]
            before = _piece(wave, kept[i - 1], a, alike)
            after = _piece(wave, b, kept[i + 2], alike)
            low, high = sorted((before.last, after.first))
            middle = float(np.mean(wave[a:b]))
            room = alike.over(b - a)
            if b - a <= shortest and low - room <= middle <= high + room:
                del kept[i + 1 if abs(middle - before.last) > abs(middle - after.first) else i]
            else:
                i += 1
    return kept


def _joined(wave: Floats, bounds: list[int], alike: _Alike) -> list[int]:
    """Join neighbours whose lines meet and have one slope."""
    kept = list(bounds)
    i = 1
    while i < len(kept) - 1:
        one, two = _piece(wave, kept[i - 1], kept[i], alike), _piece(wave, kept[i], kept[i + 1], alike)
        shorter = min(one.stop - one.start, two.stop - two.start)
        slopes = [(p.last - p.first) / max(p.stop - p.start, 1) for p in (one, two)]
        room = alike.over(shorter)
        if abs(two.first - one.last) < room and abs(slopes[1] - slopes[0]) * shorter < room:
            del kept[i]
            i = max(i - 1, 1)
        else:
            i += 1
    return kept
