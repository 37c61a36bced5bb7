"""Curves that ask for their points when the view changes, and the view itself: wheel, drag, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor

from napari_biofm.signals.display import Line
from napari_biofm.signals.display.scales import zoomed
from napari_biofm.signals.display.source import bar_rectangles

Supplier = Callable[[float, float, int], Line | None]  # (start s, stop s, pixels) -> points


class LazyCurve(pg.PlotCurveItem):
    """A curve whose points come from `supplier` for what is in view, and only when that changes.

    Parameters
    ----------
    supplier : (start, stop, pixels) -> times and values, NaN breaks the line.
    pen : one pixel wide; wider pens are several times slower.
    """

    def __init__(self, supplier: Supplier, pen: Any, **options: Any) -> None:
        super().__init__(pen=pg.mkPen(pen, width=1), antialias=False, skipFiniteCheck=False, **options)
        self._supplier = supplier
        self._shown: tuple[float, float, int, float, float] | None = None
        self._bars: Any = None
        self._brush = pg.mkBrush(pen)

    def viewRangeChanged(self) -> None:
        """Ask for new points if the span in view is another one."""
        self.refresh()

    def viewTransformChanged(self) -> None:
        """Ask for new points if the view was resized: a bar that was a pixel high would vanish."""
        super().viewTransformChanged()
        self.refresh()

    def boundingRect(self) -> QRectF:
        """Return what is in view: the points never reach beyond it, and to look for their ends takes time."""
        view = self.getViewBox()
        return view.viewRect() if isinstance(view, pg.ViewBox) else super().boundingRect()

    def refresh(self, force: bool = False) -> None:
        """Draw what is in view; with `force` even if it was drawn before."""
        view = self.getViewBox()
        if not isinstance(view, pg.ViewBox) or not self.isVisible():
            return
        (start, stop), (low, high) = view.viewRange()
        pixels = max(int(view.width()), 16)
        shown = (start, stop, pixels, high - low, view.height())
        if not force and shown == self._shown:
            return
        line = self._supplier(start, stop, pixels)
        if line is None:
            return
        self._shown = shown
        self._bars = self._make_bars(line, view) if line.bars else None
        # NaN breaks the line between sweeps
        broken = not line.bars and bool(np.isnan(line.values).any())
        self.setData(line.times, line.values, connect="finite" if broken else "all")

    def paint(self, painter: Any, option: Any, widget: Any) -> None:
        """Paint bars as filled rectangles, half the work of a line through the same points."""
        if self._bars is None:
            super().paint(painter, option, widget)
            return
        painter.setRenderHint(painter.RenderHint.Antialiasing, False)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._brush)
        painter.drawRects(*self._bars.drawargs())

    def _make_bars(self, line: Line, view: pg.ViewBox) -> Any:
        """Return one rectangle per bin, at least a pixel high, as Qt paints them fastest."""
        (_, _), (y0, y1) = view.viewRange()
        rectangles = bar_rectangles(line, (y1 - y0) / max(view.height(), 1))
        array = pg.Qt.internals.PrimitiveArray(QRectF, 4)
        array.resize(len(rectangles))
        array.ndarray()[:] = rectangles
        return array

    def forget(self) -> None:
        """Draw again at the next change, e.g. after the data changed."""
        self._shown = None


class TraceViewBox(pg.ViewBox):
    """Wheel zooms time about the mouse (Ctrl: the y axis, Shift: pans), drag zooms to a box.

    The middle button pans. `stepped` is emitted before each zoom, so that the plots can remember where
    they were.
    """

    stepped = Signal()
    clicked = Signal(float, float, object)  # time, value, mouse event
    double_clicked = Signal(float, float, object)

    def __init__(self, selection_colour: Any = "#4da3ff") -> None:
        super().__init__(enableMenu=False)
        self.setMouseMode(pg.ViewBox.RectMode)
        colour = QColor(selection_colour)
        self.rbScaleBox.setPen(pg.mkPen(colour))
        colour.setAlpha(50)
        self.rbScaleBox.setBrush(pg.mkBrush(colour))

    def wheelEvent(self, event: Any, axis: int | None = None) -> None:
        """Zoom or pan by the wheel."""
        event.accept()
        steps = event.delta() / 120.0
        self.stepped.emit()
        modifiers = event.modifiers()
        (x0, x1), (y0, y1) = self.viewRange()
        if modifiers & Qt.KeyboardModifier.ShiftModifier:
            self.setXRange(*(v - 0.1 * steps * (x1 - x0) for v in (x0, x1)), padding=0)
            return
        factor = 0.8**steps
        at = self.mapSceneToView(event.scenePos())
        if modifiers & Qt.KeyboardModifier.ControlModifier or axis == 1:
            self.setYRange(*zoomed((y0, y1), at.y(), factor), padding=0)
        else:
            self.setXRange(*zoomed((x0, x1), at.x(), factor), padding=0)

    def mouseDragEvent(self, event: Any, axis: int | None = None) -> None:
        """Left: a box to zoom to, its height kept with Shift. Middle: pan."""
        if event.button() == Qt.MouseButton.LeftButton and axis is None:
            event.accept()
            if not event.isFinish():
                self.updateScaleBox(event.buttonDownPos(), event.pos())
                return
            self.rbScaleBox.hide()
            box = self.childGroup.mapRectFromParent(
                pg.QtCore.QRectF(pg.Point(event.buttonDownPos()), pg.Point(event.pos()))
            ).normalized()
            if box.width() <= 0:
                return
            self.stepped.emit()
            self.setXRange(box.left(), box.right(), padding=0)
            if box.height() > 0 and not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
                self.setYRange(box.top(), box.bottom(), padding=0)
            return
        if event.isStart():
            self.stepped.emit()
        super().mouseDragEvent(event, axis)

    def mouseClickEvent(self, event: Any) -> None:
        """Say where the trace was clicked."""
        if event.button() != Qt.MouseButton.LeftButton:
            return
        at: QPointF = self.mapSceneToView(event.scenePos())
        event.accept()
        (self.double_clicked if event.double() else self.clicked).emit(at.x(), at.y(), event)


def vertical_line(
    colour: str, *, at: float = 0.0, hover: str = "", dotted: bool = False, **options: Any
) -> pg.InfiniteLine:
    """Return a line at a place on the time axis, one pixel wide; `hover` is its colour under the mouse."""
    style = Qt.PenStyle.DotLine if dotted else Qt.PenStyle.SolidLine
    return pg.InfiniteLine(
        at, pen=pg.mkPen(colour, width=1, style=style), hoverPen=pg.mkPen(hover or colour, width=1), **options
    )


def detach(item: Any) -> None:
    """Take an item out of its view; nothing happens if the view was deleted before."""
    try:
        view = item.getViewBox() if item.scene() is not None else None
    except RuntimeError:
        return  # went with its plot
    if isinstance(view, pg.ViewBox):
        view.removeItem(item)
