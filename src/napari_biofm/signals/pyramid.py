"""Minima and maxima of a trace at many scales, so that any span is drawn in well under a millisecond.

Level 0 holds the extrema of bins of 64 samples, each further level those of 8 bins below it. What is
drawn for a span are extrema, never picked samples: no spike is lost at any zoom. Traces are read once,
piece by piece, and the file's pages are given back afterwards.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.recording import Recording
from napari_biofm.signals.samples import Raw, scaled
from napari_biofm.types import Progress, Task

BASE = 64  # samples per bin of the finest level
STEP = 8  # bins per bin of the next level
_WORKERS = min(os.cpu_count() or 1, 4)  # threads over a memory map
_BUNDLE = 16  # chunks that a thread takes at once
_CHUNK = BASE * STEP * 512  # samples read at once; 512 kB of int16 stay in the cache

Read = Callable[[int, int], Raw]
Extrema = tuple[Raw, Raw]  # minima (n_bins,), maxima (n_bins,)


@dataclass(frozen=True)
class Envelope:
    """What to draw for a span.

    Attributes
    ----------
    starts : (n,) float64, first sample of each bin, or the sample's own index when `exact`.
    minima, maxima : (n,) as stored; the same array when `exact`.
    exact : whether every sample of the span is there.
    """

    starts: NDArray[np.float64]
    minima: Raw
    maxima: Raw
    exact: bool


@dataclass(frozen=True)
class Pyramid:
    """Extrema of one trace of `n` samples at all scales, over the samples themselves.

    Attributes
    ----------
    read : (start, stop) -> samples as stored.
    n : number of samples.
    levels : finest first; each minima and maxima of (ceil(n / bin),).
    """

    read: Read
    n: int
    levels: Sequence[Extrema]

    @property
    def nbytes(self) -> int:
        """Memory taken by the levels."""
        return sum(low.nbytes + high.nbytes for low, high in self.levels)

    def extrema(self, start: int, stop: int) -> tuple[Any, Any]:
        """Return the exact minimum and maximum of samples [start, stop), ignoring NaN."""
        low, high = zip(*self._pieces(start, stop, len(self.levels) - 1), strict=True)
        return _low(np.concatenate(low)), _high(np.concatenate(high))

    def envelope(self, start: int, stop: int, n_bins: int) -> Envelope:
        """Return extrema of samples [start, stop) in about `n_bins` bins (2/3 to 1.5 times).

        Few samples come back as they are. The first and last bin hold what lies inside the span only.
        """
        start, stop = max(0, start), min(self.n, stop)
        span = max(stop - start, 0)
        if span <= 4 * n_bins:
            values = self.read(start, stop)
            return Envelope(np.arange(start, stop, dtype=np.float64), values, values, exact=True)
        width = -(-span // n_bins)  # samples per bin that would do
        level = -1
        while level + 1 < len(self.levels) and 2 * BASE * STEP ** (level + 1) <= width:
            level += 1
        if level < 0:
            return self._from_samples(start, stop, width)
        return self._from_level(start, stop, level, width)

    def _from_samples(self, start: int, stop: int, width: int) -> Envelope:
        values = self.read(start, stop)
        starts = np.arange(0, stop - start, width)
        low, high = _functions(values)
        return Envelope(
            (start + starts).astype(np.float64),
            low.reduceat(values, starts),
            high.reduceat(values, starts),
            exact=False,
        )

    def _from_level(self, start: int, stop: int, level: int, width: int) -> Envelope:
        size = BASE * STEP**level
        first, last = -(-start // size), stop // size  # whole bins inside the span
        group = max(round(width / size), 1)
        starts = [np.arange(first, last, group, dtype=np.float64) * size]
        groups = np.arange(0, last - first, group)
        lows, highs = [], []
        if groups.size:
            low, high = self.levels[level]
            f_low, f_high = _functions(low)
            lows.append(f_low.reduceat(low[first:last], groups))
            highs.append(f_high.reduceat(high[first:last], groups))
        for at, begin, end in (
            (0, start, min(first * size, stop)),
            (len(lows) + 1, max(last, first) * size, stop),
        ):
            if end > begin:
                edge = self.extrema(begin, end)
                starts.insert(at, np.array([begin], np.float64))
                lows.insert(at, np.array([edge[0]]))
                highs.insert(at, np.array([edge[1]]))
        return Envelope(np.concatenate(starts), np.concatenate(lows), np.concatenate(highs), exact=False)

    def _pieces(self, start: int, stop: int, level: int) -> list[Extrema]:
        """Return extrema that cover [start, stop) exactly: whole bins, and finer ones at the edges."""
        if start >= stop:
            return []
        if level < 0:
            values = self.read(start, stop)
            return [(values, values)]
        size = BASE * STEP**level
        first, last = -(-start // size), stop // size
        if first >= last:
            return self._pieces(start, stop, level - 1)
        low, high = self.levels[level]
        return [
            *self._pieces(start, first * size, level - 1),
            (low[first:last], high[first:last]),
            *self._pieces(last * size, stop, level - 1),
        ]


def build_pyramids(recording: Recording, sweep: int, channels: Sequence[int]) -> Task[list[Pyramid]]:
    """Read `channels` of one sweep once and return a pyramid for each.

    Channels that lie side by side in one memory map are read together.
    """
    together = _interleaved(recording, sweep, channels)
    if together is not None:
        data, order = together
        levels = yield from _build(lambda a, b: data[a:b], len(data), data.shape[1], _WORKERS)
        return [_pyramid(recording, sweep, c, [(lo[:, i], hi[:, i]) for lo, hi in levels])
                for c, i in zip(channels, order, strict=True)]  # fmt: skip
    pyramids = []
    for channel in channels:
        read = partial(_column, recording, sweep, channel)
        levels = yield from _build(read, recording.n_samples(sweep, channel), 1)
        pyramids.append(_pyramid(recording, sweep, channel, [(lo[:, 0], hi[:, 0]) for lo, hi in levels]))
    return pyramids


def scaled_envelope(envelope: Envelope, scale: tuple[float, float]) -> Envelope:
    """Return the envelope in the channel's unit; a negative gain swaps minima and maxima."""
    low, high = scaled(envelope.minima, scale), scaled(envelope.maxima, scale)
    if scale[0] < 0:
        low, high = high, low
    return Envelope(envelope.starts, low, high, envelope.exact)


