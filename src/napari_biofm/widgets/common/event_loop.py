"""Work on the GUI thread a little per turn of the event loop, so that the window answers in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_biofm.widgets.common.qt_parts import timer

SLICE_S = 0.015  # seconds of steps in a turn that are not felt


class EventLoopTask(QObject):
    """Does the steps of a generator in turns of the event loop.

    Parameters
    ----------
    parent : with which it ends.
    slice_s : seconds of steps in a turn; 0 does one step in each.

    Attributes
    ----------
    progressed : what the last step of a turn yielded, where that is not None.
    """

    progressed = Signal(object)

    def __init__(self, parent: QObject | None = None, slice_s: float = 0.0) -> None:
        super().__init__(parent)
        self._slice_s = slice_s
        self._steps: Iterator[Any] | None = None
        self._done: Callable[[], None] | None = None
        self._timer = timer(self, 0, self._turn, repeats=True)

    @property
    def is_busy(self) -> bool:
        """Whether steps are left to do."""
        return self._steps is not None

    def start(self, steps: Iterator[Any], done: Callable[[], None] | None = None) -> None:
        """Do these steps from the next turn on, then call `done`; those left of former ones are dropped."""
        self._steps, self._done = steps, done
        self._timer.start()

    def stop(self) -> None:
        """Drop the steps that are left."""
        self._steps = self._done = None
        self._timer.stop()

    def finish(self) -> None:
        """Do the steps that are left now."""
        steps, done = self._steps, self._done
        self.stop()
        for _ in steps or ():
            pass
        if done is not None:
            done()

    def _turn(self) -> None:
        steps = self._steps
        if steps is None:
            return
        end = time.perf_counter() + self._slice_s
        try:
            result = next(steps)
            while self._steps is steps and time.perf_counter() < end:
                result = next(steps)
        except StopIteration:
            if self._steps is steps:
                done = self._done
                self.stop()
                if done is not None:
                    done()
            return
        except Exception:
            self.stop()
            raise
        if result is not None and self._steps is steps:
            self.progressed.emit(result)
