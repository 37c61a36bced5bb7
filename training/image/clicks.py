"""Phase two: teach the mask decoder to answer clicks, on features of the frozen backbone.

Features of a pool of augmented crops are computed once; a person is then simulated on them: a first click
inside an
object (or a box), then clicks in the middle of the largest mistake (the protocol of Sofiiuk et al., RITM,
2021).
"""

from __future__ import annotations

import copy
import logging
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage as ndi
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from napari_biofm.images.segment.embedded.clicks import WINDOW, basins_of, prompt_planes
from napari_biofm.images.segment.embedded.network import fuse
from training.image.train import Sampler, beginning, learning_rate

log = logging.getLogger("train")


class Scene(NamedTuple):
    """Frozen features (C + 3, h, w) fp16, basins (h, w), labels (2 h, 2 w), labels worth clicking on."""

    features: NDArray[np.float16]
    basins: NDArray[np.int32]
    labels: NDArray[np.int32]
    objects: NDArray[np.int64]


class Session(NamedTuple):
    """One simulated object: its window of a scene, its outline there, and what was said so far."""

    features: NDArray[np.float32]
    basins: NDArray[np.int32]
    truth: NDArray[np.bool_]
    points: list[tuple[float, float]]
    positive: list[bool]
    box: NDArray[np.float64] | None


def deepest(region: NDArray[np.bool_]) -> tuple[int, int]:
    """Pixel of `region` farthest from its edge."""
    depth = ndi.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    y, x = divmod(int(depth.argmax()), region.shape[1])
    return y, x


def next_click(truth: NDArray[np.bool_], answer: NDArray[np.bool_]) -> tuple[int, int, bool] | None:
    """Middle of the largest mistake and whether it belongs to the object; None where there is none."""
    best: tuple[int, NDArray[np.bool_], bool] | None = None
    for wrong, positive in ((truth & ~answer, True), (answer & ~truth, False)):
        pieces, count = ndi.label(wrong)
        if count:
            sizes = np.bincount(pieces.ravel())[1:]
            if best is None or sizes.max() > best[0]:
                best = int(sizes.max()), pieces == sizes.argmax() + 1, positive
    if best is None:
        return None
    return *deepest(best[1]), best[2]


