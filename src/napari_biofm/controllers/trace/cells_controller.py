"""Rows of the heatmap, plots of the traces and cells selected elsewhere follow each other."""

from __future__ import annotations

from psygnal import Signal

from napari_biofm.controllers.common.ports import Listen
from napari_biofm.controllers.trace.ports import Shown
from napari_biofm.selection import CellKey, CellSet
from napari_biofm.session import Session
from napari_biofm.signals import Recording
from napari_biofm.signals.display import TraceLines
from napari_biofm.signals.display.layout import MAX_CHANNELS


class CellsController:
    """Ties the drawn channels to the session's selection of cells.

    Parameters
    ----------
    session : whose selection is followed and set.
    shown : which recording is meant.
    lines : which channels are drawn.
    listen : hears the session until the dock is gone.
    """

    channels_chosen = Signal(list)

    def __init__(self, session: Session, *, shown: Shown, lines: TraceLines, listen: Listen) -> None:
        self._session, self._shown, self._lines = session, shown, lines
        listen(session.selection_changed, self._selection_changed)

    def pick(self, channel: int, add: bool) -> None:
        """Show the trace of a cell, alone or added to those that are drawn, and select these cells."""
        others = [c for c in self._lines.channels if c != channel] if add else []
        channels = [*others, channel][-MAX_CHANNELS:]
        self.channels_chosen.emit(channels)
        recording = self._shown.recording
        layer = self._masks_of(recording)
        if layer is not None and recording is not None:
            labels = [recording.channels[c].label for c in channels]
            self._session.select(CellKey(layer, label) for label in labels if label is not None)

    def _masks_of(self, recording: Recording | None) -> str | None:
        """Return the labels layer whose cells a recording's channels are: the one it knows, else the one in play."""
        if recording is not None and recording.measured_on is not None:
            return recording.measured_on.masks
        return self._session.labels

    def _selection_changed(self, cells: CellSet) -> None:
        """Show the traces of the cells that were selected anywhere."""
        recording, uid = self._shown.recording, self._shown.uid
        if recording is None or not cells:
            return
        linked = [a.channel for a in self._session.links if a.recording == uid and a.cell in cells]
        layer = recording.measured_on.masks if recording.measured_on is not None else None
        wanted = cells.labels if layer is None else set(cells.labels_of(layer).tolist())
        own = [i for i, c in enumerate(recording.channels) if c.label in wanted] if recording.is_cells else []
        channels = sorted({*linked, *own})
        if channels and set(channels) != set(self._lines.channels):
            self.channels_chosen.emit(channels)
