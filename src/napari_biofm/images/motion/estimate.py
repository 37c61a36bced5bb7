"""Motion of a movie against a template of its own, rigid or in blocks, frame by frame.

Sources: template and phase correlation as in suite2p (Pachitariu et al., bioRxiv 061507, 2017); blocks that overlap and
a smooth field between them as in NoRMCorre (Pnevmatikakis & Giovannucci, J. Neurosci. Methods 291:83, 2017).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.motion.apply import moved_back
from napari_biofm.images.motion.settings import Motion, MotionSettings
from napari_biofm.images.motion.unfinished import Unfinished
from napari_biofm.shifts import ShiftFinder
from napari_biofm.types import ImageError, LazyArray, Progress, Task

_CHUNK = 32  # frames read at once
_ROUNDS = 3  # of making the template
_LOOKED_AT = 64  # frames, for the numbers before and after
Picture = NDArray[np.float32]


def estimate_motion(
    movie: LazyArray, settings: MotionSettings | None = None, kept: Path | None = None
) -> Task[Motion]:
    """Measure how far each frame of a movie lies from its template.

    Parameters
    ----------
    movie : (T, Y, X) array-like that accepts slices; read some frames at a time.
    settings : rigid or in blocks, and how far.
    kept : file that holds what was measured so far: a run that was cut off goes on where it stood, if movie and settings
        are the same. It is removed at the end.

    Returns
    -------
    Motion
        Shifts, template, border and the numbers before and after. Progress counts frames.

    Raises
    ------
    ImageError
        If it is no movie, or holds no numbers.
    """
    settings = settings or MotionSettings()
    if len(movie.shape) != 3 or movie.shape[0] < 2:
        raise ImageError(f"a movie is (T, Y, X) with two frames or more, this has shape {tuple(movie.shape)}")
    n = int(movie.shape[0])
    unfinished = Unfinished.of(kept, movie, settings)
    template = unfinished.template
    if template is None:
        template = yield from _template(movie, settings)
    finder = ShiftFinder(template, settings.most)
    pieces = _blocks(template, settings) if settings.mode == "piecewise" else None
    shifts = np.zeros((n, 2), np.float32)
    fields = None if pieces is None else np.zeros((n, *pieces[0], 2), np.float32)
    begin = unfinished.restore(shifts, fields)
    for start in range(begin, n, _CHUNK):
        for i, frame in enumerate(_frames(movie, start, template), start):
            shifts[i] = finder.find_finely(frame)
            if pieces is not None and fields is not None:
                fields[i] = _in_blocks(frame, shifts[i], pieces)
        unfinished.keep(min(start + _CHUNK, n), template, shifts, fields)
        yield Progress(min(start + _CHUNK, n), n, f"motion of frame {min(start + _CHUNK, n)} of {n}")
    centres = (np.zeros(0, np.float32), np.zeros(0, np.float32)) if pieces is None else pieces[1]
    made = Motion(
        shifts, fields, centres, template, _border(shifts, fields), (0.0, 0.0), (0.0, 0.0), settings
    )
    made = _with_numbers(movie, made)
    unfinished.done()
    return made


def _frames(movie: LazyArray, start: int, template: Picture) -> NDArray[np.float32]:
    """Return some frames as numbers, the template where there are none."""
    block = np.asarray(movie[start : start + _CHUNK]).astype(np.float32)
    known = np.isfinite(block)
    return block if known.all() else np.where(known, block, template)


def _template(movie: LazyArray, settings: MotionSettings) -> Task[Picture]:
    """Return the mean of frames from the whole movie, moved onto each other."""
    n = int(movie.shape[0])
    wanted = np.unique(np.linspace(0, n - 1, min(n, settings.template_frames)).astype(int))
    stack = np.empty((len(wanted), *(int(s) for s in movie.shape[1:])), np.float32)
    for i, at in enumerate(wanted):
        stack[i] = np.asarray(movie[int(at) : int(at) + 1])[0]
        if i % _CHUNK == 0:
            yield Progress(0, n, f"template: frame {i + 1} of {len(wanted)}")
    known = np.isfinite(stack)
    if not known.any():
        raise ImageError("the movie holds no numbers, only NaN or inf")
    if not known.all():
        stack = np.where(known, stack, np.nanmedian(np.where(known, stack, np.nan)))
    # begin with the frames most like each other: suite2p takes the best correlated twenty
    flat = stack.reshape(len(stack), -1)
    flat = (flat - flat.mean(axis=1, keepdims=True)) / np.maximum(flat.std(axis=1, keepdims=True), 1e-9)
    alike = flat @ flat.T
    best = int(np.argmax(np.sort(alike, axis=1)[:, -min(20, len(stack)) :].mean(axis=1)))
    template = stack[np.argsort(alike[best])[-min(20, len(stack)) :]].mean(axis=0)
    for round_ in range(_ROUNDS):
        finder = ShiftFinder(template, settings.most)
        found = np.array([finder.find_finely(frame) for frame in stack], np.float32)
        middle = np.median(found, axis=0)
        total, count = np.zeros(template.shape, np.float64), np.zeros(template.shape, np.int32)
        for frame, shift in zip(stack, found - middle, strict=True):
            back = moved_back(frame, shift)
            there = np.isfinite(back)
            total += np.where(there, back, 0)
            count += there
        former = template
        template = np.where(count > 0, total / np.maximum(count, 1), former).astype(np.float32)
        yield Progress(0, n, f"template: round {round_ + 1} of {_ROUNDS}")
    return template


def _blocks(template: Picture, settings: MotionSettings) -> Any:
    """Return how many blocks there are, their centres, their places and what finds their shifts."""
    rows, columns = (_starts(size, settings.block) for size in template.shape)
    side = [min(settings.block, size) for size in template.shape]
    finders = [
        [ShiftFinder(template[y : y + side[0], x : x + side[1]], settings.most_in_block) for x in columns]
        for y in rows
    ]
    centres = (
        np.array([y + side[0] / 2 - 0.5 for y in rows], np.float32),
        np.array([x + side[1] / 2 - 0.5 for x in columns], np.float32),
    )
    return (len(rows), len(columns)), centres, (rows, columns, side), finders


def _starts(size: int, block: int) -> list[int]:
    """Return where blocks begin that overlap by about half and cover the whole axis."""
    if size <= block:
        return [0]
    n = int(np.ceil((size - block) / (block / 2))) + 1
    return np.round(np.linspace(0, size - block, n)).astype(int).tolist()


def _in_blocks(frame: Picture, shift: NDArray[np.float32], pieces: Any) -> NDArray[np.float32]:
    """Return (ny, nx, 2) how far each block lies beside the shift of its frame; outliers are smoothed away."""
    (ny, nx), _, (rows, columns, side), finders = pieces
    whole = np.round(shift).astype(int)
    level = float(np.median(frame))
    rolled = np.roll(frame, (-whole[0], -whole[1]), (0, 1))
    for axis, far in enumerate(whole):  # what came round from the other side says nothing
        if far:
            outside = slice(rolled.shape[axis] - far, None) if far > 0 else slice(0, -far)
            rolled[(outside, slice(None)) if axis == 0 else (slice(None), outside)] = level
    found = np.zeros((ny, nx, 2), np.float32)
    for i, y in enumerate(rows):
        for j, x in enumerate(columns):
            found[i, j] = finders[i][j].find_finely(rolled[y : y + side[0], x : x + side[1]]) + whole - shift
    middle = np.median(found.reshape(-1, 2), axis=0)
    spread = 1.4826 * np.median(np.abs(found - middle), axis=(0, 1))
    far_off = (np.abs(found - middle) > np.maximum(5 * spread, 1.0)).any(axis=2)
    found[far_off] = middle
    return found


def _border(shifts: NDArray[np.float32], fields: NDArray[np.float32] | None) -> tuple[int, int, int, int]:
    """Return pixels at top, bottom, left and right for which some frame has nothing."""
    low, high = shifts.min(axis=0), shifts.max(axis=0)
    if fields is not None:
        low, high = low + fields.min(axis=(0, 1, 2)), high + fields.max(axis=(0, 1, 2))
    (top, left), (bottom, right) = np.ceil(np.maximum(-low, 0)), np.ceil(np.maximum(high, 0))
    return int(top), int(bottom), int(left), int(right)


def _with_numbers(movie: LazyArray, motion: Motion) -> Motion:
    """Return the motion with correlation and crispness before and after, from some frames."""
    import dataclasses

    from napari_biofm.images.motion.apply import CorrectedMovie

    n = int(movie.shape[0])
    wanted = np.unique(np.linspace(0, n - 1, min(n, _LOOKED_AT)).astype(int))
    top, bottom, left, right = motion.border
    height, width = motion.template.shape
    inside = (slice(top, max(height - bottom, top + 8)), slice(left, max(width - right, left + 8)))
    numbers = []
    for source in (movie, CorrectedMovie(movie, motion)):
        frames = np.stack([np.asarray(source[int(i) : int(i) + 1])[0][inside] for i in wanted]).astype(
            np.float32
        )
        known = np.isfinite(frames)
        frames = frames[known.any(axis=(1, 2))]
        frames = np.where(np.isfinite(frames), frames, np.float32(np.median(frames[np.isfinite(frames)])))
        mean = frames.mean(axis=0)
        centred = (frames - frames.mean(axis=(1, 2), keepdims=True)).reshape(len(frames), -1)
        flat = (mean - mean.mean()).ravel()
        scale = np.linalg.norm(centred, axis=1) * np.linalg.norm(flat)
        numbers.append((float(np.median(centred @ flat / np.maximum(scale, 1e-12))), _crispness(mean)))
    (a, c), (b, d) = numbers
    return dataclasses.replace(motion, correlation=(a, b), crispness=(c, d))


def _crispness(picture: Picture) -> float:
    return float(np.sqrt(sum(np.square(g, dtype=np.float64).sum() for g in np.gradient(picture))))
