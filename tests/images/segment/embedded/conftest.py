"""Small random models and drawn pictures for the tests of the embedded image model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_biofm.images.segment.embedded.model import EmbeddedModel

INFERENCE = {
    "canonical": 22.0,
    "working": [18.0, 28.0],
    "keep_native": False,
    "cellprob_shift": 0.0,
}


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a very small untrained network, written as the shipped ones are."""
    import torch

    from napari_biofm.images.segment.embedded import weights
    from napari_biofm.images.segment.embedded.network import Architecture, Network

    torch.manual_seed(0)
    network = Network(Architecture(3, (8, 8, 16, 16, 16), (1, 1, 1, 1, 1), 12, 8)).eval()
    path = tmp_path_factory.mktemp("weights") / "image.safetensors"
    described = {"name": "biofm-image", "version": "test", "inference": INFERENCE}
    return weights.write(path, network, described)


@pytest.fixture(scope="session")
def model(random_weights: Path) -> EmbeddedModel:
    """An untrained model: everything but the answers' quality can be tested on it."""
    return EmbeddedModel(random_weights, threads=1)


@pytest.fixture(scope="session")
def shipped() -> EmbeddedModel:
    """The model in the package."""
    return EmbeddedModel(threads=2)


@pytest.fixture
def discs() -> tuple[np.ndarray, np.ndarray]:
    """A picture of 12 bright discs of 22 pixels, some touching, on noise: image (Y, X) float32, labels."""
    rng = np.random.default_rng(3)
    labels = np.zeros((150, 200), np.int32)
    yy, xx = np.mgrid[:150, :200]
    for k, (y, x) in enumerate(
        ((r * 45 + 28, c * 48 + 26 - 12 * (r == 1)) for r in range(3) for c in range(4)), 1
    ):
        labels[((yy - y) ** 2 + (xx - x) ** 2 < 11**2) & (labels == 0)] = k
    image = 10 + 100 * (labels > 0) + rng.normal(0, 4, labels.shape)
    return image.astype(np.float32), labels
