"""Single-cell crops: cutting them out of images, and measuring them without masks.

A crop (Y, X[, C]) has its cell in the middle; other cells may look in from the sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from napari_biofm.cells.table.measure import measure
from napari_biofm.types import CellsError, Image, Labels, Vectors

PAD = 4  # reflected pixels between crops on the sheet, so that filters do not mix them
CROP_SIZE = 64
ROOM = 1.6  # side of a crop in diameters of the larger cells


def crop_vectors_by_hand(crops: NDArray[Any]) -> Vectors:
    """Measure crops (N, Y, X[, C]) without masks: the middle object, and the crop as a whole.

    The object is what stands out from the border of its crop (Otsu threshold of the distance in all
    channels), and of its parts the one that weighs most in the middle.

    Returns
    -------
    (N, d) float32.
    """
    stack = check_crops(crops)
    if not len(stack):
        return np.zeros((0, 1), np.float32)
    standing_out = _contrast(stack)
    foreground = standing_out > _otsu(standing_out)[:, None, None]
    middle, n_parts = _middle_object(foreground)
    area = middle.sum((1, 2))
    parts = np.stack([n_parts, foreground.mean((1, 2)), area / np.maximum(foreground.sum((1, 2)), 1)], 1)
    columns = [
        _measure_sheet(stack, middle),
        _measure_sheet(stack, foreground),
        _surround(stack, foreground),
        parts,
    ]
    return np.concatenate(columns, 1).astype(np.float32)


def check_crops(crops: NDArray[Any]) -> NDArray[np.float32]:
    """Return crops as (N, Y, X, C) float32.

    Raises
    ------
    CellsError
        If they have other axes.
    """
    stack = np.asarray(crops)
    if stack.ndim not in (3, 4) or (stack.ndim == 4 and stack.shape[-1] > 16):
        raise CellsError(f"Crops have shape {stack.shape}; (N, Y, X) or (N, Y, X, C) with C last is needed.")
    stack = stack.astype(np.float32)
    return stack[..., None] if stack.ndim == 3 else stack


def cut_crops(
    image: Image,
    labels: Labels,
    size: int = CROP_SIZE,
    only: ArrayLike | None = None,
    side: int | None = None,
) -> NDArray[np.float32]:
    """Cut a square crop around each cell and bring it to `size` pixels, rows in ascending order of label.

    All crops of an image show the same field of view (`ROOM` times the diameter of its larger
    cells), so that size stays visible. The image is reflected at its border.

    Parameters
    ----------
    image : (Y, X) or (Y, X, C). labels : (Y, X).
    only : label values to cut; all of them when not given. The field of view is that of all cells.
    side : of the field of view, pixels, where the cells are not all in `labels`; see `crop_side`.

    Returns
    -------
    (n_cells, size, size[, C]) float32.
    """
    if labels.ndim != 2:
        raise CellsError(f"Crops are cut from planes; these labels have shape {labels.shape}.")
    values = np.unique(labels)
    values = values[values > 0]
    if not len(values):
        return np.zeros((0, size, size, *image.shape[2:]), np.float32)
    if side is None:
        side = crop_side(np.bincount(labels.ravel())[values])
    half = side // 2 + 1
    width = [(half, half)] * 2 + [(0, 0)] * (image.ndim - 2)
    padded = np.pad(np.asarray(image, np.float32), width, mode="symmetric")
    if only is not None:
        values = values[np.isin(values, only)]
    centres = np.round(scipy.ndimage.center_of_mass(labels > 0, labels, values)).astype(int).reshape(-1, 2)
    step = (np.arange(size) + 0.5) * (side / size) - side / 2 + half
    factor = (1.0 / max(1.0, side / size / 1.5),) * 2 + (1.0,) * (image.ndim - 2)
    if factor[0] < 1.0:
        padded = scipy.ndimage.gaussian_filter(padded, [0.5 / f if f < 1 else 0 for f in factor])
    crops = np.empty((len(values), size, size, *image.shape[2:]), np.float32)
    for i, (y, x) in enumerate(centres):
        at = np.meshgrid(y + step, x + step, indexing="ij")
        for c in np.ndindex(*image.shape[2:]):
            scipy.ndimage.map_coordinates(
                padded[(..., *c)], at, output=crops[(i, ..., *c)], order=1, mode="nearest"
            )
    return crops


def crop_side(areas: ArrayLike) -> int:
    """Return the side of the field of view of the crops of cells with these areas, pixels."""
    return max(8, int(np.ceil(ROOM * 2 * np.sqrt(np.percentile(np.asarray(areas, float), 90) / np.pi))))


def crop_margin(side: int, size: int = CROP_SIZE) -> int:
    """Return how many pixels around a cell its crop depends on, for a field of view of `side` pixels."""
    blur = 4 * 0.5 * max(1.0, side / size / 1.5)
    return side // 2 + 3 + int(np.ceil(blur))


# ------------------------------------------------------------------ parts


def _contrast(stack: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far each pixel is from the border of its crop, all channels together, (N, Y, X)."""
    rim = np.concatenate([stack[:, :2].reshape(len(stack), -1, stack.shape[-1]),
                          stack[:, -2:].reshape(len(stack), -1, stack.shape[-1]),
                          stack[:, :, :2].reshape(len(stack), -1, stack.shape[-1]),
                          stack[:, :, -2:].reshape(len(stack), -1, stack.shape[-1])], 1)  # fmt: skip
    level = np.median(rim, axis=1)[:, None, None, :]
    distance = np.sqrt(((stack - level) ** 2).sum(-1))
    return np.asarray(scipy.ndimage.gaussian_filter(distance, (0, 1, 1)), np.float32)


