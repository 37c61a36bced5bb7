"""Two cursors over all plots, and what lies between them in numbers."""

from __future__ import annotations

import pyqtgraph as pg
from qtpy.QtCore import QObject, QSignalBlocker, Signal

from napari_biofm.signals.readings import Reading
from napari_biofm.widgets.trace.curves import detach
from napari_biofm.widgets.trace.plots import TracePlots


class CursorPair(QObject):
    """Two lines to drag, the same in every plot."""

    changed = Signal()

    def __init__(self, plots: TracePlots) -> None:
        super().__init__(plots)
        self._plots = plots
        self._lines: list[list[pg.InfiniteLine]] = []
        self._at = [0.0, 1.0]
        self._visible = False
        plots.rebuilt.connect(self._install)

    @property
    def visible(self) -> bool:
        return self._visible

    @property
    def span(self) -> tuple[float, float]:
        """Return the cursors' places on the time axis, earlier first."""
        return min(self._at), max(self._at)

    @property
    def shown_span(self) -> tuple[float, float] | None:
        """The same, None while the cursors are hidden."""
        return self.span if self._visible else None

    def set_visible(self, on: bool) -> None:
        """Show the cursors, at a third and two thirds of the view if they are out of it."""
        self._visible = on
        start, stop = self._plots.span()
        if on and not any(start <= at <= stop for at in self._at):
            self._at = [start + (stop - start) * k / 3 for k in (1, 2)]
        self._install()
        self.changed.emit()

    def place(self, first: float, second: float) -> None:
        """Put the cursors at two places on the time axis."""
        self._at = [first, second]
        self._install()
        self.changed.emit()

    def readings(self) -> list[Reading]:
        """Return what lies between the cursors in each shown channel of the current sweep."""
        return self._plots.lines.readings(*self.span) if self._visible else []

    def _install(self) -> None:
        for pair in self._lines:
            for line in pair:
                detach(line)
        self._lines = []
        if not self._visible:
            return
        for row in self._plots.rows:
            pair = []
            for k in (0, 1):
                line = pg.InfiniteLine(
                    self._at[k], movable=True, pen=pg.mkPen(self._plots.colours.accent, width=1),
                    hoverPen=pg.mkPen(self._plots.colours.accent, width=3),
                    label="12"[k], labelOpts={"position": 0.95, "color": self._plots.colours.accent},
                )  # fmt: skip
                line.setZValue(20)
                line.sigPositionChanged.connect(lambda one, k=k: self._moved(k, float(one.value())))
                row.plot.addItem(line, ignoreBounds=True)
                pair.append(line)
            self._lines.append(pair)

    def _moved(self, k: int, at: float) -> None:
        if at == self._at[k]:
            return
        self._at[k] = at
        for pair in self._lines:
            with QSignalBlocker(pair[k]):
                pair[k].setValue(at)
        self.changed.emit()
