"""Calibrate how many spikes physio-FM counts: the gain of a cell's rate, and the band of the rate.

`python training/physio/counts.py --weights src/napari_biofm/weights/physio.safetensors` writes `rate_gain` and `rate_band` into the JSON
beside the weights. Fitted on the even kept-back cells and the even simulated ones of `hard.py`; told are the odd ones.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from napari_biofm.events.physio_fm import PhysioFM, weights  # noqa: E402
from napari_biofm.events.physio_fm.calcium import rate_describes  # noqa: E402
from napari_biofm.files import write_text  # noqa: E402
from training.physio.calibrate import rate_band  # noqa: E402
from training.physio.hard import INDICATORS, indicator_cells  # noqa: E402
from training.physio.real import Real  # noqa: E402

LIMITS = (-1.9, 0.9)  # of the logarithm of the gain
ROBUST = 0.1  # distance from which a cell counts less


def fit(described: NDArray[Any], wanted: NDArray[Any]) -> dict[str, Any]:
    """Return the numbers of a gain: a robust (least absolute) regression, slightly held back."""
    middle, spread = described.mean(0), described.std(0) + 1e-9
    columns = np.column_stack([np.ones(len(described)), (described - middle) / spread])
    weight, best = np.ones(len(wanted)), np.zeros(columns.shape[1])
    for _ in range(30):
        held = np.diag([0.0] + [1.0] * described.shape[1])
        best = np.linalg.solve(columns.T @ (columns * weight[:, None]) + held, columns.T @ (weight * wanted))
        weight = 1 / np.maximum(np.abs(wanted - columns @ best), ROBUST)
    return {
        "middle": middle.round(5).tolist(), "spread": spread.round(5).tolist(),
        "weights": best[1:].round(5).tolist(), "bias": round(float(best[0]), 5), "limits": list(LIMITS),
    }  # fmt: skip


def main() -> None:
    """Fit, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=ROOT / "src/napari_biofm/weights/physio.safetensors")
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data/ephys")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs/physio/cache")
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    card = weights.read_card(arguments.weights)
    card.pop("rate_gain", None)
    model = PhysioFM(arguments.weights, threads=1)
    model.use(model.network(), card)
    real = Real(arguments.data, arguments.cache, "val")
    rows = []
    cells = [(name, i, *cell[:3]) for i, (*cell, name) in enumerate(real.cells)]
    cells += [(name, i, *cell) for name in INDICATORS for i, cell in enumerate(indicator_cells(name))]
    for name, i, dff, fs, spikes in cells:
        if len(spikes) >= 3 and len(dff) >= 100:
            rate = np.nan_to_num(model.rate(dff[None], fs)[0])
            rows.append((name, i, rate_describes(rate)[0], rate.mean(), len(spikes) * fs / len(dff)))
    even = np.array([r[1] % 2 == 0 for r in rows])
    described = np.stack([r[2] for r in rows])
    said, true = (np.array([r[k] for r in rows]) for k in (3, 4))
    card["rate_gain"] = fit(described[even], np.log(true / np.maximum(said, 1e-3))[even])
    table = card["rate_gain"]
    shape = (described - np.array(table["middle"])) / np.array(table["spread"])
    gain = np.exp(np.clip(shape @ np.array(table["weights"]) + table["bias"], *LIMITS))
    report = {}
    for name in dict.fromkeys(r[0] for r in rows):
        mine = np.array([r[0] == name for r in rows]) & ~even
        if mine.any():
            before, after = (float(np.median(v[mine] / true[mine])) for v in (said, said * gain))
            report[name] = [round(before, 3), round(after, 3)]
            sys.stdout.write(f"{name:40s} predicted / true, median: before {before:.2f}, after {after:.2f}\n")
    model.use(model.network(), card)
    card["rate_band"] = rate_band(model, real)
    card["report"]["counts"] = report
    write_text(arguments.weights.with_suffix(".json"), json.dumps(card, indent=1) + "\n")


if __name__ == "__main__":
    main()
