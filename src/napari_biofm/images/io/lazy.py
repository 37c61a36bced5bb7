"""Images and stacks, read or opened without reading, with their axes in one order: Z or T, Y, X, channels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.io.files import lazy_tiff, read_image, tiff_axes
from napari_biofm.types import ImageError, LazyArray

LARGE = 4096 * 4096  # pixels; a larger plane goes block by block, its labels to the disk
LARGE_STACK = (
    4 * LARGE
)  # voxels; a larger stack goes plane by plane, or block by block where 3D flows are asked
IMAGE_ENDINGS = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".npy", ".zarr")  # each has a reader here
READ_WHOLE = 1 << 29  # bytes of a file up to which its pixels are read at once
_FEW = 16  # entries of an axis that is taken for channels


class LazyImage:
    """A view of an array-like with axes (Y, X), (Y, X, C), (Z, Y, X) or (Z, Y, X, C); reads when sliced.

    Parameters
    ----------
    array : anything that numpy, zarr or dask slices.
    axes : one letter per axis of `array`: T or Z (first of them longer than one leads), Y, X, and C or S.
    name : for messages.
    at : position along T or Z that is meant; without one the whole axis leads.

    Raises
    ------
    ImageError
        When time and z are both longer than one.
    """

    def __init__(
        self, array: LazyArray, axes: str, name: str = "the image", at: Mapping[str, int] | None = None
    ) -> None:
        axes = axes.upper().replace("S", "C")
        if len(axes) != len(array.shape) or "Y" not in axes or "X" not in axes or set(axes) - set("TZCYX"):
            raise ImageError(f"{name} has axes {axes!r} of shape {tuple(array.shape)}; Y and X are needed")
        self._at = dict(at or {})
        leading = [a for a in "TZ" if a in axes and a not in self._at and array.shape[axes.index(a)] > 1]
        if len(leading) > 1:
            raise ImageError(
                f"{name} has time and z (axes {axes}); give one time point or one plane at a time."
            )
        channels = "C" if "C" in axes and array.shape[axes.index("C")] > 1 else ""
        self._array, self._axes = array, axes
        self._order = "".join(leading) + "YX" + channels
        self.is_stack = bool(leading)
        self.shape: tuple[int, ...] = tuple(int(array.shape[axes.index(a)]) for a in self._order)
        self.dtype = array.dtype
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Return what is asked for, with this view's order of axes; an integer drops its axis."""
        index = index if isinstance(index, tuple) else (index,)
        wanted = dict(zip(self._order, (*index, *[slice(None)] * (self.ndim - len(index)))))
        part = np.asarray(self._array[tuple(wanted.get(a, self._at.get(a, 0)) for a in self._axes)])
        left = [a for a in self._axes if isinstance(wanted.get(a, 0), slice)]
        order = [a for a in self._order if a in left]
        return np.transpose(part, [left.index(a) for a in order])

    @property
    def source(self) -> LazyArray:
        """The array behind this view, with the axes of the file."""
        return self._array

    @property
    def is_large(self) -> bool:
        """Whether it should be worked through in parts."""
        if self.is_stack and int(np.prod(self.shape[:3], dtype=np.int64)) > LARGE_STACK:
            return True
        height, width = self.shape[1:3] if self.is_stack else self.shape[:2]
        return height * width > LARGE


def open_lazily(path: Path) -> LazyImage | None:
    """Open an OME-Zarr or zarr folder, an .npy file or a TIFF without reading it; None for other files.

    Axes come from the file where it names them; else few entries are channels.
    """
    suffix = path.suffix.lower()
    if not path.exists():
        return None
    if suffix == ".zarr":
        return _open_zarr(path)
    if suffix == ".npy":
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        return LazyImage(array, guess_axes(array.shape, path.name), path.name)
    if suffix in (".tif", ".tiff"):
        axes = tiff_axes(path)
        try:
            array = lazy_tiff(path)
        except Exception:  # noqa: BLE001 (what a damaged file raises; reading it whole says what is wrong)
            read_image(path)
            return None
        if axes is None or len(axes) != array.ndim:
            axes = guess_axes(array.shape, path.name)
        return LazyImage(array, axes, path.name)
    return None


def open_saved_image(path: Path) -> LazyArray:
    """Open the pixels of an image that a session names, with a reader of ours and no other.

    A session comes from elsewhere, so its paths are never handed to a viewer or to a plugin, which may
    execute what they name.

    Parameters
    ----------
    path : file, or folder of a zarr image.

    Returns
    -------
    array-like with the axes of the file: in memory up to 512 MiB, else read where it is sliced.

    Raises
    ------
    ImageError
        If the ending is not in `IMAGE_ENDINGS`, or the file is missing or damaged.
    """
    suffix = path.suffix.lower()
    if suffix not in IMAGE_ENDINGS:
        raise ImageError(
            f"{path.name} is no kind of image that a session opens ({', '.join(IMAGE_ENDINGS)}); "
            "open it by hand if you trust it."
        )
    if path.is_file() and path.stat().st_size <= READ_WHOLE:
        return read_image(path)
    if suffix == ".npy":
        return np.load(path, mmap_mode="r", allow_pickle=False)
    if suffix in (".tif", ".tiff") and path.is_file():
        return lazy_tiff(path)
    return _open_zarr(path).source if suffix == ".zarr" and path.is_dir() else read_image(path)


def _open_zarr(path: Path) -> LazyImage:
    import zarr

    try:
        node = zarr.open(str(path), mode="r")
    except Exception as error:
        raise ImageError(f"{path.name} is no zarr array or OME-Zarr image ({error}).") from error
    if not isinstance(node, zarr.Group):
        return LazyImage(node, guess_axes(node.shape, path.name), path.name)
    about = dict(node.attrs)
    scales = about.get("ome", about).get("multiscales") or [{}]
    place = (scales[0].get("datasets") or [{"path": "0"}])[0]["path"]
    if place not in node:
        raise ImageError(f"{path.name} holds no image '{place}'; it was not written completely.")
    array = node[place]
    named = [axis["name"] if isinstance(axis, dict) else axis for axis in scales[0].get("axes", [])]
    axes = "".join(str(name)[:1] for name in named)
    return LazyImage(array, axes or guess_axes(array.shape, path.name), path.name)


def guess_axes(shape: tuple[int, ...], name: str) -> str:
    """Return the axes of an array that does not name them; the rules of `read_stack`."""
    if len(shape) == 2:
        return "YX"
    if len(shape) == 3:
        if shape[2] <= _FEW and shape[2] < min(shape[:2]):
            return "YXC"
        return "CYX" if shape[0] <= 4 and shape[0] < min(shape[1:]) else "ZYX"
    if len(shape) == 4:
        return "ZYXC" if shape[3] <= _FEW else "ZCYX"
    if len(shape) == 5:
        return "TCZYX"  # the order of OME-Zarr
    raise ImageError(f"{name} has {len(shape)} axes (shape {tuple(shape)}); give Z, Y, X and channels.")


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
        if array.shape[2] <= _FEW and array.shape[2] < min(array.shape[:2]):
            return array, False
        if array.shape[0] <= 4 and array.shape[0] < min(array.shape[1:]):
            return np.moveaxis(array, 0, 2), False
        return array, True
    if array.ndim == 4:
        return (array, True) if array.shape[3] <= _FEW else (np.moveaxis(array, 1, 3), True)
    raise ImageError(
        f"{name} has {array.ndim} axes (shape {array.shape}); give at most Z, Y, X and channels."
    )
