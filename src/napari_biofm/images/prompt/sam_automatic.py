"""All objects of an image from a network that answers points: where to ask, what to keep, how to merge.

The filters are those of Segment Anything's automatic mask generator (predicted IoU, stability of the
mask under its threshold, suppression of boxes that overlap), on the decoder's own 256-pixel masks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.images.protocols import Box
from napari_biofm.types import Labels

MIN_SCORE = 0.88
MIN_STABILITY = 0.95
MAX_BOX_IOU = 0.7
MAX_FRACTION = 0.5  # of a tile; larger masks are background
_STABILITY_OFFSET = 1.0
_POINTS_PER_SIDE = 32


@dataclass(frozen=True)
class Candidate:
    """A mask cut to its bounding box.

    Attributes
    ----------
    mask : (h, w) bool.
    origin : y, x of the box in the image.
    score : predicted IoU.
    area : pixels.
    """

    mask: NDArray[np.bool_]
    origin: tuple[int, int]
    score: float
    area: int

    @classmethod
    def cut(cls, mask: NDArray[np.bool_], score: float, offset: tuple[int, int]) -> Candidate | None:
        """Return the candidate of a tile's mask, or None where it is empty or background."""
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        area = int(mask.sum())
        if not area or area > MAX_FRACTION * mask.size:
            return None
        inside = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
        return cls(inside, (offset[0] + int(rows[0]), offset[1] + int(columns[0])), float(score), area)

    @property
    def window(self) -> tuple[slice, slice]:
        """Where the mask lies in the image."""
        (y, x), (height, width) = self.origin, self.mask.shape
        return slice(y, y + height), slice(x, x + width)


def point_grid(box: Box, diameter: float | None = None) -> NDArray[np.float64]:
    """Return points (n, 2) y, x to ask about in a tile: two per diameter, or 32 per side."""
    y0, x0, y1, x1 = box
    counts = []
    for length in (y1 - y0, x1 - x0):
        wanted = _POINTS_PER_SIDE if diameter is None else round(2 * length / diameter)
        counts.append(min(64, max(2, wanted)))
    ys = y0 + (np.arange(counts[0]) + 0.5) * (y1 - y0) / counts[0]
    xs = x0 + (np.arange(counts[1]) + 0.5) * (x1 - x0) / counts[1]
    return np.stack(np.meshgrid(ys, xs, indexing="ij"), -1).reshape(-1, 2)


def select(
    logits: NDArray[np.float32], scores: NDArray[np.float32]
) -> Iterator[tuple[NDArray[np.float32], float]]:
    """Yield the logits (256, 256) and score of the masks that are sure and stable.

    Parameters
    ----------
    logits : (n, 3, 256, 256).
    scores : (n, 3).
    """
    flat, values = logits.reshape(-1, *logits.shape[-2:]), scores.ravel()
    for index in np.flatnonzero(values > MIN_SCORE):
        small = int((flat[index] > _STABILITY_OFFSET).sum())
        large = int((flat[index] > -_STABILITY_OFFSET).sum())
        if small and small >= MIN_STABILITY * large:
            yield flat[index], float(values[index])


def merge(candidates: list[Candidate], shape: tuple[int, int], min_size: int) -> Labels:
    """Drop doubles, then paint the rest, the surest on top, (Y, X) int32.

    An object of which the better ones leave less than half is dropped.
    """
    kept = suppress(sorted(candidates, key=lambda c: -c.score))
    free = np.ones(shape, bool)
    labels = np.zeros(shape, np.int32)
    number = 0
    for candidate in kept:
        window = candidate.window
        visible = candidate.mask & free[window]
        if visible.sum() < max(min_size, 0.5 * candidate.area, 1):
            continue
        pieces, count = scipy.ndimage.label(visible)
        if count > 1:  # an object is one piece
            visible = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
        number += 1
        labels[window][visible] = number
        free[window][visible] = False
    return labels


def suppress(candidates: list[Candidate]) -> list[Candidate]:
    """Keep of candidates whose boxes overlap by more than 0.7 (IoU) the first."""
    if not candidates:
        return []
    boxes = np.array([(*c.origin, *np.add(c.origin, c.mask.shape)) for c in candidates], np.float64)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    alive = np.ones(len(boxes), bool)
    kept = []
    for index, candidate in enumerate(candidates):
        if not alive[index]:
            continue
        kept.append(candidate)
        low = np.maximum(boxes[index, :2], boxes[:, :2])
        high = np.minimum(boxes[index, 2:], boxes[:, 2:])
        shared = np.prod(np.clip(high - low, 0, None), axis=1)
        alive &= shared <= MAX_BOX_IOU * (areas[index] + areas - shared)
    return kept
