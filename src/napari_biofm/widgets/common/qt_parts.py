"""Parts of Qt widgets that PyQt's annotations call optional, and timers in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from qtpy.QtCore import QObject, QTimer

T = TypeVar("T")


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
