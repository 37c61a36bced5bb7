"""Hot pixels and scale bars: bright extremes that are no part of the specimen and would set its contrast."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.types import Image

MOST_HOT = 0.03  # share of pixels; more is noise of few photons, not hot pixels
_FIRST, _SECOND, _MATTERS = 4.0, 0.8, 0.3  # see `_hot`
LEAST_LENGTH, LEAST_ASPECT, MOST_BARS = (
    15,
    3.0,
    4,
)  # of a bar: pixels, length over thickness; bars of one image
LETTERS = 80  # pixels, most height of what is written beside a bar
_SAMPLE = 1 << 18


def without_extremes(image: Image) -> tuple[Image, list[str]]:
    """Return an image with hot and dead pixels and scale bars covered by what is around them.

    Parameters
    ----------
    image : (Y, X) or (Y, X, C), any real dtype; left as it is.

    Returns
    -------
    image : the same array where nothing was found, else a copy.
    notes : what was covered, in words.
    """
    notes: list[str] = []
    bars = _bars(image)
    if bars.any():
        image = _covered(image, bars)
        rows, columns = np.flatnonzero(bars.any(1)), np.flatnonzero(bars.any(0))
        notes.append(
            f"a scale bar was left out (rows {rows[0]} to {rows[-1]}, columns {columns[0]} to {columns[-1]})"
        )
    planes = image[..., None] if image.ndim == 2 else image
    total, out = 0, None
    for k in range(planes.shape[-1]):
        where, values = _hot(planes[..., k])
        if len(where):
            if out is None:
                out = planes.copy()
            plane = np.ascontiguousarray(out[..., k])
            plane.reshape(-1)[where] = values
            out[..., k] = plane
            total += len(where)
    if out is None:
        return image, notes
    notes.append(f"{total} hot pixels ({100 * total / planes.size:.2g} %) were replaced by their neighbours")
    return (out[..., 0] if image.ndim == 2 else out), notes


def _hot(plane: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """Return flat positions of hot and dead pixels and the medians of their neighbourhoods.

    A pixel is hot whose distance from the median of its 3 x 3 pixels is more than 4 times what 95 % of pixels have, more than
    .3 of the range of these medians, and at least .8 of its distance from the farthest of them, with at most one neighbour
    like it: a spot of a microscope is wider than one pixel.
    """
    height, width = plane.shape
    none = np.zeros(0, np.intp), np.zeros(0, plane.dtype)
    if min(height, width) < 8 or plane.dtype.kind == "b":
        return none
    values = plane.astype(np.float32)
    values[~np.isfinite(values)] = np.nan  # infinity is no intensity either
    padded = np.pad(values, 1, mode="reflect")
    step = max(1, int(np.sqrt(plane.size / _SAMPLE)))
    rows, columns = np.meshgrid(np.arange(0, height, step), np.arange(0, width, step), indexing="ij")
    sample = _neighbours(padded, rows.ravel(), columns.ravel())
    middle = np.median(sample, 1)
    usual = float(np.nanquantile(np.abs(sample[:, 4] - middle), 0.95))
    low, high = np.nanpercentile(middle, (0.5, 99.5))
    neighbours = scipy.ndimage.maximum_filter(padded, footprint=_AROUND)[1:-1, 1:-1]
    lowest = scipy.ndimage.minimum_filter(padded, footprint=_AROUND)[1:-1, 1:-1]
    finest = 3.0 if plane.dtype.kind in "iu" else 1e-12
    limit = max(_FIRST * usual, _MATTERS * float(high - low), finest)
    centre = padded[1:-1, 1:-1]
    far = (centre > lowest + limit) | (centre < neighbours - limit)
    y, x = np.nonzero(far & np.isfinite(centre))
    if not len(y):
        return none
    around = _neighbours(padded, y, x)
    middle = np.median(around, 1)
    away = around[:, 4] - middle
    others = np.delete(around, 4, 1)
    extreme = np.where(away > 0, others.min(1), others.max(1))
    alike = (np.sign(away)[:, None] * (others - middle[:, None]) > 0.5 * np.abs(away)[:, None]).sum(1)
    hot = (np.abs(away) > limit) & (np.abs(away) >= _SECOND * np.abs(around[:, 4] - extreme)) & (alike <= 1)
    if not hot.any() or hot.sum() > MOST_HOT * plane.size:
        return none
    return (y * width + x)[hot], middle[hot].astype(plane.dtype)


_AROUND = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)


def _neighbours(padded: NDArray[np.float32], y: Any, x: Any) -> NDArray[np.float32]:
    """Return the 3 x 3 pixels around positions of the unpadded plane; (n, 9), the pixel itself in column 4."""
    return np.stack([padded[y + dy, x + dx] for dy in range(3) for dx in range(3)], 1)


def _bars(image: Image) -> NDArray[np.bool_]:
    """Return which pixels are a drawn bar, or letters beside one; (Y, X) bool."""
    shape = image.shape[:2]
    marks = np.zeros(shape, bool)
    if image.dtype.kind == "b" or min(shape) < 2 * LEAST_LENGTH:
        return marks
    planes = np.moveaxis(image.reshape(*shape, -1), -1, 0)
    if len(planes) > 4:
        return marks
    low, high = planes.min((1, 2)).astype(np.float64), planes.max((1, 2)).astype(np.float64)
    if not np.isfinite([*low, *high]).all() or (high <= low).all():
        return marks
    for number in range(
        1 << len(planes)
    ):  # a bar is white, black or of a pure colour: every channel at an end
        ends = [high[k] if number >> k & 1 else low[k] for k in range(len(planes))]
        same = np.ones(shape, bool)
        for plane, end in zip(planes, ends, strict=True):
            same &= plane == end
        if LEAST_LENGTH <= same.sum() < 0.2 * same.size:
            marks |= _bars_of(same, planes, low, high)
    return marks


def _bars_of(same: NDArray[np.bool_], planes: Any, low: Any, high: Any) -> NDArray[np.bool_]:
    labels, _ = scipy.ndimage.label(same)
    boxes = scipy.ndimage.find_objects(labels)
    bars = [k for k, box in enumerate(boxes, 1) if _is_bar(labels, k, box, planes, low, high)]
    marks = np.zeros(same.shape, bool)
    if not 1 <= len(bars) <= MOST_BARS:
        return marks
    sizes = np.array([[s.stop - s.start for s in box] for box in boxes])
    centres = np.array([[(s.stop + s.start) / 2 for s in box] for box in boxes])
    for bar in bars:
        length = float(sizes[bar - 1].max())
        near = np.abs(centres - centres[bar - 1]).max(1) <= max(length, LETTERS)
        letters = near & (sizes.max(1) <= min(LETTERS, length)) & (sizes.max(1) >= 2)
        drawn = [
            k for k in np.flatnonzero(letters) + 1 if _sharp(labels == k, boxes[k - 1], planes, low, high)
        ]
        marks |= np.isin(labels, np.array([bar, *drawn]))
    return marks


def _is_bar(labels: Any, label: int, box: Any, planes: Any, low: Any, high: Any) -> bool:
    """Whether a piece is an upright or lying rectangle, long, and drawn: with an edge of one pixel."""
    sides = sorted(s.stop - s.start for s in box)
    if sides[1] < LEAST_LENGTH or sides[1] < LEAST_ASPECT * sides[0] or sides[0] < 2:
        return False
    piece = labels[box] == label
    return bool(piece.mean() > 0.97) and _sharp(labels == label, box, planes, low, high)


def _sharp(piece: NDArray[np.bool_], box: Any, planes: Any, low: Any, high: Any) -> bool:
    """Whether the pixels around a piece differ from it by .35 of the range, without a blurred edge."""
    window = tuple(slice(max(0, s.start - 2), s.stop + 2) for s in box)
    inside = piece[window]
    ring = scipy.ndimage.binary_dilation(inside, np.ones((3, 3))) & ~inside
    if not ring.any() or inside.size == inside.sum():
        return False
    differ = np.zeros(ring.shape)
    for plane, bottom, top in zip(planes, low, high, strict=True):
        part = plane[window].astype(np.float64)
        differ = np.maximum(differ, np.abs(part - part[inside].mean()) / max(top - bottom, 1e-12))
    return bool((differ[ring] > 0.35).mean() > 0.85)


def _covered(image: Image, marks: NDArray[np.bool_]) -> Image:
    """Cover marks, and a pixel around them, with those pixels near them that are most like the ground of the image, in an
    order that is always the same.
    """
    out = image.copy()
    usual = float(np.median(image[~marks].reshape(int((~marks).sum()), -1).mean(1)))
    grown = scipy.ndimage.binary_dilation(marks, np.ones((3, 3)))
    rng = np.random.default_rng(0)
    labels, n = scipy.ndimage.label(scipy.ndimage.binary_dilation(grown, iterations=4))
    for k, box in enumerate(scipy.ndimage.find_objects(labels, n), 1):
        window = tuple(slice(max(0, s.start - 12), s.stop + 12) for s in box)
        hole = grown[window] & (labels[window] == k)
        ring = scipy.ndimage.binary_dilation(hole, iterations=10) & ~grown[window]
        source = out[window][ring]
        if len(source):
            grey = source.reshape(len(source), -1).mean(1)
            away = np.abs(grey - usual)
            source = source[away <= np.median(away)]
            out[window][hole] = source[rng.integers(0, len(source), int(hole.sum()))]
    return out
