"""The cells as a cloud of points: colour is class, a lasso selects, a click gives the class.

Points are drawn into one small picture of the size of the plot, so that 100,000 cells cost as much as 1,000.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_biofm.widgets.common.qt_parts import timer

NO_CLASS = (150, 150, 150, 140)
REACH = 10  # pixels a click may miss a point by
VERTICES = 96  # of a lasso, at most


class LassoBox(pg.ViewBox):
    """Left drag draws a lasso, middle or right drag moves and zooms as ever."""

    drawn = Signal(object)  # (n, 2) polygon in plot coordinates

    def __init__(self) -> None:
        super().__init__(enableMenu=False)
        self._path: list[tuple[float, float]] = []
        self._line = pg.PlotCurveItem(pen=pg.mkPen("#d98e04", width=1))
        self._line.setZValue(20)
        self.addItem(self._line, ignoreBounds=True)

    def mouseDragEvent(self, ev: Any, axis: int | None = None) -> None:
        if ev.button() != Qt.MouseButton.LeftButton:
            super().mouseDragEvent(ev, axis)
            return
        ev.accept()
        if ev.isStart():
            self._add(ev.buttonDownPos())
        self._add(ev.pos())
        self._line.setData(*np.asarray(self._path).T)
        if ev.isFinish():
            polygon, self._path = np.asarray(self._path), []
            self._line.setData([], [])
            if len(polygon) > 2:
                self.drawn.emit(polygon)

    def _add(self, position: QPointF) -> None:
        point = self.mapToView(position)
        self._path.append((point.x(), point.y()))


class Scatter(QWidget):
    """Points (n, 2) with a colour code each."""

    lassoed = Signal(object)  # rows
    clicked = Signal(int)  # row
    hovered = Signal(int)  # row, -1 where there is none

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.box = LassoBox()
        self.plot = pg.PlotWidget(viewBox=self.box)
        self.plot.setMinimumHeight(180)
        self.plot.setBackground(None)  # napari's theme shows through
        self.plot.setToolTip("Drag a lasso to select cells; click a point to select its cell.")
        self.picture = pg.ImageItem(axisOrder="row-major")
        self.box.addItem(self.picture, ignoreBounds=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot)
        self.points: NDArray[np.float32] = np.zeros((0, 2), np.float32)
        self.codes: NDArray[np.uint8] = np.zeros(0, np.uint8)
        self.selected: NDArray[np.int64] = np.zeros(0, np.int64)
        self.palette_rgba = np.zeros((256, 4), np.uint8)
        self.palette_rgba[:] = NO_CLASS
        self._soon = timer(self, 0, self._draw_now)
        self.box.drawn.connect(self._lasso)
        self.box.sigRangeChanged.connect(self.draw)
        self.box.sigResized.connect(self.draw)
        self.plot.scene().sigMouseClicked.connect(self._click)
        self.plot.scene().sigMouseMoved.connect(self._hover)

    def set_points(self, points: NDArray[np.float32], names: tuple[str, str]) -> None:
        """Show other points, all of them in view."""
        self.points = np.asarray(points, np.float32)
        self.codes = np.zeros(len(points), np.uint8)
        self.selected = np.zeros(0, np.int64)
        self.plot.setLabel("bottom", escape(names[0]))
        self.plot.setLabel("left", escape(names[1]))
        finite = self.points[np.isfinite(self.points).all(1)]
        if len(finite):
            low, high = np.quantile(finite, (0.002, 0.998), axis=0)
            margin = np.maximum((high - low) * 0.06, 1e-6)
            low, high = low - margin, high + margin
            self.box.setRange(QRectF(low[0], low[1], high[0] - low[0], high[1] - low[1]), padding=0)
        self.draw()

    def set_colours(self, codes: NDArray[np.uint8], colours: list[str]) -> None:
        """Colour each point by its code: 0 none, 1 .. n class, 255 unknown."""
        if len(codes) != len(self.points):
            return
        self.codes = codes
        self.palette_rgba[:] = NO_CLASS
        for i, colour in enumerate(colours):
            self.palette_rgba[i + 1] = QColor(colour).getRgb()
        self.palette_rgba[255] = (90, 90, 90, 255)
        self.draw()

    def set_selected(self, rows: NDArray[np.int64]) -> None:
        """Mark points with a white ring."""
        self.selected = rows[rows < len(self.points)]
        self.draw()

    def draw(self, *_: Any) -> None:
        """Draw the points in view into the picture, once for all that changes at the same moment."""
        if self.isVisible():  # else drawn when it is shown
            self._soon.start()

    def _draw_now(self) -> None:
        width, height = int(self.box.width()), int(self.box.height())
        if width < 4 or height < 4 or not len(self.points):
            self.picture.clear()
            return
        (x0, x1), (y0, y1) = self.box.viewRange()
        scale = np.asarray([width / max(x1 - x0, 1e-12), height / max(y1 - y0, 1e-12)])
        with np.errstate(invalid="ignore"):
            at = np.nan_to_num((self.points - (x0, y0)) * scale, nan=-9, posinf=-9, neginf=-9)
        at = np.clip(at, -9, max(width, height) + 9).astype(np.int32)
        big = 2 if len(self.points) < 3000 else 1
        canvas = np.zeros((height, width, 4), np.uint8)
        drawn = stamp(at, self.codes, (height, width), _disc(big))
        canvas[drawn > 0] = self.palette_rgba[drawn[drawn > 0] - 1]
        if len(self.selected):
            ring = stamp(
                at[self.selected], np.zeros(len(self.selected), np.uint8), (height, width), _ring(big)
            )
            canvas[ring > 0] = 255
        self.picture.setImage(canvas, autoLevels=False, levels=(0, 255))
        self.picture.setRect(QRectF(x0, y0, x1 - x0, y1 - y0))

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self.draw()

    def _lasso(self, polygon: NDArray[np.float64]) -> None:
        self.lassoed.emit(inside_polygon(self.points, polygon))

    def _click(self, event: Any) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            row = self._near(event.scenePos())
            if row >= 0:
                self.clicked.emit(row)

    def _hover(self, position: QPointF) -> None:
        self.hovered.emit(self._near(position))

    def _near(self, scene_position: QPointF) -> int:
        if not len(self.points):
            return -1
        point = self.box.mapSceneToView(scene_position)
        px, py = self.box.viewPixelSize()
        distance = ((self.points - (point.x(), point.y())) / (max(px, 1e-12), max(py, 1e-12))) ** 2
        total = np.nan_to_num(distance.sum(1), nan=np.inf)
        row = int(total.argmin())
        return row if total[row] <= REACH**2 else -1


def stamp(
    at: NDArray[np.int32],
    codes: NDArray[np.uint8],
    shape: tuple[int, int],
    offsets: Sequence[tuple[int, int]],
) -> NDArray[np.uint16]:
    """Draw every point as a small shape and return code + 1 by pixel, 0 where there is none.

    Points are set once, then the picture is shifted: 100,000 points cost little more than 1,000. Classes lie
    above what has none, later points above earlier ones, later offsets above earlier ones.

    Parameters
    ----------
    at : (n, 2) pixels x, y, also outside. codes : (n,). shape : (height, width) of the picture.
    offsets : (dy, dx) of the pixels of the shape.
    """
    height, width = shape
    reach = max(max(abs(dy), abs(dx)) for dy, dx in offsets)
    points = np.zeros((height + 2 * reach, width + 2 * reach), np.uint16)
    x, y = at[:, 0] + reach, at[:, 1] + reach
    inside = (x >= 0) & (x < points.shape[1]) & (y >= 0) & (y < points.shape[0])
    for rows in (np.flatnonzero(inside & (codes == 0)), np.flatnonzero(inside & (codes > 0))):
        points[y[rows], x[rows]] = codes[rows].astype(np.uint16) + 1
    picture = np.zeros(shape, np.uint16)
    for dy, dx in offsets:
        shifted = points[reach - dy : reach - dy + height, reach - dx : reach - dx + width]
        np.copyto(picture, shifted, where=shifted > 0)
    return picture


def _disc(big: int) -> list[tuple[int, int]]:
    side = range(-big, big + 1)
    return [(dy, dx) for dy in side for dx in side if big == 1 or abs(dx) + abs(dy) < 4]


def _ring(big: int) -> list[tuple[int, int]]:
    reach = big + 1
    side = range(-reach, reach + 1)
    return [(dy, dx) for dy in side for dx in side if max(abs(dy), abs(dx)) == reach]


def inside_polygon(points: NDArray[np.floating], polygon: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the rows of `points` (n, 2) inside a closed polygon (m, 2), by counting crossings."""
    if len(polygon) > VERTICES:
        polygon = polygon[np.linspace(0, len(polygon) - 1, VERTICES).astype(int)]
    low, high = polygon.min(0), polygon.max(0)
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero(((points >= low) & (points <= high)).all(1))
    x, y = points[rows, 0].astype(float), points[rows, 1].astype(float)
    inside = np.zeros(len(rows), bool)
    for (xa, ya), (xb, yb) in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        if ya == yb:
            continue
        crosses = (ya > y) != (yb > y)
        inside ^= crosses & (x < (xb - xa) * (y - ya) / (yb - ya) + xa)
    return rows[inside]
