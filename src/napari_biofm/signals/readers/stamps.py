"""Series whose samples carry a time stamp each, brought to the steady clock that a `Recording` has.

Stamps that lie within a quarter of a sample of a steady clock are one: values stay as they are. Where
steady stretches are separated by pauses, each is a sweep, values again as they are. Anything else is
interpolated linearly onto a steady clock at the median interval, NaN where nothing was recorded for more
than two and a half intervals; the recording says so in its comment and its methods paragraph.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.readers.optional import H5Trace, changed, open_hdf5
from napari_biofm.types import RecordingError

STEADY = 0.25  # of an interval: how far a stamp may lie from a steady clock
PAUSE = 2.5  # intervals without a sample that are a pause
MOST_STRETCHES = 2000

Times = NDArray[np.float64]


@dataclass(frozen=True)
class Stretch:
    """Samples [start, stop) that follow each other steadily from `at` (s) on."""

    start: int
    stop: int
    at: float


@dataclass(frozen=True)
class Clock:
    """What time stamps amount to.

    Attributes
    ----------
    rate : Hz, of the steady clock.
    stretches : that are steady; empty where samples must be interpolated.
    said : in words for the user; "" where nothing had to be done.
    """

    rate: float
    stretches: tuple[Stretch, ...]
    said: str = ""


def clock_of(stamps: Times, name: str) -> Clock:
    """Return the steady clock behind time stamps.

    Parameters
    ----------
    stamps : (n,) s.
    name : of the series, for messages.

    Raises
    ------
    RecordingError
        If there are fewer than two stamps, or they do not increase.
    """
    steps = np.diff(stamps)
    if len(steps) == 0 or not np.isfinite(stamps).all() or steps.min() <= 0:
        where = int(np.argmin(steps)) + 1 if len(steps) else 0
        raise RecordingError(
            f"the time stamps of {name} do not increase (sample {where}): sort them in the file first"
        )
    interval = float(np.median(steps))
    cuts = np.flatnonzero(steps > PAUSE * interval) + 1
    edges = [0, *cuts.tolist(), len(stamps)]
    pieces = list(itertools.pairwise(edges))
    if len(pieces) <= MOST_STRETCHES:
        rate = _common_rate(stamps, pieces, interval)
        if all(_is_steady(stamps[a:b], rate) for a, b in pieces):
            said = (
                f"{len(cuts)} pauses between steady stretches: each stretch is a sweep" if len(cuts) else ""
            )
            return Clock(rate, tuple(Stretch(a, b, float(stamps[a])) for a, b in pieces), said)
    said = (
        f"time stamps {1e3 * steps.min():.4g} to {1e3 * steps.max():.4g} ms apart: interpolated linearly "
        f"at {1 / interval:.6g} Hz, gaps where nothing was recorded"
    )
    return Clock(1.0 / interval, (), said)


def _common_rate(stamps: Times, pieces: list[tuple[int, int]], interval: float) -> float:
    """Return the rate at which all stretches together run, a whole number where it is nearly one."""
    time = sum(float(stamps[b - 1] - stamps[a]) for a, b in pieces)
    count = sum(b - a - 1 for a, b in pieces)
    rate = count / time if count and time > 0 else 1.0 / interval
    longest = max(b - a for a, b in pieces)
    return float(round(rate)) if abs(rate - round(rate)) * longest < 0.05 * rate else rate


def _is_steady(stamps: Times, rate: float) -> bool:
    even = np.arange(len(stamps)) / rate
    return bool(np.abs(stamps - stamps[0] - even).max() * rate <= STEADY)


@dataclass(frozen=True)
class Window:
    """Samples [start, stop) of another trace."""

    trace: H5Trace
    start: int
    stop: int

    @property
    def shape(self) -> tuple[int]:
        """(n_samples,)."""
        return (self.stop - self.start,)

    def __getitem__(self, span: slice) -> NDArray[Any]:
        first, last, _ = span.indices(self.stop - self.start)
        return self.trace[self.start + first : self.start + last]


@dataclass(frozen=True)
class Retimed:
    """A trace with uneven time stamps, read as if it had been sampled evenly.

    Attributes
    ----------
    trace : the samples; those around a slice are read when it is asked for.
    path, stamps : file and dataset of the time stamps.
    rate : Hz.
    """

    trace: H5Trace
    path: str
    stamps: str
    rate: float

    @property
    def shape(self) -> tuple[int]:
        """(n_samples,)."""
        times = stamps_of(self.path, self.stamps)
        return (int(np.floor((times[-1] - times[0]) * self.rate + 1e-6)) + 1,)

    def __getitem__(self, span: slice) -> NDArray[np.float64]:
        times = stamps_of(self.path, self.stamps)
        first, last, _ = span.indices(self.shape[0])
        at = times[0] + np.arange(first, last) / self.rate
        if len(at) == 0:
            return np.zeros(0)
        begin = max(int(np.searchsorted(times, at[0], "right")) - 1, 0)
        end = min(int(np.searchsorted(times, at[-1], "left")) + 1, len(times))
        near = times[begin:end]
        values = np.interp(at, near, self.trace[begin:end])
        after = np.clip(np.searchsorted(near, at, "left"), 1, max(len(near) - 1, 1))
        if len(near) > 1:
            inside = (at > near[after - 1]) & (at < near[after])
            values[inside & (near[after] - near[after - 1] > PAUSE / self.rate)] = np.nan
        return values


def stamps_of(path: str, key: str) -> Times:
    """Return the time stamps of a series, in s."""
    return _stamps(path, key, changed(path))


@lru_cache(maxsize=8)
def _stamps(path: str, key: str, stamp: int) -> Times:  # noqa: ARG001 (part of the key of the cache)
    n = _length(path, key)
    return np.asarray(H5Trace(path, key, (n,))[0:n], np.float64)


def _length(path: str, key: str) -> int:
    return int(open_hdf5(Path(path))[key].shape[0])
