"""Conditions of a plate: which of them differ from the controls, and at which dose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_biofm.analyses.description import Analysis, Column, Curve, Plot, Result, Source, option
from napari_biofm.types import BiofmError

if TYPE_CHECKING:
    from pandas import DataFrame

GROUP = "Wells"
LEAST_CELLS = 10  # as of `profiles`
MOST_CURVES = 8  # drawn


@dataclass(frozen=True)
class HitsParameters:
    """What is compared."""

    value: str = option("", "Column to compare; all values of the wells if not given.", role="column")
    by: str = option("compound,dose", "Columns that make a condition, with commas between.")
    least_cells: int = option(LEAST_CELLS, "Wells with fewer cells are left out.", low=0)
    alpha: float = option(0.05, "Share of false hits among the hits that is taken.", low=0, high=1)


@dataclass(frozen=True)
class DoseParameters:
    """What is fitted."""

    value: str = option("", "Column to fit against the dose.", role="column")
    by: str = option("compound", "Columns that make one series of doses, with commas between.")
    least_cells: int = option(LEAST_CELLS, "Wells with fewer cells are left out.", low=0)


def hits(source: Source, p: HitsParameters) -> Result:
    """Compare each condition with the negative controls of its plates, corrected for many comparisons."""
    from napari_biofm.conditions import hits as comparing
    from napari_biofm.conditions.profiles import Profiles

    table, notes = wells_with_cells(_wells(source), p.least_cells)
    by = [name for name in _names(p.by) if name in table]
    values = _names(p.value) or values_of(table)
    found = comparing.hits(Profiles(table, tuple(values)), by, values)
    found["hit"] = found["q"] <= p.alpha
    found = found.sort_values("q", kind="stable").reset_index(drop=True)
    columns = tuple(Column(str(name), found[name].to_numpy()) for name in found)
    plots = []
    for value in list(dict.fromkeys(found["value"]))[:3]:
        rows = found[found["value"] == value].sort_values(by, kind="stable").reset_index(drop=True)
        reach = ((rows["high"] - rows["low"]) / 2).to_numpy(float)
        curves = [
            Curve(
                rows.index[which].to_numpy(),
                rows["difference"][which].to_numpy(float),
                name,
                "points",
                error=reach[which],
            )
            for name, which in (("no hit", ~rows["hit"].to_numpy(bool)), ("hit", rows["hit"].to_numpy(bool)))
            if which.any()
        ]
        plots.append(Plot(f"Condition, by {', '.join(by)}", f"Difference of {value}", tuple(curves)))
    n = int(found["hit"].sum())
    told = [
        f"{' '.join(str(row[c]) for c in by)} ({row['value']})"
        for _, row in found[found["hit"]].head(6).iterrows()
    ]
    names = f": {', '.join(told)}{' ...' if n > 6 else ''}" if told else ""
    units = ", ".join(sorted(set(found["unit"].astype(str))))
    summary = f"{n} of {len(found)} comparisons are hits (q <= {p.alpha:g}, unit: {units}){names}."
    return Result(columns, tuple(plots), summary, tuple(notes))


def dose(source: Source, p: DoseParameters) -> Result:
    """Fit the four-parameter logistic to a value of wells against the dose."""
    from napari_biofm.conditions.dose_response import dose_responses, series

    table, said = wells_with_cells(_wells(source), p.least_cells)
    if not p.value:
        raise BiofmError(f"Choose the value that is fitted; there are {', '.join(values_of(table)[:12])}.")
    by = _names(p.by)
    found, fits = dose_responses(table, _names(p.value), by)
    columns = tuple(Column(str(name), found[name].to_numpy()) for name in found)
    curves: list[Curve] = []
    for (*key, value), fit in list(fits.items())[:MOST_CURVES]:
        x, y, _ = series(table, by, key, value)
        seen = x > 0
        curves.append(Curve(np.log10(x[seen]), y[seen], "", "points"))
        if fit.fitted and not fit.reason:
            line = np.linspace(np.log10(x[seen].min()) - 0.3, np.log10(x[seen].max()) + 0.3, 200)
            curves.append(Curve(line, fit(10**line), " ".join(key), like_former=True))
    units = sorted(set(found["dose_unit"].astype(str)) - {""})
    plot = Plot("log10 dose", p.value, tuple(curves), x_unit=" or ".join(units))
    good = found[found["reason"] == ""]
    told = [
        f"{' '.join(str(row[c]) for c in by)} {row['ec50']:.3g} {row['dose_unit']}".strip()
        for _, row in good.iterrows()
    ]
    notes = tuple(said) + tuple(
        f"{' '.join(str(row[c]) for c in by)}: no EC50, {row['reason']}"
        for _, row in found[found["reason"] != ""].iterrows()
    )
    return Result(columns, (plot,), f"EC50: {', '.join(told) or 'none'}.", notes)


def wells_with_cells(table: DataFrame, least: int) -> tuple[DataFrame, list[str]]:
    """Return wells with enough cells, and a sentence on the others; tables without numbers of cells stay as they are.

    Parameters
    ----------
    table : a row per well.
    least : cells.

    Raises
    ------
    BiofmError
        If no well has enough.
    """
    if "n_cells" not in table or least <= 0:
        return table, []
    enough = table["n_cells"] >= least
    if not enough.any():
        raise BiofmError(
            f"All wells have fewer than {least} cells (the most: {table['n_cells'].max():g}); ask for fewer with least_cells."
        )
    left = ", ".join(table["well"][~enough].astype(str)) if "well" in table else ""
    said = [f"{int((~enough).sum())} wells have fewer than {least} cells and are left out: {left}"]
    return table[enough].reset_index(drop=True), said if (~enough).any() else []


def values_of(table: DataFrame) -> list[str]:
    """Return the columns of numbers that say what the cells of a well do; `_mad`, `_z` and the map's own are left out.

    Parameters
    ----------
    table : a row per well.
    """
    from napari_biofm.conditions.profiles import DESCRIBING

    numbers = [str(c) for c in table.columns if table[c].dtype.kind in "iuf"]
    left_out = {*DESCRIBING, "well", "plate", "n_cells", "donor", "subject"}
    return [c for c in numbers if c not in left_out and not c.endswith(("_mad", "_z"))]


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _wells(source: Source) -> DataFrame:
    import pandas as pd

    table = pd.DataFrame({name: np.asarray(values) for name, values in source.the_table.items()})
    if "well" not in table:
        raise BiofmError(
            f"{source.name or 'The table'} has no column well: make wells with Profiles, or with `profiles`."
        )
    return table


def table_of(rows: DataFrame) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    """Return a table as analyses take it: numbers, and text without gaps.

    Parameters
    ----------
    rows : such as wells.
    """
    return {str(name): _plain(rows[name].tolist(), rows[name].dtype.kind) for name in rows}


def _plain(values: Sequence[object], kind: str) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    if kind in "iuf":
        return np.asarray(values, float)
    return np.array(["" if value is None or value != value else str(value) for value in values], str)


ANALYSES = (
    Analysis(
        "hits", "Conditions that differ from the controls", GROUP,
        "Each condition against the negative controls of its plates, corrected for many comparisons.", ("table",), hits,
        HitsParameters,
        "Wells (or donors, where there are several) were compared with the negative controls of their plates by Student's t "
        "test; p was corrected for all comparisons (Benjamini and Hochberg, J R Stat Soc B 57:289, 1995).",
    ),
    Analysis(
        "dose", "Dose and response", GROUP, "The four-parameter logistic, fitted to wells, with EC50 and intervals.",
        ("table",), dose, DoseParameters,
        "The four-parameter logistic was fitted to wells by least squares, weighted where their spread grows with the response; "
        "intervals are robust to uneven spread (HC3).", own_verb=True,
    ),
)  # fmt: skip
