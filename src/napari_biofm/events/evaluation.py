"""Found events against the true ones: one way to match them, wherever detectors are scored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def match_events(truth: Floats, found: Floats, score: Floats, tolerance: float) -> NDArray[np.bool_]:
    """Return which found events are true: the best score first, each takes the nearest true event that is free.

    Parameters
    ----------
    truth : (n_true,) sorted times.
    found : (n_found,) times, in any order.
    score : (n_found,) how sure each is; of equal ones the first in the array comes first.
    tolerance : largest distance, in the unit of the times.

    Returns
    -------
    (n_found,) bool.
    """
    free = np.ones(len(truth), bool)
    hit = np.zeros(len(found), bool)
    for i in np.argsort(-score, kind="stable"):
        a, b = np.searchsorted(truth, [found[i] - tolerance, found[i] + tolerance])
        options = [k for k in range(a, b) if free[k]]
        if options:
            k = min(options, key=lambda j: abs(truth[j] - found[i]))
            free[k], hit[i] = False, True
    return hit


def f1_curve(score: Floats, true: NDArray[np.bool_], n_true: int) -> tuple[Floats, Floats]:
    """Return F1 at every threshold.

    Parameters
    ----------
    score, true : (n,) of found events, and which of them are true.
    n_true : true events in all; at least one is assumed.

    Returns
    -------
    threshold, f1 : (n,) each, the threshold falling; empty where nothing was found.
    """
    order = np.argsort(-score)
    hits = np.cumsum(true[order])
    return score[order], np.asarray(2 * hits / (np.arange(1, len(hits) + 1) + max(n_true, 1)))


def best_f1(score: Floats, true: NDArray[np.bool_], n_true: int) -> float:
    """Return the best F1 at any threshold, 0 where nothing was found; see `f1_curve`."""
    return float(f1_curve(score, true, n_true)[1].max(initial=0.0))
