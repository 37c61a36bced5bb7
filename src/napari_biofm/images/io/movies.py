"""Movies, opened without reading them, and their frame rate."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from napari_biofm.images.io.files import lazy_tiff, read_image
from napari_biofm.types import (
    ImageError,
    LazyArray,
)


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
