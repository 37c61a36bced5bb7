"""From a feature map to one vector per cell: two sparse matrix products.

Every pixel of a cell votes for the feature position it lies in. Four pools are taken: mean and standard
deviation over the cell, the mean over its rim and over its core. When masks change, only the cells that
changed are pooled again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.types import FeatureMap, ImageError, Labels, Vectors

POOLS = ("mean", "std", "rim", "core")


@dataclass(frozen=True)
class Pooled:
    """Vectors of cells.

    Attributes
    ----------
    ids : (n_cells,) label values, ascending.
    vectors : (n_cells, n_pools * C) float32; the pools one after the other.
    pools : names of the pools.
    channels : C, channels of the feature map.
    """

    ids: NDArray[np.int64]
    vectors: Vectors
    pools: tuple[str, ...]
    channels: int

    @property
    def names(self) -> list[str]:
        """Name of every feature, e.g. "mean_17"."""
        return [f"{pool}_{channel}" for pool in self.pools for channel in range(self.channels)]


def pool(
    features: FeatureMap,
    labels: Labels,
    pools: Iterable[str] = POOLS,
    only: NDArray[np.integer] | Iterable[int] | None = None,
) -> Pooled:
    """Pool a feature map over labels.

    Parameters
    ----------
    features : map with data (C, h, w).
    labels : (Y, X) int; 0 is background.
    pools : some of "mean", "std", "rim", "core".
    only : label values to pool; all of them by default.

    Raises
    ------
    ImageError
        When map and labels do not belong to the same image.
    """
    chosen = tuple(pools)
    unknown = set(chosen) - set(POOLS)
    if unknown:
        raise ImageError(f"unknown pool(s) {', '.join(sorted(unknown))}; choose from {', '.join(POOLS)}")
    if labels.shape != features.shape:
        raise ImageError(
            f"labels of shape {labels.shape} do not fit a feature map made from an image of "
            f"shape {features.shape}; embed the image these labels belong to"
        )
    channels = features.data.shape[0]
    window, ys, xs = _pixels(labels, only)
    ids, rows = np.unique(window[ys[0], xs[0]], return_inverse=True)
    if ids.size == 0:
        return Pooled(
            ids.astype(np.int64), np.zeros((0, len(chosen) * channels), np.float32), chosen, channels
        )
    columns = _positions(features, ys[1], xs[1])
    used, columns = np.unique(columns, return_inverse=True)
    table = features.data.reshape(channels, -1)[:, used].T.astype(np.float32)

    def average(weights: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.float32]:
        matrix = scipy.sparse.coo_array((weights, (rows, columns)), (ids.size, used.size)).tocsr()
        total = np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), np.finfo(np.float32).tiny)
        return np.asarray((matrix @ values) / total[:, None], np.float32)

    everywhere = np.ones(rows.size, np.float32)
    mean = average(everywhere, table) if {"mean", "std"} & set(chosen) else None
    parts = {}
    if mean is not None:
        parts["mean"] = mean
    if "std" in chosen and mean is not None:
        parts["std"] = np.sqrt(np.maximum(average(everywhere, table**2) - mean**2, 0))
    if {"rim", "core"} & set(chosen):
        core = _core(window, ys[0], xs[0], rows, ids.size)
        parts["rim"] = average(np.where(core, 0, 1).astype(np.float32), table)
        parts["core"] = average(core.astype(np.float32), table)
    vectors = np.concatenate([parts[name] for name in chosen], axis=1)
    return Pooled(ids.astype(np.int64), vectors, chosen, channels)


Coordinates = tuple[NDArray[np.intp], NDArray[np.intp]]  # within the window, within the image


def _pixels(labels: Labels, only: Iterable[int] | None) -> tuple[Labels, Coordinates, Coordinates]:
    """Return the window of `labels` to look at, and y and x of the pixels to pool."""
    if only is None:
        window, top, left = labels, 0, 0
        wanted = window != 0
    else:
        ids = np.asarray(list(only), labels.dtype)
        wanted = np.isin(labels, ids[ids != 0])
        rows, columns = np.flatnonzero(wanted.any(1)), np.flatnonzero(wanted.any(0))
        if rows.size:  # one pixel more on all sides, so that rims are seen
            top, left = max(rows[0] - 1, 0), max(columns[0] - 1, 0)
            inside = (slice(top, rows[-1] + 2), slice(left, columns[-1] + 2))
            window, wanted = labels[inside], wanted[inside]
        else:
            window, top, left = labels[:0, :0], 0, 0
            wanted = wanted[:0, :0]
    y, x = np.nonzero(wanted)
    return window, (y, y + top), (x, x + left)


def _positions(features: FeatureMap, y: NDArray[np.intp], x: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the flat index of the feature position every pixel lies in."""
    width = features.data.shape[2]
    return np.asarray(features.positions(y, 0, 0.5) * width + features.positions(x, 1, 0.5))


def _core(
    window: Labels, y: NDArray[np.intp], x: NDArray[np.intp], rows: NDArray[np.intp], n_cells: int
) -> NDArray[np.bool_]:
    """Tell the pixels in the inner half of their cell (by distance from its border)."""
    inner = window != 0
    padded = np.pad(window, 1)
    centre = padded[1:-1, 1:-1]
    for neighbour in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        inner &= centre == neighbour
    depth = scipy.ndimage.distance_transform_edt(inner)[y, x].astype(np.float32)
    deepest = np.zeros(n_cells, np.float32)
    np.maximum.at(deepest, rows, depth)
    return np.asarray(depth >= 0.5 * deepest[rows])
