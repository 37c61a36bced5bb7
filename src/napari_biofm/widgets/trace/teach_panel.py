"""Teach physio-FM from marked events: the form, and what it gained and lost. Changes nothing itself."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QFileDialog, QLineEdit, QVBoxLayout, QWidget

from napari_biofm.events.physio_fm.head import AdaptedHead
from napari_biofm.events.physio_fm.teaching_report import describe_marks, describe_teaching
from napari_biofm.widgets.common.buttons import button
from napari_biofm.widgets.common.forms import choice, form, note, row
from napari_biofm.widgets.trace.events_panel import KINDS

HOW = (
    "Mark 5 to 50 events: accept the found ones that are right (A), reject those that are none (R), "
    "double-click what was missed. Between the first and the last mark of a sweep, what is not marked counts "
    "as no event."
)
STOCK = "In use: the stock model."
ENDING = "Taught events (*.safetensors)"
LONGEST_NAME = 12  # characters of a class in the table


class TeachPanel(QWidget):
    """Form of the teaching."""

    teach = Signal(str, str, bool)  # kind, new class or "", beside the stock model
    find = Signal()
    stock = Signal()
    save = Signal(object)  # Path
    load = Signal(object)  # Path
    scope_changed = Signal(bool)  # all recordings

    def __init__(self) -> None:
        super().__init__()
        self.marks = note("No marks yet.")
        self.scope = choice(
            ["This recording", "All open recordings"],
            "Where the marks come from. With several recordings or sweeps, each is left out in turn for the score.",
        )
        self.scope.currentIndexChanged.connect(lambda index: self.scope_changed.emit(index == 1))
        self.kind = choice(
            [name for name in KINDS if name != "Single channels"],
            "The kind whose time scale fits the events.",
        )
        self.name = QLineEdit()
        self.name.setMaxLength(LONGEST_NAME)
        self.name.setPlaceholderText("as marked")
        self.name.setToolTip(
            "Name of a new class for all accepted events; empty keeps the classes they have."
        )
        self.beside = QCheckBox("beside the stock events")
        self.beside.setToolTip(
            "Add the taught events to what the stock model finds, instead of replacing it."
        )
        self.teach_button = button("Teach", "Refit on the marks; takes seconds. Can be undone.", self._ask)
        self.find_button = button(
            "Find events", "Look for events with what is in use.", lambda: self.find.emit()
        )
        self.stock_button = button(
            "Back to stock", "Use the stock model again. Can be undone.", lambda: self.stock.emit()
        )
        self.save_button = button("Save...", "Write what was taught as safetensors and JSON.", self._ask_save)
        self.load_button = button("Load...", "Use what was taught before.", self._ask_load)
        self.used, self.report = note(STOCK, selectable=True), note(selectable=True)
        layout = QVBoxLayout(self)
        layout.addWidget(note(HOW))
        layout.addWidget(self.marks)
        layout.addLayout(form((("Marks of", self.scope), ("Kind", self.kind), ("New class", self.name))))
        layout.addWidget(self.beside)
        layout.addLayout(row(self.teach_button, self.find_button))
        layout.addWidget(self.used)
        layout.addWidget(self.report)
        layout.addLayout(row(self.stock_button, self.save_button, self.load_button))
        layout.addStretch(1)
        self.show_head(None)

    def show_marks(self, accepted: int, rejected: int, sweeps: int) -> None:
        """Say how many marks there are to learn from."""
        self.marks.setText(describe_marks(accepted, rejected, sweeps))
        self.teach_button.setEnabled(accepted > 0)

    def show_head(self, head: AdaptedHead | None) -> None:
        """Show what is in use and how good it is; None is the stock model."""
        self.stock_button.setEnabled(head is not None)
        self.save_button.setEnabled(head is not None)
        if head is None:
            self.used.setText(STOCK)
            self.report.setText("")
            return
        relation = "beside" if head.beside else "instead of"
        self.used.setText(f"In use: taught {', '.join(head.classes)}, {relation} the stock events.")
        self.report.setText("\n".join(describe_teaching(head.report, head.beside)))

    def _ask(self) -> None:
        self.teach.emit(KINDS[self.kind.currentText()], self.name.text().strip(), self.beside.isChecked())

    def _ask_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save what was taught", "taught.safetensors", ENDING)
        if path:
            self.save.emit(Path(path))

    def _ask_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load what was taught", "", ENDING)
        if path:
            self.load.emit(Path(path))
