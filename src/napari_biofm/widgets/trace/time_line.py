"""The session's time as a line in every plot; dragged, it moves the time."""

from __future__ import annotations

import pyqtgraph as pg
from qtpy.QtCore import QObject, Signal

from napari_biofm.widgets.trace.curves import detach, vertical_line
from napari_biofm.widgets.trace.plots import TracePlots
from napari_biofm.widgets.trace.rows import Row


class TimeLine(QObject):
    """One line per plot. Moving the time moves the lines and draws nothing else anew.

    Parameters
    ----------
    plots : that the lines are put into.
    """

    dragged = Signal(float)  # seconds on the recording's clock

    def __init__(self, plots: TracePlots) -> None:
        super().__init__(plots)
        self._plots = plots
        self._lines: list[pg.InfiniteLine] = []
        self._rows: list[Row] = []

    @property
    def places(self) -> list[float]:
        """Where the lines stand on the time axis, in s; empty where the time is not in what is drawn."""
        return [float(line.value()) for line in self._lines if line.isVisible()]

    def place(self, seconds: float) -> None:
        """Show a time of the recording, where it lies in what is drawn."""
        if self._rows != self._plots.rows:
            self._install()
        at = self._plots.lines.place_of(seconds)
        for line in self._lines:
            line.setVisible(at is not None)
            if at is not None and not line.moving:
                line.setValue(at)

    def _install(self) -> None:
        """Put new lines into new plots."""
        for line in self._lines:
            detach(line)
        self._rows = list(self._plots.rows)
        self._lines = []
        colours = self._plots.colours
        for row in self._rows:
            line = vertical_line(colours.foreground, hover=colours.accent, movable=True)
            line.setOpacity(0.6)
            line.setToolTip("The time of the session: drag it, and the image follows")
            line.sigDragged.connect(self._dragged)
            row.plot.addItem(line, ignoreBounds=True)
            self._lines.append(line)

    def _dragged(self, line: pg.InfiniteLine) -> None:
        self.dragged.emit(self._plots.lines.seconds_at(float(line.value())))
