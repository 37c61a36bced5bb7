"""How long the Cells dock takes from a click to the recoloured image.

    python benchmarks/cells.py [--json] [--quick]

`refit_ms`: all of 10,000 cells x 256 are labelled, one label changes, the head is refitted from its former
weights and all cells are predicted. `click_to_colour_ms`: 100,000 cells x 256 in a viewer, 300 labelled, one
more label until napari has drawn the plane again. Medians of several clicks; needs a screen (xvfb-run).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from typing import Any

import numpy as np

from napari_biofm.cells.live import LiveHead, prepare

N_CLASSES = 5


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
    import napari
    from qtpy.QtWidgets import QApplication

    from napari_biofm.cells.table import add_block, make_table
    from napari_biofm.session import session_of
    from napari_biofm.widgets.cells import CellsDock
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
    session = session_of(viewer)
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


def settle(application: Any, seconds: float = 0.6) -> None:
    """Let timers of the dock run out between clicks."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        application.processEvents()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--quick", action="store_true", help="fewer clicks")
    options = parser.parse_args()
    repeats = 5 if options.quick else 20
    found = {**time_refit(10_000, 2 * repeats), **time_clicks(100_000, repeats)}
    for name, value in found.items():
        print(f"{name:24s} {value:8.1f}")
    if options.json:
        print(json.dumps({name: round(value, 2) for name, value in found.items()}))


if __name__ == "__main__":
    main()
