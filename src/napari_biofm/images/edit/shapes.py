"""What is done to the shape of one cell. Boolean masks in, boolean masks out, 2D or 3D; no labels, no ids."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.images.edit.view import Mask
from napari_biofm.types import SessionError


def filled(mask: Mask) -> Mask:
    """Return the mask without holes."""
    return np.asarray(scipy.ndimage.binary_fill_holes(mask), bool)


def smoothed(mask: Mask, radius: float = 2.0) -> Mask:
    """Return the mask with an outline smoothed over `radius` pixels; its area stays as it was to within a
    pixel row.

    The mask must have a margin of background of about `radius`.
    """
    blurred = scipy.ndimage.gaussian_filter(mask.astype(np.float32), radius, mode="nearest")
    area = int(mask.sum())
    if not area:
        return mask.copy()
    level = np.partition(blurred.reshape(-1), blurred.size - area)[blurred.size - area]
    kept = blurred >= min(max(float(level), 0.3), 0.7)
    return largest_part(kept)


def grown(mask: Mask, pixels: int) -> Mask:
    """Return the mask grown (or shrunk, where negative) by a distance in pixels."""
    if pixels >= 0:
        return (
            np.asarray(scipy.ndimage.distance_transform_edt(~mask) <= pixels, bool)
            if mask.any()
            else mask.copy()
        )
    padded = np.pad(mask, 1)
    inside = scipy.ndimage.distance_transform_edt(padded) > -pixels
    return np.asarray(inside[(slice(1, -1),) * mask.ndim], bool)


def deepest_point(mask: Mask) -> NDArray[np.float64]:
    """Return the index of the pixel that lies farthest from the outside; what is off the array is outside."""
    depth = scipy.ndimage.distance_transform_edt(np.pad(mask, 1))[(slice(1, -1),) * mask.ndim]
    return np.array(np.unravel_index(depth.argmax(), depth.shape), np.float64)


def largest_part(mask: Mask) -> Mask:
    """Return the largest connected part."""
    parts, n = scipy.ndimage.label(mask)
    if n <= 1:
        return np.asarray(mask, bool)
    sizes = np.bincount(parts.reshape(-1))
    sizes[0] = 0
    return np.asarray(parts == sizes.argmax(), bool)


def bridged(first: Mask, second: Mask, free: Mask, limit: int = 6) -> Mask:
    """Return the union of two masks with a gap of up to `limit` pixels between them closed over `free`
    pixels.
    """
    union = first | second
    gap = np.minimum(
        scipy.ndimage.distance_transform_edt(~first), scipy.ndimage.distance_transform_edt(~second)
    )
    between = scipy.ndimage.distance_transform_edt(~first) + scipy.ndimage.distance_transform_edt(~second)
    nearest = between[free & ~union].min(initial=np.inf)
    if nearest > limit + 1:
        return np.asarray(union, bool)
    closed = scipy.ndimage.binary_closing(np.pad(union, limit), iterations=int(np.ceil(nearest / 2)) + 1)
    closed = closed[(slice(limit, -limit),) * union.ndim]
    return np.asarray(union | (closed & free & (gap <= limit)), bool)


def split(mask: Mask, seeds: Sequence[NDArray[Any]], landscape: NDArray[Any] | None = None) -> list[Mask]:
    """Divide a mask among groups of seeds: a watershed from the seeds.

    Parameters
    ----------
    mask : the cell.
    seeds : two or more groups of points (n, ndim) in pixels of the mask; each group becomes one part.
    landscape : what is flooded, low inside the parts (e.g. minus cell probability); minus the distance to
        the outline when not given, which parts the cell at its necks, and half way where there is none.

    Raises
    ------
    SessionError : if two groups share a pixel.
    """
    from skimage.segmentation import watershed

    markers = np.zeros(mask.shape, np.int32)
    places = [[_inside(mask, point) for point in np.atleast_2d(points)] for points in seeds]
    for number, group in enumerate(places, 1):
        for at in group:
            if markers[at] not in (0, number):
                raise SessionError("Two seeds of the split fall on one pixel; put them further apart.")
            markers[at] = number
    if landscape is None:
        landscape = _necks(mask, places, markers)
    parts = watershed(landscape, markers, mask=mask)
    return [parts == k for k in range(1, len(seeds) + 1)]


def _necks(
    mask: Mask, places: list[list[tuple[int, ...]]], markers: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Return minus the depth in the mask. Seeds on slopes of different hills are joined by their tops (added
    to `markers`); where two share a hill, it is levelled at the lower seed, so that it is shared out by
    distance.
    """
    depth: NDArray[np.float64] = scipy.ndimage.gaussian_filter(
        scipy.ndimage.distance_transform_edt(np.pad(mask, 1)), 1.0
    )[(slice(1, -1),) * mask.ndim]
    tops = [{_climb(depth, at) for at in group} for group in places]
    shared = any(a & b for i, a in enumerate(tops) for b in tops[:i])
    if shared:
        return -np.minimum(depth, min(depth[at] for group in places for at in group))
    for number, group in enumerate(tops, 1):
        for at in group:
            markers[at] = number
    return -depth


