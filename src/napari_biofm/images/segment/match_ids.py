"""Keeping the id of a cell when its mask is made again."""

from __future__ import annotations

import numpy as np

from napari_biofm.images.tiling.overlap import match_objects
from napari_biofm.types import Labels


def match_ids(before: Labels, after: Labels) -> Labels:
    """Return `after` with the ids of `before` wherever an object is the same.

    Pairs are matched from the largest overlap down, each id once; objects that are new get ids that were
    never used in `before`.

    Parameters
    ----------
    before, after : labels of one shape.
    """
    highest = int(before.max(initial=0))
    new_id = np.zeros(int(after.max(initial=0)) + 1, np.int32)
    for mine, former in match_objects(before, after, by="pixels").items():
        new_id[mine] = former
    there = np.unique(after[after > 0])
    fresh = there[new_id[there] == 0]
    new_id[fresh] = highest + 1 + np.arange(fresh.size)
    return np.asarray(new_id[after])
