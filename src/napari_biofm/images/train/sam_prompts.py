"""Clicks and boxes as a person would give them for a cell whose mask is known: for training and for the score.

The first click lies in the cell, every further one in the largest part that is wrong: inside where the mask misses
the cell, outside where it goes beyond. Sofiiuk et al., Reviving iterative training with mask guidance for
interactive segmentation, ICIP 2022; Kirillov et al., Segment Anything, ICCV 2023 (appendix A).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.edit.shapes import deepest_point, largest_part
from napari_biofm.images.edit.view import Mask, mask_box

_JITTER = 0.1  # of a side of the box: how far a hand misses its corners
_MOST_JITTER = 20.0  # pixels of the network's input, as Segment Anything was trained


@dataclass(frozen=True)
class Click:
    """One click.

    Attributes
    ----------
    y, x : pixels.
    positive : True inside the cell.
    """

    y: float
    x: float
    positive: bool


def first_click(mask: Mask, rng: np.random.Generator | None = None) -> Click:
    """Return a click in a cell: its deepest point, or with `rng` any of its pixels.

    Parameters
    ----------
    mask : (Y, X) bool with a true pixel.
    rng : draws the pixel.
    """
    return Click(*_point(mask, rng), True)


def next_click(mask: Mask, found: Mask, rng: np.random.Generator | None = None) -> Click:
    """Return the click that corrects a mask most: in the largest part that is missing or too much.

    Parameters
    ----------
    mask : (Y, X) bool, the cell; has a true pixel.
    found : (Y, X) bool, the mask to correct.
    rng : draws a pixel of that part; without, it is the deepest one.
    """
    wrong = mask ^ found
    if not wrong.any():
        return first_click(mask, rng)
    box = mask_box(wrong)
    missing, too_much = (largest_part(part[box]) for part in (mask & ~found, found & ~mask))
    positive = bool(missing.sum() >= too_much.sum())
    y, x = _point(missing if positive else too_much, rng)
    return Click(y + box[0].start, x + box[1].start, positive)


def box_of(mask: Mask, rng: np.random.Generator | None = None) -> tuple[float, float, float, float]:
    """Return the box around a cell, (y0, x0, y1, x1); with `rng` its corners are missed a little.

    Parameters
    ----------
    mask : (Y, X) bool with a true pixel.
    rng : draws by how much: normal, 10 % of a side, at most 20 pixels.
    """
    rows, columns = mask_box(mask)
    corners = np.array([rows.start, columns.start, rows.stop, columns.stop], np.float64)
    if rng is not None:
        sides = np.tile(corners[2:] - corners[:2], 2)
        missed = np.clip(rng.normal(0, _JITTER, 4) * sides, -_MOST_JITTER, _MOST_JITTER)
        corners = np.clip(corners + missed, 0, np.tile(mask.shape, 2))
    y0, x0, y1, x1 = corners.tolist()
    return min(y0, y1), min(x0, x1), max(y0, y1), max(x0, x1)


def overlap(mask: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    """Return the intersection over union of two masks of one shape, one of them with a true pixel.

    Parameters
    ----------
    mask, found : (Y, X) bool.
    """
    return float((mask & found).sum() / (mask | found).sum())


def _point(mask: Mask, rng: np.random.Generator | None) -> tuple[float, float]:
    if rng is None:
        box = mask_box(mask)
        y, x = deepest_point(mask[box]) + [s.start for s in box]
    else:
        y, x = np.argwhere(mask)[rng.integers(int(mask.sum()))]
    return float(y), float(x)
