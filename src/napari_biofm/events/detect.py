"""Run a detector over the sweeps and channels of a recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_biofm.events import DEFAULT_DETECTOR, make_detector
from napari_biofm.events.classical.commands import mark_command_steps
from napari_biofm.events.options import option_values
from napari_biofm.events.table import join
from napari_biofm.signals import Recording
from napari_biofm.types import DetectionSettings, Events, Progress, RecordingError, Task, relay

if TYPE_CHECKING:
    from napari_biofm.events.physio_fm.head import AdaptedHead


def detect_events(
    recording: Recording,
    detector: str = DEFAULT_DETECTOR,
    settings: DetectionSettings | None = None,
    channels: Sequence[int] | None = None,
    sweeps: Sequence[int] | None = None,
    *,
    head: AdaptedHead | None = None,
) -> Task[Events]:
    """Find events in a recording, one channel of one sweep after the other.

    Parameters
    ----------
    recording : what to look at; samples are read piece by piece.
    detector : name in `events.DETECTORS`.
    settings : kind, preset and options.
    channels : all signal channels when None (see `signal_channels`).
    sweeps : all when None.
    head : what physio-FM was taught; other detectors cannot be taught.

    Returns
    -------
    Events
        One table; each step yields Progress whose payload is the events found so far in that step.
    """
    settings = settings or DetectionSettings()
    machine: Any = make_detector(detector)
    option_values(machine, settings)
    if head is not None:
        if detector != DEFAULT_DETECTOR:
            raise RecordingError(f"the detector {detector} cannot be taught; use {DEFAULT_DETECTOR}.")
        head.check(machine)
        machine.adapted = head
    chosen = list(signal_channels(recording) if channels is None else channels)
    which = list(range(recording.n_sweeps) if sweeps is None else sweeps)
    total, done, tables = max(1, len(chosen) * len(which)), 0, []
    for sweep in which:
        for channel in chosen:
            where = f"sweep {sweep}, {recording.channels[channel].name}"
            table = yield from relay(
                machine.detect(recording.sweep(sweep, channel), settings), done, total, where
            )
            table = mark_command_steps(table, recording, sweep, channel)
            done += 1
            tables.append(table)
            yield Progress(done, total, f"{where}: {len(table)} events", payload=table)
    return join(tables)


def signal_channels(recording: Recording) -> list[int]:
    """Return the channels worth a detector: not commands, not triggers.

    Command channels are those that another channel names as its recorded command; trigger channels are
    in volts and spend their time on two levels. If nothing is left, the first channel is returned.
    """
    if recording.is_cells:
        return list(range(recording.n_channels))
    commands = {recording.command_channel(c) for c in range(recording.n_channels)}
    chosen = [
        c
        for c in range(recording.n_channels)
        if (c not in commands or c == 0) and not _is_two_level(recording, c)
    ]
    return chosen or [0]


def _is_two_level(recording: Recording, channel: int) -> bool:
    if recording.n_sweeps == 0:
        return False
    n = min(recording.n_samples(0, channel), 200_000)
    values = recording.values(0, channel, 0, n)
    if len(values) < 10 or recording.channels[channel].unit != "V":
        return False
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    step = high - low
    if not step > 0:
        return True
    near = (np.abs(values - low) < 0.1 * step) | (np.abs(values - high) < 0.1 * step)
    return bool(near.mean() > 0.98)
