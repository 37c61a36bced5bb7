"""Slider step and playback with 5,000 cells over 20,000 frames of 1024 x 1024 pixels.

    python benchmarks/overlay.py [--json] [--quick] [--cells 5000] [--frames 20000]

Opens a viewer; without a screen it starts its own. A step is
`dims.set_current_step` to a random frame: slicing of all layers, overlays, time of the session. Drawing
comes after it and is measured beside it: on a machine without a graphics card it is mostly the software
OpenGL. All ms are CPU time of the main thread, so that other programs do not count. The movie alone is
measured in the same run, in turns with the overlays: what napari itself takes for a movie of this size.

Keys of the last line, with activity and flashes over the movie: `step_p95_ms`, `step_median_ms`,
`draw_p95_ms`; `movie_alone_p95_ms`, `movie_alone_median_ms`: the step without overlays; `overlay_median_ms`:
what the overlays add to it; `play_fps`: frames per second in order for which the main thread has the time,
step and drawing together; `play_wall_fps`: frames per second that were in fact shown, none left out, the
software OpenGL's threads and everything else on the machine included.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from screen import ensure_screen

os.environ.setdefault("NAPARI_BIOFM_ENGINE", "inline")
SIZE, FRAME_RATE = 1024, 30.0


class CyclicMovie:
    """A long movie that repeats 16 frames, so that 20,000 of them need no 20 GB."""

    ndim, dtype = 3, np.dtype(np.uint8)

    def __init__(self, n_frames: int) -> None:
        self.base = np.random.default_rng(0).integers(0, 60, (16, SIZE, SIZE)).astype(np.uint8)
        self.shape = (n_frames, SIZE, SIZE)
        self.size = n_frames * SIZE * SIZE

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if isinstance(first, slice):
            return self.base[np.arange(*first.indices(self.shape[0])) % 16][(slice(None), *rest)]
        return self.base[int(first) % 16][tuple(rest)]


def cells_on_a_grid(n: int) -> np.ndarray:
    """Return (SIZE, SIZE) labels of n discs."""
    side = int(np.ceil(np.sqrt(n)))
    pitch = SIZE / side
    y, x = np.mgrid[:SIZE, :SIZE]
    row, column = (y / pitch).astype(int), (x / pitch).astype(int)
    distance = np.hypot(y - (row + 0.5) * pitch, x - (column + 0.5) * pitch)
    labels = row * side + column + 1
    return np.where((distance < 0.4 * pitch) & (labels <= n), labels, 0).astype(np.int32)


def measure(step: Callable[[int], None], frames: np.ndarray) -> tuple[np.ndarray, float]:
    """Return (n, 2) CPU ms of each step and of its drawing, and steps per second of wall time."""
    from qtpy.QtWidgets import QApplication

    cpu = []
    start = time.perf_counter()
    for frame in frames:
        before = time.thread_time()
        step(int(frame))
        between = time.thread_time()
        QApplication.processEvents()
        cpu.append([1e3 * (between - before), 1e3 * (time.thread_time() - between)])
    return np.array(cpu), len(frames) / (time.perf_counter() - start)


def open_scene(n: int, n_frames: int) -> tuple[Any, Any]:
    """Return a viewer and a timeline dock with a movie, n cells, their traces and 40 events each."""
    import napari

    from napari_biofm.signals import Recording
    from napari_biofm.timeline import Clock
    from napari_biofm.types import EVENT_DTYPE
    from napari_biofm.widgets.common.viewers import layer_id
    from napari_biofm.widgets.timeline import TimelineDock

    rng = np.random.default_rng(1)
    viewer: Any = napari.Viewer()  # it gets add_labels at run time
    viewer.window.resize(1400, 1000)
    movie = viewer.add_image(CyclicMovie(n_frames), name="movie", contrast_limits=(0, 255))
    viewer.add_labels(cells_on_a_grid(n), name="cells", visible=False)
    dock = TimelineDock(viewer)
    viewer.window.add_dock_widget(dock, name="Timeline")
    traces = [rng.normal(0, 1, n_frames).astype(np.float32) for _ in range(64)]
    cells = [[traces[i % 64] for i in range(n)]]
    recording = Recording.from_arrays(cells, FRAME_RATE, "dF/F", labels=np.arange(1, n + 1))
    uid = dock.session.add_recording(recording, "traces")
    dock.session.set_clock(layer_id(movie), Clock.from_rate(n_frames, FRAME_RATE))
    events = np.zeros(40 * n, EVENT_DTYPE)
    events["time_s"] = rng.uniform(0, n_frames / FRAME_RATE, len(events))
    events["channel"], events["class"] = rng.integers(0, n, len(events)), "calcium"
    dock.session.set_events(uid, events, {})
    return viewer, dock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--quick", action="store_true", help="fewer steps")
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--frames", type=int, default=20_000)
    args = parser.parse_args()
    ensure_screen()
    viewer, dock = open_scene(args.cells, args.frames)
    steps = 40 if args.quick else 400
    frames = np.random.default_rng(2).integers(0, args.frames, steps)
    played = np.arange(args.frames // 4, args.frames // 4 + steps)
    print(f"{args.cells} cells x {args.frames} frames of {SIZE} x {SIZE} pixels, {steps} steps each")
    scenes = {
        "movie alone": (False, False),
        "activity": (True, False),
        "flashes": (False, True),
        "both": (True, True),
    }
    if args.quick:
        scenes = {name: scenes[name] for name in ("movie alone", "both")}
    found: dict[str, list[np.ndarray]] = {name: [] for name in scenes}
    rows: dict[str, dict[str, float]] = {}

    def step(frame: int) -> None:
        viewer.dims.set_current_step(0, frame)

    for turn in range(2):  # in turns: what changes on the machine meanwhile meets all of them
        for name, (activity, flashes) in scenes.items():
            dock.show_panel.show_activity.setChecked(activity)
            dock.show_panel.show_flashes.setChecked(flashes)
            measure(step, frames[:5])
            cpu, _ = measure(step, frames[turn::2])
            found[name].append(cpu)
            if turn == 1 and name in ("movie alone", "both"):
                ordered, wall = measure(step, played)
                rows[name] = {"fps": 1e3 / float(ordered.sum(axis=1).mean()), "wall": wall}
    for name, parts in found.items():
        cpu = np.concatenate(parts)
        middle, high = np.median(cpu, axis=0), np.percentile(cpu, 95, axis=0)
        row = rows.setdefault(name, {})
        row |= {"step": float(middle[0]), "step95": float(high[0]), "draw95": float(high[1])}
        words = f"step {middle[0]:6.2f} ms, p95 {high[0]:6.2f}; draw {middle[1]:6.2f}, p95 {high[1]:6.2f}"
        play = f"; play {row['fps']:5.1f} frames/s of CPU, {row['wall']:5.1f} shown" if "fps" in row else ""
        print(f"{name:12s} {words}{play}")
    viewer.close()
    if args.json:
        both, alone = rows["both"], rows["movie alone"]
        keys = {
            "step_p95_ms": both["step95"],
            "play_fps": both["fps"],
            "play_wall_fps": both["wall"],
            "step_median_ms": both["step"],
            "draw_p95_ms": both["draw95"],
            "movie_alone_p95_ms": alone["step95"],
            "movie_alone_median_ms": alone["step"],
            "overlay_median_ms": both["step"] - alone["step"],
        }
        print(json.dumps({key: round(value, 2) for key, value in keys.items()}))


if __name__ == "__main__":
    main()
