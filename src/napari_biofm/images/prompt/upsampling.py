"""Small logits -> large masks: two bilinear steps, the threshold and what lies outside in one pass.

Segment Anything answers with 256 x 256 logits, which are brought to the network's side, cut to the image's part of
it, and brought to the image's size. All of this is linear and separable: a row of the image reads two or three
rows of the logits, whatever happened in between. Most rows of most masks hold nothing and are left at once.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def upsampled_masks(
    logits: NDArray[np.float32], side: int, used: tuple[int, int], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return where logits are above zero in the image.

    Parameters
    ----------
    logits : (n, low, low).
    side : pixels of the square the logits stand for.
    used : height and width of the image's part of it, from the upper left.
    shape : height and width of the image.

    Returns
    -------
    (n, height, width) bool: `interpolate(interpolate(logits, side)[used], shape) > 0`, both bilinear and without
    aligned corners, to rounding.
    """
    low = logits.shape[-1]
    rows, row_weights = _axis(low, side, used[0], shape[0])
    columns, column_weights = _axis(low, side, used[1], shape[1])
    out = np.zeros((len(logits), *shape), np.bool_)

    def fill(small: NDArray[np.float32], mask: NDArray[np.bool_]) -> None:
        _fill(np.ascontiguousarray(small), rows, row_weights, columns, column_weights, mask)

    with ThreadPoolExecutor(max(1, len(logits))) as pool:
        list(pool.map(fill, logits, out))
    return out


@lru_cache(maxsize=16)
def _axis(low: int, side: int, used: int, length: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return for each pixel of an axis the first of the three logits it reads, and (3, length) weights."""
    whole = _bilinear(low, side)[:used]
    if length != used:
        whole = _bilinear(used, length) @ whole
    reads = whole != 0
    first = np.argmax(reads, axis=1)
    last = low - 1 - np.argmax(reads[:, ::-1], axis=1)
    first = np.clip(last - 2, 0, np.minimum(first, low - 3))
    weights = np.take_along_axis(whole, first[:, None] + np.arange(3), axis=1)
    return first.astype(np.int32), np.ascontiguousarray(weights.T, np.float32)


def _bilinear(before: int, after: int) -> NDArray[np.float64]:
    """Return (after, before): the matrix of a bilinear resize without aligned corners."""
    place = np.maximum((np.arange(after) + 0.5) * before / after - 0.5, 0)
    lower = np.minimum(place.astype(int), before - 1)
    share = np.minimum(place - lower, 1.0)
    out = np.zeros((after, before))
    rows = np.arange(after)
    np.add.at(out, (rows, lower), 1 - share)
    np.add.at(out, (rows, np.minimum(lower + 1, before - 1)), share)
    return out


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fill(small: Any, rows: Any, row_weights: Any, columns: Any, column_weights: Any, mask: Any) -> None:
    """Write where the enlarged logits are above zero into a mask of zeros."""
    low, height = small.shape[1], len(rows)
    line = np.empty(low, np.float32)
    for y in range(height):
        for k in range(low):
            line[k] = 0.0
        for j in range(3):
            weight = row_weights[j, y]
            if weight != 0:
                for k in range(low):
                    line[k] += weight * small[rows[y] + j, k]
        left, right = low, -1
        for k in range(low):
            if line[k] > 0:
                left, right = min(left, k), k
        if right < 0:
            continue
        begin = np.searchsorted(columns, left - 2)
        end = np.searchsorted(columns, right, side="right")
        for x in range(begin, end):
            k = columns[x]
            value = column_weights[0, x] * line[k]
            value += column_weights[1, x] * line[k + 1] + column_weights[2, x] * line[k + 2]
            mask[y, x] = value > 0
