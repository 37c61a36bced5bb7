"""How long the Cells dock takes from a click to the recoloured image, and whether its window stands still.

    python benchmarks/cells.py [--json] [--quick]

`refit_ms`: all of 10,000 cells x 256 are labelled, one label changes, the head is refitted from its former
weights and all cells are predicted. `click_to_colour_ms`: 100,000 cells x 256 in a viewer, 300 labelled, one
more label until napari has drawn the plane again. Medians of several clicks; needs a screen (or Xvfb).

`stall_ms`: 100,000 cells x 256 in a viewer, jobs in the worker process and refits on their thread as for a
user; dock opened, cells opened, PCA, three classes by three clicks, lists, another confidence, a lasso, UMAP
(where umap-learn is installed; stopped after half a minute, or run to its end with `--umap`). It is the longest
gap between two ticks of a 5 ms timer on the GUI thread, and `stall_step` the step it fell in. Repaints in a gap
are left out: how long one takes is a matter of napari and the graphics driver, and told beside it (`repaint_ms`,
longest of all; with software OpenGL it exceeds everything else). `idle_stall_ms` is the longest gap while
nothing happens: what the machine itself does to the timer. Told apart is what
happens once: `dock_stall_ms` for building the dock's widgets, their imports included, and `open_stall_ms` for the
cells in it, in which napari adds the Labels layer of the classes; `napari_layer_ms` is what adding an empty
Labels layer of 8 x 8 pixels costs in the same viewer without any of this.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from types import SimpleNamespace
from typing import Any

import numpy as np

from napari_biofm.cells.live import LiveHead, prepare
from screen import ensure_screen

N_CLASSES = 5
ONCE = ("napari's layer", "dock", "open")  # steps whose stall is told apart


def clouds(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors (n, d) of overlapping classes, and the classes."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(N_CLASSES, d)) * 0.25
    codes = rng.integers(0, N_CLASSES, n)
    return (centres[codes] + rng.normal(size=(n, d))).astype(np.float32), codes


def time_refit(n: int, repeats: int) -> dict[str, float]:
    vectors, codes = clouds(n, 256)
    start = time.perf_counter()
    prepared = prepare(vectors)
    prepare_ms = 1e3 * (time.perf_counter() - start)
    head = LiveHead(prepared)
    labels = codes.copy()
    start = time.perf_counter()
    head.refit(labels)
    first_ms = 1e3 * (time.perf_counter() - start)
    rng = np.random.default_rng(1)
    times = []
    for _ in range(repeats):
        row = rng.integers(n)
        labels[row] = (labels[row] + 1) % N_CLASSES
        start = time.perf_counter()
        head.refit(labels)
        times.append(1e3 * (time.perf_counter() - start))
    return {"prepare_ms": prepare_ms, "first_fit_ms": first_ms, "refit_ms": statistics.median(times)}


def time_clicks(n: int, repeats: int) -> dict[str, float]:
    os.environ["NAPARI_BIOFM_ENGINE"] = "inline"
    from qtpy.QtWidgets import QApplication

    from napari_biofm.widgets.cells import CellsDock
    from napari_biofm.widgets.viewers import layer_id, viewer_session

    viewer, layer, table, codes = field_of(n)
    session = viewer_session(viewer)
    session.set_cells(layer_id(layer), table)
    dock = CellsDock(viewer)
    viewer.window.add_dock_widget(dock, name="Cells")
    states = dock.states
    states.use_blocks("encoder")
    for i in range(N_CLASSES):
        states.add_class(f"class {i}")
    rng = np.random.default_rng(0)
    first = rng.choice(n, 300, replace=False)
    states.assign_names({states.table.obs["cell_id"].iloc[r]: f"class {codes[r]}" for r in first})
    settle(QApplication)
    times = []
    for row in rng.choice(n, repeats, replace=False):
        start = time.perf_counter()
        states.assign([row], int(codes[row]))
        QApplication.processEvents()
        times.append(1e3 * (time.perf_counter() - start))
        settle(QApplication)
    session.close()
    viewer.close()
    return {
        "click_to_colour_ms": statistics.median(times),
        "click_to_colour_p95_ms": float(np.percentile(times, 95)),
    }


def field_of(n: int) -> tuple[Any, Any, Any, np.ndarray]:
    """Return a viewer with a layer of n square cells, their table with a block of 256 columns, and classes."""
    import napari

    from napari_biofm.cells.table import add_block, make_table
    from napari_biofm.widgets.viewers import layer_id

    side = int(np.ceil(np.sqrt(n)))
    size = 10 * side
    y, x = np.mgrid[:size, :size].astype(np.int32)
    labels = (y // 10) * side + x // 10 + 1
    labels[(y % 10 >= 8) | (x % 10 >= 8) | (labels > n)] = 0
    viewer = napari.Viewer(show=True)
    layer = viewer.add_labels(labels, name="cells")
    vectors, codes = clouds(n, 256)
    table = make_table(labels, layer=layer_id(layer))
    add_block(table, "encoder", vectors, {"name": "encoder"})
    table.uns["vectors"] = "encoder"
    return viewer, layer, table, codes


def watch_steps(n: int, umap_s: float) -> tuple[dict[str, dict[str, float]], float]:
    """Do what a user does with n cells; return the gaps of each step, and those of doing nothing (ms)."""
    os.environ["NAPARI_BIOFM_ENGINE"] = "worker"
    from qtpy.QtWidgets import QApplication

    from heartbeat import Heartbeat, WatchedApplication
    from napari_biofm.cells.projection import has_umap
    from napari_biofm.widgets.cells.teaching import EVERY, NEXT, RARE, SIMILAR
    from napari_biofm.widgets.viewers import layer_id, viewer_session

    application = WatchedApplication([]) if QApplication.instance() is None else QApplication.instance()
    viewer, layer, table, codes = field_of(n)
    session = viewer_session(viewer)
    session.engine.warm_up()
    heart = Heartbeat(application)
    heart.watch(lambda: None, 4)
    idle = heart.watch(lambda: None, 5)["stall_ms"]
    steps: dict[str, dict[str, float]] = {}

    def step(name: str, act: Any, seconds: float = 2.0, busy: Any = lambda: False) -> None:
        steps[name] = heart.watch(act, seconds, busy)

    step("napari's layer", lambda: viewer.add_labels(np.zeros((8, 8), np.uint8), name="small"))
    viewer.layers.remove("small")
    opened: list[Any] = []

    def open_dock() -> None:
        from napari_biofm.widgets.cells import CellsDock

        opened.append(CellsDock(viewer))
        viewer.window.add_dock_widget(opened[0], name="Cells")

    step("dock", open_dock)
    dock = opened[0]
    states, plot = dock.states, dock.plot

    def learning() -> bool:
        return bool(dock.latest.is_busy or dock.lists.is_busy)

    step("open", lambda: session.set_cells(layer_id(layer), table), 3, learning)
    step("vectors", lambda: states.use_blocks("encoder"), 3, learning)
    step("pca", lambda: dock.tabs.setCurrentWidget(plot))
    step("pca 3, 4", lambda: plot.kind.setCurrentText("PCA 3, 4"))
    step("pca 1, 2", lambda: plot.kind.setCurrentText("PCA 1, 2"))
    for i in range(3):
        step(f"class {i + 1}", lambda i=i: states.add_class(f"class {i}"))
    dock.click_button.setChecked(True)
    for code in range(3):
        row = int(np.flatnonzero(codes == code)[0])
        event = SimpleNamespace(modifiers=())

        def click(code: int = code, row: int = row, event: Any = event) -> None:
            dock.class_list.choose(code)
            dock._canvas_clicked(int(states.values[row]), event)

        step(f"click {code + 1}", click, 2.5, learning)
    some = np.random.default_rng(1).choice(np.flatnonzero(codes < 3), 300, replace=False)
    names = {table.obs["cell_id"].iloc[r]: f"class {codes[r]}" for r in some}
    step("300 labels", lambda: states.assign_names(names), 2.5, learning)
    step("confidence", lambda: dock.confidence.setValue(0.8))
    low, high = np.quantile(plot.scatter.points, (0.3, 0.7), axis=0)
    box = np.array([low, (high[0], low[1]), high, (low[0], high[1])])
    step("lasso", lambda: plot.scatter.box.drawn.emit(box))
    step("lasso of all", lambda: states.select_rows(np.arange(n)))
    step("no selection", lambda: states.select_rows([]))
    dock.tabs.setCurrentIndex(0)
    step("lasso, table shown", lambda: plot.scatter.box.drawn.emit(box))
    for which in (SIMILAR, RARE, NEXT, EVERY):
        step(f"list: {which}", lambda which=which: dock.list_box.setCurrentText(which), 2, learning)
    step("undo", dock.undo, 2.5, learning)
    if has_umap():
        dock.tabs.setCurrentWidget(plot)
        end = time.perf_counter() + umap_s
        step(
            "umap",
            lambda: plot.kind.setCurrentText("UMAP"),
            5,
            lambda: dock.job_bar.job is not None and time.perf_counter() < end,
        )
    heart.stop()
    session.close()
    viewer.close()
    return steps, idle


def settle(application: Any, seconds: float = 0.6) -> None:
    """Let timers of the dock run out between clicks."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        application.processEvents()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--quick", action="store_true", help="fewer clicks")
    parser.add_argument("--umap", action="store_true", help="wait for the end of UMAP, some minutes")
    options = parser.parse_args()
    ensure_screen()
    repeats = 5 if options.quick else 20
    steps, idle = watch_steps(100_000, 1800 if options.umap else 5 if options.quick else 30)
    worst = max((name for name in steps if name not in ONCE), key=lambda name: steps[name]["stall_ms"])
    slowest = max(steps, key=lambda name: steps[name]["repaint_ms"])
    found: dict[str, Any] = {
        **time_refit(10_000, 2 * repeats),
        **time_clicks(100_000, repeats),
        "stall_ms": steps[worst]["stall_ms"],
        "stall_step": worst,
        "repaint_ms": steps[slowest]["repaint_ms"],
        "repaint_step": slowest,
        "idle_stall_ms": idle,
        "napari_layer_ms": steps["napari's layer"]["stall_ms"],
        "dock_stall_ms": steps["dock"]["stall_ms"],
        "open_stall_ms": steps["open"]["stall_ms"],
    }
    print(f"{'step':24s} {'stall':>8s} {'repaint':>8s} {'gap':>8s}   (ms)")
    for name, row in steps.items():
        print(f"{name:24s} {row['stall_ms']:8.1f} {row['repaint_ms']:8.1f} {row['gap_ms']:8.1f}")
    for name, value in found.items():
        print(f"{name:24s} {value:8.1f}" if isinstance(value, float) else f"{name:24s} {value:>8s}")
    if options.json:
        rounded = {k: round(v, 2) if isinstance(v, float) else v for k, v in found.items()}
        print(json.dumps({**rounded, "steps": {k: round(v["stall_ms"], 1) for k, v in steps.items()}}))


if __name__ == "__main__":
    main()
