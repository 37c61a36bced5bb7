"""The unit current of single channels, told by the steps between held levels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WINDOW = 5  # samples whose spread tells whether a level is held


def held_levels(x: NDArray[np.float64]) -> tuple[NDArray[np.bool_], float]:
    """Return (n,) which samples lie within a level held for some samples, and the noise.

    Their neighbourhood varies no more than noise does (mean-variance analysis, Patlak 1993, Biophys J 65:29).
    """
    from scipy.ndimage import uniform_filter1d
    from scipy.stats import chi2

    freedom = WINDOW - 1
    centred = x - x.mean()
    mean = uniform_filter1d(centred, WINDOW)
    spread = np.maximum(uniform_filter1d(centred**2, WINDOW) - mean**2, 0) * WINDOW / freedom
    noise = float(np.quantile(spread, 0.1) / (chi2.ppf(0.1, freedom) / freedom))
    return spread <= noise * chi2.ppf(0.95, freedom) / freedom, float(np.sqrt(noise))


def unit_current(x: NDArray[np.float64], held: NDArray[np.bool_], sigma: float) -> float | None:
    """Return the unit current that the steps between held levels are multiples of; None where they do not
    tell.

    Steps are free of drift, and those over a filtered flank are as high as any, while the samples on the flank
    feign levels between the real ones. Of the units that explain the steps nearly as well as the best does,
    the largest: halves and thirds explain them too. Chance agreement falls with the number of steps.
    """
    edges = np.flatnonzero(np.diff(np.r_[0, held.astype(int), 0]))
    first, end = edges[::2], edges[1::2]
    near = np.minimum(end - first, 20)  # samples of a run that its mean at the step is taken over
    total = np.r_[0, np.cumsum(x - x.mean())]
    earlier = (total[end] - total[end - near]) / near
    later = (total[first + near] - total[first]) / near
    step = np.abs(later[1:] - earlier[:-1])
    clear = 4 * sigma * np.sqrt(1 / near[1:] + 1 / near[:-1])
    step = step[(first[1:] - end[:-1] <= 12) & (step > clear)]
    if len(step) < 20:
        return None
    low, high = max(1.2 * sigma, 0.4 * np.quantile(step, 0.02)), 1.3 * np.quantile(step, 0.9)
    if high <= low:
        return None
    units = np.geomspace(low, high, 1500)
    step = np.random.default_rng(0).choice(step, min(len(step), 5000), replace=False)
    agree = np.array([np.mean(np.cos(2 * np.pi * step / unit)) for unit in units])
    if agree.max() < 0.15 + 2 / np.sqrt(len(step)):
        return None
    largest = units[agree >= 0.85 * agree.max()][-1]
    return float(units[np.argmax(np.where(units > 0.9 * largest, agree, -1))])
