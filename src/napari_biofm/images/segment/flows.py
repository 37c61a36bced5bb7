"""Flows to masks: the post-processing shared by Cellpose-SAM and the embedded model. Numpy and numba only.

A flow field holds, at every pixel of a cell, a unit vector along the steepest way of heat spreading from the cell's
centre; following it leads to the centre, so pixels that end at one place are one cell (Stringer et al., Nature Methods
18:100, 2021). The implementation is our own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_biofm.images.segment.ideal_flows import Float, boxes_of_labels, flow_errors
from napari_biofm.images.tiling.parallel import shared
from napari_biofm.types import ImageError, Labels, SegmentationParameters

USUAL_DIAMETER = 24.0  # pixels; larger cells are walked through in proportionally longer steps
MAX_STEPS = 240
FAINT = 0.3  # of the median object: where a network is unsure of the whole image, all of it is not faint


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _follow(ends: Any, first: int, last: int, flow: Any, inside: Any, step: float, max_steps: int) -> None:
    """Follow the flow from every inside pixel of rows [first, last) and write where it ends, (Y, X, 2)."""
    height, width = inside.shape
    for sy in range(first, last):
        for sx in range(width):
            if not inside[sy, sx]:
                continue
            y, x = float(sy), float(sx)
            old_y, old_x, pace = y, x, step
            for i in range(max_steps):
                iy, ix = int(y), int(x)
                fy, fx = y - iy, x - ix
                jy, jx = min(iy + 1, height - 1), min(ix + 1, width - 1)
                a, b, c, d = (1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx
                vy = a * flow[0, iy, ix] + b * flow[0, iy, jx] + c * flow[0, jy, ix] + d * flow[0, jy, jx]
                vx = a * flow[1, iy, ix] + b * flow[1, iy, jx] + c * flow[1, jy, ix] + d * flow[1, jy, jx]
                y = min(max(y + pace * vy, 0.0), height - 1.0)
                x = min(max(x + pace * vx, 0.0), width - 1.0)
                if i % 6 == 5:  # turning around a sink: shorten the pace, then stop
                    if (y - old_y) ** 2 + (x - old_x) ** 2 < pace * pace:
                        if pace < 0.4 * step:
                            break
                        pace *= 0.5
                    old_y, old_x = y, x
            ends[sy, sx, 0], ends[sy, sx, 1] = int(y + 0.5), int(x + 0.5)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _find_sinks(ends: Any, reach: int, least: int) -> Any:
    """Places where at least `least` pixels end within one pixel and no neighbour in `reach` has more; (n,
    2) int64.
    """
    height, width = ends.shape[:2]
    count = np.zeros((height + 2, width + 2), np.int32)
    for y in range(height):
        for x in range(width):
            if ends[y, x, 0] >= 0:
                cy, cx = ends[y, x, 0] + 1, ends[y, x, 1] + 1
                for dy in range(-1, 2):
                    for dx in range(-1, 2):
                        count[cy + dy, cx + dx] += 1 if dy or dx else 2
    sinks = []
    for y in range(height):
        for x in range(width):
            here = count[y + 1, x + 1]
            if here < least:
                continue
            top = True
            for dy in range(-reach, reach + 1):
                for dx in range(-reach, reach + 1):
                    v, u = y + dy, x + dx
                    if 0 <= v < height and 0 <= u < width and (dy or dx):
                        there = count[v + 1, u + 1]
                        if there > here or (there == here and (dy < 0 or (dy == 0 and dx < 0))):
                            top = False
                            break
                if not top:
                    break
            if top:
                sinks.append((y, x))
    out = np.zeros((len(sinks), 2), np.int64)
    for k in range(len(sinks)):
        out[k, 0], out[k, 1] = sinks[k]
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _assign(ends: Any, sinks: Any, reach: int) -> Any:
    """Label every pixel with the nearest sink within `reach` of its end point; 0 where there is none."""
    height, width = ends.shape[:2]
    place = np.zeros((height, width), np.int32)
    for k in range(len(sinks)):
        place[sinks[k, 0], sinks[k, 1]] = k + 1
    known = np.full((height, width), -1, np.int32)
    labels = np.zeros((height, width), np.int32)
    for y in range(height):
        for x in range(width):
            ey, ex = ends[y, x]
            if ey < 0:
                continue
            if known[ey, ex] < 0:
                best, nearest = reach * reach + 1, 0
                for v in range(max(0, ey - reach), min(height, ey + reach + 1)):
                    for u in range(max(0, ex - reach), min(width, ex + reach + 1)):
                        if place[v, u] and (v - ey) ** 2 + (u - ex) ** 2 < best:
                            best, nearest = (v - ey) ** 2 + (u - ex) ** 2, place[v, u]
                known[ey, ex] = nearest
            labels[y, x] = known[ey, ex]
    return labels


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _flood(state: Any, y: int, x: int, old: int, new: int, stack: Any) -> int:
    """Turn the 4-connected region of `old` at (y, x) into `new`; return its size."""
    stack[0, 0], stack[0, 1] = y, x
    state[y, x] = new
    top, size = 1, 0
    while top:
        top -= 1
        cy, cx = stack[top]
        size += 1
        for k in range(4):
            v, u = cy + (k == 0) - (k == 1), cx + (k == 2) - (k == 3)
            if 0 <= v < state.shape[0] and 0 <= u < state.shape[1] and state[v, u] == old:
                state[v, u] = new
                stack[top, 0], stack[top, 1] = v, u
                top += 1
    return size


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _tidy(labels: Any, boxes: Any) -> None:
    """Keep the largest piece of each object and fill its holes, in place."""
    for label in range(1, len(boxes)):
        y0, x0, y1, x1 = boxes[label]
        if y1 == 0:
            continue
        height, width = y1 - y0 + 2, x1 - x0 + 2
        state = np.zeros((height, width), np.int32)  # 0 ground, 1 object, 2 outside, 3.. pieces
        for y in range(y0, y1):
            for x in range(x0, x1):
                if labels[y, x] == label:
                    state[y - y0 + 1, x - x0 + 1] = 1
        stack = np.empty((height * width, 2), np.int64)
        best, keep, piece = 0, 0, 3
        for y in range(height):
            for x in range(width):
                if state[y, x] == 1:
                    size = _flood(state, y, x, 1, piece, stack)
                    if size > best:
                        best, keep = size, piece
                    piece += 1
        for y in range(height):
            for x in range(width):
                if state[y, x] > 2 and state[y, x] != keep:
                    state[y, x] = 0
                    labels[y + y0 - 1, x + x0 - 1] = 0
        _flood(state, 0, 0, 0, 2, stack)
        for y in range(1, height - 1):
            for x in range(1, width - 1):
                if state[y, x] == 0 and labels[y + y0 - 1, x + x0 - 1] == 0:
                    labels[y + y0 - 1, x + x0 - 1] = label


def _checked(flows: Any, cell_prob: Any) -> tuple[Float, Float]:
    flow, prob = np.asarray(flows), np.asarray(cell_prob)
    if prob.ndim != 2 or flow.shape != (2, *prob.shape):
        raise ImageError(f"flows {flow.shape} and cell probability {prob.shape} must be (2, Y, X) and (Y, X)")
    flow = flow.astype(np.float32, copy=False)
    if not np.isfinite(flow.sum(dtype=np.float64)):
        flow = np.nan_to_num(flow, nan=0.0, posinf=0.0, neginf=0.0)
    return np.ascontiguousarray(flow), prob.astype(np.float32, copy=False)


def flow_basins(
    flows: NDArray[Any], cell_prob: NDArray[Any], threshold: float = 0.0, diameter: float | None = None
) -> tuple[Labels, NDArray[np.int64]]:
    """Say for every pixel which sink its flow runs to.

    Parameters
    ----------
    flows : (2, Y, X) unit-less flow (y, x).
    cell_prob : (Y, X) logits; pixels above `threshold` belong to a basin.
    threshold : logit.
    diameter : usual cell diameter in pixels, which sets the pace; None for about 24.

    Returns
    -------
    basins : (Y, X) int32, 1..n, 0 where no flow leads to a sink.
    sinks : (n, 2) int64 y, x of the sinks; sink k belongs to basin k + 1.
    """
    flow, prob = _checked(flows, cell_prob)
    step = float(np.clip((diameter or USUAL_DIAMETER) / USUAL_DIAMETER, 1.0, 64.0))
    inside = prob > threshold
    if not inside.any():
        return np.zeros(prob.shape, np.int32), np.zeros((0, 2), np.int64)
    ends = np.full((*prob.shape, 2), -1, np.int32)
    shared(_follow, ends, flow, inside, step, MAX_STEPS)
    sinks = _find_sinks(ends, int(np.ceil(2.5 * step)), 10)
    return _assign(ends, sinks, int(np.ceil(5 * step))), sinks


def masks_from_flows(
    flows: NDArray[Any],
    cell_prob: NDArray[Any],
    parameters: SegmentationParameters | None = None,
    surety: float = 0.0,
) -> Labels:
    """Turn flows and cell probability into instance masks.

    Parameters
    ----------
    flows : (2, Y, X) unit-less flow to the cell centre (y, x).
    cell_prob : (Y, X) logits.
    parameters : thresholds and sizes; `diameter` sets the pace of following the flow.
    surety : logits by which the mean of an object must exceed the threshold of cell probability, or 0.3 of what it
        is exceeded by in the median object, if that is less.

    Returns
    -------
    (Y, X) int32 labels 1..n in reading order; 0 is background. The same input gives the same labels.
    """
    chosen = parameters or SegmentationParameters()
    labels, _ = flow_basins(flows, cell_prob, chosen.cellprob_threshold, chosen.diameter)
    if not labels.any():
        return labels
    _tidy(labels, boxes_of_labels(labels, int(labels.max())))
    keep = np.bincount(labels.ravel()) >= max(1, chosen.min_size)
    if chosen.flow_threshold > 0:
        keep &= flow_errors(labels, flows) <= chosen.flow_threshold
    if surety > 0:
        above = _mean_logits(labels, cell_prob) - chosen.cellprob_threshold
        keep &= above >= min(surety, FAINT * float(np.median(above[1:])))
    keep[0] = False
    _renumber(labels, keep)
    return labels


def _mean_logits(labels: Labels, cell_prob: NDArray[Any]) -> NDArray[np.float64]:
    """Mean of the cell probability (logits) over every label; (n + 1,), index = label."""
    n = int(labels.max()) + 1
    total, count = np.zeros(n), np.zeros(n, np.int64)
    for rows in range(0, len(labels), 512):  # NumPy counts in 16 bytes a pixel
        part = labels[rows : rows + 512].ravel()
        total += np.bincount(part, np.asarray(cell_prob[rows : rows + 512]).ravel(), n)
        count += np.bincount(part, minlength=n)
    return np.asarray(total / np.maximum(count, 1))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _renumber(labels: Any, keep: Any) -> None:
    """Number the labels to keep in reading order and clear the others, in place."""
    number = np.zeros(len(keep), np.int32)
    count = 0
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            k = labels[y, x]
            if keep[k] and number[k] == 0:
                count += 1
                number[k] = count
            labels[y, x] = number[k]
