"""A pair of cursors over all plots: two lines to drag, and the shade between them."""

from __future__ import annotations

import pyqtgraph as pg
from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QColor

from napari_biofm.signals.readings import Reading
from napari_biofm.widgets.trace.curves import detach
from napari_biofm.widgets.trace.plots import TracePlots

BASELINE_COLOUR = "#4fae8f"  # is seen on dark and on light


class CursorPair(QObject):
    """Two lines to drag, the same in every plot.

    Parameters
    ----------
    plots : they stand in.
    names : written at the lines.
    colour : of lines and shade; "" for that of cursors.
    places : shares of the view where they are put at first.
    """

    changed = Signal()

    def __init__(
        self,
        plots: TracePlots,
        names: tuple[str, str] = ("1", "2"),
        colour: str = "",
        places: tuple[float, float] = (1 / 3, 2 / 3),
    ) -> None:
        super().__init__(plots)
        self._plots, self._names, self._colour, self._places = plots, names, colour, places
        self._regions: list[pg.LinearRegionItem] = []
        self._at = [float("nan")] * 2  # until they are shown or placed
        self._visible = False
        plots.rebuilt.connect(self._install)

    @property
    def visible(self) -> bool:
        return self._visible

    @property
    def lines(self) -> list[pg.InfiniteLine]:
        """The lines in the top plot, while they are shown."""
        return self._regions[0].lines if self._regions else []

    @property
    def span(self) -> tuple[float, float]:
        """Return the cursors' places on the time axis, earlier first."""
        return min(self._at), max(self._at)

    @property
    def shown_span(self) -> tuple[float, float] | None:
        """The same, None while the cursors are hidden."""
        return self.span if self._visible else None

    def set_visible(self, on: bool) -> None:
        """Show the cursors, at their places in the view if they are out of it."""
        self._visible = on
        start, stop = self._plots.span()
        if on and not any(start <= at <= stop for at in self._at):
            self._at = [start + (stop - start) * share for share in self._places]
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
        for region in self._regions:
            detach(region)
        self._regions = []
        if not self._visible:
            return
        colour = self._colour or self._plots.colours.accent
        shade = QColor(colour)
        shade.setAlpha(26)
        for row in self._plots.rows:
            region = pg.LinearRegionItem(
                self._at, brush=shade, hoverBrush=shade, pen=pg.mkPen(colour, width=1),
                hoverPen=pg.mkPen(colour, width=3), movable=False, swapMode=None,
            )  # fmt: skip
            region.setZValue(20)
            for k, line in enumerate(region.lines):
                line.setMovable(True)  # only the lines: a drag between them zooms
                pg.InfLineLabel(line, self._names[k], position=0.95, color=colour)
                line.sigPositionChanged.connect(lambda one, k=k: self._moved(k, float(one.value())))
            row.plot.addItem(region, ignoreBounds=True)
            self._regions.append(region)

    def _moved(self, k: int, at: float) -> None:
        if at == self._at[k]:
            return
        self._at[k] = at
        for region in self._regions:
            region.lines[k].setValue(at)
        self.changed.emit()
