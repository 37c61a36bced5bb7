"""What an image must be before a model sees it, and how it is read from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_biofm.types import Image, ImageError, LazyArray


def check_image(image: LazyArray | ArrayLike, name: str = "the image") -> Image:
    """Return `image` as an array that is safe to compute with.

    Booleans become uint8; NaN and infinities of a float image become its finite minimum and maximum,
    so that a few bad pixels do not spoil the rest.

    Parameters
    ----------
    image : (Y, X), (Y, X, C) or (Z, Y, X), any real dtype.
    name : used in messages.

    Raises
    ------
    ImageError
        If there are no pixels, no finite value, complex values, or an odd number of dimensions.
    """
    array = np.asarray(image)
    if array.dtype.kind not in "buif":
        raise ImageError(f"{name} holds values of type {array.dtype}; give an image of real numbers.")
    if array.ndim not in (2, 3, 4):
        raise ImageError(f"{name} has shape {array.shape}; give (Y, X), (Y, X, C) or (Z, Y, X).")
    if array.size == 0:
        raise ImageError(f"{name} is empty (shape {array.shape}); check that the file was saved completely.")
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind != "f":
        return array
    finite = np.isfinite(array)
    if finite.all():
        return array
    if not finite.any():
        raise ImageError(f"{name} holds no finite value, only NaN or inf; export it again from its source.")
    values = array[finite]
    filled: Image = np.nan_to_num(array, nan=values.min(), neginf=values.min(), posinf=values.max())
    return filled


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
