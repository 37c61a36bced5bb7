"""What docks ask of a napari layer: its id, its array, its marks, and where it lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.edit.plane_map import PlaneMap
from napari_biofm.images.edit.view import View
from napari_biofm.types import SessionError

HELPER = "napari-biofm helper"  # key in `layer.metadata` of layers that are tools, not data
OVERLAY_OF = "biofm_overlay_of"  # the same, of the classes shown over a labels layer
OVERLAY = "biofm_overlay"  # the same, of what is drawn over a movie
HELPERS = (HELPER, OVERLAY_OF, OVERLAY)
PLACING = ("scale", "translate", "rotate", "shear", "affine", "units")  # options that say where a layer lies


def layer_id(layer: Any) -> str:
    """Return the unique id of a layer as text; it survives renaming."""
    return str(layer.unique_id)


def layer_by_id(viewer: Any, uid: str | None) -> Any | None:
    """Return the layer with this unique id, or None if it is gone."""
    return next((layer for layer in viewer.layers if layer_id(layer) == uid), None) if uid else None


def is_helper(layer: Any) -> bool:
    """Return whether a layer belongs to the tools: a preview or an overlay, not data of the user."""
    return is_helpers(layer.metadata)


def is_helpers(metadata: Mapping[str, Any]) -> bool:
    """Return whether the metadata of a layer say that it is a helper."""
    return any(metadata.get(key) for key in HELPERS)


def placing_of(layer: Any) -> dict[str, Any]:
    """Return the options that put another layer of the same axes exactly where this one lies."""
    return {name: getattr(layer, name) for name in PLACING}


def sizes_of_axes(layer: Any) -> NDArray[np.float64]:
    """Return how long a step along each axis of a layer is in the world, whether its scale or its affine says so."""
    n = int(layer.ndim)
    origin = np.asarray(layer.data_to_world(np.zeros(n)), float)
    steps = [np.asarray(layer.data_to_world(row), float) - origin for row in np.eye(n)]
    return np.array([float(np.linalg.norm(step)) for step in steps])


def full_data(layer: Any) -> Any:
    """Return the array of a layer, of a pyramid that of the full resolution."""
    return layer.data[0] if layer.multiscale else layer.data


def check_writable(layer: Any) -> None:
    """Raise SessionError where the array of a layer cannot be written in place."""
    for level in layer.data if layer.multiscale else (layer.data,):
        if not hasattr(level, "__setitem__") or type(level).__module__.startswith("dask"):
            raise SessionError(
                f"Layer '{layer.name}' holds {type(level).__name__} data, which cannot be written in place; "
                "open its Zarr arrays (zarr.open) or load it into memory to edit it."
            )


def shown_box(viewer: Any, layer: Any) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return start and stop of the part of a layer's full resolution that is on the screen; None where none is."""
    shape = layer_shape(layer)
    ahead = viewer.dims.ndim - layer.ndim
    shown = {axis - ahead for axis in viewer.dims.displayed}
    at = layer.world_to_data(viewer.dims.point)
    corners = layer.corner_pixels
    factors = layer.downsample_factors[layer.data_level] if layer.multiscale else (1,) * layer.ndim
    start, stop = [], []
    for axis, n in enumerate(shape):
        if axis in shown:
            first, last = (
                int(corners[0][axis] * factors[axis]),
                int((corners[1][axis] + 1) * factors[axis]) + 1,
            )
        else:
            first = round(float(at[axis]))
            last = first + 1
        start.append(max(0, first))
        stop.append(min(int(n), last))
    return (tuple(start), tuple(stop)) if all(a < b for a, b in zip(start, stop, strict=True)) else None


def matrix_of(layer: Any) -> NDArray[np.float64]:
    """Return the (n + 1, n + 1) matrix from data to world coordinates of a layer."""
    n = layer.ndim
    origin = np.asarray(layer.data_to_world(np.zeros(n)), float)[-n:]
    matrix = np.eye(n + 1)
    matrix[:n, n] = origin
    for axis in range(n):
        unit = np.zeros(n)
        unit[axis] = 1
        matrix[:n, axis] = np.asarray(layer.data_to_world(unit), float)[-n:] - origin
    return matrix


def view_of(viewer: Any, layer: Any) -> View:
    """Return the plane (or volume) of a layer that the viewer shows."""
    ahead = viewer.dims.ndim - layer.ndim
    axes = tuple(a - ahead for a in viewer.dims.displayed if a >= ahead)
    at = layer.world_to_data(viewer.dims.point)
    shape = layer_shape(layer)
    position = tuple(
        0 if a in axes else int(np.clip(round(float(at[a])), 0, shape[a] - 1)) for a in range(layer.ndim)
    )
    return View(position, axes)


def layer_shape(layer: Any) -> tuple[int, ...]:
    """Return the shape of a layer's data at full resolution, colours left out."""
    return tuple(int(n) for n in full_data(layer).shape[: layer.ndim])


def point_in(layer: Any, view: View, world: Any) -> NDArray[np.float64]:
    """Return where a world position lies in the view of a layer."""
    return np.array(view.point(tuple(float(c) for c in layer.world_to_data(world))), np.float64)


def plane_map(labels: Any, labels_view: View, image: Any, image_view: View) -> PlaneMap:
    """Return the way from the shown plane of the labels to that of the image."""

    def to_image(point: tuple[float, float]) -> NDArray[np.float64]:
        at = [float(p) for p in labels_view.position]
        for axis, c in zip(labels_view.axes, point, strict=True):
            at[axis] = c
        world = np.asarray(labels.data_to_world(at), float)
        missing = image.ndim - len(world)
        if missing > 0:
            world = np.concatenate([np.zeros(missing), world])
        return point_in(image, image_view, world)

    image_plane, labels_plane = image_view.shape(layer_shape(image)), labels_view.shape(layer_shape(labels))
    return PlaneMap.sampled(to_image, (image_plane[0], image_plane[1]), (labels_plane[0], labels_plane[1]))
