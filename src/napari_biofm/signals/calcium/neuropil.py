"""How much of its surround a cell holds: a factor that is given, or one that is read from each cell.

Source: robust regression of the cell on its neuropil, Keemink et al., Sci Rep 8:3493 (2018), discussion of methods; Allen
Brain Observatory, de Vries et al., Nat Neurosci 23:138 (2020).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.calcium.baseline import noise_of

SLOW_S, SMOOTH_S = 10.0, 0.1  # standard deviations of the Gaussians between which the surround is compared
MOST = 1.2  # a cell holds hardly more of the neuropil than its surround
_ROUNDS, _HIGH = 6, 1.5  # times, and standard deviations above the fit that are activity
_LEAST_SIGNAL = 3.0  # variance of the surround over that of its noise: less cannot be regressed on


def neuropil_share(
    cell: NDArray[np.floating], surround: NDArray[np.floating], frame_rate: float, usual: float
) -> float:
    """Return the share of the surround that a cell holds, by regression over frames without its own activity.

    Parameters
    ----------
    cell, surround : (T,) brightness above the dark level; NaN marks gaps.
    frame_rate : Hz.
    usual : share that is taken where the surround does not change enough to tell.

    Returns
    -------
    float, 0 to 1.2.
    """
    from scipy import ndimage

    good = np.isfinite(cell) & np.isfinite(surround)
    if good.sum() < 50:
        return usual
    pair = []
    noise = noise_of(surround[good])
    sigma = max(SMOOTH_S * frame_rate, 0.5)
    for one in (cell, surround):
        values = np.asarray(one[good], np.float64)
        fast = ndimage.gaussian_filter1d(values, sigma)
        pair.append(fast - ndimage.gaussian_filter1d(values, SLOW_S * frame_rate))
    mine, theirs = pair
    if np.var(theirs) < _LEAST_SIGNAL * noise**2 / (2 * np.sqrt(np.pi) * sigma):
        return usual
    keep = np.ones(len(mine), bool)
    share = shift = 0.0
    for _ in range(_ROUNDS):
        x, y = theirs[keep], mine[keep]
        x0, y0 = x.mean(), y.mean()
        share = float(((x - x0) * (y - y0)).sum() / max(float(((x - x0) ** 2).sum()), 1e-12))
        shift = y0 - share * x0
        left = mine - share * theirs - shift
        spread = 1.4826 * float(np.median(np.abs(left[keep] - np.median(left[keep]))))
        keep = left < _HIGH * max(spread, 1e-12)
        if keep.sum() < 50:
            return usual
    return float(np.clip(share, 0.0, MOST))
