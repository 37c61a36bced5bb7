"""A plot in a panel, in the colours of the theme."""

from __future__ import annotations

import pyqtgraph as pg

from napari_biofm.widgets.trace.style import Colours


def small_plot(colours: Colours) -> pg.PlotWidget:
    """Return an empty plot whose axes say what they show in whole words."""
    canvas = pg.PlotWidget()
    canvas.setBackground(colours.background)
    for side in ("left", "bottom"):
        axis = canvas.getAxis(side)
        axis.setPen(colours.faint)
        axis.setTextPen(colours.foreground)
        axis.enableAutoSIPrefix(False)
    canvas.getPlotItem().layout.setContentsMargins(1, 1, 1, 6)  # else the label of the lower axis is cut off
    return canvas
