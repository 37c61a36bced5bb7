"""Tiny networks of the true architecture, saved as real checkpoints."""

import numpy as np
import pytest


def _small_sam(checkpoint=None):
    from segment_anything.build_sam import _build_sam

    return _build_sam(
        encoder_embed_dim=24, encoder_depth=2, encoder_num_heads=2, encoder_global_attn_indexes=[1]
    )


def _shake(module, seed):
    """Give every parameter random values, those that start as zeros included."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.ndim > 1 or "pos" in name:
                spread = 0.3 if "pos" in name else 1.0 / max(1, parameter[0].numel()) ** 0.5
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
    return module


@pytest.fixture(scope="session")
def small_sam():
    """Return a function that builds a Segment Anything network with a small ViT."""
    return _small_sam


@pytest.fixture
def small_vit(monkeypatch):
    """Let Cellpose and us build a small ViT where they ask for ViT-L."""
    import segment_anything

    monkeypatch.setitem(segment_anything.sam_model_registry, "vit_l", _small_sam)


@pytest.fixture(scope="session")
def cpsam_weights(tmp_path_factory):
    """A Cellpose-SAM checkpoint with random weights and a small ViT."""
    import segment_anything
    import torch

    from napari_biofm.images.segment.cellpose_api import network_class

    full = segment_anything.sam_model_registry["vit_l"]
    segment_anything.sam_model_registry["vit_l"] = _small_sam
    try:
        network = network_class()()
    finally:
        segment_anything.sam_model_registry["vit_l"] = full
    identity = network.W2.detach().clone()
    _shake(network, 1)
    with torch.no_grad():
        network.W2.copy_(identity)
        network.out.weight.mul_(3)
    path = tmp_path_factory.mktemp("weights") / "tiny_cpsam"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def sam_weights(tmp_path_factory):
    """A SAM checkpoint with random weights and a small ViT."""
    import torch

    path = tmp_path_factory.mktemp("weights") / "tiny_sam.pth"
    torch.save(_shake(_small_sam(), 2).state_dict(), path)
    return path


@pytest.fixture
def blobs():
    """Twenty-five bright domes on a dim background, (300, 330) uint16."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:300, :330]
    image = rng.normal(200, 5, y.shape)
    for cy in range(30, 300, 60):
        for cx in range(35, 330, 65):
            oy, ox = rng.uniform(-8, 8, 2)
            image += 900 * np.clip(1 - ((y - cy - oy) ** 2 + (x - cx - ox) ** 2) / 16**2, 0, None)
    return image.astype(np.uint16)
