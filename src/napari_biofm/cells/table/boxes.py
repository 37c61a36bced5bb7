"""Boxes of cells: finding them, and reading those together that lie near each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.images.edit.index import Box

MOST = 200  # boxes that are looked at one by one; more are put into one
Extent = tuple[NDArray[np.int64], NDArray[np.int64]]  # start, stop


def find_boxes(labels: NDArray[Any]) -> dict[int, Box]:
    """Return start and stop of the box of every cell of a label image, by label."""
    ids, dense = np.unique(labels, return_inverse=True)
    cells = ids[ids != 0]
    slices = scipy.ndimage.find_objects(dense.reshape(labels.shape) + int(len(ids) == len(cells)))
    return {
        int(label): (tuple(part.start for part in box), tuple(part.stop for part in box))
        for label, box in zip(cells, slices, strict=True)
    }


def clusters(boxes: Mapping[int, Box], small: int) -> list[tuple[list[int], Extent]]:
    """Put boxes together where reading one box costs no more than reading several.

    Parameters
    ----------
    boxes : start and stop of the box of each cell, by label.
    small : pixels that are read at no cost worth mentioning.

    Returns
    -------
    Labels, and start and stop, of each group.
    """
    groups: list[tuple[list[int], Extent]] = []
    ordered = sorted(boxes.items(), key=lambda pair: pair[1])
    if len(ordered) > MOST:
        start = np.min([box[0] for _, box in ordered], axis=0)
        return [([label for label, _ in ordered], (start, np.max([box[1] for _, box in ordered], axis=0)))]
    for label, box in ordered:
        start, stop = np.asarray(box[0]), np.asarray(box[1])
        for i, (labels, (low, high)) in enumerate(groups):
            both = np.minimum(low, start), np.maximum(high, stop)
            apart = int(np.prod(high - low)) + int(np.prod(stop - start))
            if int(np.prod(both[1] - both[0])) <= max(small, apart):
                groups[i] = [*labels, label], both
                break
        else:
            groups.append(([label], (start, stop)))
    return groups
