"""Carrying on: save and load classifiers, read labels, export what is seen."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtWidgets import QFileDialog, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_biofm.cells.classify.commands import predict
from napari_biofm.cells.classify.more_heads import HEADS
from napari_biofm.cells.classify.persist import SavedHead, load_head, save_head
from napari_biofm.cells.table.cell_table import vectors_of
from napari_biofm.cells.table.export import class_image, read_classes, write_csv, write_h5ad
from napari_biofm.types import BiofmError, CellsError


class FilesPanel(QWidget):
    """Buttons for files. Each has a method of the same name that takes a path.

    Parameters
    ----------
    dock : the Cells dock.
    """

    def __init__(self, dock: Any) -> None:
        super().__init__()
        self.dock = dock
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
            ("Class image as layer", "Make a Labels layer whose values are classes.", self.add_class_layer),
        ):
            button = QPushButton(words)
            button.setToolTip(tip)
            button.clicked.connect(lambda _=False, ask=ask: self._guarded(ask))
            layout.addWidget(button)
        self.words = QLabel("")
        self.words.setWordWrap(True)
        layout.addWidget(self.words)
        layout.addStretch(1)

    @property
    def states(self) -> Any:
        return self.dock.states

    def save_head(self, folder: Path) -> None:
        """Save the head that gave the predictions, into a folder of its own."""
        states = self.states
        names = [n for n, _ in states.classes]
        if states.other_head is not None:
            head = states.other_head
        elif states.head is not None:
            head = states.head.as_head(names)
        else:
            raise CellsError("Nothing was learnt yet; label cells of two classes first.")
        embeddings = tuple(states.head_embeddings)
        encoders = {b: identity(states.table.uns["blocks"][b]) for b in embeddings}
        details = {
            "colours": dict(states.classes),
            "min_probability": states.min_probability,
            "n_labels": int((states.by_hand >= 0).sum()),
        }
        save_head(folder, SavedHead(head, embeddings, encoders, details))
        self.words.setText(f"Saved '{head.name}' with {len(head.classes)} classes in {folder}.")

    def load_head(self, folder: Path) -> None:
        """Predict with a saved head; labels by hand stay as they are.

        Vectors the head takes and the table lacks are computed first, in the worker.
        """
        saved, table = load_head(folder), self._table()
        head = saved.classifier
        if not self.can_compute(saved, table):
            saved.match(table.uns["blocks"])  # says what is wrong
        missing = saved.missing(table.uns["blocks"])
        if missing:
            wanted = {name: saved.encoders[name] for name in missing}
            self.words.setText(f"Computing the vectors '{', '.join(missing)}' for this classifier ...")
            self.dock.vectors_for(wanted, then=lambda: self._predict_with(saved, head, folder))
        else:
            self._predict_with(saved, head, folder)

    @staticmethod
    def can_compute(saved: SavedHead, table: Any) -> bool:
        """Tell whether what the table lacks can be computed: no embedding of other weights is in its place."""
        there = {(b.get("name"), b.get("recipe")) for b in table.uns["blocks"].values()}
        lacking = [saved.encoders[name] for name in saved.missing(table.uns["blocks"])]
        return all(one.get("recipe") and (one.get("name"), one.get("recipe")) not in there for one in lacking)

    def _predict_with(self, saved: SavedHead, head: Any, folder: Path) -> None:
        table = self._table()
        names = saved.match(table.uns["blocks"])
        for name in head.classes:
            self.states.add_class(name, saved.details.get("colours", {}).get(name))
        self.states.show_other(head, head.predict_proba(vectors_of(table, names)), names)
        self.words.setText(
            f"Predicted with '{head.name}' from {folder}. The next label refits a new classifier."
        )

    def apply_to_folder(self, images: Path, masks: Path, out: Path) -> None:
        """Classify all cells of a folder with the head in use, in the worker.

        Parameters
        ----------
        images, masks : folders; the mask of `field.tif` is `field_mask.tif` (or `field.tif` in another folder).
        out : CSV of `object_id` (`field:label`), `label`, `probability`.
        """
        place = Path(tempfile.mkdtemp(prefix="biofm-head-"))
        try:
            self.save_head(place / "head")
        except BiofmError:
            shutil.rmtree(place, ignore_errors=True)
            raise
        self.words.setText(f"Classifying the cells in {images} ...")
        self.dock.run(
            predict,
            place / "head",
            out,
            images=images,
            masks=masks,
            min_probability=self.states.min_probability,
            name=f"Classify '{images.name}'",
            on_done=lambda n: self.words.setText(f"{n} cells of {images.name} classified in {out}."),
            on_end=lambda: shutil.rmtree(place, ignore_errors=True),
        )

    def use_trained(self, trained: Any, table: Any) -> None:
        """Show the predictions of a head trained in the worker."""
        if table is not self.states.table:
            self.dock.tell("The cells changed while the classifier was trained; train it again.")
            return
        head = HEADS[trained.name].restore(trained.arrays, trained.settings)
        self.states.show_other(head, trained.probabilities)

    def read_labels(self, path: Path) -> None:
        """Label cells from a CSV."""
        found = read_classes(self._table(), path)
        self.states.assign_names(found)
        self.words.setText(f"{len(found)} labels read from {path.name}.")

    def export_csv(self, path: Path) -> None:
        """Write obs as CSV."""
        self.states.write_predictions()
        write_csv(self._table(), path)
        self.words.setText(f"{self._table().n_obs} cells written to {path}.")

    def export_h5ad(self, path: Path) -> None:
        """Write the table as AnnData."""
        self.states.write_predictions()
        write_h5ad(self._table(), path)
        self.words.setText(f"{self._table().n_obs} cells with their vectors written to {path}.")

    def add_class_layer(self) -> None:
        """Add a Labels layer whose values are classes, a copy that stays as it is."""
        table, layer = self._table(), self.dock.layer
        self.states.write_predictions()
        names = [n for n, _ in self.states.classes]
        data = layer.data[0] if layer.multiscale else layer.data
        image = class_image(np.asarray(data), table, names)
        legend = {str(i + 1): name for i, name in enumerate(names)}
        self.dock.viewer.add_labels(
            image,
            name=f"{layer.name} states",
            scale=layer.scale,
            translate=layer.translate,
            affine=layer.affine,
            metadata={"classes": legend},
        )

    def _table(self) -> Any:
        if self.states.table is None:
            raise CellsError("Measure the cells first; there is no table yet.")
        return self.states.table

    def _guarded(self, ask: Any) -> None:
        try:
            ask()
        except (BiofmError, OSError) as error:
            self.dock.tell_error(error if isinstance(error, BiofmError) else CellsError(str(error)))

    def _ask_save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save classifier: name of a new folder", "head")
        if name:
            self.save_head(Path(name))

    def _ask_load(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Folder of the classifier")
        if name:
            self.load_head(Path(name))

    def _ask_folder(self) -> None:
        images = QFileDialog.getExistingDirectory(self, "Folder of the images")
        masks = QFileDialog.getExistingDirectory(self, "Folder of their masks", images) if images else ""
        if masks:
            name, _ = QFileDialog.getSaveFileName(self, "Classes of all cells", "classes.csv", "CSV (*.csv)")
            if name:
                self.apply_to_folder(Path(images), Path(masks), Path(name))

    def _ask_labels(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Labels", "", "CSV (*.csv)")
        if name:
            self.read_labels(Path(name))

    def _ask_csv(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Export CSV", "cells.csv", "CSV (*.csv)")
        if name:
            self.export_csv(Path(name))

    def _ask_h5ad(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Export AnnData", "cells.h5ad", "AnnData (*.h5ad)")
        if name:
            self.export_h5ad(Path(name))


def identity(provenance: Any) -> dict[str, Any]:
    """Keep what a head must know of its vectors."""
    kept: dict[str, Any] = {key: str(provenance.get(key, "")) for key in ("name", "weights_sha256", "recipe")}
    return kept | ({"views": int(provenance["views"])} if "views" in provenance else {})
