"""Which pixels of a layer the Segment dock means, read now or, of a large image, in the worker."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np

from napari_biofm.controllers.common.layer_pixels import plane_of, shown_step
from napari_biofm.controllers.common.layers import full_data, sizes_of_axes
from napari_biofm.images.io.lazy import LazyImage
from napari_biofm.images.io.projections import PROJECTIONS
from napari_biofm.images.protocols import StackOptions
from napari_biofm.images.tiling.large_images import parts_of

STITCHED = "whole stack: join planes (3D)"
FLOWS_3D = "whole stack: flows of all directions (3D)"
SERIES = "whole series: every frame by itself"
STACKS = {STITCHED: "stitch", FLOWS_3D: "flows", SERIES: "time"}


def plane_shape(layer: Any) -> tuple[int, int]:
    """Return (Y, X) of a layer's planes."""
    shape = full_data(layer).shape
    height, width = shape[-3:-1] if getattr(layer, "rgb", False) else shape[-2:]
    return int(height), int(width)


def pixels_of(viewer: Any, layer: Any, choice: str) -> tuple[Any, StackOptions | None]:
    """Return the pixels that are meant, and how planes become objects where all are.

    A large image comes as a `LazyImage`, which is read where the job runs.
    """
    stack = stack_options(layer, choice)
    lazy = large_image(viewer, layer, choice)
    if lazy is not None:
        return lazy, stack
    return (plane_of(viewer, layer, choice) if stack is None else np.asarray(full_data(layer))), stack


def stack_options(layer: Any, choice: str) -> StackOptions | None:
    """Return how planes become objects; None where a single plane is meant."""
    mode: Any = STACKS.get(choice)
    if mode is None:
        return None
    scale = sizes_of_axes(layer)
    anisotropy = float(scale[-3] / scale[-1]) if mode == "flows" and scale[-1] > 0 else 1.0
    return StackOptions(mode, anisotropy)


def large_image(viewer: Any, layer: Any, choice: str) -> LazyImage | None:
    """Return what is meant without reading it, where it is large; None where it is not."""
    data = full_data(layer)
    leading = data.ndim - (3 if layer.rgb else 2)
    if choice in PROJECTIONS.values() or leading > 2 or 0 in data.shape:
        return None
    axes = ("TZ" if leading == 2 else "Z" * leading) + "YX" + ("C" if layer.rgb else "")
    at = {} if choice in STACKS else dict(zip(axes, shown_step(viewer, layer)))
    lazy = LazyImage(data, axes, layer.name, at)
    if not lazy.is_large:
        return None
    if not isinstance(data, np.ndarray):
        try:
            pickle.dumps(data)
        except Exception:  # noqa: BLE001 - a lazy array that lives in this process only is read here, as a whole
            return LazyImage(np.asarray(data), axes, layer.name, at)
    return lazy


def describe_large(viewer: Any, layer: Any, choice: str) -> str:
    """Return how a large image will be worked through; an empty text for others."""
    lazy = None if layer is None else large_image(viewer, layer, choice)
    return "" if lazy is None else parts_of(lazy, stack_options(layer, choice)).describe()


def whole_placing(layer: Any) -> dict[str, Any]:
    """Return affine and units of all axes, for labels of the same extent as a stack."""
    n = len(layer.units)
    origin = np.asarray(layer.data_to_world(np.zeros(n)))
    affine = np.eye(n + 1)
    affine[:n, :n] = np.column_stack([np.asarray(layer.data_to_world(row)) - origin for row in np.eye(n)])
    affine[:n, n] = origin
    return {"affine": affine, "units": [str(unit) for unit in layer.units]}
