"""Label images: what counts as one, and ids of any size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_biofm.files import atomic_write
from napari_biofm.images.io.files import read_stored
from napari_biofm.types import ImageError, Labels

_TILE = 512  # pixels of a TIFF tile
_LARGEST = np.iinfo(np.int64).max
_EXACT = 2**24  # whole numbers up to which float32 holds every one


def as_labels(values: ArrayLike, name: str = "the masks") -> Labels:
    """Return labels as integers, whatever whole numbers they are stored as.

    Parameters
    ----------
    values : integers, booleans, or floats that are whole numbers.
    name : for messages.

    Returns
    -------
    int32; int64 where an id is 2^31 or above.

    Raises
    ------
    ImageError
        If values are no whole numbers, negative, or so large that a float cannot tell neighbours apart.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "buif":
        raise ImageError(f"{name}: values of type {array.dtype} are no labels; labels are whole numbers.")
    if not array.size:
        return array.astype(np.int32)
    if array.dtype.kind == "f":
        _check_whole(array, name)
    low, high = array.min(), array.max()
    if low < 0:
        raise ImageError(f"{name}: the value {low:g} is negative; labels are 0 (background) and above.")
    if high > _LARGEST:
        raise ImageError(
            f"{name}: the id {high} is too large; ids go up to {_LARGEST}. Number the cells anew."
        )
    kind = np.dtype(np.int32 if high <= np.iinfo(np.int32).max else np.int64)
    return array if array.dtype == kind else array.astype(kind)


def _check_whole(array: NDArray[Any], name: str) -> None:
    if not np.isfinite(array).all():
        raise ImageError(f"{name}: there are NaN or inf among the values; labels are whole numbers.")
    broken = array != np.trunc(array)
    if broken.any():
        raise ImageError(
            f"{name}: the value {float(array[broken][0]):g} is no whole number; labels are, so this is a picture or "
            "a probability. Give the label image."
        )
    most = _EXACT if array.dtype.itemsize <= 4 else 2**53
    if array.max() > most:
        raise ImageError(
            f"{name}: ids above {most} cannot be told apart in {array.dtype}; save the labels as integers."
        )


def read_labels(path: Path, shape: Sequence[int] | None = None) -> Labels:
    """Read a label image.

    Parameters
    ----------
    path : the file.
    shape : of the image the labels belong to; checked where it is given.

    Raises
    ------
    ImageError
        If the file cannot be read, its values are no labels, or the shape is another one.
    """
    masks = as_labels(np.squeeze(read_stored(path)), path.name)
    if shape is not None and masks.shape != tuple(shape):
        raise ImageError(
            f"{path.name} has shape {masks.shape}, its image {tuple(shape)}; they must be equal."
        )
    return masks


def compact(labels: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Number cells 1 .. n in the order of their ids, so that what is kept per id needs n places only.

    Returns
    -------
    ids : (n + 1,) int64; the id of each number, ids[0] is the background.
    numbers : int32 of the shape of `labels`.
    """
    flat = np.asarray(labels).reshape(-1)
    ids, numbers = np.unique(flat, return_inverse=True)
    numbers = numbers.reshape(labels.shape)
    ids = ids.astype(np.int64)
    if not len(ids) or ids[0] != 0:
        ids, numbers = np.concatenate([np.zeros(1, np.int64), ids]), numbers + 1
    return ids, numbers.astype(np.int32)


def looked_up(table: NDArray[Any], ids: NDArray[np.integer[Any]], labels: NDArray[Any]) -> NDArray[Any]:
    """Return the entry of each pixel's cell, at a cost that does not grow with the ids.

    Parameters
    ----------
    table : (n + 1,); the first entry is for background and for cells that are not among `ids`.
    ids : (n,) ascending.
    labels : integers of any shape.
    """
    if not len(ids):
        return np.full(labels.shape, table[0])
    at = np.minimum(np.searchsorted(ids, labels), len(ids) - 1)
    return np.asarray(table[np.where(np.asarray(ids)[at] == labels, at + 1, 0)])


def numbered(labels: NDArray[Any]) -> NDArray[np.int32]:
    """Return labels in the same order whose numbers are not far above the number of pixels.

    What keeps a place per id, as networks' pooling does, then costs no more than the image.
    """
    if int(labels.max(initial=0)) <= max(labels.size, 1 << 16):
        return np.asarray(labels, np.int32)
    return compact(labels)[1]


def write_mask(path: Path, masks: Labels) -> None:
    """Write labels as TIFF, uint16 where they fit, else int32, and int64 for ids of 2^31 and above."""
    import tifffile

    highest = masks.max(initial=0)
    dtype = np.dtype(np.uint16 if highest < 2**16 else np.int32 if highest < 2**31 else np.int64)
    options: dict[str, Any] = {"compression": "zlib", "photometric": "minisblack"}
    with atomic_write(path) as temporary:
        if not isinstance(masks, np.memmap):
            tifffile.imwrite(temporary, masks.astype(dtype), **options)
            return
        tiles = _tiles_of(masks, dtype)  # of labels on disk never more than one tile is in memory
        size = (_TILE, _TILE)
        tifffile.imwrite(
            temporary,
            tiles,
            shape=masks.shape,
            dtype=dtype,
            tile=size,
            bigtiff=masks.nbytes > 2**31,
            **options,
        )


def _tiles_of(masks: Labels, dtype: np.dtype[Any]) -> Iterator[Labels]:
    for plane in masks if masks.ndim == 3 else (masks,):
        for y in range(0, plane.shape[0], _TILE):
            for x in range(0, plane.shape[1], _TILE):
                part = plane[y : y + _TILE, x : x + _TILE]
                missing = [(0, _TILE - n) for n in part.shape]
                yield np.pad(np.asarray(part).astype(dtype), missing)
