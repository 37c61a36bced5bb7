"""Small pictures of cells side by side, sorted by class or by how sure the prediction is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.teaching.cell_states import CellStates
from napari_biofm.types import CellsError

BY_CLASS, DOUBTFUL, SURE, ODD = "By class", "Least sure first", "Surest first", "Oddest first"
ORDERS = (BY_CLASS, DOUBTFUL, SURE, ODD)
MOST = 200  # pictures shown at once
SIDE = 56  # pixels of a picture


def ordered(states: CellStates, order: str, code: int = -1) -> NDArray[np.int64]:
    """Return rows in the order of a gallery.

    Parameters
    ----------
    states : the cells. order : one of `ORDERS`.
    code : only cells shown as this class; all with -1.
    """
    shown = states.shown_codes.astype(np.int64)
    rows = np.flatnonzero(shown == code + 1) if code >= 0 else np.arange(len(shown))
    prediction = states.prediction
    known = prediction is not None and len(prediction.probability) == len(shown)
    probability = prediction.probability if known and prediction is not None else np.full(len(shown), np.nan)
    if order == BY_CLASS:
        key = np.lexsort((-np.nan_to_num(probability[rows]), shown[rows]))
    elif order == ODD and states.outlier is not None and len(states.outlier) == len(shown):
        key = np.argsort(-np.nan_to_num(states.outlier[rows]), kind="stable")
    else:
        filled = np.where(np.isfinite(probability), probability, np.inf if order == DOUBTFUL else -np.inf)
        key = np.argsort(filled[rows] if order == DOUBTFUL else -filled[rows], kind="stable")
    return rows[key]


def thumbnails(
    labels: NDArray[Any],
    image: NDArray[Any] | None,
    centres: NDArray[np.float64],
    values: NDArray[np.integer[Any]],
    areas: NDArray[np.float64],
) -> list[NDArray[np.uint8]]:
    """Return a picture (SIDE, SIDE, 3) of each cell, its outline white; all show the same field of view.

    Parameters
    ----------
    labels : (Y, X) or (Z, Y, X); of a volume the plane through the centre is shown.
    image : of the same shape, channels last if any; None shows the masks.
    centres : (n, ndim) pixels. values, areas : (n,) label and size of each cell, of all cells of the table for areas.
    """
    if labels.ndim not in (2, 3):
        raise CellsError(f"Labels of shape {labels.shape} have no pictures of cells.")
    diameter = (
        2 * float(np.sqrt(np.percentile(areas, 90) / np.pi))
        if labels.ndim == 2
        else 2 * float(np.cbrt(np.percentile(areas, 90)))
    )
    half = max(6, int(np.ceil(0.8 * diameter)))
    picture = (labels > 0).astype(np.float32) if image is None else image
    sample = picture[tuple(slice(None, None, max(1, n // 512)) for n in picture.shape[: labels.ndim])]
    low, high = np.nanpercentile(np.asarray(sample, np.float32), (1, 99.8))
    out = []
    for centre, value in zip(centres, values, strict=True):
        at = [round(c) for c in centre]
        plane = () if labels.ndim == 2 else (at[0],)
        out.append(_one(labels[plane], picture[plane], at[-2:], int(value), half, float(low), float(high)))
    return out


def _one(
    labels: NDArray[Any], picture: NDArray[Any], at: list[int], value: int, half: int, low: float, high: float
) -> NDArray[np.uint8]:
    step = (np.arange(SIDE) + 0.5) * (2 * half / SIDE) - half
    y, x = (np.round(c + step).astype(int) for c in at)
    inside = ((y >= 0) & (y < labels.shape[0]))[:, None] & ((x >= 0) & (x < labels.shape[1]))[None]
    grid = np.ix_(np.clip(y, 0, labels.shape[0] - 1), np.clip(x, 0, labels.shape[1] - 1))
    values = np.nan_to_num((np.asarray(picture[grid], np.float32) - low) / max(high - low, 1e-9))
    grey = values if values.ndim == 2 else values[..., :3].mean(-1) if values.shape[-1] != 3 else values
    shown = (255 * np.clip(grey, 0, 1)).astype(np.uint8)
    shown = np.repeat(shown[..., None], 3, -1) if shown.ndim == 2 else shown.copy()
    mine = (labels[grid] == value) & inside
    core = mine.copy()
    for axis in (0, 1):
        core &= np.roll(mine, 1, axis) & np.roll(mine, -1, axis)
    shown[~inside] = 0
    shown[mine & ~core] = 255
    return shown
