"""The Segment dock, clicked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

import napari_biofm as biofm
from napari_biofm.controllers.common.layers import is_helper
from napari_biofm.controllers.common.recipes import segmentation_steps
from napari_biofm.controllers.segment import which_model
from napari_biofm.engine import make_engine
from napari_biofm.images.io.projections import MEAN
from napari_biofm.images.segment import agreement
from napari_biofm.session import session_of
from napari_biofm.simulate import simulate_corecording, simulate_field
from napari_biofm.widgets.common import viewers
from napari_biofm.widgets.common.viewers import QtPost, layer_id
from napari_biofm.widgets.segment.dock import SegmentDock


@pytest.fixture
def dock(viewer: Any) -> SegmentDock:
    made = SegmentDock(viewer)
    viewer.window.add_dock_widget(made, name="Segment cells")
    made.model.value = "classical"
    return made


def press(dock: SegmentDock) -> None:
    QTest.mouseClick(dock.run_button.native, Qt.MouseButton.LeftButton)


def test_pressing_segment_adds_masks_over_the_image(viewer: Any, dock: SegmentDock) -> None:
    field = simulate_field((128, 128), 12, seed=1)
    image = viewer.add_image(field.image, name="field", scale=(0.5, 0.5), translate=(10, 20), rotate=30)
    press(dock)
    labels = viewer.layers["field cells"]
    assert labels.data.max() >= 8
    assert str(labels.data.max()) in dock.result.text()
    for point in ((0, 0), (100, 30)):
        np.testing.assert_allclose(labels.data_to_world(point), image.data_to_world(point))
    session = session_of(viewer)
    assert session.labels == layer_id(labels)
    assert session.image == layer_id(image)
    assert session.segmentation(layer_id(labels)).features is not None
    assert labels.metadata["biofm"]["model"] == "classical"


def test_without_an_image_the_dock_says_what_to_do(viewer: Any, dock: SegmentDock) -> None:
    notification_manager.records.clear()
    press(dock)
    assert any("Open an image first" in n.message for n in notification_manager.records)
    assert len(viewer.layers) == 0


def test_a_cluster_that_does_not_answer_is_named_and_the_dock_stays_usable(
    qtbot: Any, viewer: Any, dock: SegmentDock, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed", reason="needs the extra [distributed]")
    monkeypatch.setattr("napari_biofm.engine.dask.CONNECT_TIMEOUT", 0.3)
    field = simulate_field((128, 128), 12, seed=1)
    viewer.add_image(field.image, name="field")
    dock.session.use_engine(make_engine("tcp://127.0.0.1:1", post=QtPost()))
    for _ in range(2):
        notification_manager.records.clear()
        press(dock)
        qtbot.waitUntil(lambda: bool(notification_manager.records), timeout=20_000)
        assert "No Dask scheduler answers at tcp://127.0.0.1:1" in notification_manager.records[0].message
        qtbot.waitUntil(lambda: bool(dock.run_button.enabled), timeout=5_000)
    dock.session.use_engine(make_engine("inline"))
    press(dock)
    assert viewer.layers["field cells"].data.max() >= 8


def test_an_address_that_is_none_is_told_and_jobs_run_here(
    viewer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAPARI_BIOFM_ENGINE", "abacus")
    notification_manager.records.clear()
    engine = viewers._make_engine()
    assert engine.name == make_engine("worker").name
    assert "'abacus' is no engine" in notification_manager.records[0].message
    engine.close()


def test_an_empty_image_is_named(viewer: Any, dock: SegmentDock) -> None:
    viewer.add_image(np.full((20, 20), np.nan), name="nothing", contrast_limits=(0, 1))
    notification_manager.records.clear()
    press(dock)
    assert any("no finite value" in n.message for n in notification_manager.records)
    assert dock.run_button.enabled


def test_a_blank_image_gives_no_cells_and_advice(viewer: Any, dock: SegmentDock) -> None:
    viewer.add_image(np.zeros((40, 40), np.uint8), name="blank")
    press(dock)
    assert "No cells found in 'blank'" in dock.result.text()


def test_a_movie_is_segmented_on_its_mean(viewer: Any, dock: SegmentDock) -> None:
    data = simulate_corecording((96, 96), n_cells=8, n_frames=30, sampling_rate=5000, seed=5)
    viewer.add_image(data.movie, name="movie", scale=(1, 0.65, 0.65))
    dock.pixels.value = MEAN
    press(dock)
    labels = viewer.layers["movie cells"]
    assert labels.data.shape == (96, 96)
    assert labels.data.max() >= 5


def test_the_layer_that_was_chosen_gets_the_result(viewer: Any, dock: SegmentDock) -> None:
    first = viewer.add_image(simulate_field((96, 96), 6, seed=1).image, name="first")
    viewer.add_image(simulate_field((96, 96), 6, seed=2).image, name="second")
    dock.image.value = first
    press(dock)
    assert "first cells" in viewer.layers


def test_the_choice_follows_the_layers(viewer: Any, dock: SegmentDock) -> None:
    layer = viewer.add_image(np.zeros((8, 8)), name="one")
    assert dock.image.value is layer
    viewer.layers.remove(layer)
    assert dock.image.value is None


def test_a_second_channel_is_another_layer_or_one_named_by_the_file(
    viewer: Any, dock: SegmentDock, tmp_path: Any
) -> None:
    import tifffile

    field = simulate_field((128, 128), 12, crowding=-0.5, seed=1)
    noise = np.random.default_rng(0).poisson(9, field.image.shape)
    planes = np.stack([noise, field.image / field.image.max() * 900]).astype(np.uint16)
    tifffile.imwrite(
        tmp_path / "two.tif", planes, imagej=True, metadata={"axes": "CYX", "Labels": ["empty dye", "DAPI"]}
    )
    (opened,) = viewer.open(tmp_path / "two.tif", plugin="napari")
    dock.image.value = opened
    assert [str(c) for c in dock.channels.first.choices] == ["as shown", "0: empty dye", "1: DAPI"]
    dock.channels.first.value = "1: DAPI"
    press(dock)
    labels = viewer.layers["two cells"]
    assert labels.data.shape == field.image.shape and labels.data.max() >= 8
    assert labels.metadata["biofm"]["channels"] == ["DAPI"]
    other = viewer.add_image(field.image, name="nuclei")
    dock.image.value = other
    assert not dock.channels.first.visible and "two" in dock.channels.second.choices


def test_an_empty_field_gives_no_cells_and_what_was_left_out_is_said(viewer: Any, dock: SegmentDock) -> None:
    image = np.random.default_rng(0).poisson(8, (128, 128)).astype(np.uint16)
    viewer.add_image(image, name="dark")
    dock.model.value = "biofm-image"
    press(dock)
    assert not viewer.layers["dark cells"].data.any()
    assert dock.result.text().startswith("No cells found in 'dark'")


def test_what_is_left_out_can_be_set_in_the_form(viewer: Any, dock: SegmentDock) -> None:
    names = [widget.label for widget in dock._thresholds]
    assert {"Smallest (share)", "Least contrast"} <= set(names)
    dock.relative_size.value, dock.least_contrast.value = 0, 0
    assert (dock.parameters.relative_size, dock.parameters.least_contrast) == (0, 0)


def test_percentiles_of_contrast_can_be_set_and_are_never_upside_down(
    viewer: Any, dock: SegmentDock, tmp_path: Any
) -> None:
    assert dock.parameters.normalise is None and not dock.normalise.low.enabled
    assert dock.normalise.high.native.text() == "auto"
    dock.normalise.high.value = 90
    dock.normalise.low.value = 1
    assert dock.parameters.normalise == (1, 90)
    image = simulate_field((96, 96), 8, seed=1).image
    viewer.add_image(image, name="field")
    dock.model.value = "classical"
    press(dock)
    masks = viewer.layers["field cells"].data
    wanted = biofm.segment(image, model="classical", normalise=(1, 90)).masks
    np.testing.assert_array_equal(masks, wanted)
    draft = segmentation_steps(viewer, dock.session, dock.session.labels or "")
    assert "normalise = [1.0, 90.0]" in draft.save(tmp_path / "recipe.toml").read_text()
    (again,) = biofm.run_recipe(tmp_path / "recipe.toml").out.rglob("*mask*.tif")
    np.testing.assert_array_equal(biofm.read_masks(again), masks)
    dock.normalise.high.value = 0.5
    assert dock.parameters.normalise == (dock.normalise.low.value, 0.5) and dock.normalise.low.value < 0.5


def test_which_model_shows_outlines_of_all_side_by_side_and_says_how_they_agree(
    viewer: Any, dock: SegmentDock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "models_here", lambda _: ["classical", "biofm-image"])
    field = simulate_field((96, 96), 8, seed=1)
    image = viewer.add_image(field.image, name="field", scale=(0.5, 0.5), translate=(10, 20))
    monkeypatch.setattr(which_model, "visible_box", lambda *_: (0, 10, 96, 90))
    QTest.mouseClick(dock.which_button.native, Qt.MouseButton.LeftButton)
    QTest.mouseClick(dock.which_button.native, Qt.MouseButton.LeftButton)  # the former picture goes
    shown = [layer for layer in viewer.layers if is_helper(layer)]
    assert [layer.name for layer in shown] == ["Which model?", "Which model? names"]
    assert shown[0].data.shape == (96, 2 * 80 + agreement.GAP, 3)
    np.testing.assert_allclose(shown[0].data_to_world((0, 0)), image.data_to_world((0, 110)))
    said = dock.result.text()
    assert "classical: " in said and "biofm-image: " in said and ", agreement " in said
    names = [line.split(":")[0] for line in said.splitlines()[1:]]
    assert [text.split("\n")[0] for text in shown[1].text.values] == names
    assert viewer.layers.selection.active is image
    assert dock.run_button.enabled
    assert viewer.layers["field"] is dock.image.value  # the picture is no image to segment
