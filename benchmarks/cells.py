"""How long the Cells dock takes from a click to the recoloured image, and whether its window stands still.

    python benchmarks/cells.py [--json] [--quick] [--rounds N] [--umap]

`refit_ms`: all of 10,000 cells x 256 are labelled, one label changes, the head is refitted from its former
weights and all cells are predicted. `click_to_colour_ms`: 100,000 cells x 256 in a viewer, 300 labelled, one
more label until napari has drawn the plane again. Medians of several clicks; needs a screen (or Xvfb).

`edit_512_px_ms`, `edit_1024_px_ms`, `edit_4096_px_ms`: the same two cells painted over, in the same 400 cells, in images
of these sides, until the table says what the masks are.

`stall_ms`: 100,000 cells x 256 in a viewer, jobs in the worker process and refits on their thread as for a
user; dock opened (with its imports), cells opened, every tab, PCA, three classes by three clicks, 300 labels,
lists, another confidence, a lasso around some and around all, UMAP (where umap-learn is installed; stopped after
half a minute, or run to its end with `--umap`). It is the longest gap between two ticks of a 5 ms timer on the
GUI thread, and `stall_step` the step it fell in. `cpu_ms` is what the GUI thread itself did between two ticks,
time on a processor: what of the stall is left where nobody else wants the machine.

What is not the dock's own is left out of these and told beside them: repaints (`repaint_ms`, longest of all; with
software OpenGL it exceeds everything else); `class_layer_ms`, in which napari adds the layer of the classes when
cells are opened; `collector_ms`, the longest run of Python's garbage collector, which looks at all objects of
napari; and what comes before this dock, `napari_cells_layer_ms` for opening the masks of the cells, the first Labels
layer of this napari, and `napari_small_layer_ms` for a second one, empty, of 8 x 8 pixels. `gap_ms` has all of it.
`idle_stall_ms` is the longest gap while nothing happens: what the machine itself does to the timer. With `--rounds`,
each in a process of its own, every number is the smallest of them: other programs only ever make it larger. The
load says how busy the machine was.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import numpy as np

from screen import ensure_screen

N_CLASSES = 5


def clouds(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors (n, d) of overlapping classes, and the classes."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(N_CLASSES, d)) * 0.25
    codes = rng.integers(0, N_CLASSES, n)
    return (centres[codes] + rng.normal(size=(n, d))).astype(np.float32), codes


def time_refit(n: int, repeats: int) -> dict[str, float]:
    from napari_biofm.cells.classify.live import LiveHead, prepare

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
    from napari_biofm.widgets.common.viewers import layer_id, viewer_session

    viewer, layer = field_of(n)
    table, codes = table_of(layer, n)
    session = viewer_session(viewer)
    session.set_cells(layer_id(layer), table)
    frame = CellsDock(viewer)
    viewer.window.add_dock_widget(frame, name="Cells")
    states = frame.content.states
    states.use_embeddings("encoder")
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


def time_edits(sides: tuple[int, ...], repeats: int) -> dict[str, float]:
    """Return the time of one cell painted over until the table has it (ms), in images of different sizes.

    The cells and the edit are the same, only the empty image around them grows; the job is done in this process.
    """
    from napari_biofm.actions import EditLabels
    from napari_biofm.cells.table.cell_table import make_table
    from napari_biofm.engine import InlineEngine
    from napari_biofm.images.edit.labels_edit import ArrayTarget, LabelsEdit, Patch
    from napari_biofm.session import Session
    from napari_biofm.teaching.cell_tables import CellTables
    from napari_biofm.teaching.pixels import Region

    found = {}
    few = masks_of(400)
    for side in sides:
        labels = np.zeros((side, side), np.int32)
        labels[: few.shape[0], : few.shape[1]] = few
        image = np.random.default_rng(0).normal(100, 10, labels.shape).astype(np.float32)
        pixels = SimpleNamespace(
            labels=lambda _, labels=labels: labels,
            name=lambda _: "field",
            plane_in_view=lambda _: (),
            images=lambda *_, image=image: {"image": Region(image)},
        )
        session = Session(InlineEngine())
        tables = CellTables(session, pixels, lambda: None, list)
        session.attach_labels(ArrayTarget(labels, "cells"))
        session.set_cells("cells", make_table(labels, image=image, layer="cells"))
        session.label_index("cells").ensure()
        times = []
        for i in range(repeats + 1):
            region = (slice(20, 26), slice(20, 30))
            before = labels[region].copy()
            patch = Patch.between((20, 20), before, np.full_like(before, 43 + i % 2))
            start = time.perf_counter()
            if patch is not None:
                session.do(EditLabels(LabelsEdit("cells", "paint", (patch,))))
            tables.flush()
            times.append(1e3 * (time.perf_counter() - start))
        found[f"edit_{side}_px_ms"] = statistics.median(times[1:])
    return found


def masks_of(n: int) -> np.ndarray:
    """Return masks of n square cells."""
    side = int(np.ceil(np.sqrt(n)))
    size = 10 * side
    y, x = np.mgrid[:size, :size].astype(np.int32)
    labels = (y // 10) * side + x // 10 + 1
    labels[(y % 10 >= 8) | (x % 10 >= 8) | (labels > n)] = 0
    return labels


def field_of(n: int) -> tuple[Any, Any]:
    """Return a viewer with a layer of n square cells."""
    import napari

    viewer: Any = napari.Viewer(show=True)  # it gets add_labels at run time
    return viewer, viewer.add_labels(masks_of(n), name="cells")


def table_of(layer: Any, n: int) -> tuple[Any, np.ndarray]:
    """Return the table of these cells, with a block of 256 columns, and classes."""
    from napari_biofm.cells.table.cell_table import add_embedding, make_table
    from napari_biofm.widgets.common.viewers import layer_id

    vectors, codes = clouds(n, 256)
    table = make_table(layer.data, layer=layer_id(layer))
    add_embedding(table, "encoder", vectors, {"name": "encoder"})
    table.uns["vectors"] = "encoder"
    return table, codes


def watch_steps(n: int, umap_s: float) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Do what a user does with n cells; return the gaps of each step, and what was measured beside (ms)."""
    os.environ["NAPARI_BIOFM_ENGINE"] = "worker"
    import napari
    from napari.components import ViewerModel
    from qtpy.QtWidgets import QApplication

    from heartbeat import Heartbeat, WatchedApplication

    application = QApplication.instance() or WatchedApplication([])
    assert isinstance(application, WatchedApplication)
    viewer: Any = napari.Viewer(show=True)  # it gets add_labels at run time
    heart = Heartbeat(application)
    heart.watch(lambda: None, 4)
    beside = {"idle_stall_ms": heart.watch(lambda: None, 5)["stall_ms"]}
    steps: dict[str, dict[str, float]] = {}

    def step(name: str, act: Any, seconds: float = 2.0, busy: Any = lambda: False) -> None:
        steps[name] = heart.watch(act, seconds, busy)

    masks, small = masks_of(n), np.zeros((8, 8), np.uint8)
    found = heart.watch(lambda: viewer.add_labels(masks, name="cells"), 3)
    beside["napari_cells_layer_ms"] = found["stall_ms"]
    found = heart.watch(lambda: viewer.add_labels(small, name="small"))
    beside["napari_small_layer_ms"] = found["stall_ms"]
    del viewer.layers["small"]
    layer, opened = viewer.layers["cells"], []

    def open_dock() -> None:
        from napari_biofm.widgets.cells import CellsDock

        opened.append(CellsDock(viewer))
        viewer.window.add_dock_widget(opened[0], name="Cells")

    start = time.perf_counter()
    step("dock", open_dock, 1, lambda: not opened[0].is_open)
    beside["dock_open_ms"] = 1e3 * (time.perf_counter() - start)
    dock = opened[0].content
    from napari_biofm.cells.classify.projection import has_umap
    from napari_biofm.teaching.cell_lists import EVERY, NEXT, RARE, SIMILAR
    from napari_biofm.widgets.cells.dock import FILES, PLOT, SCORES, TIME, VALUES
    from napari_biofm.widgets.common.viewers import layer_id

    table, codes = table_of(layer, n)
    session, states = dock.session, dock.states
    session.engine.warm_up()
    heart.watch(lambda: None, 2)

    def learning() -> bool:
        return bool(dock.latest.is_busy or dock.lists.is_busy)

    adding = heart.aside(ViewerModel, "add_layer")
    step("open", lambda: session.set_cells(layer_id(layer), table), 3, learning)
    beside["class_layer_ms"] = 1e3 * adding.wall_s
    step("vectors", lambda: states.use_embeddings("encoder"), 3, learning)
    for name in (PLOT, SCORES, TIME, VALUES, FILES):
        at = next(i for i in range(dock.tabs.count()) if dock.tabs.tabText(i) == name)
        step(f"tab {name}", lambda at=at: dock.tabs.setCurrentIndex(at))
    plot = dock.plot
    step("pca", lambda: dock.tabs.setCurrentWidget(plot))
    step("pca 3, 4", lambda: plot.kind.setCurrentText("PCA 3, 4"))
    step("pca 1, 2", lambda: plot.kind.setCurrentText("PCA 1, 2"))
    for i in range(3):
        step(f"class {i + 1}", lambda i=i: states.add_class(f"class {i}"))
    dock.form.click_button.setChecked(True)
    for code in range(3):
        row = int(np.flatnonzero(codes == code)[0])

        def click(code: int = code, row: int = row) -> None:
            dock.form.class_list.choose(code)
            dock.controller.click(int(states.values[row]))

        step(f"click {code + 1}", click, 2.5, learning)
    some = np.random.default_rng(1).choice(np.flatnonzero(codes < 3), 300, replace=False)
    names = {table.obs["cell_id"].iloc[r]: f"class {codes[r]}" for r in some}
    step("300 labels", lambda: states.assign_names(names), 2.5, learning)
    step("confidence", lambda: dock.form.confidence.setValue(0.8))
    low, high = np.quantile(plot.scatter.points, (0.3, 0.7), axis=0)
    box = np.array([low, (high[0], low[1]), high, (low[0], high[1])])
    step("lasso", lambda: plot.scatter.box.drawn.emit(box))
    step("lasso of all", lambda: plot.scatter.box.drawn.emit(1e6 * (box - box.mean(0))))
    step("no selection", lambda: states.select_rows([]))
    dock.tabs.setCurrentIndex(0)
    step("lasso, table shown", lambda: plot.scatter.box.drawn.emit(box))
    step("all, table shown", lambda: states.select_rows(np.arange(n)))
    states.select_rows(some)
    for which in (SIMILAR, RARE, NEXT, EVERY):
        step(f"list: {which}", lambda which=which: dock.list_box.setCurrentText(which), 2, learning)
    step("undo", dock.undo, 2.5, learning)
    if has_umap():
        dock.tabs.setCurrentWidget(plot)
        umap_steps, told = watch_umap(heart, dock, umap_s)
        steps.update(umap_steps)
        beside.update(told)
    heart.stop()
    beside["collector_ms"] = 1e3 * heart.collecting.longest_s
    session.close()
    viewer.close()
    return steps, beside


