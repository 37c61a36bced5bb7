"""Plate maps: a row per well (or file, or subject) with what was done to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_biofm.conditions.doses import Dose, one_unit, plain_unit, read_dose
from napari_biofm.conditions.sheets import Sheet, read_sheet, unrolled
from napari_biofm.conditions.wells import plain_well, well_name
from napari_biofm.types import ConditionsError

if TYPE_CHECKING:
    from pandas import DataFrame

KEYS = ("well", "file", "subject")  # what a row may be found by
SPELLINGS = {  # names of columns as other programs write them, without case, spaces and marks
    "well": ("wellid", "wellname", "wellposition", "position", "metadatawell"),
    "plate": ("plateid", "platename", "barcode", "platebarcode", "assayplatebarcode", "metadataplate"),
    "file": ("filename", "image", "stem", "imagename"),
    "compound": ("compoundname", "compoundid", "drug", "treatment", "substance", "metadatacompound"),
    "smiles": ("canonicalsmiles", "isomericsmiles"),
    "dose": ("concentration", "conc", "dosage"),
    "dose_unit": ("unit", "units", "doseunits", "concentrationunit", "concunit", "concentrationunits"),
    "control": ("controltype", "role", "welltype"),
    "subject": ("subjectid", "patient", "animal"),
    "replicate": ("rep",),
}
NEGATIVE = ("negative", "neg", "negcon", "negativecontrol", "negcontrol", "vehicle", "untreated", "dmso")
POSITIVE = ("positive", "pos", "poscon", "positivecontrol", "poscontrol")


@dataclass(frozen=True)
class PlateMap:
    """What was done to each well.

    Attributes
    ----------
    table : one row per well; `plate` and `well` (as `A01`) stand first, `dose` is a number (NaN for none) with its
        `dose_unit`, `control` is `negative`, `positive` or empty; all other columns are text.
    name : of the file.
    notes : what was converted, left out or may be meant otherwise.
    """

    table: DataFrame
    name: str = ""
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """The columns that say what was done, without plate, well and file."""
        return [c for c in self.table.columns if c not in ("plate", "well", "file")]

    def with_negative(self, compound: str) -> PlateMap:
        """Return the map with every well of this compound as negative control.

        Raises
        ------
        ConditionsError
            If no well has it.
        """
        if "compound" not in self.table or not (self.table["compound"] == compound).any():
            known = sorted(set(self.table.get("compound", [])) - {""})
            raise ConditionsError(
                f"{self.name}: no well holds {compound!r}; there are {', '.join(known[:12])}."
            )
        control = self.table.get("control", "")
        table = self.table.assign(control=control)
        table.loc[table["compound"] == compound, "control"] = "negative"
        return replace(
            self, table=table, notes=tuple(n for n in self.notes if "no negative control" not in n)
        )


def read_plate_map(path: str | Path) -> PlateMap:
    """Read a plate map: CSV, TSV or XLSX with a row per well, or a grid in the shape of the plate.

    Parameters
    ----------
    path : the file. Columns are found by name, however it is spelt (`Well ID`, `concentration (nM)`); row and column
        of the plate may stand in two columns. Every other column is kept as text.

    Raises
    ------
    ConditionsError
        If the file cannot be read, a well or a dose is none, or a well stands twice with different contents.
    """
    path = Path(path)
    sheet = read_sheet(path)
    return plate_map(unrolled(sheet, "compound") or sheet, path.name)


def plate_map(sheet: Sheet, name: str) -> PlateMap:
    """Return the plate map that a sheet of text holds; raises as `read_plate_map`."""
    import pandas as pd

    names, header_unit = _names(sheet.header, name)
    columns = {column: [row[i].strip() for row in sheet.rows] for i, column in enumerate(names) if column}
    notes = list(sheet.notes)
    if "well" not in columns and {"row", "column"} <= set(columns):
        columns = {"well": _from_rows(columns.pop("row"), columns.pop("column"), sheet, name), **columns}
    if not set(KEYS) & set(columns):
        raise ConditionsError(
            f"{name}: there is no column well (or row and column, file, subject); it has {', '.join(sheet.header)}."
        )
    if "well" in columns:
        columns["well"] = _each(plain_well, columns["well"], sheet, name)
    if "dose" in columns:
        notes += _doses(columns, header_unit, sheet, name)
    if "control" in columns:
        notes += _controls(columns)
    table = pd.DataFrame(columns)
    first = [c for c in ("plate", "well") if c in table]
    table = table[first + [c for c in table.columns if c not in first]]
    table, told = _without_repeats(table, sheet.numbers, name)
    notes += told
    if "control" not in table or not (table["control"] == "negative").any():
        notes.append(
            "there is no negative control: name a compound as one, or write `negative` in a column control"
        )
    return PlateMap(table, name, tuple(notes))


def _names(header: Sequence[str], name: str) -> tuple[list[str], str]:
    out: list[str] = []
    unit = ""
    for cell in header:
        text, in_name = cell.strip(), ""
        found = re.fullmatch(r"(.*?)[\s_]*[\(\[]([^\)\]]*)[\)\]]", text) or re.fullmatch(
            r"((?i:dose|conc|concentration))_(\w+)", text
        )
        if (
            found
            and _plain(found[1]) in ("dose", *SPELLINGS["dose"])
            and _plain(found[2]) not in ("unit", "units")
        ):
            text, in_name = found[1], plain_unit(found[2])
        key = _plain(text)
        column = next((c for c, other in SPELLINGS.items() if key == _plain(c) or key in other), "")
        if not column:
            column = key if key in ("row", "column") else "column" if key == "col" else text
        if column == "dose":
            unit = in_name
        if column and column in out:
            raise ConditionsError(f"{name}: two columns mean {column}: name one of them differently.")
        out.append(column)
    return out, unit


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _each(function, values: Sequence[str], sheet: Sheet, name: str) -> list:  # type: ignore[no-untyped-def, type-arg]  # of any kind
    out = []
    for number, value in zip(sheet.numbers, values, strict=True):
        try:
            out.append(function(value))
        except ConditionsError as error:
            raise ConditionsError(f"{name}, row {number}: {error}") from error
    return out


def _from_rows(rows: Sequence[str], columns: Sequence[str], sheet: Sheet, name: str) -> list[str]:
    def well(text: str) -> str:
        row, column = text.split("\t")
        if row.isdigit() and column.isdigit() and 1 <= int(row) <= 32 and int(column) > 0:
            return well_name(int(row) - 1, int(column) - 1)
        return row + column

    return _each(well, [f"{r}\t{c}" for r, c in zip(rows, columns, strict=True)], sheet, name)


def _doses(columns: dict[str, list], header_unit: str, sheet: Sheet, name: str) -> list[str]:  # type: ignore[type-arg]  # of text and numbers
    doses: list[Dose] = _each(read_dose, columns["dose"], sheet, name)
    units: list[str] = _each(plain_unit, columns.get("dose_unit", [""] * len(doses)), sheet, name)
    for i, (dose, unit) in enumerate(zip(doses, units, strict=True)):
        said = unit or header_unit
        if dose.unit and said and dose.unit != said and unit:
            raise ConditionsError(
                f"{name}, row {sheet.numbers[i]}: the dose says {dose.unit}, its column of units {unit}."
            )
        doses[i] = Dose(dose.value, dose.unit or said)
    try:
        doses, told = one_unit(doses)
    except ConditionsError as error:
        raise ConditionsError(f"{name}: {error}") from error
    columns["dose"] = [dose.value for dose in doses]
    columns["dose_unit"] = [dose.unit if dose.value == dose.value else "" for dose in doses]
    kinds: dict[str, set[str]] = {}
    for compound, dose in zip(columns.get("compound", []), doses, strict=False):
        if compound and dose.unit and dose.value > 0:
            kinds.setdefault(compound, set()).add(dose.unit)
    for compound, several in kinds.items():
        if len(several) > 1:
            raise ConditionsError(
                f"{name}: doses of {compound} are in {' and '.join(sorted(several))}, which cannot be converted "
                "into each other; give one of them."
            )
    if not any(dose.unit for dose in doses) and any(dose.value > 0 for dose in doses):
        told.append("doses have no unit: name it in the column, as `dose (uM)`")
    return told


def _controls(columns: dict[str, list]) -> list[str]:  # type: ignore[type-arg]  # of text and numbers
    told: list[str] = []
    unclear: set[str] = set()
    out = []
    for text in columns["control"]:
        word = _plain(text)
        out.append("negative" if word in NEGATIVE else "positive" if word in POSITIVE else "")
        if word in ("yes", "true", "1", "control", "ctrl", "y"):
            unclear.add(text)
    if unclear:
        told.append(
            f"control says {', '.join(sorted(unclear))}, which may be negative or positive: write one of the two"
        )
    columns["control"] = out
    return told


def _without_repeats(table: DataFrame, numbers: Sequence[int], name: str) -> tuple[DataFrame, list[str]]:
    keys = [c for c in ("plate", "well", "file") if c in table] or ["subject"]
    again = table.duplicated(keys, keep="first")
    if not again.any():
        return table, []
    same = table.astype(str).duplicated(keep="first")
    for i in again[again & ~same].index:
        here = table.index[(table[keys] == table.loc[i, keys]).all(axis=1)]
        differing = [c for c in table.columns if table.loc[here, c].astype(str).nunique() > 1]
        what = " ".join(f"{key} {table.loc[i, key]}" for key in keys)
        raise ConditionsError(
            f"{name}: {what} stands in rows {', '.join(str(numbers[j]) for j in here)} with different "
            f"{', '.join(differing)}; a well is described once."
        )
    repeated = ", ".join(str(numbers[i]) for i in again[again].index[:8])
    return table[~again].reset_index(drop=True), [
        f"{int(again.sum())} rows repeat others and were left out: {repeated}"
    ]
