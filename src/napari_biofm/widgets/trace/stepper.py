"""Drains a task on the GUI thread in slices short enough not to be felt."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_biofm.types import Progress, Task

_SLICE_S = 0.015


class Stepper(QObject):
    """Runs one task at a time, a few milliseconds per turn of the event loop."""

    progressed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._task: Task[Any] | None = None
        self._done: Callable[[], None] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._slice)

    @property
    def busy(self) -> bool:
        return self._task is not None

    def start(self, task: Task[Any], done: Callable[[], None]) -> None:
        """Run `task` instead of what ran before; call `done` at its end."""
        self.stop()
        self._task, self._done = task, done
        self._timer.start()

    def stop(self) -> None:
        """Drop the running task."""
        self._timer.stop()
        if self._task is not None:
            self._task.close()
        self._task = self._done = None

    def _slice(self) -> None:
        if self._task is None:
            return
        end = time.perf_counter() + _SLICE_S
        progress: Progress | None = None
        while time.perf_counter() < end:
            try:
                progress = next(self._task)
            except StopIteration:
                done = self._done
                self.stop()
                if done is not None:
                    done()
                return
        if progress is not None:
            self.progressed.emit(progress)
