"""A tiny model with random weights: fast, and enough where what it says is not the point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_biofm.events.physio_fm import PhysioFM, weights

CARD = {
    "version": "test",
    "rungs": {"psc": [0, 1]},
    "calibration": {},
    "presets": {k: {"balanced": 0.05, "precise": 0.06} for k in ("psc", "ap", "calcium", "spike", "ecg")},
}


@pytest.fixture(scope="session")
def weights_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from napari_biofm.events.physio_fm.network import PhysioNetwork

    torch.manual_seed(3)
    net = PhysioNetwork(widths=(16, 16, 16), depths=(1, 1, 1, 1, 1), condition=8)
    with torch.no_grad():  # livelier than a fresh network, so that there is something to find
        net.sample_head[2].weight.mul_(6)
        net.sample_head[2].bias.zero_()
        net.sample_head[2].bias.view(8, 5)[:, 1] = -9
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    weights.write(path, net, CARD)
    return path


@pytest.fixture(scope="session")
def model(weights_path: Path) -> PhysioFM:
    return PhysioFM(weights_path, threads=1)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)
