"""Times of the embedded image model: ``python benchmarks/embedded.py [--json] [--quick] [--threads 2]``.

Pictures are drawn (bright discs of 22 px on noise), so that anyone can run it; the diameter is estimated
as by default.
The last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from typing import Any

import numpy as np

from napari_biofm.engine.threads import wait_asleep
from napari_biofm.images.segment.embedded.model import EmbeddedModel
from napari_biofm.types import Prompt, run_task


def picture(size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw discs of about 22 px on a jittered lattice: image (size, size) uint16 and centres (n, 2)."""
    rng = np.random.default_rng(seed)
    image = rng.normal(400, 30, (size, size)).astype(np.float32)
    lattice = np.stack(np.meshgrid(*[np.arange(20, size - 20, 34)] * 2, indexing="ij"), -1).reshape(-1, 2)
    centres = lattice + rng.uniform(-6, 6, lattice.shape)
    yy, xx = np.mgrid[-15:16, -15:16]
    for y, x in np.round(centres).astype(int):
        radius = rng.uniform(9, 13)
        window = image[max(0, y - 15) : y + 16, max(0, x - 15) : x + 16]
        disc = (yy**2 + xx**2 < radius**2)[max(0, 15 - y) :, max(0, 15 - x) :][
            : window.shape[0], : window.shape[1]
        ]
        window += disc * rng.uniform(400, 1500)
    return np.clip(image, 0, 65535).astype(np.uint16), centres


def seconds_of(model: EmbeddedModel, size: int, repeats: int) -> dict[str, Any]:
    """Fastest and median seconds of one segmentation, warm; least seconds of the processor, all threads together."""
    image, centres = picture(size)
    found = run_task(model.segment(image))
    times, busy = [], []
    for _ in range(repeats):
        started, before = time.perf_counter(), time.process_time()
        run_task(model.segment(image))
        times.append(time.perf_counter() - started)
        busy.append(time.process_time() - before)
    return {
        f"segment_{size}_s": round(min(times), 3),
        f"segment_{size}_median_s": round(float(np.median(times)), 3),
        f"segment_{size}_processor_s": round(min(busy), 3),
        f"objects_{size}": int(found.masks.max()),
        f"drawn_{size}": len(centres),
    }


def click_times(model: EmbeddedModel, size: int, n: int) -> dict[str, float]:
    """Milliseconds of one click on a prepared picture: median and 95th percentile."""
    image, centres = picture(size)
    prepared = run_task(model.prepare(image))
    times = []
    for y, x in centres[: n + 3]:
        started = time.perf_counter()
        model.predict(prepared, Prompt(np.array([[y, x]]), np.array([True])))
        times.append(1e3 * (time.perf_counter() - started))
    return {
        f"click_{size}_p50_ms": round(float(np.median(times[3:])), 1),
        f"click_{size}_p95_ms": round(float(np.quantile(times[3:], 0.95)), 1),
    }


def main() -> int:
    """Measure, print a table and one line of JSON."""
    wait_asleep()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    started = time.perf_counter()
    model = EmbeddedModel(threads=arguments.threads)
    result: dict[str, Any] = {"load_s": round(time.perf_counter() - started, 2), "threads": arguments.threads}
    result["load_average"] = round(os.getloadavg()[0], 1)
    result |= seconds_of(model, 512, 3 if arguments.quick else 7)
    result |= click_times(model, 512, 20 if arguments.quick else 60)
    if not arguments.quick:
        result |= seconds_of(model, 2048, 2)
        result |= click_times(model, 2048, 30)
    result["peak_memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    if not arguments.json:
        sys.stdout.write("".join(f"{key:24} {value}\n" for key, value in result.items()))
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
