"""Flows to masks and back: the post-processing shared by Cellpose-SAM and the embedded model. Numpy and numba only.

A flow field holds, at every pixel of a cell, a unit vector along the steepest way of heat spreading from the cell's
centre; following it leads to the centre, so pixels that end at one place are one cell (Stringer et al., Nature Methods
18:100, 2021). The implementation is our own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float = NDArray[np.float32]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _diffuse(inside: Any, cy: int, cx: int, steps: int) -> Any:
    """Spread heat from (cy, cx) within a padded boolean box and return log(1 + heat)."""
    height, width = inside.shape
    heat = np.zeros((height, width), np.float64)
    other = np.zeros((height, width), np.float64)
    for _ in range(steps):
        heat[cy, cx] += 1.0
        for y in range(1, height - 1):
            for x in range(1, width - 1):
                if inside[y, x]:
                    total = 0.0
                    for dy in range(-1, 2):
                        for dx in range(-1, 2):
                            total += heat[y + dy, x + dx]
                    other[y, x] = total / 9.0
        heat, other = other, heat
    return np.log(1.0 + heat)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _flow_of_one(labels: Any, label: int, box: Any, flow: Any) -> None:
    """Write the unit flow of one object into `flow` (2, Y, X)."""
    y0, x0, y1, x1 = box
    height, width = y1 - y0 + 2, x1 - x0 + 2
    inside = np.zeros((height, width), np.bool_)
    sum_y = sum_x = count = 0.0
    for y in range(y0, y1):
        for x in range(x0, x1):
            if labels[y, x] == label:
                inside[y - y0 + 1, x - x0 + 1] = True
                sum_y += y
                sum_x += x
                count += 1
    mean_y, mean_x = sum_y / count, sum_x / count
    best, cy, cx = 1e18, 1, 1
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            if inside[y, x]:
                far = (y + y0 - 1 - mean_y) ** 2 + (x + x0 - 1 - mean_x) ** 2
                if far < best:
                    best, cy, cx = far, y, x
    heat = _diffuse(inside, cy, cx, 2 * (height + width))
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            if inside[y, x]:
                gy = heat[y + 1, x] - heat[y - 1, x]
                gx = heat[y, x + 1] - heat[y, x - 1]
                norm = np.sqrt(gy * gy + gx * gx) + 1e-20
                if norm > 1e-12:
                    flow[0, y + y0 - 1, x + x0 - 1] = gy / norm
                    flow[1, y + y0 - 1, x + x0 - 1] = gx / norm


@njit(cache=True)  # type: ignore[untyped-decorator]
def _boxes(labels: Any, n: int) -> Any:
    """(n + 1, 4) int64 y0, x0, y1, x1 of every label; absent labels have y1 = 0."""
    height, width = labels.shape
    boxes = np.zeros((n + 1, 4), np.int64)
    boxes[:, 0], boxes[:, 1] = height, width
    for y in range(height):
        for x in range(width):
            k = labels[y, x]
            if k > 0:
                boxes[k, 0], boxes[k, 1] = min(boxes[k, 0], y), min(boxes[k, 1], x)
                boxes[k, 2], boxes[k, 3] = max(boxes[k, 2], y + 1), max(boxes[k, 3], x + 1)
    return boxes


@njit(cache=True)  # type: ignore[untyped-decorator]
def _all_flows(labels: Any, boxes: Any, flow: Any) -> None:
    for label in range(1, len(boxes)):
        if boxes[label, 2] > 0:
            _flow_of_one(labels, label, boxes[label], flow)


def flows_from_masks(masks: NDArray[Any]) -> Float:
    """Compute the ideal flow field of instance masks.

    Parameters
    ----------
    masks : (Y, X) integer labels, 0 is background; labels should be compact (1..n).

    Returns
    -------
    (2, Y, X) float32 unit vectors (y, x) towards the centre along the heat's gradient; 0 on the background.
    """
    labels = np.ascontiguousarray(masks, np.int32)
    flow = np.zeros((2, *labels.shape), np.float32)
    if labels.size and labels.max() > 0:
        _all_flows(labels, _boxes(labels, int(labels.max())), flow)
    return flow