class Clicks:
    """State of phase two."""

    phase = 2

    def __init__(self, config: dict[str, Any], backbone: dict[str, Tensor]) -> None:
        torch.manual_seed(config["seed"] + 2)
        self.config, self.settings, self.step = config, config["prompt"], 0
        network = beginning(config)
        self.decoder = copy.deepcopy(network.mask_decoder).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.decoder).requires_grad_(False)
        network.load_state_dict(backbone)
        self.network = fuse(network.eval()).to(memory_format=torch.channels_last)
        self.optimiser = torch.optim.AdamW(self.decoder.parameters(), lr=1.0, weight_decay=0.01)
        self.pool: list[Scene] = []

    def fill(self, sampler: Sampler) -> None:
        """Compute features of the pool of crops."""
        rng = np.random.default_rng((self.config["seed"], 2))
        size = self.config["backbone"]["crop"]
        while len(self.pool) < self.settings["pool"]:
            crops = [c for c, _ in sampler.crops(8, size, rng)]
            planes = torch.from_numpy(np.stack([c.planes for c in crops]))
            with torch.inference_mode():
                dense = self.network(planes.contiguous(memory_format=torch.channels_last))
            for i, crop in enumerate(crops):
                areas = np.bincount(crop.labels.ravel())
                objects = np.flatnonzero((areas >= 40) & (areas < 6000))
                objects = objects[objects > 0]
                if len(objects):
                    flow, prob = dense.flow[i].numpy(), dense.cell_prob[i, 0].numpy()
                    head = np.concatenate([flow, np.tanh(prob / 4)[None]])
                    head = head.reshape(3, size // 2, 2, size // 2, 2).mean((2, 4))
                    features = np.concatenate([dense.decoded[i].numpy(), head]).astype(np.float16)
                    self.pool.append(Scene(features, basins_of(flow, prob), crop.labels, objects))
        log.info("pool of %d crops", len(self.pool))

    def begin(self, rng: np.random.Generator) -> Session:
        """Choose an object of a random crop and the first thing said about it."""
        scene = self.pool[rng.integers(len(self.pool))]
        truth = scene.labels == scene.objects[rng.integers(len(scene.objects))]
        box: NDArray[np.float64] | None = None
        points: list[tuple[float, float]] = []
        where = np.argwhere(truth)
        if rng.random() < 0.5:
            y, x = deepest(truth)
        else:
            y, x = (int(v) for v in where[rng.integers(len(where))])
        if rng.random() < 0.2:
            low, high = where.min(0), where.max(0) + 1
            box = (np.concatenate([low, high]) + rng.normal(0, 1.0, 4)) / 2
        else:
            points = [((y + 0.5) / 2 - 0.5, (x + 0.5) / 2 - 0.5)]
        half = WINDOW // 4
        h, w = scene.basins.shape
        jitter = rng.integers(-6, 7, 2)
        top = int(np.clip(y // 2 - half + jitter[0], 0, max(0, h - 2 * half)))
        left = int(np.clip(x // 2 - half + jitter[1], 0, max(0, w - 2 * half)))
        rows, columns = slice(top, top + 2 * half), slice(left, left + 2 * half)
        fine = slice(2 * top, 2 * (top + 2 * half)), slice(2 * left, 2 * (left + 2 * half))
        features = scene.features[:, rows, columns].astype(np.float32)
        features = np.concatenate([features, np.ones((1, *features.shape[1:]), np.float32)])
        points = [(a - top, b - left) for a, b in points]
        box = None if box is None else box - np.array([top, left, top, left])
        return Session(features, scene.basins[rows, columns], truth[fine], points, [True] * len(points), box)

    def update(self, sampler: Sampler) -> dict[str, float]:
        """Take one step: a batch of objects, each answered after one to `rounds` clicks."""
        if not self.pool:
            self.fill(sampler)
        rng = np.random.default_rng((self.config["seed"], 3, self.step))
        sessions = [self.begin(rng) for _ in range(self.settings["batch"])]
        features = torch.from_numpy(np.stack([s.features for s in sessions])).contiguous(
            memory_format=torch.channels_last
        )
        truth = torch.from_numpy(np.stack([s.truth for s in sessions])[:, None].astype(np.float32))
        answers: NDArray[np.bool_] | None = None
        self.decoder.train()
        sums: dict[str, float] = {}
        rounds = int(rng.integers(1, self.settings["rounds"] + 1))
        self.optimiser.zero_grad(set_to_none=True)
        for turn in range(rounds):
            planes = np.stack(
                [_planes(s, answers[i] if answers is not None else None, rng) for i, s in enumerate(sessions)]
            )
            logits, quality = self.decoder(features, torch.from_numpy(planes))
            total, iou = answer_loss(logits, quality, truth)
            (total / rounds).backward()
            answers = (logits.detach()[:, 0] > 0).numpy()
            sums[f"iou{turn + 1}"] = float(iou.mean())
            sums["loss"] = float(total.detach())
            for session, answer in zip(sessions, answers, strict=True):
                click = next_click(session.truth, answer)
                if click is not None:
                    session.points.append(((click[0] + 0.5) / 2 - 0.5, (click[1] + 0.5) / 2 - 0.5))
                    session.positive.append(click[2])
        self._descend()
        return {key: sums.get(key, float("nan")) for key in ("loss", "iou1", "iou2", "iou3", "iou4")}

    def _descend(self) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, self.settings)
        nn.utils.clip_grad_norm_(self.decoder.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        keep = min(0.995, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            pairs = zip(self.average.state_dict().values(), self.decoder.state_dict().values(), strict=True)
            for mean, now in pairs:
                mean.lerp_(now, 1 - keep) if mean.is_floating_point() else mean.copy_(now)

    def state(self) -> dict[str, Any]:
        """Everything needed to go on exactly (the pool is computed again)."""
        return {
            "phase": self.phase,
            "step": self.step,
            "decoder": self.decoder.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a stored state."""
        self.step = int(state["step"])
        self.decoder.load_state_dict(state["decoder"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])


def _planes(
    session: Session, answer: NDArray[np.bool_] | None, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw what was said; half the time the earlier answer is shown too."""
    shape = (session.basins.shape[0], session.basins.shape[1])
    mask = None
    if answer is not None and rng.random() < 0.5:
        mask = answer[::2, ::2].astype(np.float32)
    points = np.array(session.points, np.float64).reshape(-1, 2)
    return prompt_planes(shape, points, np.array(session.positive, bool), session.box, mask, session.basins)


def answer_loss(logits: Tensor, quality: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Cross entropy + dice of masks, squared error of the expected IoU; and the IoU reached, (B,)."""
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean((1, 2, 3))
    soft = torch.sigmoid(logits)
    dice = 1 - (2 * (soft * truth).sum((1, 2, 3)) + 1) / ((soft + truth).sum((1, 2, 3)) + 1)
    hard = (logits.detach() > 0).float()
    both = (hard * truth).sum((1, 2, 3))
    iou = both / ((hard + truth).sum((1, 2, 3)) - both).clamp(min=1)
    guess = (torch.sigmoid(quality) - iou) ** 2
    return (5 * entropy + dice + guess).mean(), iou
