"""Movies, opened without reading them: one channel of one plane, and what the file says of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.files import load_numpy
from napari_biofm.images.io.files import lazy_tiff, read_image, tiff_axes
from napari_biofm.images.io.movie_facts import MovieFacts, movie_facts
from napari_biofm.images.io.tiff import opened_tiff
from napari_biofm.types import ImageError, LazyArray

_TIME = "TQIZ"  # letters of an axis along which frames may lie, the surest first


@dataclass(frozen=True, eq=False)
class Movie:
    """One channel of one plane of a file.

    Attributes
    ----------
    frames : (T, Y, X) array-like that accepts slices: a memory map where the file allows, else a lazy view.
    facts : what the file says.
    channel, plane : which one this is, counted from 0.
    message : what was chosen where the file holds several, "" where it does not.
    """

    frames: LazyArray
    facts: MovieFacts
    channel: int = 0
    plane: int = 0
    message: str = ""

    @property
    def frame_rate(self) -> float | None:
        """Hz, None where the file does not say."""
        return self.facts.frame_rate

    @property
    def dark_level(self) -> float | None:
        """What a pixel of this channel without light reads, None where the file does not say."""
        return self.facts.dark_level(self.channel)


class FramesOf:
    """Frames of one channel and plane of an array-like with more axes; read when sliced.

    Parameters
    ----------
    array : array-like that accepts slices.
    lead : axis along which frames lie; Y and X are the last two, or those named by `rows`.
    fixed : position along each other axis.
    start, step, n : first frame, distance and number of frames along `lead`.
    rows : axes of Y and X.
    """

    def __init__(
        self,
        array: LazyArray,
        lead: int,
        fixed: dict[int, int],
        span: tuple[int, int, int],
        rows: tuple[int, int],
    ) -> None:
        self._array, self._lead, self._fixed, self._rows = array, lead, fixed, rows
        self._start, self._step, n = span
        self.shape: tuple[int, ...] = (n, int(array.shape[rows[0]]), int(array.shape[rows[1]]))
        self.dtype = array.dtype
        self.ndim = 3

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Return frames, and of them what is asked for."""
        first, *rest = index if isinstance(index, tuple) else (index,)
        single = not isinstance(first, slice)
        if single:
            at = int(first) + (self.shape[0] if int(first) < 0 else 0)
            wanted = range(at, at + 1)
        else:
            wanted = range(*first.indices(self.shape[0]))
        frames = self._read(wanted)
        return frames[(0 if single else slice(None), *rest)]

    def _read(self, wanted: range) -> NDArray[Any]:
        if not len(wanted):
            return np.zeros((0, *self.shape[1:]), self.dtype)
        low, high = min(wanted[0], wanted[-1]), max(wanted[0], wanted[-1])
        stride = abs(wanted.step) * self._step
        place: list[Any] = [self._fixed.get(a, slice(None)) for a in range(self._array.ndim)]
        place[self._lead] = slice(self._start + low * self._step, self._start + high * self._step + 1, stride)
        part = np.asarray(self._array[tuple(place)])
        left = [a for a in range(self._array.ndim) if a not in self._fixed]
        part = np.transpose(part, [left.index(a) for a in (self._lead, *self._rows)])
        return part[::-1] if wanted.step < 0 else part