def watch_umap(heart: Any, dock: Any, umap_s: float) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Run UMAP for some time or to its end; return gaps at its start, while it runs and when it arrives."""
    ends: list[float] = []
    show = dock.plot.scatter.set_points

    def arrived(points: Any, names: tuple[str, str]) -> None:
        if names[0].startswith("UMAP"):
            ends.append(time.perf_counter())
        show(points, names)

    dock.plot.scatter.set_points = arrived
    start = time.perf_counter()
    row = heart.watch(
        lambda: dock.plot.kind.setCurrentText("UMAP"),
        5,
        lambda: dock.job_bar.bulk.job is not None and time.perf_counter() < start + umap_s,
    )
    repaint = {"repaint_ms": row["repaint_ms"]}
    told: dict[str, float] = {}
    memory = peak_memory_mb(dock.session.engine.worker_pid)
    if ends:
        told["umap_s"] = ends[0] - start
        told["umap_worker_mb"] = memory
        heart.run(2)
    last = ends[0] - 0.05 if ends else np.inf
    steps = {
        "umap starts": {**heart.longest(start, start + 5), **repaint},
        "umap runs": {**heart.longest(start + 5, last), **repaint},
    }
    if ends:
        steps["umap arrives"] = {**heart.longest(last), **repaint}
    return steps, told


def peak_memory_mb(pid: int | None) -> float:
    """Return the most memory a process has held so far, where the system tells (Linux), else NaN."""
    try:
        with open(f"/proc/{pid}/status") as lines:
            told = dict(line.split(":", 1) for line in lines)
    except OSError:
        return float("nan")
    return int(told["VmHWM"].split()[0]) / 1024


def settle(application: Any, seconds: float = 0.6) -> None:
    """Let timers of the dock run out between clicks."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        application.processEvents()


