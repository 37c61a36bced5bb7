"""Plots of a result, one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import pyqtgraph as pg

from napari_biofm.analyses.description import Curve, Plot
from napari_biofm.signals.display.colours import Colours
from napari_biofm.widgets.common.plot_style import colour_axes
from napari_biofm.widgets.common.scalebars import ScaleBar

MOST_NAMES = 24  # that stand beside a matrix
LEAST_HEIGHT = 150  # pixels of one plot


class AnalysisPlots(pg.GraphicsLayoutWidget):
    """Draws the plots of an analysis."""

    def __init__(self, colours: Colours) -> None:
        super().__init__()
        self._colours = colours
        self.setBackground(colours.background)
        self.items: list[pg.PlotItem] = []
        self._plots: Sequence[Plot] = ()
        self.bars: list[ScaleBar] = []

    def recolour(self, colours: Colours) -> None:
        """Draw the same plots in other colours."""
        if colours != self._colours:
            self._colours = colours
            self.show_plots(self._plots)

    def show_plots(self, plots: Sequence[Plot]) -> None:
        """Draw these in place of what was there."""
        self.clear()
        self.items, self.bars, self._plots = [], [], plots
        for i, plot in enumerate(plots):
            item = self.addPlot(row=i, col=0)
            colour_axes(item, self._colours)
            for side, text in zip(("bottom", "left"), plot.labels, strict=True):
                item.setLabel(side, escape(text), color=self._colours.foreground)
            if plot.title:
                item.setTitle(escape(plot.title), color=self._colours.foreground)
            if any(curve.name for curve in plot.curves):
                item.addLegend(offset=(-5, 5), labelTextColor=self._colours.foreground)
            if plot.matrix is not None:
                self._draw_matrix(item, plot)
            strong = 0
            for curve in plot.curves:
                strong -= curve.like_former and strong > 0
                colour = self._colours.faint if curve.faint else self._colours.channel(strong)
                strong += not curve.faint
                self._draw(item, curve, colour)
            if plot.y_range is not None:
                item.setYRange(*plot.y_range, padding=0.1)
            if plot.scale_bars:  # as in the figure
                for side in ("left", "bottom"):
                    item.hideAxis(side)
                self.bars.append(
                    ScaleBar(item.getViewBox(), plot.y_unit, self._colours.foreground, plot.x_unit)
                )
            self.items.append(item)
        self.setMinimumHeight(
            LEAST_HEIGHT * max(1, len(plots) + sum(plot.matrix is not None for plot in plots))
        )

    def _draw_matrix(self, item: pg.PlotItem, plot: Plot) -> None:
        """Draw a matrix in the colours of the figure, the first row on top."""
        image = pg.ImageItem(plot.matrix, axisOrder="row-major", levels=plot.matrix_range)
        image.setColorMap(pg.ColorMap((0, 0.5, 1), ((33, 102, 172), (247, 247, 247), (178, 24, 43))))
        item.addItem(image)
        item.invertY(True)
        item.setAspectLocked(True)
        if 0 < len(plot.names) <= MOST_NAMES:
            item.getAxis("left").setTicks([[(i + 0.5, name[:16]) for i, name in enumerate(plot.names)]])

    def _draw(self, item: pg.PlotItem, curve: Curve, colour: str) -> None:
        x, y = (np.asarray(values, float) for values in (curve.x, curve.y))
        name, pen = escape(curve.name) or None, pg.mkPen(colour, width=1)
        if curve.style == "bars":
            width = float(np.min(np.diff(np.sort(x)))) if len(x) > 1 else 1.0
            item.addItem(
                pg.BarGraphItem(x=x, height=y, width=0.95 * width, brush=pg.mkBrush(colour), pen=pen)
            )
            return
        if curve.style == "band" and curve.high is not None:
            low, high = (pg.PlotDataItem(x, v, pen=pen) for v in (y, np.asarray(curve.high, float)))
            for part in (low, high, pg.FillBetweenItem(low, high, brush=pg.mkBrush(f"{colour}40"))):
                item.addItem(part)
            return
        if curve.error is not None:
            bars = pg.ErrorBarItem(x=x, y=y, height=2 * np.nan_to_num(curve.error), pen=pen)
            item.addItem(bars)
        marks = {"symbol": "o", "symbolSize": 6, "symbolBrush": colour, "symbolPen": None}
        item.plot(
            x, y, name=name, pen=None if curve.style == "points" else pen, connect="finite",
            stepMode="right" if curve.style == "steps" else None,
            **(marks if curve.style in ("points", "both") else {}),
        )  # fmt: skip
