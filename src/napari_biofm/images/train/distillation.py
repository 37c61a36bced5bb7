"""Teach the embedded model on a user's own images with a larger model as teacher.

The teacher segments each image once; the student learns flows, cell probability and diameter of these
masks on random
crops. What an image looks like to the network, and what is written, is the same as for the shipped weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.segment.embedded import passes, weights
from napari_biofm.images.segment.embedded.input_planes import to_planes
from napari_biofm.images.segment.ideal_flows import flows_from_masks
from napari_biofm.types import (
    Image,
    Labels,
    ModelError,
    Progress,
    SegmentationParameters,
    Segmenter,
    Task,
)

if TYPE_CHECKING:
    from torch import Tensor

    from napari_biofm.images.segment.embedded.network import Network

Float = NDArray[np.float32]
CROP = 128


def ask(
    teacher: Segmenter,
    images: Sequence[Image],
    parameters: SegmentationParameters | None = None,
) -> Task[list[Labels]]:
    """Return the masks of `teacher` for each image, taken as they are."""
    masks = []
    for index, image in enumerate(images):
        yield Progress(index, len(images), f"{teacher.name} on image {index + 1} of {len(images)}")
        answer = yield from teacher.segment(image, parameters or SegmentationParameters())
        masks.append(answer.masks)
    return masks


def learn(
    images: Sequence[Image],
    masks: Sequence[Labels],
    source: str,
    out: Path,
    student: Path | None = None,
    steps: int = 300,
    batch: int = 4,
    learning_rate: float = 2e-4,
    seed: int = 0,
) -> Task[Path]:
    """Improve the embedded model on `images` with given masks.

    Parameters
    ----------
    images, masks : (Y, X) or (Y, X, C) each, and (Y, X) labels; images without labels teach nothing.
    source : who made the masks; kept in the description of the result.
    out : `.safetensors` file to write (its JSON beside it).
    student : weights to start from; None for the shipped ones.
    steps, batch, learning_rate, seed : of the fine-tuning.

    Returns
    -------
    `out`. The JSON says which weights and which teacher it came from and with how many cells. The scores of the
    starting weights do not hold for the result and are left out.

    Raises
    ------
    ModelError : if there is no label in any image.
    """
    import torch

    stored = weights.read(student)
    network = weights.unfused(stored)
    scale = stored.config["inference"]
    pairs = [(i, m) for i, m in zip(images, masks, strict=True) if m.ndim == 2 and m.any()]
    if not pairs:
        raise ModelError(f"{source} found no cells in {len(images)} images; there is nothing to learn from")
    lessons = [_lesson(image, labels, scale) for image, labels in pairs]
    cells = sum(int(np.count_nonzero(np.unique(labels))) for _, labels in pairs)
    rng = np.random.default_rng(seed)
    # normalisation keeps its statistics: a few images are too few to measure them anew
    learned = [p for n, p in network.named_parameters() if not n.startswith(("mask_decoder", "to_vector"))]
    optimiser = torch.optim.AdamW(learned, lr=learning_rate, weight_decay=0.01)
    for step in range(steps):
        loss = _loss(network, [_crop(lessons[rng.integers(len(lessons))], rng) for _ in range(batch)])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(learned, 5.0)
        optimiser.step()
        yield Progress(step + 1, steps, f"loss {float(loss.detach()):.3f}")
    described = {k: v for k, v in stored.config.items() if k not in ("architecture", "format", "sha256")}
    described["report"] = {}
    described["distilled"] = {
        "from": stored.sha256,
        "teacher": source,
        "cells": cells,
        "steps": steps,
        "seed": seed,
    }
    return weights.write(Path(out), network, described)


def _lesson(image: Image, masks: NDArray[Any], scale: Mapping[str, Any]) -> Float:
    """(3 + 2 + 1 + 1, H, W): planes, flow, inside, log2 diameter of one image at the scale it is used at."""
    import torch

    labels = np.unique(masks, return_inverse=True)[1].reshape(masks.shape)
    if masks.min() > 0:
        labels = labels + 1
    diameters = np.sqrt(np.bincount(labels.ravel()) * 4 / np.pi)
    zoom = passes.zoom_for(float(np.median(diameters[1:])), scale)
    planes = torch.from_numpy(np.array(to_planes(image)))[None]
    size = (max(1, round(masks.shape[0] * zoom)), max(1, round(masks.shape[1] * zoom)))
    scaled = passes.resize(planes, size)[0].numpy()
    rows, columns = (
        np.minimum(((np.arange(n) + 0.5) / zoom).astype(int), m - 1)
        for n, m in zip(size, masks.shape, strict=True)
    )
    small = labels[rows[:, None], columns].astype(np.int32)
    log_diameter = np.where(small > 0, np.log2(np.maximum(diameters * zoom, 1.0))[small], 0)
    parts = [scaled, flows_from_masks(small), (small > 0)[None], log_diameter[None]]
    stack = np.concatenate([np.asarray(p, np.float32) for p in parts])
    return np.pad(stack, ((0, 0), (0, max(0, CROP - size[0])), (0, max(0, CROP - size[1]))))


def _crop(lesson: Float, rng: np.random.Generator) -> Float:
    """Cut a random crop, turn it by quarter turns, mirror it, change gain and noise."""
    y, x = (int(rng.integers(0, n - CROP + 1)) for n in lesson.shape[1:])
    crop = lesson[:, y : y + CROP, x : x + CROP].copy()
    if rng.random() < 0.5:
        crop = crop[:, :, ::-1].copy()
        crop[4] *= -1
    for _ in range(rng.integers(4)):
        crop = np.rot90(crop, axes=(1, 2)).copy()
        crop[3], crop[4] = -crop[4].copy(), crop[3].copy()
    crop[:3] = crop[:3] * np.exp(rng.normal(0, 0.15)) + rng.normal(0, 0.04)
    crop[:3] += rng.normal(0, rng.uniform(0, 0.05), crop[:3].shape)
    return crop


def _loss(network: Network, crops: list[Float]) -> Tensor:
    import torch
    from torch.nn import functional as F  # noqa: N812

    batch = torch.from_numpy(np.stack(crops).astype(np.float32))
    planes, flow, inside, wanted = batch[:, :3], batch[:, 3:5], batch[:, 5:6], batch[:, 6:7, 2::4, 2::4]
    levels = network.encode(planes.contiguous(memory_format=torch.channels_last))
    found, cell_prob, log_diameter, _ = network.decode(levels)
    share = inside + 0.1 * (1 - inside)
    error = (((found - flow) ** 2).sum(1, keepdim=True) * share).sum() / share.sum()
    entropy = F.binary_cross_entropy_with_logits(cell_prob, inside)
    where = (wanted > 0).float()
    scale = (F.smooth_l1_loss(log_diameter, wanted, reduction="none", beta=0.3) * where).sum() / (
        where.sum() + 1
    )
    return 4 * error + entropy + 0.3 * scale
