"""One run per folder: a second one is refused while the first lives, also from another machine."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from napari_biofm.session.processes import started, this_host
from napari_biofm.types import BatchError

NAME = "running.json"
BEAT = 10.0  # seconds between signs of life
DEAD = 60.0  # seconds without one after which a run on another machine counts as dead


class FolderLock:
    """Hold a folder for one run.

    Parameters
    ----------
    folder : of the run.

    Raises
    ------
    BatchError
        On entering, if another run holds it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> FolderLock:
        for _ in range(2):
            try:
                handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileExistsError:
                if self._is_alive():
                    other = self._read()
                    raise BatchError(
                        f"{self.path.parent}: another run works here (process {other.get('pid')} on "
                        f"{other.get('host')}); wait for it or take another folder."
                    ) from None
                self.path.unlink(missing_ok=True)
                continue
            with os.fdopen(handle, "w") as file:
                json.dump({"pid": os.getpid(), "host": this_host(), "started": started(os.getpid())}, file)
            break
        else:
            raise BatchError(f"{self.path.parent}: another run has just begun here.")
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self.path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            try:
                os.utime(self.path)
            except OSError:
                return

    def _read(self) -> dict[str, Any]:
        try:
            value = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}

    def _is_alive(self) -> bool:
        other = self._read()
        if other.get("host") == this_host() and isinstance(other.get("pid"), int):
            now = started(other["pid"])
            return now is not None and now == other.get("started")
        try:
            return time.time() - self.path.stat().st_mtime < DEAD
        except OSError:
            return False
