"""Images with more than two axes: which axis is what."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.io.files import lazy_tiff, read_image, tiff_axes
from napari_biofm.images.io.lazy import open_lazily
from napari_biofm.types import (
    ImageError,
    LazyArray,
)

MAX_CHANNELS = 16


def read_stack(path: Path) -> tuple[NDArray[Any], bool]:
    """Read an image and tell whether it is a stack.

    Returns
    -------
    image : (Y, X), (Y, X, C), or (Z, Y, X) / (Z, Y, X, C) for a stack; a leading time axis counts as Z.
    is_stack : whether the first axis is Z or time.

    Raises
    ------
    ImageError
        If the file cannot be read or has more axes than these.
    """
    if path.suffix.lower() == ".zarr":
        image = open_lazily(path)
        if image is not None:
            return image[:], image.is_stack
    axes = tiff_axes(path)
    array = read_image(path)
    if axes is not None and len(axes) == array.ndim:
        return _order(array, axes, path.name)
    return _guess(array, path.name)


def open_movie(path: Path) -> tuple[LazyArray, float | None]:
    """Open a movie without reading it.

    Returns
    -------
    movie : (T, Y, X) array-like that accepts slices: a memory map where the file allows, else a lazy
        zarr view of its pages, else an array.
    frame_rate : Hz, from OME or ImageJ metadata, or None where the file does not say.

    Raises
    ------
    ImageError
        If the file cannot be read or is no movie of one channel.
    """
    if path.suffix.lower() not in (".tif", ".tiff"):
        movie = (
            np.load(path, mmap_mode="r", allow_pickle=False) if path.suffix == ".npy" else read_image(path)
        )
        return _as_movie(movie, path), None
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            rate = _frame_rate(file)
        movie = lazy_tiff(path)
    except ImageError:
        raise
    except Exception as error:  # whatever a damaged header makes of it
        raise ImageError(
            f"{path.name} cannot be read as a movie ({error}); save it again as TIFF."
        ) from error
    return _as_movie(movie, path), rate


def _as_movie(movie: LazyArray, path: Path) -> LazyArray:
    if movie.ndim != 3:
        raise ImageError(f"{path.name} has shape {tuple(movie.shape)}; a movie is (T, Y, X).")
    return movie


def _frame_rate(file: Any) -> float | None:
    if file.ome_metadata:
        found = re.search(r'TimeIncrement="([^"]+)"(?:[^>]*TimeIncrementUnit="([^"]+)")?', file.ome_metadata)
        scale = {"s": 1.0, "ms": 1e-3, "min": 60.0}.get(found.group(2) or "s") if found else None
        if found and scale and float(found.group(1)) > 0:
            return 1.0 / (float(found.group(1)) * scale)
    interval = (file.imagej_metadata or {}).get("finterval")
    return 1.0 / float(interval) if interval else None


def _order(array: NDArray[Any], axes: str, name: str) -> tuple[NDArray[Any], bool]:
    """Bring named axes to (Z, Y, X, C)."""
    if "S" in axes and "C" in axes:
        raise ImageError(f"{name} has both samples and channels (axes {axes}); save one of them.")
    axes = axes.replace("S", "C")
    leading = [a for a in "TZ" if a in axes and array.shape[axes.index(a)] > 1]
    if len(leading) > 1:
        raise ImageError(f"{name} has time and z (axes {axes}); give one time point or one plane at a time.")
    for a in "TZC":
        if a in axes and a not in leading and (a != "C" or array.shape[axes.index(a)] == 1):
            array, axes = np.take(array, 0, axis=axes.index(a)), axes.replace(a, "")
    wanted = "".join(leading) + "YX" + ("C" if "C" in axes else "")
    return np.transpose(array, [axes.index(a) for a in wanted]), bool(leading)


def _guess(array: NDArray[Any], name: str) -> tuple[NDArray[Any], bool]:
    """Decide by size where a file does not name its axes: few entries are channels."""
    if array.ndim == 2:
        return array, False
    if array.ndim == 3:
        if array.shape[2] <= MAX_CHANNELS and array.shape[2] < min(array.shape[:2]):
            return array, False
        if array.shape[0] <= 4 and array.shape[0] < min(array.shape[1:]):
            return np.moveaxis(array, 0, 2), False
        return array, True
    if array.ndim == 4:
        return (array, True) if array.shape[3] <= MAX_CHANNELS else (np.moveaxis(array, 1, 3), True)
    raise ImageError(
        f"{name} has {array.ndim} axes (shape {array.shape}); give at most Z, Y, X and channels."
    )
