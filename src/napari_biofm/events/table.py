"""Event tables as files: the CSV of the command line, and what the presets mean."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from napari_biofm.types import EVENT_DTYPE, Events, RecordingError, no_events

COLUMNS = ("sweep", "channel", "time_s", "class", "score", "amplitude", "unit", "rise_s", "decay_s")
NOT_EVENTS = ("artefact", "rejected")


def join(tables: Iterable[Events]) -> Events:
    """Return one table of several, sorted by sweep, time and channel."""
    parts = list(tables)
    if not parts:
        return no_events()
    table = np.concatenate(parts)
    return table[np.lexsort((table["channel"], table["time_s"], table["sweep"]))]


def to_csv(table: Events) -> str:
    """Return the table as CSV text with a header, numbers with the digits that mean something."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in table:
        writer.writerow(
            [
                row["sweep"],
                row["channel"],
                f"{row['time_s']:.7f}",
                row["class"],
                f"{row['score']:.4f}",
                f"{row['amplitude']:.6g}",
                row["unit"],
                f"{row['rise_s']:.6g}",
                f"{row['decay_s']:.6g}",
            ]
        )
    return out.getvalue()


def from_csv(path: Path) -> Events:
    """Read a table written by `to_csv`.

    Raises
    ------
    RecordingError
        If a column is missing or a value is not a number.
    """
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [c for c in COLUMNS if c not in (reader.fieldnames or ())]
        if missing:
            raise RecordingError(f"{path.name}: not an event table, columns missing: {', '.join(missing)}.")
        rows = list(reader)
    table = np.zeros(len(rows), EVENT_DTYPE)
    for i, row in enumerate(rows):
        try:
            table[i] = tuple(row[c] for c in COLUMNS)
        except ValueError as error:
            raise RecordingError(f"{path.name}, line {i + 2}: {error}.") from error
    return table
