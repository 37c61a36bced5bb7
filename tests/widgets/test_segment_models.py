"""The Segment dock with a network: licence and estimate first, tiles as they come, thresholds that move."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from scipy import ndimage

from napari_biofm.controllers.segment.painter import TilePainter, visible_box
from napari_biofm.controllers.segment.pixels import SERIES, STITCHED
from napari_biofm.images.tiling.passes import TilePiece
from napari_biofm.models import store
from napari_biofm.models.device import Estimate
from napari_biofm.session import session_of
from napari_biofm.types import Capabilities, ImageError, Progress, Segmentation, SegmentationParameters
from napari_biofm.widgets.common.viewers import layer_id
from napari_biofm.widgets.segment.dock import SegmentDock


class PretendNetwork:
    """Stands in for Cellpose-SAM: brightness is the cell probability, masks are what is above it.

    The real one is tested in tests/images; importing it needs torchvision, whose compiler does not
    live in one process with a software-rendered window.
    """

    name = "mine"
    weights_sha256 = "0" * 64
    capabilities = Capabilities(segments=True, viewport=True, flows=True, remasks=True, estimates=True)

    def estimate(self, shape: Any, parameters: Any, planes: int = 1) -> Estimate:
        return Estimate(4 * planes, 12.0, 2_000_000_000, 8_000_000_000, "cpu", "float32")

    def segment(self, image: Any, parameters: SegmentationParameters, viewport: Any = None) -> Any:
        height, width = image.shape
        cell_prob = (image.astype(np.float32) - image.mean()) / 100
        for done, box in enumerate([(0, 0, height, width // 2), (0, width // 2, height, width)], 1):
            y0, x0, y1, x1 = box
            piece = TilePiece(done, box, cell_prob[y0:y1, x0:x1])
            yield Progress(done, 2, f"tile {done} of 2", piece)
        flows = np.zeros((2, height, width), np.float32)
        found = Segmentation(np.zeros((1, 1), np.int32), flows, cell_prob, provenance={"model": self.name})
        return self.remask(found, parameters)

    def remask(self, segmentation: Segmentation, parameters: SegmentationParameters) -> Segmentation:
        inside = segmentation.cell_prob > parameters.cellprob_threshold
        return replace(segmentation, masks=ndimage.label(inside)[0].astype(np.int32))


@pytest.fixture
def blobs() -> Any:
    y, x = np.mgrid[:100, :120]
    return (600 * np.exp(-(((y % 25) - 12) ** 2 + ((x % 30) - 15) ** 2) / 60)).astype(np.uint16)


@pytest.fixture
def dock(viewer: Any, tmp_path: Any, monkeypatch: Any) -> SegmentDock:
    monkeypatch.setenv("NAPARI_BIOFM_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("NAPARI_BIOFM_CACHE", str(tmp_path / "passes"))
    monkeypatch.setenv("CELLPOSE_LOCAL_MODELS_PATH", str(tmp_path / "cellpose"))
    made = SegmentDock(viewer)
    viewer.window.add_dock_widget(made, name="Segment cells")
    return made


@pytest.fixture
def tiny(dock: SegmentDock, tmp_path: Any, monkeypatch: Any) -> SegmentDock:
    """The dock with imported weights, chosen; what runs is the pretended network."""
    import torch

    state = {
        "W2": torch.zeros(1),
        "encoder.patch_embed.proj.weight": torch.zeros(1),
        "encoder.neck.0.weight": torch.zeros(1),
    }
    torch.save(state, tmp_path / "mine.pth")
    monkeypatch.setattr(
        "napari_biofm.images.segment.jobs.make_segmenter", lambda name, device: PretendNetwork()
    )
    dock.chooser.import_asked.emit(str(tmp_path / "mine.pth"))
    assert dock.model.value == "mine"
    return dock


def press(button: Any) -> None:
    QTest.mouseClick(getattr(button, "native", button), Qt.MouseButton.LeftButton)


def test_licence_size_and_absence_are_shown_before_anything_is_downloaded(dock: SegmentDock) -> None:
    dock.model.value = "cpsam_v2"
    text = dock.chooser.about.text()
    assert "CC-BY-NC" in text and "1234 MB" in text and "Not on this computer" in text
    assert dock.chooser.download_button.isVisible()
    dock.model.value = "classical"
    assert not dock.chooser.download_button.isVisible()


def test_a_model_that_is_not_here_is_not_started(viewer: Any, dock: SegmentDock) -> None:
    viewer.add_image(np.eye(30), name="image")
    dock.model.value = "cpsam_v2"
    notification_manager.records.clear()
    press(dock.run_button)
    assert "Press Download" in dock.result.text()
    assert len(viewer.layers) == 1


def test_offline_a_download_says_which_file_to_copy(dock: SegmentDock, monkeypatch: Any) -> None:
    monkeypatch.setenv("NAPARI_BIOFM_OFFLINE", "1")
    dock.model.value = "cpsam_v2"
    notification_manager.records.clear()
    press(dock.chooser.download_button)
    assert any("cpsam_v2" in n.message and "copy" in n.message for n in notification_manager.records)


def test_ones_own_weights_are_imported_chosen_and_run(viewer: Any, tiny: SegmentDock, blobs: Any) -> None:
    viewer.add_image(blobs, name="cells")
    press(tiny.run_button)
    labels = viewer.layers["cells cells"]
    assert labels.data.shape == (100, 120) and labels.data.max() == 16
    assert labels.metadata["biofm"]["choice"] == "mine"
    assert tiny.estimate.text().startswith("4 tiles, about 12 s, 2.0 GB")
    assert [layer.name for layer in viewer.layers] == ["cells", "cells cells"]


def test_tiles_are_painted_while_the_job_runs(
    viewer: Any, tiny: SegmentDock, blobs: Any, monkeypatch: Any
) -> None:
    seen = []
    paint = TilePainter.paint
    monkeypatch.setattr(
        TilePainter,
        "paint",
        lambda self, piece: (paint(self, piece), seen.append((self.layer.data > 200).sum())),
    )
    viewer.add_image(blobs, name="cells")
    press(tiny.run_button)
    assert len(seen) == 2 and 0 < seen[0] < seen[1]


def test_thresholds_are_previewed_on_what_is_seen_and_applied_with_undo(
    viewer: Any, tiny: SegmentDock, blobs: Any, qtbot: Any, monkeypatch: Any
) -> None:
    viewer.add_image(blobs, name="cells")
    press(tiny.run_button)
    labels = viewer.layers["cells cells"]
    before = labels.data.copy()
    monkeypatch.setattr(
        "napari_biofm.controllers.segment.controller.segment_job", None
    )  # no network from here on
    tiny.cell_prob.value = 2
    qtbot.waitUntil(lambda: "cells cells (preview)" in viewer.layers, timeout=20_000)
    preview = viewer.layers["cells cells (preview)"]
    assert 0 < (preview.data > 0).sum() < (before > 0).sum()
    np.testing.assert_array_equal(labels.data, before)
    press(tiny.apply_button)
    assert "cells cells (preview)" not in viewer.layers
    after = labels.data.copy()
    assert 0 < (after > 0).sum() < (before > 0).sum()
    session = session_of(viewer)
    assert session.segmentation(session.labels).provenance["parameters"]["cellprob_threshold"] == 2
    session.history.undo()
    np.testing.assert_array_equal(labels.data, before)
    session.history.redo()
    np.testing.assert_array_equal(labels.data, after)


def test_flows_of_an_earlier_session_are_loaded_and_the_masks_stay(
    viewer: Any, tiny: SegmentDock, blobs: Any
) -> None:
    image = viewer.add_image(blobs, name="cells")
    made = {"choice": "mine", "parameters": {"diameter": None, "cellprob_threshold": 0.5}}
    drawn = np.zeros(blobs.shape, np.int32)
    drawn[5:20, 5:25] = 7
    labels = viewer.add_labels(drawn, name="drawn", metadata={"biofm": made})
    session = session_of(viewer)
    session.set_layers(image=layer_id(image), labels=layer_id(labels))
    assert tiny.load_button.enabled and not tiny.apply_button.enabled
    press(tiny.load_button)
    np.testing.assert_array_equal(labels.data, drawn)
    assert session.segmentation(layer_id(labels)).flows is not None
    assert "Flows are here" in tiny.result.text()
    assert tiny.apply_button.enabled and not tiny.load_button.enabled


def test_time_and_memory_are_told_without_a_run(viewer: Any, tiny: SegmentDock, blobs: Any) -> None:
    viewer.add_image(blobs, name="cells")
    press(tiny.estimate_button)
    assert "4 tiles" in tiny.estimate.text() and "GB" in tiny.estimate.text()
    assert len(viewer.layers) == 1


def test_stacks_are_offered_where_there_is_one(viewer: Any, dock: SegmentDock, blobs: Any) -> None:
    plane = viewer.add_image(blobs, name="plane")
    assert STITCHED not in dock.pixels.choices
    stack = viewer.add_image(np.stack([blobs] * 3), name="stack", scale=(3, 0.5, 0.5), translate=(1, 2, 3))
    dock.image.value = stack
    assert STITCHED in dock.pixels.choices
    dock.model.value = "classical"
    for choice, joined in ((STITCHED, True), (SERIES, False)):
        dock.pixels.value = choice
        press(dock.run_button)
        labels = viewer.layers[-1]
        assert labels.data.shape == (3, 100, 120)
        np.testing.assert_allclose(labels.data_to_world((1, 5, 6)), stack.data_to_world((1, 5, 6)))
        shared = set(np.unique(labels.data[0])) & set(np.unique(labels.data[2])) - {0}
        assert bool(shared) is joined
        viewer.layers.remove(labels)
    dock.image.value = plane
    assert STITCHED not in dock.pixels.choices


def test_a_tile_is_painted_where_it_lies(viewer: Any) -> None:
    image = viewer.add_image(np.zeros((60, 80)), name="image", scale=(2, 2))
    painter = TilePainter(viewer, image, (60, 80), {"scale": (2, 2)})
    painter.paint(TilePiece(0, (10, 20, 30, 60), np.full((20, 40), 9, np.float32)))
    painted = viewer.layers["image: cells so far"]
    assert painted.data[15, 30] > 250 and painted.data[5, 5] == 0
    painter.close()
    assert [layer.name for layer in viewer.layers] == ["image"]


def test_a_job_that_fails_leaves_no_half_painted_tiles(
    viewer: Any, tiny: SegmentDock, blobs: Any, monkeypatch: Any
) -> None:
    def fails(*_: Any) -> Any:
        yield Progress(1, 10, "tile", TilePiece(0, (0, 0, 8, 8), np.ones((8, 8), np.float32)))
        assert "cells: cells so far" in viewer.layers
        raise ImageError("the disk is full")

    monkeypatch.setattr("napari_biofm.controllers.segment.controller.segment_job", fails)
    viewer.add_image(blobs, name="cells")
    notification_manager.records.clear()
    press(tiny.run_button)
    assert any("disk is full" in n.message for n in notification_manager.records)
    assert [layer.name for layer in viewer.layers] == ["cells"]
    assert tiny.result.text() == "Nothing was changed." and tiny.run_button.enabled


def test_the_visible_part_follows_the_camera(viewer: Any, qtbot: Any) -> None:
    layer = viewer.add_image(np.zeros((400, 600)), name="image")
    viewer.scene.camera.zoom = 0.3
    qtbot.waitUntil(lambda: visible_box(viewer, layer) == (0, 0, 400, 600))
    viewer.scene.camera.center = (100, 100)
    viewer.scene.camera.zoom = 20

    def is_inside() -> bool:
        y0, x0, y1, x1 = visible_box(viewer, layer)
        return 0 < y0 < 100 < y1 < 400 and 0 < x0 < 100 < x1 < 600

    qtbot.waitUntil(is_inside)


def test_models_are_listed_by_name_only_once(dock: SegmentDock) -> None:
    names = dock.model.choices
    assert len(set(names)) == len(names)
    assert "sam_vit_b" in names and store.imported_models() == {}
