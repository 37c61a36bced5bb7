"""How well vectors tell cell states: the project's own head on groups kept back, beside baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from napari_biofm.cells.classify.commands import DEFAULT_HEAD
from napari_biofm.cells.classify.more_heads import make_head
from napari_biofm.cells.embed.encoders import HandcraftedEncoder, encode_crops
from napari_biofm.cells.embed.random_encoder import RandomConvEncoder
from napari_biofm.images.segment.embedded.model import EmbeddedModel
from napari_biofm.images.segment.embedded.network import Network, fuse
from napari_biofm.images.segment.embedded.vectors import FACTS, crop_vectors
from napari_biofm.types import run_task
from training.image.data import States

VIEWS = 4  # as `napari-biofm cells fit` uses


class Untrained:
    """The recipe of the model on the same network with random weights."""

    name, weights_sha256 = "untrained network", ""
    crop_parts: tuple[int, ...] = ()

    def __init__(self, model: EmbeddedModel) -> None:
        torch.manual_seed(0)
        self.network = fuse(Network(model.network.architecture).eval())

    def crop_vectors(self, crops: NDArray[Any]) -> NDArray[np.float32]:
        """Give vectors of crops (N, Y, X[, C])."""
        return crop_vectors(self.network, crops)


def score(vectors: NDArray[Any], states: States, parts: Sequence[int] | None = None) -> float:
    """Macro-F1 on the validation groups of a head fitted (and tuned on folds of groups) on the training
    groups.
    """
    train, test = states.part == "train", states.part == "validation"
    names = np.array(states.classes, object)[states.labels]
    head = make_head(DEFAULT_HEAD, parts=parts).fit(vectors[train], names[train], list(states.groups[train]))
    found = np.array(head.classes, object)[head.predict_proba(vectors[test]).argmax(1)]
    return float(f1_score(names[test].astype(str), found.astype(str), average="macro"))


def compare(model: EmbeddedModel, states: States) -> dict[str, Any]:
    """Score the model's vectors, its parts and the baselines on one set."""
    own = run_task(encode_crops(model, states.crops, VIEWS))
    hand = run_task(encode_crops(HandcraftedEncoder(), states.crops))
    random = run_task(encode_crops(RandomConvEncoder(), states.crops))
    untrained = run_task(encode_crops(Untrained(model), states.crops, VIEWS))
    learned = 3 * model.network.architecture.vector
    parts = model.crop_parts
    of_parts = {
        "model": (own, parts),
        "model + handcrafted (as the command line)": (
            np.concatenate([own, hand], 1),
            (*parts, hand.shape[1]),
        ),
        "the network untrained": (untrained, parts),
    }
    embeddings = {
        "model: learned map only": own[:, :learned],
        "model: texture of the encoder only": own[:, learned : -3 * FACTS],
        "model: size and brightness only": own[:, -3 * FACTS :],
        "handcrafted": hand,
        "random convolutions": random,
    }
    counts = {
        "n_train": int((states.part == "train").sum()),
        "n_validation": int((states.part == "validation").sum()),
    }
    found = {name: score(vectors, states, widths) for name, (vectors, widths) in of_parts.items()}
    found |= {name: score(vectors, states) for name, vectors in embeddings.items()}
    return counts | {name: round(value, 3) for name, value in found.items()}
