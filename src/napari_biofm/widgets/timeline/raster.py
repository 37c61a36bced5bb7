"""Raster of all cells over time with the population's rate, sharing time and selection with the image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_biofm.session import CellKey
from napari_biofm.timeline import class_colours
from napari_biofm.timeline.maps import event_rates, raster
from napari_biofm.widgets.base import Dock
from napari_biofm.widgets.timeline.state import TimelineState

BY_LABEL, BY_RATE, BY_PLACE = "label", "event rate", "place (y)"
BINS = 1200
BACKGROUND, FOREGROUND, ACCENT = "#262930", "#d6d6d6", "#f6c945"


class RasterPanel(QWidget):
    """One row per cell, one tick per event; what is selected anywhere is selected here.

    Click a row to choose its cell and its time (Shift adds), drag with Shift to choose many rows.

    Parameters
    ----------
    dock : that holds the panel.
    state : of the dock.
    """

    def __init__(self, dock: Dock, state: TimelineState) -> None:
        super().__init__()
        self.state = state
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.order = QComboBox()
        self.order.addItems([BY_LABEL, BY_RATE, BY_PLACE])
        self.order.setToolTip("Order of the rows, from the top.")
        self.words = QLabel("No events yet.")
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
        self._lay_out()
        self.order.currentTextChanged.connect(lambda _: self.refresh())
        self.raster_plot.sigXRangeChanged.connect(lambda *_: self._refill.start())
        self.plots.scene().sigMouseClicked.connect(self._clicked)
        self.plots.scene().sigMouseMoved.connect(self._hovered)
        dock.listen(state.events_moved, self.refresh)
        dock.listen(state.session.time_changed, self.show_time)
        dock.listen(state.session.selection_changed, lambda _: self.show_selection())
        self.refresh()

    def refresh(self) -> None:
        """Show the events as they are now, the whole of the movie."""
        events, centres = self.state.events(), self.state.centres()
        self.ids = np.array(sorted(centres), np.int64)
        start, stop = self._span()
        if self.order.currentText() == BY_RATE and len(self.ids):
            rates = event_rates(events, self.ids, start, stop)
            self.ids = self.ids[np.argsort(-rates, kind="stable")]
        elif self.order.currentText() == BY_PLACE:
            self.ids = np.array(sorted(centres, key=lambda label: centres[label]), np.int64)
        self.raster_plot.setLimits(xMin=start, xMax=stop, yMin=-0.5, yMax=max(len(self.ids), 1) + 0.5)
        self.raster_plot.setRange(xRange=(start, stop), yRange=(0, max(len(self.ids), 1)), padding=0)
        n = int(np.isin(events.labels, self.ids).sum())
        self.words.setText(f"{n} events of {len(self.ids)} cells" if n else self._why_empty())
        self.fill()
        self.show_selection()
        self.show_time(self.state.session.time_s)

    def fill(self) -> None:
        """Draw the span of time in view at the width of the screen."""
        low, high = self.raster_plot.viewRange()[0]
        if len(self.ids) == 0 or not high > low:
            self.image.clear()
            self.curve.setData([], [])
            return
        bins = int(np.clip(self.raster_plot.vb.width(), 200, BINS))
        made = raster(self.state.events(), self.ids, low, high, bins)
        pixels = np.zeros((*made.counts.shape, 4), np.uint8)
        lit = made.counts > 0
        if lit.any():
            colours = (255 * class_colours(made.classes)).astype(np.uint8)
            pixels[lit] = colours[made.kinds[lit]]
        self.image.setImage(pixels, autoLevels=False, levels=(0, 255))
        self.image.setRect(low, 0, high - low, len(self.ids))
        middle = 0.5 * (made.edges[1:] + made.edges[:-1])
        smooth = np.convolve(made.rate, np.ones(9) / 9, mode="same") if len(made.rate) > 9 else made.rate
        self.curve.setData(middle, smooth)
        self.rate_plot.setYRange(0, max(float(smooth.max()), 1e-9), padding=0.05)

    def show_time(self, seconds: float) -> None:
        """Put the cursors at a time."""
        for cursor in self.cursors:
            cursor.setValue(seconds)

    def show_selection(self) -> None:
        """Light the rows of the selected cells."""
        labels = [k.label for k in self.state.session.selection if k.layer == self.state.labels_uid]
        rows = np.isin(self.ids, labels)
        if not rows.any():
            self.chosen.clear()
            return
        pixels = np.zeros((len(rows), 1, 4), np.uint8)
        pixels[rows] = (255, 255, 255, 60)
        start, stop = self._span()
        self.chosen.setImage(pixels, autoLevels=False, levels=(0, 255))
        self.chosen.setRect(start, 0, stop - start, len(rows))

    def choose_rows(self, first: float, last: float, add: bool = False) -> None:
        """Select the cells of the rows between two heights of the plot."""
        low, high = sorted((int(np.floor(first)), int(np.floor(last))))
        rows = self.ids[max(low, 0) : max(high + 1, 0)]
        cells = {CellKey(str(self.state.labels_uid), int(label)) for label in rows}
        session = self.state.session
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
        self.rate_plot.addItem(self.curve)
        self.raster_plot.addItem(self.image)
        self.raster_plot.addItem(self.chosen)
        self.rate_plot.addItem(self.cursors[0], ignoreBounds=True)
        self.raster_plot.addItem(self.cursors[1], ignoreBounds=True)
        row = QHBoxLayout()
        row.addWidget(QLabel("Rows by"))
        row.addWidget(self.order)
        row.addWidget(self.words, 1)
        layout = QVBoxLayout(self)
        layout.addLayout(row)
        layout.addWidget(self.plots, 1)

    def _span(self) -> tuple[float, float]:
        clock, events = self.state.clock, self.state.events()
        if clock is not None:
            stop = float(clock.at_frames([clock.n_frames])[0])
            return float(clock.times[0]), max(stop, float(clock.times[0]) + 1e-3)
        if len(events):
            return float(events.seconds[0]), float(events.seconds[-1]) + 1e-3
        return 0.0, 1.0

    def _why_empty(self) -> str:
        if self.state.labels is None:
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
        if 0 <= at[1] < len(self.ids):
            add = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self.choose_rows(at[1], at[1], add)
        self.state.session.set_time(at[0])

    def _hovered(self, position: Any) -> None:
        at = self._at(position)
        if at is None or not 0 <= at[1] < len(self.ids):
            return
        label, clock = int(self.ids[int(at[1])]), self.state.clock
        frame = f", frame {clock.frame_at(at[0])}" if clock is not None else ""
        self.words.setText(f"cell {label}, {at[0]:.3f} s{frame}")
