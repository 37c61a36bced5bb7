"""The dialog before an NWB export: the experiment and the animal, all of it optional."""

from __future__ import annotations

from dataclasses import replace

from qtpy.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QLineEdit, QVBoxLayout, QWidget

from napari_biofm.controllers.common.nwb_about import remember_about, remembered_about
from napari_biofm.signals.nwb_about import FIELDS, SEXES, NwbAbout, nwb_about
from napari_biofm.types import BiofmError
from napari_biofm.widgets.common.forms import choice, form, note

HOW = "Empty lines are left out of the file. What stands here comes from {source}: change what does not hold."


class NwbDialog(QDialog):
    """Asks for the fields, and does not close before they are as NWB wants them.

    Parameters
    ----------
    parent : dock that exports.
    known : what the open file says; what was said last stands in the form where it says nothing.
    """

    def __init__(self, parent: QWidget | None, known: NwbAbout) -> None:
        super().__init__(parent)
        self.setWindowTitle("NWB: experiment and animal")
        self.about = NwbAbout()
        from_file = set(known.given) - {"session_description"}  # which every NWB file has
        shown = known if from_file else replace(remembered_about(), **known.given)
        source = "the open file" if from_file else "your last export"
        self.boxes: dict[str, QLineEdit | QComboBox] = {}
        for name, (_, tip) in FIELDS.items():
            value = shown.given.get(name, "")
            box = choice(("", *SEXES), tip) if name == "sex" else QLineEdit(value)
            if isinstance(box, QComboBox):
                box.setCurrentText(value)
            else:
                box.setPlaceholderText("left out")
                box.setMinimumWidth(320)
            box.setToolTip(tip)
            self.boxes[name] = box
        self.problem = note()
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addWidget(
            note(HOW.format(source=source) if shown.given else "Empty lines are left out of the file.")
        )
        column.addLayout(form((FIELDS[name][0], box) for name, box in self.boxes.items()))
        column.addWidget(self.problem)
        column.addWidget(self.buttons)

    def accept(self) -> None:
        """Check, remember and close; stay open where something is not as NWB wants it."""
        values = {
            name: box.currentText() if isinstance(box, QComboBox) else box.text()
            for name, box in self.boxes.items()
        }
        try:
            self.about = nwb_about(values)
        except BiofmError as error:
            self.problem.setText(str(error))
            return
        remember_about(self.about)
        super().accept()


def ask_about(parent: QWidget | None, known: NwbAbout) -> NwbAbout | None:
    """Return what a person says of the experiment and the animal; None where the export is given up.

    Parameters
    ----------
    parent : dock that exports.
    known : what the open file says.
    """
    dialog = NwbDialog(parent, known)
    try:
        return dialog.about if dialog.exec() == QDialog.DialogCode.Accepted else None
    finally:
        dialog.deleteLater()
