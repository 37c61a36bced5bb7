"""Work on the GUI thread in steps, one per turn of the event loop, so that the window answers in between."""

from __future__ import annotations

from collections.abc import Iterator

from qtpy.QtCore import QObject, QTimer


class Turns(QObject):
    """Does the steps of a generator, each in a turn of its own.

    Parameters
    ----------
    parent : with which it ends.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._steps: Iterator[None] | None = None
        self._timer = QTimer(self, interval=0)
        self._timer.timeout.connect(self._next)

    @property
    def is_busy(self) -> bool:
        """Whether steps are left to do."""
        return self._steps is not None

    def start(self, steps: Iterator[None]) -> None:
        """Do these steps from the next turn on; those left of former ones are dropped."""
        self._steps = steps
        self._timer.start()

    def stop(self) -> None:
        """Drop the steps that are left."""
        self._steps = None
        self._timer.stop()

    def finish(self) -> None:
        """Do the steps that are left now."""
        steps = self._steps
        self.stop()
        for _ in steps or ():
            pass

    def _next(self) -> None:
        steps = self._steps
        try:
            if steps is not None:
                next(steps)
        except StopIteration:
            if self._steps is steps:
                self.stop()
        except Exception:
            self.stop()
            raise
