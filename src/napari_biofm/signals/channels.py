"""Which channels of a recording hold a signal, and which a command or a trigger."""

from __future__ import annotations

import numpy as np

from napari_biofm.signals.recording import Recording


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
