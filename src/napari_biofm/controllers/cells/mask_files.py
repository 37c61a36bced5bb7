"""Masks and classes from and to the files of other programs, as the Cells dock offers it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from psygnal import Signal

from napari_biofm.cells.table.classes import CellClasses
from napari_biofm.controllers.cells.layers import labels_of, shape_of_image
from napari_biofm.controllers.common.layer_pixels import spatial_placing
from napari_biofm.controllers.common.layers import is_helper, layer_by_id, layer_id
from napari_biofm.images.io.exchange.formats import FORMATS, format_of, read_cells, write_cells
from napari_biofm.images.io.names import stem_of
from napari_biofm.session import Session
from napari_biofm.types import CellsError


class MaskFiles:
    """Reads masks into the viewer, and writes those of a layer.

    Parameters
    ----------
    viewer, session : where layers and classes go.
    """

    said = Signal(str)
    formats = tuple(FORMATS.values())

    def __init__(self, viewer: Any, session: Session) -> None:
        self._viewer, self._session = viewer, session

    def read(self, path: Path) -> None:
        """Add the masks and classes of a file as a labels layer on the topmost image."""
        images = [x for x in self._viewer.layers if type(x).__name__ == "Image" and not is_helper(x)]
        found = read_cells(path, shape_of_image(self._viewer) if images else None)
        placing = spatial_placing(images[-1]) if images and found.labels.ndim == 2 else {}
        layer = self._viewer.add_labels(found.labels, name=stem_of(path), **placing)
        uid, names = layer_id(layer), list(dict.fromkeys(found.classes.values()))
        self._session.set_layers(labels=uid)
        if names:
            made = CellClasses()
            for name in names:
                made = made.with_class(name)
            self._session.set_classes(uid, list(zip(made.names, made.colours, strict=True)), "read classes")
            codes = np.asarray([names.index(name) for name in found.classes.values()], np.int16)
            self._session.label_cells(uid, np.asarray(list(found.classes), np.int64), codes, "read classes")
        n = len(np.unique(found.labels[found.labels > 0]))
        self.said.emit(
            " ".join([f"{n} cells read from {path.name}.", *(f"{words}." for words in found.notes)])
        )

    def write(self, path: Path, uid: str | None) -> None:
        """Write the masks of a layer, of a stack those of the plane in view, with the classes given by hand."""
        layer = layer_by_id(self._viewer, uid)
        if layer is None:
            raise CellsError("Choose a Labels layer; there is none to write.")
        labels = labels_of(layer)
        if labels.ndim > 2 and format_of(path) != "mask":
            labels = np.asarray(labels[shown_step_of(self._viewer, layer)])
        given = self._session.classes(str(uid))
        classes = dict(zip(given.labels.tolist(), given.names_of(given.codes).tolist(), strict=True))
        notes = write_cells(path, labels, classes, str(layer.name))
        self.said.emit(" ".join([f"Masks written to {path}.", *(f"{words}." for words in notes)]))


def shown_step_of(viewer: Any, layer: Any) -> tuple[int, ...]:
    """Return the index of the shown plane along the leading axes of a labels layer."""
    point = np.asarray(layer.world_to_data(viewer.dims.point))
    last = np.asarray(labels_of(layer).shape[:-2]) - 1
    return tuple(int(i) for i in np.clip(np.round(point[: layer.ndim - 2]).astype(int), 0, last))
