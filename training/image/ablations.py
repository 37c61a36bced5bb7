"""What single parts of the training bring: short runs from random weights, each with one part left out.

``python training/image/ablations.py --out scores.json`` (on one core about a quarter of an hour a run)

The runs are far shorter than the one behind the shipped weights (`STEPS` steps of smaller crops, the rate falling
from half way), so that they compare the parts with each other, not with the model that is shipped.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from napari_biofm.cells.embed.encoders import encode_crops  # noqa: E402
from napari_biofm.images.segment.embedded import weights  # noqa: E402
from napari_biofm.images.segment.embedded.model import EmbeddedModel  # noqa: E402
from napari_biofm.types import run_task  # noqa: E402
from training.image import states  # noqa: E402
from training.image.data import load_states  # noqa: E402
from training.image.evaluate import masks  # noqa: E402
from training.image.export import INFERENCE  # noqa: E402
from training.image.train import Backbone, prepare, run  # noqa: E402

STEPS = 1500
SHORT = {"crop": 96, "mosaics": 2, "steps": STEPS, "decay_from": STEPS // 2, "ema": 0.995}
PARTS: dict[str, dict[str, float]] = {
    "everything": {},
    "without the agreement of views": {"pair_weight": 0.0},
    "without synthetic scenes": {"synthetic": 0.0},
    "without state labels": {"state_weight": 0.0},
    "small and touching objects not weighed": {"small": 1.0, "touching": 1.0},
}


def shortened(config: dict[str, Any], left_out: dict[str, float], seed: int) -> dict[str, Any]:
    """Give the configuration of one short run."""
    changed = copy.deepcopy(config)
    changed["seed"] = seed
    changed["backbone"] |= SHORT | {k: v for k, v in left_out.items() if k != "synthetic"}
    changed["data_set"]["odds"] |= {k: v for k, v in left_out.items() if k == "synthetic"}
    return changed


def measured(trainer: Backbone, data: Path, validation: float) -> dict[str, float]:
    """AP@0.5 by modality and macro-F1 of the learned map alone, on what was kept back."""
    with tempfile.TemporaryDirectory() as folder:
        described = {"name": "ablation", "version": "0", "inference": INFERENCE}
        path = weights.write(Path(folder) / "image.safetensors", trainer.average, described)
        model = EmbeddedModel(path, threads=torch.get_num_threads())
        found = {kind: row["ap50"] for kind, row in masks(model, data, validation).items()}
        learned = 3 * model.network.architecture.vector
        for one in load_states(data):
            vectors = run_task(encode_crops(model, one.crops, 1))[:, :learned]
            found[one.name] = round(states.score(np.asarray(vectors), one), 3)
    return found


def main() -> int:
    """Train and measure every variant; what was measured before is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=ROOT / "training/image/config.toml")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    config = tomllib.loads(arguments.config.read_text())
    torch.set_num_threads(config["threads"])
    data, share = (ROOT / config["data"]).resolve(), config["data_set"]["validation"]
    scores = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for name in arguments.parts:
        if name in scores:
            continue
        changed = shortened(config, PARTS[name], arguments.seed)
        sampler, classes = prepare(changed)
        trainer = Backbone(changed, classes)
        with tempfile.TemporaryDirectory() as folder:
            run(trainer, sampler, changed["backbone"], Path(folder), "backbone", resume=False)
        scores[name] = measured(trainer, data, share)
        arguments.out.write_text(json.dumps(scores, indent=1) + "\n")
    sys.stdout.write(json.dumps(scores, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