def _pyramid(recording: Recording, sweep: int, channel: int, levels: Sequence[Extrema]) -> Pyramid:
    contiguous = [(np.ascontiguousarray(low), np.ascontiguousarray(high)) for low, high in levels]
    return Pyramid(_reader(recording, sweep, channel), recording.n_samples(sweep, channel), contiguous)


def _reader(recording: Recording, sweep: int, channel: int) -> Read:
    return lambda start, stop: recording.samples.raw(sweep, channel, start, stop)


def _column(recording: Recording, sweep: int, channel: int, start: int, stop: int) -> Raw:
    """Return samples as (stop - start, 1)."""
    return recording.samples.raw(sweep, channel, start, stop)[:, None]


def _interleaved(
    recording: Recording, sweep: int, channels: Sequence[int]
) -> tuple[NDArray[Any], Sequence[int]] | None:
    """Return the (n_samples, n_channels) block of a sweep if all its channels lie in one array."""
    block = getattr(recording.samples, "block", None)
    if block is None or len(channels) < 2:
        return None
    data: NDArray[Any] = block(sweep)
    return data, channels


def _build(read: Callable[[int, int], Raw], n: int, n_channels: int, workers: int = 1) -> Task[list[Extrema]]:
    """Return the levels of (n_bins, n_channels) extrema, reading (stop - start, n_channels) at a time.

    Parameters
    ----------
    workers : threads that read; more than one only where `read` may be called by several at once.
    """
    n_levels = 0
    while BASE * STEP**n_levels * 4 <= n:
        n_levels += 1
    if n_levels == 0:
        return []
    chunk = max(_CHUNK // n_channels // (BASE * STEP), 1) * BASE * STEP
    spans = [(start, min(start + chunk, n)) for start in range(0, n, chunk)]
    lows, highs = [], []
    for i, (low, high) in enumerate(_reduced(read, spans, workers)):
        lows.append(low)
        highs.append(high)
        if i % 64 == 0:
            yield Progress(spans[i][0], n, "reading the trace")
    levels: list[Extrema] = [(np.concatenate(lows), np.concatenate(highs))]
    for _ in range(n_levels - 1):
        low, high = levels[-1]
        levels.append((_reduce(low, STEP)[0], _reduce(high, STEP)[1]))
    return levels


def _reduced(
    read: Callable[[int, int], Raw], spans: Sequence[tuple[int, int]], workers: int
) -> Iterator[Extrema]:
    """Yield the extrema of each span, in order; numpy lets other threads run while it compares."""
    if workers < 2 or len(spans) <= _BUNDLE:
        for start, stop in spans:
            yield _reduce(read(start, stop), BASE)
        return

    def bundle(first: int) -> list[Extrema]:
        return [_reduce(read(start, stop), BASE) for start, stop in spans[first : first + _BUNDLE]]

    with ThreadPoolExecutor(workers, "pyramid") as pool:
        waiting: deque[Future[list[Extrema]]] = deque()
        for first in range(0, len(spans), _BUNDLE):
            waiting.append(pool.submit(bundle, first))
            if len(waiting) > 2 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def _reduce(values: Raw, size: int) -> Extrema:
    """Return extrema of bins of `size` (a power of two) along the first axis; the last may be shorter."""
    whole = len(values) // size
    f_low, f_high = _functions(values)
    low = high = values[: whole * size].reshape(whole, size, -1)
    while low.shape[1] > 1:  # halves: whole-array operations, many times faster than a reduction per bin
        half = low.shape[1] // 2
        low, high = f_low(low[:, :half], low[:, half:]), f_high(high[:, :half], high[:, half:])
    low, high = low[:, 0], high[:, 0]
    rest = values[whole * size :]
    if len(rest):
        low = np.concatenate([low, f_low.reduce(rest, axis=0)[None]])
        high = np.concatenate([high, f_high.reduce(rest, axis=0)[None]])
    return low, high


def _functions(values: Raw) -> tuple[np.ufunc, np.ufunc]:
    """Return the minimum and maximum that ignore NaN where there can be any."""
    return (np.fmin, np.fmax) if values.dtype.kind == "f" else (np.minimum, np.maximum)


def _low(values: Raw) -> Any:
    return _functions(values)[0].reduce(values)


def _high(values: Raw) -> Any:
    return _functions(values)[1].reduce(values)
