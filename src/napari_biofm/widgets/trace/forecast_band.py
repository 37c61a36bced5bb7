"""The forecast drawn as a band of quantiles over the trace."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pyqtgraph as pg

from napari_biofm.events.physio_fm.jobs import Ahead
from napari_biofm.widgets.trace.plots import TracePlots

BANDS = ((0, -1, 50), (2, -3, 90))  # indices of quantiles, opacity of 255: 5 to 95 %, 25 to 75 %
SEEN_BEFORE = 3.0  # horizons in view before the moment, when the view is too wide to see the band


class ForecastBand:
    """Puts the band into the plot of its channel while its sweep is shown.

    Parameters
    ----------
    plots : where it is drawn.
    """

    def __init__(self, plots: TracePlots) -> None:
        self._plots = plots
        self._ahead: Ahead | None = None
        self._items: list[tuple[Any, Any]] = []
        plots.rebuilt.connect(self._draw)
        plots.sweep_changed.connect(lambda _: self._draw())

    def show(self, ahead: Ahead | None) -> None:
        """Draw a forecast, zooming in where it would be too narrow to see; None takes it away."""
        self._ahead = ahead
        self._draw()
        if ahead is None:
            return
        plots = self._plots
        start, stop = plots.span()
        first, last = (
            plots.lines.to_axis(ahead.sweep, float(t)) for t in (ahead.time_s[0], ahead.time_s[-1])
        )
        width = last - first
        if stop - start > 20 * width or not start <= first < last <= stop:
            plots.show_span(first - SEEN_BEFORE * width, last + width)

    def _draw(self) -> None:
        for view, item in self._items:
            with suppress(RuntimeError):  # went with its plot
                view.removeItem(item)
        self._items = []
        ahead, plots = self._ahead, self._plots
        row = next((r for r in plots.rows if ahead is not None and r.channel == ahead.channel), None)
        if ahead is None or row is None or plots.sweep != ahead.sweep:
            return
        x = ahead.time_s + plots.lines.to_axis(ahead.sweep, 0.0)
        items: list[Any] = []
        for low, high, opacity in BANDS:
            edges = [pg.PlotCurveItem(x, ahead.quantiles[k].astype(float), pen=None) for k in (low, high)]
            fill = pg.mkColor(plots.colours.accent)
            fill.setAlpha(opacity)
            items += [*edges, pg.FillBetweenItem(*edges, brush=fill)]
        middle = ahead.quantiles[len(ahead.q) // 2].astype(float)
        items.append(pg.PlotCurveItem(x, middle, pen=pg.mkPen(plots.colours.accent, width=2)))
        for item in items:
            row.view.addItem(item, ignoreBounds=True)
        self._items = [(row.view, item) for item in items]
