"""The trace viewer beside pyqtgraph's own downsampling and matplotlib: first draw, pan, memory, lost extrema.

    python benchmarks/traces.py [--quick] [--json]

4 channels x 30 M int16 samples on a memory map (`--quick`: 4 x 3 M), 1250 x 850 pixels, and a heatmap of
2,000 cells x 20,000 frames. The file is made with a fixed seed in a temporary folder. Each viewer runs in
a process of its own, so that its memory is its own. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RATE = 100_000.0
N_CHANNELS = 4
SIZE = (1250, 850)
PANS = 40
VIEWERS = ("ours", "pyqtgraph", "matplotlib", "heatmap")


def make_file(path: Path, n: int) -> None:
    """Write (n, 4) int16 noise with lone spikes that a picked sample would miss."""
    data = np.lib.format.open_memmap(path, "w+", np.int16, (n, N_CHANNELS))
    rng = np.random.default_rng(0)
    for start in range(0, n, 1_000_000):
        piece = rng.integers(-300, 300, (min(1_000_000, n - start), N_CHANNELS)).astype(np.int16)
        for channel in range(N_CHANNELS):
            piece[rng.integers(0, len(piece), 5), channel] = rng.integers(2000, 30_000, 5)
        data[start : start + len(piece)] = piece
    data.flush()


def windows(n: int) -> dict[str, tuple[float, list[float]]]:
    """Return per kind of view its length and where it pans to, in seconds."""
    rng = np.random.default_rng(1)
    whole = n / RATE
    kinds = {"full": 0.9 * whole, "10 s": min(10.0, whole / 3), "1 s": min(1.0, whole / 9)}
    return {
        name: (length, [float(s) for s in rng.uniform(0, whole - length, PANS)])
        for name, length in kinds.items()
    }


def rss_mb() -> float:
    """Return this process's resident memory in MB."""
    import psutil

    return psutil.Process().memory_info().rss / 1e6


def measure(
    first_draw: Callable[[], float],
    pan: Callable[[float, float], None],
    seen: Callable[[], tuple[float, float]],
    data: Any,
    n: int,
) -> dict[str, Any]:
    """Time the first draw and pans, weigh the memory, count lost extrema of channel 0."""
    before = rss_mb()
    cpu = time.process_time()
    result: dict[str, Any] = {"first_draw_s": first_draw()}
    result["first_draw_cpu_s"] = time.process_time() - cpu
    pans, lost = {}, 0
    for name, (length, starts) in windows(n).items():
        times = []
        for start in starts:
            begin = time.process_time()
            pan(start, start + length)
            times.append(1e3 * (time.process_time() - begin))
        pans[name] = float(np.percentile(times, 95))
    result["memory_mb"] = rss_mb() - before
    for length, starts in windows(n).values():
        for start in starts[:15]:
            pan(start, start + length)
            first, last = int(np.ceil(start * RATE)), min(n, int((start + length) * RATE))
            there = data[first:last, 0]
            low, high = seen()
            lost += int(low > there.min()) + int(high < there.max())
    return {**result, "pan_p95_ms": max(pans.values()), "pans_ms": pans, "lost_extrema": lost}


def run_ours(path: Path) -> dict[str, Any]:
    """Measure the plots of the trace dock."""
    from qtpy.QtWidgets import QApplication

    app = QApplication([])
    import pyqtgraph  # noqa: F401  imported before the clock starts, as in every viewer here
    from scipy import signal  # noqa: F401

    from napari_biofm.signals.recorded import Channel
    from napari_biofm.signals.recording import Recording
    from napari_biofm.signals.samples import InterleavedSamples
    from napari_biofm.widgets.trace.plots import TracePlots

    data = np.load(path, mmap_mode="r")
    n = len(data)
    channels = tuple(Channel(f"IN {i}", "pA", RATE) for i in range(N_CHANNELS))
    samples = InterleavedSamples(data, np.array([[0, n]]), [(1.0, 0.0)] * N_CHANNELS)
    recording = Recording(channels, samples, np.zeros(1))
    plots = TracePlots()
    plots.resize(*SIZE)
    plots.show()
    app.processEvents()

    def first_draw() -> float:
        begin = time.perf_counter()
        plots.set_recording(recording)
        while plots.event_loop_task.is_busy:
            app.processEvents()
        plots.canvas.repaint()
        app.processEvents()
        return time.perf_counter() - begin

    def pan(start: float, stop: float) -> None:
        plots.rows[0].view.setXRange(start, stop, padding=0)
        plots.canvas.viewport().repaint()

    def seen() -> tuple[float, float]:
        front = plots.rows[0].front
        assert front is not None
        y = front.getData()[1]
        return float(y.min()), float(y.max())

    return measure(first_draw, pan, seen, data, n)


