"""What the user said about recordings, and the part of it that is worth looking at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import Trace

AROUND = 1 << 16  # samples read around the marks at least: the noise is known from there
MOST = 1 << 17  # resampled samples of all recordings that are looked at while teaching
PIECE = 1536  # resampled samples around a mark, and of a stretch of background, where not all are looked at
APART = 256  # resampled samples of gap between them: more than any template
BACKGROUND = 0.25  # of what is looked at is drawn at random


@dataclass(frozen=True)
class Marks:
    """What the user said about one recording.

    Attributes
    ----------
    signal : the recording.
    time_s : (n,) peaks of the events.
    names : class per event; one word for all where empty.
    spans : (k, 2) s, stretches in which every event is marked; empty: from the first mark to the last.
    rejected_s : (m,) places that are no event.
    open_s : (k,) places nobody has judged; nothing is learnt from them.
    """

    signal: Trace
    time_s: NDArray[np.float64]
    names: Sequence[str] = ()
    spans: Sequence[tuple[float, float]] = ()
    rejected_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    open_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @property
    def complete(self) -> list[tuple[float, float]]:
        """Stretches (s) in which what is not marked is no event."""
        if self.spans or not len(self.time_s):
            return list(self.spans)
        return [(float(np.min(self.time_s)), float(np.max(self.time_s)))]


def labels(
    time_s: NDArray[np.float64], one: Marks, classes: list[str], tolerance: float
) -> NDArray[np.int64]:
    """Return the class of each candidate, -1 for none, -2 where nothing is known."""
    out = np.full(len(time_s), -2)
    if len(one.time_s):
        for a, b in one.complete:
            out[(time_s >= a - tolerance) & (time_s <= b + tolerance)] = -1
    for t in one.open_s:
        out[np.abs(time_s - t) <= tolerance] = -2
    for t in one.rejected_s:
        out[np.abs(time_s - t) <= tolerance] = -1
    for i, t in enumerate(one.time_s):
        gap = np.abs(time_s - t)
        if len(gap) and gap.min() <= tolerance:
            out[gap <= tolerance] = np.where(out[gap <= tolerance] == -1, -2, out[gap <= tolerance])
            out[gap.argmin()] = classes.index(one.names[i]) if len(one.names) else 0
    return out


def around(one: Marks) -> Marks:
    """Return the part of a recording that its marks can teach something about; times from its beginning."""
    fs, n = one.signal.sampling_rate, len(one.signal.values)
    marked = np.concatenate([one.time_s, one.rejected_s, np.ravel(one.spans)])
    a, b = int(marked.min() * fs), int(marked.max() * fs)
    more = max(AROUND - (b - a), (b - a) // 5, 0) // 2
    a, b = max(0, a - more), min(n, b + more)
    if a == 0:
        b = min(n, max(b, AROUND))
    if b == n:
        a = max(0, min(a, n - AROUND))
    start = a / fs
    signal = replace(one.signal, values=one.signal.values[a:b])
    return Marks(
        signal, np.asarray(one.time_s) - start, one.names, [(x - start, y - start) for x, y in one.spans],
        np.asarray(one.rejected_s) - start, np.asarray(one.open_s) - start,
    )  # fmt: skip


def shortened(one: Marks, rate: float, most: int = MOST) -> Marks:
    """Return the marks with pieces around them and some background, where a recording is long; gaps between.

    Parameters
    ----------
    rate : Hz at which it is looked at. most : samples at that rate that may be looked at.

    Returns
    -------
    Marks of a shorter recording, in the same order; itself where the recording is no longer than that.
    """
    fs, n = one.signal.sampling_rate, len(one.signal.values)
    thin = fs / rate
    if n <= most * thin:
        return one
    rng = np.random.default_rng(n)
    width, pieces = round(PIECE * thin), max(4, most // (PIECE + APART))
    centres = np.concatenate([one.time_s, one.rejected_s]) * fs
    near = rng.permutation(centres)[: max(3, round((1 - BACKGROUND) * pieces))]
    spans = np.array(one.complete or [(0.0, n / fs)]) * fs
    which = rng.choice(len(spans), pieces - len(near), p=_shares(spans[:, 1] - spans[:, 0]))
    far = rng.uniform(spans[which, 0], spans[which, 1])
    first = np.clip(np.concatenate([near, far]) - width / 2, 0, n - width).astype(np.int64)
    kept = _joined(np.sort(first), width)
    gap = np.full(round(APART * thin), np.nan, np.float32)
    values: list[NDArray[np.float32]] = []
    shifts, at = [], 0
    for a, b in kept:
        values += [np.asarray(one.signal.values[a:b], np.float32), gap]
        shifts.append(at - a)
        at += b - a + len(gap)
    begins, ends = (np.array([k[i] for k in kept]) / fs for i in (0, 1))
    moved = np.array(shifts) / fs

    def place(times: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        times = np.asarray(times, float)
        piece = np.clip(np.searchsorted(begins, times, "right") - 1, 0, None)
        inside = (times >= begins[piece]) & (times <= ends[piece])
        return (times + moved[piece])[inside], inside

    time_s, inside = place(one.time_s)
    return Marks(
        replace(one.signal, values=np.concatenate(values[:-1])), time_s,
        [name for name, here in zip(one.names, inside, strict=True) if here] if len(one.names) else (),
        [
            (max(a, c) + shift, min(b, d) + shift)
            for a, b in one.complete
            for c, d, shift in zip(begins, ends, moved, strict=True)
            if min(b, d) > max(a, c)
        ],
        place(one.rejected_s)[0], place(one.open_s)[0],
    )  # fmt: skip


def _shares(lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((lengths + 1e-9) / (lengths + 1e-9).sum())


def _joined(first: NDArray[np.int64], width: int) -> list[tuple[int, int]]:
    """Return stretches [a, b) of `width` from each of the sorted starts, overlapping ones as one."""
    out: list[tuple[int, int]] = []
    for a in first.tolist():
        if out and a <= out[-1][1]:
            out[-1] = out[-1][0], a + width
        else:
            out.append((a, a + width))
    return out
