"""The files of one journal: the log, the beat that says somebody is there, and what is written beside the hand.

A folder holds `journal.json` (who writes it, and which files are valid), `base-K.json` (what the session was when edit
number `seq` had been done), `log-N.jsonl` (every edit, one a line, with its number), `heartbeat` (touched every few
seconds), `lost.json` (its place is taken in advance: edits that could not be written because the disk was full), and
arrays that the base names.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from napari_biofm.files import atomic_write
from napari_biofm.session.processes import started, this_host

VERSION = 2
BEAT_S = 5.0
FRESH_S = 60.0  # a heartbeat of another host that is younger than this is somebody at work
FOLDER_VARIABLE = "NAPARI_BIOFM_AUTOSAVE"  # folder of all journals, or "off"
ROOM_AGAIN = "the disk has room again"  # a line of the log that is no edit
LOST_SIZE = 4096  # bytes kept for what could not be written


def autosave_folder() -> Path | None:
    """Return the folder of all journals, beside the user's other cached data; None where that is switched off."""
    stated = os.environ.get(FOLDER_VARIABLE, "")
    if stated.lower() == "off":
        return None
    if stated:
        return Path(stated)
    import pooch

    return Path(pooch.os_cache("napari-biofm")) / "autosave"


def settings_folder() -> Path:
    """Return where settings of the user are kept: beside the journals, or where these would be."""
    import pooch

    root = autosave_folder()
    return Path(pooch.os_cache("napari-biofm")) if root is None else root.parent


class JournalFiles:
    """Writes one journal. Lines of the log are written at once, the rest as it comes.

    Parameters
    ----------
    root : folder of all journals; a folder for this one is made in it.

    Raises
    ------
    OSError
        If the folder cannot be made.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
        self.folder.mkdir(parents=True)
        (self.folder / "heartbeat").touch()
        (self.folder / "lost.json").write_bytes(b" " * LOST_SIZE)
        self._log: IO[bytes] | None = None
        self._is_cut = False  # the last line was written in part
        self._head: dict[str, Any] = {
            "version": VERSION,
            "host": this_host(),
            "pid": os.getpid(),
            "started": started(os.getpid()),
            "created": time.time(),
            "closed": False,
        }
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._sync_asked = False
        self.failure: Exception | None = None  # of what was handed over; the thread goes on
        self._thread = threading.Thread(target=self._beat, name="biofm-journal", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------------ log

    def begin_log(self, number: int, entries: list[dict[str, Any]]) -> None:
        """Go on in `log-N.jsonl`, which begins with these lines."""
        former = self._log
        self._log = open(self.folder / f"log-{number}.jsonl", "wb", buffering=0)  # noqa: SIM115
        self._head["log"] = number
        self._is_cut = False
        for entry in entries:
            self.append(entry)
        if former is not None:
            former.close()

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write one line of the log, here and now; OSError where it cannot be written whole."""
        assert self._log is not None
        line = json.dumps(entry, separators=(",", ":"), default=plain).encode() + b"\n"
        if self._is_cut:
            line = b"\n" + line
        n = 0
        try:
            while n < len(line):
                n += self._log.write(line[n:]) or 0
        except OSError:
            self._is_cut = self._is_cut or n > 0
            raise
        self._is_cut = False
        if not self._sync_asked:
            self._sync_asked = True
            self._work.put(self._sync)

    def tell_lost(self, lost: list[dict[str, Any]]) -> None:
        """Note which edits could not be written, in the place that was taken in advance."""
        text = json.dumps(lost).encode()
        while len(text) > LOST_SIZE and lost:
            lost = lost[len(lost) // 2 + 1 :]
            text = json.dumps([{"and": "more before"}, *lost]).encode()
        with suppress(OSError), (self.folder / "lost.json").open("r+b") as file:
            file.write(text.ljust(LOST_SIZE))

    # ------------------------------------------------------------------ snapshots

    def point_to(self, **what: Any) -> None:
        """Say in `journal.json` which files are valid from now on, e.g. base=3."""
        self._head.update(what)
        self.write_json("journal.json", {**self._head, "saved": time.time()})

    def write_json(self, name: str, content: Mapping[str, Any]) -> str:
        """Write a JSON file whole, and return its name."""
        with atomic_write(self.folder / name) as part, part.open("w", encoding="utf-8") as file:
            json.dump(content, file, default=plain)
            file.flush()
        return name

    def beside(self, work: Callable[[], None]) -> None:
        """Do something on the thread of the journal, after what was handed over before."""
        self._work.put(work)

    def wait(self) -> None:
        """Return when what was handed over so far is done."""
        done = threading.Event()
        self._work.put(done.set)
        done.wait(60)

    def remove(self, names: set[str]) -> None:
        """Remove snapshots that nothing names any more."""
        for path in (self.folder / name for name in names):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Mark the journal as ended in good order; it stays readable until it is pruned."""
        self._work.put(None)
        self._thread.join(timeout=10)
        if self._log is not None:
            with suppress(OSError):
                self._sync()
            self._log.close()
        with suppress(OSError):
            self.point_to(closed=True)

    # ------------------------------------------------------------------ thread

    def _beat(self) -> None:
        """Touch the heartbeat, bring the log to the disk, write what was handed over."""
        due = 0.0
        while True:
            if time.monotonic() >= due:
                due = time.monotonic() + BEAT_S
                with suppress(OSError):
                    os.utime(self.folder / "heartbeat")
            try:
                work = self._work.get(timeout=max(0.01, due - time.monotonic()))
            except queue.Empty:
                continue
            if work is None:
                return
            try:
                work()
            except Exception as error:  # noqa: BLE001 - zarr raises many kinds where a folder is gone or the program ends
                self.failure = error  # a full disk is told by the log

    def _sync(self) -> None:
        """Bring lines to the disk itself without holding up the hand that edits."""
        self._sync_asked = False
        if self._log is not None and not self._log.closed:
            os.fsync(self._log.fileno())


def plain(value: Any) -> Any:
    """Make numpy values plain for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be logged")
