"""Vectors of what was done to wells, beside what was measured in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from napari_biofm.analyses.description import Analysis, Column, Curve, Plot, Result, Source, option
from napari_biofm.analyses.wells import GROUP, LEAST_CELLS, wells_with_cells

if TYPE_CHECKING:
    from pandas import DataFrame

    from napari_biofm.api.treatments import TreatmentEffects
    from napari_biofm.conditions.treatments import Treatments

NAME = "treatments"
THIRDS = ("low", "middle", "high")
MOST_CLASSES = 6  # drawn each in a colour
TOLD = ("plate", "well", "compound", "dose", "dose_unit", "control", "n_cells")


@dataclass(frozen=True)
class TreatmentParameters:
    """Which vectors, and what they are set beside."""

    vectors: str = option(
        "morgan",
        "morgan, descriptors or minimol of SMILES, words of sequences, the folder of an encoder, or a file of vectors.",
        role="vectors",
    )
    column: str = option(
        "", "Column with SMILES, sequences, or ids of a file; looked for if not given.", role="column"
    )
    fasta: str = option("", "FASTA or GenBank with the sequences that the column names.", role="file")
    value: str = option(
        "", "Measured column to predict: numbers or classes; none if not given.", role="column"
    )
    doses: Literal["highest", "all"] = option(
        "highest", "Wells that count: the highest dose of each compound, or all doses."
    )
    groups: str = option(
        "",
        "Column of groups left out as wholes for the score; scaffolds or homologous families if not given.",
        role="column",
    )
    least_cells: int = option(LEAST_CELLS, "Wells with fewer cells are left out.", low=0)
    with_vectors: bool = option(False, "The numbers of the vectors stand in the table, too.")


def treatments(source: Source, p: TreatmentParameters) -> Result:
    """Make vectors of what was done to each row, and set them beside a measured value."""
    import pandas as pd

    from napari_biofm.api.treatments import treatment_effects, treatment_vectors, vector_map

    table = pd.DataFrame({name: np.asarray(values) for name, values in source.the_table.items()})
    few, said = _few_cells(table, p.least_cells if p.value else 0)
    treated = treatment_vectors(table, p.vectors, p.column, fasta=p.fasta or None, groups=p.groups)
    there = treated.of_row >= 0
    at = treated.of_row[there]
    places = vector_map(treated.vectors)
    out = {name: table[name].to_numpy()[there] for name in TOLD if name in table}
    out[treated.column] = table[treated.column].to_numpy()[there]
    out["group"] = np.array(treated.groups, str)[at]
    out["map_1"], out["map_2"] = places[at, 0], places[at, 1]
    summary = (
        f"{p.vectors}: {treated.vectors.shape[1]} numbers for {len(treated.items)} different entries of {treated.column} "
        f"({len(set(treated.groups))} groups: {treated.grouping}), in {int(there.sum())} of {len(table)} rows."
    )
    notes = [*said, *treated.notes]
    plots = [_map(places, [])]
    if p.value:
        values = source.column(p.value).tolist()
        effects = treatment_effects(treated, _counted(table, treated, values, few, p.doses))
        out[p.value] = source.column(p.value)[there]
        if not effects.why_not:
            out["predicted"] = np.asarray(effects.predicted)[at]
            out["predicted_left_out"] = np.asarray(effects.left_out)[at]
            if effects.probability is not None:
                out["probability"] = effects.probability[at]
        summary = f"{summary} {_told(effects, p.value, treated.baseline_name)}"
        notes += effects.notes[0 if effects.why_not else 1 :]
        plots = [*_beside(effects, p.value, treated), _map(places, _coloured(effects, places), p.value)]
    if p.with_vectors:
        out |= {name: treated.vectors[at, i] for i, name in enumerate(treated.columns)}
    columns = tuple(
        Column(name, _plain(values), meaning=MEANINGS.get(name, "")) for name, values in out.items()
    )
    return Result(columns, tuple(plots), summary, tuple(notes))


def _few_cells(table: DataFrame, least: int) -> tuple[NDArray[np.bool_], list[str]]:
    """Return which rows have fewer cells than `least`, and a sentence on them; rows without a number of cells have not."""
    few = np.zeros(len(table), bool)
    if least <= 0 or "n_cells" not in table or not table["n_cells"].notna().any():
        return few, []
    counted = table[table["n_cells"].notna()]
    _, said = wells_with_cells(counted, least)
    few[table["n_cells"].notna()] = (counted["n_cells"] < least).to_numpy()
    return few, said


def _counted(
    table: DataFrame, treated: Treatments, values: list[object], few: NDArray[np.bool_], doses: str
) -> list[object]:
    """Return the values of the rows that count; None for negative controls, few cells and, if asked for, lower doses."""
    counts = treated.of_row >= 0
    if "control" in table:
        counts &= table["control"].astype(str).to_numpy() != "negative"
    if doses == "highest" and "dose" in table and table["dose"].dtype.kind in "if":
        dose = np.where(np.isfinite(table["dose"]), table["dose"], -np.inf)
        top = np.full(len(treated.items), -np.inf)
        np.maximum.at(top, treated.of_row[counts], dose[counts])
        counts[counts] = dose[counts] >= top[treated.of_row[counts]]
    return [value if kept else None for value, kept in zip(values, counts & ~few, strict=True)]


def _told(effects: TreatmentEffects, value: str, plain: str) -> str:
    """Return what the vectors tell of a value, in a sentence or two."""
    said = []
    if effects.why_not:
        said.append(f"No prediction of {value}: {effects.why_not}")
    elif effects.score is not None:
        said.append(f"{value}: {effects.notes[0].replace('baseline', plain or 'baseline')}.")
    if effects.likeness is not None and effects.p is not None:
        said.append(
            f"Near vectors go with like values: rank correlation {effects.likeness:.2f} (p {effects.p:.2g} by permutation)."
        )
    return " ".join(said)


def _beside(effects: TreatmentEffects, value: str, treated: Treatments) -> list[Plot]:
    """Return measured against predicted numbers, each predicted while its group was left out."""
    if effects.why_not or effects.probability is not None:
        return []
    x, y = np.asarray(effects.measured, float), np.asarray(effects.left_out, float)
    good = np.isfinite(x) & np.isfinite(y)
    ends = np.array([x[good].min(), x[good].max()])
    curves = (Curve(ends, ends, "", faint=True), Curve(x[good], y[good], "", "points"))
    return [
        Plot(
            f"{value}, measured",
            "Predicted",
            curves,
            title=f"Each {treated.grouping} predicted while left out",
        )
    ]


def _map(places: NDArray[np.float32], curves: list[Curve], value: str = "") -> Plot:
    title = f"Map of the vectors{f', by {value}' if value and curves else ''}"
    every = curves or [Curve(places[:, 0], places[:, 1], "", "points")]
    return Plot("First axis", "Second axis", tuple(every), title=title)


def _coloured(effects: TreatmentEffects, places: NDArray[np.float32]) -> list[Curve]:
    """Return the points of the map by class, or by thirds of a number; those without a value faint."""
    measured = effects.measured.tolist()
    if effects.measured.dtype.kind == "f":
        numbers = np.asarray(effects.measured, float)
        cuts = np.nanquantile(numbers, [1 / 3, 2 / 3]) if np.isfinite(numbers).any() else [0, 0]
        names = ["" if v != v else THIRDS[int(np.searchsorted(cuts, v, "right"))] for v in measured]
        order: list[str] = [name for name in THIRDS if name in names]
    else:
        names = [str(name) for name in measured]
        order = sorted(set(names) - {""})[:MOST_CLASSES]
    kind = np.array(names, str)
    rest = ~np.isin(kind, order)
    faint = [Curve(places[rest, 0], places[rest, 1], "", "points", faint=True)] if rest.any() else []
    return faint + [Curve(places[kind == name, 0], places[kind == name, 1], name, "points") for name in order]


def _plain(values: NDArray[np.generic]) -> NDArray[np.generic]:
    return values if values.dtype.kind in "biuf" else np.array([str(v) for v in values.tolist()], str)


MEANINGS = {
    "group": "What is left out as a whole for the score: Murcko scaffold, homologous family, or the column that was named.",
    "map_1": "First principal axis of the standardised vectors.",
    "map_2": "Second principal axis of the standardised vectors.",
    "predicted": "By a head that learned from all entries with a value.",
    "predicted_left_out": "Predicted while the whole group of the entry was left out; the score is of these.",
    "probability": "Of the predicted class.",
}
ANALYSES = (
    Analysis(
        NAME, "Vectors of compounds and sequences", GROUP,
        "Compounds, sequences or other things that were done to wells as vectors, beside a measured value.", ("table",),
        treatments, TreatmentParameters,
        "Wells that were treated alike were averaged. A ridge regression (numbers) or logistic regression (classes) on the "
        "vectors of what was done to them was scored on whole groups left out.",
    ),
)  # fmt: skip
