"""Between napari layers and plain arrays: which pixels are meant, and where results go."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_biofm.controllers.common.layers import full_data
from napari_biofm.images.io.projections import PROJECTIONS, projection
from napari_biofm.types import ImageError

SHOWN = "shown plane"


def plane_of(viewer: Any, layer: Any, what: str = SHOWN) -> Any:
    """Return the (Y, X) or (Y, X, C) pixels that are meant, read from disk only as far as needed.

    Parameters
    ----------
    viewer : whose sliders say which plane is shown.
    layer : Image layer, possibly with time or z in front, possibly multiscale.
    what : `SHOWN`, or a picture of a movie or stack (see `images.io.projections`).

    Raises
    ------
    ImageError
        If the layer has no pixels.
    """
    data = full_data(layer)
    n_spatial = 3 if layer.rgb else 2
    if 0 in data.shape:
        raise ImageError(f"Layer '{layer.name}' is empty (shape {tuple(data.shape)}); open another image.")
    if data.ndim <= n_spatial:
        return np.asarray(data)
    if what in PROJECTIONS.values():
        return projection(data, what, n_spatial)
    step = shown_step(viewer, layer)
    return np.asarray(data[step])


def shown_step(viewer: Any, layer: Any) -> tuple[int, ...]:
    """Return the index of the shown plane along the layer's leading axes."""
    data = full_data(layer)
    n_leading = data.ndim - (3 if getattr(layer, "rgb", False) else 2)  # labels have no colours
    point = layer.world_to_data(viewer.dims.point)
    step = np.round(np.asarray(point)[:n_leading]).astype(int)
    return tuple(int(s) for s in np.clip(step, 0, np.asarray(data.shape[:n_leading]) - 1))


def spatial_placing(layer: Any) -> dict[str, Any]:
    """Return affine and units of the last two axes, for a flat layer that lies over `layer`.

    Scale, rotation and shear inside the plane are carried along.
    """
    n = len(layer.units)
    origin = np.asarray(layer.data_to_world(np.zeros(n)))[-2:]
    columns = [np.asarray(layer.data_to_world(np.eye(n)[n - 2 + i]))[-2:] - origin for i in range(2)]
    affine = np.eye(3)
    affine[:2, :2] = np.column_stack(columns)
    affine[:2, 2] = origin
    return {"affine": affine, "units": [str(unit) for unit in layer.units][-2:]}
