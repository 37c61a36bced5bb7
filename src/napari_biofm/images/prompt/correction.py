"""What lookups and classical click tools share: an answer cropped to its mask, and correction by further
clicks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.images.edit.shapes import split
from napari_biofm.images.edit.view import Mask, Piece
from napari_biofm.types import ImageError, Prompt

Point = tuple[float, float]


@dataclass(frozen=True)
class Answer:
    """Masks for one prompt, best first.

    Attributes
    ----------
    pieces : alternatives, cropped, in pixels of the image.
    scores : expected IoU of each, as the backend estimates it.
    """

    pieces: tuple[Piece, ...]
    scores: tuple[float, ...]

    @classmethod
    def of(
        cls, masks: NDArray[np.bool_], scores: Sequence[float], origin: tuple[int, int] = (0, 0)
    ) -> Answer:
        """Crop full masks (n, Y, X); alternatives equal to a better one are left out."""
        pieces: list[Piece] = []
        kept: list[float] = []
        for mask, score in zip(masks, scores, strict=True):
            piece = Piece.of(mask, origin)
            if all(piece.overlap(other) < 0.98 for other in pieces):
                pieces.append(piece)
                kept.append(float(score))
        return cls(tuple(pieces), tuple(kept))

    def full(self, shape: tuple[int, int]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Return masks (n, Y, X) and scores (n,), as `types.Promptable.predict` does."""
        whole = Piece((0, 0), np.zeros(shape, bool))
        masks = [p.within(whole.origin, shape).mask if p else whole.mask for p in self.pieces]
        if not masks:
            return np.zeros((1, *shape), bool), np.zeros(1, np.float32)
        return np.stack(masks), np.array(self.scores, np.float32)


def points_of(
    prompt: Prompt, shape: tuple[int, int], start: Piece | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return positive and negative points (n, 2) of a prompt, moved into the image where they lie just
    outside.

    Raises
    ------
    ImageError : if a point is not finite, or the prompt says nothing about where the object is.
    """
    points = np.asarray(prompt.points, np.float64).reshape(-1, 2)
    positive = np.asarray(prompt.positive, bool).reshape(-1)
    if len(points) != len(positive):
        raise ImageError(f"{len(points)} points but {len(positive)} signs; give one sign per point.")
    if not np.isfinite(points).all():
        raise ImageError("A point of the prompt is not finite; give y, x in pixels of the image.")
    has_mask = bool(start) or (prompt.mask is not None and bool(np.any(prompt.mask)))
    if not positive.any() and prompt.box is None and not has_mask:
        raise ImageError("The prompt has no positive point, box or mask; click inside the object.")
    points = np.clip(points, 0, np.array(shape) - 1)
    return points[positive], points[~positive]


def box_slices(box: tuple[float, float, float, float], shape: tuple[int, int]) -> tuple[slice, slice]:
    """Return the pixels of a box (y0, x0, y1, x1) within the image; at least one pixel."""
    y0, x0, y1, x1 = box
    low_y, high_y = sorted((y0, y1))
    low_x, high_x = sorted((x0, x1))
    top = int(np.clip(np.floor(low_y), 0, shape[0] - 1))
    left = int(np.clip(np.floor(low_x), 0, shape[1] - 1))
    bottom = int(np.clip(np.ceil(high_y), top + 1, shape[0]))
    right = int(np.clip(np.ceil(high_x), left + 1, shape[1]))
    return slice(top, bottom), slice(left, right)


def corrected(
    piece: Piece,
    positives: NDArray[np.float64],
    negatives: NDArray[np.float64],
    region: Callable[[NDArray[np.float64]], Piece],
    shape: tuple[int, int],
) -> Piece:
    """Correct a mask by clicks: what a positive click outside of it shows is added, what is nearer to a
    negative click than to what stays is split off.

    Parameters
    ----------
    region : gives the region around one positive point (2,).
    shape : of the image.
    """
    for point in positives:
        if not _holds(piece, point):
            piece = union(piece, region(point))
    for point in negatives:
        if _holds(piece, point):
            piece = _without(piece, point, positives)
    return piece.within((0, 0), shape) if _outside(piece, shape) else piece


def _holds(piece: Piece, point: NDArray[np.float64]) -> bool:
    at = tuple(round(float(c)) - o for c, o in zip(point, piece.origin, strict=True))
    inside = all(0 <= c < n for c, n in zip(at, piece.mask.shape, strict=True))
    return inside and bool(piece.mask[at])


def union(first: Piece, second: Piece) -> Piece:
    """Return the pixels of either of two pieces of one plane."""
    if not first or not second:
        return first or second
    origin = (min(first.origin[0], second.origin[0]), min(first.origin[1], second.origin[1]))
    stop = (max(first.stop[0], second.stop[0]), max(first.stop[1], second.stop[1]))
    size = (stop[0] - origin[0], stop[1] - origin[1])
    return Piece(origin, first.within(origin, size).mask | second.within(origin, size).mask)


def _without(piece: Piece, point: NDArray[np.float64], positives: NDArray[np.float64]) -> Piece:
    """Return the part of a mask that stays when the user says that `point` does not belong to it."""
    away = point - np.array(piece.origin)
    kept = [p - np.array(piece.origin) for p in positives if _holds(piece, p)]
    if not kept:
        kept = [_deepest(piece.mask, away)]
    if any(np.array_equal(np.rint(k), np.rint(away)) for k in kept):
        return piece
    return Piece.of(split(piece.mask, [np.array(kept), away[None]])[0], piece.origin)


def _deepest(mask: Mask, away: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the point deepest inside a mask and not near `away`."""
    depth = scipy.ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    y, x = np.indices(mask.shape)
    far = np.hypot(y - away[0], x - away[1])
    best = np.argmax(np.where(mask, np.minimum(depth, far / 2) + 1e-3 * far, -1))
    return np.array(np.unravel_index(best, mask.shape), np.float64)


def _outside(piece: Piece, shape: tuple[int, int]) -> bool:
    return min(piece.origin, default=0) < 0 or any(s > n for s, n in zip(piece.stop, shape, strict=True))
