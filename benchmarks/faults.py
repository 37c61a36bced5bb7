"""Faults injected by script: what is lost, left half-done, wrong or not told.

    python benchmarks/faults.py [--rounds N] [--kinds worker-killed session-killed ...] [--seed 0] [--quick] [--json]

Every kind is a function of a random generator and an empty folder that raises where the program does not do what it
promises. Kinds that kill, and those that are quick, run 100 rounds, the others 20 (`--rounds` for all, `--quick`: 3). Counted are rounds in
which the promise was kept and broken; broken ones are named with their seed. The last column should be 0.
Kinds with a window (`layer-removed`, `viewer-closed`) start a screen of their own.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from fault_kinds import KINDS, MANY, WINDOWS  # noqa: E402 - found beside this file


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, help="of every kind")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="3 rounds of every kind")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    args = parser.parse_args()
    if set(WINDOWS) & set(args.kinds):
        from screen import ensure_screen

        ensure_screen()
    print(f"{'kind':<22s}{'rounds':>7s}{'kept':>6s}{'broken':>8s}{'s':>8s}")
    found: dict[str, dict[str, int]] = {}
    for kind in args.kinds:
        rounds = args.rounds or (3 if args.quick else 100 if kind in MANY else 20)
        began, broken = time.monotonic(), []
        for number in range(rounds):
            why = one_round(kind, args.seed, number)
            if why:
                broken.append((number, why))
        found[kind] = {"rounds": rounds, "broken": len(broken)}
        seconds = time.monotonic() - began
        print(f"{kind:<22s}{rounds:7d}{rounds - len(broken):6d}{len(broken):8d}{seconds:8.1f}", flush=True)
        for number, why in broken[:5]:
            print(f"    round {number}: {why}", flush=True)
    total = sum(one["broken"] for one in found.values())
    print(f"{total} of {sum(one['rounds'] for one in found.values())} rounds broken")
    if args.json:
        print(json.dumps({"seed": args.seed, "broken": total, "kinds": found}))


def one_round(kind: str, seed: int, number: int) -> str:
    """Return why the promise was broken, "" where it was kept."""
    rng = np.random.default_rng([seed, number, *kind.encode()])
    with tempfile.TemporaryDirectory(prefix="biofm-fault-", ignore_cleanup_errors=True) as folder:
        try:
            KINDS[kind](rng, Path(folder))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            where = [
                f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)[-3:]
            ]
            return f"{type(error).__name__} at {' > '.join(where)}: {' '.join(str(error).split())[:300]}"
    return ""


if __name__ == "__main__":
    main()
