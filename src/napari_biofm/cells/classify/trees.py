"""Trained trees as plain arrays: what a file can hold without pickle, and how to walk them with NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.classify.sklearn_compat import boosted_trees, boosting_baseline

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

Arrays = dict[str, NDArray[Any]]
N_BINS = 255  # of a column, at most; as many as histogram boosting of scikit-learn has


def flatten_forest(forest: RandomForestClassifier, n_classes: int) -> Arrays:
    """Return the trees of a fitted scikit-learn forest; leaves hold the share of each class."""
    parts = []
    for estimator in forest.estimators_:
        tree = estimator.tree_
        value = np.zeros((tree.node_count, n_classes), np.float32)
        share = tree.value[:, 0, :]
        value[:, forest.classes_] = share / share.sum(1, keepdims=True)
        threshold = np.asarray(tree.threshold, np.float64)
        parts.append((tree.feature, threshold, tree.children_left, tree.children_right, value))
    return _join(parts)


def cuts_between_bins(
    features: NDArray[np.float32], weight: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Return where histogram boosting cuts each column into bins: at weighted quantiles, or between all values.

    scikit-learn looks for the same quantiles of weighted rows one by one, which takes longer than growing the
    trees: a minute for the folds of 2,000 cells. Trees grown on the numbers of these bins are the same.
    Releases before 1.9 cut at quantiles without weights; their trees differ a little.

    Parameters
    ----------
    features : (n, d), finite. weight : (n,), positive.

    Returns
    -------
    ascending cuts of each column; a value is in bin k where k cuts are below it.
    """
    found = []
    for column in np.asarray(features, np.float64).T:
        order = np.argsort(column)
        values = column[order]
        distinct = np.unique(values)
        if len(distinct) <= N_BINS:
            found.append((distinct[1:] + distinct[:-1]) / 2)
            continue
        cumulative = np.cumsum(weight[order])
        wanted = np.linspace(0, 1, N_BINS + 1)[1:-1] * cumulative[-1]
        at = np.minimum(np.searchsorted(cumulative, wanted), len(values) - 1)
        after = np.where(np.isclose(cumulative[at], wanted, rtol=1e-12), at + 1, at)
        found.append(np.unique((values[at] + values[np.minimum(after, len(values) - 1)]) / 2))
    return found


def bins_of(features: NDArray[np.float32], cuts: list[NDArray[np.float64]]) -> NDArray[np.float32]:
    """Return the number of the bin each value lies in, (n, d)."""
    columns = np.asarray(features, np.float64).T
    return np.stack([np.searchsorted(c, x) for x, c in zip(columns, cuts, strict=True)], 1).astype(np.float32)


def flatten_boosting(
    boosting: HistGradientBoostingClassifier, n_classes: int, cuts: list[NDArray[np.float64]] | None = None
) -> Arrays:
    """Return the trees of a fitted histogram gradient boosting; leaves hold what they add to each logit.

    Parameters
    ----------
    cuts : of each column, where the trees were grown on numbers of bins (`bins_of`).
    """
    present = boosting.classes_
    columns = present[1:] if len(present) == 2 else present
    parts = []
    for trees in boosted_trees(boosting):
        for column, predictor in zip(columns, trees, strict=True):
            nodes = predictor.nodes
            leaf = nodes["is_leaf"].astype(bool)
            value = np.zeros((len(nodes), n_classes), np.float32)
            value[leaf, column] = nodes["value"][leaf]
            feature = np.where(leaf, -2, nodes["feature_idx"].astype(np.int64))
            left, right = (np.where(leaf, -1, nodes[side].astype(np.int64)) for side in ("left", "right"))
            threshold = np.array(nodes["num_threshold"], np.float64)
            if cuts is not None:
                for at in np.flatnonzero(~leaf):
                    threshold[at] = cuts[feature[at]][int(threshold[at])]
            parts.append((feature, threshold, left, right, value))
    baseline = np.full(n_classes, -1e3, np.float32)
    baseline[present] = 0.0
    baseline[columns] = boosting_baseline(boosting)
    return {**_join(parts), "baseline": baseline}


def sum_of_leaves(trees: Arrays, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the sum of the leaf values each row reaches, (n, n_classes)."""
    total = np.zeros((len(features), trees["value"].shape[1]))
    rows = np.arange(len(features))
    for root in trees["roots"]:
        node = np.full(len(features), root)
        while True:
            feature = trees["feature"][node]
            inner = feature >= 0
            if not inner.any():
                break
            goes_left = features[rows, np.maximum(feature, 0)] <= trees["threshold"][node]
            node = np.where(inner, np.where(goes_left, trees["left"][node], trees["right"][node]), node)
        total += trees["value"][node]
    return total


def _join(parts: list[tuple[Any, ...]]) -> Arrays:
    sizes = [len(part[0]) for part in parts]
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    feature, threshold, left, right, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    shift = np.repeat(roots, sizes)
    return {
        "roots": roots,
        "feature": feature.astype(np.int32),
        "threshold": threshold.astype(np.float64),
        "left": (left + shift).astype(np.int32),
        "right": (right + shift).astype(np.int32),
        "value": value,
    }
