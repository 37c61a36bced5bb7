"""Runs that are killed at a random moment and resumed: their tables equal those of an undisturbed run, row for row.

    python benchmarks/batch_kills.py [--json] [--quick] [--kills N] [--first SEED]

1,000 fields of 64 px, 50 recordings and 10 broken files (--quick: 60, 6, 4). Each seed chooses whom SIGKILL hits (a worker, the
scheduler, the client) and when, as a share of the undisturbed run. The run is on two `dask worker` processes of a `dask scheduler`
of its own, so that the three can die by themselves; it is resumed until it ends, with what died started again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile

RECIPE = """[input]
images = ["fields"]
masks = "masks"
recordings = ["signals"]
[output]
thumbnails = 4
[[step]]
do = "measure"
[[step]]
do = "events"
detector = "threshold"
kind = "psc"
"""
VICTIMS = ("worker", "scheduler", "client")
SOME_FAILED = 3


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument(
        "--quick", action="store_true", help="60 fields, 6 recordings, 4 broken files, 3 kills"
    )
    parser.add_argument("--kills", type=int, help="how many runs are killed (default 20)")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    args = parser.parse_args()
    sizes = (60, 6, 4) if args.quick else (1000, 50, 10)
    kills = args.kills or (3 if args.quick else 20)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_project(folder, *sizes)
        started = time.monotonic()
        with Cluster(folder) as cluster:
            code = start(folder, "undisturbed", cluster.address).wait()
        whole = time.monotonic() - started
        if code != SOME_FAILED:
            raise SystemExit(f"the undisturbed run ended with {code}, not {SOME_FAILED}")
        print(f"undisturbed: {whole:.1f} s")
        print(f"{'seed':>5s}{'victim':>11s}{'at, s':>8s}{'done then':>11s}{'resumed':>9s}{'equal':>7s}")
        equal = 0
        for seed in range(args.first, args.first + kills):
            told = killed(folder, seed, whole)
            equal += bool(told["equal"])
            print(
                f"{seed:5d}{told['victim']:>11s}{told['at']:8.2f}{told['done']:11d}{told['resumed']:9d}"
                f"{told['equal']!s:>7s}",
                flush=True,
            )
    if args.json:
        print(json.dumps({"kills": kills, "equal": equal, "items": sum(sizes), "first_seed": args.first}))


def write_project(folder: Path, fields: int, recordings: int, broken: int) -> None:
    """Write fields with masks, recordings, and files that cannot be read."""
    rng = np.random.default_rng(0)
    for name in ("fields", "masks", "signals"):
        (folder / name).mkdir(parents=True)
    for i in range(fields):
        masks = np.zeros((64, 64), np.uint16)
        for label in range(int(rng.integers(0, 6))):
            masks[4 + 10 * label : 11 + 10 * label, 10:20] = label + 1
        image = (100 * (masks > 0) + rng.integers(0, 20, masks.shape)).astype(np.uint8)
        tifffile.imwrite(folder / "fields" / f"f{i:05d}.tif", image)
        tifffile.imwrite(folder / "masks" / f"f{i:05d}_mask.tif", masks)
    for i in range(recordings):
        trace = rng.normal(0, 1, 5000)
        for at in rng.integers(200, 4600, 5):
            trace[at : at + 300] -= 40 * np.exp(-np.arange(300) / 40)
        np.savez(folder / "signals" / f"s{i:03d}.npz", signal=trace, sampling_rate=10_000.0, unit="pA")
    for i in range(broken):
        if i % 2:
            (folder / "signals" / f"broken{i}.npz").write_bytes(b"PK\x03\x04")
        else:
            (folder / "fields" / f"broken{i}.tif").write_bytes(b"II*\x00" + bytes(20))
    (folder / "recipe.toml").write_text(RECIPE)


class Cluster:
    """A `dask scheduler` and two `dask worker` processes.

    Parameters
    ----------
    folder : where they keep what they need.
    """

    def __init__(self, folder: Path) -> None:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        self._folder = folder
        self.scheduler = _dask(
            folder, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"
        )
        self.workers = [self._worker(), self._worker()]

    def _worker(self) -> subprocess.Popen[bytes]:
        return _dask(self._folder, "worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard")

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        for one in (*self.workers, self.scheduler):
            one.kill()
            one.wait()


def _dask(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]]
    log = (folder / "dask.log").open("ab")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment)


def start(folder: Path, out: str, address: str, *more: str) -> subprocess.Popen[bytes]:
    """Start `napari-biofm run`."""
    words = ["run", str(folder / "recipe.toml"), "--out", str(folder / out), "--scheduler", address, *more]
    with (folder / "client.log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", "napari_biofm.cli", *words], stdout=log, stderr=log)


def killed(folder: Path, seed: int, whole: float) -> dict[str, Any]:
    """Kill one of a run's processes, resume it until it ends, and compare."""
    dice = random.Random(seed)
    victim, at = dice.choice(VICTIMS), dice.uniform(0.05, 0.95) * whole
    out = f"killed-{seed}"
    with Cluster(folder) as cluster:
        client = start(folder, out, cluster.address)
        with suppress(subprocess.TimeoutExpired):
            client.wait(at)
        done = len(list((folder / out / "items").glob("[!.]*")))
        process = {"worker": dice.choice(cluster.workers), "scheduler": cluster.scheduler, "client": client}[
            victim
        ]
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        code = client.wait(600)
    resumed = 0
    while code != SOME_FAILED and resumed < 3:
        with Cluster(folder) as cluster:
            code = start(folder, out, cluster.address, "--resume").wait(600)
        resumed += 1
    same = code == SOME_FAILED and equal_tables(folder / "undisturbed", folder / out)
    return {"victim": victim, "at": at, "done": done, "resumed": resumed, "equal": same}


def equal_tables(one: Path, other: Path) -> bool:
    """Tell whether the tables of two runs are equal, row for row and bit for bit."""
    names = sorted(p.name for p in one.glob("*.parquet"))
    if names != sorted(p.name for p in other.glob("*.parquet")) or list((other / "items").glob(".*")):
        return False
    for name in names:
        try:
            pd.testing.assert_frame_equal(
                pd.read_parquet(one / name), pd.read_parquet(other / name), check_exact=True
            )
        except AssertionError:
            return False
    return True


if __name__ == "__main__":
    main()