def _climb(height: NDArray[np.float64], at: tuple[int, ...]) -> tuple[int, ...]:
    """Go uphill from `at` to the next top, looking two pixels around."""
    while True:
        window = tuple(slice(max(0, c - 2), c + 3) for c in at)
        near = height[window]
        best = np.unravel_index(int(near.argmax()), near.shape)
        there = tuple(int(b) + s.start for b, s in zip(best, window, strict=True))
        if height[there] <= height[at]:
            return at
        at = there


def _inside(mask: Mask, point: NDArray[Any]) -> tuple[int, ...]:
    at = tuple(int(np.clip(round(float(c)), 0, n - 1)) for c, n in zip(point, mask.shape, strict=True))
    return at if mask[at] else _nearest_inside(mask, at)


def _nearest_inside(mask: Mask, at: tuple[int, ...]) -> tuple[int, ...]:
    inside = np.argwhere(mask)
    if not len(inside):
        raise SessionError("The cell to split is empty here.")
    nearest = inside[((inside - np.array(at)) ** 2).sum(axis=1).argmin()]
    return tuple(int(c) for c in nearest)


def cut(mask: Mask, line: NDArray[np.float64]) -> list[Mask]:
    """Divide a (Y, X) mask along a drawn line; the pixels of the line go to the nearest part.

    Parameters
    ----------
    line : (n, 2) y, x in pixels of the mask.

    Returns
    -------
    Parts, largest first; a single one where the line does not cross the cell.
    """
    barrier = draw_line(mask.shape, line, diagonal=False)
    parts, n = scipy.ndimage.label(mask & ~barrier)
    _, n_before = scipy.ndimage.label(mask)
    if n <= n_before:
        return [mask.copy()]
    nearest = scipy.ndimage.distance_transform_edt(parts == 0, return_distances=False, return_indices=True)
    parts = np.where(mask, parts[tuple(nearest)], 0)
    found = [parts == k for k in range(1, n + 1)]
    return sorted((part for part in found if part.any()), key=lambda p: -int(p.sum()))


def draw_line(shape: tuple[int, ...], line: NDArray[np.float64], diagonal: bool = True) -> Mask:
    """Return the pixels of a drawn line (n, 2); without `diagonal` steps it leaves no way through for a
    flood.
    """
    out = np.zeros(shape, bool)
    points = np.asarray(line, np.float64)
    for a, b in pairwise(points):
        n = max(2, 2 * int(np.ceil(np.abs(b - a).max())) + 1)
        steps = np.rint(a + (b - a) * np.linspace(0, 1, n)[:, None]).astype(int)
        if not diagonal:
            corner = np.stack([steps[1:, 0], steps[:-1, 1]], axis=1)
            steps = np.concatenate([steps, corner])
        inside = ((steps >= 0) & (steps < np.array(shape))).all(axis=1)
        out[tuple(steps[inside].T)] = True
    return out


def enclosed(shape: tuple[int, int], outline: NDArray[np.float64]) -> Mask:
    """Return the pixels within a drawn outline (n, 2), closed by itself."""
    from skimage.draw import polygon

    out = np.zeros(shape, bool)
    points = np.asarray(outline, np.float64)
    if len(points) >= 3:
        rows, columns = polygon(points[:, 0], points[:, 1], shape)
        out[rows, columns] = True
    return out
