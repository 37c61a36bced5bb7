"""Carrying on: classifiers saved and loaded, labels read, tables written."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_biofm.cells.classify.classified import identity
from napari_biofm.cells.classify.commands import predict
from napari_biofm.cells.classify.heads import Head
from napari_biofm.cells.classify.persist import SavedHead, load_head, save_head
from napari_biofm.cells.table.cell_table import vectors_of
from napari_biofm.cells.table.export import class_image, read_classes, write_csv, write_h5ad
from napari_biofm.cells.table.quantities import quantities, with_quantities
from napari_biofm.teaching.cell_states import CellStates
from napari_biofm.teaching.learning import Learning, RunJob, can_compute
from napari_biofm.types import BiofmError, CellsError, Labels

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import DataFrame


class CellFiles:
    """Files of the cells in view.

    Parameters
    ----------
    states : the cells. learning : computes vectors that a saved classifier takes. run : runs jobs.
    """

    said = Signal(str)

    def __init__(self, states: CellStates, learning: Learning, run: RunJob) -> None:
        self.states = states
        self._learning = learning
        self._run = run

    def save_head(self, folder: Path) -> None:
        """Save the classifier that gave the predictions, into a folder of its own."""
        states = self.states
        head, table = states.classifier(), states.measured()
        embeddings = tuple(states.head_embeddings)
        encoders = {b: identity(table.uns["blocks"][b]) for b in embeddings}
        details = {
            "colours": dict(states.classes),
            "min_probability": states.min_probability,
            "n_labels": int((states.by_hand >= 0).sum()),
        }
        save_head(folder, SavedHead(head, embeddings, encoders, details))
        self.said.emit(f"Saved '{head.name}' with {len(head.classes)} classes in {folder}.")

    def load_head(self, folder: Path) -> None:
        """Predict with a saved classifier; labels by hand stay as they are.

        Vectors it takes and the table lacks are computed first, in the worker.
        """
        saved, table = load_head(folder), self.states.measured()
        head = saved.classifier
        if not can_compute(saved, table):
            saved.match(table.uns["blocks"])  # says what is wrong
        missing = saved.missing(table.uns["blocks"])
        if missing:
            wanted = {name: saved.encoders[name] for name in missing}
            self.said.emit(f"Computing the vectors '{', '.join(missing)}' for this classifier ...")
            self._learning.vectors_for(wanted, then=lambda: self._predict_with(saved, head, folder))
        else:
            self._predict_with(saved, head, folder)

    def _predict_with(self, saved: SavedHead, head: Head, folder: Path) -> None:
        table = self.states.measured()
        names = saved.match(table.uns["blocks"])
        for name in head.classes:
            self.states.add_class(name, saved.details.get("colours", {}).get(name))
        self.states.show_other(head, head.predict_proba(vectors_of(table, names)), names)
        self.said.emit(f"Predicted with '{head.name}' from {folder}. The next label refits a new classifier.")

    def apply_to_folder(self, images: Path, masks: Path, out: Path) -> None:
        """Classify all cells of a folder with the classifier in use, in the worker.

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
        self.said.emit(f"Classifying the cells in {images} ...")
        self._run(
            predict,
            place / "head",
            out,
            images=images,
            masks=masks,
            min_probability=self.states.min_probability,
            name=f"Classify '{images.name}'",
            on_done=lambda n: self.said.emit(f"{n} cells of {images.name} classified in {out}."),
            on_end=lambda: shutil.rmtree(place, ignore_errors=True),
        )

    def read_labels(self, path: Path) -> None:
        """Label cells from a CSV."""
        classes = read_classes(self.states.measured(), path)
        self.states.assign_names(classes)
        self.said.emit(f"{len(classes)} labels read from {path.name}.")

    def export_csv(self, path: Path) -> None:
        """Write one line per cell, with the columns of `docs/columns.md`; of a classified movie one per cell and frame."""
        movie = self._learning.movie
        if movie is not None:
            write_csv(movie.table, path)
            self.said.emit(f"{movie.table.n_obs} rows, one per cell and frame, written to {path}.")
            return

        def write(table: AnnData) -> None:
            write_csv(table, path)
            self.said.emit(f"{table.n_obs} cells written to {path}.")

        self._with_quantities(write)

    def export_h5ad(self, path: Path) -> None:
        """Write the table as AnnData, with the same columns."""

        def write(table: AnnData) -> None:
            write_h5ad(table, path)
            self.said.emit(f"{table.n_obs} cells with their vectors written to {path}.")

        self._with_quantities(write)

    def _with_quantities(self, write: Callable[[AnnData], None]) -> None:
        """Measure the masks as they are now, in the worker, and write the table of now with what was found."""
        table, uid = self._as_shown().copy(), self.states.uid
        if uid is None:
            write(table)
            return
        labels, on = self._learning.measured_on(uid)

        def done(found: DataFrame) -> None:
            try:
                write(with_quantities(table, found))
            except (OSError, BiofmError) as error:
                self._learning.failed.emit(error if isinstance(error, BiofmError) else CellsError(str(error)))

        self._run(quantities, labels, on, name="Measure for the table", bound_to=uid, on_done=done)

    def class_picture(self, labels: Labels) -> tuple[NDArray[np.integer], dict[str, str]]:
        """Return an image whose values are classes, and which value is which class."""
        names = [n for n, _ in self.states.classes]
        return class_image(np.asarray(labels), self._as_shown(), names), {
            str(i + 1): name for i, name in enumerate(names)
        }

    def _as_shown(self) -> AnnData:
        self.states.write_predictions()
        return self.states.measured()
