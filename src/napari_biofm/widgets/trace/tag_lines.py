"""Tags of a recording, the comments people left while it ran, as lines in the uppermost plot."""

from __future__ import annotations

import pyqtgraph as pg
from qtpy.QtCore import QObject

from napari_biofm.widgets.common.forms import as_tip
from napari_biofm.widgets.trace.curves import detach, vertical_line
from napari_biofm.widgets.trace.plots import TracePlots


class TagLines(QObject):
    """One dotted line per tag that lies in what is drawn, with its comment.

    Parameters
    ----------
    plots : that the lines are put into.
    """

    def __init__(self, plots: TracePlots) -> None:
        super().__init__(plots)
        self._plots = plots
        self._lines: list[pg.InfiniteLine] = []
        plots.rebuilt.connect(self.update)
        plots.sweep_changed.connect(self.update)

    @property
    def shown(self) -> list[tuple[float, str]]:
        """Place on the time axis (s) and comment of each line."""
        return [(float(line.value()), line.toolTip()) for line in self._lines]

    def update(self, *_: object) -> None:
        """Draw the tags of what is drawn."""
        for line in self._lines:
            detach(line)
        self._lines = []
        if not self._plots.rows:
            return
        for at, tag in self._plots.lines.tag_places():
            self._lines.append(self._line(at, tag.comment))
            self._plots.rows[0].plot.addItem(self._lines[-1], ignoreBounds=True)

    def _line(self, at: float, comment: str) -> pg.InfiniteLine:
        colours = self._plots.colours
        label = {"position": 0.82, "color": colours.foreground, "anchors": [(0, 0), (0, 0)]}
        line = vertical_line(
            colours.foreground, at=at, dotted=True, label=_as_it_is(comment[:40]), labelOpts=label
        )
        line.setToolTip(as_tip(comment))
        line.setZValue(15)
        return line


def _as_it_is(comment: str) -> str:
    """Return a text for a label of pyqtgraph, which takes braces for places of values."""
    return comment.replace("{", "{{").replace("}", "}}")
