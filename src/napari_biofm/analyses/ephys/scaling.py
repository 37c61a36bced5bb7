"""Whether one sample is another one times a factor: the factor that makes the distributions most alike."""

from __future__ import annotations

import numpy as np

from napari_biofm.analyses.ephys.common import Floats
from napari_biofm.types import BiofmError

_FACTORS = 301
_REACH = 2.5  # factors that are tried lie within this ratio of that of the medians


def best_factor(one: Floats, two: Floats, least: float) -> tuple[float, float, float]:
    """Return the factor on `one` that makes it most like `two`, the KS distance that is left, and its p.

    Parameters
    ----------
    one, two : (n,), (m,) sizes without signs.
    least : detection limit; scaled values below it are left out, and those of `two`.

    Raises
    ------
    BiofmError
        If one of them has fewer than five values.
    """
    from scipy import stats

    two = two[two >= least]
    if min(len(one), len(two)) < 5:
        raise BiofmError(
            f"{len(one)} and {len(two)} values: five of each group are the least for a scaling test"
        )
    middle = float(np.median(two) / np.median(one))
    low, high = middle / _REACH, middle * _REACH
    for _ in range(2):  # the second time finer, around the best
        factors = np.geomspace(low, high, _FACTORS)
        ks = np.array([_distance(one * f, two, least) for f in factors])
        good = np.flatnonzero(ks <= ks.min() + 1e-12)
        factor = float(np.exp(np.log(factors[good]).mean()))
        step = (high / low) ** (2 / _FACTORS)
        low, high = factors[good[0]] / step, factors[good[-1]] * step
    scaled = one * factor
    found = stats.ks_2samp(scaled[scaled >= least], two)
    return factor, float(found.statistic), float(found.pvalue)


def _distance(scaled: Floats, two: Floats, least: float) -> float:
    """Return Kolmogorov and Smirnov's distance, 1 where nothing is left of the scaled values."""
    a, b = np.sort(scaled[scaled >= least]), np.sort(two)
    if not len(a):
        return 1.0
    both = np.concatenate([a, b])
    up = np.searchsorted(a, both, side="right") / len(a) - np.searchsorted(b, both, side="right") / len(b)
    return float(np.abs(up).max())


def rank_line(one: Floats, two: Floats) -> tuple[float, float]:
    """Return slope and offset of the values of `two` in order of rank against those of `one`."""
    n = min(len(one), len(two))
    shares = (np.arange(n) + 0.5) / n
    slope, offset = np.polyfit(np.quantile(one, shares), np.quantile(two, shares), 1)
    return float(slope), float(offset)
