"""Folds that keep whole groups (images, wells, plates) together and every class in most folds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Fold = tuple[NDArray[np.int64], NDArray[np.int64]]  # rows to fit on, rows to test on


def has_groups(groups: ArrayLike | None) -> bool:
    """Tell whether there are two groups at least, so that whole groups can be left out."""
    return groups is not None and len(np.unique(np.asarray(groups, object).astype(str))) > 1


def make_folds(
    codes: NDArray[np.int64], groups: Sequence[Any] | None, n: int = 5, seed: int = 0
) -> list[Fold]:
    """Split rows into at most `n` folds, stratified by class; whole groups are left out where there are any.

    Groups go, largest first, to the fold that lacks their classes most (greedy). Folds whose remainder would
    lack a class are still used: that class is then missed, as it would be in earnest.
    """
    rng = np.random.default_rng(seed)
    if groups is not None and has_groups(groups):
        _, unit = np.unique(np.asarray(groups, object).astype(str), return_inverse=True)
    else:
        unit = np.arange(len(codes))
    n_units = int(unit.max()) + 1 if len(unit) else 0
    n = min(n, n_units)
    if n < 2:
        return []
    n_classes = int(codes.max()) + 1
    counts = np.zeros((n_units, n_classes))
    np.add.at(counts, (unit, codes), 1)
    share = counts / np.maximum(counts.sum(0), 1)
    order = rng.permutation(n_units)
    order = order[np.argsort(-share[order].max(1), kind="stable")]
    load = np.zeros((n, n_classes))
    sizes = np.zeros(n)
    fold_of = np.zeros(n_units, np.int64)
    for u in order:
        fullness = (load * share[u]).sum(1) / max(share[u].sum(), 1e-12)
        best = int(np.lexsort((sizes, np.round(fullness, 9)))[0])
        fold_of[u] = best
        load[best] += share[u]
        sizes[best] += counts[u].sum()
    of_row = fold_of[unit]
    folds = [(np.flatnonzero(of_row != f), np.flatnonzero(of_row == f)) for f in range(n)]
    return [(train, test) for train, test in folds if len(train) and len(test)]
