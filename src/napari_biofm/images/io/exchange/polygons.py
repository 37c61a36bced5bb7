"""Masks as polygons along the edges of pixels, and polygons as masks: there and back without a changed pixel.

Vertices count from the corner of the first pixel, as ImageJ and QuPath do: pixel (0, 0) is the square from (0, 0) to
(1, 1). A pixel belongs to a polygon that holds its centre.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.images.io.masks import compact
from napari_biofm.types import Labels

Loop = NDArray[np.float64]  # (n, 2) y, x of the vertices; the first is not repeated


def outlines(labels: Labels) -> Iterator[tuple[int, list[Loop], list[Loop]]]:
    """Yield each cell of a plane: its id, the outlines of its parts, and those of its holes.

    Parameters
    ----------
    labels : (Y, X) integers.
    """
    ids, numbers = compact(labels)
    for number, box in enumerate(scipy.ndimage.find_objects(numbers), 1):
        loops = traced(numbers[box] == number)
        shift = np.array([box[0].start, box[1].start], float)
        outer = [loop + shift for loop in loops if _area(loop) > 0]
        holes = [loop + shift for loop in loops if _area(loop) < 0]
        yield int(ids[number]), outer, holes


def traced(mask: NDArray[np.bool_]) -> list[Loop]:
    """Return the closed lines along the edges of a mask (Y, X): around parts one way, around holes the other.

    Pixels that meet at a corner only are parts of their own.
    """
    padded = np.pad(mask, 1)
    after: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for dy, dx, start, stop in (
        (-1, 0, (0, 0), (0, 1)),
        (0, 1, (0, 1), (1, 1)),
        (1, 0, (1, 1), (1, 0)),
        (0, -1, (1, 0), (0, 0)),
    ):
        edge = padded & ~np.roll(padded, (-dy, -dx), (0, 1))
        for y, x in np.argwhere(edge) - 1:
            after.setdefault((y + start[0], x + start[1]), []).append((y + stop[0], x + stop[1]))
    loops = []
    while after:
        first = next(iter(after))
        loops.append(_follow(after, first))
    return loops


def _follow(after: dict[tuple[int, int], list[tuple[int, int]]], first: tuple[int, int]) -> Loop:
    points, at, way = [first], first, (0, 0)
    while True:
        choices = after[at]
        # at a corner where two parts meet, turn towards the part one comes from
        step = (
            choices[0]
            if len(choices) == 1
            else min(choices, key=lambda p: _turn(way, (p[0] - at[0], p[1] - at[1])))
        )
        choices.remove(step)
        if not choices:
            del after[at]
        new = (step[0] - at[0], step[1] - at[1])
        if new == way:
            points[-1] = step
        else:
            points.append(step)
        at, way = step, new
        if at == first:
            break
    if len(points) > 1 and points[-1] == points[0]:
        points.pop()
    return np.asarray(points, float)


def _turn(way: tuple[int, int], new: tuple[int, int]) -> int:
    """Order of preference of a turn: clockwise (in y, x with y down), straight on, the other way."""
    cross = way[1] * new[0] - way[0] * new[1]
    return {1: 0, 0: 1, -1: 2}[cross]


def _area(loop: Loop) -> float:
    y, x = loop[:, 0], loop[:, 1]
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def filled(loops: Iterable[Loop], shape: tuple[int, int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return y and x of the pixels inside of polygons; what an even number of them hold is a hole.

    Parameters
    ----------
    loops : vertices of each. shape : of the plane; what lies outside is cut off.
    """
    lines = [loop for loop in loops if len(loop) >= 3]
    if not lines:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    starts = np.concatenate(lines)
    stops = np.concatenate([np.roll(loop, -1, 0) for loop in lines])
    low = int(max(0, np.floor(starts[:, 0].min())))
    high = int(min(shape[0], np.ceil(starts[:, 0].max())))
    ys, xs = [], []
    for row in range(low, high):
        centre = row + 0.5
        crosses = (starts[:, 0] <= centre) != (stops[:, 0] <= centre)
        a, b = starts[crosses], stops[crosses]
        at = np.sort(a[:, 1] + (centre - a[:, 0]) / (b[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1]))
        for left, right in zip(at[::2], at[1::2], strict=False):
            columns = np.arange(max(0, int(np.ceil(left - 0.5))), min(shape[1], int(np.ceil(right - 0.5))))
            ys.append(np.full(len(columns), row))
            xs.append(columns)
    if not ys:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    return np.concatenate(ys).astype(np.intp), np.concatenate(xs).astype(np.intp)
