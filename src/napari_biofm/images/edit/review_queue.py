"""Which cells need a look first, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.images.edit.view import Piece
from napari_biofm.types import ImageError

LARGEST = 1 << 24  # pixels looked through; of larger planes a part
RING = 12  # pixels, radius of the ring where a cell is missing


@dataclass(frozen=True)
class ReviewItem:
    """A cell that deserves a look.

    Attributes
    ----------
    label : its id; 0 where another segmentation has a cell and this one has none.
    centre : where it is, index along every axis.
    reasons : in words, worst first.
    score : how much it deserves the look, 0..; the list is sorted by it.
    """

    label: int
    centre: tuple[float, ...]
    reasons: tuple[str, ...]
    score: float


def review_items(
    labels: NDArray[Any],
    cell_prob: NDArray[Any] | None = None,
    other: NDArray[Any] | None = None,
    offset: tuple[int, ...] | None = None,
) -> list[ReviewItem]:
    """List the cells that need a look first: low confidence, odd size, ragged or in pieces, cut by the
    border, or unlike what a second segmentation says.

    Parameters
    ----------
    labels : integer labels of any dimension; a window of a larger image counts.
    cell_prob : logits of the same shape.
    other : a second segmentation of the same shape, e.g. of another model.
    offset : where the window begins, added to the centres.

    Returns
    -------
    Doubts, the most doubtful first; cells without one are left out.
    """
    for name, array in (("cell probability", cell_prob), ("second segmentation", other)):
        if array is not None and array.shape != labels.shape:
            raise ImageError(
                f"The {name} has shape {array.shape}, the labels {labels.shape}; they must be equal."
            )
    ids, inverse = np.unique(labels, return_inverse=True)
    dense: NDArray[np.int32] = np.asarray(inverse, np.int32).reshape(labels.shape)
    if ids[0] != 0:
        ids, dense = np.concatenate([[0], ids]), np.asarray(dense + 1, np.int32)
    n = len(ids)
    area = np.bincount(dense.ravel(), minlength=n).astype(float)
    found: dict[int, list[tuple[float, str]]] = {k: [] for k in range(1, n)}
    boxes = scipy.ndimage.find_objects(dense)
    _odd_size(area, found)
    _border(boxes, labels.shape, found)
    _pieces(dense, boxes, area, found)
    if cell_prob is not None:
        _confidence(dense, cell_prob, area, found)
    missed = _disagreement(dense, other, area, found) if other is not None else []
    start = np.array(offset if offset is not None else (0,) * labels.ndim, float)
    out = [
        ReviewItem(
            int(ids[k]),
            _centre(dense, boxes[k - 1], k, start),
            tuple(r for _, r in sorted(v, reverse=True)),
            float(sum(s for s, _ in v)),
        )
        for k, v in found.items()
        if v and boxes[k - 1] is not None
    ]
    out += [ReviewItem(0, tuple(c + start), (reason,), score) for c, score, reason in missed]
    return sorted(out, key=lambda d: (-d.score, d.label))


def _odd_size(area: NDArray[np.float64], found: dict[int, list[tuple[float, str]]]) -> None:
    """Sizes far from the others', on a logarithmic scale, measured by the median absolute deviation."""
    if len(area) < 6:
        return
    size = np.log(np.maximum(area[1:], 1))
    middle = np.median(size)
    spread = max(1.4826 * float(np.median(np.abs(size - middle))), 0.1)
    for k, z in enumerate((size - middle) / spread, 1):
        if abs(z) > 2.5:
            word = "small" if z < 0 else "large"
            found[k].append(
                (min(abs(z) / 5, 1.5), f"unusually {word}: {area[k]:.0f} px, usual {np.exp(middle):.0f}")
            )


def _border(boxes: Any, shape: tuple[int, ...], found: dict[int, list[tuple[float, str]]]) -> None:
    axes = range(max(0, len(shape) - 2), len(shape))
    for k, box in enumerate(boxes, 1):
        if box is not None and any(box[a].start == 0 or box[a].stop == shape[a] for a in axes):
            found[k].append((0.2, "cut by the border"))


