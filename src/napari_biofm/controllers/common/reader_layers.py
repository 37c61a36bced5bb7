"""What reader plugins for CZI, ND2, LIF, OIR and the like say of their layers: size of a pixel, names of channels.

They give micrometres as the scale of a layer without naming the unit, and what else they know as objects in its metadata
(napari-czifile2, nd2, napari-aicsimageio, ndevio and bioio, OME of ome-types). Nothing of them is imported here: attributes
that are not there, or are of another kind, say nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.controllers.common.layers import full_data, is_helper, sizes_of_axes
from napari_biofm.images.io.pixel_size import micrometres, size_along

MICROSCOPE_ENDINGS = (
    ".czi",
    ".nd2",
    ".lif",
    ".lof",
    ".xlif",
    ".oir",
    ".oib",
    ".oif",
    ".poir",
    ".vsi",
    ".ims",
)
IMAGE_KEYS = ("aicsimage", "bioimage")  # objects with `physical_pixel_sizes` and `channel_names`
OME_KEYS = (
    "ome_types",
    "ome_metadata",
    "metadata",
    "raw_image_metadata",
    "ome",
)  # that may hold OME of ome-types


def pixel_size_of(viewer: Any, layer: Any, n_axes: int) -> tuple[float, ...] | None:
    """Return micrometres along the last axes of a layer; None where nothing says so.

    Its units say so, or its reader, or, for labels, an image of the same grid.

    Parameters
    ----------
    viewer : with the layers, or None.
    layer : Image or Labels layer.
    n_axes : 2 or 3.
    """
    own = size_along("zyx"[-n_axes:], sizes_of_axes(layer).tolist(), [str(unit) for unit in layer.units])
    if own is not None:
        return own
    for image in (layer, *(() if viewer is None else viewer.layers)):
        if type(image).__name__ == "Image" and not is_helper(image) and _same_grid(image, layer, n_axes):
            found = _told_by_reader(image, n_axes)
            if found is not None:
                return found
    return None


def channel_names_of(layer: Any, n: int) -> list[str]:
    """Return the names that a reader gives the `n` channels of a layer; none where it names another number.

    Parameters
    ----------
    layer : Image layer.
    n : number of channels.
    """
    for source in _sources(layer):
        names = getattr(source, "channel_names", None)
        if names is None:
            pixels = [getattr(image, "pixels", None) for image in _listed(source, "images")]
            named = [[_text(c, "name") for c in _listed(p, "channels")] for p in pixels if p is not None]
            names = next((one for one in named if len(one) == n and all(one)), None)
        if isinstance(names, list | tuple) and len(names) == n:
            return [str(name) for name in names]
    return []


def _same_grid(image: Any, layer: Any, n_axes: int) -> bool:
    """Whether two layers have pixels of one size along their last axes, and as many of them in a plane."""
    if image is layer:
        return True
    if min(image.ndim, layer.ndim) < n_axes:
        return False
    mine, its = (full_data(one).shape[: one.ndim][-2:] for one in (layer, image))
    return bool(mine == its and np.allclose(sizes_of_axes(layer)[-n_axes:], sizes_of_axes(image)[-n_axes:]))


def _told_by_reader(layer: Any, n_axes: int) -> tuple[float, ...] | None:
    for source in _sources(layer):
        found = _of_image(source, n_axes) or _of_ome(source, full_data(layer).shape[: layer.ndim], n_axes)
        if found is not None:
            return found
    path = layer.metadata.get("path") or getattr(layer.source, "path", None)
    steps = sizes_of_axes(layer)[-n_axes:]
    if path and str(path).lower().endswith(MICROSCOPE_ENDINGS) and not np.allclose(steps[-2:], 1):
        return tuple(float(step) for step in steps)  # these formats are read in micrometres; 1 is "not known"
    return None


def _sources(layer: Any) -> Iterator[Any]:
    """Yield the objects in the metadata of a layer that may know more."""
    for key in (*IMAGE_KEYS, *OME_KEYS):
        value = layer.metadata.get(key)
        if value is not None and not isinstance(value, str | bytes | Path):
            yield value


def _of_image(source: Any, n_axes: int) -> tuple[float, ...] | None:
    """Return what an object with `physical_pixel_sizes` (micrometres along Z, Y, X) says."""
    sizes = getattr(source, "physical_pixel_sizes", None)
    found = [getattr(sizes, axis, None) for axis in "ZYX"[-n_axes:]]
    return _positive(found)


def _of_ome(source: Any, shape: tuple[int, ...], n_axes: int) -> tuple[float, ...] | None:
    """Return what an OME object says of images with as many pixels as the layer; nothing where these differ."""
    said = set()
    for image in _listed(source, "images"):
        pixels = getattr(image, "pixels", None)
        if (getattr(pixels, "size_y", None), getattr(pixels, "size_x", None)) != tuple(shape[-2:]):
            continue
        sizes = []
        for axis in "zyx"[-n_axes:]:
            value = getattr(pixels, f"physical_size_{axis}", None)
            unit = getattr(pixels, f"physical_size_{axis}_unit", "µm")
            sizes.append(micrometres(float(value), str(getattr(unit, "value", unit))) if value else None)
        said.add(_positive(sizes))
    return said.pop() if len(said) == 1 else None


def _positive(values: list[Any]) -> tuple[float, ...] | None:
    numbers = [float(v) for v in values if isinstance(v, int | float) and np.isfinite(v) and v > 0]
    return tuple(numbers) if len(numbers) == len(values) else None


def _listed(source: Any, name: str) -> list[Any]:
    found = getattr(source, name, None)
    return list(found) if isinstance(found, list | tuple) else []


def _text(source: Any, name: str) -> str:
    return str(getattr(source, name, None) or "")
