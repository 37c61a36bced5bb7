"""Which pixels of a layer the cells are measured on."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_biofm.widgets.common.viewers import layer_by_id


def plane_of_cells(viewer: Any, layer: Any) -> Any:
    """Pixels of a flat layer or a volume; of a movie (first axis not displayed) the plane in view."""
    data = layer.data[0] if layer.multiscale else layer.data
    n_spatial = 3 if getattr(layer, "rgb", False) else 2
    if data.ndim <= n_spatial or viewer.dims.ndisplay == 3:
        return np.asarray(data)
    leading = data.ndim - n_spatial
    point = np.round(np.asarray(layer.world_to_data(viewer.dims.point))[:leading]).astype(int)
    return np.asarray(data[tuple(np.clip(point, 0, np.asarray(data.shape[:leading]) - 1).tolist())])


def image_for(viewer: Any, preferred: str | None, labels: Any) -> Any:
    """Return the plane to measure on: of the preferred image, else of the topmost of the right shape."""
    shape = plane_of_cells(viewer, labels).shape
    for layer in (layer_by_id(viewer, preferred), *reversed(list(viewer.layers))):
        if layer is not None and type(layer).__name__ == "Image":
            plane = plane_of_cells(viewer, layer)
            if plane.shape[: len(shape)] == shape:
                return plane
    return None


def movie_for(viewer: Any, shape: tuple[int, ...]) -> Any:
    """Return the topmost image movie of the shape of these labels, None where there is none."""
    for layer in reversed(list(viewer.layers)):
        if type(layer).__name__ == "Image" and not layer.multiscale and layer.data.shape[:3] == shape:
            return np.asarray(layer.data)
    return None
