"""Ask for a file, and for what the file does not say: sampling rate, unit, which dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QWidget,
)

from napari_biofm.signals import Recording, read_recording
from napari_biofm.signals.readers import find_format
from napari_biofm.signals.readers.arrays import ROWS
from napari_biofm.signals.readers.hdf5 import datasets_of
from napari_biofm.types import RecordingError

FILTER = (
    "Recordings (*.abf *.nwb *.hea *.dat *.h5 *.hdf5 *.npz *.npy *.csv *.tsv *.txt *.mat *.edf *.smr "
    "*.wcp *.axgd);;"
    "All files (*)"
)
UNITS = ("pA", "nA", "mV", "V", "uV", "dF/F", "a.u.")


class RateDialog(QDialog):
    """Asks for what a file does not say; nothing is filled in beforehand."""

    def __init__(
        self,
        name: str,
        reason: str,
        parent: QWidget | None = None,
        datasets: Sequence[str] = (),
        rows: Sequence[str] = (),
    ) -> None:
        super().__init__(parent)
        self.dataset = QComboBox()
        self.dataset.addItems(list(datasets))
        self.dataset.setToolTip("Which dataset of the file holds the signal.")
        self.setWindowTitle(f"What is in {name}?")
        self.rate = QDoubleSpinBox()
        self.rate.setRange(0, 1e8)
        self.rate.setDecimals(4)
        self.rate.setSuffix(" Hz")
        self.rate.setSpecialValueText("?")
        self.rate.setToolTip("Samples (or frames) per second.")
        self.unit = QComboBox()
        self.unit.setEditable(True)
        self.unit.addItems(["", *UNITS])
        self.unit.setToolTip("Unit of the numbers in the file.")
        self.rows = QComboBox()
        self.rows.addItems(list(rows))
        self.rows.setToolTip("What the rows of a two-dimensional signal are.")
        said = QLabel(reason)
        said.setWordWrap(True)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        form = QFormLayout(self)
        form.addRow(said)
        if len(datasets) > 1:
            form.addRow("Dataset", self.dataset)
        form.addRow("Sampling rate", self.rate)
        form.addRow("Unit", self.unit)
        if rows:
            form.addRow("Rows are", self.rows)
        form.addRow(buttons)

    @property
    def answers(self) -> dict[str, float | str]:
        """What was filled in."""
        given: dict[str, float | str] = {}
        if self.rate.value() > 0:
            given["sampling_rate"] = self.rate.value()
        if self.unit.currentText().strip():
            given["unit"] = self.unit.currentText().strip()
        if self.dataset.count() > 1:
            given["dataset"] = self.dataset.currentText()
        if self.rows.count():
            given["rows"] = self.rows.currentText()
        return given


def ask_for_file(parent: QWidget) -> Path | None:
    """Return the file chosen by the user, None if none was."""
    name, _ = QFileDialog.getOpenFileName(parent, "Open a recording", "", FILTER)
    return Path(name) if name else None


def open_asking(path: Path, parent: QWidget | None) -> Recording | None:
    """Open a recording; ask for rate and unit where its format may lack them. None if the user cancels.

    Raises
    ------
    RecordingError
        If the file cannot be read with what was said.
    """
    try:
        return read_recording(path)
    except RecordingError as error:
        form = find_format(path)
        if form is None or not form.explicit or "give" not in str(error):
            raise
        datasets = datasets_of(path) if form.name == "HDF5" else []
        rows = ROWS if form.name == "NumPy" else ()
        dialog = RateDialog(path.name, str(error), parent, datasets, rows)
        if dialog.exec() != QDialog.DialogCode.Accepted:
            return None
        return read_recording(path, **dialog.answers)  # type: ignore[arg-type]
