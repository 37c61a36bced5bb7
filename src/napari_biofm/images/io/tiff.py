"""TIFF files opened without reading them, and the axes they name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import LazyArray


class LazyTiff:
    """Pages of a compressed TIFF, read when sliced; the file is closed with the last reference.

    Parameters
    ----------
    path : the file.
    """

    def __init__(self, path: Path) -> None:
        import tifffile
        import zarr

        self._store: Any = tifffile.imread(path, aszarr=True)
        node = zarr.open(self._store, mode="r")
        self._array: Any = node["0"] if isinstance(node, zarr.Group) else node
        self.shape: tuple[int, ...] = tuple(self._array.shape)
        self.dtype = self._array.dtype
        self.ndim = len(self.shape)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        return np.asarray(self._array[index])

    def __len__(self) -> int:
        return self.shape[0]

    def __del__(self) -> None:
        store = getattr(self, "_store", None)
        if store is not None:
            store.close()


def lazy_tiff(path: Path) -> LazyArray:
    """Return the first series of a TIFF as a memory map, or as pages that are read when sliced."""
    import tifffile

    try:
        return tifffile.memmap(path, mode="r")
    except ValueError:  # compressed, or not in one piece
        return LazyTiff(path)


def tiff_axes(path: Path) -> str | None:
    """Return the axes a TIFF names, letters of TZCYXS; None where it names none that are known."""
    if path.suffix.lower() not in (".tif", ".tiff", ".lsm", ".stk"):
        return None
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            axes = str(file.series[0].axes) if file.series else None
    except (OSError, ValueError, IndexError, tifffile.TiffFileError):
        return None  # `read_image` gives the error with its remedy
    known = axes is not None and not set(axes) - set("TZCYXS") and "Y" in axes and "X" in axes
    return axes if known else None
