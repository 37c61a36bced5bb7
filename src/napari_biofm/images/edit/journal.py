"""What keeps edits when a window is killed: a snapshot of the labels and a log that grows by one line per
edit.

A folder holds `journal.json` (which snapshot is valid), `labels-N.zarr` and `log-N.jsonl`. The log is
written before anything else happens, so that a kill loses at most the edit that was being made. A snapshot
may be taken while edits go on: the log states values, not differences, and is replayed over it.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.files import atomic_write
from napari_biofm.images.edit.labels_edit import ArrayTarget, LabelsTarget, replay
from napari_biofm.types import Progress, SessionError, Task, run_task

VERSION = 1
SLAB = 1 << 23  # pixels written at a time
COMPACT_AFTER = 2000  # edits after which a fresh snapshot makes recovery quick again
FOLDER_VARIABLE = "NAPARI_BIOFM_AUTOSAVE"


def autosave_folder() -> Path:
    """Return the folder of all journals: $NAPARI_BIOFM_AUTOSAVE, else beside the user's other cached data."""
    import pooch

    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else Path(pooch.os_cache("napari-biofm")) / "autosave"


class Journal:
    """The log of one labels layer on disk.

    Parameters
    ----------
    folder : made where it is missing; belongs to this journal alone.
    target : the labels.
    about : JSON-able description kept with it (name of the layer, its transform, the image).
    """

    def __init__(
        self, folder: str | Path, target: LabelsTarget, about: Mapping[str, Any] | None = None
    ) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._target = target
        self._about = dict(about or {})
        self._generation = -1
        self._logs: dict[int, IO[str]] = {}
        self._count = 0
        self._dirty = threading.Event()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._syncer = threading.Thread(target=self._sync_all, name="biofm-journal", daemon=True)
        self._syncer.start()

    @property
    def count(self) -> int:
        """Edits in the log since the last snapshot."""
        return self._count

    def start(self) -> None:
        """Write the first snapshot, here and now."""
        run_task(self.snapshot())

    def snapshot(self) -> Task[None]:
        """Write a snapshot slab by slab and begin a fresh log; edits in between go to both logs."""
        new = max([self._generation, *self._logs]) + 1
        with self._lock:
            self._logs[new] = open(self._log(new), "w", encoding="utf-8")  # noqa: SIM115
        self._count = 0
        try:
            yield from _write_labels(self._target, self._labels(new))
            self._point_to(new, closed=False)
        except OSError as error:
            raise SessionError(f"{self.folder}: the labels cannot be saved ({error}).") from error
        for old in [g for g in self._logs if g != new]:
            with self._lock:
                self._logs.pop(old).close()
            self._log(old).unlink(missing_ok=True)
            shutil.rmtree(self._labels(old), ignore_errors=True)

    @property
    def is_due(self) -> bool:
        """Whether a fresh snapshot is worth its time."""
        return self._count >= COMPACT_AFTER

    def write(self, record: Mapping[str, Any]) -> None:
        """Append a record of the history if it is about these labels.

        Raises
        ------
        SessionError : if the disk is full or gone.
        """
        if record.get("layer") != self._target.uid or "patches" not in record:
            return
        line = json.dumps(record, separators=(",", ":"), default=_plain) + "\n"
        try:
            with self._lock:
                for log in self._logs.values():
                    log.write(line)
                    log.flush()
        except OSError as error:
            raise SessionError(
                f"{self.folder}: the edit cannot be logged ({error}); save the labels now."
            ) from error
        self._count += 1
        self._dirty.set()

    def close(self) -> None:
        """Mark the journal as ended in good order; it stays readable until it is removed."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._dirty.set()
        self._syncer.join(timeout=5)
        with self._lock:
            for log in self._logs.values():
                log.close()
            self._logs.clear()
        if self._generation >= 0:
            self._point_to(self._generation, closed=True)

    def _sync_all(self) -> None:
        """Bring lines to the disk itself without holding up the hand that edits."""
        while not self._closing.is_set():
            self._dirty.wait()
            self._dirty.clear()
            with self._lock:
                handles = [os.dup(log.fileno()) for log in self._logs.values() if not log.closed]
            for handle in handles:
                os.fsync(handle)
                os.close(handle)

    def _log(self, generation: int) -> Path:
        return self.folder / f"log-{generation}.jsonl"

    def _labels(self, generation: int) -> Path:
        return self.folder / f"labels-{generation}.zarr"

    def _point_to(self, generation: int, closed: bool) -> None:
        self._generation = generation
        content = {
            "version": VERSION,
            "generation": generation,
            "uid": self._target.uid,
            "pid": os.getpid(),
            "saved": time.time(),
            "closed": closed,
            "about": self._about,
        }
        with atomic_write(self.folder / "journal.json") as part, part.open("w", encoding="utf-8") as file:
            json.dump(content, file, default=_plain)
            file.flush()
            os.fsync(file.fileno())


@dataclass(frozen=True)
class Recovered:
    """What a journal held.

    Attributes
    ----------
    labels : the labels after all logged edits.
    n_edits : number of edits replayed over the snapshot.
    lost : number of lines that were cut short by the kill (0 or 1).
    about : description given to the journal.
    uid : id of the layer it was.
    """

    labels: NDArray[Any]
    n_edits: int
    lost: int
    about: dict[str, Any]
    uid: str


@dataclass(frozen=True)
class Found:
    """A journal on disk."""

    folder: Path
    closed: bool
    saved: float
    about: dict[str, Any]
    in_use: bool


def find_journals(folder: str | Path | None = None) -> list[Found]:
    """List the journals in a folder, latest first; unreadable ones are left out."""
    base = Path(folder) if folder is not None else autosave_folder()
    found = []
    for path in base.glob("*/journal.json"):
        try:
            head = _read_head(path.parent)
        except SessionError:
            continue
        alive = not head["closed"] and _is_alive(int(head["pid"]))
        found.append(
            Found(path.parent, bool(head["closed"]), float(head["saved"]), dict(head["about"]), alive)
        )
    return sorted(found, key=lambda f: -f.saved)


def recover(folder: str | Path) -> Recovered:
    """Return the labels of a journal, with every edit of its log.

    Raises
    ------
    SessionError : if the folder holds no journal, or its middle is damaged.
    """
    import zarr

    path = Path(folder)
    head = _read_head(path)
    try:
        labels = np.asarray(zarr.open_array(str(path / f"labels-{head['generation']}.zarr"), mode="r")[:])
    except (OSError, ValueError, KeyError) as error:
        raise SessionError(f"{path}: the snapshot cannot be read ({error}).") from error
    records, lost = read_log(path / f"log-{head['generation']}.jsonl")
    count = replay(records, ArrayTarget(labels), head["uid"])
    return Recovered(labels, count, lost, dict(head["about"]), str(head["uid"]))


def read_log(path: str | Path) -> tuple[list[dict[str, Any]], int]:
    """Read the lines of a log and the number of lines cut short at its end.

    Raises
    ------
    SessionError : if a line before the last is damaged.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise SessionError(f"{path}: the log cannot be read ({error}).") from error
    records: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError("not an object")
        except ValueError as error:
            if number == len(lines):
                return records, 1
            raise SessionError(f"{path}: line {number} of the log is damaged ({error}).") from error
        records.append(record)
    return records, 0


