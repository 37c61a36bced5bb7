"""Image files: read whole, or TIFF opened without reading it, and the axes a TIFF names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import ImageError, LazyArray


def read_image(path: Path) -> NDArray[Any]:
    """Read an image of any format tifffile or imageio knows, or an .npy/.npz array.

    Raises
    ------
    ImageError
        If the file is missing, damaged, empty, or of no known format.
    """
    if not path.exists():
        raise ImageError(f"{path} does not exist.")
    if path.is_file() and path.stat().st_size == 0:
        raise ImageError(f"{path.name} is empty (0 bytes); copy it again from its source.")
    try:
        array = _read(path)
    except ImageError:
        raise
    except Exception as error:  # readers raise whatever their C libraries do
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ImageError(
            f"{path.name} cannot be read as an image ({reason}). It may be truncated or of another format; "
            "open it in the program that wrote it and save it as TIFF."
        ) from error
    return array


def _read(path: Path) -> NDArray[Any]:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return np.asarray(np.load(path, allow_pickle=False))
    if suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            if not names:
                raise ImageError(f"{path.name} holds no array.")
            return np.asarray(archive["image" if "image" in names else names[0]])
    if suffix in (".tif", ".tiff", ".lsm", ".stk"):
        import tifffile

        with tifffile.TiffFile(path) as file:
            if len(file.series) == 0:
                raise ImageError(f"{path.name} holds no image; it may be truncated.")
            return np.asarray(file.series[0].asarray())
    if suffix == ".zarr":
        return _read_zarr(path)
    from imageio import v3 as iio

    return np.asarray(iio.imread(path))


def _read_zarr(path: Path) -> NDArray[Any]:
    import zarr

    node = zarr.open(str(path), mode="r")
    return np.asarray(node["0"] if isinstance(node, zarr.Group) else node)


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
