"""Write a checkpoint as the weights the package ships: ``python training/image/export.py``."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from napari_biofm.images.segment.embedded import weights  # noqa: E402
from napari_biofm.images.segment.embedded.network import Architecture, Network  # noqa: E402
from training.image.train import beginning, starting_weights  # noqa: E402

VERSION = "1.2"
INFERENCE = {"canonical": 22.0, "working": [22.0, 48.0], "keep_native": True, "cellprob_shift": 0.15}
LICENCE = (
    "BSD-3-Clause; trained on CC0-1.0, MIT, BSD-3-Clause and CC-BY-4.0 data, see training/image/REPORT.md"
)


def load_network(config: dict[str, Any], run: Path, share: float = 1.0) -> tuple[Network, dict[str, int]]:
    """Put the averaged backbone and, where it exists, the trained mask decoder together.

    With a `share` under 1 the backbone is mixed with that of the weights the run started from, whose mask decoder stays.
    """
    backbone = torch.load(run / "backbone.pt", map_location="cpu", weights_only=True)
    steps = {"backbone": int(backbone["step"])}
    if share < 1:
        network = beginning(config)
        former, new = network.state_dict(), backbone["average"]
        mixed = {
            name: values.lerp(new[name], share)
            if values.is_floating_point() and not name.startswith("mask_decoder")
            else values
            for name, values in former.items()
        }
        network.load_state_dict(mixed)
        return network, steps
    network = Network(Architecture.from_json(config["architecture"]))
    network.load_state_dict(backbone["average"])
    if (run / "prompt.pt").exists():
        prompt = torch.load(run / "prompt.pt", weights_only=True)
        network.mask_decoder.load_state_dict(prompt["average"])
        steps["prompt"] = int(prompt["step"])
    return network, steps


def main() -> int:
    """Read a run and write safetensors and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=ROOT / "training/image/config.toml")
    parser.add_argument("--out", type=Path, default=weights.shipped())
    parser.add_argument("--report", type=Path, help="scores.json of evaluate.py, stored in the description")
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the new backbone, mixed with that the run started from"
    )
    parser.add_argument(
        "--only-report", action="store_true", help="keep the weights, store what was measured"
    )
    arguments = parser.parse_args()
    if arguments.only_report:
        described = arguments.out.with_suffix(".json")
        measured = json.loads(arguments.report.read_text())
        text = json.dumps(json.loads(described.read_text()) | {"report": measured}, indent=1)
        described.write_text(text + "\n")
        return 0
    config = tomllib.loads(arguments.config.read_text())
    network, steps = load_network(config, Path(config["out"]).expanduser(), arguments.share)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    training = {"commit": commit.stdout.strip(), "steps": steps, "seed": config["seed"]}
    if arguments.share < 1:
        training["share"] = arguments.share
    if "start" in config:
        first = weights.read(starting_weights(config))
        training["start"] = {"sha256": first.sha256, **first.config["training"]}
    described = {
        "name": "biofm-image",
        "version": VERSION,
        "licence": LICENCE,
        "training": training,
        "inference": INFERENCE | config.get("inference", {}),
        "report": json.loads(arguments.report.read_text()) if arguments.report else {},
    }
    sys.stdout.write(f"{weights.write(arguments.out, network, described)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
