"""Which regions of a recording of cells are cells: what its file says, and what a person said of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.recording import Recording
from napari_biofm.types import RecordingError

Verdict = Literal["accept", "reject", ""]
VERDICTS: tuple[Verdict, ...] = ("accept", "reject", "")
JUDGED = "judged_cells"  # in the metadata of a recording: verdicts by the label of the cell, as text
ACCEPTED = "accepted"  # in the metadata: labels that the file calls cells


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
