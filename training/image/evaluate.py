"""Measure weights on the validation part, through the real inference code with default settings.

``python training/image/evaluate.py [--weights FILE] [--what masks clicks states] [--out scores.json]``
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from napari_biofm.images.embedded.model import EmbeddedModel  # noqa: E402
from napari_biofm.types import SegmentationParameters, run_task  # noqa: E402
from training.image.data import index, load_pair  # noqa: E402
from training.image.metrics import average_precision  # noqa: E402


def masks(model: EmbeddedModel, data: Path, validation: float, most: int | None = None) -> dict[str, Any]:
    """AP per modality of the validation pictures, with the error of the estimated diameter."""
    rows: dict[str, list[Any]] = defaultdict(list)
    table = index(data, validation)
    table = table[table.part == "validation"]
    for row in table.groupby("kind").head(most or len(table)).itertuples():
        image, truth = load_pair(data, row)
        started = time.perf_counter()
        found = run_task(model.segment(image, SegmentationParameters()))
        seconds = time.perf_counter() - started
        scores = average_precision(truth, found.masks)
        areas = np.bincount(truth.ravel())[1:]
        ratio = (found.diameter or np.nan) / np.median(np.sqrt(areas * 4 / np.pi))
        rows[row.kind].append((row.stem, scores, ratio, seconds, int(truth.max()), int(found.masks.max())))
    return {kind: _summary(values) for kind, values in rows.items()}


def _summary(values: list[Any]) -> dict[str, Any]:
    scores = np.array([v[1] for v in values])
    return {
        "n": len(values),
        "objects": int(sum(v[4] for v in values)),
        "ap50": round(float(scores[:, 0].mean()), 4),
        "ap": round(float(scores.mean()), 4),
        "log2_diameter_error": round(float(np.nanmean(np.abs(np.log2([v[2] for v in values])))), 3),
        "seconds": round(float(np.mean([v[3] for v in values])), 3),
        "images": {v[0]: [round(float(v[1][0]), 3), round(float(v[1].mean()), 3), round(float(v[2]), 2), v[4], v[5]] for v in values},
    }


def main() -> int:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=ROOT / "training/image/config.toml")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--what", nargs="+", default=["masks"], choices=("masks", "clicks", "states"))
    parser.add_argument("--most", type=int, help="pictures per modality")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    config = tomllib.loads(arguments.config.read_text())
    data, share = (ROOT / config["data"]).resolve(), config["data_set"]["validation"]
    model = EmbeddedModel(arguments.weights, threads=arguments.threads)
    scores: dict[str, Any] = {}
    if "masks" in arguments.what:
        scores["masks"] = masks(model, data, share, arguments.most)
    text = json.dumps(scores, indent=1)
    if arguments.out:
        arguments.out.write_text(text + "\n")
    sys.stdout.write(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
