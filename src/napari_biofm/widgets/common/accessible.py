"""Names that a screen reader says for boxes, sliders and lists, taken from what is written beside them."""

from __future__ import annotations

from collections.abc import Iterator

from qtpy.QtWidgets import (
    QAbstractItemView,
    QAbstractSpinBox,
    QComboBox,
    QFormLayout,
    QLineEdit,
    QSlider,
    QWidget,
)

NAMED = (QComboBox, QAbstractSpinBox, QSlider, QLineEdit, QAbstractItemView)


def parts_to_name(dock: QWidget) -> Iterator[QWidget]:
    """Yield the parts of a dock that have no text of their own."""
    for kind in NAMED:
        for part in dock.findChildren(kind):
            holder = (
                part.parentWidget()
            )  # the line of a spin box, the number of a slider: named with their holder
            if not isinstance(holder, NAMED) and not type(holder).__module__.startswith("superqt"):
                yield part


def name_parts(dock: QWidget) -> None:
    """Name every part by its label in a form, else by the first sentence of its tooltip or its placeholder."""
    label_of, field_of = QFormLayout.ItemRole.LabelRole, QFormLayout.ItemRole.FieldRole
    for form in dock.findChildren(QFormLayout):
        for row in range(form.rowCount()):
            label, field = (form.itemAt(row, role) for role in (label_of, field_of))
            words = "" if label is None else getattr(label.widget(), "text", str)()
            part = None if field is None else field.widget()
            if words and part is not None:
                part.setAccessibleName(words)
    for part in parts_to_name(dock):
        if not part.accessibleName():
            placeholder = part.placeholderText() if isinstance(part, QLineEdit) else ""
            part.setAccessibleName(placeholder or tip_of(part).partition(". ")[0])


def tip_of(part: QWidget) -> str:
    """Return the tooltip of a part, or of the nearest thing around it that has one."""
    holder: QWidget | None = part
    while holder is not None:
        for one in (holder, *holder.findChildren(QWidget)):
            if one.toolTip():
                return one.toolTip()
        holder = holder.parentWidget()
    return ""
