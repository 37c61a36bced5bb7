"""Layers of the viewer that recordings come with, or are measured from."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image, Labels

from napari_biofm.session import Session
from napari_biofm.signals import Recording
from napari_biofm.widgets.common.layers import layer_by_id, layer_id


def put_recording(viewer: Any, session: Session, recording: Recording, name: str | None = None) -> str:
    """Add a recording, and its masks as the labels in play; return the recording's id.

    A labels layer that shows the same masks already (another part of the same file) is used again.
    """
    if recording.rois is not None and recording.rois.any():
        layer = _layer_of(viewer, recording)
        if layer is None:
            layer = viewer.add_labels(
                recording.rois, name=f"{recording.name} cells", metadata={"recording": str(recording.path)}
            )
        session.set_layers(labels=layer_id(layer))
    return session.add_recording(recording, name)


def _layer_of(viewer: Any, recording: Recording) -> Any | None:
    for layer in viewer.layers:
        if layer.metadata.get("recording") == str(recording.path) and np.array_equal(
            layer.data, recording.rois
        ):
            return layer
    return None


class ViewerMovies:
    """The movies and masks of a viewer that traces of cells can be made from.

    Parameters
    ----------
    viewer : napari viewer.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer

    def movies(self) -> list[tuple[str, str]]:
        """Return names and ids of images (T, Y, X)."""
        images = (layer for layer in self._viewer.layers if isinstance(layer, Image))
        return [(layer.name, layer_id(layer)) for layer in images if layer.ndim == 3 and not layer.rgb]

    def masks(self) -> list[tuple[str, str]]:
        """Return names and ids of labels (Y, X)."""
        labels = (layer for layer in self._viewer.layers if isinstance(layer, Labels))
        return [(layer.name, layer_id(layer)) for layer in labels if layer.ndim == 2]

    def data(self, uid: str) -> Any:
        """Return the array of a layer, None where it is gone."""
        layer = layer_by_id(self._viewer, uid)
        return None if layer is None else layer.data
