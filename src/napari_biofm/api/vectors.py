"""Vectors from outside, and heads on few labels, as functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_biofm.api.cells import fit_classifier, predict
from napari_biofm.cells.classify.scores import cross_validate
from napari_biofm.cells.values.regression import RegressionHead, held_out, score_regression
from napari_biofm.conditions.outside import joined_vectors, read_vectors
from napari_biofm.types import CellsError, ConditionsError, Vectors, run_task

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import DataFrame


@dataclass(frozen=True, eq=False)
class FewLabels:
    """What a head learned from few labels.

    Attributes
    ----------
    predicted : (n,) class or number of every row; "" or NaN for rows without vector.
    probability : (n,) of the predicted class; None for numbers.
    score : macro-F1, or R2 for numbers, on groups left out. baseline : the same of the other vectors, None without.
    notes : sentences on the scores.
    left_out : (n,) what is predicted for each row with a label while its group is left out, which `score` is of.
    """

    predicted: NDArray[np.object_] | NDArray[np.float32]
    probability: NDArray[np.float32] | None
    score: float
    baseline: float | None
    notes: tuple[str, ...]
    left_out: NDArray[np.object_] | NDArray[np.float32]


def join_vectors(
    rows: DataFrame | AnnData,
    path: str | Path,
    by: str,
    *,
    ids: str | Path | None = None,
    key: str = "",
    name: str = "",
) -> tuple[Vectors, list[str]]:
    """Join vectors that were computed elsewhere to rows of cells, wells, samples or subjects.

    Parameters
    ----------
    rows : a table; a table of cells (AnnData) gets the vectors as an embedding that classifiers can take.
    path : CSV, TSV, Parquet, `.h5ad`, or `.npy` with `ids`.
    by : column of the rows that holds the ids, such as `cell_id`, `well`, `subject`.
    ids : text file with one id a line, for `.npy`.
    key : column of the ids in the file (the first if not given), or key in `obsm` of `.h5ad`.
    name : of the embedding in a table of cells; the name of the file if not given.

    Returns
    -------
    vectors : (n, d) float32, NaN where a row has none.
    notes : list of str
        Which rows have no vector and which vectors no row.

    Raises
    ------
    ConditionsError
        If the file cannot be used, the column is not there, or nothing fits.
    """
    import pandas as pd

    from napari_biofm.cells.table.cell_table import add_embedding

    path = Path(path)
    table = rows if isinstance(rows, pd.DataFrame) else rows.obs
    if by not in table:
        raise ConditionsError(
            f"There is no column {by!r}; there are {', '.join(map(str, table.columns[:12]))}."
        )
    held = read_vectors(path, None if ids is None else Path(ids), key)
    found, notes = joined_vectors(held, list(table[by]))
    if not isinstance(rows, pd.DataFrame):
        add_embedding(rows, name or path.stem, found, {"name": name or path.stem, "source": held.source})
    return found, notes


def few_label_head(
    vectors: Vectors,
    labels: Sequence[object],
    groups: Sequence[object] | None = None,
    baseline: Vectors | None = None,
) -> FewLabels:
    """Fit a head to the rows that have a label, score it on groups left out, and predict all rows.

    Labels that are all numbers with more than ten values are learned as numbers (ridge regression), others as classes
    (logistic regression); these are the heads of Cell states.

    Parameters
    ----------
    vectors : (n, d); rows with NaN are left out.
    labels : (n,) classes or numbers; None, NaN or "" where not known.
    groups : (n,) never split between learning and scoring: site, scaffold, homologous group, donor.
    baseline : (n, d2) other vectors, scored beside.

    Raises
    ------
    CellsError
        If there are too few labels or groups.
    """
    from pandas import isna

    names = ["" if label is None or bool(isna(label)) else str(label).strip() for label in labels]
    if len(names) != len(vectors):
        raise CellsError(f"{len(names)} labels for {len(vectors)} rows; give one per row.")
    numbers = _numbers(names)
    told = None if groups is None else [str(group) for group in groups]
    if numbers is not None:
        return _values(vectors, numbers, told, baseline)
    found = fit_classifier(vectors, names, told)
    if found.scores is None or not found.scores.model.n_folds:
        raise CellsError("There are too few labels or groups to leave some out; no score can be given.")
    classes, probabilities = predict(found, vectors)
    other = None
    if baseline is not None:
        beside = fit_classifier(baseline, names, told).scores
        other = None if beside is None else beside.model.macro_f1
    model = found.scores.model
    words = (
        f"macro-F1 {model.macro_f1:.3f} ({model.low:.3f} to {model.high:.3f}) on {_left_out(told)} left out"
    )
    notes = [words + ("" if other is None else f"; baseline {other:.3f}"), *found.scores.warnings]
    return FewLabels(
        classes,
        probabilities.max(1),
        model.macro_f1,
        other,
        tuple(notes),
        _left_out_classes(vectors, names, told),
    )


def _left_out_classes(
    vectors: Vectors, names: Sequence[str], groups: Sequence[str] | None
) -> NDArray[np.object_]:
    """Return the class of each row as it is predicted while its group is left out; "" where there is none."""
    named = np.array([bool(name) for name in names]) & np.isfinite(vectors).all(1)
    known: list[int] = np.flatnonzero(named).tolist()
    kept = None if groups is None else [groups[i] for i in known]
    out = np.full(len(names), "", object)
    out[known] = run_task(cross_validate(vectors[known], [names[i] for i in known], kept))[1]
    return out


def _left_out(groups: list[str] | None) -> str:
    return "rows" if groups is None or len(set(groups)) < 2 else "groups"


def _numbers(names: list[str]) -> NDArray[np.float64] | None:
    try:
        values = np.array([float(name) if name else np.nan for name in names])
    except ValueError:
        return None
    return values if len(np.unique(values[np.isfinite(values)])) > 10 else None


def _values(
    vectors: Vectors, numbers: NDArray[np.float64], groups: list[str] | None, baseline: Vectors | None
) -> FewLabels:
    y = numbers[:, None].astype(np.float32)
    score = run_task(score_regression(vectors, y, ["label"], groups))
    other = None
    if baseline is not None:
        other = float(run_task(score_regression(baseline, y, ["label"], groups)).r2[0])
    predicted = RegressionHead().fit(vectors, y, ["label"], groups).predict(vectors)[:, 0]
    words = f"R2 {score.r2[0]:.3f} on {_left_out(groups)} left out (permuted {score.chance[0]:.3f}, p {score.p[0]:.2f})"
    notes = (words + ("" if other is None else f"; baseline {other:.3f}"), *score.warnings)
    return FewLabels(predicted, None, float(score.r2[0]), other, notes, held_out(vectors, y, groups)[:, 0])
