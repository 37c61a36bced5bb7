"""Buttons and shortcuts in one line each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QPushButton, QShortcut, QWidget


def push_button(text: str, tip: str) -> QPushButton:
    """Return a push button with what it says under the mouse."""
    one = QPushButton(text)
    one.setToolTip(tip)
    return one


def button(text: str, tip: str, on_click: Callable[..., Any], *, checkable: bool = False) -> QPushButton:
    """Return a push button that takes no focus.

    Parameters
    ----------
    text, tip : what it says, and says under the mouse.
    on_click : called at each click; of a checkable button with whether it is on.
    """
    one = push_button(text, tip)
    one.setCheckable(checkable)
    one.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    (one.toggled if checkable else one.clicked).connect(on_click)
    return one


def shortcut(parent: QWidget, keys: str, call: Callable[..., Any]) -> QShortcut:
    """Bind keys to a call while `parent` or a widget in it has the focus."""
    one = QShortcut(QKeySequence(keys), parent)
    one.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
    one.activated.connect(call)
    return one
