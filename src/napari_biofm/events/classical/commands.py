"""Events that the amplifier made: capacitive transients at the steps of a voltage command."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals import Recording
from napari_biofm.signals.units import si_unit
from napari_biofm.types import Events, Trace

_BEFORE_S = 0.5e-3
_AFTER_S = 5e-3
_SYNAPTIC = ("EPSC", "IPSC", "PSC")


def mark_command_steps(events: Events, recording: Recording, sweep: int, channel: int) -> Events:
    """Return the table with synaptic currents at steps of the command called "artefact".

    Events whose peak lies from 0.5 ms before to 5 ms after a step are meant. Nothing changes in current
    clamp, without a command, or for other classes.
    """
    if not np.isin(events["class"], _SYNAPTIC).any() or si_unit(recording.channels[channel].unit)[0] != "A":
        return events
    command = recording.stimulus(sweep, channel)
    if command is None or si_unit(command.unit)[0] != "V":
        return events
    steps = step_times(command)
    if not len(steps):
        return events
    next_one = np.searchsorted(steps, events["time_s"] - _AFTER_S)
    nearest = steps[np.minimum(next_one, len(steps) - 1)]
    late = events["time_s"] - nearest
    hit = (late >= -_BEFORE_S) & (late <= _AFTER_S) & np.isin(events["class"], _SYNAPTIC)
    marked = events.copy()
    marked["class"][hit] = "artefact"
    return marked


def step_times(command: Trace) -> NDArray[np.float64]:
    """Return the times (s) at which a command jumps by 1 mV and ten times its usual change in 0.2 ms."""
    values = np.asarray(command.values, np.float64) * si_unit(command.unit)[1]
    span = max(1, round(0.2e-3 * command.sampling_rate))
    if len(values) <= span or not np.isfinite(values).all():
        return np.zeros(0)
    change = np.abs(values[span:] - values[:-span])
    jumps = np.flatnonzero(change > max(1e-3, 10 * float(np.median(change))))
    if not len(jumps):
        return np.zeros(0)
    first = np.concatenate([[True], np.diff(jumps) > span + 1])
    if first.mean() > 0.9 and len(jumps) > 1000:  # a waveform, not steps
        return np.zeros(0)
    return np.asarray((jumps[first] + span) / command.sampling_rate)
