"""One picture of a movie or stack: its mean over the first axes, or how much each pixel varies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import LazyArray

MEAN = "mean over the first axis"
SPREAD = "variation over the first axis"  # where cells of a movie flicker, whatever stands still
FLOOR_SIDE = 64  # pixels of the shorter side of the copy from which the floor is read


def projection(data: LazyArray, what: str, n_spatial: int) -> NDArray[np.float32]:
    """Return a picture of a movie or stack.

    Parameters
    ----------
    data : (..., Y, X) or (..., Y, X, C) array; read some planes at a time.
    what : `MEAN`, or `SPREAD`: the standard deviation over the first axis, of pictures without colours without its
        floor, see `without_floor`.
    n_spatial : axes of a picture, 2, or 3 with colours.
    """
    if what == SPREAD:
        data = spread_over_first(data)
    while data.ndim > n_spatial:
        data = mean_over_first(data)
    picture = np.asarray(data)
    return without_floor(picture) if what == SPREAD and n_spatial == 2 else picture


def mean_over_first(data: LazyArray, chunk: int = 64) -> NDArray[np.float32]:
    """Return the mean over the first axis, read `chunk` planes at a time; NaN where no plane has a number.

    NaN and infinities, as motion correction leaves them at borders, are left out.
    """
    return _mean_of(lambda planes: planes, data, chunk)


def spread_over_first(data: LazyArray, chunk: int = 64) -> NDArray[np.float32]:
    """Return the standard deviation over the first axis; see `mean_over_first`."""
    mean = mean_over_first(data, chunk)
    return np.sqrt(_mean_of(lambda planes: np.square(planes - mean, dtype=np.float32), data, chunk))


def _mean_of(measure: Callable[[Any], Any], data: LazyArray, chunk: int) -> NDArray[np.float32]:
    total, count = np.zeros(data.shape[1:], np.float64), np.zeros(data.shape[1:], np.intp)
    for start in range(0, data.shape[0], chunk):
        planes = np.asarray(data[start : start + chunk])
        finite = np.isfinite(planes)
        total += measure(planes).sum(axis=0, dtype=np.float64, where=finite)
        count += finite.sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0).astype(np.float32)


def without_floor(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take away what lies under the cells of `picture` (Y, X): noise and light from out of focus.

    The floor at a pixel is the 10th percentile of a quarter of the picture around it, taken from a copy of some 64
    pixels a side and smoothed; what is below it becomes 0, so that cells stand on black as models know them. The
    percentile follows suite2p's and CaImAn's baselines, in space. What is no number becomes 0.
    """
    from scipy import ndimage
    from skimage.transform import resize

    finite = np.isfinite(picture)
    if not finite.any():
        return picture
    picture = np.where(finite, picture, np.median(picture[finite]))
    height, width = picture.shape
    step = max(1.0, min(height, width) / FLOOR_SIDE)
    small = resize(picture, (max(1, round(height / step)), max(1, round(width / step))), anti_aliasing=True)
    window = max(3, min(small.shape) // 4)
    floor = ndimage.percentile_filter(small, 10, size=window, mode="nearest")
    floor = ndimage.gaussian_filter(floor, window / 3, mode="nearest")
    above = np.maximum(picture - resize(floor, picture.shape, order=1), 0)
    return np.where(finite, above, 0).astype(np.float32)
