"""The foreground pixels of a label image, sorted by cell: sums, extremes and quantiles without a loop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_biofm.types import CellsError, Image, Labels

Column = NDArray[np.float64]
MAX_CHANNELS = 16


class PixelLists:
    """Pixels of every cell, one cell after the other.

    Attributes
    ----------
    values : (n_cells,) label values, ascending.
    start, count : (n_cells,) where the pixels of a cell begin, and how many it has.
    index : (n_pixels,) index of each pixel in the flattened image.
    """

    def __init__(self, labels: Labels) -> None:
        flat = labels.reshape(-1)
        found = np.flatnonzero(flat > 0)
        of = flat[found]
        order = np.argsort(of, kind="stable")
        self.index: NDArray[np.int64] = found[order]
        of = of[order]
        self.start: NDArray[np.int64] = np.flatnonzero(np.diff(of, prepend=0)).astype(np.int64)
        self.values: NDArray[np.int64] = of[self.start].astype(np.int64)
        self.count: NDArray[np.int64] = np.diff(self.start, append=len(of)).astype(np.int64)
        self._shape = labels.shape

    @cached_property
    def coordinates(self) -> list[Column]:
        """Coordinates of each pixel, one array per axis."""
        return [c.astype(np.float64) for c in np.unravel_index(self.index, self._shape)]

    def spread(self, per_cell: Column) -> Column:
        """Repeat one value per cell over the cell's pixels."""
        return np.repeat(per_cell, self.count)

    def sum(self, values: NDArray[Any]) -> Column:
        return self._reduce(np.add, values)

    def mean(self, values: NDArray[Any]) -> Column:
        return self.sum(values) / self.count

    def std(self, values: NDArray[Any]) -> Column:
        return np.sqrt(self.mean((values - self.spread(self.mean(values))) ** 2))

    def min(self, values: NDArray[Any]) -> Column:
        return self._reduce(np.minimum, values)

    def max(self, values: NDArray[Any]) -> Column:
        return self._reduce(np.maximum, values)

    def quantiles(self, values: NDArray[Any], quantiles: Sequence[float]) -> list[Column]:
        """Return one column per quantile (nearest rank), from one sort of all pixels."""
        if not len(values):
            return [np.zeros(0) for _ in quantiles]
        low = np.nanmin(values) if np.isfinite(values).any() else 0.0
        span = max(float(np.nanmax(values) - low) if np.isfinite(values).any() else 0.0, 1e-12) * 2
        cell = np.repeat(np.arange(len(self.count), dtype=np.float64) * span, self.count)
        ordered = np.sort(np.where(np.isfinite(values), values - low, 0.0) + cell) - cell + low
        rank = [self.start + np.round(q * (self.count - 1)).astype(np.int64) for q in quantiles]
        return [ordered[r] for r in rank]

    def _reduce(self, ufunc: np.ufunc, values: NDArray[Any]) -> Column:
        if not len(self.start):
            return np.zeros(0)
        return np.asarray(ufunc.reduceat(values, self.start), np.float64)


def split_channels(image: Image, shape: tuple[int, ...]) -> list[NDArray[Any]]:
    """Return the channels of an image that belongs to labels of `shape`.

    Raises
    ------
    CellsError
        If the image has other spatial axes than the labels.
    """
    image = np.asarray(image)
    if image.shape == tuple(shape):
        return [image]
    if image.shape[:-1] == tuple(shape) and image.shape[-1] <= MAX_CHANNELS:
        return [image[..., i] for i in range(image.shape[-1])]
    raise CellsError(
        f"The image has shape {image.shape} and the labels {tuple(shape)}; they must agree "
        "(channels, if any, last). Choose the image the labels were made from."
    )


def divide(above: ArrayLike, below: ArrayLike, otherwise: ArrayLike = 0.0) -> Column:
    """Divide, and answer `otherwise` where the divisor is zero."""
    above, below = np.asarray(above, np.float64), np.asarray(below, np.float64)
    out = np.broadcast_to(np.asarray(otherwise, np.float64), above.shape).copy()
    np.divide(above, below, out=out, where=np.abs(below) > 1e-12)
    return out