def open_movie(path: Path, channel: int | None = None, plane: int | None = None) -> Movie:
    """Open one channel of one plane of a movie without reading it.

    Parameters
    ----------
    path : TIFF, zarr, .npy or what else holds an image.
    channel, plane : counted from 0; the first of several if None, and `message` says so.

    Raises
    ------
    ImageError
        If the file cannot be read, is no movie, or has no such channel or plane.
    """
    facts = movie_facts(path)
    try:
        array, axes = _opened(path)
    except ImageError:
        raise
    except Exception as error:  # whatever a damaged header makes of it
        raise ImageError(
            f"{path.name} cannot be read as a movie ({error}); save it again as TIFF."
        ) from error
    array, axes, sizes = _interleaved(array, axes, facts)
    lead = next((axes.index(a) for a in _TIME if a in axes and array.shape[axes.index(a)] > 1), None)
    others = [a for a, letter in enumerate(axes) if letter not in "YXS" and array.shape[a] > 1]
    if lead is None and len(others) == 1:  # whatever the file calls its only other axis
        lead = others[0]
    if lead is None or len(axes) < 3:
        raise ImageError(
            f"{path.name} has shape {tuple(array.shape)}; a movie is (T, Y, X). If it had more frames, the file is cut "
            "off: copy it again from its source."
        )
    inside = {"C": facts.n_channels, "Z": facts.kept_planes} if sizes else {}
    said: list[str] = []
    chosen: dict[str, int] = {}
    for letter, asked, word in (("C", channel, "channel"), ("Z", plane, "plane")):
        at = axes.index(letter) if letter in axes and axes.index(letter) != lead else None
        n = inside.get(letter, 1 if at is None else int(array.shape[at]))
        if asked is not None and not 0 <= asked < n:
            raise ImageError(f"{path.name}: {word} {asked} was asked for; it has {n}, counted from 0.")
        chosen[letter] = asked or 0
        if n > 1 and asked is None:
            said.append(f"{n} {word}s, {word} 0 is taken (--{word} N for another)")
    message = f"{path.name} holds {' and '.join(said)}." if said else ""
    frames = _frames(array, axes, lead, chosen, sizes)
    try:
        np.asarray(frames[len(frames) - 1 :])
    except Exception as error:  # readers raise whatever their C libraries do
        raise ImageError(
            f"{path.name} is cut off: the last of its {len(frames)} frames cannot be read ({error}); copy it again "
            "from its source."
        ) from error
    return Movie(frames, facts, chosen["C"], chosen["Z"], message)


def _opened(path: Path) -> tuple[LazyArray, str]:
    """Return the array of a file and one letter for each of its axes."""
    suffix = path.suffix.lower()
    if not path.exists():
        raise ImageError(f"{path} does not exist.")
    array: LazyArray
    if suffix in (".tif", ".tiff"):
        array = lazy_tiff(path)
        axes = tiff_axes(path) or _series_axes(path)
        return array, axes if len(axes) == array.ndim else "TZCYX"[-array.ndim :].replace("ZC", "TC")
    if suffix == ".zarr":
        from napari_biofm.images.io.lazy import open_lazily

        image = open_lazily(path)
        if image is None:
            raise ImageError(f"{path} does not exist.")
        return image.source, image.axes
    array = load_numpy(path, mapped=True) if suffix == ".npy" else read_image(path)
    if array.ndim == 3:
        return array, "TYX"
    raise ImageError(f"{path.name} has shape {tuple(array.shape)}; a movie is (T, Y, X).")


def _series_axes(path: Path) -> str:
    with opened_tiff(path) as file:
        return str(file.series[0].axes) if file.series else ""


def _interleaved(
    array: LazyArray, axes: str, facts: MovieFacts
) -> tuple[LazyArray, str, tuple[int, int] | None]:
    """Return the array, its axes, and (channels, planes) where its first axis holds both between its frames.

    tifffile names ScanImage's axes where it can; where it sees one row of pages, they are taken apart here.
    """
    several = facts.n_channels * facts.n_planes
    if several == 1 or (facts.n_channels > 1 and "C" in axes and facts.n_planes == 1):
        return array, axes, None
    if array.ndim == 4 and facts.n_channels > 1 and axes[1] in "CS":  # pages of planes, channels apart
        return array, f"T{axes[1].replace('S', 'C')}YX", (1, facts.n_planes)
    if array.ndim == 3:
        return array, "TYX", (facts.n_channels, facts.n_planes)
    return array, axes, None


def _frames(
    array: LazyArray, axes: str, lead: int, chosen: dict[str, int], sizes: tuple[int, int] | None
) -> LazyArray:
    rows = (axes.index("Y"), axes.index("X"))
    fixed = {a: chosen.get(letter, 0) for a, letter in enumerate(axes) if a not in (lead, *rows)}
    n = int(array.shape[lead])
    start, step = 0, 1
    if sizes is not None:
        channels, planes = sizes
        start, step = chosen["Z"] * channels + (chosen["C"] if channels > 1 else 0), channels * planes
    count = len(range(start, n, step))
    if sizes is not None:
        count = min(count, n // step)  # a last volume that is not whole is left out
    if axes == "TYX" or (array.ndim == 3 and lead == 0 and rows == (1, 2)):
        if step == 1:
            return array
        if isinstance(array, np.ndarray):
            return array[start : start + count * step : step]
    return FramesOf(array, lead, fixed, (start, step, count), rows)
