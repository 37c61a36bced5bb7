"""One picture of a movie or stack: its mean over the first axes, how much each pixel varies, and what shows activity.

Sources: correlation with neighbours, Smith & Hausser, Nat Neurosci 13:1144 (2010); peak to noise, Zhou et al., eLife 7:e28728
(2018), CNMF-E.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import LazyArray

MEAN = "mean over the first axis"
SPREAD = "variation over the first axis"  # where cells of a movie flicker, whatever stands still
CORRELATION = "correlation with neighbours over time"  # pixels of one active cell rise and fall together
PEAK_NOISE = "peak to noise over time"  # pixels that are bright for a moment
PROJECTIONS = {
    "mean": MEAN,
    "variation": SPREAD,
    "correlation": CORRELATION,
    "peak": PEAK_NOISE,
}  # names in recipes
_PIECE = 64  # frames whose mean is taken off, so that slow changes are no activity
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))  # and their opposites
FLOOR_SIDE = 64  # pixels of the shorter side of the copy from which the floor is read


def projection(data: LazyArray, what: str, n_spatial: int) -> NDArray[np.float32]:
    """Return a picture of a movie or stack.

    Parameters
    ----------
    data : (..., Y, X) or (..., Y, X, C) array; read some planes at a time.
    what : `MEAN`; `SPREAD`, the standard deviation over the first axis, of pictures without colours without its
        floor, see `without_floor`; `CORRELATION` or `PEAK_NOISE`, see `activity_over_first`.
    n_spatial : axes of a picture, 2, or 3 with colours.
    """
    if what in (CORRELATION, PEAK_NOISE):
        while data.ndim > n_spatial + 1:
            data = data[tuple([slice(None)] + [0] * (data.ndim - n_spatial - 1))]
        correlation, peak = activity_over_first(data)
        data = correlation if what == CORRELATION else peak
    if what == SPREAD:
        data = spread_over_first(data)
    while data.ndim > n_spatial:
        data = mean_over_first(data)
    picture = np.asarray(data)
    return without_floor(picture) if what != MEAN and n_spatial == 2 else picture


def mean_over_first(data: LazyArray, chunk: int = 64) -> NDArray[np.float32]:
    """Return the mean over the first axis, read `chunk` planes at a time; NaN where no plane has a number.

    NaN and infinities, as motion correction leaves them at borders, are left out.
    """
    return _mean_of(lambda planes: planes, data, chunk)


def spread_over_first(data: LazyArray, chunk: int = 64) -> NDArray[np.float32]:
    """Return the standard deviation over the first axis; see `mean_over_first`."""
    mean = mean_over_first(data, chunk)
    return np.sqrt(_mean_of(lambda planes: np.square(planes - mean, dtype=np.float32), data, chunk))


def activity_over_first(data: LazyArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return two pictures of activity, read some frames at a time: correlation with the neighbours, and peak to noise.

    The mean of 64 frames and that of each frame are taken off before, so that neither slow changes nor light that flickers
    everywhere is activity. The peak is that of means over three frames; the noise is read from steps between frames.

    Parameters
    ----------
    data : (T, Y, X) or (T, Y, X, C) with T of 3 or more; NaN counts as no change.

    Returns
    -------
    correlation, peak_to_noise : (Y, X) or (Y, X, C) float32; 0 where nothing changes.
    """
    shape = tuple(int(n) for n in data.shape[1:])
    total, steps, top = np.zeros(shape, np.float64), np.zeros(shape, np.float64), np.zeros(shape, np.float32)
    products = [np.zeros(shape, np.float64) for _ in _NEIGHBOURS]
    n = 0
    for start in range(0, int(data.shape[0]), _PIECE):
        piece = np.asarray(data[start : start + _PIECE]).astype(np.float32)
        if len(piece) < 3:
            continue
        known = np.isfinite(piece)
        count = known.sum(axis=0)
        mean = np.divide(
            np.where(known, piece, 0).sum(axis=0), count, out=np.zeros(shape, np.float32), where=count > 0
        )
        piece = np.where(known, piece - mean, 0)
        piece -= piece.mean(axis=(1, 2), keepdims=True)
        total += np.square(piece).sum(axis=0)
        steps += np.square(np.diff(piece, axis=0)).sum(axis=0) / 2
        top = np.maximum(top, ((piece[:-2] + piece[1:-1] + piece[2:]) / 3).max(axis=0))
        for found, (dy, dx) in zip(products, _NEIGHBOURS, strict=True):
            found += (piece * np.roll(piece, (-dy, -dx), (1, 2))).sum(axis=0)
        n += len(piece) - 1
    result, seen = np.zeros(shape), np.zeros(shape)
    for found, (dy, dx) in zip(products, _NEIGHBOURS, strict=True):
        scale = np.sqrt(total * np.roll(total, (-dy, -dx), (0, 1)))
        r = np.divide(found, scale, out=np.zeros(shape), where=scale > 0)
        there = np.ones(shape, bool)  # the last row and column have no neighbour there
        there[shape[0] - dy :] = False
        if dx:
            there[:, -1 if dx > 0 else 0] = False
        r = np.where(there, r, 0)
        result += r + np.roll(r, (dy, dx), (0, 1))
        seen += there.astype(float) + np.roll(there, (dy, dx), (0, 1))
    noise = np.sqrt(steps / max(n, 1))
    peak = np.divide(top, noise, out=np.zeros(shape), where=noise > 0)
    return np.maximum(result / np.maximum(seen, 1), 0).astype(np.float32), peak.astype(np.float32)


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
