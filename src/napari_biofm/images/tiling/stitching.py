"""Objects of neighbouring planes joined where they overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.tiling.overlap import match_objects
from napari_biofm.types import Labels

STITCH_IOU = 0.25  # overlap above which objects of neighbouring planes are one


def numbered(planes: Labels) -> Labels:
    """Give every object of every plane (T, Y, X) an id of its own."""
    out, highest = planes.copy(), 0
    for plane in out:
        top = int(plane.max(initial=0))
        plane[plane > 0] += highest
        highest += top
    return out


def stitch(planes: Labels, iou: float = STITCH_IOU) -> Labels:
    """Give objects of neighbouring planes one label where they overlap by more than `iou`.

    Parameters
    ----------
    planes : (Z, Y, X) int32, each plane labelled on its own.
    iou : intersection over union above which two objects are one.

    Returns
    -------
    Labels
        (Z, Y, X) int32 with labels 1..n.
    """
    joined = np.zeros_like(planes)
    highest = 0
    for z, plane in enumerate(planes):
        n = int(plane.max())
        names = np.zeros(n + 1, np.int32)
        if z and n and joined[z - 1].any():
            names = names_from_below(plane, joined[z - 1], iou)
        new = np.flatnonzero(names[1:] == 0) + 1
        new = new[np.isin(new, plane)]
        names[new] = np.arange(highest + 1, highest + 1 + len(new))
        highest += len(new)
        joined[z] = names[plane]
    return joined


def names_from_below(plane: Labels, below: Labels, iou: float) -> NDArray[np.int32]:
    """Return the label below of each object of `plane`, 0 where none overlaps enough; each is given once."""
    names = np.zeros(int(plane.max(initial=0)) + 1, np.int32)
    for mine, there in match_objects(below, plane, at_least=iou).items():
        names[mine] = there
    return names
