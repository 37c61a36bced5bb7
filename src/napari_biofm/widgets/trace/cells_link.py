"""Rows of the heatmap, plots of the traces and cells selected elsewhere follow each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_biofm.selection import CellKey, CellSet
from napari_biofm.widgets.trace.plots import MAX_ROWS

if TYPE_CHECKING:
    from napari_biofm.widgets.trace.dock import TraceDock


class CellsLink:
    """Ties the dock's heatmap to its plots, and both to the session's selection.

    Parameters
    ----------
    dock : whose heatmap and plots are tied.
    """

    def __init__(self, dock: TraceDock) -> None:
        self._dock = dock
        dock.heatmap.picked.connect(self._row_picked)
        dock.heatmap.view.sigXRangeChanged.connect(self._follow_heatmap)
        dock.plots.view_changed.connect(self._lead_heatmap)
        dock.listen(dock.session.selection_changed, self._selection_changed)

    def _row_picked(self, channel: int, add: bool) -> None:
        dock = self._dock
        chosen = [c for c in dock.plots.channels if c != channel] if add else []
        dock.show_channels([*chosen, channel][-MAX_ROWS:])
        labels, recording = dock.session.labels, dock.recording
        if labels is not None and recording is not None:
            shown = [recording.channels[c].label for c in dock.plots.channels]
            dock.session.select(CellKey(labels, label) for label in shown if label is not None)

    def _selection_changed(self, cells: CellSet) -> None:
        """Show the traces of the cells that were selected anywhere."""
        dock = self._dock
        recording, uid = dock.recording, dock.uid
        if recording is None or not cells:
            return
        linked = [link.channel for link in dock.session.links if link.recording == uid and link.cell in cells]
        wanted = cells.labels
        own = [i for i, c in enumerate(recording.channels) if c.label in wanted] if recording.is_cells else []
        channels = sorted({*linked, *own})
        if channels and set(channels) != set(dock.plots.channels):
            dock.show_channels(channels)

    def _follow_heatmap(self, _: Any, span: Any) -> None:
        plots, recording = self._dock.plots, self._dock.recording
        if recording is not None and recording.is_cells and plots.rows:
            start, stop = plots.span()
            if abs(start - span[0]) + abs(stop - span[1]) > 1e-6 * (stop - start):
                plots.rows[0].view.setXRange(*span, padding=0)

    def _lead_heatmap(self, start: float, stop: float) -> None:
        heatmap = self._dock.heatmap
        if heatmap.recording is not None:
            heatmap.view.setXRange(start, stop, padding=0)
