"""What was done to a well: plate maps and what they are joined to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_biofm.conditions import joins, plates
from napari_biofm.conditions.joins import Join
from napari_biofm.conditions.plates import PlateMap
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
