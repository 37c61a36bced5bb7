"""Find the pulses by which a camera told the amplifier that a frame began, and mend their sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import TimelineError

DOUBLE = 0.4  # of the period: a pulse that follows sooner is a double
REGULAR = 0.2  # of the period: how far from a whole number of periods an interval may be
LONGEST_GAP = 50  # periods; a longer gap is a pause of the camera, not a row of lost pulses


@dataclass(frozen=True, eq=False)
class TriggerReport:
    """What was found in a trigger channel.

    Attributes
    ----------
    times : (n,) seconds of rising edges after repair.
    missing : number of pulses put in where a gap was a multiple of the period.
    doubled : number of pulses dropped because they followed at once.
    period : median interval, seconds.
    pauses : number of gaps that were no small multiple of the period; nothing was put in there.
    """

    times: NDArray[np.float64]
    missing: int
    doubled: int
    period: float
    pauses: int = 0

    def in_words(self) -> list[str]:
        """Return what was found and repaired, one sentence each."""
        words = [
            f"{len(self.times)} pulses, one every {1e3 * self.period:.4g} ms ({1 / self.period:.4g} Hz)."
        ]
        if self.missing:
            words.append(f"{_pulses(self.missing)} missing: put in where a gap was a multiple of the period.")
        if self.doubled:
            words.append(f"{_pulses(self.doubled)} too many: dropped, they followed at once.")
        if self.pauses:
            words.append(f"The camera paused {self.pauses} times; no frames were put into the pauses.")
        return words


def find_triggers(
    values: NDArray[np.floating] | Sequence[NDArray[np.floating]],
    sampling_rate: float,
    sweep_starts: Sequence[float] | NDArray[np.float64] | None = None,
) -> TriggerReport:
    """Detect frame pulses and repair missing and double ones.

    A pulse is a rise from one level of the channel to the other, past 60 % of the step after having
    been below 40 %; its time is interpolated between samples.

    Parameters
    ----------
    values : (n_samples,) trigger channel, any unit, or one such array per sweep.
    sampling_rate : Hz.
    sweep_starts : start of each sweep, seconds; 0 for a single array.

    Raises
    ------
    TimelineError
        If the channel is flat, noisy without two levels, holds fewer than two pulses, or its pulses
        are not regular.
    """
    sweeps = [values] if isinstance(values, np.ndarray) and values.ndim == 1 else list(values)
    starts = np.zeros(len(sweeps)) if sweep_starts is None else np.asarray(sweep_starts, float)
    traces = [np.nan_to_num(np.asarray(sweep, np.float64)) for sweep in sweeps]
    if sum(len(trace) for trace in traces) < 3:
        n = sum(len(trace) for trace in traces)
        raise TimelineError(f"The trigger channel holds {n} samples; at least two pulses are needed.")
    step = _step(traces)
    problem, most = TimelineError("No pulses found in the trigger channel."), -1
    for low, high in (step, _two_means(traces)):  # the second where a glitch stands above the pulses
        edges = [_rising_edges(trace, low + 0.4 * (high - low), low + 0.6 * (high - low)) for trace in traces]
        times = [start + edge / sampling_rate for start, edge in zip(starts, edges, strict=True)]
        found = np.concatenate(times)
        try:
            return mend(found)
        except TimelineError as error:
            if len(found) > most:
                problem, most = error, len(found)
    raise problem


def mend(times: NDArray[np.float64]) -> TriggerReport:
    """Drop double pulses and put in missing ones.

    Parameters
    ----------
    times : (n,) seconds of pulses as detected.

    Raises
    ------
    TimelineError
        If time runs back, or the intervals are not those of a camera.
    """
    times = np.asarray(times, np.float64)
    if len(times) < 2:
        raise TimelineError(
            f"Only {len(times)} pulse found in the trigger channel; at least two are needed. "
            "Choose another channel or type a frame rate."
        )
    backwards = np.flatnonzero(np.diff(times) <= 0)
    if len(backwards):
        i = int(backwards[0])
        raise TimelineError(
            f"Time runs back: pulse {i + 1} at {times[i + 1]:.6g} s follows {times[i]:.6g} s."
        )
    times, doubled = _without_doubles(times, DOUBLE * _first_period(np.diff(times)))
    if len(times) < 2:
        raise TimelineError("Only one pulse is left after dropping doubles; at least two are needed.")
    intervals = np.diff(times)
    period = float(np.median(intervals))
    multiples = np.maximum(np.round(intervals / period), 1)
    regular = (np.abs(intervals / period - multiples) < REGULAR) & (multiples <= LONGEST_GAP)
    if regular.mean() < 0.7:
        raise TimelineError(
            f"The pulses are not regular: intervals from {intervals.min():.4g} to {intervals.max():.4g} s. "
            "This is not a frame-trigger channel; choose another one or type a frame rate."
        )
    multiples[~regular] = 1
    filled = [times[:1]]
    for start, stop, gap in zip(times[:-1], times[1:], multiples.astype(int), strict=True):
        filled.append(np.linspace(start, stop, gap + 1)[1:])
    pauses = int((~regular & (intervals > period)).sum())
    return TriggerReport(np.concatenate(filled), int((multiples - 1).sum()), doubled, period, pauses)


def _first_period(intervals: NDArray[np.float64]) -> float:
    """Return the interval in which the middle of the time lies: short doubles weigh little there."""
    ordered = np.sort(intervals)
    total = np.cumsum(ordered)
    return float(ordered[np.searchsorted(total, 0.5 * total[-1])])


def _without_doubles(times: NDArray[np.float64], closest: float) -> tuple[NDArray[np.float64], int]:
    """Keep a pulse only if it follows the last kept one by more than `closest` seconds."""
    if np.all(np.diff(times) > closest):
        return times, 0
    kept = [times[0]]
    for time in times[1:]:
        if time - kept[-1] > closest:
            kept.append(time)
    return np.array(kept), len(times) - len(kept)


def _step(traces: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """Return the lowest and highest value, or raise where they are no two levels."""
    low = min(float(trace.min()) for trace in traces if len(trace))
    high = max(float(trace.max()) for trace in traces if len(trace))
    steps = [np.abs(np.diff(trace)) for trace in traces if len(trace) > 1]
    noise = float(np.median(np.concatenate(steps))) / 0.954 if steps else 0.0  # of white noise, SD
    if high - low <= max(15 * noise, 1e-12):
        raise TimelineError(
            "No pulses found: the trigger channel stays on one level. Choose another channel."
        )
    return low, high


def _two_means(traces: Sequence[NDArray[np.float64]], rounds: int = 12) -> tuple[float, float]:
    """Return the means of the two groups into which the samples fall, from their overall mean on."""
    values = np.concatenate(traces)
    threshold, low, high = float(values.mean()), 0.0, 0.0
    for _ in range(rounds):
        above = values > threshold
        if above.all() or not above.any():
            break
        low, high = float(values[~above].mean()), float(values[above].mean())
        threshold = (low + high) / 2
    return low, high


def _rising_edges(trace: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Return fractional sample indices where the trace rises through `high` after having been below `low`.

    A pulse that was already high at the first sample has no visible start and is left out.
    """
    state = np.zeros(len(trace), np.int8)
    state[trace > high] = 1
    state[trace < low] = -1
    index = np.flatnonzero(state)
    if len(index) == 0:
        return np.zeros(0)
    signs = state[index]
    rises = np.flatnonzero((signs[1:] == 1) & (signs[:-1] == -1)) + 1
    above = index[rises]
    before, after = trace[above - 1], trace[above]
    return np.asarray(above - 1 + (high - before) / np.where(after > before, after - before, 1.0))


def _pulses(n: int) -> str:
    return "1 pulse was" if n == 1 else f"{n} pulses were"