def run_pyqtgraph(path: Path) -> dict[str, Any]:
    """Measure PlotDataItem with automatic peak downsampling and clipping, its best settings."""
    import pyqtgraph as pg
    from qtpy.QtWidgets import QApplication

    app = QApplication([])
    data = np.load(path, mmap_mode="r")
    n = len(data)
    widget = pg.GraphicsLayoutWidget()
    widget.resize(*SIZE)
    widget.show()
    app.processEvents()
    curves: list[Any] = []
    plots: list[Any] = []

    def first_draw() -> float:
        begin = time.perf_counter()
        times = np.arange(n) / RATE
        for channel in range(N_CHANNELS):
            plot = widget.addPlot(row=channel, col=0)
            plot.setDownsampling(auto=True, mode="peak")
            plot.setClipToView(True)
            if plots:
                plot.setXLink(plots[0])
            curves.append(plot.plot(times, data[:, channel].astype(np.float32), pen="w"))
            plots.append(plot)
        app.processEvents()
        widget.viewport().repaint()
        return time.perf_counter() - begin

    def pan(start: float, stop: float) -> None:
        plots[0].setXRange(start, stop, padding=0)
        widget.viewport().repaint()

    def seen() -> tuple[float, float]:
        y = curves[0].getData()[1]
        return float(y.min()), float(y.max())

    return measure(first_draw, pan, seen, data, n)


