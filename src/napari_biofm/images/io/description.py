"""What is inside a picture, a stack or a movie, told without reading its pixels where the file allows that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_biofm.images.io.movie_facts import movie_facts
from napari_biofm.images.io.pixel_size import pixel_size_um
from napari_biofm.images.io.sources import PICTURES, source_of
from napari_biofm.images.io.tiff import TIFF_ENDINGS


def is_image(path: Path) -> bool:
    """Return whether a path names a picture, a stack or a movie by its ending; arrays of numpy may be anything.

    Parameters
    ----------
    path : of a file or a zarr folder.
    """
    return path.suffix.lower() in (*TIFF_ENDINGS, *PICTURES) or (
        path.suffix.lower() == ".zarr" and path.is_dir()
    )


def describe_image(path: Path) -> dict[str, Any]:
    """Return what a file says of its image.

    Parameters
    ----------
    path : .tif, .png and the like, or a zarr folder.

    Returns
    -------
    `name`, `format` ("image"), `shape`, `axes` (letters of TZCYXS, "" where the file names none), `dtype`, `channels` (names),
    `pixel_size_um` (per spatial axis, None where unknown), `frame_rate_hz` and `frame_rate_source` (None and "" where unknown),
    `notes`.

    Raises
    ------
    ImageError
        If it is missing, damaged or of another kind.
    """
    source = source_of(path)
    facts = movie_facts(path)
    axes = source.axes or ""
    n_axes = 3 if "Z" in axes else 2
    size = pixel_size_um(path, n_axes)
    return {
        "name": path.name,
        "format": "image",
        "shape": [int(n) for n in source.array.shape],
        "axes": axes,
        "dtype": str(source.array.dtype),
        "channels": list(source.names),
        "pixel_size_um": None if size is None else [float(one) for one in size],
        "frame_rate_hz": facts.frame_rate,
        "frame_rate_source": facts.source,
        "notes": list(source.notes),
    }
