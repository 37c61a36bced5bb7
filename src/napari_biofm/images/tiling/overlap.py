"""Which object of one labelling is which of another: pairs by overlap, the best first, each object once."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import Labels


def match_objects(
    before: Labels, after: Labels, by: Literal["iou", "pixels"] = "iou", at_least: float = 0.0
) -> dict[int, int]:
    """Match the objects of two labellings of the same pixels.

    Parameters
    ----------
    before, after : labels of one shape; which numbers the objects have changes nothing.
    by : what the best pair has most of: intersection over union, or shared pixels.
    at_least : intersection over union, or shared pixels, that a pair needs.

    Returns
    -------
    dict
        Label of `before` for each label of `after` that has a partner. Of pairs that overlap alike, the one
        whose objects meet others first (in the order of the pixels) is taken.
    """
    ids_before, flat_before = _packed(before)
    ids_after, flat_after = _packed(after)
    both = np.flatnonzero((flat_after > 0) & (flat_before > 0))
    rows, columns = flat_after[both], flat_before[both]
    here, there, shared = _shared(rows, columns, len(ids_after), len(ids_before))
    score = shared.astype(np.float64)
    if by == "iou":
        areas_after = np.bincount(flat_after, minlength=len(ids_after))
        areas_before = np.bincount(flat_before, minlength=len(ids_before))
        score = shared / (areas_after[here] + areas_before[there] - shared)
    begins_after, begins_before = _begins(rows, len(ids_after)), _begins(columns, len(ids_before))
    partner: dict[int, int] = {}
    taken: set[int] = set()
    for i in np.lexsort((begins_before[there], begins_after[here], -score)):
        if score[i] < at_least:
            break
        mine, former = int(ids_after[here[i]]), int(ids_before[there[i]])
        if mine not in partner and former not in taken:
            partner[mine] = former
            taken.add(former)
    return partner


def _packed(labels: Labels) -> tuple[NDArray[np.int64], NDArray[np.integer[Any]]]:
    """Return the labels that numbers 0 .. n stand for, and the pixels as these numbers, flat; 0 is background."""
    flat = np.asarray(labels).reshape(-1)
    highest = int(flat.max(initial=0))
    if highest <= flat.size:
        return np.arange(highest + 1), flat
    ids, packed = np.unique(np.append(flat, 0), return_inverse=True)
    return ids.astype(np.int64), packed[:-1]


def _shared(
    rows: NDArray[np.integer[Any]], columns: NDArray[np.integer[Any]], n_rows: int, n_columns: int
) -> tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]], NDArray[np.int64]]:
    """Return every pair of objects that share pixels, and how many."""
    from scipy import sparse

    ones = np.ones(len(rows), np.int64)
    table = sparse.coo_array((ones, (rows, columns)), shape=(n_rows, n_columns)).tocsr().tocoo()
    return table.row, table.col, table.data


def _begins(numbers: NDArray[np.integer[Any]], n: int) -> NDArray[np.int64]:
    """Return the first place of each number."""
    first = np.full(n, len(numbers), np.int64)
    first[numbers[::-1]] = np.arange(len(numbers) - 1, -1, -1)  # of equal indices the last assignment holds
    return first
