"""Keeping the id of a cell when its mask is made again."""

from __future__ import annotations

import numpy as np

from napari_biofm.images.io.masks import as_labels, compact
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
    ids, numbers = compact(after)
    new_id = np.zeros(len(ids), np.int64)
    partners = match_objects(before, after, by="pixels")
    new_id[1:] = [partners.get(int(mine), 0) for mine in ids[1:]]
    fresh = np.flatnonzero(new_id[1:] == 0) + 1
    new_id[fresh] = highest + 1 + np.arange(fresh.size)
    return as_labels(new_id)[numbers]
