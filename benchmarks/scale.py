"""Cost of a field in runs of 10 to 10,000 small fields, with one worker and two.

    python benchmarks/scale.py [--json] [--quick] [--largest N]

Fields of 128 px are written, segmented from given masks, and measured: the cost of the machinery itself, in which a
network's seconds would hide what grows. Start-up is left out: the time until every
worker has given a result, and the first field of each. On a machine
that does other things, seconds of CPU say more than the clock: `two_worker_speedup_of_free_cores` is what two cores give that
do nothing else. `two_runs_speedup` is what the machine itself gives: two runs of one worker each beside each other, which
share nothing but the machine. Cores that share caches, memory or a thread give less than two.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_biofm.batch.run import run_recipe
from napari_biofm.engine.memory import peak_memory_mb

RECIPE = '[input]\nimages = ["fields"]\nmasks = "masks"\n[output]\nthumbnails = 8\n[[step]]\ndo = "measure"\n'


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--quick", action="store_true", help="up to 100 fields")
    parser.add_argument("--largest", type=int, default=1000, help="number of fields of the largest run")
    parser.add_argument(
        "--turns", type=int, default=3, help="measurements of the speed-up, whose median counts"
    )
    parser.add_argument("--two-at-last", action="store_true", help="the largest run with two workers only")
    args = parser.parse_args()
    largest = 100 if args.quick else args.largest
    sizes = [n for n in (10, 100, 1000, 10_000) if n <= largest]
    costs: dict[tuple[int, int], Cost] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_fields(folder, max(sizes))
        (folder / "recipe.toml").write_text(RECIPE)
        print(
            f"{'fields':>8s}{'workers':>9s}{'first, s':>10s}{'s a field':>11s}{'CPU of worker':>15s}{'CPU of client':>15s}"
            f"{'tables, s':>11s}{'worker, MB':>12s}{'client, MB':>12s}{'kB a field':>12s}"
        )
        for n in sizes:
            for workers in (1, 2) if n < sizes[-1] or not args.two_at_last else (2,):
                cost = costs[n, workers] = run(folder, n, workers)
                print(
                    f"{n:8d}{workers:9d}{cost.first:10.2f}{cost.field:11.4f}{cost.worker_cpu:15.4f}{cost.client_cpu:15.4f}"
                    f"{cost.tables:11.2f}{cost.worker_mb:12.0f}{cost.client_mb:12.0f}{cost.kb:12.1f}",
                    flush=True,
                )
        both = max(n for n, workers in costs if workers == 1)
        turns = []
        print(f"in turns, s a field of {both} fields: one worker, two workers, two runs of one worker each")
        for turn in range(args.turns):
            alone, pair = (run(folder, both, workers, f"-turn{turn}").field for workers in (1, 2))
            turns.append((alone, pair, beside(folder, both, turn)))
            print("  ".join(f"{seconds:.4f}" for seconds in turns[-1]), flush=True)
        two, apart = np.median([(one / pair, one / runs) for one, pair, runs in turns], axis=0)
    if args.json:
        large, small = costs[sizes[-1], 2], costs[sizes[0], 2]
        spent = large.worker_cpu + large.client_cpu
        print(
            json.dumps(
                {
                    "cost_ratio_largest_to_smallest": round(spent / (small.worker_cpu + small.client_cpu), 3),
                    "two_worker_speedup": round(float(two), 2),
                    "two_worker_speedup_of_free_cores": round(2 * costs[both, 1].worker_cpu / (
                        costs[both, 2].worker_cpu + costs[both, 2].client_cpu), 2),
                    "two_runs_speedup": round(float(apart), 2),
                    "fields_per_s": round(1 / large.field, 2),
                    "largest": sizes[-1],
                }
            )
        )  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """What a run cost: seconds until every worker gave a result and per field after that (wall clock), seconds of CPU per field of
    workers and of this process, seconds for the tables at the end, peak memory, disk per field.
    """

    first: float
    field: float
    worker_cpu: float
    client_cpu: float
    tables: float
    worker_mb: float
    client_mb: float
    kb: float


def write_fields(folder: Path, n: int) -> None:
    """Write fields of ten cells each, with their masks."""
    rng = np.random.default_rng(0)
    (folder / "fields").mkdir()
    (folder / "masks").mkdir()
    y, x = np.mgrid[:128, :128]
    masks = np.zeros((128, 128), np.uint16)
    for label, (cy, cx) in enumerate(np.argwhere(np.ones((2, 5))) * (60, 24) + (30, 16), 1):
        masks[(y - cy) ** 2 + (x - cx) ** 2 < 64] = label
    for i in range(n):
        image = (120 * (masks > 0) + rng.integers(0, 40, masks.shape)).astype(np.uint8)
        tifffile.imwrite(folder / "fields" / f"f{i:05d}.tif", image)
        tifffile.imwrite(folder / "masks" / f"f{i:05d}_mask.tif", masks, compression="zlib")


def beside(folder: Path, n: int, turn: int) -> float:
    """Seconds per field of two runs of one worker each, on n fields each, beside each other."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        both = list(pool.map(run, [folder] * 2, [n] * 2, [1] * 2, [f"-{turn}a", f"-{turn}b"]))
    return 1 / sum(1 / cost.field for cost in both)


def run(folder: Path, n: int, workers: int, name: str = "") -> Cost:
    """Run on n fields; `name` tells runs of the same size apart."""
    times: list[float] = []
    cpu: list[float] = []
    seen: set[int] = set()
    begun = 0  # results until every worker has given one
    started = time.perf_counter()

    def hear(_done: int, _total: int, row: dict[str, Any]) -> None:
        nonlocal begun
        times.append(time.perf_counter() - started)
        cpu.append(time.process_time())
        if row.get("process") not in seen:
            seen.add(row.get("process", 0))
            begun = len(times) - 1

    result = run_recipe(
        folder / "recipe.toml", folder / f"out-{n}-{workers}{name}", jobs=workers, limit=n, listener=hear
    )
    first: set[int] = set()  # processes whose first item was seen: their start-up is in it
    n_rows, worker_cpu, worker_mb = 0, 0.0, 0.0
    for row in result.rows:
        if row["state"] == "done" and row["process"] in first:
            n_rows += 1
            worker_cpu += float(row["cpu_seconds"])
            worker_mb = max(worker_mb, float(row["peak_memory_mb"]))
        elif row["state"] == "done":
            first.add(row["process"])
    worker_cpu /= n_rows
    begun = min(begun, n - 2)
    client_cpu = (cpu[-1] - cpu[begun]) / (n - 1 - begun) - (worker_cpu if workers == 1 else 0)
    disk = sum(p.stat().st_size for p in result.out.rglob("*") if p.is_file())
    return Cost(
        times[begun], (times[-1] - times[begun]) / (n - 1 - begun), worker_cpu, max(client_cpu, 0.0),
        time.perf_counter() - started - times[-1], worker_mb, peak_memory_mb(),
        disk / n / 1e3,
    )  # fmt: skip


if __name__ == "__main__":
    main()