def prune_journals(folder: str | Path | None = None, keep: int = 10) -> None:
    """Remove the oldest journals that ended in good order, so that `keep` of them stay."""
    ended = [f for f in find_journals(folder) if f.closed]
    for old in ended[keep:]:
        shutil.rmtree(old.folder, ignore_errors=True)


def _read_head(folder: Path) -> dict[str, Any]:
    path = folder / "journal.json"
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
        good = (
            head["version"] == VERSION
            and isinstance(head["generation"], int)
            and isinstance(head["uid"], str)
            and isinstance(head["about"], dict)
            and {"closed", "saved", "pid"} <= set(head)
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SessionError(f"{path}: no journal can be read here ({error}).") from error
    if not good:
        raise SessionError(f"{path}: not a journal of version {VERSION}.")
    return dict(head)


def _write_labels(target: LabelsTarget, path: Path) -> Task[None]:
    import zarr

    shape = target.shape
    row = max(1, int(np.prod(shape[1:], dtype=np.int64)))
    step = max(1, SLAB // row)
    empty = target.read(tuple(slice(0, 0) for _ in shape))
    chunks = tuple(min(n, c) for n, c in zip(shape, (1,) * (len(shape) - 2) + (1024, 1024), strict=True))
    array = zarr.create_array(str(path), shape=shape, chunks=chunks, dtype=empty.dtype, overwrite=True)
    if len(shape) == 2 and step < shape[0]:
        step = max(1024, step // 1024 * 1024)  # whole chunks: none is written twice
    for begin in range(0, shape[0], step):
        yield Progress(begin, shape[0], "saving labels")
        region = (slice(begin, min(shape[0], begin + step)), *(slice(0, n) for n in shape[1:]))
        slab = target.read(region)
        if slab.any():
            array[region] = slab


def _is_alive(pid: int) -> bool:
    if os.name == "nt":
        return pid == os.getpid()
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _plain(value: Any) -> Any:
    """Make numpy values plain for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be logged")
