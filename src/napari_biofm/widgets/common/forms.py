"""Boxes, notes and rows of a form in one line each."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QFormLayout, QHBoxLayout, QLabel, QWidget


def choice(items: Iterable[str], tip: str) -> QComboBox:
    """Return a list to choose from."""
    box = QComboBox()
    box.addItems(list(items))
    box.setToolTip(tip)
    return box


def number(
    value: float, low: float, high: float, tip: str, *, suffix: str = "", decimals: int = 3, lowest: str = ""
) -> QDoubleSpinBox:
    """Return a box for a number; `lowest` is shown in place of the lowest one, e.g. "Off"."""
    box = QDoubleSpinBox()
    box.setRange(low, high)
    box.setDecimals(decimals)
    box.setValue(value)
    box.setSuffix(suffix)
    box.setSpecialValueText(lowest)
    box.setToolTip(tip)
    return box


def words(text: str = "") -> QLabel:
    """Return a label whose text is shown as it is: names of files and layers are no HTML."""
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def as_tip(text: str) -> str:
    """Return a text as a tooltip shows it unchanged; Qt takes what looks like HTML for it."""
    return f"<qt>{html.escape(text)}</qt>" if "<" in text or "&" in text else text


def note(text: str = "", *, selectable: bool = False, rich: bool = False) -> QLabel:
    """Return a label that wraps its text.

    Parameters
    ----------
    text : shown first.
    selectable : where somebody may want to copy it.
    rich : whether it is HTML, whose parts from outside are escaped.
    """
    label = words(text)
    if rich:
        label.setTextFormat(Qt.TextFormat.RichText)
    label.setWordWrap(True)
    if selectable:
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def form(rows: Iterable[tuple[str, QWidget]]) -> QFormLayout:
    """Return a layout of named widgets, one below the other."""
    layout = QFormLayout()
    for name, widget in rows:
        layout.addRow(name, widget)
    return layout


def row(
    *parts: QWidget | str | None, stretched: QWidget | None = None, spacing: int | None = None
) -> QHBoxLayout:
    """Return widgets side by side; text becomes a label, None room that stretches, as does `stretched`."""
    layout = QHBoxLayout()
    if spacing is not None:
        layout.setSpacing(spacing)
    for part in parts:
        if part is None:
            layout.addStretch(1)
        else:
            widget: Any = words(part) if isinstance(part, str) else part
            layout.addWidget(widget, 1 if part is stretched else 0)
    return layout
