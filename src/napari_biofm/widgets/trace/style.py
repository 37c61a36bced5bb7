"""Colours of the trace dock, taken from napari's theme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyqtgraph as pg

CHANNEL_COLOURS = ("#4aa3df", "#f2a65a", "#5fbf87", "#c98bdb", "#e87a90", "#8fb8a0", "#d9c86a", "#9aa7e0")


@dataclass(frozen=True)
class Colours:
    """What plots are drawn with.

    Attributes
    ----------
    background, foreground : of the plots; the foreground is for axes and text.
    faint : of sweeps behind the current one.
    accent : of cursors, selection and the time line.
    """

    background: str = "#262930"
    foreground: str = "#d6d6d6"
    faint: str = "#707279"
    accent: str = "#f6c945"

    def channel(self, index: int) -> str:
        """Return the colour of the n-th channel."""
        return CHANNEL_COLOURS[index % len(CHANNEL_COLOURS)]


def colours_of(viewer: Any) -> Colours:
    """Return the colours of a viewer's theme; the dark ones where it has none."""
    try:
        from napari.utils.theme import get_theme

        theme = get_theme(viewer.theme)
        background, text = (_long(c.as_hex()) for c in (theme.background, theme.text))
    except (AttributeError, ValueError, KeyError, ImportError):
        return Colours()
    accent = "#f6c945" if _is_dark(background) else "#b8860b"
    return Colours(background, text, _between(background, text, 0.42), accent)


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


def _between(first: str, second: str, share: float) -> str:
    """Return a colour between two."""
    pairs = [(int(first[i : i + 2], 16), int(second[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in pairs)


def _long(colour: str) -> str:
    """Return #rrggbb for #rgb."""
    return f"#{''.join(2 * c for c in colour[1:])}" if len(colour) == 4 else colour


def _is_dark(colour: str) -> bool:
    return sum(int(colour[i : i + 2], 16) for i in (1, 3, 5)) < 384
