"""What became of every item: a SQLite file that survives whatever ends the run."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_biofm.types import BatchError

NAME = "manifest.sqlite"
PAUSE = 1.0  # s between commits
COLUMNS = {
    "key": "TEXT PRIMARY KEY", "path": "TEXT", "kind": "TEXT", "state": "TEXT", "error": "TEXT",
    "fingerprint": "TEXT", "input_sha256": "TEXT", "input_bytes": "INTEGER", "seconds": "REAL",
    "peak_memory_mb": "REAL", "objects": "INTEGER", "events": "INTEGER", "model": "TEXT",
    "weights_sha256": "TEXT", "corrected": "TEXT", "host": "TEXT", "version": "TEXT", "facts": "TEXT",
}  # fmt: skip


class Manifest:
    """Rows of items by key.

    Parameters
    ----------
    folder : of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._waiting: list[list[Any]] = []
        self._written = 0.0
        try:
            with self._open() as db:
                columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
                db.execute(f"CREATE TABLE IF NOT EXISTS items ({columns})")
                there = {row[1] for row in db.execute("PRAGMA table_info(items)")}
                for name in [one for one in COLUMNS if one not in there]:  # of a former version
                    db.execute(f"ALTER TABLE items ADD COLUMN {name} {COLUMNS[name]}")
        except sqlite3.Error as error:
            raise BatchError(f"{self.path}: cannot be used as manifest: {error}; move it away.") from error

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self.path, timeout=30)
        try:
            with db:
                yield db
        finally:
            db.close()

    def record(self, row: Mapping[str, Any], version: str) -> None:
        """Write the row of an item in place of a former one, at the latest with the next row after `PAUSE` seconds.

        A commit takes as long as measuring some cells. Rows that a kill loses are found again by the next run: what
        says that an item is done lies in its own folder.
        """
        known = {name: row.get(name) for name in COLUMNS}
        known["version"] = version
        known["facts"] = json.dumps({k: v for k, v in row.items() if k not in COLUMNS})
        self._waiting.append(list(known.values()))
        if time.monotonic() - self._written > PAUSE:
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait."""
        marks, names = ", ".join("?" for _ in COLUMNS), ", ".join(COLUMNS)
        if self._waiting:
            with self._open() as db:
                db.executemany(f"INSERT OR REPLACE INTO items ({names}) VALUES ({marks})", self._waiting)
        self._waiting.clear()
        self._written = time.monotonic()

    def rows(self) -> list[dict[str, Any]]:
        """Return all rows by key."""
        self.flush()
        with self._open() as db:
            db.row_factory = sqlite3.Row
            found = [dict(row) for row in db.execute("SELECT * FROM items ORDER BY key")]
        return found

    def keep_only(self, keys: set[str]) -> None:
        """Forget items that are no longer part of the run."""
        gone = [row["key"] for row in self.rows() if row["key"] not in keys]
        with self._open() as db:
            db.executemany("DELETE FROM items WHERE key = ?", [(key,) for key in gone])
