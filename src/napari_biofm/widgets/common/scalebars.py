"""Scale bars in place of axes, with round lengths that follow the zoom."""

from __future__ import annotations

from typing import Any

import pyqtgraph as pg

from napari_biofm.signals.display.scales import round_length, with_prefix


class ScaleBar:
    """An L of a round time and a round amplitude at the lower right of a view.

    Parameters
    ----------
    view : view box it is drawn in.
    unit : of the y axis.
    colour : of lines and text.
    across : unit of the x axis; seconds are written with the prefix people use.
    """

    def __init__(self, view: pg.ViewBox, unit: str, colour: str, across: str = "s") -> None:
        self._view = view
        self._unit, self._across = unit, across
        self._line = pg.PlotCurveItem(pen=pg.mkPen(colour, width=1))
        self._along = pg.TextItem(color=colour, anchor=(0.5, 0.0))
        self._up = pg.TextItem(color=colour, anchor=(0.0, 0.5))
        for item in (self._line, self._along, self._up):
            view.addItem(item, ignoreBounds=True)
        view.sigRangeChanged.connect(self.update)
        self.update()

    @property
    def text(self) -> tuple[str, str]:
        """Return the lengths as written."""
        return self._along.toPlainText(), self._up.toPlainText()

    def update(self, *_: Any) -> None:
        """Follow the view."""
        (x0, x1), (y0, y1) = self._view.viewRange()
        width, height = round_length(x1 - x0), round_length(y1 - y0)
        self._up.setText(f"{height:g} {self._unit}")
        room = (self._up.boundingRect().width() + 4) / max(self._view.width(), 1)  # for the text beside it
        right, bottom = x1 - max(0.08, min(room, 0.5)) * (x1 - x0), y0 + 0.22 * (y1 - y0)
        self._line.setData([right - width, right, right], [bottom, bottom, bottom + height])
        self._along.setText(with_prefix(width) if self._across == "s" else f"{width:g} {self._across}")
        self._along.setPos(right - width / 2, bottom)
        self._up.setPos(right, bottom + height / 2)
