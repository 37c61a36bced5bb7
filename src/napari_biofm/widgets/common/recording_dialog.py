"""Ask for a file, and for what the file does not say: sampling rate, unit, which dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import QMimeData
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QWidget,
)

from napari_biofm.signals import Recording, read_recording
from napari_biofm.signals.readers import find_format
from napari_biofm.signals.readers.arrays import ROWS
from napari_biofm.signals.readers.hdf5 import datasets_of
from napari_biofm.types import RecordingError
from napari_biofm.widgets.common.forms import choice, note, number

FILTER = (
    "Recordings (*.abf *.nwb *.hea *.dat *.h5 *.hdf5 *.npz *.npy *.csv *.tsv *.txt *.mat *.edf *.bdf *.smr "
    "*.wcp *.axgd *.axgx *.atf *.ibw *.pxp *.acq *.tdms);;"
    "Volumes over time (*.nii *.nii.gz);;"
    "All files (*)"
)
UNITS = ("pA", "nA", "mV", "V", "uV", "dF/F", "a.u.")


def files_of(dragged: QMimeData | None) -> list[Path]:
    """Return the files and folders that are dragged, [] where something else is."""
    if dragged is None:
        return []
    return [Path(url.toLocalFile()) for url in dragged.urls() if url.isLocalFile()]


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
        self.setWindowTitle(f"What is in {name}?")
        self.dataset = choice(datasets, "Which dataset of the file holds the signal.")
        self.rate = number(0, 0, 1e8, "Samples (or frames) per second.", suffix=" Hz", decimals=4, lowest="?")
        self.unit = choice(["", *UNITS], "Unit of the numbers in the file.")
        self.unit.setEditable(True)
        self.rows = choice(rows, "What the rows of a two-dimensional signal are.")
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        form = QFormLayout(self)
        form.addRow(note(reason))
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
        file_format = find_format(path)
        if file_format is None or not file_format.explicit or "give" not in str(error):
            raise
        datasets = datasets_of(path) if file_format.name == "HDF5" else []
        rows = ROWS if file_format.name == "NumPy" else ()
        dialog = RateDialog(path.name, str(error), parent, datasets, rows)
        if dialog.exec() != QDialog.DialogCode.Accepted:
            return None
        return read_recording(path, **dialog.answers)  # type: ignore[arg-type]
