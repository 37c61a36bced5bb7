"""Train the embedded image model: ``python training/image/train.py --config training/image/config.toml``.

Two phases: the backbone (masks, scale, vectors), then the mask decoder for clicks on the frozen backbone.
Every step
draws its data from a generator seeded by (seed, phase, step), so a run that was cut off resumes exactly
(--resume).
"""

from __future__ import annotations

import argparse
import copy
import csv
import logging
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from napari_biofm.images.segment.embedded import weights  # noqa: E402
from napari_biofm.images.segment.embedded.network import Architecture, Network, pool_window  # noqa: E402
from training.image import augment, losses, negatives  # noqa: E402
from training.image.data import Picture, States, by_kind, load_pictures, load_states  # noqa: E402

log = logging.getLogger("train")
PAIR_WIDTH, QUEUE = 64, 384


class StateHeads(nn.Module):
    """Heads used while training only: one classifier per single-cell set, one projection for the pair
    loss.
    """

    def __init__(self, vector: int, classes: dict[str, int]) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.2)
        self.norm = nn.BatchNorm1d(3 * vector)
        self.classify = nn.ModuleDict({name: nn.Linear(3 * vector, n) for name, n in classes.items()})
        self.project = nn.Linear(3 * vector, PAIR_WIDTH)

    def forward(self, pooled: Tensor) -> Tensor:
        """Normalise pooled vectors (B, 3 C)."""
        out: Tensor = self.drop(self.norm(pooled))
        return out


def starting_weights(config: dict[str, Any]) -> Path:
    """Where the weights lie that a run goes on from."""
    return ROOT / Path(config["start"]).expanduser()


def beginning(config: dict[str, Any]) -> Network:
    """Build the network a run starts from: random weights, or those of the file named in `start`."""
    if "start" in config:
        return weights.unfused(weights.read(starting_weights(config)))
    return Network(Architecture.from_json(config["architecture"]))


