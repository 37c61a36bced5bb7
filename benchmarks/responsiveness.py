"""Does the window stay alive? Stalls during a long job, dock start-up, torch in the GUI, time to cancel.

    python benchmarks/responsiveness.py [--json] [--quick]

Without a screen it starts its own. `longest_stall_ms` is the longest gap between two ticks of a 5 ms timer on the
GUI thread while a busy job runs for ten seconds in the worker process, its progress shown in a dock and
its tiles (256 x 256, ten per second) written into a Labels layer. The canvas is repainted at the end:
how long one repaint takes is a matter of napari and the graphics driver, and printed beside it
(`repaint_ms`; with software OpenGL it can exceed everything else). `idle_stall_ms` is the longest gap with
nothing running: what the machine itself does to the timer. `dock_open_s` is the slowest dock, in a fresh
interpreter, from the start of its import to its first paint, with napari already up.

`click_during_job_p95_ms`: from a click's question to its answer on the GUI thread (embedded model, 512 px), every
300 ms while segmentations run in the bulk lane; `click_alone_p95_ms` the same with nothing beside it.
`bulk_throughput_ratio`: segmentations per second while clicks come, as a fraction of those without, in turns.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from lanes import measure_lanes
from screen import ensure_screen

DOCKS = {
    "segment": "napari_biofm.widgets.segment:SegmentDock",
    "annotate": "napari_biofm.widgets.annotate:AnnotateDock",
    "cells": "napari_biofm.widgets.cells:CellsDock",
    "trace": "napari_biofm.widgets.trace:TraceDock",
    "timeline": "napari_biofm.widgets.timeline:TimelineDock",
    "conditions": "napari_biofm.widgets.conditions:ConditionsDock",
}
TICK_MS = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    parser.add_argument("--quick", action="store_true", help="two seconds instead of ten")
    parser.add_argument("--open", metavar="DOCK", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.open:
        print(json.dumps(open_dock(args.open)))
        return
    ensure_screen()
    opened = {name: child(name) for name in DOCKS}
    stalls = measure_stalls(2.0 if args.quick else 10.0)
    lanes = measure_lanes(3.0 if args.quick else 10.0, 1 if args.quick else 3)
    result = {
        "longest_stall_ms": stalls["stall_ms"],
        "dock_open_s": max(row["seconds"] for row in opened.values()),
        "torch_in_gui": any(row["torch"] for row in opened.values()) or stalls["torch"],
        "cancel_ms": stalls["cancel_ms"],
        "idle_stall_ms": stalls["idle_ms"],
        "repaint_ms": stalls["repaint_ms"],
        **lanes,
    }
    if not args.json:
        print(f"{'dock':<10} {'open (s)':>9}  torch")
        for name, row in opened.items():
            print(f"{name:<10} {row['seconds']:>9.3f}  {row['torch']}")
        print(f"longest gap: {stalls['stall_ms']:.1f} ms with a job, {stalls['idle_ms']:.1f} ms without")
        print(f"one repaint by napari: {stalls['repaint_ms']:.1f} ms; tiles received: {stalls['written']}")
        print(
            f"a click: p95 {lanes['click_during_job_p95_ms']:.0f} ms while segmentations run, "
            f"{lanes['click_alone_p95_ms']:.0f} ms alone; bulk at {lanes['bulk_throughput_ratio']:.2f} of its speed"
        )
    print(json.dumps(result))


def child(name: str) -> dict[str, Any]:
    """Open one dock in a fresh interpreter."""
    command = [sys.executable, "-W", "ignore", str(Path(__file__).resolve()), "--open", name]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    row: dict[str, Any] = json.loads(out.stdout.strip().splitlines()[-1])
    return row


def open_dock(name: str) -> dict[str, Any]:
    """Import, build and paint one dock in a viewer that is up."""
    import importlib

    import napari
    from qtpy.QtWidgets import QApplication

    viewer = napari.Viewer()
    QApplication.processEvents()
    module, attribute = DOCKS[name].split(":")
    start = time.perf_counter()
    dock = getattr(importlib.import_module(module), attribute)(viewer)
    viewer.window.add_dock_widget(dock, name=name)
    QApplication.processEvents()
    while not getattr(dock, "is_open", True):  # a frame that is filled in turns of the event loop
        QApplication.processEvents()
        time.sleep(0.0005)
    QApplication.processEvents()
    seconds = time.perf_counter() - start
    row = {"seconds": seconds, "torch": "torch" in sys.modules}
    viewer.close()
    return row


def measure_stalls(seconds: float) -> dict[str, Any]:
    """Run a job that sends a 1024 px tile at every step and watch the GUI thread's timer."""
    import napari
    import numpy as np
    from qtpy.QtCore import QTimer
    from qtpy.QtWidgets import QApplication, QVBoxLayout

    from napari_biofm.engine import make_engine, probe
    from napari_biofm.widgets.common.dock import Dock
    from napari_biofm.widgets.common.viewers import QtPost, viewer_session

    viewer: Any = napari.Viewer()  # it gets add_labels at run time
    layer = viewer.add_labels(np.zeros((1024, 1024), np.int32))
    ticks: list[float] = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()))
    timer.start(TICK_MS)
    pump(QApplication, 1.5, lambda: False)
    ticks.clear()
    pump(QApplication, seconds, lambda: False)
    idle = longest_gap(ticks)

    repaints = []
    for _ in range(5):
        start = time.perf_counter()
        layer.refresh(extent=False, thumbnail=False, highlight=False)
        QApplication.processEvents()
        repaints.append((time.perf_counter() - start) * 1e3)

    session = viewer_session(viewer)
    session.use_engine(make_engine("worker", post=QtPost()))
    engine = session.engine
    engine.submit(probe.describe_process).result(60)
    dock = Dock(viewer, session=session)
    QVBoxLayout(dock).addWidget(dock.job_bar)
    viewer.window.add_dock_widget(dock, name="job")
    pump(QApplication, 1.0, lambda: False)
    written: list[int] = []

    def write(progress: Any) -> None:
        y, x, tile = progress.payload
        layer.data[y : y + 256, x : x + 256] = tile
        written.append(progress.done)

    done: list[Any] = []
    ticks.clear()
    dock.run(
        probe.tiles, round(seconds / 0.1), 0.1, name="tiles", on_step=write, on_end=lambda: done.append(1)
    )
    pump(QApplication, 6 * seconds + 10, lambda: bool(done))
    busy = longest_gap(ticks)
    layer.refresh()

    cancelled: list[float] = []
    job = engine.submit(probe.count, 1000, 0.01, on_cancel=lambda: cancelled.append(time.perf_counter()))
    pump(QApplication, 0.5, lambda: False)
    asked = time.perf_counter()
    job.cancel()
    pump(QApplication, 10, lambda: bool(cancelled))
    timer.stop()
    viewer.close()
    session.close()
    return {
        "stall_ms": busy,
        "idle_ms": idle,
        "repaint_ms": sorted(repaints)[len(repaints) // 2],
        "cancel_ms": (cancelled[0] - asked) * 1e3 if cancelled else float("inf"),
        "written": len(written),
        "torch": "torch" in sys.modules,
    }


def pump(application: Any, seconds: float, ready: Any) -> None:
    """Run the event loop for some time or until `ready()`."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end and not ready():
        application.processEvents()
        time.sleep(0.0005)


def longest_gap(ticks: list[float]) -> float:
    """Return the longest time between two ticks, ms."""
    return max((b - a) * 1e3 for a, b in itertools.pairwise(ticks)) if len(ticks) > 1 else float("inf")


if __name__ == "__main__":
    main()
