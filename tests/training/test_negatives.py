"""Crops without a cell, as the image model is to learn them."""

from __future__ import annotations

import numpy as np
from training.image import negatives

from napari_biofm.simulate import simulate_field


def test_an_empty_crop_fills_the_range_and_holds_no_cell() -> None:
    rng = np.random.default_rng(0)
    field = simulate_field((160, 160), 8, crowding=-0.5, seed=1)
    ground = negatives.ground_of(field.image[None], field.masks, rng)
    assert ground is not None and ground.max() < field.image.max() / 2
    for _ in range(12):
        crop = negatives.empty_crop([ground], 64, rng)
        assert crop.planes.shape == (3, 64, 64) and not crop.labels.any() and not crop.flow.any()
        inside = crop.planes[:, crop.valid > 0]
        assert np.ptp(inside) > 0.5 and np.isfinite(inside).all()


def test_stretched_and_faded_cells_stay_where_they_are() -> None:
    rng = np.random.default_rng(0)
    field = simulate_field((96, 96), 4, crowding=-0.5, seed=1)
    planes = np.repeat(field.image[None] / field.image.max(), 3, 0).astype(np.float32)
    for change in (negatives.overstretch, negatives.fade):
        out = change(planes, field.masks, rng)
        assert out.shape == planes.shape and out.min() >= -0.5 and out.max() <= 2
        assert out[:, field.masks > 0].mean() > out[:, field.masks == 0].mean()
    assert (negatives.litter(planes, rng) != planes).any()
