"""Train physio-FM: `python training/physio/train.py --config training/physio/config.toml [--resume]`.

Every step draws its own windows from a generator seeded by (seed, step), so that a resumed run continues
exactly where the interrupted one would have gone. On a GPU other processes draw (`--workers`): the simulators are numpy.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from napari_biofm.events.physio_fm.network import PhysioNetwork  # noqa: E402
from training.physio.backgrounds import Backgrounds  # noqa: E402
from training.physio.drawing import Windows  # noqa: E402
from training.physio.loss import losses, total  # noqa: E402
from training.physio.real import Real  # noqa: E402


class Trainer:
    """Network, optimiser, weight average and the step they are at."""

    def __init__(
        self,
        config: dict[str, Any],
        real: Real | None,
        behind: Backgrounds | None = None,
        device: str = "cpu",
        workers: int = 0,
    ) -> None:
        self.windows = Windows(config, real, behind, workers)
        torch.manual_seed(config["seed"])
        self.config, self.step, self.device = config, 0, torch.device(device)
        self.spent = 0.0  # share of the time there is, where there is a limit
        self.net = PhysioNetwork(**config["model"]).to(self.device)
        self.average = copy.deepcopy(self.net).eval()
        decayed = [p for p in self.net.parameters() if p.ndim > 1]
        plain = [p for p in self.net.parameters() if p.ndim <= 1]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": config["weight_decay"]},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=config["learning_rate"],
            betas=(0.9, 0.98),
        )

    def learning_rate(self) -> float:
        """Warm up, then fall as a cosine to two percent, by steps or by the time there is, what is further."""
        c = self.config
        if self.step < c["warmup"]:
            return float(c["learning_rate"] * (self.step + 1) / c["warmup"])
        u = min(1.0, max(self.spent, (self.step - c["warmup"]) / max(1, c["steps"] - c["warmup"])))
        return float(c["learning_rate"] * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * u))))

    def advance(self) -> dict[str, float]:
        """Take one step; return the losses."""
        c = self.config
        batch, hidden = self.windows.of(self.step, self.device)
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        self.net.train()
        found = losses(self.net(batch["inputs"], batch["tokens"], hidden), batch, hidden)
        loss = total(found)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), 2.0)
        if torch.isfinite(norm):
            self.optimiser.step()
        self.step += 1
        keep = min(c["average"], (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for a, b in zip(self.average.parameters(), self.net.parameters(), strict=True):
                a.lerp_(b, 1 - keep)
        return {k: float(v.detach()) for k, v in found.items()} | {
            "loss": float(loss.detach()),
            "norm": float(norm),
        }

    def save(self, path: Path) -> None:
        """Write everything needed to go on."""
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
        }
        torch.save(state, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def begin_from(self, path: Path) -> None:
        """Take shipped weights as the first ones; the optimiser starts afresh."""
        weights = {name: tensor.float() for name, tensor in load_file(path).items()}
        self.net.load_state_dict(weights)
        self.average.load_state_dict(weights)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path, weights_only=True, map_location=self.device)
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]


def main() -> int:
    """Train as the configuration says; return 3 where a call ended before the training did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument(
        "--start",
        type=Path,
        help="shipped weights (safetensors) to begin from, with a new schedule; with --resume: without a checkpoint",
    )
    parser.add_argument("--threads", type=int)
    parser.add_argument(
        "--until", type=int, help="stop after this step (the schedule stays that of the configuration)"
    )
    parser.add_argument(
        "--minutes", type=float, help="end the schedule after this time, whatever the number of steps"
    )
    parser.add_argument(
        "--call-minutes", type=float, help="end this call then, with a checkpoint; --resume goes on"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw windows; 0: this one")
    arguments = parser.parse_args()
    config = tomllib.loads(arguments.config.read_text())
    torch.set_num_threads(arguments.threads or config["threads"])
    torch.set_flush_denormal(True)
    out, real = Path(config["out"]), None
    if config.get("data"):
        real = Real(Path(config["data"]), Path(config["cache"]))
    behind = Backgrounds(Path(config["data"])) if config.get("backgrounds") else None
    trainer = Trainer(config, real, behind, arguments.device, arguments.workers)
    if arguments.start:
        trainer.begin_from(arguments.start)
    if arguments.resume and ((out / "last.pt").exists() or not arguments.start):
        trainer.load(out / "last.pt")
    out.mkdir(parents=True, exist_ok=True)
    curve, start = (out / "curve.jsonl").open("a"), time.monotonic()
    sums: dict[str, list[float]] = {}
    stop = arguments.until or config["steps"]
    while trainer.step < stop and trainer.spent < 1:
        if arguments.minutes:
            trainer.spent = (time.monotonic() - start) / 60 / arguments.minutes
        for k, v in trainer.advance().items():
            sums.setdefault(k, []).append(v)
        if trainer.step % 50 == 0:
            row = {"step": trainer.step, "minutes": round((time.monotonic() - start) / 60, 2)}
            row |= {k: round(float(np.mean(v)), 5) for k, v in sums.items()}
            curve.write(json.dumps(row) + "\n")
            curve.flush()
            sums = {}
        if trainer.step % config["checkpoint_every"] == 0 or trainer.step == stop or trainer.spent >= 1:
            trainer.save(out / "last.pt")
        if arguments.call_minutes and time.monotonic() - start > 60 * arguments.call_minutes:
            break
    trainer.save(out / "last.pt")
    trainer.windows.close()
    return 0 if trainer.step >= stop or trainer.spent >= 1 else 3


if __name__ == "__main__":
    sys.exit(main())
