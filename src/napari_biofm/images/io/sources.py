"""What a file says of an image before its pixels are used: an array, its axes, the names of its channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_biofm.files import load_numpy
from napari_biofm.images.io.files import lazy_tiff, read_image
from napari_biofm.images.io.plates import in_zarr
from napari_biofm.images.io.tiff import TIFF_ENDINGS, tiff_facts
from napari_biofm.images.io.zarr_images import zarr_image
from napari_biofm.types import ImageError, LazyArray

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")  # their last axis, where there is a third, are colours
Channel = int | str  # position, or name
_FEW = 16  # entries of an axis that is taken for channels


@dataclass(frozen=True)
class Source:
    """An array as the file has it.

    Attributes
    ----------
    array : the pixels, read when sliced where the file allows.
    axes : letters of TZCYXS; None where the file names none.
    names : of the channels, where the file has them.
    notes : what a user should know, in words.
    whole : whether a small image is better read anew, as a whole.
    """

    array: LazyArray
    axes: str | None
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    whole: bool = False


def source_of(path: Path) -> Source:
    """Open a file or zarr folder without reading its pixels where it allows that.

    Parameters
    ----------
    path : the file or folder.

    Raises
    ------
    ImageError
        If it is missing, damaged or of another kind.
    """
    suffix = path.suffix.lower()
    if (suffix == ".zarr" or in_zarr(path) is not None) and path.is_dir():
        image = zarr_image(path)
        return Source(image.array, image.axes.upper() or None, image.channels, image.notes)
    if suffix == ".npy" and path.is_file() and path.stat().st_size:
        try:
            return Source(load_numpy(path, mapped=True), None)
        except ValueError:
            return Source(read_image(path), None)
    if suffix in TIFF_ENDINGS and path.is_file():
        try:
            facts, array = tiff_facts(path), lazy_tiff(path)
        except Exception:  # noqa: BLE001 (what a damaged file raises; reading it whole says what is wrong)
            return Source(read_image(path), None)
        axes = facts.axes if facts.axes is not None and len(facts.axes) == array.ndim else None
        return Source(array, axes, facts.channels, facts.notes, whole=True)
    array = read_image(path)
    axes = "YXC" if suffix in PICTURES and array.ndim == 3 and array.shape[2] <= 4 else None
    return Source(array, axes, ("red", "green", "blue") if axes and array.shape[2] == 3 else ())


def axes_of(source: Source, told: str | None, path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the axes and the notes on them: as they were told, as the file names them, or guessed and said so.

    Parameters
    ----------
    source : of `source_of`.
    told : by the user, or None.
    path : for messages.

    Raises
    ------
    ImageError
        If what was told does not fit.
    """
    shape = tuple(int(n) for n in source.array.shape)
    if told is not None:
        letters = told.upper()
        if len(letters) != len(shape):
            raise ImageError(
                f"{path.name} has {len(shape)} axes (shape {shape}), '{told}' names {len(letters)}; name each."
            )
        return letters, source.notes
    if source.axes is not None:
        kept = _squeezed(source, source.axes)
        return kept, source.notes
    letters = guess_axes(shape, path.name)
    if len(shape) == 2 or (letters == "YXC" and shape[2] <= 4):
        return letters, source.notes
    told_so = (
        f"does not name its axes; shape {shape} is read as {letters}. If that is wrong, name them (--axes)"
    )
    return letters, (*source.notes, told_so)


def _squeezed(source: Source, axes: str) -> str:
    """Return axes in which samples stand for channels where both are there and one of them is single."""
    if not ("S" in axes and "C" in axes):
        return axes
    if source.array.shape[axes.index("C")] == 1 and "T" not in axes:
        return axes.replace("C", "T")  # an axis of one entry, left out like any other
    return axes


def count_channels(array: LazyArray, axes: str) -> int:
    """Return how many channels an array of these axes has.

    Parameters
    ----------
    array : as the file has it.
    axes : one letter an axis.
    """
    upper = axes.upper()
    for letter in "CS":
        if letter in upper and int(array.shape[upper.index(letter)]) > 1:
            return int(array.shape[upper.index(letter)])
    return 1


def position_of(channel: Channel, names: Sequence[str], image: str = "the image") -> int:
    """Return the position of a channel that is named or numbered.

    Parameters
    ----------
    channel : position from 0, or name; case does not count.
    names : of all channels.
    image : for messages.

    Raises
    ------
    ImageError
        If there is none, or several of that name.
    """
    offered = ", ".join(f"{k} ({name})" for k, name in enumerate(names))
    if not isinstance(channel, str) or channel.strip().lstrip("-").isdigit():
        number = int(channel)
        if not 0 <= number < len(names):
            raise ImageError(f"{image} has no channel {number}; it has {offered}.")
        return number
    same = [k for k, name in enumerate(names) if name.casefold() == channel.strip().casefold()]
    if len(same) != 1:
        problem = "several channels" if same else "no channel"
        raise ImageError(f"{image} has {problem} '{channel}'; it has {offered}.")
    return same[0]


def guess_axes(shape: tuple[int, ...], name: str) -> str:
    """Return the axes of an array that does not name them: few entries are channels.

    Parameters
    ----------
    shape : of the array.
    name : for messages.

    Raises
    ------
    ImageError
        For more than five axes.
    """
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
