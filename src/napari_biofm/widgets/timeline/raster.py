"""Raster of all cells over time with the population's rate, sharing time and selection with the image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSizePolicy

from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.session import CellKey, Pointed
from napari_biofm.signals.display.colours import Colours
from napari_biofm.timeline.maps import BY_CLASS, ROW_ORDERS, classes_of_cells, raster, row_order
from napari_biofm.widgets.timeline.behaviour_track import BehaviourTrack
from napari_biofm.widgets.timeline.panel import Host, Panel

BINS = 1200
NEAR = 4.0  # screen pixels between the mouse and an event that it points at
HOVER_MS = 30  # the mouse rests that long before the image follows
BACKGROUND, FOREGROUND, ACCENT = "#262930", "#d6d6d6", "#f6c945"


class RasterPanel(Panel):
    """One row per cell, one tick per event; what is selected anywhere is selected here.

    Click a row to choose its cell and its time (Shift adds). The mouse on an event shows its frame and its
    cell on the image; away from it, what was there before comes back.

    Parameters
    ----------
    host : runs the panel's jobs and shows its messages.
    controller : of the timeline.
    """

    def __init__(self, host: Host, controller: TimelineController) -> None:
        super().__init__(host, controller, "No events yet.")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.order = QComboBox()
        self.order.addItems(ROW_ORDERS)
        self.order.setToolTip("Order of the rows, from the top.")
        self.plots = pg.GraphicsLayoutWidget()
        self.plots.setBackground(BACKGROUND)
        self.plots.setMinimumHeight(220)
        self.rate_plot = self.plots.addPlot(row=0, col=0)
        self.raster_plot = self.plots.addPlot(row=1, col=0)
        self.plots.ci.layout.setRowStretchFactor(0, 1)
        self.plots.ci.layout.setRowStretchFactor(1, 3)
        self.curve = pg.PlotCurveItem(pen=pg.mkPen("#9aa7e0", width=1))
        self.image = pg.ImageItem(axisOrder="row-major")
        self.chosen = pg.ImageItem(axisOrder="row-major")
        self.cursors = [pg.InfiniteLine(angle=90, pen=pg.mkPen(ACCENT, width=1)) for _ in range(2)]
        self.ids = np.zeros(0, np.int64)
        self._refill = QTimer(self)
        self._refill.setSingleShot(True)
        self._refill.setInterval(30)
        self._refill.timeout.connect(self.fill)
        self._resting = QTimer(self)
        self._resting.setSingleShot(True)
        self._resting.setInterval(HOVER_MS)
        self._resting.timeout.connect(self._point)
        self._under: Pointed | None = None
        self._lay_out()
        self.behaviour = BehaviourTrack(host, controller, self.plots, self.raster_plot)
        self.order.currentTextChanged.connect(lambda _: self.refresh())
        self.raster_plot.sigXRangeChanged.connect(lambda *_: self._refill.start())
        self.plots.scene().sigMouseClicked.connect(self._clicked)
        self.plots.scene().sigMouseMoved.connect(self._hovered)
        host.listen(controller.events_moved, self.refresh)
        host.listen(controller.session.time_changed, self.show_time)
        host.listen(controller.session.selection_changed, lambda _: self.show_selection())
        host.listen(controller.session.cells_changed, self._cells_changed)
        self.refresh()

    def recolour(self, colours: Colours) -> None:
        """Draw the time in the colours of the theme."""
        for cursor in self.cursors:
            cursor.setPen(colours.accent)

    def refresh(self) -> None:
        """Show the events as they are now, the whole of the movie."""
        controller, events = self.controller, self.controller.events()
        start, stop = span = controller.span
        order, classes = self.order.currentText(), classes_of_cells(controller.cells())
        self.ids = row_order(order, controller.counted_centres(), events, span, classes)
        self.raster_plot.setLimits(xMin=start, xMax=stop, yMin=-0.5, yMax=max(len(self.ids), 1) + 0.5)
        self.raster_plot.setRange(xRange=(start, stop), yRange=(0, max(len(self.ids), 1)), padding=0)
        n = int(np.isin(events.labels, self.ids).sum())
        silent = len(self.ids) - len(np.intersect1d(events.labels, self.ids))
        without = f"; {silent} without any" if silent else ""
        said = controller.said_of_rejected()
        found = f"{n} events of {len(self.ids)} cells{without}" if n else self._why_empty()
        self.words.setText(f"{found}; {said}" if said else found)
        self.fill()
        self.show_selection()
        self.show_time(controller.session.time_s)

    def _cells_changed(self, uid: str) -> None:
        if uid == self.controller.labels_uid and self.order.currentText() == BY_CLASS:
            self.refresh()

    def fill(self) -> None:
        """Draw the span of time in view at the width of the screen."""
        low, high = self.raster_plot.viewRange()[0]
        if len(self.ids) == 0 or not high > low:
            self.image.clear()
            self.curve.setData([], [])
            return
        bins = int(np.clip(self.raster_plot.vb.width(), 200, BINS))
        made = raster(self.controller.events(), self.ids, low, high, bins)
        self.image.setImage(made.pixels, autoLevels=False, levels=(0, 255))
        self.image.setRect(low, 0, high - low, len(self.ids))
        middle, smooth = made.smooth_rate
        self.curve.setData(middle, smooth)
        self.rate_plot.setYRange(0, max(float(smooth.max()), 1e-9), padding=0.05)

    def show_time(self, seconds: float) -> None:
        """Put the cursors at a time; drawn when somebody sees them."""
        for cursor in self.cursors:
            cursor.setValue(seconds)

    def show_selection(self) -> None:
        """Light the rows of the selected cells."""
        rows = np.isin(self.ids, self.controller.selected_labels())
        if not rows.any():
            self.chosen.clear()
            return
        pixels = np.zeros((len(rows), 1, 4), np.uint8)
        pixels[rows] = (255, 255, 255, 60)
        start, stop = self.controller.span
        self.chosen.setImage(pixels, autoLevels=False, levels=(0, 255))
        self.chosen.setRect(start, 0, stop - start, len(rows))

    def choose_rows(self, first: float, last: float, add: bool = False) -> None:
        """Select the cells of the rows between two heights of the plot."""
        low, high = sorted((int(np.floor(first)), int(np.floor(last))))
        rows = self.ids[max(low, 0) : max(high + 1, 0)]
        cells = {CellKey(str(self.controller.labels_uid), int(label)) for label in rows}
        session = self.controller.session
        session.select(session.selection ^ cells if add else cells)

    def _lay_out(self) -> None:
        for plot in (self.rate_plot, self.raster_plot):
            plot.hideButtons()
            plot.setMenuEnabled(False)
            for side in ("left", "bottom"):
                plot.getAxis(side).setPen(FOREGROUND)
                plot.getAxis(side).setTextPen(FOREGROUND)
            plot.getAxis("left").setWidth(52)
            plot.getAxis("left").enableAutoSIPrefix(False)
        self.rate_plot.setLabel("left", "Hz / cell")
        self.rate_plot.getAxis("bottom").setStyle(showValues=False)
        self.rate_plot.setMouseEnabled(x=True, y=False)
        self.rate_plot.setXLink(self.raster_plot)
        self.raster_plot.setLabel("left", "cell")
        self.raster_plot.setLabel("bottom", "time (s)")
        self.raster_plot.invertY(True)
        self.raster_plot.getViewBox().setBackgroundColor(BACKGROUND)  # colours of classes are made for it
        self.rate_plot.addItem(self.curve)
        self.raster_plot.addItem(self.image)
        self.raster_plot.addItem(self.chosen)
        self.rate_plot.addItem(self.cursors[0], ignoreBounds=True)
        self.raster_plot.addItem(self.cursors[1], ignoreBounds=True)
        row = QHBoxLayout()
        row.addWidget(QLabel("Rows by"))
        row.addWidget(self.order)
        row.addWidget(self.words, 1)
        self.column.addLayout(row)
        self.column.addWidget(self.plots, 1)

    def _why_empty(self) -> str:
        if self.controller.labels is None:
            return "No cells yet: segment the image."
        return "No events of these cells yet: measure them under 'Cells'."

    def _at(self, position: Any) -> tuple[float, float] | None:
        """Return time and height under a position of the scene, None outside the raster."""
        if not self.raster_plot.vb.sceneBoundingRect().contains(position):
            return None
        point = self.raster_plot.vb.mapSceneToView(position)
        return float(point.x()), float(point.y())

    def _clicked(self, event: Any) -> None:
        at = self._at(event.scenePos())
        if at is None or event.button() != Qt.MouseButton.LeftButton:
            return
        seconds = at[0]
        if 0 <= at[1] < len(self.ids):
            add = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self.choose_rows(at[1], at[1], add)
            found = self._event_at(*at)
            seconds = at[0] if found is None else float(self.controller.events().seconds[found])
        self._resting.stop()
        self._under = None
        self.controller.session.point_at(None)  # what the mouse had shown is over: the click stays
        self.controller.session.set_time(seconds)

    def _hovered(self, position: Any) -> None:
        at = self._at(position)
        found = None
        if at is not None and 0 <= at[1] < len(self.ids):
            label, clock = int(self.ids[int(at[1])]), self.controller.clock
            frame = f", frame {clock.frame_at(at[0])}" if clock is not None else ""
            self.words.setText(f"cell {label}, {at[0]:.3f} s{frame}")
            found = self._event_at(*at)
        events = self.controller.events()
        here = None
        if found is not None:
            here = Pointed(events.recordings[int(events.source[found])], int(events.rows[found]))
        if here != self._under:
            self._under = here
            self._resting.start()

    def leaveEvent(self, event: Any) -> None:
        """Let go of the event the mouse was on."""
        super().leaveEvent(event)
        if self._under is not None:
            self._under = None
            self._resting.start()

    def _point(self) -> None:
        self.controller.session.point_at(self._under)

    def _event_at(self, seconds: float, height: float) -> int | None:
        """Return the event of a row next to a time, None where none is within a few pixels."""
        low, high = self.raster_plot.viewRange()[0]
        reach = NEAR * (high - low) / max(self.raster_plot.vb.width(), 1.0)
        return self.controller.events().nearest(int(self.ids[int(height)]), seconds, reach)
