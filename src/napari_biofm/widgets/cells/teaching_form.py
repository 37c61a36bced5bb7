"""The upper part of the Cells dock: which cells, which vectors, which classifier, and the classes."""

from __future__ import annotations

from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QVBoxLayout,
    QWidget,
)

from napari_biofm.cells.classify.more_heads import HEADS
from napari_biofm.widgets.cells.classes import ClassesSource, ClassList, TellError
from napari_biofm.widgets.cells.measured_on import Measured, MeasuredOnRow
from napari_biofm.widgets.cells.vectors_menu import VectorsButton, VectorsSource
from napari_biofm.widgets.common.buttons import push_button
from napari_biofm.widgets.common.forms import as_tip, note


class TeachingForm(QWidget):
    """Boxes and buttons; what they do is connected by the dock.

    Parameters
    ----------
    classes, vectors, measured : what is shown. tell_error : shows an error. min_probability : shown at the start.
    """

    def __init__(
        self,
        classes: ClassesSource,
        vectors: VectorsSource,
        tell_error: TellError,
        min_probability: float,
        measured: Measured,
    ) -> None:
        super().__init__()
        self.layer_box = QComboBox()
        self.layer_box.setToolTip("The Labels layer whose cells are classified.")
        self.vectors_box = QComboBox()
        self.vectors_box.setToolTip(
            "What a cell is described by; several embeddings can be used side by side."
        )
        self.measure_button = push_button(
            "Measure cells", "Make the table of cells: shape, intensity and texture of each."
        )
        self.measured_on = MeasuredOnRow(measured)
        self.head_box = QComboBox()
        self.head_box.addItems(list(HEADS))
        self.head_box.setToolTip("Logistic regression learns at each click; the others when you press Train.")
        self.train_button = push_button("Train", "Train the chosen classifier in the background.")
        self.confidence = QDoubleSpinBox()
        self.confidence.setRange(0.0, 0.99)
        self.confidence.setSingleStep(0.05)
        self.confidence.setValue(min_probability)
        self.confidence.setToolTip(
            "Cells whose likeliest class is less probable than this are called unknown."
        )
        self.class_list = ClassList(classes, tell_error)
        self.click_button = push_button(
            "Label by clicking",
            "While down, a click on a cell gives it the chosen class; Shift+click takes the label away. "
            "Up, a click selects the cell.",
        )
        self.click_button.setCheckable(True)
        self.assign_button = push_button(
            "Label selection", "Give the chosen class to the selected cells (or use the class's key)."
        )
        self.undo_button = push_button("Undo", "Take the last label back.")
        self.status = note("")
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Cells", row_of(self.layer_box, self.measure_button))
        form.addRow("Measured on", self.measured_on)
        vectors_row = row_of(self.vectors_box, VectorsButton(vectors))
        vectors_row.setStretch(0, 2)  # names of embeddings are long
        form.addRow("Vectors", vectors_row)
        form.addRow("Classifier", row_of(self.head_box, self.train_button))
        form.addRow("Unknown below", self.confidence)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self.class_list, 1)
        layout.addLayout(row_of(self.click_button, self.assign_button, self.undo_button))
        layout.addWidget(self.status)

    def show_vectors(self, names: list[str], chosen: str) -> None:
        """Offer the embeddings of a table."""
        self.vectors_box.blockSignals(True)
        self.vectors_box.clear()
        self.vectors_box.addItems(names)
        self.vectors_box.setCurrentText(chosen)
        self.vectors_box.blockSignals(False)

    def show_confidence(self, value: float) -> None:
        """Show the probability below which cells are unknown."""
        self.confidence.blockSignals(True)
        self.confidence.setValue(value)
        self.confidence.blockSignals(False)

    def say(self, words: str) -> None:
        """Show a line of text."""
        self.status.setText(words)

    def show_undo(self, name: str) -> None:
        """Say what the undo button would take back."""
        self.undo_button.setEnabled(bool(name))
        self.undo_button.setToolTip(as_tip(f"Take back: {name}" if name else "Nothing to take back."))


def row_of(*widgets: QWidget) -> QHBoxLayout:
    """Return widgets side by side."""
    row = QHBoxLayout()
    row.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        row.addWidget(widget, 1)
    return row
