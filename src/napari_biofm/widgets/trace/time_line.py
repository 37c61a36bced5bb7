"""The session's time as a line in every plot."""

from __future__ import annotations

import pyqtgraph as pg

from napari_biofm.widgets.trace.curves import detach
from napari_biofm.widgets.trace.layout import SweepMode
from napari_biofm.widgets.trace.plots import TracePlots


class TimeLine:
    """One line per plot.

    Parameters
    ----------
    plots : that the lines are put into.
    """

    def __init__(self, plots: TracePlots) -> None:
        self._plots = plots
        self._lines: list[pg.InfiniteLine] = []

    @property
    def places(self) -> list[float]:
        """Where the lines stand on the time axis, in s."""
        return [float(line.value()) for line in self._lines]

    def place(self, seconds: float) -> None:
        """Show a time of the recording, where it lies in what is drawn."""
        for line in self._lines:
            detach(line)
        self._lines = []
        plots, recording = self._plots, self._plots.recording
        if recording is None or not plots.rows:
            return
        in_sweep = seconds - float(recording.sweep_starts[plots.sweep])
        in_time = plots.mode is SweepMode.IN_TIME
        if not in_time and not 0 <= in_sweep <= recording.duration(plots.sweep):
            return
        for row in plots.rows:
            line = pg.InfiniteLine(
                seconds if in_time else in_sweep, pen=pg.mkPen(plots.colours.foreground, width=1)
            )
            line.setOpacity(0.6)
            row.plot.addItem(line, ignoreBounds=True)
            self._lines.append(line)
