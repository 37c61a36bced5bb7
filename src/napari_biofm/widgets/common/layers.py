"""What docks ask of a napari layer: its id, its array, its marks, and where it lies."""

from __future__ import annotations

from typing import Any

HELPER = "napari-biofm helper"  # key in `layer.metadata` of layers that are tools, not data
OVERLAY_OF = "biofm_overlay_of"  # the same, of the classes shown over a labels layer


def layer_id(layer: Any) -> str:
    """Return the unique id of a layer as text; it survives renaming."""
    return str(layer.unique_id)


def layer_by_id(viewer: Any, uid: str | None) -> Any | None:
    """Return the layer with this unique id, or None if it is gone."""
    return next((layer for layer in viewer.layers if layer_id(layer) == uid), None) if uid else None


def is_helper(layer: Any) -> bool:
    """Return whether a layer belongs to the tools: a preview or an overlay, not data of the user."""
    return bool(layer.metadata.get(HELPER)) or OVERLAY_OF in layer.metadata


def full_data(layer: Any) -> Any:
    """Return the array of a layer, of a pyramid that of the full resolution."""
    return layer.data[0] if layer.multiscale else layer.data


def shown_box(viewer: Any, layer: Any) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Return start and stop of the part of a layer's full resolution that is on the screen; None where none is."""
    shape = full_data(layer).shape[: layer.ndim]
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
