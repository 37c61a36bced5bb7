"""The part of the Cells dock that computes more vectors for the cells: other encoders, cells one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from qtpy.QtWidgets import QMenu, QPushButton

from napari_biofm.images.segment.catalogue import DEFAULT_MODEL, FAMILIES, models_here
from napari_biofm.types import BiofmError, CellsError
from napari_biofm.widgets.cells import jobs
from napari_biofm.widgets.cells.planes import image_for, plane_of_cells
from napari_biofm.widgets.cells.tables import TablesDock

Computed = Mapping[str, tuple[Any, dict[str, Any]]]


class EmbeddingsDock(TablesDock):
    """Adds embeddings to the table in view."""

    def _add_vectors_button(self) -> QPushButton:
        button = QPushButton("Add ...")
        button.setToolTip("Describe the cells in more ways: each cell on its own, or by another encoder.")
        menu = QMenu(button)
        menu.aboutToShow.connect(lambda: self._fill_vectors_menu(menu))
        button.setMenu(menu)
        return button

    def _fill_vectors_menu(self, menu: QMenu) -> None:
        """List what can be computed here, without a download."""
        menu.clear()
        menu.addAction(f"{DEFAULT_MODEL}, each cell on its own (slower, tells more)").triggered.connect(
            lambda: self.add_vectors(DEFAULT_MODEL, alone=True)
        )
        models = models_here(lambda model: model.embeds, own=False)
        without_network = [name for name, family in FAMILIES.items() if not family.needs_weights]
        for name in models:
            if name in without_network:
                continue
            menu.addAction(f"{name}, from the whole image").triggered.connect(
                lambda _=False, name=name: self.add_vectors(name)
            )

    def add_vectors(self, model: str, alone: bool = False) -> None:
        """Compute vectors of the cells in view, in the worker, and use them.

        Parameters
        ----------
        alone : see each cell on its own, as the command line does; else pool the map of the whole image.
        """
        self._compute("vectors", jobs.crop_vectors if alone else jobs.map_vectors, model, then=self._use_new)

    def vectors_for(self, wanted: Mapping[str, Any], then: Callable[[], None]) -> None:
        """Compute what a saved head takes and the table lacks, then call `then`."""
        features = None if self.states.uid is None else self._encoder_of(self.states.uid)[1]
        self._compute(
            "vectors of the classifier", jobs.head_embeddings, wanted, features, then=lambda _: then()
        )

    def _compute(self, what: str, job: Any, *args: Any, then: Callable[[Any], None]) -> None:
        table, layer = self.states.table, self.layer
        if table is None or layer is None:
            self.tell_error(CellsError("Measure the cells first; there is no table to put vectors into."))
            return
        plane = plane_of_cells(self.viewer, layer)
        image = image_for(self.viewer, self.session.image, layer)
        if image is None or plane.ndim != 2:
            self.tell_error(
                CellsError("These vectors need a flat image of the shape of the labels; open it.")
            )
            return
        self.run(
            job,
            image,
            plane,
            *args,
            name=f"Compute {what}",
            bound_to=self.states.uid,
            on_done=lambda found: self._put(table, found, then),
        )

    def _put(self, table: Any, found: Computed, then: Callable[[Any], None]) -> None:
        if table is not self.states.table:
            self.tell("The cells changed while their vectors were computed; compute them again.")
            return
        try:
            for name, (vectors, source) in found.items():
                self.states.add_embedding(name, np.asarray(vectors), source)
            then(list(found))
        except BiofmError as error:
            self.tell_error(error)

    def _use_new(self, names: list[str]) -> None:
        self.states.use_embeddings(names[-1])
        self.states.table_changed.emit()
