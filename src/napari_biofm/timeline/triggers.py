"""Find the pulses by which a camera told the amplifier that a frame began; nothing is repaired here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import TimelineError

if TYPE_CHECKING:
    from napari_biofm.signals import Recording

Edge = Literal["auto", "rising", "falling"]

PIECE = 1 << 18  # samples that are looked at together: an hour at 20 kHz is never whole in memory
SAMPLED = 4_000_000  # samples that the two levels are taken from, at most
NOISE = 1 << 14  # samples of each piece that the noise is taken from
RARE = 0.02  # of the samples between them and the other level: fewer than that are a glitch, not a level
IDLE = 1.5  # periods: a level that lasts longer is the one between pulses


@dataclass(frozen=True, eq=False)
class Pulses:
    """Pulses of a trigger channel as they were recorded.

    Attributes
    ----------
    times : (n,) float64 seconds at which each pulse began, over all sweeps.
    widths : (n,) float64 seconds each pulse lasted; NaN where the recording ended before.
    sweeps : (n,) int sweep each pulse is in, counted from 0.
    starts, stops : (n_sweeps,) float64 seconds between which the channel was recorded.
    open_at_start : (n_sweeps,) bool, whether a pulse was under way at the first sample of the sweep,
        so that its beginning was not recorded.
    edge : which edge begins a pulse, "rising" or "falling".
    edge_is_clear : whether the level between pulses was seen (or the edge was given).
    """

    times: NDArray[np.float64]
    widths: NDArray[np.float64]
    sweeps: NDArray[np.int64]
    starts: NDArray[np.float64]
    stops: NDArray[np.float64]
    open_at_start: NDArray[np.bool_]
    edge: str = "rising"
    edge_is_clear: bool = True

    @classmethod
    def at(cls, times: NDArray[np.float64] | Sequence[float]) -> Pulses:
        """Return pulses known by their times (s) alone, in one sweep that holds them all.

        Raises
        ------
        TimelineError
            If time runs back.
        """
        seconds = np.asarray(times, np.float64)
        backwards = np.flatnonzero(np.diff(seconds) <= 0)
        if len(backwards):
            i = int(backwards[0])
            raise TimelineError(
                f"Time runs back: pulse {i + 1} at {seconds[i + 1]:.6g} s follows {seconds[i]:.6g} s."
            )
        ends = (seconds[0], seconds[-1]) if len(seconds) else (0.0, 0.0)
        return cls(
            seconds,
            np.full(len(seconds), np.nan),
            np.zeros(len(seconds), np.int64),
            np.array([ends[0]]),
            np.array([ends[1]]),
            np.zeros(1, bool),
        )

    @property
    def period(self) -> float:
        """Interval in which the middle of the time between pulses lies, seconds; NaN below two pulses."""
        return time_weighted_median(np.diff(self.times))

    def describe(self) -> str:
        """Return what was recorded, in one sentence."""
        if len(self.times) < 2:
            return f"{len(self.times)} pulses."
        return (
            f"{len(self.times)} pulses from {self.times[0]:.4f} to {self.times[-1]:.4f} s, one every "
            f"{1e3 * self.period:.4g} ms ({1 / self.period:.4g} Hz), {self.edge} edge."
        )


def time_weighted_median(intervals: NDArray[np.float64]) -> float:
    """Return the interval in which the middle of the total time lies: short doubles weigh little there.

    A pause longer than all the rest together is not counted.
    """
    ordered = np.sort(intervals)
    while len(ordered) > 2 and ordered[-1] > 0.5 * ordered.sum():
        ordered = ordered[:-1]
    if len(ordered) == 0:
        return float("nan")
    total = np.cumsum(ordered)
    return float(ordered[np.searchsorted(total, 0.5 * total[-1])])


class Sweep(Protocol):
    """Samples of one sweep that can be read in pieces."""

    def __len__(self) -> int: ...

    def read(self, start: int, stop: int) -> NDArray[np.floating]:
        """Return samples [start, stop)."""
        ...


@dataclass(frozen=True)
class _ArraySweep:
    values: NDArray[np.floating]

    def __len__(self) -> int:
        return len(self.values)

    def read(self, start: int, stop: int) -> NDArray[np.floating]:
        return self.values[start:stop]


@dataclass(frozen=True)
class _ChannelSweep:
    recording: Recording
    sweep: int
    channel: int

    def __len__(self) -> int:
        return self.recording.n_samples(self.sweep, self.channel)

    def read(self, start: int, stop: int) -> NDArray[np.floating]:
        return self.recording.values(self.sweep, self.channel, start, stop)


def find_triggers(
    values: NDArray[np.floating] | Sequence[NDArray[np.floating]],
    sampling_rate: float,
    sweep_starts: Sequence[float] | NDArray[np.float64] | None = None,
    edge: Edge = "auto",
) -> Pulses:
    """Detect the pulses of a trigger channel.

    A pulse goes from one level of the channel to the other, past 60 % of the step after having been
    below 40 %; its time is interpolated between samples. The level that lasts longer than a period and
    a half anywhere is the one between pulses; a pulse begins where the channel leaves it. Where no such
    stretch was recorded, the rising edge is taken.

    Parameters
    ----------
    values : (n_samples,) trigger channel, any unit, or one such array per sweep.
    sampling_rate : Hz.
    sweep_starts : start of each sweep, seconds; 0 for a single array.
    edge : "rising" or "falling" where it is known which edge begins a frame.

    Raises
    ------
    TimelineError
        If the channel is flat, noisy without two levels, or holds fewer than two pulses.
    """
    arrays = [values] if isinstance(values, np.ndarray) and values.ndim == 1 else list(values)
    starts = np.zeros(len(arrays)) if sweep_starts is None else np.asarray(sweep_starts, float)
    return _find([_ArraySweep(np.asarray(one)) for one in arrays], sampling_rate, starts, edge)


def triggers_of(recording: Recording, channel: int, edge: Edge = "auto") -> Pulses:
    """Detect the pulses of a channel of a recording over all its sweeps, reading it piece by piece.

    Parameters
    ----------
    recording : that holds the trigger channel.
    channel : counted from 0.
    edge : see `find_triggers`.

    Raises
    ------
    TimelineError
        As `find_triggers`.
    """
    sweeps = [_ChannelSweep(recording, sweep, channel) for sweep in range(recording.n_sweeps)]
    return _find(sweeps, recording.channels[channel].sampling_rate, recording.sweep_starts, edge)


def _find(sweeps: Sequence[Sweep], sampling_rate: float, starts: NDArray[np.float64], edge: Edge) -> Pulses:
    n = sum(len(sweep) for sweep in sweeps)
    if n < 3:
        raise TimelineError(f"The trigger channel holds {n} samples; at least two pulses are needed.")
    low, high = _levels(sweeps)
    changes = [_Changes.of(sweep, low + 0.4 * (high - low), low + 0.6 * (high - low)) for sweep in sweeps]
    if edge == "auto":
        active, clear = _active_level(changes, [len(sweep) for sweep in sweeps])
    else:
        active, clear = (1 if edge == "rising" else -1), True
    lengths = np.array([len(sweep) for sweep in sweeps]) / sampling_rate
    begins = [change.samples[change.states == active] for change in changes]
    widths = [change.widths(active) / sampling_rate for change in changes]
    times = [start + begin / sampling_rate for start, begin in zip(starts, begins, strict=True)]
    pulses = Pulses(
        np.concatenate(times),
        np.concatenate(widths),
        np.repeat(np.arange(len(sweeps)), [len(one) for one in begins]),
        np.asarray(starts, float),
        np.asarray(starts, float) + lengths,
        np.array([change.first == active for change in changes]),
        "rising" if active == 1 else "falling",
        clear,
    )
    if len(pulses.times) < 2:
        raise TimelineError(
            f"Only {len(pulses.times)} pulse found in the trigger channel; at least two are needed. "
            "Choose another channel or type a frame rate."
        )
    backwards = np.flatnonzero(np.diff(pulses.times) <= 0)
    if len(backwards):
        i = int(backwards[0])
        raise TimelineError(
            f"Time runs back: pulse {i + 1} at {pulses.times[i + 1]:.6g} s follows {pulses.times[i]:.6g} s."
        )
    return pulses


@dataclass(frozen=True, eq=False)
class _Changes:
    """Where a sweep goes to the upper (1) or the lower (-1) level: fractional samples, and its first level."""

    samples: NDArray[np.float64]
    states: NDArray[np.int8]
    first: int
    n: int

    @classmethod
    def of(cls, sweep: Sweep, low: float, high: float) -> _Changes:
        samples: list[NDArray[np.float64]] = []
        states: list[NDArray[np.int8]] = []
        state, first = 0, 0
        last: NDArray[np.floating] = np.zeros(0)
        for start, piece in _pieces(sweep):
            level = (piece > high).view(np.int8) - (piece < low).view(np.int8)
            moved = np.flatnonzero(level[1:] != level[:-1]) + 1
            moved = np.concatenate([[0], moved]) if len(level) else moved
            moved = moved[level[moved] != 0]
            seen = level[moved]
            new = np.concatenate([[state], seen[:-1]]) != seen if len(seen) else np.zeros(0, bool)
            moved, seen = moved[new], seen[new]
            if len(seen) and first == 0:
                first = int(seen[0])
                moved, seen, state = moved[1:], seen[1:], first
            if len(seen):
                samples.append(start + _crossing(piece, last, moved, seen, low, high))
                states.append(seen)
                state = int(seen[-1])
            last = piece[-1:]
        if not samples:
            return cls(np.zeros(0), np.zeros(0, np.int8), first, len(sweep))
        return cls(np.concatenate(samples), np.concatenate(states), first, len(sweep))

    def widths(self, active: int) -> NDArray[np.float64]:
        """Return samples from each change to `active` to the next change, NaN for one that is not over."""
        ends = np.append(self.samples[1:], np.nan)
        return np.asarray((ends - self.samples)[self.states == active])

    def longest(self, level: int) -> float:
        """Return the longest stretch of a level, samples."""
        edges = np.concatenate([[0.0], self.samples, [float(self.n)]])
        levels = np.concatenate([[self.first], self.states])
        return float(np.max(np.diff(edges)[levels == level], initial=0.0))


def _crossing(
    piece: NDArray[np.floating],
    last: NDArray[np.floating],
    at: NDArray[np.int64],
    to: NDArray[np.int8],
    low: float,
    high: float,
) -> NDArray[np.float64]:
    """Return where the line between the samples before and at `at` crosses the threshold of its direction."""
    after = piece[at].astype(np.float64)
    before = np.where(at > 0, piece[np.maximum(at - 1, 0)], last[0] if len(last) else after)
    threshold = np.where(to > 0, high, low)
    slope = np.where(after == before, 1.0, after - before)
    return np.asarray(at - 1 + np.clip((threshold - before) / slope, 0.0, 1.0))


def _pieces(sweep: Sweep) -> Iterator[tuple[int, NDArray[np.floating]]]:
    n = len(sweep)
    for start in range(0, n, PIECE):
        piece = sweep.read(start, min(start + PIECE, n))
        if np.isnan(piece.sum()):
            piece = np.nan_to_num(piece)
        yield start, piece


def _levels(sweeps: Sequence[Sweep]) -> tuple[float, float]:
    """Return the lower and the upper level of the channel, glitches beyond them left out."""
    n = sum(len(sweep) for sweep in sweeps)
    step = max(1, n // SAMPLED)
    lowest, highest, noise = np.inf, -np.inf, []
    taken = []
    for sweep in sweeps:
        for _, piece in _pieces(sweep):
            lowest, highest = min(lowest, float(piece.min())), max(highest, float(piece.max()))
            taken.append(np.array(piece[::step], np.float32))
            noise.append(float(np.median(np.abs(np.diff(piece[:NOISE])))) if len(piece) > 1 else 0.0)
    values = np.sort(np.concatenate(taken))
    least = max(15 * float(np.median(noise)) / 0.954, 1e-12)  # .954: median difference of white noise, SD
    if highest - lowest > least:
        lowest, highest = _without_glitches(values, lowest, highest, least)
    if highest - lowest <= least:
        raise TimelineError(
            "No pulses found: the trigger channel stays on one level. Choose another channel."
        )
    return lowest, highest


def _without_glitches(
    values: NDArray[np.float32], low: float, high: float, least: float
) -> tuple[float, float]:
    """Leave out the upper or the lower level while hardly a sample lies there and the rest has two levels.

    `values` are sorted; the levels stay `least` apart.
    """
    first, last = 0, len(values)
    for _ in range(6):
        below = first + int(np.searchsorted(values[first:last], (low + high) / 2))
        if RARE * _smaller_group(values[first:below], least) > last - below:
            last = below
        elif RARE * _smaller_group(values[below:last], least) > below - first:
            first = below
        else:
            break
        low, high = float(values[first]), float(values[last - 1])
    return low, high


def _smaller_group(values: NDArray[np.float32], least: float) -> int:
    """Return how many sorted values lie on the rarer side of the middle, 0 where they are one level."""
    if len(values) < 2 or values[-1] - values[0] <= least:
        return 0
    below = int(np.searchsorted(values, (values[0] + values[-1]) / 2))
    return min(below, len(values) - below)


def _active_level(changes: Sequence[_Changes], lengths: Sequence[int]) -> tuple[int, bool]:
    """Return the level of a pulse, 1 or -1, and whether the level between pulses was seen."""
    rises = [change.samples[change.states == 1] for change in changes]
    intervals = np.concatenate([np.diff(one) for one in rises])
    period = time_weighted_median(intervals) if len(intervals) else float(max(lengths))
    upper = max((change.longest(1) for change in changes), default=0.0)
    lower = max((change.longest(-1) for change in changes), default=0.0)
    if upper > IDLE * period and upper > lower:
        return -1, True
    return 1, lower > IDLE * period
