"""A simulated plate from cells to answers: EC50 against the truth, intervals, false hits, activity (mAP).

    python benchmarks/conditions.py [--quick] [--json]

Four compounds (one does nothing), six doses five-fold apart, three replicates, 16 controls, 500 cells a well, wells that differ by 0.1 log odds
without a reason, two dead wells; with an edge effect that is corrected, and without one. The fraction of responding cells and the event rate are
fitted. `scatter` is the standard deviation of log EC50 over plates in per cent: without an edge effect it is what wells and cells alone
make, whatever the program does. 20 plates each, seeds that no test uses; `--quick` 3.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

import napari_biofm as biofm
from napari_biofm.conditions.activity import activity
from napari_biofm.conditions.hits import hits
from napari_biofm.conditions.plates import PlateMap
from napari_biofm.simulate.plate import simulate_plate

FIRST_SEED = 1000
VALUES = ["fraction_responding", "event_rate"]


def plate(seed: int, edge: float) -> dict[str, Any]:
    simulated = simulate_plate(seed, edge=edge)
    cells, _ = biofm.join_conditions(simulated.cells, PlateMap(simulated.plate_map))
    features = ["event_rate", *[f"f{i}" for i in range(12)]]
    profiles = biofm.profiles(cells, features, classes="predicted", correct_edges=edge > 0)
    table, _ = biofm.dose_response(profiles.table, VALUES)
    truth = simulated.truth.set_index("compound")
    out: dict[str, Any] = {
        "error": {v: [] for v in VALUES},
        "inside": {v: [] for v in VALUES},
        "none": 0,
        "fitted": 0,
    }
    for row in table.to_dict("records"):
        true = truth.loc[row["compound"]]
        if not true["active"]:
            out["fitted"] += row["reason"] == ""
        elif row["reason"]:
            out["none"] += 1
        else:
            out["error"][row["value"]].append(float(np.log(row["ec50"] / true["ec50"])))
            out["inside"][row["value"]].append(row["ec50_low"] <= true["ec50"] <= row["ec50_high"])
    compared = hits(profiles, ["compound", "dose"], VALUES)
    silent = compared["compound"] == truth.index[~truth["active"].to_numpy(bool)][0]
    out["false"], out["silent"] = int(compared["hit"][silent].sum()), int(silent.sum())
    strong = (compared["dose"] == compared["dose"].max()) & ~silent
    out["found"], out["strong"] = int(compared["hit"][strong].sum()), int(strong.sum())
    ranked = activity(profiles, ["compound", "dose"])
    top = ranked[ranked["dose"] == ranked["dose"].max()].set_index("compound")
    active = truth["active"].reindex(top.index).to_numpy(bool)
    out["map_active"], out["map_silent"] = top["map"][active].tolist(), top["map"][~active].tolist()
    out["map_chance"] = top["map_by_chance"][~active].tolist()
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    result: dict[str, Any] = {}
    for edge, name in ((0.3, "edge effect, corrected"), (0.0, "no edge effect")):
        runs = [plate(FIRST_SEED + i, edge) for i in range(3 if args.quick else 20)]
        print(f"{len(runs)} plates, {name}")
        for value in VALUES:
            errors = np.concatenate([run["error"][value] for run in runs])
            inside = float(np.mean(np.concatenate([run["inside"][value] for run in runs])))
            off = np.abs(np.expm1(errors))
            print(
                f"  EC50 of {value}: {len(off)} fits, median error {100 * np.median(off):.1f} %, within 15 %: "
                f"{100 * np.mean(off <= 0.15):.0f} %, worst {100 * off.max():.1f} %, bias {100 * errors.mean():+.1f} %, scatter "
                f"{100 * errors.std():.1f} %; 95 % intervals hold the truth in {100 * inside:.0f} %"
            )
            key = f"{value}, {name}"
            result[f"ec50_within_15, {key}"] = round(float(np.mean(off <= 0.15)), 4)
            result[f"ec50_worst, {key}"], result[f"intervals_hold, {key}"] = (
                round(float(off.max()), 4),
                round(inside, 4),
            )
        false, silent = sum(run["false"] for run in runs), sum(run["silent"] for run in runs)
        found, strong = sum(run["found"] for run in runs), sum(run["strong"] for run in runs)
        maps = {
            key: float(np.mean(np.concatenate([run[key] for run in runs])))
            for key in ("map_active", "map_silent", "map_chance")
        }
        least = float(np.min(np.concatenate([run["map_active"] for run in runs])))
        print(
            f"  active compounds without a fit: {sum(run['none'] for run in runs)}; fits of the inactive one: {sum(run['fitted'] for run in runs)}"
        )
        print(
            f"  hits (q <= 0.05): {found} of {strong} at the highest dose of active compounds; {false} of {silent} false ones ({100 * false / silent:.1f} %)"
        )
        print(
            f"  mAP at the highest dose: active {maps['map_active']:.3f} (least {least:.3f}), inactive {maps['map_silent']:.3f}, by chance {maps['map_chance']:.3f}"
        )
        result[f"false_hits, {name}"] = round(false / silent, 4)
        result |= {f"{key}, {name}": round(value, 4) for key, value in maps.items()}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
