"""Where a trace crosses a level, between samples by a straight line."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def crossing_before(values: Floats, at: int, level: float) -> float:
    """Return the sample, between samples, where rising values last cross a level before `at`; NaN if never."""
    below = np.flatnonzero(values[: at + 1] < level)
    if not len(below) or below[-1] >= at:
        return float("nan")
    i = int(below[-1])
    rise = values[i + 1] - values[i]
    return i + float((level - values[i]) / rise) if rise > 0 else float(i)


def crossing_after(values: Floats, at: int, level: float) -> float:
    """Return the sample, between samples, where falling values first cross a level after `at`; NaN if never."""
    below = np.flatnonzero(values[at:] < level)
    if not len(below) or not below[0]:
        return float("nan")
    i = at + int(below[0])
    fall = values[i - 1] - values[i]
    return i - 1 + float((values[i - 1] - level) / fall) if fall > 0 else float(i)
