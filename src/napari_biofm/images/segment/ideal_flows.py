"""The flows that given masks should have, and how far flows differ from them. Numpy and numba only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_biofm.images.tiling.parallel import shared
from napari_biofm.types import Labels

Float = NDArray[np.float32]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
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


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _unit_flow(labels: Any, label: int, box: Any, stride: int) -> Any:
    """Unit flow of one object on every `stride`-th pixel of its box, padded by one: (2, h + 2, w + 2)."""
    y0, x0, y1, x1 = box
    height, width = (y1 - y0 + stride - 1) // stride + 2, (x1 - x0 + stride - 1) // stride + 2
    inside = np.zeros((height, width), np.bool_)
    flow = np.zeros((2, height, width), np.float32)
    sum_y = sum_x = count = 0.0
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            if labels[y0 + (y - 1) * stride, x0 + (x - 1) * stride] == label:
                inside[y, x] = True
                sum_y += y
                sum_x += x
                count += 1
    if count == 0:
        return flow
    best, cy, cx = 1e18, 1, 1
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            if inside[y, x]:
                far = (y - sum_y / count) ** 2 + (x - sum_x / count) ** 2
                if far < best:
                    best, cy, cx = far, y, x
    heat = _diffuse(inside, cy, cx, 2 * (height + width))
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            if inside[y, x]:
                gy = heat[y + 1, x] - heat[y - 1, x]
                gx = heat[y, x + 1] - heat[y, x - 1]
                norm = np.sqrt(gy * gy + gx * gx)
                if norm > 1e-12:
                    flow[0, y, x], flow[1, y, x] = gy / norm, gx / norm
    return flow


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _errors(out: Any, first: int, last: int, labels: Any, boxes: Any, flows: Any, across: float) -> None:
    """Mean squared difference from the ideal flow per label of [first, last), on a grid of about `across`
    positions per object.
    """
    for label in range(max(1, first), last):
        y0, x0, y1, x1 = boxes[label]
        if y1 == 0:
            continue
        stride = max(1, int(min(y1 - y0, x1 - x0) / across))
        ideal = _unit_flow(labels, label, boxes[label], stride)
        total, count = 0.0, 0
        for y in range(1, ideal.shape[1] - 1):
            for x in range(1, ideal.shape[2] - 1):
                v, u = y0 + (y - 1) * stride, x0 + (x - 1) * stride
                if labels[v, u] == label:
                    total += (ideal[0, y, x] - flows[0, v, u]) ** 2 + (ideal[1, y, x] - flows[1, v, u]) ** 2
                    count += 1
        out[label] = total / max(count, 1)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def boxes_of_labels(labels: Labels, n: int) -> NDArray[np.int64]:
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


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _all_flows(labels: Any, boxes: Any, flow: Any) -> None:
    for label in range(1, len(boxes)):
        y0, x0, y1, x1 = boxes[label]
        if y1 > 0:
            one = _unit_flow(labels, label, boxes[label], 1)
            for y in range(y0, y1):
                for x in range(x0, x1):
                    if labels[y, x] == label:
                        flow[:, y, x] = one[:, y - y0 + 1, x - x0 + 1]


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
        _all_flows(labels, boxes_of_labels(labels, int(labels.max())), flow)
    return flow


def flow_errors(masks: NDArray[Any], flows: NDArray[Any]) -> NDArray[np.float64]:
    """Mean squared difference of given flows from the ideal flows of each mask; (n + 1,), index = label.

    Large objects are compared on a coarser grid of their own, so that the cost does not grow with their size.
    """
    labels = np.ascontiguousarray(masks, np.int32)
    boxes = boxes_of_labels(labels, int(labels.max()))
    errors = np.zeros(len(boxes), np.float64)
    shared(_errors, errors, labels, boxes, np.asarray(flows, np.float32), 14.0)
    return errors
