"""Tables of analyses as CSV and JSON, and tables read back."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.analyses.description import Column, Result
from napari_biofm.files import CsvWriter, opened_csv, plain_cell, read_cell
from napari_biofm.types import BiofmError


def read_table(path: Path) -> dict[str, NDArray[Any]]:
    """Read a CSV with a header; a column is numbers where all its cells are, empty ones are NaN.

    Raises
    ------
    BiofmError
        If there is no such file, or no row below a header.
    """
    if not path.is_file():
        raise BiofmError(f"{path} does not exist.")
    with opened_csv(path, BiofmError) as file:
        rows = list(csv.reader(file))
    if len(rows) < 2:
        raise BiofmError(f"{path.name}: no rows below a header")
    table: dict[str, NDArray[Any]] = {}
    for name, *cells in zip(*rows, strict=False):
        try:
            table[name] = np.array([float(cell) if cell else np.nan for cell in cells])
        except ValueError:
            table[name] = np.array([read_cell(cell) for cell in cells], str)
    return table


def csv_of(columns: Sequence[Column]) -> str:
    """Return a table as CSV, units in the names of columns; empty cells where there is no number."""
    text = io.StringIO()
    writer = CsvWriter(text)
    writer.writerow([one.header for one in columns])
    writer.writerows(
        zip(*([_cell(v) for v in np.asarray(one.values).tolist()] for one in columns), strict=True)
    )
    return text.getvalue()


def json_of(result: Result) -> dict[str, object]:
    """Return what an analysis found as JSON can hold it: summary, notes, methods, columns with meaning."""
    return {
        "summary": result.summary,
        "notes": list(result.notes),
        "methods": result.methods,
        "columns": {
            one.header: {
                "unit": one.unit,
                "meaning": one.meaning,
                "values": [_number(v) for v in np.asarray(one.values).tolist()],
            }
            for one in result.columns
        },
    }


def columns_of(table: dict[str, NDArray[Any]], meanings: dict[str, str] | None = None) -> tuple[Column, ...]:
    """Return columns whose names hold their units already."""
    return tuple(Column(k, np.asarray(v), meaning=(meanings or {}).get(k, "")) for k, v in table.items())


def columns_of_rows(rows: Sequence[dict[str, Any]], names: Sequence[str] = ()) -> tuple[Column, ...]:
    """Return columns of rows that have the same keys."""
    keys = list(names) or (list(rows[0]) if rows else [])
    return tuple(Column(key, np.array([row[key] for row in rows])) for key in keys)


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.9g}" if np.isfinite(value) else ""
    return int(value) if isinstance(value, bool) else plain_cell(value)
