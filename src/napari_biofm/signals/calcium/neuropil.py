"""How much of its surround a cell holds: a factor that is given, or one that is read from each cell.

Source: robust regression of the cell on its neuropil, Keemink et al., Sci Rep 8:3493 (2018), discussion of methods; Allen
Brain Observatory, de Vries et al., Nat Neurosci 23:138 (2020).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.calcium.baseline import noise_of
from napari_biofm.signals.calcium.settings import TraceSettings

SLOW_S, SMOOTH_S = 10.0, 0.1  # standard deviations of the Gaussians between which the surround is compared
MOST = 1.2  # a cell holds hardly more of the neuropil than its surround
_READ_CELLS, _READ_FRAMES = 24, 10_000  # that shares are read from, to compare them with the factor
_FAR_SHARE, _FAR_CELLS = (
    0.1,
    0.25,
)  # away from the factor, and the part of cells that are: the factor does not suit
_FAR_ERRORS, _LEAST_FRAMES = 2.5, 400  # away in standard errors, too; and frames below which nobody can tell
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


def shares_of(
    cells: NDArray[np.float32], surrounds: NDArray[np.float32], frame_rate: float, settings: TraceSettings
) -> NDArray[np.float32]:
    """Return the share of the neuropil of each cell (n,): read from it with "regression", else the factor.

    Parameters
    ----------
    cells, surrounds : (n, T) brightness above the dark level; NaN marks gaps.
    frame_rate : Hz.
    settings : the factor, and how the share is found.
    """
    usual = settings.neuropil_factor
    if settings.neuropil != "regression":
        return np.full(len(cells), usual, np.float32)
    return _read_shares(cells, surrounds, frame_rate, usual)


def _read_shares(
    cells: NDArray[np.float32], surrounds: NDArray[np.float32], frame_rate: float, usual: float
) -> NDArray[np.float32]:
    pairs = zip(cells, surrounds, strict=True)
    return np.array([neuropil_share(cell, around, frame_rate, usual) for cell, around in pairs], np.float32)


def other_shares(
    cells: NDArray[np.float32], surrounds: NDArray[np.float32], frame_rate: float, settings: TraceSettings
) -> tuple[NDArray[np.float32] | None, str]:
    """Return the share of each cell (n,) where cells clearly hold another one than the factor, and what to know of it.

    Some cells are read, and both halves of their frames: the error of a share is half of what the halves differ by. The
    factor does not suit where a quarter of them is away from it by 0.1 and by 2.5 errors.

    Parameters
    ----------
    cells, surrounds : (n, T) brightness above the dark level; NaN marks gaps.
    frame_rate : Hz.
    settings : with "auto" shares are returned, with "factor" it is only said.

    Returns
    -------
    shares : (n,), or None where the factor is taken.
    words : for the user; "" where the factor suits.
    """
    usual = settings.neuropil_factor
    n_frames = min(cells.shape[1], _READ_FRAMES)
    if usual == 0 or n_frames < _LEAST_FRAMES or not len(cells):
        return None, ""
    rows = np.unique(np.linspace(0, len(cells) - 1, min(len(cells), _READ_CELLS)).astype(int))
    parts = (slice(0, n_frames), slice(0, n_frames // 2), slice(n_frames // 2, n_frames))
    read = [
        [neuropil_share(cells[row, part], surrounds[row, part], frame_rate, usual) for part in parts]
        for row in rows
    ]
    share, one, other = np.array(read).T
    error = 1.4826 * float(np.median(np.abs(one - other))) / 2
    off = int((np.abs(share - usual) > max(_FAR_SHARE, _FAR_ERRORS * error)).sum())
    if off < max(_FAR_CELLS * len(share), 2):
        return None, ""
    low, high = np.percentile(share, [5, 95])
    words = (
        f"{off} of {len(share)} cells that were looked at hold another share of their surround ({low:.2f} to {high:.2f}) than "
        f"the usual {usual:g}: "
    )
    if settings.neuropil == "factor":
        return None, words + (
            "waves of the neuropil remain in their traces. Neuropil by regression (--neuropil regression) reads the share "
            "from each cell."
        )
    shares = _read_shares(cells, surrounds, frame_rate, usual)
    return shares, words + f"the share is read from each cell (--neuropil factor takes {usual:g} for all)."