def _pieces(
    dense: NDArray[np.int32], boxes: Any, area: NDArray[np.float64], found: dict[int, list[tuple[float, str]]]
) -> None:
    for k, box in enumerate(boxes, 1):
        if box is None:
            continue
        mask = dense[box] == k
        _, parts = scipy.ndimage.label(mask, np.ones((3,) * mask.ndim))
        if parts > 1:
            found[k].append((0.8, f"in {parts} pieces"))
        holes = int(scipy.ndimage.binary_fill_holes(mask).sum() - area[k])
        if holes > 0.02 * area[k] and holes > 3:
            found[k].append((0.5, f"has holes of {holes} px"))


def _confidence(
    dense: NDArray[np.int32],
    cell_prob: NDArray[Any],
    area: NDArray[np.float64],
    found: dict[int, list[tuple[float, str]]],
) -> None:
    chance = 1 / (1 + np.exp(-np.clip(cell_prob.astype(np.float64), -30, 30)))
    mean = np.bincount(dense.ravel(), chance.ravel(), minlength=len(area)) / np.maximum(area, 1)
    for k in found:
        if mean[k] < 0.75:
            found[k].append((2 * (0.75 - float(mean[k])) + 0.3, f"low confidence: {mean[k]:.2f}"))


def _disagreement(
    dense: NDArray[np.int32],
    other: NDArray[Any],
    area: NDArray[np.float64],
    found: dict[int, list[tuple[float, str]]],
) -> list[tuple[NDArray[np.float64], float, str]]:
    """Compare with a second segmentation by overlap; return its cells that have no match here."""
    theirs, second = np.unique(other, return_inverse=True)
    second = second.reshape(other.shape)
    if theirs[0] != 0:
        second = second + 1
        theirs = np.concatenate([[0], theirs])
    both = np.bincount(
        dense.ravel().astype(np.int64) * len(theirs) + second.ravel(), minlength=len(area) * len(theirs)
    )
    table = both.reshape(len(area), len(theirs)).astype(float)
    union = area[:, None] + table.sum(axis=0)[None] - table
    iou = table / np.maximum(union, 1)
    for k in found:
        best = float(iou[k, 1:].max(initial=0))
        if best < 0.6:
            words = (
                "no such cell in the second segmentation"
                if best < 0.1
                else f"second segmentation differs (IoU {best:.2f})"
            )
            found[k].append((1.2 - best, words))
    missed = np.flatnonzero(table[1:, 1:].sum(axis=0) < 0.3 * table[:, 1:].sum(axis=0)) + 1
    return [
        (np.array(scipy.ndimage.center_of_mass(second == j)), 1.0, "the second segmentation has a cell here")
        for j in missed
    ]


def _centre(dense: NDArray[np.int32], box: Any, k: int, start: NDArray[np.float64]) -> tuple[float, ...]:
    points = np.argwhere(dense[box] == k)
    near = points[
        ((points - points.mean(axis=0)) ** 2).sum(axis=1).argmin()
    ]  # on the cell, however bent it is
    return tuple(float(c + s.start + o) for c, s, o in zip(near, box, start, strict=True))


def part_around(
    shape: tuple[int, ...], centre: tuple[float, ...], largest: int = LARGEST
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return origin and size of what is looked through of a plane: all of it, of a large one a part.

    Parameters
    ----------
    shape : of the plane or volume.
    centre : of the part, e.g. the middle of the screen.
    largest : pixels up to which all of it is looked through.
    """
    if np.prod(shape, dtype=np.int64) <= largest:
        return (0,) * len(shape), shape
    side = int(largest ** (1 / len(shape)))
    origin = tuple(
        int(np.clip(c - side // 2, 0, max(0, n - side))) for c, n in zip(centre, shape, strict=True)
    )
    return origin, tuple(min(side, n) for n in shape)


def outline(centre: tuple[float, ...], piece: Piece | None, shape: tuple[int, ...]) -> Piece:
    """Return a line around a cell, or a ring around a point where a cell is missing.

    Parameters
    ----------
    centre : (y, x) of the point.
    piece : the cell, None where one is missing.
    shape : (Y, X) of the plane.
    """
    if piece is not None:
        piece = piece.padded(2, shape)
    else:
        far = np.hypot(*np.mgrid[-RING : RING + 1, -RING : RING + 1])
        corner = tuple(round(c) - RING for c in centre)
        piece = Piece((corner[0], corner[1]), far <= RING - 1)
    return Piece.of(scipy.ndimage.binary_dilation(piece.mask) & ~piece.mask, piece.origin)
