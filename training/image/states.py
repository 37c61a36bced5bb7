"""How well vectors tell cell states: logistic regression on groups kept back, beside two baselines."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from napari_biofm.images.embedded.model import EmbeddedModel
from napari_biofm.images.embedded.network import Network, fuse
from napari_biofm.images.embedded.vectors import crop_vectors, crop_view
from training.image.data import States


def score(vectors: NDArray[Any], states: States, strength: float = 0.01) -> float:
    """Macro-F1 on the validation groups of a logistic regression fitted on the training groups."""
    train, test = states.part == "train", states.part == "validation"
    head = make_pipeline(
        StandardScaler(), LogisticRegression(C=strength, max_iter=2000, class_weight="balanced", tol=1e-3)
    )
    head.fit(vectors[train], states.labels[train])
    return float(f1_score(states.labels[test], head.predict(vectors[test]), average="macro"))


def handcrafted(states: States) -> NDArray[np.float32]:
    """Area, shape and intensity by Otsu and regionprops, per channel."""
    rows = []
    for crop in states.crops:
        stack = crop.reshape(*crop.shape[:2], -1).astype(float)
        reference = stack[..., min(1, stack.shape[2] - 1)]
        cut = threshold_otsu(reference) if reference.max() > reference.min() else 0
        pieces = label(reference > cut)
        props = max(regionprops(pieces, intensity_image=stack), key=lambda p: p.area, default=None)
        basic = [stack.mean((0, 1)), stack.std((0, 1)), np.quantile(stack, [0.1, 0.5, 0.9, 0.99], axis=(0, 1)).ravel()]
        if props is None:
            rows.append(np.concatenate([*basic, np.zeros(7 + 3 * stack.shape[2])]))
            continue
        inside = stack[pieces == props.label]
        shape = [props.area, props.perimeter, props.eccentricity, props.solidity, props.extent]
        shape += [props.axis_major_length, props.axis_minor_length]
        rows.append(np.concatenate([*basic, shape, inside.sum(0), inside.mean(0), inside.std(0)]))
    return np.array(rows, np.float32)


def untrained(model: EmbeddedModel, states: States) -> NDArray[np.float32]:
    """The same recipe on the same network with random weights."""
    torch.manual_seed(0)
    network = fuse(Network(model.network.architecture).eval())
    return crop_vectors(network, states.crops)


def random_features(states: States, filters: int = 512) -> NDArray[np.float32]:
    """Mean and maximum of random 7 x 7 filters, rectified (no learning at all)."""
    generator = torch.Generator().manual_seed(0)
    kernels = torch.randn(filters, 3, 7, 7, generator=generator) / 12
    out = []
    for crop in states.crops:
        view = torch.from_numpy(crop_view(crop))[None]
        answer = torch.relu(torch.nn.functional.conv2d(view, kernels, stride=2))
        out.append(torch.cat([answer.mean((2, 3)), answer.amax((2, 3))], dim=1)[0].numpy())
    return np.array(out, np.float32)
