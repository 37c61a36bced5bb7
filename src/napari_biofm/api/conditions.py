"""What was done to a well: plate maps and what they are joined to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_biofm.conditions import joins, plates
from napari_biofm.conditions.dose_response import DoseFit, dose_responses
from napari_biofm.conditions.hits import without_edge_effect
from napari_biofm.conditions.joins import Join
from napari_biofm.conditions.plates import PlateMap
from napari_biofm.conditions.profiles import Normalisation, Profiles, normalised, well_profiles
from napari_biofm.types import ConditionsError

if TYPE_CHECKING:
    from pandas import DataFrame


def read_plate_map(path: str | Path, negative: str | None = None) -> PlateMap:
    """Read what was done to each well from CSV, TSV or XLSX, a row per well or a grid in the shape of the plate.

    Parameters
    ----------
    path : the file; docs/conditions.md lists its columns. Doses in several molar units are converted to uM.
    negative : the compound of the negative controls, where the file has no column for controls.

    Returns
    -------
    PlateMap
        `table` has one row per well, `notes` say what was converted, left out or is missing.

    Raises
    ------
    ConditionsError
        If a well or dose is none, or a well stands twice with different contents; file and row are named.
    """
    found = plates.read_plate_map(path)
    return found if negative is None else found.with_negative(negative)


def join_conditions(
    rows: DataFrame | Sequence[str | Path],
    plate_map: PlateMap | str | Path,
    pattern: str | None = None,
    column: str = "",
) -> tuple[DataFrame, Join]:
    """Give rows of cells, events or files what was done to their well.

    Parameters
    ----------
    rows : a table, found by its columns well and plate, or by the image or file that a row is of; or names of files.
    plate_map : the map, or its file.
    pattern : how names are made, such as `{plate}_{well}_s{site}`.
    column : of the table, which names the image or file; found if not given.

    Returns
    -------
    rows : DataFrame
        The rows with the columns of the map; empty where no well was found.
    join : Join
        What matched and what did not, and why; `join.preview()` says it in words.

    Raises
    ------
    ConditionsError
        If nothing fits, or the pattern cannot be used.
    """
    import pandas as pd

    known = plate_map if isinstance(plate_map, PlateMap) else read_plate_map(plate_map)
    if isinstance(rows, pd.DataFrame):
        return joins.with_conditions(rows, known, pattern, column)
    if isinstance(rows, (str, Path)):
        raise ConditionsError(f"{rows}: names are given as a list, rows as a table.")
    join = joins.join_names(known, rows, pattern)
    return join.table(), join


def profiles(
    cells: DataFrame,
    features: Sequence[str] = (),
    *,
    classes: str = "",
    normalise: Normalisation = "robust_z",
    min_cells: int = 10,
    correct_edges: bool = False,
) -> Profiles:
    """Turn cells into one row per well: medians, spreads, class fractions, set against the plate's controls.

    Parameters
    ----------
    cells : one row per cell with `well`, `plate`, `control` (see `join_conditions`).
    features : columns; all columns of numbers that describe a cell if not given.
    classes : column with the class of each cell, for fractions of each class.
    normalise : `robust_z`, `sphering` or `none`.
    min_cells : wells with fewer cells are left out, and told.
    correct_edges : take away what edge wells differ by from wells inside that were treated alike, where a test finds it.

    Returns
    -------
    Profiles
        `table` with a row per well, `values`, and `notes` on what was left out.

    Raises
    ------
    ConditionsError
        If a column is missing, or a plate has fewer than three wells of negative controls.
    """
    found = well_profiles(cells, features, classes=classes, min_cells=min_cells)
    if correct_edges:
        found = without_edge_effect(found)
    return normalised(found, normalise)


def dose_response(
    wells: DataFrame, values: Sequence[str], by: Sequence[str] = ("compound",)
) -> tuple[DataFrame, dict[tuple[str, ...], DoseFit]]:
    """Fit the four-parameter logistic to values of wells against the dose.

    Parameters
    ----------
    wells : one row per well with `dose`, `control` and the columns of `by`; controls stand at dose 0.
    values : columns to fit: a class fraction, a feature, an event rate, a current.
    by : columns that make one series of doses.

    Returns
    -------
    table : DataFrame
        EC50, Hill slope, top and bottom with 95 % intervals, and `reason` where the fit means nothing.
    fits : dict of DoseFit
        The curves by (series ..., value).

    Raises
    ------
    ConditionsError
        If a column is missing or one series has doses in units that differ.
    """
    return dose_responses(wells, values, by)
