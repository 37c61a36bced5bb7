"""Cells that are told by a bright closed line around them, and lines that a network draws in noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage as ndi
from skimage.segmentation import find_boundaries, watershed

from napari_biofm.images.segment.evidence import measure_evidence
from napari_biofm.images.segment.outlines import outline_contrast

LEAST = 8.0  # the default of `least_contrast`


def tissue(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a tissue whose walls are stained and whose cells are dark, and the small ones of its cells."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:256, :256]
    seeds = np.concatenate([rng.uniform(0, 256, (24, 2)), rng.uniform(90, 166, (60, 2))])
    nearest = np.hypot(y[..., None] - seeds[:, 0], x[..., None] - seeds[:, 1]).argmin(-1)
    wall = find_boundaries(nearest)  # two pixels wide
    cells, _ = ndi.label(~wall)
    image = rng.poisson(20 + 120 * ndi.gaussian_filter(wall.astype(float), 0.7))
    sizes = np.bincount(cells.ravel())
    cells[((sizes < 40) | (sizes > 500))[cells]] = 0
    return image.astype(np.uint16), cells.astype(np.int32)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_cells_with_stained_walls_are_real_though_their_inside_is_as_dark_as_the_ground(seed):
    image, cells = tissue(seed)
    there = np.unique(cells)[1:]
    found = measure_evidence(image, cells, LEAST)
    assert found.real(LEAST)[there].all()
    others = (found.contrast >= LEAST) | (found.texture >= LEAST)
    assert others[there].mean() < 0.8  # the others were left out before


def blobs(plane: np.ndarray, size: float) -> np.ndarray:
    """Return what looks most like outlined cells in a plane: its darkest spots of a size, grown up to their bright surroundings."""
    smooth = ndi.gaussian_filter(plane, size / 3)
    lowest = (smooth == ndi.minimum_filter(smooth, int(size))) & (smooth < np.median(smooth))
    seeds, _ = ndi.label(lowest)
    return np.asarray(watershed(smooth, seeds, mask=smooth < np.quantile(smooth, 0.6)), np.int32)


@pytest.mark.parametrize("blur", [0.0, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("size", [8.0, 20.0])
def test_no_line_is_seen_in_noise_whatever_its_grain(blur, size):
    rng = np.random.default_rng(3)
    plane = rng.poisson(30, (200, 200)).astype(np.float32)
    plane = ndi.gaussian_filter(plane, blur) if blur else plane
    picked = blobs(plane, size)
    there = np.unique(picked)[1:]
    assert len(there) > 10
    assert outline_contrast(plane, picked, there)[there].max() < LEAST


def test_a_background_clipped_to_zero_makes_no_line_of_single_specks():
    rng = np.random.default_rng(4)
    plane = np.maximum(rng.normal(-4, 3, (200, 200)).round(), 0).astype(np.float32)
    picked = blobs(plane, 14)
    there = np.unique(picked)[1:]
    assert outline_contrast(plane, picked, there, floor=0.15)[there].max() < LEAST


@pytest.mark.parametrize("what", ["a dark hole", "a bright disc", "half a ring", "light on one side"])
def test_what_is_not_closed_or_no_line_is_none(what):
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:80, :80]
    away = np.hypot(y - 40, x - 40)
    masks = (away < 12).astype(np.int32)
    light = {
        "a dark hole": np.where(away < 12, 20, 100),
        "a bright disc": np.where(away < 12, 100, 20),
        "half a ring": np.where((abs(away - 13) < 1.5) & (y < 40), 100, 20),
        "light on one side": 20 + 4 * x,
    }[what]
    plane = rng.poisson(light).astype(np.float32)
    assert outline_contrast(plane, masks, [1])[1] < LEAST
    ring = rng.poisson(np.where(abs(away - 13) < 1.5, 100, 20)).astype(np.float32)
    assert outline_contrast(ring, masks, [1])[1] > 2 * LEAST


def test_a_cell_at_the_edge_is_judged_by_what_is_seen_of_it():
    rng = np.random.default_rng(6)
    y, x = np.mgrid[:80, :80]
    away = np.hypot(y, x - 40)
    plane = rng.poisson(np.where(abs(away - 13) < 1.5, 100, 20)).astype(np.float32)
    masks = (away < 12).astype(np.int32)
    assert outline_contrast(plane, masks, [1])[1] > LEAST
    assert outline_contrast(plane, np.zeros_like(masks), [])[0] == 0
