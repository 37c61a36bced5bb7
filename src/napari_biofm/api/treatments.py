"""What was done to wells as vectors, beside what was measured in them, as functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_biofm.api.vectors import FewLabels, few_label_head
from napari_biofm.cells.embed.scaling import Rotation, Scaler
from napari_biofm.conditions import treatments as made
from napari_biofm.conditions.compounds import tanimoto
from napari_biofm.conditions.likeness import DRAWS, LEAST, compare_likeness
from napari_biofm.conditions.treatments import Treatments
from napari_biofm.types import CellsError, ConditionsError, Vectors

if TYPE_CHECKING:
    from pandas import DataFrame

LEAST_ITEMS, LEAST_GROUPS = 10, 5  # with a value, below which a score would be luck
MANY_ITEMS = 200  # from here on pairs are so many that fewer permutations are drawn


@dataclass(frozen=True, eq=False)
class TreatmentEffects:
    """What vectors of compounds or sequences tell of what was measured.

    Attributes
    ----------
    measured : (m,) of each item: the mean of its rows, or their class; NaN or "" without.
    n_rows : (m,) rows behind it.
    left_out : (m,) predicted while the item's whole group was left out; what `score` is of. predicted : (m,) by a head
        that learned from all. Empty where there is no head.
    probability : (m,) of the predicted class; None for numbers.
    score : R2, or macro-F1 of classes, on groups left out. baseline : the same of plain vectors. None without.
    likeness, p : rank correlation of nearness of vectors (Tanimoto likeness of fingerprints) and likeness of effects over
        pairs of items, and the share of permutations of items that do as well; None where there are too few, or for classes.
    why_not : why there is no prediction; empty where there is one.
    notes : sentences on the scores and what was left out.
    """

    measured: NDArray[np.float64] | NDArray[np.object_]
    n_rows: NDArray[np.int64]
    left_out: NDArray[np.object_] | NDArray[np.float32]
    predicted: NDArray[np.object_] | NDArray[np.float32]
    probability: NDArray[np.float32] | None = None
    score: float | None = None
    baseline: float | None = None
    likeness: float | None = None
    p: float | None = None
    why_not: str = ""
    notes: tuple[str, ...] = ()


def treatment_vectors(
    table: DataFrame,
    vectors: str = "morgan",
    column: str = "",
    *,
    fasta: str | Path | None = None,
    groups: str = "",
) -> Treatments:
    """Return one vector for each compound, sequence or other thing that was done to the rows of a table.

    Parameters
    ----------
    table : such as wells or a plate map.
    vectors : `morgan`, `descriptors` or `minimol` of SMILES; `words` (of 4 letters, both strands) of sequences; the
        folder of an encoder on disk (ChemBERTa, DNABERT); or a file of vectors (CSV, TSV, Parquet, `.h5ad`, or `.npy` with
        a text file of the same name that has one id a line), whose ids are those of the column.
    column : with SMILES, sequences, or the ids of a file; looked for if not given.
    fasta : FASTA or GenBank with the letters of sequences that the column names.
    groups : column of groups that `treatment_effects` leaves out as wholes; scaffolds or homologous families if not given.

    Returns
    -------
    Treatments
        `items` (each thing once), their `vectors` and `groups`, and `of_row`: the item of each row of the table.

    Raises
    ------
    ConditionsError
        If there is no such column, nothing in it can be read, or the vectors cannot be made; says what to do.
    """
    return made.treatments(table, vectors, column, fasta=fasta, groups=groups)


def treatment_effects(treated: Treatments, values: Sequence[object]) -> TreatmentEffects:
    """Set vectors of compounds or sequences beside what was measured: a head, scored on whole groups left out.

    Rows that were treated alike are averaged first: a compound is one unit, however many wells it has. Text is taken as
    classes; items whose rows differ in it are left out.

    Parameters
    ----------
    treated : from `treatment_vectors`.
    values : (n,) of each row of its table: numbers, or names of classes; NaN or "" where not known.

    Raises
    ------
    ConditionsError
        If the number of values is not that of the rows.
    """
    if len(values) != len(treated.of_row):
        raise ConditionsError(f"{len(values)} values for {len(treated.of_row)} rows; give one per row.")
    measured, n_rows, notes = _by_item(treated, values)
    known = _known(measured)
    none = np.zeros(0, np.float32)
    rho, p = _likeness(treated, measured, known)
    n_groups = len({treated.groups[i] for i in np.flatnonzero(known)})
    why_not = ""
    if known.sum() < LEAST_ITEMS or n_groups < LEAST_GROUPS:
        why_not = (
            f"{int(known.sum())} different entries of {treated.column} have a value, in {n_groups} groups "
            f"({treated.grouping}); a score that means something asks for {LEAST_ITEMS} in {LEAST_GROUPS} groups."
        )
    else:
        try:
            head = _head(treated, measured)
        except CellsError as error:
            why_not = str(error)
        else:
            return TreatmentEffects(
                measured, n_rows, head.left_out, head.predicted, head.probability, head.score, head.baseline,
                rho, p, "", (*head.notes, *notes),
            )  # fmt: skip
    return TreatmentEffects(
        measured, n_rows, none, none, likeness=rho, p=p, why_not=why_not, notes=tuple(notes)
    )


def vector_map(vectors: Vectors) -> NDArray[np.float32]:
    """Return two dimensions to look at: the first principal axes of standardised vectors.

    Parameters
    ----------
    vectors : (m, d), none of them NaN.

    Returns
    -------
    (m, 2) float32; zeros where there is nothing to tell apart.
    """
    scaled = Scaler.fit(vectors).apply(vectors)
    out = np.zeros((len(vectors), 2), np.float32)
    if len(vectors) > 1 and scaled.any():
        axes = Rotation.fit(scaled).axes[:, :2]
        out[:, : axes.shape[1]] = scaled @ axes
    return out


def _head(treated: Treatments, measured: NDArray[np.float64] | NDArray[np.object_]) -> FewLabels:
    return few_label_head(treated.vectors, measured.tolist(), treated.groups, treated.baseline)


def _by_item(
    treated: Treatments, values: Sequence[object]
) -> tuple[NDArray[np.float64] | NDArray[np.object_], NDArray[np.int64], list[str]]:
    """Return the mean, or the class, of each item's rows, the number of these, and what was left out."""
    m, rows = len(treated.items), treated.of_row
    try:
        numbers = np.array([np.nan if v is None or v == "" else float(str(v)) for v in values])
    except ValueError:
        return _classes(treated, values)
    used = (rows >= 0) & np.isfinite(numbers)
    count = np.bincount(rows[used], minlength=m)
    total = np.bincount(rows[used], numbers[used], minlength=m)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, total / count, np.nan), count.astype(np.int64), []


