"""Fixtures of the images room: tiny networks, and one thread for all."""

import pytest
from tests.tiny_networks import blobs, cpsam_weights, sam_weights, small_sam, small_vit

__all__ = ["blobs", "cpsam_weights", "sam_weights", "small_sam", "small_vit"]


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
