"""The movie with its motion taken back, frame by frame when it is sliced; what lies outside of the field is NaN.

How much of the finest detail is left between pixels depends on how far between pixels a frame lies. With cubic splines the edges
of cells are blurred at half a pixel and not at whole ones, so that cells flicker as the field moves. Whole frames are
therefore moved with a windowed sinc, which keeps detail up to .45 cycles a pixel wherever it lands; frames in blocks, where each
pixel moves by another distance, with splines of order five. `benchmarks/traces_truth.py` shows what that does to events.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.files import atomic_write
from napari_biofm.images.motion.settings import Motion
from napari_biofm.types import ImageError, LazyArray, Progress, Task

_ORDER = 5  # of the splines between pixels, for frames in blocks
_REACH, _KAISER = 8, 5.0  # pixels to either side of the windowed sinc, and the shape of its Kaiser window
_CHUNK = 32  # frames written at once


def moved_back(frame: NDArray[np.floating], shift: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return a frame (Y, X) moved back by (y, x) pixels, NaN where nothing was seen.

    Parameters
    ----------
    frame : float; where it has no number, neither has the result.
    shift : by which it lies below and right of where it belongs.
    """
    frame = np.asarray(frame, np.float32)
    known = np.isfinite(frame)
    result = _filled(frame, known)
    for axis, far in enumerate(np.asarray(shift, float).tolist()):
        result = _moved_along(result, axis, far)
    result[_outside(frame.shape, shift)] = np.nan
    if not known.all():
        from scipy import ndimage

        far_back = -np.asarray(shift, float)
        lost = ndimage.shift((~known).astype(np.float32), far_back, order=1, mode="nearest")
        result[lost > 0.01] = np.nan
    return result


def _moved_along(frame: NDArray[np.float32], axis: int, far: float) -> NDArray[np.float32]:
    """Return what lies `far` pixels further on along an axis of a frame (Y, X); its border goes on."""
    whole = int(np.floor(far))
    weights = _between(far - whole)
    n, room = frame.shape[axis], _REACH + abs(whole) + 1
    width = [(0, 0), (0, 0)]
    width[axis] = (room, room)
    wide = np.pad(frame, width, mode="edge")
    result = np.zeros_like(frame)
    for step, weight in enumerate(weights, whole - _REACH + 1):
        part = slice(room + step, room + step + n)
        result += weight * (wide[part] if axis == 0 else wide[:, part])
    return result


def _between(part: float) -> tuple[np.float32, ...]:
    """Return the weights of the pixels around a place that lies `part` (0 to 1) after the middle one."""
    away = np.arange(1 - _REACH, _REACH + 1) - part
    window = np.i0(_KAISER * np.sqrt(np.clip(1 - (away / _REACH) ** 2, 0, 1)))
    weights = np.sinc(away) * window
    return tuple((weights / weights.sum()).astype(np.float32))


