"""Conditions against the negative controls of their plates, and wells at the edge against those inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_biofm.conditions.profiles import Profiles, controls_of, plates_of
from napari_biofm.conditions.statistics import benjamini_hochberg
from napari_biofm.conditions.wells import plate_shape, position
from napari_biofm.types import ConditionsError

if TYPE_CHECKING:
    from pandas import DataFrame, Series


def hits(profiles: Profiles, by: Sequence[str], values: Sequence[str] = ()) -> DataFrame:
    """Return the difference of every condition from the negative controls, with p corrected for all comparisons.

    The unit is the well, never the cell; where the table has a `donor` (or `subject`) of several names, it is the
    donor: wells of a condition are averaged within the donor and set against the donor's own controls. Wells are
    compared by Student's t test with the spread of controls and treated wells together, donors by their paired
    differences. Values of each plate are taken relative to the mean of its controls.

    Parameters
    ----------
    profiles : of the wells; they need not be normalised.
    by : columns that make a condition.
    values : to compare; all if not given.

    Returns
    -------
    DataFrame
        The condition, `value`, `unit` (well, donor or subject), `n`, `n_controls`, `difference`, `low` and `high` (its
        95 % interval), `p`, `q` (Benjamini-Hochberg over all rows) and `hit` (`q <= 0.05`).
    """
    import pandas as pd

    table = profiles.table.reset_index(drop=True)
    missing = [c for c in (*by, *values) if c not in table]
    if missing or not by:
        raise ConditionsError(f"The table has no column {', '.join(missing) or 'that makes a condition'}.")
    control = controls_of(table)
    unit = next(
        (c for c in ("donor", "subject") if c in table and table[c].astype(str).nunique() > 1), "well"
    )
    rows: list[dict[str, object]] = []
    for value in values or profiles.values:
        within = [plates_of(table)] + ([table[unit]] if unit != "well" else [])
        centre = table[value].where(control).groupby([w.to_numpy() for w in within]).transform("mean")
        shifted = table[value] - centre
        for key, group in table[~control].groupby(list(by), sort=True, dropna=False):
            named = dict(zip(by, key if isinstance(key, tuple) else (key,), strict=True))
            if unit == "well":
                found = _against(shifted[group.index], shifted[control])
            else:
                found = _paired(shifted[group.index].groupby(table[unit]).mean())
            rows.append(named | {"value": value, "unit": unit} | found)
    out = pd.DataFrame(rows)
    out["q"] = benjamini_hochberg(out["p"])
    return out.assign(hit=out["q"] <= 0.05)


def _against(treated: Series, controls: Series) -> dict[str, float]:
    from scipy import stats

    a, b = (x.to_numpy(float)[np.isfinite(x.to_numpy(float))] for x in (treated, controls))
    out = {
        "n": len(a),
        "n_controls": len(b),
        "difference": np.nan,
        "low": np.nan,
        "high": np.nan,
        "p": np.nan,
    }
    if not len(a) or len(b) < 2:
        return out
    free = len(a) + len(b) - 2
    squares = ((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum()
    error = float(np.sqrt(squares / free * (1 / len(a) + 1 / len(b))))
    difference = float(a.mean() - b.mean())
    out["difference"] = difference
    if error > 0:
        reach = float(stats.t.ppf(0.975, free)) * error
        p = 2 * float(stats.t.sf(abs(difference) / error, free))
        out |= {"low": difference - reach, "high": difference + reach, "p": p}
    return out


def _paired(differences: Series) -> dict[str, float]:
    from scipy import stats

    a = differences.to_numpy(float)
    a = a[np.isfinite(a)]
    mean = float(a.mean()) if len(a) else np.nan
    out = {"n": len(a), "n_controls": len(a), "difference": mean, "low": np.nan, "high": np.nan, "p": np.nan}
    if len(a) > 1 and a.std() > 0:
        error = float(a.std(ddof=1) / np.sqrt(len(a)))
        reach = float(stats.t.ppf(0.975, len(a) - 1)) * error
        out |= {
            "low": mean - reach,
            "high": mean + reach,
            "p": 2 * float(stats.t.sf(abs(mean) / error, len(a) - 1)),
        }
    return out


def edge_wells(table: DataFrame) -> NDArray[np.bool_]:
    """Return which wells lie at the edge of their plate, whose size follows from its wells."""
    out = np.zeros(len(table), bool)
    plates = plates_of(table).to_numpy()
    for plate in set(plates):
        here = np.flatnonzero(plates == plate)
        names = [str(w) for w in table["well"].iloc[here]]
        rows, columns = plate_shape(names)
        for i, name in zip(here, names, strict=True):
            row, column = position(name)
            out[i] = row in (0, rows - 1) or column in (0, columns - 1)
    return out


def edge_effect(profiles: Profiles, by: Sequence[str] = (), values: Sequence[str] = ()) -> DataFrame:
    """Return how wells at the edge of each plate differ from wells inside that were treated alike.

    A line is fitted to each value with a level for every condition (least squares), so that treated wells tell as
    much as controls. Fractions of classes are compared as log odds.

    Parameters
    ----------
    profiles : of the wells.
    by : columns that make a condition; those of compound, dose, guide, genotype and construct that there are if not given.
    values : to compare; all if not given.

    Returns
    -------
    DataFrame
        `plate`, `value`, `scale` (linear or log odds), `n_edge`, `n_inner` (wells of conditions that lie on both
        sides), `difference`, `p`, `q` (Benjamini-Hochberg over all rows). p is empty where fewer than three
        wells lie on one side: the plate cannot tell.
    """
    import pandas as pd

    table = profiles.table.reset_index(drop=True)
    columns = list(by) or [c for c in ("compound", "dose", "guide", "genotype", "construct") if c in table]
    if not columns:
        raise ConditionsError("The table has no column that makes a condition, such as compound.")
    edge, plates = edge_wells(table), plates_of(table).to_numpy()
    condition = table.groupby(columns, dropna=False).ngroup().to_numpy()
    rows = []
    for plate in sorted(set(plates)):
        for value in values or profiles.values:
            scale = "log odds" if value.startswith("fraction_") else "linear"
            number = _scaled(table, value)
            here = (plates == plate) & np.isfinite(number)
            rows.append((plate, value, scale, *_edge_line(number[here], edge[here], condition[here])))
    names = ["plate", "value", "scale", "n_edge", "n_inner", "difference", "p"]
    out = pd.DataFrame(rows, columns=names)
    return out.assign(q=benjamini_hochberg(out["p"]))


def _scaled(table: DataFrame, value: str) -> NDArray[np.float64]:
    number = table[value].to_numpy(float)
    if not value.startswith("fraction_"):
        return number
    least = 0.5 / table["n_cells"].to_numpy(float)
    share = np.clip(number, least, 1 - least)
    return np.log(share / (1 - share))


def _edge_line(
    number: NDArray[np.float64], edge: NDArray[np.bool_], condition: NDArray[np.int64]
) -> tuple[int, int, float, float]:
    from scipy import stats

    outer = edge.astype(float)
    _, of = np.unique(condition, return_inverse=True)
    size = np.bincount(of)
    x = outer - (np.bincount(of, outer) / size)[of]
    y = number - (np.bincount(of, number) / size)[of]
    mixed = ((np.bincount(of, outer) > 0) & (np.bincount(of, outer) < size))[of]
    n_edge, n_inner = int((mixed & edge).sum()), int((mixed & ~edge).sum())
    free = len(number) - len(size) - 1
    if min(n_edge, n_inner) < 3 or free < 3:
        return n_edge, n_inner, np.nan, np.nan
    slope = float((x @ y) / (x @ x))
    error = float(np.sqrt(((y - slope * x) ** 2).sum() / free / (x @ x)))
    p = 2 * float(stats.t.sf(abs(slope) / error, free)) if error > 0 else np.nan
    return n_edge, n_inner, slope, p


def without_edge_effect(profiles: Profiles, by: Sequence[str] = (), values: Sequence[str] = ()) -> Profiles:
    """Return profiles with what edge wells differ by taken from them, where `edge_effect` finds it (q <= 0.05).

    What was changed is told in the notes. Call it before normalising; fractions stay between 0 and 1.

    Parameters
    ----------
    profiles : of the wells.
    by, values : as in `edge_effect`.
    """
    found = edge_effect(profiles, by, values)
    table = profiles.table.reset_index(drop=True).copy()
    edge, plates = edge_wells(table), plates_of(table).to_numpy()
    notes = list(profiles.notes)
    for row in found[found["q"] <= 0.05].itertuples():
        at = edge & (plates == row.plate)
        shifted = _scaled(table, row.value)[at] - row.difference
        table.loc[at, row.value] = 1 / (1 + np.exp(-shifted)) if row.scale == "log odds" else shifted
        where = f"plate {row.plate}: " if row.plate else ""
        notes.append(
            f"{where}{row.value} of edge wells was lowered by {row.difference:.3g} ({row.scale}; edge effect)"
        )
    return replace(profiles, table=table, notes=tuple(notes))
