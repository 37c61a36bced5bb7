"""Faults of windows: what goes while a job runs for it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fault_tools import WAIT_S, promise
from napari_biofm.engine import make_engine, probe


def wait_ms(ms: int) -> None:
    """Let the window live for a while."""
    from qtpy.QtTest import QTest

    wait: Any = QTest.qWait  # static; its stub says otherwise
    wait(ms)


def _untold(message: str) -> None:
    del message


@contextmanager
def window() -> Iterator[tuple[Any, Any, Callable[[Callable[[], bool]], None]]]:
    """Give a viewer with a dock whose worker counts, and what lets the window live until something holds."""
    import napari
    from tests.widgets.test_base import PlainDock

    from napari_biofm.widgets.common.viewers import QtPost

    viewer = napari.Viewer()
    dock = PlainDock(viewer)
    viewer.window.add_dock_widget(dock, name="plain")
    dock.session.use_engine(make_engine("worker", post=QtPost()))
    dock.tell = _untold  # type: ignore[method-assign]

    def until(holds: Callable[[], bool]) -> None:
        end = time.monotonic() + WAIT_S
        while not holds():
            promise(time.monotonic() < end, "the window waits for ever")
            wait_ms(5)

    try:
        yield viewer, dock, until
    finally:
        if not dock.session.is_closed:
            viewer.close()


def layer_removed(rng: np.random.Generator, _: Path) -> None:
    """The layer of a job is removed in its middle: the job ends, nothing arrives, the next one works."""
    from napari_biofm.widgets.common.viewers import layer_id

    with window() as (viewer, dock, until):
        layer = viewer.add_image(np.zeros((8, 8)))
        done: list[Any] = []
        ended: list[str] = []
        started: list[Any] = []
        dock.run(
            probe.count, 500, 0.01, name="count", bound_to=layer_id(layer), on_done=done.append,
            on_step=started.append, on_end=lambda: ended.append("end"),
        )  # fmt: skip
        if rng.random() < 0.7:
            until(lambda: bool(started))
        wait_ms(int(rng.integers(0, 200)))
        viewer.layers.remove(layer)
        until(lambda: bool(ended))
        promise(not done, "a result arrived for a layer that is gone")
        dock.run(probe.count, 1, 0.0, name="again", on_done=done.append)
        until(lambda: bool(done))


def viewer_closed(rng: np.random.Generator, _: Path) -> None:
    """The window is closed in the middle of a job: the session ends, and the worker with it."""
    with window() as (viewer, dock, until):
        runs = dock.session.engine
        started: list[Any] = []
        dock.run(probe.count, 5000, 0.01, name="count", on_step=started.append)
        until(lambda: bool(started))
        wait_ms(int(rng.integers(0, 200)))
        worker = runs.worker_pid
        viewer.close()
        until(lambda: bool(dock.session.is_closed))
        until(lambda: not os.path.exists(f"/proc/{worker}"))
