"""Learning measured values of cells from their vectors, as a job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.table.folds import has_groups
from napari_biofm.cells.values.regression import RegressionHead, RegressionScore, score_regression
from napari_biofm.types import Progress, Task, Vectors


@dataclass(frozen=True)
class Regressed:
    """A head of values trained in the worker, its score, and what it says of all cells, (n, t)."""

    arrays: dict[str, NDArray[Any]]
    settings: dict[str, Any]
    score: RegressionScore
    baseline: RegressionScore | None
    values: NDArray[np.float32]


def regress(
    vectors: Vectors,
    measured: NDArray[np.float64],
    targets: Sequence[str],
    groups: Sequence[str],
    baseline: Vectors | None,
) -> Task[Regressed]:
    """Score and train a head of values on the cells that were measured, and predict all cells.

    Parameters
    ----------
    vectors, measured, groups : a row per cell; NaN where a cell was not measured.
    baseline : handcrafted measures of the same cells, None where these are the vectors in use.
    """
    score = yield from score_regression(vectors, measured, targets, groups)
    beside = None
    if baseline is not None:
        beside = yield from score_regression(baseline, measured, targets, groups)
    yield Progress(1, 2, f"training on {int(np.isfinite(measured).any(1).sum())} cells ...")
    kept = list(groups) if has_groups(groups) else None
    head = RegressionHead().fit(vectors, measured, targets, kept)
    return Regressed(*head.state(), score, beside, head.predict(vectors))
