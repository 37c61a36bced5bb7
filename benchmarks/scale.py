"""Cost of a field in runs of 10 to 10,000 small fields, with one worker and two.

    python benchmarks/scale.py [--json] [--quick] [--largest N]

Fields of 128 px are written, segmented from given masks, and measured: the cost of the machinery itself, in which a
network's seconds would hide what grows. Start-up of workers is left out: it is the time to the first result.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

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
    args = parser.parse_args()
    largest = 100 if args.quick else args.largest
    sizes = [n for n in (10, 100, 1000, 10_000) if n <= largest]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_fields(folder, max(sizes))
        (folder / "recipe.toml").write_text(RECIPE)
        costs = {}
        print(f"{'fields':>8s}{'workers':>9s}{'first, s':>10s}{'s per field':>13s}{'client, MB':>12s}")
        for n in sizes:
            for workers in (1, 2):
                first, cost = run(folder, n, workers)
                costs[n, workers] = cost
                print(f"{n:8d}{workers:9d}{first:10.2f}{cost:13.4f}{peak_memory_mb():12.0f}")
    if args.json:
        print(
            json.dumps(
                {
                    "cost_ratio_largest_to_smallest": round(costs[sizes[-1], 1] / costs[sizes[0], 1], 3),
                    "two_worker_speedup": round(costs[sizes[-1], 1] / costs[sizes[-1], 2], 2),
                    "fields_per_s": round(1 / costs[sizes[-1], 2], 2),
                    "largest": sizes[-1],
                }
            )
        )


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


def run(folder: Path, n: int, workers: int) -> tuple[float, float]:
    """Return the seconds to the first result, and those per field after it."""
    times: list[float] = []
    started = time.perf_counter()
    run_recipe(
        folder / "recipe.toml", folder / f"out-{n}-{workers}", jobs=workers, limit=n,
        listener=lambda *_: times.append(time.perf_counter() - started),
    )  # fmt: skip
    return times[0], (times[-1] - times[0]) / (n - 1)


if __name__ == "__main__":
    main()