def _classes(
    treated: Treatments, values: Sequence[object]
) -> tuple[NDArray[np.object_], NDArray[np.int64], list[str]]:
    held: list[list[str]] = [[] for _ in treated.items]
    for item, value in zip(treated.of_row.tolist(), values, strict=True):
        name = "" if value is None or value != value else str(value).strip()
        if item >= 0 and name and name.lower() != "nan":
            held[item].append(name)
    mixed = [treated.items[i] for i, names in enumerate(held) if len(set(names)) > 1]
    out = np.array([names[0] if len(set(names)) == 1 else "" for names in held], object)
    counts = np.array([len(names) if len(set(names)) == 1 else 0 for names in held], np.int64)
    said = f"{len(mixed)} entries of {treated.column} are of several classes and left out: {', '.join(mixed[:4])}"
    return out, counts, [said + " ..." * (len(mixed) > 4)] if mixed else []


def _known(measured: NDArray[np.float64] | NDArray[np.object_]) -> NDArray[np.bool_]:
    return np.array([bool(v) if isinstance(v, str) else bool(np.isfinite(v)) for v in measured.tolist()])


def _likeness(
    treated: Treatments, measured: NDArray[np.float64] | NDArray[np.object_], known: NDArray[np.bool_]
) -> tuple[float | None, float | None]:
    """Return how nearness of vectors goes with likeness of numbers, and its p; None for classes or too few items."""
    from scipy.spatial.distance import pdist, squareform

    if measured.dtype.kind != "f" or known.sum() < LEAST or float(np.ptp(measured[known].astype(float))) <= 0:
        return None, None
    vectors = treated.vectors[known]
    if np.isin(vectors, (0, 1)).all():  # fingerprints
        far = squareform(1 - tanimoto(vectors, vectors), checks=False)
    else:
        far = pdist(Scaler.fit(treated.vectors).apply(vectors))
    effect = pdist(measured[known][:, None].astype(np.float64))
    if np.ptp(far) <= 0:
        return None, None
    draws = DRAWS if known.sum() <= MANY_ITEMS else DRAWS // 10
    rho, p, _ = compare_likeness(squareform(-far), squareform(effect), draws)
    return rho, p
