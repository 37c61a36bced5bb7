"""What became of every item: a SQLite file that survives whatever ends the run."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, overload

from napari_biofm.types import BatchError

NAME = "manifest.sqlite"
PAUSE = 1.0  # s between commits
PAGE = 500  # rows that are in memory at a time
Row = dict[str, Any]
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
        if len(self._waiting) >= PAGE or time.monotonic() - self._written > PAUSE:
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait."""
        marks, names = ", ".join("?" for _ in COLUMNS), ", ".join(COLUMNS)
        if self._waiting:
            with self._open() as db:
                db.executemany(f"INSERT OR REPLACE INTO items ({names}) VALUES ({marks})", self._waiting)
        self._waiting.clear()
        self._written = time.monotonic()

    def rows(self) -> Rows:
        """Return all rows by key; they are read from the file when they are asked for."""
        self.flush()
        return Rows(self.path)

    def keep_only(self, keys: Iterable[str]) -> None:
        """Forget items that are no longer part of the run."""
        self.flush()
        with self._open() as db:
            db.execute("CREATE TEMP TABLE kept (key TEXT PRIMARY KEY)")
            db.executemany("INSERT OR IGNORE INTO kept VALUES (?)", ((key,) for key in keys))
            db.execute("DELETE FROM items WHERE key NOT IN (SELECT key FROM kept)")


class Rows(Sequence[Row]):
    """Rows of a manifest in the order of their keys, as the file has them when they are asked for.

    A run of a million items has two gigabytes of them: no more than a page is in memory.

    Parameters
    ----------
    path : of the manifest.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __len__(self) -> int:
        return int(self._read("SELECT count(*) AS n FROM items")[0]["n"])

    @overload
    def __getitem__(self, at: int) -> Row: ...

    @overload
    def __getitem__(self, at: slice) -> list[Row]: ...

    def __getitem__(self, at: int | slice) -> Row | list[Row]:
        if isinstance(at, slice):
            return [self[i] for i in range(len(self))[at]]
        n = len(self)
        if not -n <= at < n:
            raise IndexError(f"row {at} of {n}")
        return _whole(self._read("SELECT * FROM items ORDER BY key LIMIT 1 OFFSET ?", at % n)[0])

    def __iter__(self) -> Iterator[Row]:
        last = ""
        while page := self._read("SELECT * FROM items WHERE key > ? ORDER BY key LIMIT ?", last, PAGE):
            yield from map(_whole, page)
            last = page[-1]["key"]

    def of(self, key: str) -> Row | None:
        """Return the row of an item, None where there is none.

        Parameters
        ----------
        key : of the item.
        """
        found = self._read("SELECT * FROM items WHERE key = ?", key)
        return _whole(found[0]) if found else None

    def _read(self, query: str, *values: Any) -> list[Row]:
        try:
            with closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, timeout=30)) as db:
                db.row_factory = sqlite3.Row
                return [dict(row) for row in db.execute(query, values)]
        except sqlite3.Error as error:
            raise BatchError(f"{self._path}: the rows of the run cannot be read: {error}.") from error


def _whole(row: Row) -> Row:
    """Return a row with its facts beside the other columns."""
    return {**json.loads(row.pop("facts") or "{}"), **row}
