"""Which regions of a recording of cells are cells: what its file says, and what a person said of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.recording import Recording
from napari_biofm.signals.samples import PickedSamples
from napari_biofm.types import Events, RecordingError

Verdict = Literal["accept", "reject", ""]
VERDICTS: tuple[Verdict, ...] = ("accept", "reject", "")
JUDGED = "judged_cells"  # in the metadata of a recording: verdicts by the label of the cell, as text
ACCEPTED = "accepted"  # in the metadata: labels that the file calls cells
CURATION = (ACCEPTED, JUDGED)


def verdicts_of(recording: Recording) -> dict[int, Verdict]:
    """Return what a person said of cells, by label; others are not judged."""
    return {int(label): verdict for label, verdict in recording.metadata.get(JUDGED, {}).items()}


def with_verdicts(recording: Recording, verdicts: Mapping[int, Verdict]) -> Recording:
    """Return the recording with other verdicts for some cells.

    Parameters
    ----------
    verdicts : "accept" or "reject" by label; "" takes a verdict away.

    Raises
    ------
    RecordingError
        For another word, or a label that is no cell of the recording.
    """
    known = set(recording.labels.tolist()) if recording.is_cells else set()
    for label, verdict in verdicts.items():
        if verdict not in VERDICTS:
            raise RecordingError(f"'{verdict}' is no verdict on a cell; say accept or reject")
        if label not in known:
            raise RecordingError(f"{recording.name} has no cell {label}")
    merged = {**verdicts_of(recording), **verdicts}
    metadata = {key: value for key, value in recording.metadata.items() if key != JUDGED}
    kept = {str(label): verdict for label, verdict in sorted(merged.items()) if verdict}
    if kept:
        metadata[JUDGED] = kept
    return dataclasses.replace(recording, metadata=metadata)


def file_accepts(recording: Recording) -> NDArray[np.bool_]:
    """Return which cells (n,) the file of results calls cells: suite2p's iscell, CaImAn's components; all where it says nothing."""
    said = recording.metadata.get(ACCEPTED)
    if said is None:
        return np.ones(recording.n_channels, bool)
    return np.isin(recording.labels, np.asarray(said, np.int64))


def accepted_cells(recording: Recording) -> NDArray[np.bool_]:
    """Return which channels (n,) are cells: as a person said, else as the file of results says, else all."""
    accepted = file_accepts(recording)
    for label, verdict in verdicts_of(recording).items():
        accepted[recording.labels == label] = verdict == "accept"
    return accepted


def is_curated(recording: Recording) -> bool:
    """Return whether file or person said anything about which regions are cells."""
    return ACCEPTED in recording.metadata or JUDGED in recording.metadata


@dataclass(frozen=True, eq=False)
class ChosenCells:
    """The cells of a recording that count.

    Attributes
    ----------
    recording : the recording without the others.
    channels : (n,) their channels in the recording they were chosen from.
    n_cells : cells before any was left out.
    n_rejected : cells that are rejected.
    included : whether those are among the chosen ones.
    """

    recording: Recording
    channels: NDArray[np.intp]
    n_cells: int
    n_rejected: int
    included: bool

    @property
    def said(self) -> str:
        """How many rejected cells were left out or are included, in words; "" where none is rejected."""
        return said_of_rejected(self.n_rejected, self.n_cells, self.included)

    def events(self, events: Events) -> Events:
        """Return the events of the chosen cells; their channels are those of the recording without the others."""
        place = np.full(self.n_cells, -1, np.int64)
        place[self.channels] = np.arange(len(self.channels))
        known = events[(events["channel"] >= 0) & (events["channel"] < self.n_cells)]
        found = known[place[known["channel"]] >= 0].copy()
        found["channel"] = place[found["channel"]]
        return found


def choose_cells(recording: Recording, rejected: bool = False) -> ChosenCells:
    """Leave out the rejected cells of a recording of cells; other recordings stay as they are.

    Parameters
    ----------
    recording : of cells, or any other.
    rejected : whether rejected cells are kept.
    """
    accepted = accepted_cells(recording) if recording.is_cells else np.ones(recording.n_channels, bool)
    n_rejected = int((~accepted).sum())
    if rejected or not n_rejected:
        channels = np.arange(recording.n_channels)
        return ChosenCells(recording, channels, recording.n_channels, n_rejected, included=True)
    channels = np.flatnonzero(accepted)
    picked = tuple(channels.tolist())
    chosen = dataclasses.replace(
        recording,
        channels=tuple(recording.channels[c] for c in picked),
        samples=PickedSamples(recording.samples, picked),
    )
    return ChosenCells(chosen, channels, recording.n_channels, n_rejected, included=False)


def some_cells(recording: Recording, rejected: bool = False) -> ChosenCells:
    """Leave out the rejected cells as `choose_cells` does, and raise where none is left.

    Parameters
    ----------
    recording, rejected : as in `choose_cells`.

    Raises
    ------
    RecordingError
        If all cells are rejected.
    """
    chosen = choose_cells(recording, rejected)
    if not len(chosen.channels):
        raise RecordingError(
            f"all {chosen.n_cells} cells of {recording.name} are rejected: accept some, or include the rejected ones "
            "(--rejected)"
        )
    return chosen


def rejected_labels(recording: Recording) -> NDArray[np.int64]:
    """Return the labels (n,) of the cells of a recording that are rejected; none of other recordings."""
    if not recording.is_cells:
        return np.zeros(0, np.int64)
    return recording.labels[~accepted_cells(recording)]


def said_of_rejected(n_rejected: int, n_cells: int, included: bool) -> str:
    """Return in words what became of rejected cells; "" where none is rejected.

    Parameters
    ----------
    n_rejected, n_cells : of all cells how many are rejected.
    included : whether they count.
    """
    if not n_rejected:
        return ""
    is_are = "is" if n_rejected == 1 else "are"
    return f"{n_rejected} of {n_cells} cells {is_are} rejected and " + (
        "included" if included else "left out"
    )
