"""Masks enlarged in one pass are those of two bilinear resizes and a threshold."""

from __future__ import annotations

import numpy as np
import pytest

from napari_biofm.images.prompt.upsampling import upsampled_masks

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("used", "shape"),
    [
        ((64, 64), (64, 64)),
        ((64, 64), (128, 128)),
        ((64, 64), (23, 23)),
        ((48, 64), (45, 60)),
        ((64, 43), (150, 100)),
        ((64, 1), (300, 2)),
    ],
)
def test_masks_are_those_of_two_resizes(used: tuple[int, int], shape: tuple[int, int]) -> None:
    from torch.nn.functional import interpolate

    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 16, 16)).astype(np.float32)
    logits[2] = -1
    logits[2, 5, 7] = 2
    large = interpolate(torch.from_numpy(logits)[None], (64, 64), mode="bilinear", align_corners=False)
    large = large[..., : used[0], : used[1]]
    if shape != used:
        large = interpolate(large, shape, mode="bilinear", align_corners=False)
    expected = large[0].numpy()
    found = upsampled_masks(logits, 64, used, shape)
    clear = np.abs(expected) > 1e-5
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found[clear], (expected > 0)[clear])


def test_no_logits_are_no_masks() -> None:
    assert upsampled_masks(np.zeros((0, 16, 16), np.float32), 64, (64, 64), (10, 12)).shape == (0, 10, 12)
