"""Keeping the id of a cell when its mask is made again."""

from __future__ import annotations

import numpy as np

from napari_biofm.types import Labels


def carry_ids(before: Labels, after: Labels) -> Labels:
    """Return `after` with the ids of `before` wherever an object is the same.

    Pairs are matched from the largest overlap down, each id once; objects that are new get ids that were
    never used in `before`.

    Parameters
    ----------
    before, after : labels of one shape.
    """
    highest_after, highest = int(after.max(initial=0)), int(before.max(initial=0))
    both = (before > 0) & (after > 0)
    keys = after[both].astype(np.int64) * (highest + 1) + before[both]
    pairs, counts = np.unique(keys, return_counts=True)
    new_id = np.zeros(highest_after + 1, np.int32)
    taken: set[int] = set()
    for position in np.argsort(-counts, kind="stable"):
        mine, former = divmod(int(pairs[position]), highest + 1)
        if not new_id[mine] and former not in taken:
            new_id[mine] = former
            taken.add(former)
    there = np.unique(after[after > 0])
    fresh = there[new_id[there] == 0]
    new_id[fresh] = highest + 1 + np.arange(fresh.size)
    return np.asarray(new_id[after])
