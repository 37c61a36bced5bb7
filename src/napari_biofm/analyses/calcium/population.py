"""How cells go together: correlations in clusters, assemblies, an order for the raster, and moments of synchrony."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_biofm.analyses.calcium.common import Cells, Floats, cells_of
from napari_biofm.analyses.description import Analysis, Column, Curve, OfCells, Plot, Result, Source, option
from napari_biofm.types import RecordingError

MOST_DRAWN = 1000  # cells along a side of a drawn matrix
GROUP = "Cells together"


@dataclass(frozen=True)
class CorrelationsParameters(OfCells):
    """How traces are smoothed and clusters are cut."""

    smooth_s: float = option(0.2, "Standard deviation of the Gaussian before correlating.", unit="s", low=0)
    least: float = option(0.3, "Clusters hold cells with a mean correlation above it.", low=-1, high=1)
    matrix: bool = option(True, "Add the whole matrix to the table, a column per cell.")


def clustered(correlation: Floats, least: float) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Return the order of cells (n,) in the tree of average linkage, and the cluster of each (n,), largest first from 1.

    Parameters
    ----------
    correlation : (n, n), 1 on the diagonal.
    least : mean correlation between groups that are still joined.
    """
    from scipy.cluster import hierarchy
    from scipy.spatial.distance import squareform

    distance = np.clip(1 - correlation, 0, 2)
    np.fill_diagonal(distance, 0)
    tree = hierarchy.linkage(
        squareform(distance, checks=False), "average", optimal_ordering=len(distance) <= 500
    )
    found = hierarchy.fcluster(tree, 1 - least, "distance")
    sizes = np.bincount(found)
    rank = np.empty(len(sizes), np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(1, len(sizes) + 1)
    return np.asarray(hierarchy.leaves_list(tree), np.intp), rank[found]


def correlations(source: Source, p: CorrelationsParameters) -> Result:
    """Correlate all cells and put them in clusters."""
    cells = cells_of(source, least=2)
    scores = _smoothed(cells, p.smooth_s)
    matrix = scores @ scores.T / scores.shape[1]
    np.fill_diagonal(matrix, 1.0)
    order, cluster = clustered(matrix, p.least)
    others = matrix - np.eye(len(matrix)) * 2
    inside = np.array(
        [
            _mean_of(matrix[i], (cluster == cluster[i]) & (np.arange(len(matrix)) != i))
            for i in range(len(matrix))
        ]
    )
    columns = [
        Column("cell", cells.ids[order]), Column("cluster", cluster[order], "", "largest first, from 1"),
        Column("mean_in_cluster", inside[order], "", "mean correlation with the others of its cluster"),
        Column("most_alike", cells.ids[others.argmax(axis=1)][order]),
        Column("correlation_with_it", others.max(axis=1)[order]),
    ]  # fmt: skip
    if p.matrix:
        columns += [Column(f"r_{cells.ids[j]}", matrix[order, j]) for j in order]
    large = [int(k) for k in np.unique(cluster) if (cluster == k).sum() > 1][:6]
    curves = tuple(
        Curve(cells.times, scores[cluster == k].mean(axis=0), f"cluster {k} ({int((cluster == k).sum())})")
        for k in large
    )
    upper = matrix[np.triu_indices(len(matrix), 1)]
    summary = (
        f"{len(matrix)} cells, mean correlation {upper.mean():.3f} (sd {upper.std():.3f}); {len(large)} clusters of two cells "
        "and more."
    )
    shown = order[:: -(-len(order) // MOST_DRAWN)]
    names = tuple(str(cell) for cell in cells.ids[shown])
    said = "" if len(shown) == len(order) else f"{len(shown)} of {len(order)} cells"
    plots = [Plot(said, "Correlation", (), matrix=matrix[np.ix_(shown, shown)], names=names)]
    if curves:
        plots.append(Plot("Time", "Mean z-score", curves, "s"))
    return Result(tuple(columns), tuple(plots), summary)


def _mean_of(values: Floats, which: NDArray[np.bool_]) -> float:
    return float(values[which].mean()) if which.any() else float("nan")


def _smoothed(cells: Cells, smooth_s: float) -> Floats:
    from scipy import ndimage

    scores = cells.scores()
    if smooth_s > 0:
        scores = ndimage.gaussian_filter1d(scores, smooth_s * cells.rate, axis=1)
        scores -= scores.mean(axis=1, keepdims=True)
        spread = scores.std(axis=1, keepdims=True)
        scores = np.divide(scores, spread, out=np.zeros_like(scores), where=spread > 1e-12)
    return np.asarray(scores, np.float64)


@dataclass(frozen=True)
class AssembliesParameters(OfCells):
    """How assemblies are found."""

    method: Literal["ica", "pca", "nmf"] = option(
        "ica", "Independent or principal components, or parts that only add up."
    )
    components: int | None = option(None, "Not given: as many as exceed chance.", low=1, high=200)
    smooth_s: float = option(0.2, "Standard deviation of the Gaussian before.", unit="s", low=0)
    member: float = option(
        2.0,
        "A cell belongs to an assembly whose weight is so many standard deviations above the mean.",
        low=0,
    )
    shuffles: int = option(
        50, "Circular shifts of each cell that say how many components exceed chance.", low=5, high=5000
    )
    seed: int = option(0, "Of everything random.", low=0)


def components_above_chance(scores: Floats, shuffles: int, rng: np.random.Generator) -> int:
    """Return how many eigenvalues of the correlation matrix exceed the largest ones of circularly shifted cells (95 %).

    Parameters
    ----------
    scores : (n, T) z-scores.
    shuffles : times every cell is shifted by another time.
    rng : of the shifts.
    """
    seen = np.linalg.eigvalsh(np.corrcoef(scores))[::-1]
    chance = []
    for _ in range(shuffles):
        moved = np.stack([np.roll(row, int(rng.integers(row.size))) for row in scores])
        chance.append(float(np.linalg.eigvalsh(np.corrcoef(moved))[-1]))
    return int((seen > np.percentile(chance, 95)).sum())


def assemblies(source: Source, p: AssembliesParameters) -> Result:
    """Find groups of cells that are active together, and when."""
    cells = cells_of(source, least=3)
    scores = _smoothed(cells, p.smooth_s)
    active = scores.any(axis=1)
    rng = np.random.default_rng(p.seed)
    n = p.components or components_above_chance(scores[active], p.shuffles, rng)
    n = min(n, int(active.sum()) - 1)
    if n < 1:
        note = "no component exceeds chance: no assembly can be told"
        return Result(
            (Column("cell", cells.ids), Column("assembly", np.zeros(len(cells.ids), int))), (), note, (note,)
        )
    weights = np.zeros((n, len(cells.ids)))
    weights[:, active], courses = _decomposed(scores[active], n, p)
    spread = (weights - weights.mean(axis=1, keepdims=True)) / np.maximum(
        weights.std(axis=1, keepdims=True), 1e-12
    )
    best = spread.argmax(axis=0)
    member = np.where(spread.max(axis=0) >= p.member, best + 1, 0)
    columns = [Column("cell", cells.ids), Column("assembly", member, "", "0 is none")]
    columns += [Column(f"weight_{k + 1}", weights[k], "", "of the cell in the assembly") for k in range(n)]
    curves = tuple(Curve(cells.times, courses[k], f"assembly {k + 1}") for k in range(min(n, 8)))
    counts = ", ".join(str(int((member == k + 1).sum())) for k in range(n))
    return Result(
        tuple(columns),
        (Plot("Time", "Strength", curves, "s"),),
        f"{n} assemblies of {counts} cells ({p.method}).",
    )


def _decomposed(scores: Floats, n: int, p: AssembliesParameters) -> tuple[Floats, Floats]:
    """Return weights (n, cells) and courses (n, T), strongest first; the largest weight of each is positive."""
    from sklearn.decomposition import NMF, FastICA

    if p.method == "nmf":
        low = np.percentile(scores, 20, axis=1, keepdims=True)
        model = NMF(n, init="nndsvda", max_iter=500, random_state=p.seed)
        courses = model.fit_transform(np.maximum(scores - low, 0).T).T
        return model.components_, courses
    _, _, axes = np.linalg.svd(scores.T, full_matrices=False)
    weights = axes[:n]
    if (
        p.method == "ica" and n > 1
    ):  # turned so that the courses are independent (Lopes-dos-Santos et al. 2013)
        ica = FastICA(n, whiten="unit-variance", max_iter=1000, random_state=p.seed)
        ica.fit((weights @ scores).T)
        weights = ica.components_ @ weights
        weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    signs = np.sign(weights[np.arange(n), np.abs(weights).argmax(axis=1)])
    weights = weights * signs[:, None]
    return weights, weights @ scores


@dataclass(frozen=True)
class OrderParameters(OfCells):
    """How the order is found."""

    method: Literal["auto", "rastermap", "tree"] = option(
        "auto", "Rastermap where it is installed, else the tree of correlations."
    )
    smooth_s: float = option(0.2, "Standard deviation of the Gaussian before.", unit="s", low=0)


def raster_order(source: Source, p: OrderParameters) -> Result:
    """Put cells that are active together beside each other."""
    import importlib.util

    cells = cells_of(source, least=3)
    scores = _smoothed(cells, p.smooth_s)
    there = importlib.util.find_spec("rastermap") is not None
    if p.method == "rastermap" and not there:
        raise RecordingError(
            "Rastermap is not installed: pip install 'napari-biofm[rastermap]', or choose the method tree"
        )
    if there and p.method != "tree":
        from rastermap import Rastermap

        order = np.asarray(
            Rastermap(n_PCs=min(200, len(scores) - 1), n_clusters=min(100, len(scores) // 2))
            .fit(scores)
            .isort
        )
        name = "Rastermap (Stringer et al., Nat Neurosci 28:201, 2025)"
    else:
        order, _ = clustered(np.clip(scores @ scores.T / scores.shape[1], -1, 1), 0.3)
        name = "the tree of correlations (average linkage, optimal order of leaves)"
    position = np.empty(len(order), int)
    position[order] = np.arange(len(order))
    columns = (
        Column("cell", cells.ids),
        Column("position", position, "", "row in the raster, from 0 at the top"),
    )
    return Result(
        columns, (), f"{len(order)} cells in the order of {name}.", methods=f"Cells were ordered by {name}."
    )


@dataclass(frozen=True)
class SynchronyParameters(OfCells):
    """Bins and chance."""

    bin_s: float = option(
        0.2, "Cells with an event in the same bin are active together.", unit="s", low=0.001
    )
    shuffles: int = option(500, "Circular shifts of each cell that say what is chance.", low=20, high=100000)
    alpha: float = option(
        0.01, "Chance that any bin of a recording without synchrony exceeds the threshold.", low=0, high=1
    )
    seed: int = option(0, "Of the shuffles.", low=0)


def synchronous(
    active: NDArray[np.bool_], shuffles: int, alpha: float, rng: np.random.Generator
) -> tuple[float, Floats]:
    """Return the threshold that the largest number of active cells exceeds by chance in `alpha` of shuffles, and a p per bin.

    Parameters
    ----------
    active : (n, bins) whether a cell has an event.
    shuffles, alpha, rng : of the circular shifts; each cell is shifted by another time.

    Returns
    -------
    threshold : number of cells. p : (bins,) share of shuffles whose largest number reaches that of the bin.
    """
    seen = active.sum(axis=0)
    n_bins = active.shape[1]
    most = np.empty(shuffles)
    for i in range(shuffles):
        shifts = rng.integers(n_bins, size=len(active))
        columns = (np.arange(n_bins)[None, :] - shifts[:, None]) % n_bins
        most[i] = np.take_along_axis(active, columns, axis=1).sum(axis=0).max()
    p = (1 + (most[None, :] >= seen[:, None]).sum(axis=1)) / (shuffles + 1)
    return float(np.quantile(most, 1 - alpha)), np.asarray(p, np.float64)


def synchrony(source: Source, p: SynchronyParameters) -> Result:
    """Find moments at which more cells are active than chance explains."""
    cells = cells_of(source, least=3)
    events = source.events
    if events is None or not len(events):
        return Result((), notes=("no events: synchrony cannot be told",))
    real = events[~np.isin(events["class"], ("artefact", "rejected"))]
    n_bins = int(np.ceil(cells.values.shape[1] / cells.rate / p.bin_s))
    active = np.zeros((len(cells.ids), n_bins), bool)
    active[real["channel"], np.clip((real["time_s"] / p.bin_s).astype(int), 0, n_bins - 1)] = True
    threshold, chance = synchronous(active, p.shuffles, p.alpha, np.random.default_rng(p.seed))
    counts = active.sum(axis=0)
    above = counts > threshold
    time = (np.arange(n_bins) + 0.5) * p.bin_s
    columns = (
        Column("time_s", time, "", "middle of the bin"), Column("active", counts, "", "cells with an event"),
        Column("share", counts / len(cells.ids)), Column("p", chance, "", "corrected for the number of bins"),
        Column("synchronous", above),
    )  # fmt: skip
    line = Curve(time, np.full(n_bins, threshold), "chance", faint=True)
    plot = Plot("Time", "Active cells", (Curve(time, counts, "cells", "steps"), line), "s")
    began = int((np.diff(above.astype(int), prepend=0) == 1).sum())
    return Result(
        columns,
        (plot,),
        f"{began} synchronous moments: more than {threshold:g} of {len(cells.ids)} cells within {p.bin_s:g} s.",
    )


ANALYSES = (
    Analysis(
        "correlations", "Correlations in clusters", GROUP, "The correlation of all cells, ordered in clusters.", ("traces",),
        correlations, CorrelationsParameters,
        "Traces were smoothed, correlated (Pearson) and clustered by average linkage of 1 - r.",
    ),
    Analysis(
        "assemblies", "Assemblies", GROUP, "Groups of cells that are active together, and when.", ("traces",), assemblies,
        AssembliesParameters,
        "Assemblies are the components above chance (circular shifts), turned by ICA (Lopes-dos-Santos et al., J Neurosci "
        "Methods 220:149, 2013) or found by non-negative matrix factorisation.",
    ),
    Analysis(
        "raster-order", "Order for the raster", GROUP, "Cells that are active together beside each other.", ("traces",),
        raster_order, OrderParameters,
        "Cells were ordered by Rastermap (Stringer et al., Nat Neurosci 28:201, 2025) or by average linkage of 1 - r.",
    ),
    Analysis(
        "synchrony", "Synchronous moments", GROUP, "Moments at which more cells are active than chance explains.",
        ("traces", "events"), synchrony, SynchronyParameters,
        "The number of cells with an event in a bin was compared with the largest number after circular shifts of each cell.",
    ),
)  # fmt: skip
