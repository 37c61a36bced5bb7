"""The command of sweeps as lines with few corners."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.display.source import NOTHING, Line, extremes
from napari_biofm.signals.recording import Recording

MOST_SAMPLES = 4_000_000  # of commands, read at once
MOST_CORNERS = 20_000


def command_line(recording: Recording, sweep: int, channel: int) -> Line:
    """Return the corners of the command of a sweep, at times in the sweep; nothing where it is unknown."""
    command = recording.stimulus(sweep, channel, MOST_SAMPLES)
    return NOTHING if command is None else corners(command.values, command.sampling_rate)


def command_lines(
    recording: Recording, sweeps: Sequence[int], channel: int, to_axis: Callable[[int, float], float]
) -> Line:
    """Return the commands of several sweeps as one line with NaN between them, as many as are read at once.

    Parameters
    ----------
    to_axis : (sweep, time in the sweep) -> place on the time axis.
    """
    times, values, room = [np.zeros(0)], [np.zeros(0, np.float32)], MOST_SAMPLES
    for sweep in sweeps:
        room -= recording.n_samples(sweep, channel)
        if room <= 0:
            continue
        line, shift = command_line(recording, sweep, channel), to_axis(sweep, 0.0)
        times += [line.times + shift, line.times[-1:] + shift]
        values += [line.values, np.full(len(line.times[-1:]), np.nan, np.float32)]
    return Line(np.concatenate(times), np.concatenate(values))


def commanded_channel(recording: Recording, sweep: int, channels: Sequence[int]) -> tuple[int, str] | None:
    """Return the channel whose command is shown, and the command's unit; None where there is none.

    A command that was recorded on one of `channels` has a plot of its own.
    """
    channel = next((c for c in channels if not recording.channels[c].label), None)
    if channel is None or recording.command_channel(channel) in channels:
        return None
    command = recording.stimulus(sweep, channel, MOST_SAMPLES)
    if command is None or not np.isfinite(command.values[:1000]).any():
        return None
    return channel, command.unit


def corners(values: NDArray[np.float32], sampling_rate: float) -> Line:
    """Return a command with its runs of equal values shortened to their ends: it draws the same."""
    if values.strides == (0,) and len(values) > 2:  # one level, held in a single number
        ends = np.array([values[0], values[-1]], np.float32)
        return Line(np.array([0, len(values) - 1]) / sampling_rate, ends)
    if len(values) < 3:
        return Line(np.arange(len(values)) / sampling_rate, values)
    same = (values[1:-1] == values[:-2]) & (values[1:-1] == values[2:])
    index = np.flatnonzero(np.concatenate([[True], ~same, [True]]))
    return extremes(Line(index / sampling_rate, values[index]), MOST_CORNERS)
