"""Writing into a box of labels, and bringing the coarser levels of a pyramid in step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_biofm.images.edit.labels_edit import box_region
from napari_biofm.types import WritableArray


def write_block(
    data: WritableArray,
    start: tuple[int, ...],
    shape: tuple[int, ...],
    index: NDArray[np.intp],
    values: ArrayLike,
) -> None:
    """Write `values` at flat `index` (C order) of the box of `shape` at `start`; the box is read and written once."""
    region = box_region(start, shape)
    block = np.ascontiguousarray(data[region])
    block.reshape(-1)[index] = values
    data[region] = block


def write_levels(
    levels: Sequence[WritableArray],
    start: tuple[int, ...],
    shape: tuple[int, ...],
    index: NDArray[np.intp],
    values: ArrayLike,
) -> None:
    """Write into the full resolution, the first level, and make what lies over the box in the others anew."""
    write_block(levels[0], start, shape, index, values)
    for level in levels[1:]:
        _thin_out(levels[0], level, start, shape)


def _thin_out(
    full: WritableArray, level: WritableArray, start: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    """Take the pixels of a coarser level that lie over a box of the full resolution from there."""
    steps = [max(1, round(n / m)) for n, m in zip(full.shape, level.shape, strict=True)]
    goal, source = [], []
    for begin, extent, step, n, m in zip(start, shape, steps, full.shape, level.shape, strict=True):
        first, last = begin // step, min(m, -(-(begin + extent) // step))
        goal.append(slice(first, last))
        source.append(slice(first * step, min(n, (last - 1) * step + 1), step))
    level[tuple(goal)] = np.asarray(full[tuple(source)])
