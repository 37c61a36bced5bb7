"""Groups of cells that look alike, found without labels: k-means and HDBSCAN of scikit-learn, Leiden of leidenalg."""

from __future__ import annotations

import importlib.util

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import CellsError, Progress, Task

K_MEANS, DENSITY, LEIDEN = "k-means", "HDBSCAN", "Leiden"
METHODS = (K_MEANS, DENSITY, LEIDEN)
LEIDEN_MISSING = (
    "Leiden needs leidenalg (pip install 'napari-biofm[leiden]'); k-means and HDBSCAN work without."
)
AXES = 20  # principal axes that distances are taken on


def cluster(features: NDArray[np.float32], method: str, n: int, seed: int = 0) -> Task[NDArray[np.int16]]:
    """Group cells by their vectors.

    Parameters
    ----------
    features : (cells, r) along principal axes (`live.Prepared`); rows that are not finite belong to no group.
    method : "k-means"; "HDBSCAN", which leaves cells between groups alone; or "Leiden", which finds how many there are.
    n : number of groups; for HDBSCAN the smallest number of cells of a group, for Leiden that of neighbours of a cell
        (more give fewer groups; 15 is usual).
    seed : of the starts of k-means and of Leiden.

    Returns
    -------
    (cells,) group 1 .. k, the largest first; 0 for none.

    Raises
    ------
    CellsError
        If there are fewer cells than groups, or leidenalg is not installed.

    Notes
    -----
    HDBSCAN: Campello et al., PAKDD 2013. Leiden: Traag et al., Scientific Reports 9:5233 (2019), modularity of the graph of
    nearest neighbours, an edge weighed by the share of neighbours that both ends have in common (PhenoGraph: Levine et
    al., Cell 162:184, 2015).
    """
    if method == LEIDEN and not has_leiden():
        raise CellsError(LEIDEN_MISSING)
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
    elif method == LEIDEN:
        found = _leiden(points, n, seed)
    else:
        from sklearn.cluster import HDBSCAN

        found = HDBSCAN(min_cluster_size=n, copy=True).fit_predict(points)
    out = np.zeros(len(features), np.int16)
    ids, counts = np.unique(found[found >= 0], return_counts=True)
    place = {int(i): rank for rank, i in enumerate(ids[np.argsort(-counts, kind="stable")], 1)}
    out[finite] = [place.get(int(i), 0) for i in found]
    return out


def has_leiden() -> bool:
    """Return whether leidenalg is installed."""
    return importlib.util.find_spec("leidenalg") is not None


def _leiden(points: NDArray[np.float64], n: int, seed: int) -> NDArray[np.int64]:
    """Return the community of each point in the graph of its `n` nearest neighbours."""
    import igraph
    import leidenalg
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=n).fit(points).kneighbors_graph()  # of the points without themselves
    shared = (near @ near.T).tocoo()
    union = 2 * n - shared.data
    linked = near + near.T
    weight = np.asarray(linked.tocsr()[shared.row, shared.col]).ravel() > 0
    keep = (shared.row < shared.col) & weight
    edges = np.column_stack([shared.row, shared.col])[keep]
    graph = igraph.Graph(n=len(points), edges=edges.tolist())
    partition = leidenalg.find_partition(
        graph,
        leidenalg.ModularityVertexPartition,
        weights=(shared.data / union)[keep].tolist(),
        n_iterations=-1,
        seed=seed,
    )
    return np.asarray(partition.membership, np.int64)
