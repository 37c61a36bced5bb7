"""A real calcium movie, from the file to the raster, by the docks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_biofm.images.io.projections import SPREAD, mean_over_first, spread_over_first, without_floor
from napari_biofm.widgets.segment.dock import SegmentDock
from napari_biofm.widgets.timeline import TimelineDock


def test_the_variation_over_the_first_axis_is_the_standard_deviation():
    data = np.random.default_rng(0).integers(0, 255, (70, 5, 6)).astype(np.uint8)
    np.testing.assert_allclose(spread_over_first(data, 32), data.std(axis=0), rtol=1e-4)


def test_borders_without_numbers_are_left_out_of_mean_and_variation():
    data = np.random.default_rng(0).random((70, 40, 50)).astype(np.float32)
    data[::2, :3] = np.nan  # as motion correction leaves them
    data[:, :, -2:] = np.nan
    data[5, 20, 20] = np.inf
    seen = data[:, :, :-2].copy()
    seen[~np.isfinite(seen)] = np.nan
    np.testing.assert_allclose(mean_over_first(data, 32)[:, :-2], np.nanmean(seen, axis=0), rtol=1e-4)
    spread = spread_over_first(data, 32)
    np.testing.assert_allclose(spread[:, :-2], np.nanstd(seen, axis=0), rtol=1e-3)
    assert np.isnan(spread[:, -2:]).all()
    flat = without_floor(spread)
    assert np.isfinite(flat).all() and not flat[:, -2:].any()
    assert flat[:, :-2].any(), "a border does not take the rest with it"
    assert np.isnan(without_floor(np.full((4, 4), np.nan, np.float32))).all(), "an image check says so"


@pytest.mark.shared_data
def test_a_calcium_movie_goes_from_file_to_raster(shared_data: Path, viewer: Any, tmp_path: Path) -> None:
    whole = tifffile.imread(shared_data / "imaging" / "calcium_1p" / "ca1p_8-8-17.tif")
    part = tmp_path / "movie.tif"
    metadata = {"axes": "TYX", "finterval": 0.05}
    tifffile.imwrite(part, whole[:160, 100:196, 20:116], imagej=True, metadata=metadata)
    (movie,) = viewer.open(str(part), plugin="napari")
    segmenting = SegmentDock(viewer)
    viewer.window.add_dock_widget(segmenting, name="Segment cells")
    segmenting.image.value = movie
    segmenting.pixels.value = SPREAD
    segmenting.run_button.native.click()
    labels = next(layer for layer in viewer.layers if type(layer).__name__ == "Labels")
    ids = np.unique(labels.data)[1:]
    assert len(ids) >= 3, "cells are what flickers"
    dock = TimelineDock(viewer)
    viewer.window.add_dock_widget(dock, name="Timeline")
    assert dock.align_panel.rate.value() == pytest.approx(20.0), "the file states it"
    dock.align_panel.source.setCurrentText("rate and offset")
    dock.align_panel.button.click()
    dock.link_panel.measure_button.click()
    panel = dock.raster_panel
    assert sorted(panel.ids.tolist()) == ids.tolist()
    events = dock.controller.events()
    assert len(events) > 0 and set(events.labels.tolist()) <= set(ids.tolist())
    assert events.seconds.min() >= 0 and events.seconds.max() <= 8.0
    assert (panel.image.image[..., 3] > 0).sum() > 0
    dock.show_panel.show_flashes.setChecked(True)
    dock.session.set_time(float(events.seconds[0]))
    lit = viewer.layers["flashes of events"].data[labels.data == events.labels[0]]
    assert (lit > 0).all()


def test_without_its_floor_a_cell_stands_on_black_at_any_size_of_picture():
    for side, wide in ((96, 120), (700, 640)):
        y, x = np.mgrid[:side, :wide] / side
        light = 40 + 30 * x  # uneven, above the cells everywhere
        cell = 20 * np.exp(-((y - 0.5) ** 2 + (x - 0.3) ** 2) / 0.0015)
        flat = without_floor((light + cell).astype(np.float32))
        assert flat.shape == (side, wide) and flat.dtype == np.float32
        assert flat.min() == 0 and np.median(flat) < 0.25 * flat.max()
        assert np.unravel_index(flat.argmax(), flat.shape) == pytest.approx(
            (0.5 * side, 0.3 * side), abs=0.02 * side
        )
    assert not without_floor(np.full((5, 7), 3.0, np.float32)).any()
    assert not without_floor(np.zeros((1, 1), np.float32)).any()
