"""Is an object outlined? Cells whose membrane or wall is stained are told from their ground by a closed bright line.

Their inside is as dark as the ground, and in tissue there is hardly any ground at all. A line counts where it is brighter
than the inside and than what lies beyond it, all around, in units of the finest noise of the image over as many pixels.
Outlines that a network draws in noise, blurred or not, reach 4 of these units; of cells in plant tissue and of cells with
a dyed membrane nine in ten reach 20 (`tests/images/segment/test_outlines.py`, `training/image/REPORT.md`).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.types import Labels

Float = NDArray[np.float64]
SECTORS = 16  # parts of the way around
ALL_AROUND = 0.3  # part of the sectors that may be weaker than what is returned
LEAST_SECTORS = 8  # with pixels in the image: objects at its edge are judged by what is seen of them
INSIDE, LINE, BEYOND = (
    3,
    6,
    4,
)  # pixels: how far within and outside the edge a line may lie; how far beyond it is compared
QUIET = 0.1  # part of the image, the quietest, that noise is read from
_NORMAL = 0.12566  # its quantile of a normal distribution's absolute value


def outline_contrast(
    plane: NDArray[np.float32], masks: Labels, which: Iterable[int], floor: float = 0.0
) -> Float:
    """Return how far a bright closed line around an object stands out, in units of noise; (n,), index = label.

    Parameters
    ----------
    plane : (Y, X) intensities.
    masks : (Y, X) labels.
    which : labels to look at; of the others 0 is returned.
    floor : what noise is at least, as that of rounded numbers.
    """
    found = np.zeros(int(masks.max(initial=0)) + 1)
    boxes = scipy.ndimage.find_objects(masks)
    noises: dict[float, float] = {}
    margin = LINE + BEYOND + 1
    for label in which:
        box = boxes[label - 1]
        if box is None:
            continue
        around = tuple(slice(max(0, one.start - margin), one.stop + margin) for one in box)
        own = masks[around] == label
        depth = scipy.ndimage.distance_transform_edt(np.pad(own, 1))[1:-1, 1:-1]
        sigma = _octave((own & (depth <= 1.5)).sum() / SECTORS)
        if sigma not in noises:
            noises[sigma] = max(noise_of(plane, sigma), floor, 1e-9)
        heights = _line_heights(plane[around], own, depth)
        if len(heights) >= LEAST_SECTORS:
            found[label] = max(float(np.quantile(heights, ALL_AROUND)), 0.0) / noises[sigma]
    return found


def noise_of(plane: NDArray[np.float32], sigma: float) -> float:
    """Return the standard deviation of noise that is averaged over a Gaussian of `sigma` pixels, or of twice that if it is more.

    It is read from the quietest part of the image that is not entirely flat, where there is little but noise.

    Parameters
    ----------
    plane : (Y, X) intensities.
    sigma : pixels.
    """
    spreads = []
    for wide in (sigma, 2 * sigma):
        near = np.abs(
            scipy.ndimage.gaussian_filter(plane, wide) - scipy.ndimage.gaussian_filter(plane, 2.5 * wide)
        )
        near = near[near > 1e-6 * float(near.max())]
        spreads.append(float(np.quantile(near, QUIET)) / _NORMAL if near.size else 0.0)
    return max(spreads)


def _octave(pixels: float) -> float:
    """Return the standard deviation of a Gaussian that averages as many pixels, in steps of half an octave."""
    return float(2.0 ** (np.round(2 * np.log2(np.sqrt(max(pixels, 1.0) / (4 * np.pi)))) / 2))


def _line_heights(plane: NDArray[np.float32], own: NDArray[np.bool_], depth: Float) -> Float:
    """Return the least height of the line over the inside and over what lies beyond it, per sector that is seen."""
    deepest = depth.max()
    core = own & (depth > min(0.5 * deepest, deepest - 1)) if deepest > 2 else own
    inside = float(plane[core].mean())
    away = np.where(own, 0.5 - depth, scipy.ndimage.distance_transform_edt(~own) - 0.5)
    step = np.floor(away).astype(int) + INSIDE
    n_steps = INSIDE + LINE + BEYOND
    near = (step >= 0) & (step < n_steps)
    y, x = np.nonzero(own)
    rows, columns = np.ogrid[: own.shape[0], : own.shape[1]]
    angle = np.arctan2(rows - y.mean(), columns - x.mean())
    sector = ((angle + np.pi) / (2 * np.pi) * SECTORS).astype(int) % SECTORS
    place = sector[near] * n_steps + step[near]
    count = np.bincount(place, minlength=SECTORS * n_steps).reshape(SECTORS, n_steps)
    total = np.bincount(place, plane[near], SECTORS * n_steps).reshape(SECTORS, n_steps)
    course = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    heights = []
    for one in course:
        line = one[: INSIDE + LINE]
        if np.isfinite(line[INSIDE:]).sum() < LINE // 2:
            continue  # out of the image
        at = int(np.nanargmax(line))
        beyond = one[at + 1 : at + 2 + BEYOND]
        if np.isfinite(beyond).any():
            heights.append(one[at] - max(inside, float(np.nanmin(beyond))))
    return np.asarray(heights)
