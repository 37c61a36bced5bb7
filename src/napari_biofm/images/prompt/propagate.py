"""Carry one cell from its plane to the next ones, through z or t, and stop where that becomes doubtful."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.images.edit.shapes import deepest_point
from napari_biofm.images.edit.view import Piece
from napari_biofm.types import Progress, Prompt, Segmentation, Task, run_task

BASIN_MARGIN = 64  # pixels around the cell whose flows are followed
MARGIN = 24  # pixels around the cell that are looked at for its motion
Answerer = Callable[[int, Prompt, Piece], tuple[Piece, float]]  # plane, prompt, moved mask -> mask, score
PlaneReader = Callable[[int], NDArray[Any]]  # index -> (Y, X) or (Y, X, C)


@dataclass(frozen=True)
class Limits:
    """When to stop and ask.

    Attributes
    ----------
    least_score : lowest score of the click backend.
    least_overlap : lowest IoU with the neighbour's mask moved along.
    area_change : largest factor by which the area may change from plane to plane.
    least_contrast : how much of its contrast to its surroundings the cell must keep from plane to plane.
    """

    least_score: float = 0.3
    least_overlap: float = 0.35
    area_change: float = 1.8
    least_contrast: float = 0.3


@dataclass(frozen=True)
class Step:
    """One plane done: `piece` and how sure it is; `doubt` is "" or why it stopped before this plane."""

    index: int
    piece: Piece
    score: float
    doubt: str = ""


@dataclass(frozen=True)
class Propagated:
    """The accepted steps in order, and why it ended ("" where the range was done)."""

    steps: tuple[Step, ...]
    stopped_at: int | None
    reason: str


def propagate(
    read: PlaneReader,
    answer: Answerer,
    piece: Piece,
    start: int,
    indices: Iterator[int] | range,
    limits: Limits | None = None,
) -> Task[Propagated]:
    """Carry `piece` of plane `start` through `indices`.

    In each plane the neighbour's mask is moved by the motion of the picture around it and given to the click
    backend as box and points (and as it is); the answer must be like its neighbour in place and area. The
    first doubtful plane ends it.

    Parameters
    ----------
    read : gives the picture of a plane.
    answer : the click backend, on a plane.
    piece : the cell in plane `start`.
    indices : planes to visit, in order, beginning beside `start`.
    limits : when to stop.

    Yields
    ------
    Progress with a `Step` as payload after each plane.
    """
    rules = limits or Limits()
    planes = list(indices)
    before = read(start)
    steps: list[Step] = []
    for number, index in enumerate(planes):
        picture = read(index)
        moved = _moved(piece, motion(before, picture, piece), picture.shape[:2])
        found, score = answer(index, prompt_from(moved), moved) if moved else (moved, 0.0)
        doubt = judge(moved, found, score, rules) or _fading(before, piece, picture, found, rules)
        if doubt:
            return Propagated(tuple(steps), index, doubt)
        step = Step(index, found, score)
        steps.append(step)
        yield Progress(number + 1, len(planes), f"plane {index}", payload=step)
        piece, before = found, picture
    return Propagated(tuple(steps), None, "")


def judge(moved: Piece, found: Piece, score: float, limits: Limits) -> str:
    """Say why a mask is doubtful as the successor of `moved`, "" where it is not."""
    if not moved:
        return "the cell leaves the picture"
    if not found:
        return "no mask was found"
    ratio = max(found.area, 1) / max(moved.area, 1)
    if not 1 / limits.area_change <= ratio <= limits.area_change:
        return f"its area changes by a factor of {ratio:.2f}"
    overlap = moved.overlap(found)
    if overlap < limits.least_overlap:
        return f"it overlaps its neighbour by only {overlap:.2f}"
    if score < limits.least_score:
        return f"the score falls to {score:.2f}"
    return ""


def _fading(before: NDArray[Any], old: Piece, picture: NDArray[Any], new: Piece, limits: Limits) -> str:
    first, second = contrast(before, old), contrast(picture, new)
    if second * np.sign(first) < limits.least_contrast * abs(first):
        return "the cell fades from the picture"
    return ""


def contrast(picture: NDArray[Any], piece: Piece) -> float:
    """Return the mean grey value in a mask minus that in a ring of four pixels around it."""
    wide = piece.padded(5, (int(picture.shape[0]), int(picture.shape[1])))
    window = tuple(slice(o, e) for o, e in zip(wide.origin, wide.stop, strict=True))
    grey = _grey(picture[window])
    ring = scipy.ndimage.binary_dilation(wide.mask, iterations=4) & ~scipy.ndimage.binary_dilation(wide.mask)
    return float(grey[wide.mask].mean() - grey[ring].mean()) if ring.any() else 0.0


def prompt_from(piece: Piece) -> Prompt:
    """Return the prompt that describes a mask: its box with a margin and its deepest point."""
    deepest = deepest_point(piece.mask) + np.array(piece.origin)
    room = max(1.0, 0.08 * max(piece.mask.shape))
    y0, x0 = (o - room for o in piece.origin)
    y1, x1 = (e + room for e in piece.stop)
    return Prompt(deepest[None], np.ones(1, bool), (y0, x0, y1, x1))


def motion(before: NDArray[Any], after: NDArray[Any], piece: Piece) -> tuple[int, int]:
    """Return how far the picture around a cell moved, pixels (y, x), by phase correlation; at most half its
    size.

    Source: Kuglin & Hines, Proc. Int. Conf. Cybernetics and Society, 163 (1975).
    """
    window = tuple(
        slice(max(0, o - MARGIN), min(n, e + MARGIN))
        for o, e, n in zip(piece.origin, piece.stop, before.shape[:2], strict=True)
    )
    first, second = (_grey(p[window]) for p in (before, after))
    if first.shape != second.shape or min(first.shape) < 8:
        return 0, 0
    taper = np.outer(np.hanning(first.shape[0]), np.hanning(first.shape[1]))
    spectrum = np.fft.rfft2((second - second.mean()) * taper) * np.conj(
        np.fft.rfft2((first - first.mean()) * taper)
    )
    size = np.abs(spectrum)
    if size.max() <= 0:
        return 0, 0
    peak = np.fft.irfft2(spectrum / np.maximum(size, 1e-3 * size.max()), s=first.shape)
    shift = [int(s) for s in np.unravel_index(peak.argmax(), peak.shape)]
    shift = [s - n if s > n // 2 else s for s, n in zip(shift, peak.shape, strict=True)]
    if any(abs(s) > max(n // 2, 4) for s, n in zip(shift, piece.mask.shape, strict=True)):
        return 0, 0
    return shift[0], shift[1]


def _grey(picture: NDArray[Any]) -> NDArray[np.float64]:
    plane = np.asarray(picture, np.float64)
    return plane.mean(axis=2) if plane.ndim == 3 else plane


def _moved(piece: Piece, shift: tuple[int, int], shape: tuple[int, ...]) -> Piece:
    moved = Piece((piece.origin[0] + shift[0], piece.origin[1] + shift[1]), piece.mask)
    inside = moved.within((0, 0), (int(shape[0]), int(shape[1])))
    return Piece.of(inside.mask)


def propagate_stack(
    stack: NDArray[Any],
    piece: Piece,
    model: str = "level-sets",
    device: str = "auto",
    limits: Limits | None = None,
) -> Task[Propagated]:
    """Carry `piece` of plane 0 of a stack through its other planes: the job that docks submit.

    Parameters
    ----------
    stack : (n, Y, X) or (n, Y, X, C), in the order of the way.
    model : click model of the catalogue, or "level-sets".
    """
    from napari_biofm.images.prompt.backends import promptable

    tool = promptable(model, device)

    def answer(index: int, prompt: Prompt, _moved: Piece) -> tuple[Piece, float]:
        masks, scores = tool.predict(run_task(tool.prepare(stack[index])), prompt)
        return Piece.of(masks[0]), float(scores[0])

    return (yield from propagate(lambda k: stack[k], answer, piece, 0, range(1, len(stack)), limits))


def propagate_followed(
    stack: NDArray[Any],
    piece: Piece,
    model: str,
    device: str = "auto",
    limits: Limits | None = None,
) -> Task[Propagated]:
    """Carry `piece` of plane 0 of a stack through its other planes by a model with a memory, such as SAM 2.

    Parameters
    ----------
    stack : (n, Y, X) or (n, Y, X, C), in the order of the way.
    model : of the catalogue, that carries masks.
    """
    from napari_biofm.images.segment.catalogue import make_follower

    yield Progress(0, max(1, len(stack) - 1), f"{model}: loading")
    shape = (int(stack.shape[1]), int(stack.shape[2]))
    masks = {1: piece.within((0, 0), shape).mask}
    with closing(make_follower(model, device).carry(stack, masks)) as following:

        def answer(_index: int, _prompt: Prompt, _moved: Piece) -> tuple[Piece, float]:
            mask, score = next(following)[1]
            return Piece.of(mask), score

        return (yield from propagate(lambda k: stack[k], answer, piece, 0, range(1, len(stack)), limits))


def followed_pieces(
    stack: NDArray[Any], pieces: Mapping[int, Piece], model: str, device: str = "auto"
) -> Task[list[dict[int, tuple[Piece, float]]]]:
    """Return mask and score of all cells in plane 1, 2, ... of a stack, from one pass of a model with a memory.

    Parameters
    ----------
    stack : (n, Y, X) or (n, Y, X, C), in the order of the way.
    pieces : the cells in plane 0, by id.
    model : of the catalogue, that carries masks.
    """
    from napari_biofm.images.segment.catalogue import make_follower

    shape = (int(stack.shape[1]), int(stack.shape[2]))
    masks = {label: piece.within((0, 0), shape).mask for label, piece in pieces.items()}
    yield Progress(0, len(stack), f"{model}: loading")
    found = []
    with closing(make_follower(model, device).carry(stack, masks)) as following:
        for number, one in enumerate(following, 1):
            found.append({label: (Piece.of(mask), score) for label, (mask, score) in one.items()})
            yield Progress(number, len(stack), f"plane {number} of {len(stack) - 1}")
    return found


def propagate_basins(
    stack: NDArray[Any],
    flows: NDArray[np.floating[Any]],
    cell_prob: NDArray[np.floating[Any]],
    piece: Piece,
    threshold: float = 0.0,
    diameter: float | None = None,
    limits: Limits | None = None,
) -> Task[Propagated]:
    """Carry `piece` of plane 0 of a stack through its other planes by their flow basins; no network runs.

    Parameters
    ----------
    stack : (n, Y, X) or (n, Y, X, C), in the order of the way; used for motion and contrast.
    flows : (2, n, Y, X). cell_prob : (n, Y, X) logits, both of the same planes.
    threshold : logit above which pixels belong to the cell.
    diameter : of the pass, pixels, as far as it is known.
    """
    from napari_biofm.images.prompt.flow_basins import Basins, follow

    def answer(index: int, _prompt: Prompt, moved: Piece) -> tuple[Piece, float]:
        window = moved.padded(max(BASIN_MARGIN, *moved.mask.shape), stack.shape[1:3])
        rows, columns = (slice(o, e) for o, e in zip(window.origin, window.stop, strict=True))
        part = Segmentation(
            np.zeros(window.mask.shape, np.int32),
            np.ascontiguousarray(flows[:, index, rows, columns], np.float32),
            np.ascontiguousarray(cell_prob[index, rows, columns], np.float32),
            diameter=diameter,
        )
        found, score = follow(Basins.of(part), Piece.of(window.mask), threshold)
        shifted = tuple(o + w for o, w in zip(found.origin, window.origin, strict=True))
        return Piece(shifted, found.mask), score

    return (yield from propagate(lambda k: stack[k], answer, piece, 0, range(1, len(stack)), limits))
