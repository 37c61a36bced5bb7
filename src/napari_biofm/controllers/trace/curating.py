"""One cell after the other: seen, accepted or rejected, and on to the next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from psygnal import Signal

from napari_biofm.actions import JudgeCells
from napari_biofm.controllers.common.ports import Listen
from napari_biofm.controllers.trace.cells_controller import CellsController
from napari_biofm.controllers.trace.ports import Shown
from napari_biofm.session import Session
from napari_biofm.signals.curation import (
    Verdict,
    accepted_cells,
    file_accepts,
    is_curated,
    verdicts_of,
)
from napari_biofm.types import BiofmError

NO_CELLS = "Open traces of cells, or make them in Traces, to go through them one by one."
WORDS: dict[Verdict, str] = {"accept": "accepted", "reject": "rejected", "": "not judged"}


class Curating:
    """Steps through the cells of the shown recording and takes verdicts on them.

    Parameters
    ----------
    session : which keeps the verdicts, as edits that can be undone.
    shown : which recording is meant.
    cells : draws the trace of a cell and selects it.
    listen : hears the session until the dock is gone.
    """

    looked_at = Signal(str, object, float)  # id of the masks; middle (y, x) and size of the cell, pixels
    said = Signal(str)  # where one stands
    failed = Signal(object)

    def __init__(self, session: Session, *, shown: Shown, cells: CellsController, listen: Listen) -> None:
        self._session, self._shown, self._cells = session, shown, cells
        self._of: str | None = None
        self.channel = -1  # of the cell that is looked at, -1 before the first
        listen(session.recordings_changed, self.tell)

    def judge(self, verdict: Verdict) -> None:
        """Give the cell that is looked at a verdict and go to the next that has none; the first press only looks."""
        recording, uid = self._shown.recording, self._shown.uid
        if recording is None or uid is None or not recording.is_cells:
            self.said.emit(NO_CELLS)
            return
        if not self._stands(uid):
            self.next()
            return
        label = int(recording.labels[self.channel])
        before = verdicts_of(recording).get(label, "")
        if before != verdict:
            try:
                self._session.do(JudgeCells(uid, ((label, before, verdict),), f"{verdict or 'unjudge'} cell"))
            except BiofmError as error:
                self.failed.emit(error)
                return
        self.next()

    def next(self) -> None:
        """Go to the next cell without a verdict; past the last one from the first on."""
        recording = self._shown.recording
        if recording is None or not recording.is_cells:
            self.said.emit(NO_CELLS)
            return
        judged = verdicts_of(recording)
        begin = self.channel + 1 if self._stands(self._shown.uid) else 0
        order = np.roll(np.arange(recording.n_channels), -begin)
        open_ones = [int(c) for c in order if int(recording.labels[c]) not in judged]
        if open_ones:
            self._look(open_ones[0])
        else:
            self.tell()

    def step(self, by: int) -> None:
        """Go to the next (1) or the former (-1) cell, judged or not."""
        recording = self._shown.recording
        if recording is None or not recording.is_cells:
            self.said.emit(NO_CELLS)
            return
        begin = self.channel if self._stands(self._shown.uid) else (-1 if by > 0 else 0)
        self._look((begin + by) % recording.n_channels)

    def undo(self) -> None:
        """Take the last edit back; where that was a verdict, look at its cell again."""
        recording = self._shown.recording
        before = {} if recording is None else verdicts_of(recording)
        self._session.undo()
        recording = self._shown.recording
        after = {} if recording is None else verdicts_of(recording)
        changed = [label for label in before.keys() | after.keys() if before.get(label) != after.get(label)]
        if recording is not None and len(changed) == 1:
            self._look(int(np.flatnonzero(recording.labels == changed[0])[0]))

    def write(self, path: Path) -> None:
        """Write which regions are cells as suite2p's iscell.npy; those not judged stay as the file says."""
        from napari_biofm.analyses.calcium.curation import write_iscell

        recording = self._shown.recording
        if recording is None or not recording.is_cells:
            self.said.emit(NO_CELLS)
            return
        accepted = accepted_cells(recording)
        certain = np.where(np.isin(recording.labels, list(verdicts_of(recording))), 1e6, 1.0)
        try:
            write_iscell(path, accepted, np.where(accepted, certain, 1 / certain))
        except (BiofmError, OSError) as error:
            self.failed.emit(error)
            return
        self.said.emit(f"{path.name}: {int(accepted.sum())} of {len(accepted)} regions are cells.")

    def tell(self, *_: object) -> None:
        """Say where one stands."""
        recording = self._shown.recording
        if recording is None or not recording.is_cells:
            self.said.emit(NO_CELLS)
            return
        judged, accepted = verdicts_of(recording), accepted_cells(recording)
        left = recording.n_channels - len(judged)
        counts = f"{int(accepted.sum())} accepted, {int((~accepted).sum())} rejected, {left} of {len(accepted)} not judged."
        if not self._stands(self._shown.uid):
            known = "The file says which regions are cells. " if is_curated(recording) and not judged else ""
            self.said.emit(f"{known}{counts}")
            return
        label = int(recording.labels[self.channel])
        word = WORDS[judged.get(label, "")]
        file_says = "" if file_accepts(recording)[self.channel] else " (rejected in the file)"
        self.said.emit(f"Cell {label}: {word}{file_says}. {counts}")

    def _stands(self, uid: str | None) -> bool:
        recording = self._shown.recording
        return (
            uid is not None
            and uid == self._of
            and recording is not None
            and 0 <= self.channel < recording.n_channels
        )

    def _look(self, channel: int) -> None:
        recording = self._shown.recording
        assert recording is not None
        self._of, self.channel = self._shown.uid, channel
        self._cells.pick(channel, False)
        masks = recording.measured_on.masks if recording.measured_on is not None else self._session.labels
        if masks is not None and recording.rois is not None:
            inside = np.argwhere(recording.rois == recording.labels[channel])
            if len(inside):
                self.looked_at.emit(masks, inside.mean(axis=0), float(np.ptp(inside, axis=0).max()) + 1)
        self.tell()
