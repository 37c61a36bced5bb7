"""Buttons and shortcuts in one line each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QPushButton, QShortcut, QWidget

from napari_biofm.widgets.common.forms import as_tip

TIP = "biofm_tip"  # property: what a tooltip says while the widget is on
BUSY = "Off until the running job has ended."


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


def enable(widget: QWidget, on: bool, why: str = BUSY, *, tip: str | None = None) -> None:
    """Switch a widget on or off; while it is off, its tooltip says why before it says what it does.

    `tip` is what it does, where that changed; else what the tooltip said at first.
    """
    tip = tip or widget.property(TIP) or widget.toolTip()
    widget.setProperty(TIP, tip)
    widget.setEnabled(on)
    widget.setToolTip(as_tip(tip if on else f"{why} {tip}".strip()))


def shortcut(parent: QWidget, keys: str, call: Callable[..., Any]) -> QShortcut:
    """Bind keys to a call while `parent` or a widget in it has the focus."""
    one = QShortcut(QKeySequence(keys), parent)
    one.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
    one.activated.connect(call)
    return one
