"""All cells at once: one row per cell, brightness is the trace. Click rows to see their lines."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_biofm.signals import Recording
from napari_biofm.signals.curation import is_curated
from napari_biofm.signals.display.cell_heatmap import heat_image, row_order
from napari_biofm.signals.display.colours import Colours
from napari_biofm.types import Task, run_task
from napari_biofm.widgets.common.event_loop import SLICE_S, EventLoopTask
from napari_biofm.widgets.common.forms import choice, row
from napari_biofm.widgets.common.plot_style import colour_axes
from napari_biofm.widgets.common.qt_parts import there
from napari_biofm.widgets.trace.curves import TraceViewBox

ORDERS = {
    "By id": "id", "By time of their peak": "time", "By activity": "activity", "Accepted first": "accepted",
}  # fmt: skip
_AT_ONCE = 4_000_000


class CellHeatmap(QWidget):
    """Heatmap of a recording of cells.

    Parameters
    ----------
    recording : whose channels are cells.
    """

    picked = Signal(int, bool)  # channel, whether it is added to the selection
    ready = Signal()
    view_changed = Signal(float, float)  # seconds in view

    def __init__(self, recording: Recording | None = None, *, colours: Colours | None = None) -> None:
        super().__init__()
        self._colours = colours or Colours()
        self.recording: Recording | None = None
        self.order: NDArray[np.intp] = np.zeros(0, np.intp)
        self._heat: NDArray[np.uint8] | None = None
        self.event_loop_task = EventLoopTask(self, SLICE_S)
        self.view = TraceViewBox(self._colours.accent)
        self.canvas = pg.GraphicsLayoutWidget()
        self.canvas.setBackground(self._colours.background)
        # left and right as the plots below, so that times line up
        self.canvas.ci.layout.setContentsMargins(2, 7, 6, 2)
        self.plot = self.canvas.addPlot(viewBox=self.view)
        self.plot.hideButtons()
        colour_axes(self.plot, self._colours)
        self.plot.getAxis("left").setWidth(58)
        self.plot.setLabel("left", "Cell (row)", color=self._colours.foreground)
        self.plot.getAxis("bottom").setStyle(showValues=False)
        self.view.invertY(True)
        self.view.disableAutoRange()
        self.image = pg.ImageItem(axisOrder="row-major")
        self.image.setLookupTable(pg.colormap.get("inferno").getLookupTable(nPts=256))
        self.plot.addItem(self.image)
        self._marks = pg.ScatterPlotItem(
            pxMode=True, symbol="t2", size=10, brush=self._colours.accent, pen=None
        )
        self.plot.addItem(self._marks)
        self._line = pg.InfiniteLine(pen=pg.mkPen(self._colours.accent, width=1))
        self._line.hide()
        self.plot.addItem(self._line, ignoreBounds=True)
        self._selected: list[int] = []
        self.view.clicked.connect(self._clicked)
        self.view.sigRangeChanged.connect(lambda *_: self._place_marks())
        self.view.sigXRangeChanged.connect(self._view_changed)
        self.order_by = choice(ORDERS, "How rows are ordered.")
        self.order_by.currentTextChanged.connect(lambda text: self.sort(ORDERS[text]))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 0, 0, 0)
        layout.setSpacing(1)
        layout.addLayout(row("Rows", self.order_by, None))
        layout.addWidget(self.canvas)
        self.setMinimumHeight(90)
        self.setToolTip(
            "Every row is a cell. Click to see its trace, Ctrl-click to add it. "
            "Wheel zooms time, Ctrl+wheel rows."
        )
        self.set_recording(recording)

    def sizeHint(self) -> QSize:
        return QSize(900, 180)

    def recolour(self, colours: Colours) -> None:
        """Draw marks and the time line in other colours."""
        self._marks.setBrush(colours.accent)
        self._line.setPen(colours.accent)

    def set_recording(self, recording: Recording | None) -> None:
        """Show the cells of another recording; nothing for one without cells."""
        self.event_loop_task.stop()
        self.recording = recording if recording is not None and recording.is_cells else None
        self.setVisible(self.recording is not None)
        self.image.clear()
        if self.recording is None:
            return
        self.order = np.arange(self.recording.n_channels)
        with QSignalBlocker(self.order_by):
            self.order_by.setCurrentIndex(0)
        accepted = cast("QStandardItemModel", self.order_by.model()).item(
            list(ORDERS).index("Accepted first")
        )
        there(accepted).setEnabled(is_curated(self.recording))
        task = self._keep(heat_image(self.recording))
        if self.recording.n_channels * self.recording.n_samples() <= _AT_ONCE:
            run_task(task)
            self._show()
        else:
            self.event_loop_task.start(task, self._show)

    def _keep(self, task: Task[NDArray[np.uint8]]) -> Task[None]:
        self._heat = None
        self._heat = yield from task

    def sort(self, by: str) -> None:
        """Order rows; see `row_order`."""
        if self._heat is not None and self.recording is not None:
            self.order = row_order(self.recording, self._heat, by)
            self._show(keep=True)

    def select(self, channels: list[int]) -> None:
        """Point at the rows of these cells."""
        self._selected = list(channels)
        self._place_marks()

    def set_time(self, seconds: float) -> None:
        """Put the time line."""
        self._line.setValue(seconds)
        self._line.setVisible(self.recording is not None)

    def follow(self, start: float, stop: float) -> None:
        """Show these seconds because the plots below do."""
        if self.recording is not None:
            self.view.setXRange(start, stop, padding=0)

    def _view_changed(self, _: Any, span: Any) -> None:
        if self.recording is not None:
            self.view_changed.emit(float(span[0]), float(span[1]))

    def row_of(self, channel: int) -> int:
        """Return the row in which a channel is shown."""
        return int(np.flatnonzero(self.order == channel)[0])

    def _show(self, keep: bool = False) -> None:
        if self.recording is None or self._heat is None:
            return
        self.image.setImage(self._heat[self.order], autoLevels=False, levels=(0, 255))
        length = self.recording.duration(0)
        self.image.setRect(0, 0, length, len(self._heat))
        if not keep:
            self.view.setRange(xRange=(0, length), yRange=(0, len(self._heat)), padding=0)
        self._place_marks()
        self.ready.emit()

    def _place_marks(self) -> None:
        if self.recording is None or not len(self.order):
            return
        start = self.view.viewRange()[0][0]
        rows = [self.row_of(c) + 0.5 for c in self._selected if c < len(self.order)]
        self._marks.setData([start] * len(rows), rows)

    def _clicked(self, time_s: float, row: float, event: Any) -> None:
        if self.recording is not None and 0 <= row < len(self.order):
            add = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
            self.picked.emit(int(self.order[int(row)]), add)
