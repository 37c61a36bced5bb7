"""Layers of the viewer that traces of cells can be measured from."""

from __future__ import annotations

from typing import Any

from napari.layers import Image, Labels

from napari_biofm.controllers.common.layers import is_helper, layer_by_id, layer_id


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
        return [
            (layer.name, layer_id(layer))
            for layer in images
            if layer.ndim == 3 and not layer.rgb and not is_helper(layer)
        ]

    def masks(self) -> list[tuple[str, str]]:
        """Return names and ids of labels (Y, X)."""
        labels = (layer for layer in self._viewer.layers if isinstance(layer, Labels))
        return [(layer.name, layer_id(layer)) for layer in labels if layer.ndim == 2 and not is_helper(layer)]

    def data(self, uid: str) -> Any:
        """Return the array of a layer, None where it is gone."""
        layer = layer_by_id(self._viewer, uid)
        return None if layer is None else layer.data