def measure(quick: bool, umap: bool) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Return the gaps of each step, and all other numbers."""
    repeats = 5 if quick else 20
    steps, beside = watch_steps(100_000, 3600 if umap else 5 if quick else 30)
    edits = time_edits((512, 1024, 4096) if not quick else (512, 2048), repeats)
    return steps, {**time_refit(10_000, 2 * repeats), **time_clicks(100_000, repeats), **edits, **beside}


def smallest(rounds: list[tuple[dict[str, dict[str, float]], dict[str, float]]]) -> Any:
    """Return steps and numbers of several rounds, the smallest of each."""
    steps = {
        name: {key: min(steps[name][key] for steps, _ in rounds if name in steps) for key in row}
        for name, row in rounds[0][0].items()
    }
    return steps, {key: min(row[key] for _, row in rounds) for key in rounds[0][1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--quick", action="store_true", help="fewer clicks")
    parser.add_argument("--umap", action="store_true", help="wait for the end of UMAP, some minutes")
    parser.add_argument(
        "--rounds", type=int, default=1, help="measure so often, and keep the smallest numbers"
    )
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    ensure_screen()
    if options.one:
        print(json.dumps(measure(options.quick, options.umap)))
        return
    loads = [os.getloadavg()[0]] if hasattr(os, "getloadavg") else []
    rounds = []
    for i in range(options.rounds):
        asked = ["--quick"] * options.quick + ["--umap"] * (options.umap and i == 0)
        command = [sys.executable, "-W", "ignore", __file__, "--one", *asked]
        out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        rounds.append(json.loads(out.strip().splitlines()[-1]))
        loads += [os.getloadavg()[0]] if hasattr(os, "getloadavg") else []
    steps, numbers = smallest(rounds)
    worst = max(steps, key=lambda name: steps[name]["stall_ms"])
    busiest = max(steps, key=lambda name: steps[name]["cpu_ms"])
    slowest = max(steps, key=lambda name: steps[name]["repaint_ms"])
    found: dict[str, Any] = {
        **numbers,
        "stall_ms": steps[worst]["stall_ms"],
        "stall_step": worst,
        "cpu_ms": steps[busiest]["cpu_ms"],
        "cpu_step": busiest,
        "dock_stall_ms": steps["dock"]["stall_ms"],
        "open_stall_ms": steps["open"]["stall_ms"],
        "repaint_ms": steps[slowest]["repaint_ms"],
        "repaint_step": slowest,
        "rounds": options.rounds,
        "load_from": min(loads, default=float("nan")),
        "load_to": max(loads, default=float("nan")),
    }
    print(f"{'step':24s} {'stall':>8s} {'cpu':>8s} {'repaint':>8s} {'gap':>8s}   (ms)")
    for name, row in steps.items():
        print(f"{name:24s}" + "".join(f" {row[f'{k}_ms']:8.1f}" for k in ("stall", "cpu", "repaint", "gap")))
    for name, value in found.items():
        print(f"{name:24s} {value:>8.1f}" if isinstance(value, float) else f"{name:24s} {value:>8}")
    if options.json:
        rounded = {k: round(v, 2) if isinstance(v, float) else v for k, v in found.items()}
        by_step = {
            f"{what}_steps": {k: round(v[f"{what}_ms"], 1) for k, v in steps.items()}
            for what in ("stall", "cpu")
        }
        print(json.dumps({**rounded, **by_step}))


if __name__ == "__main__":
    main()
