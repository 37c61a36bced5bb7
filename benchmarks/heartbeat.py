"""How long the window stands still: a timer on the GUI thread, with the time spent on repainting told apart."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QApplication

TICK_MS = 5
PAINTING = (QEvent.Type.UpdateRequest, QEvent.Type.Paint, QEvent.Type.Expose)


class WatchedApplication(QApplication):
    """Application that knows how long it has painted so far.

    Attributes
    ----------
    painted_s : total time in paint events, seconds.
    repaints : length of each outermost paint event, seconds.
    """

    def __init__(self, arguments: list[str]) -> None:
        super().__init__(arguments)
        self.painted_s = 0.0
        self.repaints: list[float] = []
        self._painting = False

    def notify(self, receiver: QObject, event: QEvent) -> bool:
        if self._painting or event.type() not in PAINTING:
            return bool(super().notify(receiver, event))
        self._painting, start = True, time.perf_counter()
        try:
            return bool(super().notify(receiver, event))
        finally:
            took = time.perf_counter() - start
            self._painting = False
            self.painted_s += took
            self.repaints.append(took)


class Heartbeat:
    """Longest silence of a 5 ms timer on the GUI thread.

    Parameters
    ----------
    application : the application whose event loop is watched.
    """

    def __init__(self, application: WatchedApplication) -> None:
        self.application = application
        self._ticks: list[tuple[float, float]] = []  # time, time painted by then; seconds
        self._timer = QTimer()
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK_MS)

    def _tick(self) -> None:
        self._ticks.append((time.perf_counter(), self.application.painted_s))

    def stop(self) -> None:
        """Listen no more."""
        self._timer.stop()

    def watch(
        self, act: Callable[[], object], seconds: float = 1.5, busy: Callable[[], bool] = lambda: False
    ) -> dict[str, float]:
        """Call `act` as an event of the loop, run the loop for `seconds` and while `busy()`, and report.

        Returns
        -------
        `stall_ms`: longest gap between two ticks without the repaints in it; `repaint_ms`: longest repaint;
        `gap_ms`: longest gap, repaints included.
        """
        self._ticks.clear()
        self.application.repaints.clear()
        self._tick()
        QTimer.singleShot(0, act)
        self._run(0.02)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or busy():
            self._run(0.02)
        gaps = list(itertools.pairwise(self._ticks))
        return {
            "stall_ms": 1e3 * max(b[0] - a[0] - (b[1] - a[1]) for a, b in gaps),
            "repaint_ms": 1e3 * max(self.application.repaints, default=0.0),
            "gap_ms": 1e3 * max(b[0] - a[0] for a, b in gaps),
        }

    def _run(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self.application.processEvents()
            time.sleep(0.0005)
