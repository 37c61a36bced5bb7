"""Tiny networks of the true architecture, saved as real checkpoints."""

import numpy as np
import pytest


def _small_sam(checkpoint=None):
    from segment_anything.build_sam import _build_sam

    return _build_sam(
        encoder_embed_dim=48, encoder_depth=3, encoder_num_heads=3, encoder_global_attn_indexes=[1]
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


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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

    try:
        from cellpose.vit import CPSAM as Network
    except ImportError:
        from cellpose.vit_sam import Transformer as Network
    full = segment_anything.sam_model_registry["vit_l"]
    segment_anything.sam_model_registry["vit_l"] = _small_sam
    try:
        network = Network()
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
    """A field of bright discs on a dim background, (300, 330) uint16."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:300, :330]
    image = rng.normal(200, 10, y.shape)
    for cy, cx in rng.uniform(10, 290, (25, 2)):
        image += 800 * (((y - cy) ** 2 + (x - cx) ** 2) < 12**2)
    return image.astype(np.uint16)
