"""Images and stacks, read or opened without reading, with their axes in one order: Z or T, Y, X, channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.files import load_numpy
from napari_biofm.images.io.files import lazy_tiff, read_image
from napari_biofm.images.io.nifti import ENDINGS as NIFTI_ENDINGS
from napari_biofm.images.io.sources import Channel, axes_of, count_channels, position_of, source_of
from napari_biofm.images.io.volume_layers import read_volumes_to_show
from napari_biofm.images.io.zarr_images import zarr_image
from napari_biofm.types import ImageError, LazyArray

LARGE = 4096 * 4096  # pixels; a larger plane goes block by block, its labels to the disk
LARGE_STACK = (
    4 * LARGE
)  # voxels; a larger stack goes plane by plane, or block by block where 3D flows are asked
IMAGE_ENDINGS = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".npy", ".zarr")  # each has a reader here
READ_WHOLE = 1 << 29  # bytes of a file up to which its pixels are read at once


class LazyImage:
    """A view of an array-like with axes (Y, X), (Y, X, C), (Z, Y, X) or (Z, Y, X, C); reads when sliced.

    Parameters
    ----------
    array : anything that numpy, zarr or dask slices.
    axes : one letter per axis of `array`: T or Z (first of them longer than one leads), Y, X, and C or S.
    name : for messages.
    at : position along T or Z that is meant; without one the whole axis leads.
    channels : positions of the channels that are meant, in their order; all of them by default.

    Raises
    ------
    ImageError
        When time and z are both longer than one, or the axes do not fit the array.
    """

    def __init__(
        self,
        array: LazyArray,
        axes: str,
        name: str = "the image",
        at: Mapping[str, int] | None = None,
        channels: Sequence[int] | None = None,
    ) -> None:
        axes = axes.upper()
        if "S" in axes and "C" in axes:
            raise ImageError(f"{name} has both samples and channels (axes {axes}); save one of them.")
        axes = axes.replace("S", "C")
        if (
            len(axes) != len(array.shape)
            or len(set(axes)) < len(axes)
            or "Y" not in axes
            or "X" not in axes
            or set(axes) - set("TZCYX")
        ):
            raise ImageError(f"{name} has axes {axes!r} of shape {tuple(array.shape)}; Y and X are needed")
        self._at = dict(at or {})
        leading = [a for a in "TZ" if a in axes and a not in self._at and array.shape[axes.index(a)] > 1]
        if len(leading) > 1:
            raise ImageError(
                f"{name} has time and z (axes {axes}); give one time point or one plane at a time."
            )
        n = int(array.shape[axes.index("C")]) if "C" in axes else 1
        self._chosen = tuple(range(n)) if channels is None or "C" not in axes else tuple(channels)
        self._array, self._axes, self._name = array, axes, name
        self.axes = axes
        self._order = "".join(leading) + "YX" + ("C" if len(self._chosen) > 1 else "")
        self.is_stack = bool(leading)
        sizes = {a: int(m) for a, m in zip(axes, array.shape, strict=True)} | {"C": len(self._chosen)}
        self.shape: tuple[int, ...] = tuple(sizes[a] for a in self._order)
        self.dtype = array.dtype
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Return what is asked for, with this view's order of axes; an integer drops its axis."""
        index = index if isinstance(index, tuple) else (index,)
        wanted = dict(zip(self._order, (*index, *[slice(None)] * (self.ndim - len(index)))))
        chosen = self._chosen[wanted.get("C", 0)]
        several = () if isinstance(chosen, int) else chosen
        first, last = min(several, default=0), max(several, default=-1) + 1
        wanted["C"] = chosen if isinstance(chosen, int) else slice(first, last)
        part = np.asarray(self._array[tuple(wanted.get(a, self._at.get(a, 0)) for a in self._axes)])
        left = [a for a in self._axes if isinstance(wanted.get(a, 0), slice)]
        if several != tuple(range(first, last)) and "C" in left:
            part = np.take(part, np.asarray(several) - first, axis=left.index("C"))
        order = [a for a in self._order if a in left]
        return np.transpose(part, [left.index(a) for a in order])

    def with_channels(self, kept: Sequence[int]) -> LazyImage:
        """Return the same view with some of its channels.

        Parameters
        ----------
        kept : positions among the channels of this view.
        """
        chosen = [self._chosen[k] for k in kept]
        return LazyImage(self._array, self._axes, self._name, self._at, chosen)

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


