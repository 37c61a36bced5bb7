"""Steps on the tables of a whole run: wells from cells, and tables for other programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from napari_biofm.batch.anndata_pieces import write_anndata
from napari_biofm.batch.jobs import OUTPUTS
from napari_biofm.files import atomic_write, plain_cell
from napari_biofm.types import BatchError, ConditionsError

if TYPE_CHECKING:
    from pandas import DataFrame

    from napari_biofm.conditions.profiles import Profiles

Parameters = Mapping[str, Any]
NOT_FEATURES = ("vector",)  # columns of cells that profiles do not read


def profiles(folder: Path, given: Parameters) -> list[str]:
    """Write `wells.parquet`, and hits, activity, fractions and dose-response curves where they can be told.

    Parameters
    ----------
    folder : of the run, with `cells.parquet`.
    given : the step's parameters.

    Returns
    -------
    What was left out or could not be told, in sentences.
    """
    from napari_biofm.conditions.hits import without_edge_effect
    from napari_biofm.conditions.profiles import normalised

    classes = given["classes"] or ("class" if "class" in _columns(folder) else "")
    found = _wells(folder, given, classes)
    if given["correct_edges"]:
        found = without_edge_effect(found)
    _write(folder, "wells", found.table)  # also where there are too few controls to normalise to
    found = normalised(found, given["normalise"])
    _write(folder, "wells", found.table)
    by = [name for name in given["by"] if name in found.table]
    notes = list(found.notes)
    for name, make in _questions(folder, given, classes, found, by):
        try:
            table = make()
        except ConditionsError as error:
            notes.append(f"{name}: {error}")
        else:
            _write(folder, name, table)
    return notes


def _questions(
    folder: Path, given: Parameters, classes: str, found: Profiles, by: list[str]
) -> Iterator[tuple[str, Callable[[], DataFrame]]]:
    """Yield what is asked of the wells: the table's name, and what makes it."""
    from napari_biofm.conditions.activity import activity
    from napari_biofm.conditions.dose_response import dose_responses
    from napari_biofm.conditions.fractions import class_fractions
    from napari_biofm.conditions.hits import hits

    if by:
        yield "hits", lambda: hits(found, by)
        if found.normalised:
            yield "activity", lambda: activity(found, by)
        if classes:
            kept = {"well", "plate", "donor", "subject", classes, *by} & set(_columns(folder))
            yield "fractions", lambda: class_fractions(_read(folder, sorted(kept)), classes, by)
    if given["dose"]:
        series = [name for name in by if name != "dose"] or ["compound"]
        yield "doses", lambda: dose_responses(found.table, given["dose"], series)[0]


def _columns(folder: Path) -> list[str]:
    import pyarrow.parquet as pq

    path = folder / "cells.parquet"
    if not path.is_file():
        raise BatchError("there is no table of cells, since no image gave one.")
    return list(pq.read_schema(path).names)


def _read(folder: Path, columns: list[str], plate: str | None = None) -> DataFrame:
    """Return columns of the cells, of one plate or of all; empty text where a file is of no well."""
    import pyarrow.parquet as pq

    chosen = None if plate is None else [("plate", "==", plate)]
    table = pq.read_table(folder / "cells.parquet", columns=columns, filters=chosen).to_pandas()
    for name in table.columns:
        if table[name].dtype.kind not in "biuf":
            table[name] = table[name].astype(object).where(table[name].notna(), "")
    return table


def _wells(folder: Path, given: Parameters, classes: str) -> Profiles:
    """Return the wells of all plates; one plate is read at a time."""
    import pandas as pd

    from napari_biofm.conditions.profiles import Profiles, well_profiles

    columns = [name for name in _columns(folder) if name not in NOT_FEATURES]
    if "well" not in columns:
        raise BatchError(
            "no cell has a well; give conditions = a plate map in [input], or a column well in files."
        )
    plates: list[str | None] = [None]
    if "plate" in columns:
        plates = sorted(set(_read(folder, ["plate"])["plate"].astype(str)) - {""})
    parts = []
    for plate in plates:
        cells = _read(folder, columns, plate)
        if given["negative"] is not None:
            cells = _with_negative(cells, given["negative"])
        parts.append(
            well_profiles(cells, given["features"] or (), classes=classes, min_cells=given["min_cells"])
        )
    values = tuple(dict.fromkeys(value for part in parts for value in part.values))
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    return Profiles(pd.concat([part.table for part in parts], ignore_index=True), values, notes)


def _with_negative(cells: DataFrame, name: str) -> DataFrame:
    if "compound" not in cells or not (cells["compound"].astype(str) == name).any():
        raise BatchError(f"no well has the compound {name!r} that should be the negative control.")
    control = cells["control"].astype(str) if "control" in cells else cells["compound"].map(lambda _: "")
    return cells.assign(control=control.mask(cells["compound"].astype(str) == name, "negative"))


def export(folder: Path, given: Parameters) -> list[str]:
    """Write the tables of the run as CSV, and cells as an AnnData zarr folder; a piece at a time.

    Parameters
    ----------
    folder : of the run.
    given : `tables`, names of formats.
    """
    notes: list[str] = []
    if "csv" in given["tables"]:
        for name in OUTPUTS:
            if (folder / f"{name}.parquet").is_file():
                write_table_csv(folder / f"{name}.parquet", folder / f"{name}.csv")
    if "anndata" in given["tables"] and (folder / "cells.parquet").is_file():
        write_anndata(folder / "cells.parquet", folder / "cells.zarr")
    return notes


def write_table_csv(source: Path, target: Path) -> None:
    """Write a table as CSV, a piece at a time; vectors are left to other formats, text like a formula is marked.

    Parameters
    ----------
    source : Parquet file of a run.
    target : the CSV, whole or absent.
    """
    import pyarrow.parquet as pq

    file = pq.ParquetFile(source)
    columns = [name for name in file.schema_arrow.names if name not in NOT_FEATURES]
    with atomic_write(target) as temporary, temporary.open("w", encoding="utf-8", newline="") as out:
        header = True
        for batch in file.iter_batches(columns=columns):
            rows = batch.to_pandas()
            for name in rows.columns:
                if rows[name].dtype.kind not in "biuf":
                    rows[name] = rows[name].astype(object).map(plain_cell)
            rows = rows.rename(columns=plain_cell)
            rows.to_csv(out, index=False, header=header, lineterminator="\n")
            header = False


def _write(folder: Path, name: str, table: DataFrame) -> None:
    with atomic_write(folder / f"{name}.parquet") as temporary:
        table.to_parquet(temporary, index=False)


RUN_ON_TABLES: Mapping[str, Callable[[Path, Parameters], list[str]]] = MappingProxyType(
    {"profiles": profiles, "export": export}
)
