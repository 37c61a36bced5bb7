"""Parts of Qt widgets that PyQt's annotations call optional, and timers in one line."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QWidget

T = TypeVar("T")
_KEPT: set[Callable[..., None]] = set()


def there(part: T | None) -> T:
    """Return a part that a widget always has: its header, selection model, viewport, or an item that was put in.

    Raises
    ------
    LookupError : if it is not there, which is a mistake of ours.
    """
    if part is None:
        raise LookupError("a part of a widget was asked for that is not there")
    return part


def timer(
    parent: QObject, ms: int, call: Callable[..., Any] | None = None, *, repeats: bool = False
) -> QTimer:
    """Return a timer, not started; it calls once per start, or until it is stopped where it `repeats`."""
    one = QTimer(parent)
    one.setInterval(ms)
    one.setSingleShot(not repeats)
    if call is not None:
        one.timeout.connect(call)
    return one


def when_destroyed(one: QObject, call: Callable[..., None], *parts: Any) -> None:
    """Call a function with `parts` (None for those that are gone by then) when Qt destroys an object.

    It is kept here and holds its parts weakly: where the garbage collector destroys an object, it has emptied the
    functions that only the object held, and calling one of those ends the process.
    """
    weak = [weakref.ref(part) for part in parts]

    def gone(*_: Any) -> None:
        _KEPT.discard(gone)
        call(*(part() for part in weak))

    _KEPT.add(gone)
    one.destroyed.connect(gone)


class Closing(QWidget):
    """A widget that ends with its frame: the cross of napari's docks takes it out of the window and deletes it not."""

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            timer(self, 0, self._end_alone).start()

    def _end_alone(self) -> None:
        with suppress(RuntimeError):
            if self.parent() is None and not self.isVisible():
                self.deleteLater()
