"""The colours of the theme of napari on plots of pyqtgraph."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import pyqtgraph as pg
from qtpy.QtWidgets import QWidget

from napari_biofm.signals.display.colours import Colours

SIDES = ("left", "bottom", "top", "right")


def colours_of(viewer: Any) -> Colours:
    """Return the colours of a viewer's theme; the dark ones where it has none."""
    try:
        from napari.utils.theme import get_theme

        theme = get_theme(viewer.theme)
        return Colours.of_theme(theme.background.as_hex(), theme.text.as_hex())
    except (AttributeError, ValueError, KeyError, ImportError):
        return Colours()


@runtime_checkable
class Recoloured(Protocol):
    """A widget that draws more than axes in the colours of the theme."""

    def recolour(self, colours: Colours) -> None:
        """Draw in other colours."""


def recolour(dock: QWidget, colours: Colours) -> None:
    """Draw all plots in a dock in these colours: background, axes, their labels, and what the widgets themselves know."""
    for widget in dock.findChildren(QWidget):
        if isinstance(widget, Recoloured):
            widget.recolour(colours)
        if isinstance(widget, pg.GraphicsView):
            widget.setBackground(colours.background)
            for plot in [item for item in widget.scene().items() if isinstance(item, pg.PlotItem)]:
                _recolour_plot(plot, colours)


def _recolour_plot(plot: pg.PlotItem, colours: Colours) -> None:
    for side in SIDES:
        axis = plot.getAxis(side)
        axis.setPen(colours.faint)
        axis.setTextPen(colours.foreground)
        if axis.labelText:
            axis.setLabel(axis.labelText, axis.labelUnits or None, color=colours.foreground)
    if plot.titleLabel.isVisible():
        plot.titleLabel.setText(plot.titleLabel.text, color=colours.foreground)


def colour_axes(plot: pg.PlotItem | pg.PlotWidget, colours: Colours) -> None:
    """Draw the axes of a plot in these colours, with numbers in the unit of the label."""
    for side in SIDES:
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
