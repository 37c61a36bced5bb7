"""Scale bars in place of axes, with round lengths that follow the zoom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg


def round_length(span: float) -> float:
    """Return 1, 2 or 5 times a power of ten, about a fifth of `span`.

    Examples
    --------
    >>> round_length(3.0)
    0.5
    """
    if not (np.isfinite(span) and span > 0):
        return 1.0
    power = 10.0 ** np.floor(np.log10(span / 5))
    return float(max(k * power for k in (1, 2, 5) if k * power <= span / 5 * (1 + 1e-9)))


def with_prefix(seconds: float) -> str:
    """Return a time with the prefix people use: s, ms or us."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1 - 1e-9:
            return f"{seconds * factor:g} {unit}"
    return f"{seconds * 1e6:g} us"


class ScaleBar:
    """An L of a round time and a round amplitude at the lower right of a view.

    Parameters
    ----------
    view : view box it is drawn in.
    unit : of the y axis.
    colour : of lines and text.
    """

    def __init__(self, view: pg.ViewBox, unit: str, colour: str) -> None:
        self._view = view
        self._unit = unit
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
        self._along.setText(with_prefix(width))
        self._along.setPos(right - width / 2, bottom)
        self._up.setPos(right, bottom + height / 2)
