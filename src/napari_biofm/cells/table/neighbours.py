"""What lies around each cell: neighbours, contact, distance, density, and the background beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

GAP, RING = 2.0, 10.0  # pixels from a cell's border where the ring of background begins and ends
DENSITY = 5.0  # radius, in median diameters, of the disc (ball) whose cells are counted
_POINTS = 512  # of a disc, to see how much of it lies in the image


def ring_medians(numbers: NDArray[np.int32], channel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of the background beside each of the cells numbered 1 .. n.

    Background pixels more than `GAP` and at most `RING` pixels from a border count for the cell they are nearest to.
    Where a cell has none, the median of all background of the image stands in; NaN where there is no background.
    """
    n = int(numbers.max(initial=0))
    finite = np.isfinite(channel)
    free = (numbers == 0) & finite
    out = np.full(n, np.median(channel[free]) if free.any() else np.nan)
    if not n or not free.any():
        return out
    distance, nearest = scipy.ndimage.distance_transform_edt(numbers == 0, return_indices=True)
    ring = free & (distance > GAP) & (distance <= RING)
    of = numbers[tuple(axis[ring] for axis in nearest)] - 1
    values = channel[ring]
    order = np.lexsort((values, of))
    of, values = of[order], values[order]
    start = np.searchsorted(of, np.arange(n))
    count = np.searchsorted(of, np.arange(n), side="right") - start
    there = count > 0
    low, high = start + (count - 1) // 2, start + count // 2
    out[there] = (values[low[there]] + values[high[there]]) / 2
    return out


def neighbour_columns(
    numbers: NDArray[np.int32], pixel_size: Sequence[float] | None, reach: float
) -> dict[str, NDArray[Any]]:
    """Return neighbours, share of the border in contact, distance to the next cell, and local density."""
    n = int(numbers.max(initial=0))
    ndim = numbers.ndim
    columns: dict[str, NDArray[Any]] = {"n_neighbours": _neighbours(numbers, n, reach)}
    columns["contact_fraction"] = _contact(numbers, n)
    centres = np.zeros((n, ndim))
    areas = np.bincount(numbers.reshape(-1), minlength=n + 1)[1:].astype(float)
    if n:
        centres = np.asarray(scipy.ndimage.center_of_mass(numbers > 0, numbers, np.arange(1, n + 1))).reshape(
            n, ndim
        )
    columns["nearest_cell_px"] = _nearest(centres)
    if pixel_size is not None:
        columns["nearest_cell_um"] = _nearest(centres * np.asarray(pixel_size, float))
    density = _density(centres, areas, numbers.shape)
    columns["density_per_1e6px"] = density * 1e6
    if pixel_size is not None:
        columns[f"density_per_mm{ndim}"] = density / float(np.prod(np.asarray(pixel_size, float) / 1000.0))
    return columns


def _neighbours(numbers: NDArray[np.int32], n: int, reach: float) -> NDArray[np.int64]:
    """Count the cells whose border lies within `reach` pixels of each cell's border."""
    if n < 2:
        return np.zeros(n, np.int64)
    distance, nearest = scipy.ndimage.distance_transform_edt(numbers == 0, return_indices=True)
    grown = np.where(distance <= reach / 2 + 0.5, numbers[tuple(nearest)], 0)
    pairs: list[NDArray[np.int64]] = []
    for axis in range(numbers.ndim):
        a = np.moveaxis(grown, axis, 0)[:-1].reshape(-1).astype(np.int64)
        b = np.moveaxis(grown, axis, 0)[1:].reshape(-1).astype(np.int64)
        meet = (a != b) & (a > 0) & (b > 0)
        pairs.append(np.minimum(a, b)[meet] * (n + 1) + np.maximum(a, b)[meet])
    found = np.unique(np.concatenate(pairs))
    return np.bincount(np.concatenate([found // (n + 1), found % (n + 1)]), minlength=n + 1)[1:]


def _contact(numbers: NDArray[np.int32], n: int) -> NDArray[np.float64]:
    """Return which share of the faces of each cell's pixels that look outwards look at another cell."""
    outward, touching = np.zeros(n + 1), np.zeros(n + 1)
    for axis in range(numbers.ndim):
        a = np.moveaxis(numbers, axis, 0)[:-1].reshape(-1)
        b = np.moveaxis(numbers, axis, 0)[1:].reshape(-1)
        differ = a != b
        both = differ & (a > 0) & (b > 0)
        for side in (a, b):
            outward += np.bincount(side[differ], minlength=n + 1)
            touching += np.bincount(side[both], minlength=n + 1)
    return np.divide(touching, outward, out=np.zeros(n + 1), where=outward > 0)[1:]


def _nearest(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.spatial import cKDTree

    if len(centres) < 2:
        return np.full(len(centres), np.nan)
    return np.asarray(cKDTree(centres).query(centres, k=2)[0][:, 1])


def _density(
    centres: NDArray[np.float64], areas: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return cells per pixel in a disc (ball) around each cell, itself among them; parts outside do not count."""
    from scipy.spatial import cKDTree

    n, ndim = centres.shape
    if not n:
        return np.zeros(0)
    unit = np.pi if ndim == 2 else 4 * np.pi / 3
    radius = DENSITY * 2 * float(np.median((areas / unit) ** (1 / ndim)))
    inside = np.asarray([len(found) for found in cKDTree(centres).query_ball_point(centres, radius)], float)
    offsets = _ball(ndim) * radius
    share = np.empty(n)
    for start in range(0, n, 1024):
        points = centres[start : start + 1024, None] + offsets[None]
        share[start : start + 1024] = ((points >= -0.5) & (points <= np.asarray(shape) - 0.5)).all(-1).mean(1)
    return inside / np.maximum(share * unit * radius**ndim, 1.0)


def _ball(ndim: int) -> NDArray[np.float64]:
    """Return points spread evenly over the unit disc or ball, always the same."""
    i = np.arange(_POINTS) + 0.5
    golden = np.pi * (3 - np.sqrt(5))
    if ndim == 2:
        r, angle = np.sqrt(i / _POINTS), golden * i
        return np.stack([r * np.sin(angle), r * np.cos(angle)], 1)
    z = 1 - 2 * i / _POINTS
    flat = np.sqrt(1 - z**2)
    shell = np.stack([z, flat * np.sin(golden * i), flat * np.cos(golden * i)], 1)
    return shell * np.cbrt((i * 0.7548776662) % 1.0)[:, None]
