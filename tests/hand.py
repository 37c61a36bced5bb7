"""A hand for tests: real mouse events on napari's canvas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

MOVE_INTERVAL = 15  # ms; vispy drops moves within 10 ms of each other, napari waits 5 ms to pass one on
BUTTONS = {"left": Qt.MouseButton.LeftButton, "right": Qt.MouseButton.RightButton}


def canvas_of(viewer: Any) -> Any:
    """Return the QWidget the canvas draws on."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return viewer.window._qt_viewer.canvas.native


def to_canvas(viewer: Any, point: Sequence[float]) -> QPointF:
    """Return where a world point (of the shown plane: y, x last) lies on the canvas, in pixels."""
    canvas = canvas_of(viewer)
    centre = np.asarray(viewer.scene.camera.center[-2:], float)
    offset = (np.asarray(point, float)[-2:] - centre) * viewer.scene.camera.zoom
    return QPointF(canvas.width() / 2 + offset[1], canvas.height() / 2 + offset[0])


def _send(canvas: Any, kind: Any, at: QPointF, button: Any, held: Any, modifiers: Any) -> None:
    everywhere = QPointF(canvas.mapToGlobal(at.toPoint()))
    event = QMouseEvent(kind, at, everywhere, button, held, modifiers)
    QApplication.sendEvent(canvas, event)
    if kind == QMouseEvent.Type.MouseMove:
        QTest.qWait(MOVE_INTERVAL)


def drag(
    viewer: Any,
    points: Sequence[Any],
    button: str = "left",
    modifiers: Any = (),
    moved: Callable[[QPointF], None] | None = None,
) -> None:
    """Press at the first point, move over the others, release at the last; one point is a click.

    `moved` is called after each move with where it went, e.g. to film it.
    """
    canvas = canvas_of(viewer)
    keys = Qt.KeyboardModifier.NoModifier
    for modifier in modifiers:
        keys |= getattr(Qt.KeyboardModifier, f"{modifier}Modifier")
    held, none = BUTTONS[button], Qt.MouseButton.NoButton
    places = [to_canvas(viewer, p) for p in points]
    kind = QMouseEvent.Type
    _send(canvas, kind.MouseMove, places[0], none, none, keys)
    _send(canvas, kind.MouseButtonPress, places[0], held, held, keys)
    for place in places[1:]:
        _send(canvas, kind.MouseMove, place, none, held, keys)
        if moved is not None:
            moved(place)
    _send(canvas, kind.MouseButtonRelease, places[-1], held, none, keys)
    QApplication.processEvents()


def hover(viewer: Any, point: Any) -> None:
    """Move the mouse to a point without a button."""
    none = Qt.MouseButton.NoButton
    _send(
        canvas_of(viewer),
        QMouseEvent.Type.MouseMove,
        to_canvas(viewer, point),
        none,
        none,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.processEvents()


def settle(viewer: Any) -> None:
    """Wait until the canvas has its size, then show everything."""
    canvas, sizes = canvas_of(viewer), [None, None, None]
    for _ in range(50):
        QTest.qWait(20)
        sizes = [*sizes[1:], (canvas.width(), canvas.height())]
        if len(set(sizes)) == 1:
            break
    viewer.reset_view()
    QTest.qWait(20)
