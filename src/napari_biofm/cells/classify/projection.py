"""Two dimensions to look at: PCA at once, UMAP in the background where umap-learn is installed."""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import CellsError, Progress, Task

AXES = 50  # principal axes UMAP is computed on
UMAP_MISSING = (
    "UMAP needs the package umap-learn, which is not installed: pip install 'napari-biofm[umap]', then start "
    "napari again. PCA works without it."
)


def has_umap() -> bool:
    """Tell whether UMAP can be computed, without importing it."""
    return importlib.util.find_spec("umap") is not None


def pca(features: NDArray[np.float32], n: int = 2) -> NDArray[np.float32]:
    """Return the first `n` axes of features that are rotated already (`live.Prepared`), (cells, n)."""
    out = np.zeros((len(features), n), np.float32)
    out[:, : min(n, features.shape[1])] = features[:, :n]
    return out


def umap(features: NDArray[np.float32], n_neighbours: int = 15, seed: int = 0) -> Task[NDArray[np.float32]]:
    """Compute a UMAP of features (cells, r), (cells, 2); runs in the worker.

    Raises
    ------
    CellsError
        If umap-learn is not installed, or there are too few cells.
    """
    if not has_umap():
        raise CellsError(UMAP_MISSING)
    finite = np.isfinite(features).all(1)
    if finite.sum() < 5:
        raise CellsError(f"UMAP needs five cells with vectors at least, there are {int(finite.sum())}.")
    yield Progress(0, 2, "UMAP: loading (the first time its code is compiled, which takes a while)")
    with warnings.catch_warnings():  # its own about fixed seeds and what it depends on
        warnings.simplefilter("ignore")
        from umap import UMAP

        yield Progress(1, 2, f"UMAP of {int(finite.sum())} cells ...")
        model = UMAP(n_neighbors=min(n_neighbours, int(finite.sum()) - 1), random_state=seed, n_jobs=1)
        out = np.full((len(features), 2), np.nan, np.float32)
        out[finite] = model.fit_transform(features[finite, :AXES])
    return out
