"""Sessions saved by themselves: after every edit, away from the window's thread, and found after a crash."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, QTimer

from napari_biofm.session.saving import SessionWriter
from napari_biofm.session.snapshot import Saved, snapshot
from napari_biofm.types import BiofmError
from napari_biofm.widgets.common.viewers import QtPost
from napari_biofm.widgets.timeline.layers import saved_layers
from napari_biofm.widgets.timeline.state import TimelineState

AUTOSAVE_VARIABLE = "NAPARI_BIOFM_AUTOSAVE"  # folder of the autosaves, or "off"
AUTOSAVE_AFTER_MS = 2000
KEEP_AUTOSAVES = 5


class Background(QObject):
    """Runs writing to disk on one thread of its own, one after the other; the window stays free.

    What is written is handed over whole: nobody may change it any more. Whatever was begun is finished even
    when the program ends.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._threads = ThreadPoolExecutor(1, "napari-biofm writer")
        self._post = QtPost()
        self._running: Future[Any] | None = None
        self._alive = alive = [True]
        threads = self._threads

        def gone(*_: Any) -> None:
            alive.clear()
            threads.shutdown(wait=False)

        self.destroyed.connect(gone)

    @property
    def is_busy(self) -> bool:
        return self._running is not None and not self._running.done()

    def run(
        self,
        write: Callable[[], Any],
        done: Callable[[], None] | None = None,
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Call `write` on the thread, then `done` or `failed` on the window's."""
        post, alive = self._post, self._alive

        def work() -> None:
            # what comes after is handed over before the work counts as done: who waits finds it waiting
            try:
                write()
            except BaseException as error:
                caught = error
                if failed is not None:
                    post(lambda: failed(caught) if alive else None)
            else:
                if done is not None:
                    post(lambda: done() if alive else None)

        self._running = self._threads.submit(work)

    def wait(self) -> None:
        """Return when what was handed over so far is written."""
        if self._running is not None:
            self._running.result()


class AutoSaver(QObject):
    """Saves the session into a folder of this process, two seconds after the last edit.

    Parameters
    ----------
    state : of the dock.
    log : returns what was done so far.
    failed : is told what went wrong.
    background : where the writing runs.
    """

    def __init__(
        self,
        state: TimelineState,
        log: Callable[[], list[dict[str, Any]]],
        failed: Callable[[BaseException], None],
        background: Background,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._state = state
        self._log = log
        self._failed = failed
        self._background = background
        self._writer: SessionWriter | None = None
        self.is_on = autosave_folder() is not None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(AUTOSAVE_AFTER_MS)
        self._timer.timeout.connect(self.save)

    def edited(self) -> None:
        """Save soon; edits that follow each other are saved together."""
        if self.is_on:
            self._timer.start()

    def save(self) -> None:
        """Take what lasts out of the session now, and have it written."""
        root = autosave_folder()
        if root is None or not self.is_on or self._state.session.is_closed:
            return
        if self._background.is_busy:
            self._timer.start()  # the disk is slower than the edits: the next save holds them all
            return
        if self._writer is None:
            try:
                root.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                self.is_on = False
                self._failed(
                    BiofmError(
                        f"Nothing is saved by itself: {root} cannot be made ({error.strerror or error})."
                    )
                )
                return
            thin_out(root)
            self._writer = SessionWriter(root / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")
        writer, saved = self._writer, frozen_snapshot(self._state, self._log())
        self._background.run(lambda: writer.save(saved), None, self._failed)


def frozen_snapshot(state: TimelineState, log: list[dict[str, Any]]) -> Saved:
    """Return what lasts of a session, apart from what may still be changed in place."""
    saved = snapshot(state.session, saved_layers(state.viewer), list(log))
    return dataclasses.replace(saved, cells={uid: table.copy() for uid, table in saved.cells.items()})


def autosave_folder() -> Path | None:
    """Return where sessions are saved by themselves, None where that is switched off."""
    stated = os.environ.get(AUTOSAVE_VARIABLE, "")
    if stated.lower() == "off":
        return None
    if stated:
        return Path(stated)
    import pooch

    return Path(pooch.os_cache("napari-biofm")) / "autosave"


def last_autosave() -> Path | None:
    """Return the newest autosave of a process that is gone."""
    root = autosave_folder()
    if root is None or not root.is_dir():
        return None
    found = sorted((p.parent for p in root.glob("[0-9]*/session.json")), reverse=True)
    return next((folder for folder in found if not is_alive(folder.name.rsplit("-", 1)[-1])), None)


def is_alive(pid: str) -> bool:
    """Return whether a process of this number runs (on Windows: whether it is this one)."""
    if not pid.isdigit() or os.name == "nt":
        return pid == str(os.getpid())
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def thin_out(root: Path) -> None:
    """Keep the newest autosaves only; those of running processes stay."""
    folders = sorted((p for p in root.iterdir() if p.is_dir()), reverse=True)
    for folder in folders[KEEP_AUTOSAVES:]:
        if not is_alive(folder.name.rsplit("-", 1)[-1]):
            shutil.rmtree(folder, ignore_errors=True)