class Sampler:
    """Draws batches: pictures by the odds of their kind, cells by set and class."""

    def __init__(self, pictures: list[Picture], states: list[States], config: dict[str, Any]) -> None:
        self.config, self.kinds = config, by_kind(pictures)
        odds = {k: v for k, v in config["data_set"]["odds"].items() if k in self.kinds}
        self.names, total = list(odds), sum(odds.values())
        self.odds = [odds[k] / total for k in self.names]
        self.states = states
        self.empty = config["data_set"].get("empty", {})
        self.grounds = self._grounds(pictures) if self.empty else []
        self.cells = []
        for s in states:
            train = np.flatnonzero(s.part == "train")
            rarity = 1 / np.sqrt(np.bincount(s.labels[train], minlength=len(s.classes)))[s.labels[train]]
            self.cells.append((train, rarity / rarity.sum()))

    def _grounds(self, pictures: list[Picture]) -> list[augment.Float]:
        rng = np.random.default_rng(self.config["seed"])
        found = [
            negatives.ground_of(p.planes, p.labels, rng)
            for p in pictures
            if p.kind in ("fluo_small", "fluo_large", "bbbc039", "phase_contrast")
        ]
        return [ground for ground in found if ground is not None]

    def _littered(self, crop: augment.Crop, rng: augment.Rng) -> augment.Crop:
        """Change a crop with cells as `data_set.empty` asks for: contrast stretched, cells faint, bars and hot pixels."""
        planes = crop.planes
        for name, change in (("overstretched", negatives.overstretch), ("faint", negatives.fade)):
            if rng.random() < self.empty.get(name, 0.0):
                planes = change(planes, crop.labels, rng)
                break
        if rng.random() < self.empty.get("littered", 0.0):
            planes = negatives.litter(planes, rng)
        return crop._replace(planes=planes * crop.valid)

    def crops(self, n: int, size: int, rng: augment.Rng) -> list[tuple[augment.Crop, bool]]:
        """Draw `n` crops and whether each is one of any scale."""
        canonical = self.config["data_set"]["canonical"]
        out: list[tuple[augment.Crop, bool]] = []
        low, high = self.config["data_set"].get("working", (canonical, canonical))
        while len(out) < n:
            if self.empty and rng.random() < self.empty["share"]:
                out.append((negatives.empty_crop(self.grounds, size, rng), False))
                continue
            kind = self.kinds[str(rng.choice(self.names, p=self.odds))]
            wide = bool(rng.random() < self.config["backbone"]["wide"])
            picture = kind[rng.integers(len(kind))]
            usual = canonical if wide else float(np.clip(picture.diameter, low, high))
            crop = augment.training_crop(picture, size, usual, wide, rng)
            out.append((self._littered(crop, rng) if self.empty else crop, wide))
        return out

    def pairs(self, n: int, rng: augment.Rng) -> tuple[list[augment.Float], list[tuple[str, int]]]:
        """Draw `n` cells in two views each: 2 n views (first all first views) and (set, class) of the
        cells.
        """
        first, second, labels = [], [], []
        for _ in range(n):
            which = int(rng.choice(len(self.states), p=_state_odds(len(self.states))))
            states, (train, odds) = self.states[which], self.cells[which]
            cell = int(train[rng.choice(len(train), p=odds)])
            first.append(augment.cell_view(states.crops[cell], self.config["backbone"]["crop"] // 2, rng))
            second.append(augment.cell_view(states.crops[cell], self.config["backbone"]["crop"] // 2, rng))
            labels.append((states.name, int(states.labels[cell])))
        return first + second, labels


def _state_odds(n: int) -> list[float]:
    return [0.55, 0.33, 0.12] if n == 3 else [1 / n] * n


def targets_of(
    crops: list[tuple[augment.Crop, bool]], small: float, touching: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Stack crops into network input and targets; crops of extreme scale weigh little on masks, small and
    touching objects much (see `losses.attention`).
    """
    planes = torch.from_numpy(np.stack([c.planes for c, _ in crops]))
    inside = torch.from_numpy(np.stack([c.labels > 0 for c, _ in crops])[:, None].astype(np.float32))
    weight = np.stack(
        [c.valid * losses.attention(c.labels, c.log_diameter, c.diameter, small, touching) for c, _ in crops]
    )[:, None]
    for row, (crop, wide) in zip(weight, crops, strict=True):
        sizes = crop.log_diameter[crop.labels > 0]
        if wide and sizes.size and not 3.2 < np.median(sizes) < 5.8:
            row *= 0.2
    return planes, {
        "flow": torch.from_numpy(np.stack([c.flow for c, _ in crops])),
        "inside": inside,
        "weight": torch.from_numpy(weight),
        "log_diameter": torch.from_numpy(np.stack([c.log_diameter for c, _ in crops])[:, None]),
    }


class Backbone:
    """State of phase one: network, heads, optimiser, running average of the weights."""

    phase = 1

    def __init__(self, config: dict[str, Any], classes: dict[str, int]) -> None:
        torch.manual_seed(config["seed"])
        self.config, self.settings, self.step = config, config["backbone"], 0
        self.device = torch.device(config.get("device", "cpu"))
        self.network = beginning(config).to(self.device).to(memory_format=torch.channels_last)
        self.heads = StateHeads(self.network.architecture.vector, classes).to(self.device)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        decay = self.settings["weight_decay"]
        parameters = [p for n, p in self.network.named_parameters() if not n.startswith("mask_decoder")]
        parameters += list(self.heads.parameters())
        self.optimiser = torch.optim.AdamW(
            [
                {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
                {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=1.0,
            betas=(0.9, 0.98),
        )
        self.queue = torch.zeros(0, PAIR_WIDTH, device=self.device)

    def update(self, sampler: Sampler) -> dict[str, float]:
        """Take one step and return its losses."""
        s, rng = self.settings, np.random.default_rng((self.config["seed"], 1, self.step))
        torch.manual_seed(self.config["seed"] * 7919 + self.step)
        self.network.train()
        self.heads.train()
        crops = sampler.crops(s["batch"], s["crop"], rng)
        planes, target = targets_of(crops, s["small"], s["touching"])
        views, labels = sampler.pairs(2 * s["mosaics"], rng) if s["mosaics"] else ([], [])
        grids = [augment.mosaic(views[i : i + 4]) for i in range(0, len(views), 4)]
        if grids:
            planes = torch.cat([planes, torch.from_numpy(np.stack(grids))])
        target = {name: values.to(self.device) for name, values in target.items()}
        levels = self.network.encode(planes.to(self.device, memory_format=torch.channels_last))
        flow, cell_prob, log_diameter, _ = self.network.decode([level[: len(crops)] for level in levels])
        parts = dict(zip(("flow", "cell"), losses.mask_losses(flow, cell_prob, target), strict=True))
        parts["scale"] = losses.scale_loss(log_diameter, target)
        total = s["flow_weight"] * parts["flow"] + parts["cell"] + s["scale_weight"] * parts["scale"]
        if grids:
            parts |= self._state_losses([level[len(crops) :] for level in levels], labels)
            total = total + s["state_weight"] * parts["state"] + s["pair_weight"] * parts["pair"]
        self._descend(total)
        return {name: float(value.detach()) for name, value in parts.items()}

    def _state_losses(self, levels: list[Tensor], labels: list[tuple[str, int]]) -> dict[str, Tensor]:
        maps = self.network.vectors(levels)
        half = maps.shape[-1] // 2
        quarters = [
            maps[:, :, :half, :half],
            maps[:, :, :half, half:],
            maps[:, :, half:, :half],
            maps[:, :, half:, half:],
        ]
        views = torch.stack(quarters, dim=1).flatten(0, 1)  # the order `mosaic` was given them in
        pooled = self.heads(pool_window(views))
        total, n = pooled.new_zeros(()), len(labels)
        for name, head in self.heads.classify.items():
            mine = [i for i, (set_name, _) in enumerate(labels) if set_name == name]
            if mine:
                rows = torch.tensor(mine + [i + n for i in mine], device=self.device)
                wanted = torch.tensor([labels[i][1] for i in mine] * 2, device=self.device)
                total = (
                    total + F.cross_entropy(head(pooled[rows]), wanted, label_smoothing=0.1) * len(mine) / n
                )
        projected = F.normalize(self.heads.project(pooled), dim=1)
        pair = losses.pair_loss(projected[:n], projected[n:], self.queue)
        self.queue = torch.cat([projected[n:].detach(), self.queue])[:QUEUE]
        return {"state": total, "pair": pair}

    def _descend(self, total: Tensor) -> None:
        rate = learning_rate(self.step, self.settings)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_([p for g in self.optimiser.param_groups for p in g["params"]], 5.0)
        self.optimiser.step()
        self.step += 1
        keep = min(self.settings["ema"], (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            pairs = zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True)
            for mean, now in pairs:
                mean.lerp_(now, 1 - keep) if mean.is_floating_point() else mean.copy_(now)

    def state(self) -> dict[str, Any]:
        """Everything needed to go on exactly."""
        return {
            "phase": self.phase,
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "heads": self.heads.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "queue": self.queue,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a stored state."""
        self.step, self.queue = int(state["step"]), state["queue"]
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.heads.load_state_dict(state["heads"])
        self.optimiser.load_state_dict(state["optimiser"])


def learning_rate(step: int, settings: dict[str, Any]) -> float:
    """Warm up linearly, stay, fall linearly to 2 % from `decay_from` to `steps`."""
    rate = float(settings["learning_rate"]) * min(1.0, (step + 1) / settings["warmup"])
    start, end = settings["decay_from"], settings["steps"]
    return rate * (1 - 0.98 * min(1.0, (step - start) / max(1, end - start))) if step > start else rate


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    torch.save(state, temporary)
    temporary.replace(path)


def run(
    trainer: Any,
    sampler: Any,
    settings: dict[str, Any],
    out: Path,
    name: str,
    resume: bool,
    until: float = np.inf,
) -> bool:
    """Step until done; append means of the losses to curves and write checkpoints.

    Returns whether all steps were taken; at `until` (seconds of the monotonic clock) it stops after a checkpoint, and
    `resume` goes on there.
    """
    checkpoint, curve = out / f"{name}.pt", out / f"{name}.csv"
    if resume and checkpoint.exists():
        place = getattr(trainer, "device", torch.device("cpu"))
        trainer.restore(torch.load(checkpoint, map_location=place, weights_only=True))
        log.info("resumed %s at step %d", name, trainer.step)
    out.mkdir(parents=True, exist_ok=True)
    recent: list[dict[str, float]] = []
    started = time.monotonic()
    while trainer.step < settings["steps"]:
        recent.append(trainer.update(sampler))
        if trainer.step % 50 == 0:
            means = {key: _mean([r[key] for r in recent]) for key in recent[-1]}
            row = {
                "step": trainer.step,
                "seconds_per_step": (time.monotonic() - started) / len(recent),
                **means,
            }
            fresh = not curve.exists()
            with curve.open("a", newline="") as stream:
                writer = csv.DictWriter(stream, list(row))
                if fresh:
                    writer.writeheader()
                writer.writerow({k: round(v, 5) for k, v in row.items()})
            log.info("%s %s", name, " ".join(f"{k} {v:.4g}" for k, v in row.items()))
            recent, started = [], time.monotonic()
        late = time.monotonic() >= until
        if late or trainer.step % settings["checkpoint_every"] == 0 or trainer.step == settings["steps"]:
            save(checkpoint, trainer.state())
        if late:
            log.info("%s stopped at step %d of %d, out of time", name, trainer.step, settings["steps"])
            return trainer.step >= settings["steps"]
    return True


def _mean(values: list[float]) -> float:
    """Mean of what is there; NaN (a round that was not played) counts as absent."""
    present = [v for v in values if not np.isnan(v)]
    return float(np.mean(present)) if present else float("nan")


def prepare(config: dict[str, Any]) -> tuple[Sampler, dict[str, int]]:
    """Load training data."""
    data = (ROOT / config["data"]).resolve()
    pictures = load_pictures(data, Path(config["cache"]).expanduser(), config["data_set"], ("train",))
    states = load_states(data)
    log.info("%d pictures, %s", len(pictures), {k: len(v) for k, v in by_kind(pictures).items()})
    return Sampler(pictures, states, config), {s.name: len(s.classes) for s in states}


def main() -> int:
    """Read the configuration and run the phases asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=ROOT / "training/image/config.toml")
    parser.add_argument("--phase", choices=("all", "backbone", "prompt"), default="all")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", default="cpu", help="cpu or cuda, of the first phase")
    parser.add_argument("--minutes", type=float, default=np.inf, help="stop after a checkpoint at this time")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    config = tomllib.loads(arguments.config.read_text()) | {"device": arguments.device}
    torch.set_num_threads(arguments.threads or config["threads"])
    out = Path(config["out"]).expanduser()
    until = time.monotonic() + 60 * arguments.minutes
    sampler, classes = prepare(config)
    if arguments.phase in ("all", "backbone"):
        backbone = Backbone(config, classes)
        settings = config["backbone"]
        if not run(backbone, sampler, settings, out, "backbone", arguments.resume, until):
            return 3
    if arguments.phase in ("all", "prompt"):
        from training.image.clicks import Clicks

        trainer = Clicks(
            config, torch.load(out / "backbone.pt", map_location="cpu", weights_only=True)["average"]
        )
        if not run(trainer, sampler, config["prompt"], out, "prompt", arguments.resume, until):
            return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
