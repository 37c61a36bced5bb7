"""Correction for many comparisons, and spreads that single values do not move."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAD_TO_SD = 1.4826  # of a normal distribution


def benjamini_hochberg(p: ArrayLike) -> NDArray[np.float64]:
    """Return p values corrected so that `q <= 0.05` holds 5 % false ones at most; NaN stays NaN.

    References
    ----------
    Benjamini and Hochberg, J R Stat Soc B 57:289 (1995).
    """
    values = np.asarray(p, float)
    out = np.full(values.shape, np.nan)
    known = np.flatnonzero(np.isfinite(values))
    if len(known):
        order = known[np.argsort(values[known])]
        scaled = values[order] * len(order) / np.arange(1, len(order) + 1)
        out[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return out


def mad(values: ArrayLike) -> float:
    """Return the median distance from the median, NaN left out."""
    numbers = np.asarray(values, float)
    numbers = numbers[np.isfinite(numbers)]
    return float(np.median(np.abs(numbers - np.median(numbers)))) if len(numbers) else float("nan")
