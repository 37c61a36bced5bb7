"""How long the window stands still: a timer on the GUI thread, with what is not ours told apart.

Repaints are counted by the application, other calls of napari by `Heartbeat.aside`, and Python's garbage collector.
"""

from __future__ import annotations

import gc
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QApplication

TICK_MS = 5
PAINTING = (QEvent.Type.UpdateRequest, QEvent.Type.Paint, QEvent.Type.Expose)


@dataclass
class Spent:
    """Time in `with` blocks so far, the outermost of nested ones: by the clock, and of this thread on a
    processor, seconds.
    """

    wall_s: float = 0.0
    cpu_s: float = 0.0
    longest_s: float = 0.0
    depth: int = 0

    def __enter__(self) -> None:
        if self.depth == 0:
            self._start = time.perf_counter(), time.thread_time()
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1
        if self.depth == 0:
            took = time.perf_counter() - self._start[0]
            self.wall_s += took
            self.longest_s = max(self.longest_s, took)
            self.cpu_s += time.thread_time() - self._start[1]


class WatchedApplication(QApplication):
    """Application that knows how long it has painted so far.

    Attributes
    ----------
    apart : time in paint events, and in what else is told apart.
    repaints : length of each outermost paint event, seconds.
    """

    def __init__(self, arguments: list[str]) -> None:
        super().__init__(arguments)
        self.apart = Spent()
        self.repaints: list[float] = []
        self._painting = False

    def notify(self, receiver: QObject | None, event: QEvent | None) -> bool:
        if self._painting or event is None or event.type() not in PAINTING:
            return bool(super().notify(receiver, event))
        self._painting, start = True, time.perf_counter()
        try:
            with self.apart:
                return bool(super().notify(receiver, event))
        finally:
            self._painting = False
            self.repaints.append(time.perf_counter() - start)


class Tick(NamedTuple):
    """When the timer spoke: clock, processor time of the thread, and how much of both was somebody else's by then."""

    wall_s: float
    cpu_s: float
    apart_wall_s: float
    apart_cpu_s: float


class Heartbeat:
    """Longest silence of a 5 ms timer on the GUI thread.

    Parameters
    ----------
    application : the application whose event loop is watched.
    """

    def __init__(self, application: WatchedApplication) -> None:
        self.application = application
        self.collecting = Spent()
        gc.callbacks.append(self._collected)
        self._ticks: list[Tick] = []
        self._timer = QTimer()
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK_MS)

    def aside(self, owner: type, name: str) -> Spent:
        """Count the calls of a method of somebody else's class apart, as repaints are; return the time in them."""
        method, spent = getattr(owner, name), Spent()

        def timed(*args: Any, **kwargs: Any) -> Any:
            with spent, self.application.apart:
                return method(*args, **kwargs)

        setattr(owner, name, timed)
        return spent

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        """Count the garbage collector of Python apart: it looks at all objects of napari, whoever made it run."""
        if threading.current_thread() is not threading.main_thread():
            return
        for spent in (self.collecting, self.application.apart):
            if phase == "start":
                spent.__enter__()
            elif spent.depth:
                spent.__exit__()

    def _tick(self) -> None:
        apart = self.application.apart
        self._ticks.append(Tick(time.perf_counter(), time.thread_time(), apart.wall_s, apart.cpu_s))

    def stop(self) -> None:
        """Listen no more."""
        self._timer.stop()
        gc.callbacks.remove(self._collected)

    def watch(
        self, act: Callable[[], object], seconds: float = 1.5, busy: Callable[[], bool] = lambda: False
    ) -> dict[str, float]:
        """Call `act` as an event of the loop, run the loop for `seconds` and while `busy()`, and report.

        Returns
        -------
        see `longest`; and `repaint_ms`: longest repaint.
        """
        self._ticks.clear()
        self.application.repaints.clear()
        self._tick()
        QTimer.singleShot(0, act)
        self.run(0.02)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or busy():
            self.run(0.02)
        return {**self.longest(), "repaint_ms": 1e3 * max(self.application.repaints, default=0.0)}

    def longest(self, since: float = -np.inf, until: float = np.inf) -> dict[str, float]:
        """Tell the longest silence between two times (`perf_counter`) of what was watched last.

        Returns
        -------
        `stall_ms`: longest gap between two ticks without what is told apart in it; `cpu_ms`: longest time this
        thread was on a processor between two ticks, likewise; `gap_ms`: longest gap with everything in it.
        """
        gaps = [(a, b) for a, b in itertools.pairwise(self._ticks) if b.wall_s > since and a.wall_s < until]
        found = {
            "stall_ms": max(b.wall_s - a.wall_s - (b.apart_wall_s - a.apart_wall_s) for a, b in gaps),
            "cpu_ms": max(b.cpu_s - a.cpu_s - (b.apart_cpu_s - a.apart_cpu_s) for a, b in gaps),
            "gap_ms": max(b.wall_s - a.wall_s for a, b in gaps),
        }
        return {name: 1e3 * seconds for name, seconds in found.items()}

    def run(self, seconds: float) -> None:
        """Run the loop for some more time."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self.application.processEvents()
            time.sleep(0.0005)
