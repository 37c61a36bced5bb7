"""Event tables as files: the CSV of the command line, and what the presets mean."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from napari_biofm.files import CsvWriter, opened_csv, read_cell
from napari_biofm.types import EVENT_DTYPE, MEASURED_DTYPE, Events, RecordingError, no_events

COLUMNS = ("sweep", "channel", "time_s", "class", "score", "amplitude", "unit", "rise_s", "decay_s")
NOT_EVENTS = ("artefact", "rejected")
_FORMATS = {"time_s": "{:.7f}", "score": "{:.4f}"}


def as_dtype(events: Events, dtype: np.dtype[np.void]) -> Events:
    """Return a table with the columns of another one: those it has, NaN, 0 or "" in the others.

    Parameters
    ----------
    events : (n,) with named columns; itself where it has that dtype.
    dtype : of the result.
    """
    if events.dtype == dtype:
        return events
    table = np.zeros(len(events), dtype)
    for name in dtype.names or ():
        if name in (events.dtype.names or ()):
            table[name] = events[name]
        elif dtype[name].kind == "f":
            table[name] = np.nan
    return table


def join(tables: Iterable[Events]) -> Events:
    """Return one table of several, sorted by sweep, time and channel."""
    parts = list(tables)
    if not parts:
        return no_events()
    if any(part.dtype != parts[0].dtype for part in parts):
        parts = [as_dtype(part, MEASURED_DTYPE) for part in parts]
    table = np.concatenate(parts)
    return table[np.lexsort((table["channel"], table["time_s"], table["sweep"]))]


def to_csv(table: Events) -> str:
    """Return the table as CSV text with a header: numbers with the digits that mean something, empty for NaN.

    The columns of `COLUMNS` come first, then what was measured besides, where the table has it.
    """
    names = [name for name in MEASURED_DTYPE.names or () if name in (table.dtype.names or ())]
    columns = [table[name].tolist() for name in names]
    formats = [_FORMATS.get(name, "{:.6g}") for name in names]
    out = io.StringIO()
    writer = CsvWriter(out)
    writer.writerow(names)
    for row in zip(*columns, strict=True):
        writer.writerow([cell_of(value, form) for value, form in zip(row, formats, strict=True)])
    return out.getvalue()


def cell_of(value: object, form: str = "{:.6g}") -> object:
    """Return a value as a cell of a CSV file: a float by its format, empty where it is not finite."""
    if isinstance(value, float):
        return form.format(value) if math.isfinite(value) else ""
    return value


def from_csv(path: Path) -> Events:
    """Read a table written by `to_csv`.

    Returns
    -------
    (n,) of EVENT_DTYPE, or of MEASURED_DTYPE where the file has more columns of it; empty cells are NaN.

    Raises
    ------
    RecordingError
        If a column is missing or a value is not a number.
    """
    with opened_csv(path, RecordingError) as file:
        reader = csv.DictReader(file)
        present = reader.fieldnames or ()
        missing = [c for c in COLUMNS if c not in present]
        if missing:
            raise RecordingError(f"{path.name}: not an event table, columns missing: {', '.join(missing)}.")
        rows = list(reader)
    more = any(name in present for name in (MEASURED_DTYPE.names or ())[len(COLUMNS) :])
    dtype = MEASURED_DTYPE if more else EVENT_DTYPE
    table = np.zeros(len(rows), dtype)
    for name in dtype.names or ():
        floats = dtype[name].kind == "f"
        for i, row in enumerate(rows):
            text = row.get(name) or ""
            try:
                table[name][i] = float(text) if floats and text else np.nan if floats else read_cell(text)
            except ValueError as error:
                raise RecordingError(f"{path.name}, line {i + 2}, column {name}: {error}.") from error
    return table
