"""Brightness that all cells share and that moves within the window of F0: lamp, laser, focus, bleaching in steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.calcium.baseline import baseline_of
from napari_biofm.signals.calcium.settings import TraceSettings

FINER = 6.0  # the window of F0 over that in which the drift is read
LEAST_CELLS = 6
LEAST_MOVE = 0.05  # of the brightness, within a window of F0
_ALIKE, _SPREAD = 0.9, 0.35  # correlation of a cell with the usual course; spread of their slopes on it


def common_drift(
    cells: NDArray[np.float32], frame_rate: float, settings: TraceSettings
) -> NDArray[np.float32] | None:
    """Return how the brightness of all cells moves together, None where it does not.

    A change of the light multiplies every cell by the same number, activity does not: the drift is taken only where the
    slow courses of the cells go together and are equally deep.

    Parameters
    ----------
    cells : (n, T) brightness without dark level and neuropil, each over its median; NaN marks gaps.
    frame_rate : Hz.
    settings : window and percentile of F0.

    Returns
    -------
    (T,) float32, 1 at the first frame.
    """
    n = cells.shape[1]
    window = max(int(settings.window * frame_rate), 3)
    if len(cells) < LEAST_CELLS or n < 3 * frame_rate:
        return None
    fine = replace(settings, window=settings.window / FINER)
    slow = np.stack([baseline_of(one, frame_rate, fine) for one in cells])
    slow = slow[np.isfinite(slow).all(axis=1)]
    if len(slow) < LEAST_CELLS:
        return None
    course = np.median(slow, axis=0)
    if course.min() <= 0 or _moves(course, window) < LEAST_MOVE:
        return None
    away = course - course.mean()
    others = slow - slow.mean(axis=1, keepdims=True)
    slopes = others @ away / float(away @ away)
    alike = others @ away / np.maximum(np.linalg.norm(others, axis=1) * np.linalg.norm(away), 1e-12)
    low, middle, high = np.percentile(slopes, [25, 50, 75])
    if float(np.median(alike)) < _ALIKE or middle <= 0 or (high - low) / middle > _SPREAD:
        return None
    return np.asarray(course / course[0], np.float32)


def _moves(course: NDArray[np.float32], window: int) -> float:
    """Return the largest change within a window, relative to the middle of the course."""
    step = max(window // 4, 1)
    pieces = [course[a : a + window] for a in range(0, max(len(course) - window, 0) + 1, step)]
    return float(max(np.ptp(piece) for piece in pieces) / np.median(course))


def unsteady(
    cell: NDArray[np.float32], floor: NDArray[np.float32], frame_rate: float, settings: TraceSettings
) -> bool:
    """Return whether a cell's own baseline moves within the window of F0 so that dF/F may be too large.

    Parameters
    ----------
    cell : (T,) brightness without dark level and neuropil. floor : (T,) its F0.
    frame_rate, settings : as for `common_drift`.
    """
    fine = baseline_of(cell, frame_rate, replace(settings, window=settings.window / FINER))
    over = (fine - floor) / np.maximum(floor, 1e-9)
    return bool(np.nanmedian(over) > 0.1 and np.nanpercentile(over, 90) > 0.2)
