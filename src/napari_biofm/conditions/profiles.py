"""Cells to wells: medians and spreads, set against the negative controls of the plate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_biofm.conditions.statistics import MAD_TO_SD, mad
from napari_biofm.types import ConditionsError

if TYPE_CHECKING:
    from pandas import DataFrame, Series

Normalisation = Literal["robust_z", "sphering", "none"]
NORMALISATIONS: tuple[Normalisation, ...] = ("robust_z", "sphering", "none")
MIN_CONTROLS = 3  # wells of negative controls a plate needs
DESCRIBING = (  # columns of numbers that say which cell it is or where it lies, not what it is like
    "label", "cell_id", "frame", "track", "dose", "row", "column", "replicate", "day", "touches_edge", "in_cell",
    "probability", "outlier", "mean_probability",
)  # fmt: skip


@dataclass(frozen=True)
class Profiles:
    """One row per well.

    Attributes
    ----------
    table : plate, well, what was done to it, `n_cells`, each value (median of the well's cells, or the fraction of a
        class), its `_mad`, and where it was normalised its `_z`.
    values : columns with values.
    notes : what was left out and why.
    """

    table: DataFrame
    values: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def normalised(self) -> list[str]:
        """The values that have a `_z`."""
        return [v for v in self.values if f"{v}_z" in self.table]


def well_profiles(
    cells: DataFrame,
    features: Sequence[str] = (),
    *,
    classes: str = "",
    min_cells: int = 10,
) -> Profiles:
    """Return the median and the median absolute deviation of every feature per well, and fractions of classes.

    Parameters
    ----------
    cells : one row per cell, with `well`, `plate` where there are several, and what was done to the wells.
    features : columns; all columns of numbers that describe a cell if not given.
    classes : column with the class of each cell; each gives a value `fraction_<class>`.
    min_cells : wells with fewer cells are left out, and told.

    Raises
    ------
    ConditionsError
        If there is no column `well`, a feature is not there or no well has enough cells.
    """
    import pandas as pd

    if "well" not in cells:
        raise ConditionsError("The table has no column well; join it to a plate map first.")
    named = cells[cells["well"].astype(str) != ""]
    notes = [f"{len(cells) - len(named)} rows belong to no well"] if len(named) < len(cells) else []
    keys = ["plate", "well"] if "plate" in named else ["well"]
    known = tuple(features) or _features(named, classes)
    missing = [f for f in (*known, *([classes] if classes else [])) if f not in named]
    if missing:
        raise ConditionsError(f"The table has no column {', '.join(missing)}.")
    not_numbers = [f for f in known if named[f].dtype.kind not in "biuf"]
    if not_numbers:
        raise ConditionsError(f"{', '.join(not_numbers)} holds text; features are numbers.")
    rows, few = [], []
    for key, group in named.groupby(keys, sort=True):
        row = dict(zip(keys, key, strict=True)) | {"n_cells": len(group)}
        if len(group) < min_cells:
            few.append(f"{' '.join(map(str, key))} ({len(group)})")
            continue
        rows.append(
            row
            | _constant(group, {*known, *keys, classes})
            | _values(group, known)
            | _shares(group, classes, named)
        )
    if few:
        notes.append(
            f"{len(few)} wells have fewer than {min_cells} cells and were left out: {', '.join(few)}"
        )
    if not rows:
        raise ConditionsError(f"No well has {min_cells} cells; {'; '.join(notes)}.")
    table = pd.DataFrame(rows)
    shares = [c for c in table.columns if c.startswith("fraction_") and c not in known]
    empty = [f for f in known if not np.isfinite(table[f]).any()]
    if empty:
        notes.append(f"without a value in any well: {', '.join(empty)}")
    return Profiles(table, tuple(f for f in known if f not in empty) + tuple(shares), tuple(notes))


def _features(cells: DataFrame, classes: str) -> tuple[str, ...]:
    out = []
    for name in map(str, cells.columns):
        place = name.startswith(("centroid", "probability_", "dose"))
        if cells[name].dtype.kind in "biuf" and name not in (*DESCRIBING, classes) and not place:
            out.append(name)
    if not out and not classes:
        raise ConditionsError("The table has no column of numbers that describes cells.")
    return tuple(out)


def _constant(group: DataFrame, without: set[str]) -> dict[str, object]:
    return {
        str(c): group[c].iloc[0]
        for c in group.columns
        if c not in without and group[c].nunique(dropna=False) == 1
    }


def _values(group: DataFrame, features: Sequence[str]) -> dict[str, float]:
    out: dict[str, float] = {}
    for name in features:
        values = group[name].to_numpy(float)
        values = values[np.isfinite(values)]
        out[name] = float(np.median(values)) if len(values) else float("nan")
        out[f"{name}_mad"] = mad(values)
    return out


def _shares(group: DataFrame, classes: str, cells: DataFrame) -> dict[str, float]:
    if not classes:
        return {}
    given = group[classes].astype(str)
    given = given[~given.isin(["", "nan", "unknown"])]
    names = sorted(set(cells[classes].astype(str)) - {"", "nan", "unknown"})
    return {f"fraction_{n}": float((given == n).mean()) if len(given) else float("nan") for n in names}


def controls_of(table: DataFrame) -> Series:
    """Return which wells are negative controls.

    Raises
    ------
    ConditionsError
        If a plate has fewer than three.
    """
    if "control" not in table:
        raise ConditionsError(
            "No well is a negative control: the plate map needs a column control, or --negative."
        )
    is_control = table["control"].astype(str) == "negative"
    plates = table["plate"] if "plate" in table else is_control.map(lambda _: "the plate")
    for plate, n in is_control.groupby(plates).sum().items():
        if n < MIN_CONTROLS:
            raise ConditionsError(
                f"Plate {plate} has {n} wells of negative controls with enough cells; {MIN_CONTROLS} are needed."
            )
    return is_control


def plates_of(table: DataFrame) -> Series:
    """Return the plate of every row; one name where the table has none."""
    import pandas as pd

    return table["plate"].astype(str) if "plate" in table else pd.Series("", index=table.index)


def normalised(profiles: Profiles, how: Normalisation = "robust_z") -> Profiles:
    """Add `_z` of every value: its distance from the median of the plate's negative controls, in robust spreads.

    Parameters
    ----------
    profiles : of the wells.
    how : `robust_z` divides by 1.4826 times the median absolute deviation of the controls; `sphering` also takes
        away what the controls have in common, so that their values are uncorrelated with variance 1.

    Raises
    ------
    ConditionsError
        If a plate has too few negative controls, or `how` is not known.
    """
    import pandas as pd

    if how not in NORMALISATIONS:
        raise ConditionsError(f"{how!r} is no normalisation; use {', '.join(NORMALISATIONS)}.")
    if how == "none":
        return profiles
    table = profiles.table
    control, plates = controls_of(table), plates_of(table)
    z = pd.DataFrame(index=table.index, columns=list(profiles.values), dtype=float)
    for plate in plates.unique():
        here = plates == plate
        for name in profiles.values:
            of_controls = table.loc[here & control, name].to_numpy(float)
            spread = MAD_TO_SD * mad(of_controls)
            middle = np.nanmedian(of_controls) if np.isfinite(of_controls).any() else np.nan
            z.loc[here, name] = (table.loc[here, name] - middle) / (
                spread if spread > 1e-12 * max(abs(middle), 1e-300) else np.nan
            )
    gone = [name for name in profiles.values if not np.isfinite(z[name]).all()]
    kept = [name for name in profiles.values if name not in gone]
    notes = list(profiles.notes)
    if gone:
        notes.append(
            f"not normalised, since controls of a plate do not vary or a value is missing: {', '.join(gone)}"
        )
    if how == "sphering" and kept:
        z[kept] = _sphered(z[kept].to_numpy(float), control.to_numpy(bool))
    out = pd.concat([table, z[kept].add_suffix("_z")], axis=1)
    return replace(profiles, table=out, notes=tuple(notes))


def _sphered(
    z: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    control: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """ZCA whitening with the shrunk covariance of the controls (Ledoit and Wolf, J Multivar Anal 88:365, 2004)."""
    from sklearn.covariance import LedoitWolf

    fitted = LedoitWolf().fit(z[control])
    values, vectors = np.linalg.eigh(fitted.covariance_)
    whiten = vectors @ np.diag(1 / np.sqrt(np.maximum(values, 1e-6 * values.max()))) @ vectors.T
    return (z - fitted.location_) @ whiten