def run_matplotlib(path: Path) -> dict[str, Any]:
    """Measure matplotlib fed by our pyramid (it has none of its own)."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    from napari_biofm.signals.pyramid import build_pyramids, scaled_envelope
    from napari_biofm.signals.recorded import Channel
    from napari_biofm.signals.recording import Recording
    from napari_biofm.signals.samples import InterleavedSamples
    from napari_biofm.types import run_task

    data = np.load(path, mmap_mode="r")
    n = len(data)
    channels = tuple(Channel(f"IN {i}", "pA", RATE) for i in range(N_CHANNELS))
    samples = InterleavedSamples(data, np.array([[0, n]]), [(1.0, 0.0)] * N_CHANNELS)
    recording = Recording(channels, samples, np.zeros(1))
    figure, axes = plt.subplots(N_CHANNELS, 1, sharex=True, figsize=(SIZE[0] / 100, SIZE[1] / 100), dpi=100)
    lines = [axis.plot([], [], lw=1)[0] for axis in axes]
    pyramids: list[Any] = []

    def pan(start: float, stop: float) -> None:
        for line, pyramid in zip(lines, pyramids, strict=True):
            e = scaled_envelope(pyramid.envelope(int(start * RATE), int(stop * RATE), SIZE[0]), (1.0, 0.0))
            line.set_data(np.repeat(e.starts / RATE, 2), np.column_stack([e.minima, e.maxima]).ravel())
        axes[0].set_xlim(start, stop)
        figure.canvas.draw()

    def first_draw() -> float:
        begin = time.perf_counter()
        pyramids.extend(run_task(build_pyramids(recording, 0, range(N_CHANNELS))))
        for axis in axes:
            axis.set_ylim(-1000, 31_000)
        pan(0, n / RATE)
        return time.perf_counter() - begin

    def seen() -> tuple[float, float]:
        y = lines[0].get_ydata()
        return float(y.min()), float(y.max())

    return measure(first_draw, pan, seen, data, n)


def run_heatmap(_: Path) -> dict[str, Any]:
    """Measure the heatmap of 2,000 cells x 20,000 frames."""
    from qtpy.QtWidgets import QApplication

    app = QApplication([])
    from napari_biofm.signals import Recording
    from napari_biofm.widgets.trace.heatmap import CellHeatmap

    n_frames = 20_000
    traces = np.random.default_rng(0).exponential(0.1, (2000, n_frames)).astype(np.float16)
    recording = Recording.from_arrays(traces, 30.0, "dF/F", labels=np.arange(1, 2001))
    heatmap = CellHeatmap()
    heatmap.resize(*SIZE)
    heatmap.show()
    app.processEvents()
    begin = time.perf_counter()
    heatmap.set_recording(recording)
    while heatmap.event_loop_task.is_busy:
        app.processEvents()
    heatmap.canvas.viewport().repaint()
    first = time.perf_counter() - begin
    rng = np.random.default_rng(1)
    pans = {}
    for name, share in (("full", 0.9), ("tenth", 0.1)):
        times = []
        for start in rng.uniform(0, n_frames / 30 * (1 - share), PANS):
            begin = time.process_time()
            heatmap.view.setXRange(start, start + share * n_frames / 30, padding=0)
            heatmap.canvas.viewport().repaint()
            times.append(1e3 * (time.process_time() - begin))
        pans[name] = float(np.percentile(times, 95))
    return {"first_draw_s": first, "pan_p95_ms": max(pans.values()), "pans_ms": pans}


def main() -> None:
    """Run every viewer in a process of its own and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="4 x 3 M samples instead of 4 x 30 M")
    parser.add_argument(
        "--json", action="store_true", help="kept for the common call; JSON is always printed"
    )
    parser.add_argument("--viewer", choices=VIEWERS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.viewer:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        print(json.dumps(globals()[f"run_{options.viewer}"](options.file)))
        return
    n = 3_000_000 if options.quick else 30_000_000
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "traces.npy"
        make_file(path, n)
        for viewer in VIEWERS:
            call = [sys.executable, __file__, "--viewer", viewer, "--file", str(path)]
            done = subprocess.run(call, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{viewer} failed:\n{done.stderr}")
            found[viewer] = json.loads(done.stdout.splitlines()[-1])
            with contextlib.suppress(OSError):
                path.open("rb").close()
    print(f"{N_CHANNELS} x {n / 1e6:g} M int16, {SIZE[0]} x {SIZE[1]} px; pan: ms of CPU, 95th percentile")
    heads = (
        ("first draw s", 13),
        ("of it CPU", 11),
        ("memory MB", 11),
        ("full", 8),
        ("10 s", 8),
        ("1 s", 8),
        ("lost", 7),
    )
    print(" " * 28 + "".join(f"{text:>{width}}" for text, width in heads))
    for viewer, name in (("ours", "napari-biofm"), ("pyqtgraph", "pyqtgraph, own downsampling"),
                         ("matplotlib", "matplotlib + our pyramid")):  # fmt: skip
        f = found[viewer]
        pans = "".join(f"{f['pans_ms'][k]:8.1f}" for k in ("full", "10 s", "1 s"))
        print(
            f"{name:28}{f['first_draw_s']:13.2f}{f['first_draw_cpu_s']:11.2f}{f['memory_mb']:11.0f}{pans}{f['lost_extrema']:7d}"
        )
    heat = found["heatmap"]
    print(
        f"heatmap, 2,000 x 20,000: first draw {heat['first_draw_s']:.2f} s, pan {heat['pan_p95_ms']:.1f} ms"
    )
    keys = ("first_draw_s", "first_draw_cpu_s", "pan_p95_ms", "memory_mb", "lost_extrema")
    line: dict[str, Any] = {k: found["ours"][k] for k in keys}
    for viewer in ("pyqtgraph", "matplotlib"):
        line |= {f"{viewer}_{k}": found[viewer][k] for k in keys}
    line |= {"heatmap_pan_p95_ms": heat["pan_p95_ms"], "heatmap_first_draw_s": heat["first_draw_s"]}
    print(json.dumps({k: round(v, 3) for k, v in line.items()}))


if __name__ == "__main__":
    main()
