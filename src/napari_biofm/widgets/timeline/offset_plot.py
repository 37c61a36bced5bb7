"""The movie's activity over the spikes of a recording: dragged to and fro until the two fit."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Signal

from napari_biofm.signals.display.colours import Colours
from napari_biofm.timeline.offset_hints import scaled_activity
from napari_biofm.widgets.timeline.raster import ACCENT, BACKGROUND

CURVE = "#9aa7e0"
MOST_SPIKES = 20_000


class OffsetPlot(pg.PlotWidget):
    """Trace of the movie in the recording's time, in a band that the mouse takes along.

    Signals
    -------
    dragged : new offset, seconds of the recording at which frame 0 began.
    """

    dragged = Signal(float)

    def __init__(self) -> None:
        super().__init__(background=BACKGROUND)
        self.setMinimumHeight(140)
        self.setToolTip("Drag the band: the movie moves against the spikes of the recording.")
        self.setMenuEnabled(False)
        self.hideButtons()
        self.setLabel("bottom", "time of the recording (s)")
        self.getAxis("bottom").enableAutoSIPrefix(False)
        self.getAxis("bottom").setHeight(38)
        self.hideAxis("left")
        self.setYRange(0, 1.35, padding=0)
        self.getViewBox().setMouseEnabled(x=True, y=False)
        self.spikes = pg.PlotCurveItem(pen=pg.mkPen(ACCENT, width=1), connect="pairs")
        self.trace = pg.PlotCurveItem(pen=pg.mkPen(CURVE, width=1))
        self.band = pg.LinearRegionItem(brush=(154, 167, 224, 40), hoverBrush=(154, 167, 224, 80))
        for line in self.band.lines:
            line.setMovable(False)  # the movie has its length: only the band as a whole moves
        for item in (self.band, self.trace, self.spikes):
            self.addItem(item)
        self.band.sigRegionChanged.connect(self._moved)
        self._busy = False
        self._held = False  # by the mouse
        self._lead = 0.0  # from the left edge of the band to the offset
        self.clear_all()

    def recolour(self, colours: Colours) -> None:
        """Draw the pulses in the colours of the theme."""
        self.spikes.setPen(colours.accent)

    def show_movie(
        self, times: NDArray[np.float64], values: NDArray[np.float32] | None, offset: float
    ) -> None:
        """Show a movie of these frame times (s) with its activity, (n_frames,) or None where nothing is known."""
        self._busy = True
        try:
            self.band.setVisible(True)
            self.band.setRegion((float(times[0]), float(times[-1])))
            self.band.setMovable(True)
            self._lead = offset - float(times[0])
        finally:
            self._busy = False
        if values is None:
            self.trace.setData([], [])
            return
        self.trace.setData(times, scaled_activity(values), connect="all")

    def show_frames(self, times: NDArray[np.float64]) -> None:
        """Show frames that began at these times (s): their span as a band, each as a stroke under the pulses."""
        self._busy = True
        try:
            self.band.setVisible(True)
            self.band.setRegion((float(times[0]), float(times[-1])))
            self.band.setMovable(False)
        finally:
            self._busy = False
        step = max(1, len(times) // MOST_SPIKES)
        shown = times[::step]
        self.trace.setData(np.repeat(shown, 2), np.tile([0.1, 0.9], len(shown)), connect="pairs")

    def show_spikes(self, seconds: NDArray[np.float64]) -> None:
        """Show spikes of the recording, (n,) seconds."""
        seconds = seconds[:: max(1, len(seconds) // MOST_SPIKES)]
        self.spikes.setData(np.repeat(seconds, 2), np.tile([1.1, 1.3], len(seconds)))

    def fit(self) -> None:
        """Have movie and spikes in view; not while the band is dragged, or it would run from the mouse."""
        if self._held:
            return
        spikes, movie = self.spikes.getData()[0], self.band.getRegion()
        edges = [*movie] if self.band.isVisible() else []
        if spikes is not None and len(spikes):
            edges += [float(spikes.min()), float(spikes.max())]
        if edges:
            self.setXRange(min(edges), max(edges), padding=0.05)

    def clear_all(self) -> None:
        """Show no movie: none is open, or its rate is not known."""
        self.band.setVisible(False)
        self.trace.setData([], [])

    def _moved(self) -> None:
        if self._busy:
            return
        self._held = True
        try:
            self.dragged.emit(float(self.band.getRegion()[0]) + self._lead)
        finally:
            self._held = False
