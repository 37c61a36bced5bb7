"""Which channels of a recording are searched for events."""

from __future__ import annotations

from napari_biofm.signals.recording import Recording
from napari_biofm.signals.roles import skipped_in_words


def signal_channels(recording: Recording) -> list[int]:
    """Return the channels worth a detector: not commands, triggers, or what is no signal of a cell.

    If nothing is left, the first channel is returned.
    """
    return [role.channel for role in recording.roles if role.name == "signal"] or [0]


def skipped_channels(recording: Recording) -> list[str]:
    """Return one sentence for each channel that `signal_channels` leaves out, or takes without being sure."""
    return [] if recording.is_cells else skipped_in_words(recording, recording.roles)
