"""Objects far smaller than the others of their image are specks: what is left out, and what is kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import Labels

SPECK = 8.0  # pixels across; a field of nothing larger,
SPARSE = 0.004  # which covers no more than this share of it, holds dust


def usual_size(sizes: NDArray[np.int64]) -> float:
    """Return the median size, or half of the median in which each counts by its diameter, so that specks do not make it.

    Parameters
    ----------
    sizes : pixels or voxels, of one object or more.
    """
    ordered = np.sort(sizes[sizes > 0])
    share = np.cumsum(np.sqrt(ordered))
    weighted = float(ordered[np.searchsorted(share, share[-1] / 2)])
    return max(float(np.median(ordered)), weighted / 2)


def specks(masks: Labels, share: float) -> NDArray[np.bool_]:
    """Return which labels are specks; (n + 1,) bool, index = label.

    Parameters
    ----------
    masks : (Y, X) or (Z, Y, X) labels.
    share : of the usual size, under which an object is one. 0: none is. A plane of nothing but sparse small objects
        (`SPECK`, `SPARSE`) has no other.
    """
    sizes = np.bincount(np.asarray(masks).ravel())
    sizes[0] = 0
    present = sizes > 0
    if share <= 0 or not present.any():
        return np.zeros(len(sizes), bool)
    usual = usual_size(sizes)
    if masks.ndim == 2 and usual <= np.pi / 4 * SPECK**2 and sizes.sum() <= SPARSE * masks.size:
        return np.asarray(present)
    return np.asarray(present & (sizes < share * usual))


def without(masks: Labels, gone: NDArray[np.bool_]) -> Labels:
    """Return masks without some labels, the others numbered anew in their order.

    Parameters
    ----------
    masks : labels.
    gone : (n + 1,) bool, index = label.
    """
    there = np.bincount(np.asarray(masks).ravel(), minlength=len(gone)) > 0
    there[0] = False
    number = np.cumsum(there & ~gone).astype(np.int32)
    number[gone | ~there] = 0
    return np.asarray(number[masks], np.int32)


def drop_specks(masks: Labels, share: float) -> tuple[Labels, int]:
    """Return masks without specks, and how many there were.

    Parameters
    ----------
    masks : (Y, X) or (Z, Y, X) labels.
    share : as for `specks`.
    """
    gone = specks(masks, share)
    return (without(masks, gone), int(gone.sum())) if gone.any() else (masks, 0)
