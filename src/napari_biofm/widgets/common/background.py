"""Writing to disk beside the window."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from qtpy.QtCore import QObject

from napari_biofm.widgets.common.qt_parts import when_destroyed
from napari_biofm.widgets.common.viewers import QtPost


class _Alive:
    yes = True


def _end(alive: _Alive | None, threads: ThreadPoolExecutor | None) -> None:
    if alive is not None:
        alive.yes = False
    if threads is not None:
        threads.shutdown(wait=False)


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
        self._alive = _Alive()
        when_destroyed(self, _end, self._alive, self._threads)

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
            except BaseException as error:  # noqa: BLE001 - whatever stops the thread is told in the window
                caught = error
                if failed is not None:
                    post(lambda: failed(caught) if alive.yes else None)
            else:
                if done is not None:
                    post(lambda: done() if alive.yes else None)

        self._running = self._threads.submit(work)

    def wait(self) -> None:
        """Return when what was handed over so far is written."""
        if self._running is not None:
            self._running.result()
