"""Rows of text from CSV, TSV and XLSX files, and grids in the shape of a plate."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from napari_biofm.conditions.wells import row_number, well_name
from napari_biofm.files import read_cell
from napari_biofm.types import ConditionsError

MAX_BYTES = 64 << 20  # a map of a thousand plates is far smaller


@dataclass(frozen=True)
class Sheet:
    """Rows of text. `numbers` are the lines in the file, counted from 1, as a spreadsheet counts them."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...]
    notes: tuple[str, ...] = ()


def read_sheet(
    path: Path, what: str = "plate map", *, largest: int = MAX_BYTES, comments: bool = True
) -> Sheet:
    """Read a table as text: the first line that is not empty names the columns.

    Parameters
    ----------
    path : CSV, TSV or XLSX.
    what : it should be, for messages.
    largest : size of the file in bytes that is still read.
    comments : whether lines that begin with # are left out.

    Raises
    ------
    ConditionsError
        If the file is of another kind, is too large, or holds no row.
    """
    ending = path.suffix.lower()
    if not path.is_file():
        raise ConditionsError(f"{path} does not exist.")
    if path.stat().st_size > largest:
        raise ConditionsError(f"{path.name} is larger than {largest >> 20} MB; that is no {what}.")
    if ending in (".xlsx", ".xlsm"):
        lines, notes = _excel(path)
    elif ending in (".csv", ".tsv", ".txt", ".tab"):
        lines, notes = _text(path, what, comments), []
    else:
        raise ConditionsError(f"{path.name}: {what}s are read from .csv, .tsv and .xlsx.")
    filled = [
        (i, line)
        for i, line in enumerate(lines, 1)
        if any(c.strip() for c in line) and not (comments and line[0].lstrip().startswith("#"))
    ]
    if len(filled) < 2:
        raise ConditionsError(f"{path.name}: there is no row below the names of the columns.")
    width = len(filled[0][1])
    for i, line in filled[1:]:
        if len(line) > width and any(cell.strip() for cell in line[width:]):
            raise ConditionsError(
                f"{path.name}, row {i}: {len(line)} cells, but {width} columns are named; "
                "a comma inside a cell needs quotes."
            )
    rows = [(i, tuple((list(line) + [""] * width)[:width])) for i, line in filled[1:]]
    return Sheet(tuple(filled[0][1]), tuple(r for _, r in rows), tuple(i for i, _ in rows), tuple(notes))


def unrolled(sheet: Sheet, name: str) -> Sheet | None:
    """Return a grid in the shape of a plate as a table with the columns well and `name`; None if it is no grid."""
    columns = [cell.strip().removesuffix(".0") for cell in sheet.header[1:]]
    while columns and not columns[-1]:
        columns.pop()
    letters = [row[0].strip() for row in sheet.rows]
    is_grid = len(columns) > 1 and columns == [str(i + 1) for i in range(len(columns))]
    if not is_grid or any(row_number(letter) < 0 for letter in letters) or len(set(letters)) < len(letters):
        return None
    rows, numbers = [], []
    for row, number in zip(sheet.rows, sheet.numbers, strict=True):
        for i, cell in enumerate(row[1 : len(columns) + 1]):
            if cell.strip():
                rows.append((well_name(row_number(row[0].strip()), i), cell))
                numbers.append(number)
    return Sheet(("well", name), tuple(rows), tuple(numbers), sheet.notes)


def _text(path: Path, what: str, comments: bool) -> list[list[str]]:
    raw = path.read_bytes()
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = raw.decode("utf-16", "replace")
    else:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = raw.decode("cp1252", "replace")  # what spreadsheets of Windows write
    if "\0" in text:
        raise ConditionsError(f"{path.name} is no text; save the {what} as CSV or XLSX.")
    filled = (line for line in text.splitlines() if line.strip())
    first = next((line for line in filled if not (comments and line.startswith("#"))), "")
    mark = max(("\t", ";", ","), key=first.count)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=mark))
    except csv.Error as error:
        raise ConditionsError(f"{path.name}: {error}.") from error
    return [[read_cell(cell) for cell in line] or [""] for line in lines]


def _excel(path: Path) -> tuple[list[list[str]], list[str]]:
    try:
        import openpyxl
    except ImportError as error:
        raise ConditionsError(
            f"{path.name}: reading .xlsx needs openpyxl (pip install napari-biofm[plates]), or save it as CSV."
        ) from error
    import zipfile

    try:
        with zipfile.ZipFile(path) as packed:
            if sum(entry.file_size for entry in packed.infolist()) > 8 * MAX_BYTES:
                raise ConditionsError(f"{path.name} unpacks to more than {8 * MAX_BYTES >> 20} MB.")
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except ConditionsError:
        raise
    except Exception as error:  # openpyxl passes on whatever its parsers raise
        raise ConditionsError(f"{path.name} cannot be read as .xlsx ({error}).") from error
    try:
        sheet = book.worksheets[0]
        lines = [["" if cell is None else _plain(cell) for cell in row] for row in sheet.values]
        others = [one.title for one in book.worksheets[1:]]
    finally:
        book.close()
    notes = [f"{path.name}: sheet {sheet.title!r} was read, not {', '.join(others)}"] if others else []
    return [line or [""] for line in lines], notes


def _plain(cell: object) -> str:
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return str(cell)
