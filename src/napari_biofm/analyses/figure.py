"""Plots of a result as SVG or PDF (or PNG), in the look of a journal: one column wide, small sans-serif, no frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_biofm.analyses.description import Curve, Plot
from napari_biofm.files import atomic_write
from napari_biofm.signals.display.scales import round_length
from napari_biofm.types import BiofmError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ENDINGS = (".svg", ".pdf", ".png")
COLOURS = ("#222222", "#cc6677", "#4477aa", "#228833", "#ccbb44", "#aa3377", "#66ccee")
FAINT = "#b0b0b0"
MOST_NAMES = 60  # that stand at a matrix
WIDTH_IN, HEIGHT_IN = 3.35, 2.3  # 85 mm, one column; height of one plot
_STYLE = {
    "font.family": "sans-serif", "font.sans-serif": ["Arial", "Helvetica", "DejaVu Sans"], "font.size": 7,
    "axes.labelsize": 7, "axes.titlesize": 7, "xtick.labelsize": 6, "ytick.labelsize": 6, "legend.fontsize": 6,
    "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6, "lines.linewidth": 0.9,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False,
    "svg.fonttype": "none", "pdf.fonttype": 42, "svg.hashsalt": "napari-biofm",
}  # fmt: skip


def save_figure(path: Path, plots: Sequence[Plot]) -> None:
    """Write plots, one below the other, whole or not at all; text stays text that can be edited.

    Parameters
    ----------
    path : ending in .svg, .pdf or .png.
    plots : at least one.

    Raises
    ------
    BiofmError
        If there is nothing to draw, the ending is another one, or matplotlib is missing.
    """
    if path.suffix.lower() not in ENDINGS:
        raise BiofmError(f"{path.name}: figures are written as {', '.join(ENDINGS)}")
    if not plots:
        raise BiofmError(f"{path.name}: this analysis draws nothing")
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise BiofmError("figures need matplotlib: pip install 'napari-biofm[figures]'") from error
    ending = path.suffix.lower()[1:]
    with rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN * len(plots)), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(plots), 1, squeeze=False)[:, 0]
        for one, plot in zip(axes, plots, strict=True):
            _draw(one, plot)
        metadata = {"Date": None} if ending == "svg" else {"CreationDate": None} if ending == "pdf" else {}
        with atomic_write(path) as partial, partial.open("wb") as file:
            figure.savefig(file, format=ending, dpi=300, metadata=metadata)


def _draw(axes: Axes, plot: Plot) -> None:
    if plot.matrix is not None:
        _matrix(axes, plot, plot.matrix)
        return
    strong = 0
    for curve in plot.curves:
        strong -= curve.like_former and strong > 0
        colour = FAINT if curve.faint else COLOURS[strong % len(COLOURS)]
        strong += not curve.faint
        _curve(axes, curve, colour)
    if any(curve.name for curve in plot.curves):
        axes.legend(loc="best")
    if plot.title:
        axes.set_title(plot.title)
    across, up = plot.labels
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    if all(np.issubdtype(np.asarray(curve.x).dtype, np.integer) for curve in plot.curves):
        axes.locator_params(axis="x", integer=True)
    if plot.y_range is not None:
        axes.set_ylim(*plot.y_range)
    if plot.scale_bars:
        _scale_bars(axes, plot)


def _matrix(axes: Axes, plot: Plot, matrix: NDArray[np.float64]) -> None:
    """Draw a matrix as colours with its scale; names stand beside it where there is room for them."""
    low, high = plot.matrix_range
    drawn = axes.imshow(matrix, cmap="RdBu_r", vmin=low, vmax=high, interpolation="nearest", aspect="equal")
    across, up = plot.labels
    figure = axes.get_figure()
    if figure is not None:
        figure.colorbar(drawn, ax=axes, shrink=0.8, label=up)
    axes.set_xlabel(across)
    if 0 < len(plot.names) <= MOST_NAMES:
        size = min(6.0, 130 / len(plot.names))
        axes.set_xticks(range(len(plot.names)), plot.names, rotation=90, fontsize=size)
        axes.set_yticks(range(len(plot.names)), plot.names, fontsize=size)
    if plot.title:
        axes.set_title(plot.title)


def _curve(axes: Axes, curve: Curve, colour: str) -> None:
    x, y, label = np.asarray(curve.x), np.asarray(curve.y), curve.name or None
    order = 1 if curve.faint else 2
    if curve.style == "band" and curve.high is not None:
        axes.fill_between(x, y, curve.high, color=colour, alpha=0.3, lw=0, label=label, zorder=0)
    elif curve.style == "bars":
        width = float(np.min(np.diff(np.sort(x)))) if len(x) > 1 else 1.0
        axes.bar(x, y, 0.95 * width, color=colour, label=label, zorder=order)
    elif curve.style == "steps":
        axes.step(x, y, where="post", color=colour, label=label, zorder=order)
    else:
        line = "none" if curve.style == "points" else "-"
        mark = "" if curve.style == "line" else "o"
        axes.errorbar(
            x, y, yerr=curve.error, color=colour, ls=line, marker=mark, ms=3, mew=0, capsize=1.5, elinewidth=0.6,
            label=label, zorder=order,
        )  # fmt: skip


def _scale_bars(axes: Axes, plot: Plot) -> None:
    """Replace both axes by an L of round lengths at the lower right."""
    axes.set_axis_off()
    (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
    width, height = round_length(x1 - x0), round_length(y1 - y0)
    bottom = y0 - 0.12 * (y1 - y0)
    axes.set_ylim(bottom - 0.1 * (y1 - y0), y1)
    axes.plot([x1 - width, x1, x1], [bottom, bottom, bottom + height], color=COLOURS[0], lw=1)
    axes.annotate(
        f"{width:g} {plot.x_unit}",
        (x1 - width / 2, bottom),
        (0, -2),
        textcoords="offset points",
        ha="center",
        va="top",
    )
    axes.text(x1, bottom + height / 2, f" {height:g} {plot.y_unit}", ha="left", va="center")
