"""Traces of 2,000 cells over 20,000 frames of 512 x 512 pixels, streamed: time, memory, cancel.

    python benchmarks/calcium.py [--quick] [--json]

Writes a movie of uint16 (10.5 GB; `--quick`: 600 frames) to a temporary folder and measures every cell with
neuropil, motion check and dF/F: from a memory map in full, and the first 2,000 frames (`--quick`: 200) from
Zarr and Dask, whose traces must equal those of the map. Memory is what the process holds above what it held
before, peak over all steps, beside the traces themselves, which are the result. Cancel is the longest wait
between two steps: a job stops there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

SIZE, RATE, N_CELLS = 512, 30.0, 2000


def cells_on_a_grid(n: int) -> np.ndarray:
    """Return (SIZE, SIZE) int32 labels of n discs of about 40 pixels with room for neuropil around some."""
    side = int(np.ceil(np.sqrt(n)))
    pitch = SIZE / side
    y, x = np.mgrid[:SIZE, :SIZE]
    row, column = (y / pitch).astype(int), (x / pitch).astype(int)
    far = np.hypot(y - (row + 0.5) * pitch, x - (column + 0.5) * pitch)
    labels = row * side + column + 1
    return np.where((far < 0.32 * pitch) & (labels <= n), labels, 0).astype(np.int32)


def write_movie(path: Path, labels: np.ndarray, n_frames: int) -> np.memmap:
    """Write shot noise, and a transient of each cell at a frame of its own, every 600 frames."""
    rng = np.random.default_rng(0)
    movie = np.lib.format.open_memmap(path, "w+", np.uint16, (n_frames, SIZE, SIZE))
    noise = rng.poisson(200, (64, SIZE, SIZE)).astype(np.uint16)
    at = rng.integers(0, 600, labels.max() + 1)
    for start in range(0, n_frames, 64):
        frames = np.arange(start, min(start + 64, n_frames))
        lit = np.exp(-((frames[:, None] - at) % 600) / 15.0) * (labels.max() > 0)
        lit[:, 0] = 0
        movie[frames[0] : frames[-1] + 1] = noise[: len(frames)] + (150 * lit[:, labels]).astype(np.uint16)
    movie.flush()
    return np.load(path, mmap_mode="r")


def resident_mb() -> float:
    """Return this process's resident memory in MB."""
    import psutil

    return float(psutil.Process().memory_info().rss) / 1e6


def run(movie: Any, labels: np.ndarray) -> tuple[Any, dict[str, float]]:
    """Extract the traces and return them with what it took."""
    from napari_biofm.signals.calcium import extract_traces

    before, peak, longest = resident_mb(), 0.0, 0.0
    begin, cpu = time.perf_counter(), time.process_time()
    last, task = begin, extract_traces(movie, labels, RATE)
    while True:
        try:
            next(task)
        except StopIteration as end:
            traces = end.value
            break
        now = time.perf_counter()
        last, longest = now, max(longest, now - last)
        peak = max(peak, resident_mb())
    peak = max(peak, resident_mb())
    held = sum(one.nbytes for one in (traces.raw, traces.neuropil, traces.dff)) / 1e6
    n = len(traces.dff[0])
    spent = time.perf_counter() - begin
    return traces, {
        "frames": n,
        "seconds": spent,
        "cpu_s": time.process_time() - cpu,
        "frames_per_s": n / spent,
        "memory_mb": peak - before,
        "traces_mb": held,
        "cancel_s": longest,
    }


def main() -> None:
    """Run the three sources and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="600 frames instead of 20,000")
    parser.add_argument(
        "--json", action="store_true", help="kept for the common call; JSON is always printed"
    )
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import dask.array as da
    import zarr

    n, some = (600, 200) if options.quick else (20_000, 2000)
    labels = cells_on_a_grid(N_CELLS)
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        print(f"writing {n} frames ...", file=sys.stderr)
        movie = write_movie(Path(folder) / "movie.npy", labels, n)
        stored = zarr.create_array(
            Path(folder) / "movie.zarr", shape=(some, SIZE, SIZE), chunks=(32, SIZE, SIZE), dtype="uint16"
        )
        for start in range(0, some, 32):
            stored[start : min(start + 32, some)] = movie[start : min(start + 32, some)]
        first, found["memory map"] = run(movie, labels)
        for name, source in (
            ("Zarr", stored),
            ("Dask", da.from_array(movie[:some], chunks=(32, SIZE, SIZE))),
        ):
            traces, found[name] = run(source, labels)
            if not np.allclose(traces.raw, first.raw[:, :some], rtol=1e-5):
                sys.exit(f"the traces from {name} differ from those of the memory map")
    print(f"{labels.max()} cells, {SIZE} x {SIZE} pixels")
    keys = ("frames", "seconds", "cpu_s", "frames_per_s", "memory_mb", "traces_mb", "cancel_s")
    print(" " * 12 + "".join(f"{key:>14}" for key in keys))
    for name, one in found.items():
        print(f"{name:12}" + "".join(f"{one[key]:14.1f}" for key in keys))
    print(json.dumps({key: round(found["memory map"][key], 3) for key in keys}))


if __name__ == "__main__":
    main()
