"""Find the pulses by which a camera told the amplifier that a frame began."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import TimelineError


@dataclass(frozen=True, eq=False)
class TriggerReport:
    """What was found in a trigger channel.

    Attributes
    ----------
    times : (n,) seconds of rising edges after repair.
    missing : number of pulses put in where a gap was a multiple of the period.
    doubled : number of pulses dropped because they followed within half a period.
    period : median interval, seconds.
    """

    times: NDArray[np.float64]
    missing: int
    doubled: int
    period: float


def find_triggers(values: NDArray[np.floating], sampling_rate: float) -> TriggerReport:
    """Detect frame pulses and repair missing and double ones.

    The threshold lies half way between the two levels of the channel (2nd and 99.9th percentile, so
    that pulses of 0.2 % duty are still seen), with hysteresis of a tenth of the step.

    Parameters
    ----------
    values : (n_samples,) trigger channel, any unit.
    sampling_rate : Hz.

    Raises
    ------
    TimelineError
        If the channel is flat, noisy without two levels, or holds fewer than two pulses.
    """
    trace = np.nan_to_num(np.asarray(values, np.float64))
    if len(trace) < 3:
        raise TimelineError(
            f"The trigger channel holds {len(trace)} samples; at least two pulses are needed."
        )
    low, high = np.percentile(trace, 2), float(trace.max())
    step = high - low
    noise = np.median(np.abs(trace - np.median(trace))) * 1.4826
    if step <= max(8 * noise, 1e-12):
        raise TimelineError(
            "No pulses found: the trigger channel stays on one level. Choose another channel."
        )
    edges = _rising_edges(trace, low + 0.4 * step, low + 0.6 * step)
    if len(edges) < 2:
        raise TimelineError(f"Only {len(edges)} pulse found in the trigger channel; at least two are needed.")
    times = edges / sampling_rate
    period = float(np.median(np.diff(times)))
    keep = np.concatenate([[True], np.diff(times) > 0.5 * period])
    times, doubled = times[keep], int((~keep).sum())
    period = float(np.median(np.diff(times))) if len(times) > 1 else period
    gaps = np.round(np.diff(times) / period).astype(int)
    filled = [times[:1]]
    for start, stop, gap in zip(times[:-1], times[1:], gaps, strict=True):
        filled.append(np.linspace(start, stop, max(int(gap), 1) + 1)[1:])
    missing = int(np.maximum(gaps - 1, 0).sum())
    return TriggerReport(np.concatenate(filled), missing, doubled, period)


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
