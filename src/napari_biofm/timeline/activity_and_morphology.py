"""One row per cell: what its trace does beside what it looks like, and whether the two go together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.timeline.cell_positions import CellEvents
from napari_biofm.types import Progress, Task, TimelineError

if TYPE_CHECKING:
    from anndata import AnnData

    from napari_biofm.signals import Recording
    from napari_biofm.types import Events

TRACE_FEATURES = (
    "rate_hz",
    "amplitude",
    "rise_s",
    "decay_s",
    "interval_cv",
    "burst_index",
    "synchrony",
    "trace_sd",
    "trace_skewness",
    "trace_p95",
)
BLOCK = "trace"


def trace_features(
    events: CellEvents,
    tables: Mapping[str, Events],
    ids: NDArray[np.int64],
    start: float,
    stop: float,
    traces: Recording | None = None,
    bin_s: float = 0.5,
    imaged_s: float | None = None,
    rejected: Collection[int] = (),
) -> NDArray[np.float32]:
    """Describe the activity of each cell.

    Parameters
    ----------
    events : of the cells.
    tables : event tables by recording id, for amplitude, rise and decay.
    ids : (n,) labels, in the order of the rows wanted.
    start, stop : seconds over which rates are taken.
    traces : recording whose channels are cells, for the last three features.
    bin_s : bin of synchrony, seconds.
    imaged_s : seconds between start and stop during which cells could be seen, all of them if None.
    rejected : labels of cells that are left out: their rows say nothing.

    Returns
    -------
    (n, 10) float32, columns as `TRACE_FEATURES`: events per second; median amplitude, rise and decay;
    coefficient of variation of intervals; burst index, the fraction of intervals shorter than a quarter
    of the cell's mean interval (e^-0 - e^-0.25 = 0.22 for a Poisson train); synchrony, the correlation of
    its binned events with those of all other cells; standard deviation, skewness and 95th percentile of
    the trace. NaN where a cell has too little to say.
    """
    table = np.full((len(ids), len(TRACE_FEATURES)), np.nan, np.float32)
    shape, seen = _shapes(events, tables), stop - start if imaged_s is None else imaged_s
    n_bins = max(int(np.ceil((stop - start) / bin_s)), 1)
    edges = start + bin_s * np.arange(n_bins + 1)
    everybody = np.histogram(events.seconds, edges)[0]
    order = np.argsort(events.labels, kind="stable")
    bounds = np.searchsorted(events.labels[order], [ids, np.asarray(ids) + 1])
    for row, (first, last) in enumerate(bounds.T):
        mine = order[first:last]
        seconds = np.sort(events.seconds[mine])
        seconds = seconds[(seconds >= start) & (seconds < stop)]
        table[row, 0] = len(seconds) / seen if seen > 0 else np.nan
        if len(mine):
            table[row, 1:4] = [_median(shape[mine, k]) for k in range(3)]
        if len(seconds) >= 3:
            intervals = np.diff(seconds)
            table[row, 4] = intervals.std() / max(intervals.mean(), 1e-12)
            table[row, 5] = np.mean(intervals < 0.25 * intervals.mean())
            counts = np.histogram(seconds, edges)[0]
            table[row, 6] = _correlation(counts, everybody - counts)
    if traces is not None:
        table[:, 7:10] = _of_traces(traces, ids)
    table[np.isin(ids, list(rejected))] = np.nan
    return table


def add_trace_features(
    table: AnnData, features: NDArray[np.float32], provenance: Mapping[str, Any] | None = None
) -> AnnData:
    """Put trace features into the table of cells: an embedding of vectors, and one column each.

    Parameters
    ----------
    table : rows in the order of the features.
    features : (n, 10) of `trace_features`.
    provenance : where they come from.
    """
    from napari_biofm.cells.table.cell_table import add_embedding

    for i, name in enumerate(TRACE_FEATURES):
        table.obs[f"trace_{name}"] = features[:, i].astype(float)
    return add_embedding(
        table, BLOCK, features, {"name": BLOCK, "columns": list(TRACE_FEATURES), **(provenance or {})}
    )


@dataclass(frozen=True, eq=False)
class Associations:
    """How measures of two kinds go together over cells.

    Attributes
    ----------
    first, second : names of the rows and of the columns.
    correlation : (a, b) Spearman's rank correlation.
    information : (a, b) mutual information of the two in five ranks each, nats, bias subtracted.
    p_correlation, p_information : (a, b) of the permutation tests.
    q_correlation, q_information : the same after Benjamini and Hochberg, over all pairs.
    n : number of cells.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    correlation: NDArray[np.float64]
    information: NDArray[np.float64]
    p_correlation: NDArray[np.float64]
    p_information: NDArray[np.float64]
    q_correlation: NDArray[np.float64]
    q_information: NDArray[np.float64]
    n: int

    def in_words(self, level: float = 0.05) -> str:
        """Return what was found, the strongest first."""
        pairs = np.argwhere(self.q_correlation < level)
        pairs = pairs[np.argsort(-np.abs(self.correlation[tuple(pairs.T)]))] if len(pairs) else pairs
        tested = self.correlation.size
        if len(pairs) == 0:
            return f"{self.n} cells, {tested} pairs tested: none goes together (FDR {level:g})."
        said = [
            f"{self.first[i]} ~ {self.second[j]} (rho {self.correlation[i, j]:+.2f})" for i, j in pairs[:6]
        ]
        return (
            f"{self.n} cells, {tested} pairs tested, {len(pairs)} go together at a false discovery rate of "
            f"{level:g}: {', '.join(said)}."
        )


