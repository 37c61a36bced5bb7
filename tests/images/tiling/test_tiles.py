"""Tiles are few, cover the image, and blend back to what was cut."""

import numpy as np
import pytest

from napari_biofm.images.tiling import tiles
from napari_biofm.types import ImageError

SHAPES = [(1, 1), (40, 300), (256, 256), (257, 256), (512, 512), (520, 696), (1024, 1024), (1000, 3001)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("make", [tiles.fitted_grid, tiles.stock_grid])
def test_tiles_cover_the_whole_image(shape, make):
    grid = make(shape)
    seen = np.zeros(grid.frame, int)
    for y0, x0, y1, x1 in grid.boxes:
        seen[y0:y1, x0:x1] += 1
    top, left = grid.offset
    assert seen[top : top + grid.scaled[0], left : left + grid.scaled[1]].min() >= 1


@pytest.mark.parametrize(("side", "fitted", "stock"), [(256, 1, 4), (512, 4, 9), (1024, 16, 25)])
def test_fitting_saves_passes(side, fitted, stock):
    assert len(tiles.fitted_grid((side, side))) == fitted
    assert len(tiles.stock_grid((side, side))) == stock


@pytest.mark.parametrize("shape", SHAPES)
def test_fitting_shrinks_by_at_most_ten_per_cent_and_keeps_the_overlap(shape):
    grid = tiles.fitted_grid(shape)
    if min(shape) > 20:
        assert 0.88 < grid.scale <= 1
    for starts in grid.starts:
        assert all(start % 8 == 0 for start in starts)
        gaps = np.diff(starts)
        assert gaps.size == 0 or gaps.max() <= 0.95 * grid.tile


def test_the_order_runs_from_the_viewport_outward():
    grid = tiles.fitted_grid((1024, 1024))
    assert grid.order((900, 900, 1024, 1024))[0] == len(grid) - 1
    assert grid.order((0, 0, 100, 100))[0] == 0
    assert sorted(grid.order()) == list(range(len(grid)))


@pytest.mark.parametrize("make", [tiles.fitted_grid, tiles.stock_grid])
def test_cut_and_blended_again_nothing_changes(make):
    grid = make((300, 540))
    rng = np.random.default_rng(0)
    frame = rng.normal(size=(2, *grid.frame)).astype(np.float32)
    blender = tiles.Blender(grid, 2)
    for index in grid.order():
        y0, x0, y1, x1 = grid.boxes[index]
        blender.add(index, frame[:, y0:y1, x0:x1])
    top, left = grid.offset
    expected = frame[:, top : top + grid.scaled[0], left : left + grid.scaled[1]]
    np.testing.assert_allclose(blender.result(), expected, atol=1e-5)


def test_features_blend_on_their_own_coarser_grid():
    grid = tiles.fitted_grid((600, 600))
    coarse = np.arange(np.prod([s // 8 for s in grid.frame]), dtype=np.float32).reshape(
        1, grid.frame[0] // 8, grid.frame[1] // 8
    )
    blender = tiles.Blender(grid, 1, stride=8)
    for index, (y0, x0, y1, x1) in enumerate(grid.boxes):
        blender.add(index, coarse[:, y0 // 8 : y1 // 8, x0 // 8 : x1 // 8])
    height, width = (-(-s // 8) for s in grid.scaled)
    np.testing.assert_allclose(blender.result(), coarse[:, :height, :width], rtol=1e-5)


def test_a_diameter_rescales_the_image():
    assert tiles.fitted_grid((400, 400), rescale=0.5).scaled == (200, 200)


def test_the_taper_counts_half_twenty_pixels_inside():
    edge = tiles.taper(256)[128]
    assert edge[128] == pytest.approx(1, abs=1e-3)
    assert edge[20] == pytest.approx(0.5, abs=0.02)


def test_tiles_know_where_they_lie_in_the_image():
    grid = tiles.fitted_grid((512, 512))
    assert grid.image_box(0)[:2] == (0, 0)
    assert grid.image_box(len(grid) - 1)[2:] == (512, 512)


def test_an_image_without_pixels_is_refused():
    with pytest.raises(ImageError, match="no pixels"):
        tiles.fitted_grid((0, 10))
