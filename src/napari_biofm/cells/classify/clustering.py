"""Groups of cells that look alike, found without labels: k-means and HDBSCAN of scikit-learn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import CellsError, Progress, Task

K_MEANS, DENSITY = "k-means", "HDBSCAN"
METHODS = (K_MEANS, DENSITY)
AXES = 20  # principal axes that distances are taken on


def cluster(features: NDArray[np.float32], method: str, n: int, seed: int = 0) -> Task[NDArray[np.int16]]:
    """Group cells by their vectors.

    Parameters
    ----------
    features : (cells, r) along principal axes (`live.Prepared`); rows that are not finite belong to no group.
    method : "k-means", or "HDBSCAN", which leaves cells between groups alone.
    n : number of groups; for HDBSCAN the smallest number of cells of a group.
    seed : of the starts of k-means.

    Returns
    -------
    (cells,) group 1 .. k, the largest first; 0 for none.

    Raises
    ------
    CellsError
        If there are fewer cells than groups.

    Notes
    -----
    HDBSCAN: Campello et al., PAKDD 2013.
    """
    finite = np.isfinite(features).all(1)
    if n < 2 or int(finite.sum()) <= n:
        raise CellsError(
            f"{int(finite.sum())} cells with vectors cannot be grouped by {n}; give a smaller number."
        )
    yield Progress(0, 1, f"{method} of {int(finite.sum())} cells ...")
    points = np.ascontiguousarray(features[finite, :AXES], np.float64)
    if method == K_MEANS:
        from sklearn.cluster import KMeans

        found = KMeans(n, n_init=10, random_state=seed).fit_predict(points)
    else:
        from sklearn.cluster import HDBSCAN

        found = HDBSCAN(min_cluster_size=n, copy=True).fit_predict(points)
    out = np.zeros(len(features), np.int16)
    ids, counts = np.unique(found[found >= 0], return_counts=True)
    place = {int(i): rank for rank, i in enumerate(ids[np.argsort(-counts, kind="stable")], 1)}
    out[finite] = [place.get(int(i), 0) for i in found]
    return out
