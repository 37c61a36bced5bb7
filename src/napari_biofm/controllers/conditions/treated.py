"""Wells joined with what was done to them, and what vectors of this told of each well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

from napari_biofm.analyses.description import Result, Table
from napari_biofm.analyses.wells import table_of
from napari_biofm.conditions.plates import PlateMap

if TYPE_CHECKING:
    from pandas import DataFrame

SHOWN = ("group", "map_1", "map_2", "predicted", "predicted_left_out", "probability")  # in the grid


class TreatedWells:
    """What analyses of vectors work on, and what they gave last.

    Attributes
    ----------
    found : a row per well with the columns of `SHOWN` that there are; None before, and when the wells changed since.
    """

    table_changed = Signal(str, dict)  # name, columns

    def __init__(self) -> None:
        self.found: DataFrame | None = None

    def use(self, wells: DataFrame | None, plate_map: PlateMap | None) -> None:
        """Offer the wells with the columns of their map; the map alone where nothing was measured.

        Parameters
        ----------
        wells : a row per well with its values.
        plate_map : what was done to them; it may have been typed since the wells were made.
        """
        self.found = None
        table = joined(wells, None if plate_map is None else plate_map.table)
        if table is not None:
            self.table_changed.emit("the plate map" if wells is None else "the wells", table_of(table))

    def put(self, result: Result) -> None:
        """Keep what an analysis of vectors told of each well."""
        import pandas as pd

        rows: Table = result.table
        names = [name for name in ("plate", "well", *SHOWN) if name in rows]
        self.found = pd.DataFrame({name: rows[name] for name in names}) if "well" in rows else None

    @property
    def columns(self) -> list[str]:
        """The columns that the grid can show."""
        return [] if self.found is None else [name for name in SHOWN if name in self.found]


def joined(wells: DataFrame | None, plate_map: DataFrame | None) -> DataFrame | None:
    """Return measured wells with the columns of the map, and the wells of the map that were not measured.

    Parameters
    ----------
    wells, plate_map : a row per well; None where there is none.
    """
    if wells is None or plate_map is None or "well" not in plate_map or "well" not in wells:
        return plate_map if wells is None else wells
    keys = ["plate", "well"] if "plate" in wells and "plate" in plate_map else ["well"]
    told = [name for name in plate_map if name not in ("plate", "well", "file")]
    left = wells.drop(columns=[name for name in told if name in wells])
    right = plate_map.drop_duplicates(keys)[[*keys, *told]]
    if "plate" in left and "plate" not in keys and left["plate"].nunique() > 1:
        return left.merge(right, on=keys, how="left")  # which plate a well without cells is on is not known
    return left.merge(right, on=keys, how="outer")
