"""OME-Zarr and plain zarr folders: which array is the image, its axes and the names of its channels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import BiofmError, ImageError


@contextmanager
def sound_zarr(name: str) -> Iterator[None]:
    """Turn whatever zarr and its codecs raise on damaged folders into an ImageError that names the folder."""
    try:
        yield
    except (BiofmError, MemoryError):
        raise
    except Exception as error:  # JSON, codecs and stores raise errors of their own
        why = " ".join(str(error).split())[:200]
        raise ImageError(
            f"{name} is damaged or was not written completely ({type(error).__name__}: {why}); copy or write it again."
        ) from error


class StoredArray:
    """An array of a zarr folder, read where it is sliced; damaged chunks end in an ImageError.

    Parameters
    ----------
    array : of zarr.
    name : of the folder, for messages.
    """

    def __init__(self, array: Any, name: str) -> None:
        self._array, self._name = array, name
        self.shape: tuple[int, ...] = tuple(int(n) for n in array.shape)
        self.dtype: np.dtype[Any] = array.dtype
        self.ndim, self.chunks = len(self.shape), tuple(array.chunks)
        self.size = int(np.prod(self.shape, dtype=np.float64))
        self.nbytes = self.size * self.dtype.itemsize

    def __getitem__(self, index: Any) -> NDArray[Any]:
        with sound_zarr(self._name):
            return np.asarray(self._array[index])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...], dtype)

    def __len__(self) -> int:
        return self.shape[0]


@dataclass(frozen=True)
class ZarrImage:
    """The image of a zarr folder.

    Attributes
    ----------
    array : at full resolution.
    axes : letters as the file names them; "" where it names none.
    channels : names of the channels, where the file has them.
    notes : what a user should know, in words.
    """

    array: StoredArray
    axes: str = ""
    channels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def zarr_image(path: Path) -> ZarrImage:
    """Open a zarr array, an OME-Zarr image, or what bioformats2raw writes; of several images the largest.

    Parameters
    ----------
    path : the folder.

    Raises
    ------
    ImageError
        If there is no array in it.
    """
    import zarr

    try:
        node = zarr.open(str(path), mode="r")
    except Exception as error:
        raise ImageError(f"{path.name} is no zarr array or OME-Zarr image ({error}).") from error
    if not isinstance(node, zarr.Group):
        return ZarrImage(StoredArray(node, path.name))
    with sound_zarr(path.name):
        images = _images(node, path.name)
    if not images:
        raise ImageError(f"{path.name} holds no image; it was not written completely.")
    sizes = [int(np.prod(image.array.shape, dtype=np.int64)) for _, image in images]
    place, chosen = images[int(np.argmax(sizes))]
    if len(images) == 1:
        return chosen
    shape = " x ".join(str(n) for n in chosen.array.shape)
    told = f"holds {len(images)} images; the largest, '{place}' ({shape}), is taken"
    return ZarrImage(chosen.array, chosen.axes, chosen.channels, (*chosen.notes, told))


def _images(group: Any, folder: str) -> list[tuple[str, ZarrImage]]:
    """Return the images of a group with where they lie: itself, or the numbered groups below it."""
    import zarr

    own = _image(group, folder)
    if own is not None:
        return [("", own)]
    found = []
    for name, below in sorted(group.groups(), key=lambda item: (len(item[0]), item[0])):
        image = _image(below, folder) if isinstance(below, zarr.Group) else None
        if image is not None:
            found.append((name, image))
    return found


def _image(group: Any, folder: str) -> ZarrImage | None:
    """Return the image a group holds, at full resolution; None where it holds none."""
    import zarr

    about = dict(group.attrs)
    about = about.get("ome", about)
    scales = (about.get("multiscales") or [{}])[0]
    place = str((scales.get("datasets") or [{"path": "0"}])[0].get("path", "0"))
    if place not in group or not isinstance(group[place], zarr.Array):
        return None
    named = [axis.get("name", "") if isinstance(axis, dict) else axis for axis in scales.get("axes", [])]
    axes = "".join(str(name)[:1] for name in named)
    array = StoredArray(group[place], folder)
    channels = [str(c.get("label", "")) for c in (about.get("omero") or {}).get("channels") or []]
    upper = axes.upper()
    n = array.shape[upper.index("C")] if "C" in upper and len(upper) == array.ndim else 1
    return ZarrImage(array, axes, tuple(channels) if len(channels) == n and any(channels) else ())
