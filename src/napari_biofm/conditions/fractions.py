"""Class fractions per condition, with intervals that take wells and donors as the units and never cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import ConditionsError

if TYPE_CHECKING:
    from pandas import DataFrame

DRAWS = 2000


def class_fractions(cells: DataFrame, classes: str, by: Sequence[str], seed: int = 0) -> DataFrame:
    """Return the fraction of each class per condition, with a 95 % interval.

    The fraction is the mean over wells (over donors of the mean over their wells, where there are several donors), so
    that a well with many cells does not count more. The interval comes from a bootstrap of wells (donors, then wells
    within them), with the quantile of Student's t that the number of units asks for: three wells give a wide one.

    Parameters
    ----------
    cells : one row per cell, with `well`, `plate` where there are several, `donor` or `subject` where known.
    classes : column with the class of each cell; empty and `unknown` are left out.
    by : columns that make a condition.
    seed : of the bootstrap.

    Returns
    -------
    DataFrame
        The condition, `class`, `fraction`, `low`, `high`, `unit`, `n_units`, `n_wells`, `n_cells`. `low` and `high` are
        empty where one unit is all there is. Where all units agree on 0 or 1, the interval is Wilson's, each unit a trial.
    """
    import pandas as pd

    missing = [c for c in (classes, "well", *by) if c not in cells]
    if missing or not by:
        raise ConditionsError(f"The table has no column {', '.join(missing) or 'that makes a condition'}.")
    given = cells[
        ~cells[classes].astype(str).isin(["", "nan", "unknown"]) & (cells["well"].astype(str) != "")
    ]
    if not len(given):
        raise ConditionsError(f"No cell in a well has a class in {classes}.")
    unit = next(
        (c for c in ("donor", "subject") if c in given and given[c].astype(str).nunique() > 1), "well"
    )
    names = sorted(set(given[classes].astype(str)))
    wells = [c for c in ("plate", "well") if c in given]
    rng = np.random.default_rng(seed)
    rows = []
    for key, group in given.groupby(list(by), sort=True, dropna=False):
        condition = dict(zip(by, key if isinstance(key, tuple) else (key,), strict=True))
        counted = [
            (str(one[unit].iloc[0]) if unit != "well" else str(i), one[classes].astype(str).to_numpy())
            for i, (_, one) in enumerate(group.groupby([*wells, *([unit] if unit != "well" else [])]))
        ]
        for name in names:
            units: dict[str, list[float]] = {}
            for owner, of_well in counted:
                units.setdefault(owner, []).append(float((of_well == name).mean()))
            fraction, low, high = _interval([np.array(v) for v in units.values()], rng)
            rows.append(condition | {
                "class": name, "fraction": fraction, "low": low, "high": high, "unit": unit,
                "n_units": len(units), "n_wells": len(counted), "n_cells": len(group),
            })  # fmt: skip
    return pd.DataFrame(rows)


def _interval(units: list[NDArray[np.float64]], rng: np.random.Generator) -> tuple[float, float, float]:
    from scipy import stats

    means = np.array([values.mean() for values in units])
    n, middle = len(units), float(means.mean())
    if n < 2:
        return middle, np.nan, np.nan
    chosen = rng.integers(0, n, (DRAWS, n))
    if all(len(values) == 1 for values in units):
        drawn = means[chosen].mean(axis=1)
    else:
        again = np.stack([v[rng.integers(0, len(v), (DRAWS, len(v)))].mean(axis=1) for v in units], axis=1)
        drawn = np.take_along_axis(again, chosen, axis=1).mean(axis=1)
    error = float(drawn.std()) * np.sqrt(n / (n - 1))
    if error < 1e-12:
        if 0 < middle < 1:
            return middle, middle, middle
        z = 1.959964
        centre, reach = (middle + z * z / (2 * n)) / (1 + z * z / n), z * z / (2 * n) / (1 + z * z / n)
        return middle, max(centre - reach, 0.0), min(centre + reach, 1.0)
    reach = float(stats.t.ppf(0.975, n - 1)) * error
    return middle, max(middle - reach, 0.0), min(middle + reach, 1.0)
