"""Going to a cell in a viewer."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_biofm.controllers.common.layers import sizes_of_axes


def go_to(viewer: Any, layer: Any, centroid: np.ndarray[Any, Any], size: float) -> None:
    """Bring a cell into the middle of the view, zooming in where it would be small.

    Parameters
    ----------
    centroid : in the layer's pixels. size : diameter of the cell, pixels.
    """
    position = np.zeros(layer.ndim)
    position[-len(centroid) :] = centroid
    if len(centroid) < layer.ndim:
        position[: -len(centroid)] = np.asarray(layer.world_to_data(viewer.dims.point))[: -len(centroid)]
    world = np.asarray(layer.data_to_world(position))
    shown = list(viewer.dims.displayed)
    for axis in range(viewer.dims.ndim):
        offset = axis - (viewer.dims.ndim - layer.ndim)
        if axis not in shown and offset >= 0:
            viewer.dims.set_point(axis, world[offset])
    centre = np.zeros(3)
    centre[-len(shown) :] = world[-len(shown) :]
    camera = getattr(viewer, "scene", viewer).camera
    camera.center = tuple(centre)
    scale = float(sizes_of_axes(layer)[-1]) or 1.0
    wanted = 60.0 / max(size * scale, 1e-9)  # screen pixels per world unit
    if camera.zoom < wanted:
        camera.zoom = wanted