@dataclass(frozen=True)
class OpenedImage:
    """An image and what its file says of it.

    Attributes
    ----------
    pixels : (Y, X), (Y, X, C), (Z, Y, X) or (Z, Y, X, C) array; a leading time axis stands in the place of Z.
        `LazyImage` where the image is large.
    is_stack : whether the first axis is Z or time.
    channels : a name for every channel of `pixels`.
    notes : what a user should know of how it was read, in words.
    """

    pixels: NDArray[Any] | LazyImage
    is_stack: bool
    channels: tuple[str, ...]
    notes: tuple[str, ...] = ()


def open_described(
    path: Path,
    axes: str | None = None,
    channels: Sequence[Channel] | None = None,
    whole: bool = False,
) -> OpenedImage:
    """Open an image: read where it is small, left on the disk where it is large.

    Parameters
    ----------
    path : the file, or the folder of a zarr image.
    axes : what the axes are, letters of TZCYXS, where the file does not say or is wrong.
    channels : which channels, by position from 0 or by name, in this order; all of them by default.
    whole : whether to read large images, too.

    Raises
    ------
    ImageError
        If the file is missing, damaged or of another kind, or has no such axes or channels.
    """
    source = source_of(path)
    letters, notes = axes_of(source, axes, path)
    every = LazyImage(source.array, letters, path.name)
    n = count_channels(source.array, letters)
    names = source.names if len(source.names) == n else tuple(f"channel {k}" for k in range(n))
    chosen = None if channels is None else [position_of(c, names, path.name) for c in channels]
    if chosen is not None and len(set(chosen)) < len(chosen):
        raise ImageError(f"{path.name}: channel {names[chosen[0]]} was asked for twice; choose two channels.")
    image = every if chosen is None else LazyImage(source.array, letters, path.name, channels=chosen)
    kept = names if chosen is None else tuple(names[k] for k in chosen)
    if every.is_large and not whole:
        return OpenedImage(image, image.is_stack, kept, notes)
    if source.whole:
        image = LazyImage(read_image(path), letters, path.name, channels=chosen)
    return OpenedImage(image[:], image.is_stack, kept, notes)


def read_stack(path: Path, axes: str | None = None) -> tuple[NDArray[Any], bool]:
    """Read an image and tell whether it is a stack.

    Parameters
    ----------
    path : the file, or the folder of a zarr image.
    axes : as for `open_described`.

    Returns
    -------
    image : (Y, X), (Y, X, C), or (Z, Y, X) / (Z, Y, X, C) for a stack; a leading time axis counts as Z.
    is_stack : whether the first axis is Z or time.

    Raises
    ------
    ImageError
        If the file cannot be read or has more axes than these.
    """
    opened = open_described(path, axes, whole=True)
    return np.asarray(opened.pixels), opened.is_stack


def open_lazily(path: Path) -> LazyImage | None:
    """Open an OME-Zarr or zarr folder, an .npy file or a TIFF without reading it; None for other files.

    Axes come from the file where it names them; else few entries are channels.

    Parameters
    ----------
    path : the file or folder.
    """
    if not path.exists() or path.suffix.lower() not in (".zarr", ".npy", ".tif", ".tiff"):
        return None
    source = source_of(path)
    return LazyImage(source.array, axes_of(source, None, path)[0], path.name)


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
        If the ending is not in `IMAGE_ENDINGS` and not that of NIfTI, or the file is missing or damaged.
    """
    suffix = path.suffix.lower()
    if path.name.lower().endswith(NIFTI_ENDINGS):
        return read_volumes_to_show(path).values
    if suffix not in IMAGE_ENDINGS:
        raise ImageError(
            f"{path.name} is no kind of image that a session opens ({', '.join(IMAGE_ENDINGS)}); "
            "open it by hand if you trust it."
        )
    if path.is_file() and path.stat().st_size <= READ_WHOLE:
        return read_image(path)
    if suffix == ".npy":
        return load_numpy(path, mapped=True)
    if suffix in (".tif", ".tiff") and path.is_file():
        return lazy_tiff(path)
    if suffix == ".zarr" and path.is_dir():
        stored: LazyArray = zarr_image(path).array
        return stored
    return read_image(path)
