"""The colours of the theme of napari on plots of pyqtgraph."""

from __future__ import annotations

from typing import Any

import pyqtgraph as pg

from napari_biofm.signals.display.colours import Colours


def colours_of(viewer: Any) -> Colours:
    """Return the colours of a viewer's theme; the dark ones where it has none."""
    try:
        from napari.utils.theme import get_theme

        theme = get_theme(viewer.theme)
        return Colours.of_theme(theme.background.as_hex(), theme.text.as_hex())
    except (AttributeError, ValueError, KeyError, ImportError):
        return Colours()


def colour_axes(plot: pg.PlotItem | pg.PlotWidget, colours: Colours) -> None:
    """Draw the axes of a plot in these colours, with numbers in the unit of the label."""
    for side in ("left", "bottom", "top", "right"):
        axis = plot.getAxis(side)
        axis.setPen(colours.faint)
        axis.setTextPen(colours.foreground)
        axis.enableAutoSIPrefix(False)  # a new label at every pan costs as much as the traces


def small_plot(colours: Colours) -> pg.PlotWidget:
    """Return an empty plot for a panel, in these colours, whose axes say what they show in whole words."""
    canvas = pg.PlotWidget()
    canvas.setBackground(colours.background)
    colour_axes(canvas, colours)
    canvas.getPlotItem().layout.setContentsMargins(1, 1, 1, 6)  # else the label of the lower axis is cut off
    return canvas
