"""One row of the stacked plots: its axes, its name in the corner, and the curves in it."""

from __future__ import annotations

import enum
import html
from typing import Any

import pyqtgraph as pg

from napari_biofm.signals.display.colours import Colours
from napari_biofm.widgets.common.plot_style import colour_axes
from napari_biofm.widgets.common.scalebars import ScaleBar
from napari_biofm.widgets.trace.curves import LazyCurve, TraceViewBox


class Scales(enum.Enum):
    """How a row says how much is how much."""

    AXES = enum.auto()
    BAR = enum.auto()  # values are shifted: no number on the axis would be true
    BAR_ONLY = enum.auto()  # as in a figure


class Row:
    """One channel's plot and the curves in it.

    Parameters
    ----------
    canvas : where the plot is put, as the `number`-th from the top.
    channel : that is shown.
    title, unit : written into the corner, where they fit however low the row is.
    title_colour : of that text.
    """

    def __init__(
        self,
        canvas: pg.GraphicsLayoutWidget,
        number: int,
        channel: int,
        title: str,
        unit: str,
        scales: Scales,
        colours: Colours,
        title_colour: str,
    ) -> None:
        self.channel = channel
        self.view = TraceViewBox(colours.accent)
        self.plot: pg.PlotItem = canvas.addPlot(row=number, col=0, viewBox=self.view)
        self.behind: LazyCurve | None = None
        self.front: LazyCurve | None = None
        self.mean: LazyCurve | None = None
        self.bar: ScaleBar | None = None
        self._dress(colours)
        words = html.escape(f"{title[:40]} ({unit})")
        red, green, blue = (int(colours.background[i : i + 2], 16) for i in (1, 3, 5))
        backed = f"<span style='background-color: rgba({red}, {green}, {blue}, 70%)'>{words}</span>"
        label = pg.LabelItem(backed, color=title_colour, size="9pt")
        label.setZValue(30)
        label.setParentItem(self.view)
        label.anchor(itemPos=(0, 0), parentPos=(0, 0), offset=(4, -4))
        self.view.disableAutoRange()
        if scales is Scales.BAR_ONLY:
            for side in ("left", "bottom"):
                self.plot.hideAxis(side)
        elif scales is Scales.BAR:
            self.plot.getAxis("left").setStyle(showValues=False)
        if scales is not Scales.AXES:
            self.bar = ScaleBar(self.view, unit, colours.foreground)

    def _dress(self, colours: Colours) -> None:
        self.plot.hideButtons()
        colour_axes(self.plot, colours)
        self.plot.getAxis("left").setWidth(58)
        self.plot.getAxis("left").setStyle(hideOverlappingLabels=True)  # low rows: no numbers across rows
        self.plot.hideAxis("bottom")

    @property
    def curves(self) -> list[LazyCurve]:
        """The curves there are, the hindmost first."""
        return [curve for curve in (self.behind, self.front, self.mean) if curve is not None]

    def curve(self, supplier: Any, colour: str) -> LazyCurve:
        """Return a new curve in this row that asks `supplier` for its points."""
        made = LazyCurve(supplier, colour)
        self.plot.addItem(made, ignoreBounds=True)
        return made
