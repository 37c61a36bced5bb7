"""What a sweep's command tells of the cell: the epoch that is measured in, and the test pulse."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from napari_biofm.events.classical.ap import millivolts
from napari_biofm.events.features import passive
from napari_biofm.signals import Recording
from napari_biofm.signals.access import recording_access, recording_pulses
from napari_biofm.signals.epochs import STEP, CommandEpoch
from napari_biofm.signals.steps import epoch_of, recording_epochs
from napari_biofm.signals.units import same_quantity, si_unit
from napari_biofm.types import Trace

Row = dict[str, Any]
TEXTS = ("epoch_name", "epoch_kind", "epoch_source", "test_reason")  # columns of words
EPOCH_DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "name": "letter of the epoch of the command that the sweep is measured in; the one that varies across sweeps",
        "kind": "step, ramp, or the train or wave that it is",
        "start_s": "start of the epoch in the sweep",
        "end_s": "end of the epoch in the sweep",
        "level": "commanded level in the epoch, or at the end of a ramp",
        "before": "commanded level before the epoch",
        "source": "where the epochs are from: the protocol's table, the recorded command, or a waveform in the file",
    }
)
TEST_DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "start_s": "start of the test pulse in the sweep",
        "end_s": "end of the test pulse in the sweep",
        "reason": "why a value of the test pulse is missing",
    }
)


def measured_epoch(
    recording: Recording, signal: Trace, epoch: str | None = None
) -> tuple[tuple[float, float] | None, Row]:
    """Return the stretch (s) of the epoch a sweep is measured in, and the columns that the command gives.

    Parameters
    ----------
    recording : where the sweep is from.
    signal : the sweep, without gaps.
    epoch : letter or number; None takes the one that varies across sweeps.

    Returns
    -------
    stretch, or None where the command holds or is unknown (the whole sweep then); columns that begin with `epoch_`,
    `step_` (current clamp) or `test_` (voltage clamp).

    Raises
    ------
    RecordingError
        If the command has no such epoch.
    """
    one = epoch_of(recording, signal.sweep, signal.channel, epoch)
    row = _test_pulse(recording, signal, one if epoch is not None else None)
    if one is None:
        return None, row
    fs = signal.sampling_rate
    row |= {
        "epoch_name": one.letter, "epoch_kind": one.kind,
        "epoch_start_s": one.start / fs, "epoch_end_s": one.stop / fs,
        f"epoch_level_{one.unit}": one.level, f"epoch_before_{one.unit}": one.before,
        "epoch_source": recording_epochs(recording, signal.channel).source,
    }  # fmt: skip
    if not same_quantity(one.unit, signal.unit):
        row |= _current_step(recording, signal, one)
    return (one.start / fs, one.stop / fs), row


def _current_step(recording: Recording, signal: Trace, one: CommandEpoch) -> Row:
    """Return what a step of current tells; nothing for other epochs."""
    base, factor = si_unit(one.unit)
    if base != "A" or si_unit(signal.unit)[0] != "V" or one.kind != STEP:
        return {}
    fs, stop = signal.sampling_rate, min(one.stop, len(signal.values))
    epochs = recording_epochs(recording, signal.channel).sweeps[signal.sweep]
    rest = max((e.start for e in epochs if e.stop <= one.start and e.stop > e.start), default=0)
    volts = np.asarray(signal.values, np.float64) * millivolts(signal.unit)
    step_pa = one.size * factor * 1e12
    values = passive.step_features(volts, fs, one.start, stop, rest)
    values |= passive.current_step(volts, fs, one.start, stop, step_pa, rest)
    return {f"step_{name}": value for name, value in values.items()}


def _test_pulse(recording: Recording, signal: Trace, chosen: CommandEpoch | None) -> Row:
    """Return what the first test pulse of a sweep in voltage clamp tells, or an epoch chosen instead."""
    where = (recording, signal.sweep, signal.channel)
    name = chosen.letter if chosen is not None and chosen.letter else None
    found = recording_access(*where, epoch=name)
    if found is None:
        return {}
    pulse = chosen or recording_pulses(*where)[0]
    fs = signal.sampling_rate
    times: Row = {"start_s": pulse.start / fs, "end_s": pulse.stop / fs, "reason": found.reason}
    return {f"test_{name}": value for name, value in (times | passive.test_pulse(found)).items()}
