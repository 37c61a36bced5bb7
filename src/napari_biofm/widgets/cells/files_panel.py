"""Carrying on: save and load classifiers, read labels, export what is seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from qtpy.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from napari_biofm.types import BiofmError, CellsError
from napari_biofm.widgets.cells.classes import TellError
from napari_biofm.widgets.common.forms import note
from napari_biofm.widgets.common.recipe_bar import RecipeBar


class FilesSource(Protocol):
    """Reads and writes the files; each method takes a path."""

    def save_head(self, folder: Path) -> None: ...

    def load_head(self, folder: Path) -> None: ...

    def apply_to_folder(self, images: Path, masks: Path, out: Path) -> None: ...

    def read_labels(self, path: Path) -> None: ...

    def export_csv(self, path: Path) -> None: ...

    def export_h5ad(self, path: Path) -> None: ...


class MasksSource(Protocol):
    """Reads and writes masks of other programs."""

    formats: tuple[str, ...]

    def read(self, path: Path) -> None: ...

    def write(self, path: Path, uid: str | None) -> None: ...


class FilesPanel(QWidget):
    """Buttons for files.

    Parameters
    ----------
    files, masks : what they do. layer : returns the id of the labels in play. add_class_layer : makes a layer of classes. tell_error : shows an error.
    recipe : the buttons for recipes.
    """

    def __init__(
        self,
        files: FilesSource,
        masks: MasksSource,
        layer: Callable[[], str | None],
        add_class_layer: Callable[[], None],
        tell_error: TellError,
        recipe: RecipeBar,
    ) -> None:
        super().__init__()
        self._files, self._masks, self._layer = files, masks, layer
        self._tell_error = tell_error
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for words, tip, ask in (
            ("Save classifier ...", "Save what was learnt, to use it on other images.", self._ask_save),
            ("Load classifier ...", "Predict these cells with a classifier that was saved.", self._ask_load),
            (
                "Apply to folder ...",
                "Classify the cells of a folder of images and masks as here, into one CSV.",
                self._ask_folder,
            ),
            ("Read labels ...", "Read classes by hand from a CSV: object_id,label.", self._ask_labels),
            ("Export CSV ...", "Write one line per cell, as shown.", self._ask_csv),
            ("Export AnnData ...", "Write the table with all vectors (.h5ad).", self._ask_h5ad),
            ("Read masks ...", f"Read masks and classes: {', '.join(masks.formats)}.", self._ask_masks),
            ("Export masks ...", f"Write masks and classes: {', '.join(masks.formats)}.", self._ask_export),
            ("Class image as layer", "Make a Labels layer whose values are classes.", add_class_layer),
        ):
            button = QPushButton(words)
            button.setToolTip(tip)
            button.clicked.connect(lambda _=False, ask=ask: self.guarded(ask))
            layout.addWidget(button)
        self.words = note("")
        self.recipe = recipe
        layout.addWidget(recipe)
        layout.addWidget(self.words)
        layout.addStretch(1)

    def say(self, words: str) -> None:
        """Show a line of text."""
        self.words.setText(words)

    def guarded(self, work: Callable[[], None]) -> None:
        """Do something with files; what goes wrong is shown."""
        guarded(work, self._tell_error)

    def _ask_save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save classifier: name of a new folder", "head")
        if name:
            self._files.save_head(Path(name))

    def _ask_load(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Folder of the classifier")
        if name:
            self._files.load_head(Path(name))

    def _ask_folder(self) -> None:
        images = QFileDialog.getExistingDirectory(self, "Folder of the images")
        masks = QFileDialog.getExistingDirectory(self, "Folder of their masks", images) if images else ""
        if masks:
            name, _ = QFileDialog.getSaveFileName(self, "Classes of all cells", "classes.csv", "CSV (*.csv)")
            if name:
                self._files.apply_to_folder(Path(images), Path(masks), Path(name))

    def _ask_labels(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Labels", "", "CSV (*.csv)")
        if name:
            self._files.read_labels(Path(name))

    def _ask_masks(self) -> None:
        endings = "Masks (*.zip *.roi *.geojson *.json *_seg.npy *.tif *.tiff *.png *.npy)"
        name, _ = QFileDialog.getOpenFileName(self, "Masks", "", endings)
        if name:
            self._masks.read(Path(name))

    def _ask_export(self) -> None:
        kinds = "GeoJSON (*.geojson);;ImageJ ROIs (*.zip);;COCO (*.json);;TIFF (*.tif);;PNG (*.png);;NumPy (*.npy);;Cellpose (*_seg.npy)"
        name, _ = QFileDialog.getSaveFileName(self, "Export masks", "cells.geojson", kinds)
        if name:
            self._masks.write(Path(name), self._layer())

    def _ask_csv(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Export CSV", "cells.csv", "CSV (*.csv)")
        if name:
            self._files.export_csv(Path(name))

    def _ask_h5ad(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Export AnnData", "cells.h5ad", "AnnData (*.h5ad)")
        if name:
            self._files.export_h5ad(Path(name))


def guarded(work: Callable[[], None], tell_error: TellError) -> None:
    """Do something with files; what goes wrong is shown, and nothing is lost."""
    try:
        work()
    except BiofmError as error:
        tell_error(error)
    except OSError as error:
        tell_error(CellsError(str(error)))