def associate(
    a: NDArray[np.floating],
    b: NDArray[np.floating],
    names_a: Sequence[str],
    names_b: Sequence[str],
    n_permutations: int = 1000,
    seed: int = 0,
) -> Task[Associations]:
    """Test every measure of one kind against every measure of the other.

    Cells are shuffled as a whole, so that what goes together inside a kind stays together; the p-value
    counts shuffles that reach the value found. Multiple testing: Benjamini and Hochberg, J R Stat Soc B
    57:289 (1995), over all pairs. A NaN is the median of its column.

    Parameters
    ----------
    a, b : (n_cells, p) and (n_cells, q).
    names_a, names_b : of the columns.
    n_permutations : smallest p-value is 1 / (n_permutations + 1).
    seed : of the shuffling.

    Raises
    ------
    TimelineError
        If there are fewer than ten cells or the rows differ.
    """
    if len(a) != len(b):
        raise TimelineError(f"{len(a)} rows against {len(b)}: both must be of the same cells.")
    if len(a) < 10:
        raise TimelineError(f"{len(a)} cells are too few to test what goes together; 10 are needed.")
    ranks_a, ranks_b = _ranks(a), _ranks(b)
    bins_a, bins_b = _one_hot(ranks_a), _one_hot(ranks_b)
    rho, info = _correlations(ranks_a, ranks_b), _information(bins_a, bins_b)
    rng, n = np.random.default_rng(seed), len(a)
    more_rho, more_info, mean_info = (np.zeros(rho.shape) for _ in range(3))
    for k in range(n_permutations):
        order = rng.permutation(n)
        more_rho += np.abs(_correlations(ranks_a, ranks_b[order])) >= np.abs(rho) - 1e-12
        chance = _information(bins_a, bins_b[order])
        more_info += chance >= info - 1e-12
        mean_info += chance
        if k % 50 == 0:
            yield Progress(k, n_permutations, f"shuffle {k} of {n_permutations}")
    p_rho, p_info = (more_rho + 1) / (n_permutations + 1), (more_info + 1) / (n_permutations + 1)
    return Associations(
        tuple(names_a),
        tuple(names_b),
        rho,
        info - mean_info / max(n_permutations, 1),
        p_rho,
        p_info,
        benjamini_hochberg(p_rho),
        benjamini_hochberg(p_info),
        n,
    )


def benjamini_hochberg(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p-values adjusted to control the false discovery rate, same shape."""
    flat = np.asarray(p, float).ravel()
    order = np.argsort(flat)
    scaled = flat[order] * len(flat) / np.arange(1, len(flat) + 1)
    adjusted = np.empty_like(flat)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted.reshape(np.shape(p))


# ------------------------------------------------------------------ parts


def _shapes(events: CellEvents, tables: Mapping[str, Events]) -> NDArray[np.float64]:
    """Return (n_events, 3) amplitude, rise and decay."""
    shape = np.full((len(events), 3), np.nan)
    for i, uid in enumerate(events.recordings):
        mine = events.source == i
        if uid in tables and mine.any():
            rows = tables[uid][events.rows[mine]]
            shape[mine] = np.column_stack([rows["amplitude"], rows["rise_s"], rows["decay_s"]])
    return shape


def _of_traces(traces: Recording, ids: NDArray[np.int64]) -> NDArray[np.float32]:
    from scipy.stats import skew

    channel_of = {c.label: i for i, c in enumerate(traces.channels) if c.label is not None}
    found = np.full((len(ids), 3), np.nan, np.float32)
    for row, label in enumerate(ids):
        if int(label) in channel_of:
            values = traces.values(0, channel_of[int(label)])
            values = values[np.isfinite(values)]
            if len(values) > 2 and values.std() > 0:
                found[row] = values.std(), skew(values), np.percentile(values, 95)
    return found


def _median(values: NDArray[np.float64]) -> float:
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else float("nan")


def _correlation(x: NDArray[Any], y: NDArray[Any]) -> float:
    if x.std() == 0 or y.std() == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def _ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return ranks of each column, ties shared, standardised; a constant column is 0."""
    from scipy.stats import rankdata

    table = np.asarray(values, float).copy()
    for column in table.T:
        known = np.isfinite(column)
        column[~known] = np.median(column[known]) if known.any() else 0.0
    ranks = np.asarray(rankdata(table, axis=0), float)
    spread = ranks.std(axis=0)
    return np.asarray((ranks - ranks.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


def _correlations(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(a.T @ b / len(a))


def _one_hot(ranks: NDArray[np.float64], n_bins: int = 5) -> NDArray[np.float64]:
    """Return (n, p * n_bins) membership of each value in fifths of its column."""
    n, p = ranks.shape
    hot = np.zeros((n, p, n_bins))
    for j in range(p):
        inner = np.quantile(ranks[:, j], np.arange(1, n_bins) / n_bins)
        hot[np.arange(n), j, np.searchsorted(inner, ranks[:, j], side="left")] = 1
    return hot.reshape(n, p * n_bins)


def _information(a: NDArray[np.float64], b: NDArray[np.float64], n_bins: int = 5) -> NDArray[np.float64]:
    """Return (p, q) mutual information of binned columns, nats."""
    joint = (a.T @ b / len(a)).reshape(a.shape[1] // n_bins, n_bins, b.shape[1] // n_bins, n_bins)
    joint = joint.transpose(0, 2, 1, 3)
    expected = joint.sum(axis=3, keepdims=True) * joint.sum(axis=2, keepdims=True)
    ratio = np.divide(joint, expected, out=np.ones_like(joint), where=joint > 0)
    return np.asarray((joint * np.log(ratio)).sum(axis=(2, 3)))
