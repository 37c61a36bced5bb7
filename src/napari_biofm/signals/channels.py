"""Which channels of a recording are searched for events."""

from __future__ import annotations

from napari_biofm.signals.curation import choose_cells, some_cells
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.roles import skipped_in_words


def signal_channels(recording: Recording, rejected: bool = False) -> list[int]:
    """Return the channels worth a detector: not commands, triggers, or what is no signal of a cell.

    If nothing is left, the first channel is returned.

    Parameters
    ----------
    recording : with its channels.
    rejected : whether rejected cells of a recording of cells are taken, too.

    Raises
    ------
    RecordingError
        If all cells of a recording of cells are rejected.
    """
    if recording.is_cells:
        return [int(c) for c in some_cells(recording, rejected).channels]
    return [role.channel for role in recording.roles if role.name == "signal"] or [0]


def skipped_channels(recording: Recording, rejected: bool = False) -> list[str]:
    """Return what `signal_channels` leaves out, or takes without being sure, a sentence for each channel.

    Parameters
    ----------
    recording, rejected : as in `signal_channels`. Of cells one sentence says how many are rejected.
    """
    if not recording.is_cells:
        return skipped_in_words(recording, recording.roles)
    said = choose_cells(recording, rejected).said
    return [said] if said else []