def _filled(frame: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return a frame with its median where it has no number."""
    if known.all():
        return frame
    return np.where(known, frame, np.float32(np.median(frame[known]) if known.any() else 0))


def _outside(shape: tuple[int, ...], shift: NDArray[np.floating]) -> NDArray[np.bool_]:
    rows, columns = (np.arange(n) + float(s) for n, s in zip(shape, shift, strict=True))
    inside = [(at >= -0.5) & (at <= n - 0.5) for at, n in zip((rows, columns), shape, strict=True)]
    return ~np.logical_and.outer(*inside)


def field_of(motion: Motion, frame: int) -> NDArray[np.float32]:
    """Return (2, Y, X) how far each pixel of a frame had moved, between the centres of blocks linearly.

    Parameters
    ----------
    motion : in blocks.
    frame : number.
    """
    from scipy import ndimage

    assert motion.blocks is not None
    block = motion.blocks[frame]
    places = []
    for centres, size in zip(motion.centres, motion.template.shape, strict=True):
        at = (
            np.interp(np.arange(size), centres, np.arange(len(centres)))
            if len(centres) > 1
            else np.zeros(size)
        )
        places.append(at)
    grid = np.meshgrid(*places, indexing="ij")
    return np.stack(
        [
            ndimage.map_coordinates(block[..., a], grid, order=1, mode="nearest") + motion.shifts[frame, a]
            for a in (0, 1)
        ]
    ).astype(np.float32)


class CorrectedMovie:
    """A movie (T, Y, X) float32 with its motion taken back when it is sliced.

    Parameters
    ----------
    movie : (T, Y, X) array-like that accepts slices.
    motion : of this movie.

    Raises
    ------
    ImageError
        If the motion is of a movie of another length or size.
    """

    def __init__(self, movie: LazyArray, motion: Motion) -> None:
        self.shape = tuple(int(n) for n in movie.shape)
        if self.shape != (len(motion.shifts), *motion.template.shape):
            raise ImageError(
                f"motion of {len(motion.shifts)} frames of {motion.template.shape} for a movie of shape {self.shape}"
            )
        self.dtype, self.ndim = np.dtype(np.float32), 3
        self._movie, self._motion = movie, motion

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        """Return corrected frames, and of them what is asked for."""
        first, *rest = index if isinstance(index, tuple) else (index,)
        single = not isinstance(first, slice)
        wanted = [int(first) % self.shape[0]] if single else list(range(*first.indices(self.shape[0])))
        result = np.empty((len(wanted), *self.shape[1:]), np.float32)
        for i, frame in enumerate(wanted):
            result[i] = self._frame(frame)
        return result[(0 if single else slice(None), *rest)]

    def _frame(self, frame: int) -> NDArray[np.float32]:
        picture = np.asarray(self._movie[frame : frame + 1])[0].astype(np.float32)
        if self._motion.blocks is None:
            return moved_back(picture, self._motion.shifts[frame])
        from scipy import ndimage

        field = field_of(self._motion, frame)
        at = np.indices(picture.shape, np.float32) + field
        known = np.isfinite(picture)
        filled = _filled(picture, known)
        result = np.asarray(ndimage.map_coordinates(filled, at, order=_ORDER, mode="nearest"), np.float32)
        limits = np.array(picture.shape)[:, None, None] - 0.5
        result[((at < -0.5) | (at > limits)).any(axis=0)] = np.nan
        if not known.all():
            lost = ndimage.map_coordinates((~known).astype(np.float32), at, order=1, mode="nearest")
            result[lost > 0.01] = np.nan
        return result


def write_corrected(
    movie: LazyArray, motion: Motion, path: Path, frame_rate: float | None = None
) -> Task[Path]:
    """Write the corrected movie as a TIFF of float32, some frames at a time, whole or not at all.

    Parameters
    ----------
    movie : (T, Y, X).
    motion : of this movie.
    path : ending in .tif or .tiff.
    frame_rate : Hz, kept in the file.

    Returns
    -------
    The path.
    """
    import tifffile

    corrected = CorrectedMovie(movie, motion)
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise ImageError(f"{path.name}: a corrected movie is written as .tif")
    n = corrected.shape[0]
    about = {"axes": "TYX"} | (
        {} if frame_rate is None else {"TimeIncrement": 1 / frame_rate, "TimeIncrementUnit": "s"}
    )
    done = 0

    def frames() -> Iterator[NDArray[np.float32]]:
        nonlocal done
        for i in range(n):
            done = i + 1
            yield corrected[i]

    with atomic_write(path) as partial, tifffile.TiffWriter(partial, bigtiff=True, ome=True) as file:
        yield Progress(0, n, "writing the corrected movie")
        file.write(
            frames(), shape=corrected.shape, dtype=np.float32, photometric="minisblack", metadata=about
        )
    yield Progress(done, n, f"{path.name} written")
    return path