def _otsu(stack: NDArray[np.float32], bins: int = 64) -> NDArray[np.float32]:
    """Otsu threshold of every crop, (N,)."""
    n = len(stack)
    low, high = stack.min((1, 2)), stack.max((1, 2))
    span = np.maximum(high - low, 1e-9)
    level = np.minimum((stack - low[:, None, None]) / span[:, None, None] * bins, bins - 1).astype(np.int64)
    flat = (level + np.arange(n)[:, None, None] * bins).ravel()
    counts = np.bincount(flat, minlength=n * bins).reshape(n, bins).astype(float)
    centre = np.arange(bins) + 0.5
    below = counts.cumsum(1)
    mass = (counts * centre).cumsum(1)
    above = below[:, -1:] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass / below - (mass[:, -1:] - mass) / above) ** 2
    best = np.nan_to_num(between).argmax(1) + 1
    return np.asarray(low + best / bins * span, np.float32)


def _middle_object(foreground: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return the part that weighs most in the middle of each crop, (N, Y, X), and the number of parts."""
    n, height, width = foreground.shape
    inside_plane = np.zeros((3, 3, 3), bool)
    inside_plane[1] = True
    parts, n_all = scipy.ndimage.label(foreground, structure=inside_plane)
    y, x = np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2
    near = np.exp(-(y[:, None] ** 2 + x[None] ** 2) / (2 * (min(height, width) / 6) ** 2))
    weight = np.bincount(parts.ravel(), np.broadcast_to(near, parts.shape).ravel(), minlength=n_all + 1)
    weight[0] = 0
    pairs = np.unique(parts.reshape(n, -1) + np.arange(n)[:, None] * (n_all + 1))
    crop, part = np.divmod(pairs, n_all + 1)
    crop, part = crop[part > 0], part[part > 0]
    n_parts = np.bincount(crop, minlength=n).astype(float)
    order = np.lexsort((weight[part], crop))
    best = np.zeros(n, np.int64)
    best[crop[order]] = part[order]  # the heaviest of each crop comes last
    middle = (parts == best[:, None, None]) & (best > 0)[:, None, None]
    middle[~middle.any((1, 2))] = near > 0.6
    return middle, n_parts


def _surround(stack: NDArray[np.float32], foreground: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Statistics of the whole crop and of its foreground, per channel."""
    flat = stack.reshape(len(stack), -1, stack.shape[-1])
    quantiles = np.quantile(flat, (0.05, 0.25, 0.5, 0.75, 0.95), axis=1)
    inside = foreground.reshape(len(stack), -1, 1)
    count = np.maximum(inside.sum(1), 1)
    mean = (flat * inside).sum(1) / count
    spread = np.sqrt((((flat - mean[:, None]) ** 2) * inside).sum(1) / count)
    return np.concatenate([flat.mean(1), flat.std(1), mean, spread, *quantiles], 1).astype(np.float64)


def _measure_sheet(stack: NDArray[np.float32], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Measure one object per crop, by laying all crops on one sheet."""
    n, height, width, channels = stack.shape
    labels = np.pad(masks, ((0, 0), (PAD, PAD), (PAD, PAD))) * np.arange(1, n + 1)[:, None, None]
    sheet = np.pad(stack, ((0, 0), (PAD, PAD), (PAD, PAD), (0, 0)), mode="reflect")
    flat_labels = labels.reshape(n * (height + 2 * PAD), width + 2 * PAD).astype(np.int32)
    values, found, _ = measure(sheet.reshape(*flat_labels.shape, channels), flat_labels)
    out = np.zeros((n, found.shape[1]))
    out[values - 1] = found
    return out
