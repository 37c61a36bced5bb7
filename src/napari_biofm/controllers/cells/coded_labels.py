"""Labels seen through a table: the class of the cell at each pixel, computed for what is looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.io.masks import looked_up

BLOCK = 1 << 18  # pixels looked up at a time: their indices, widened by NumPy, then stay in the cache


class CodedLabels:
    """Array-like of class codes: `codes[labels]`, computed for what is asked for.

    Parameters
    ----------
    labels : integer array or array-like of cells. n_max : largest label.
    ids : of cells, ascending, where they are so large that `lut` has an entry per place in them and not per id;
        its first entry is for background.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, labels: Any, n_max: int, ids: NDArray[np.int64] | None = None) -> None:
        self.labels, self.ids = labels, ids
        self.lut: NDArray[np.uint8] = np.zeros((n_max if ids is None else len(ids)) + 1, np.uint8)
        self.luts: list[NDArray[np.uint8]] | None = None  # per frame of a movie, in place of `lut`

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.labels.shape)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        part = np.asarray(self.labels[key])
        if self.ids is not None:
            part = looked_up(np.arange(len(self.ids) + 1), self.ids, part)
        if self.luts is None:
            return _look_up(self.lut, part)
        first = key[0] if isinstance(key, tuple) and len(key) else key
        frames = np.arange(len(self.luts))[first if first is not Ellipsis else slice(None)]
        if frames.ndim == 0:
            return _look_up(self.luts[int(frames)], part)
        planes = zip(frames, part, strict=True)
        return np.stack([_look_up(self.luts[f], plane) for f, plane in planes])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...], dtype)


def _look_up(lut: NDArray[np.uint8], labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return `lut[labels]`; labels beyond the table get its last entry."""
    if not lut.any():
        return np.zeros(labels.shape, np.uint8)
    out = np.empty(labels.shape, np.uint8)
    if labels.ndim < 2:
        out[...] = lut.take(labels, mode="clip")
        return out
    step = max(1, BLOCK // max(1, labels[0].size))
    for start in range(0, len(labels), step):
        out[start : start + step] = lut.take(labels[start : start + step], mode="clip")
    return out
