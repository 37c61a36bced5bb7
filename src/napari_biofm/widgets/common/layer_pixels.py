"""Between napari layers and plain arrays: which pixels are meant, and where results go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from napari_biofm.types import ImageError

SHOWN = "shown plane"
MEAN = "mean over the first axis"
SPREAD = "variation over the first axis"  # where cells of a movie flicker, whatever stands still
FLOOR_SIDE = 64  # pixels of the shorter side of the copy from which the floor is read


def plane_of(viewer: Any, layer: Any, what: str = SHOWN) -> Any:
    """Return the (Y, X) or (Y, X, C) pixels that are meant, read from disk only as far as needed.

    Parameters
    ----------
    viewer : whose sliders say which plane is shown.
    layer : Image layer, possibly with time or z in front, possibly multiscale.
    what : `SHOWN`, `MEAN` or `SPREAD`, the standard deviation without its floor (see `without_floor`).

    Raises
    ------
    ImageError
        If the layer has no pixels.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    n_spatial = 3 if layer.rgb else 2
    if 0 in data.shape:
        raise ImageError(f"Layer '{layer.name}' is empty (shape {tuple(data.shape)}); open another image.")
    if data.ndim <= n_spatial:
        return np.asarray(data)
    if what in (MEAN, SPREAD):
        if what == SPREAD:
            data = spread_over_first(data)
        while data.ndim > n_spatial:
            data = mean_over_first(data)
        return without_floor(data) if what == SPREAD and not layer.rgb else data
    step = shown_step(viewer, layer)
    return np.asarray(data[step])


def shown_step(viewer: Any, layer: Any) -> tuple[int, ...]:
    """Return the index of the shown plane along the layer's leading axes."""
    data = layer.data[0] if layer.multiscale else layer.data
    n_leading = data.ndim - (3 if layer.rgb else 2)
    point = layer.world_to_data(viewer.dims.point)
    step = np.round(np.asarray(point)[:n_leading]).astype(int)
    return tuple(int(s) for s in np.clip(step, 0, np.asarray(data.shape[:n_leading]) - 1))


def mean_over_first(data: Any, chunk: int = 64) -> Any:
    """Return the mean over the first axis, read `chunk` planes at a time; NaN where no plane has a number.

    NaN and infinities, as motion correction leaves them at borders, are left out.
    """
    return _mean_of(lambda planes: planes, data, chunk)


def spread_over_first(data: Any, chunk: int = 64) -> Any:
    """Return the standard deviation over the first axis; see `mean_over_first`."""
    mean = mean_over_first(data, chunk)
    return np.sqrt(_mean_of(lambda planes: np.square(planes - mean, dtype=np.float32), data, chunk))


def _mean_of(measure: Callable[[Any], Any], data: Any, chunk: int) -> Any:
    total, count = np.zeros(data.shape[1:], np.float64), np.zeros(data.shape[1:], np.intp)
    for start in range(0, data.shape[0], chunk):
        planes = np.asarray(data[start : start + chunk])
        finite = np.isfinite(planes)
        total += measure(planes).sum(axis=0, dtype=np.float64, where=finite)
        count += finite.sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0).astype(np.float32)


def without_floor(picture: Any) -> Any:
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


def spatial_placing(layer: Any) -> dict[str, Any]:
    """Return affine and units of the last two axes, for a flat layer that lies over `layer`.

    Scale, rotation and shear inside the plane are carried along.
    """
    n = len(layer.units)
    origin = np.asarray(layer.data_to_world(np.zeros(n)))[-2:]
    columns = [np.asarray(layer.data_to_world(np.eye(n)[n - 2 + i]))[-2:] - origin for i in range(2)]
    affine = np.eye(3)
    affine[:2, :2] = np.column_stack(columns)
    affine[:2, 2] = origin
    return {"affine": affine, "units": [str(unit) for unit in layer.units][-2:]}
