"""In the Segment dock: teaching from corrected masks, and images too large for one piece."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from scipy import ndimage

from napari_biofm.controllers.segment.pixels import SERIES
from napari_biofm.images.io import lazy
from napari_biofm.images.tiling import large_images
from napari_biofm.images.train.finetuning import Tuned
from napari_biofm.images.train.sam_tuning import SamTuned
from napari_biofm.session import session_of
from napari_biofm.types import Capabilities, Progress
from napari_biofm.widgets.annotate import AnnotateDock
from napari_biofm.widgets.common.viewers import layer_id
from napari_biofm.widgets.segment.dock import SegmentDock
from napari_biofm.widgets.segment.model_choice import about_own

REPORT = {
    "base": "base",
    "licence": "BSD-3-Clause",
    "before": {"ap50": 0.4, "ap": 0.2},
    "after": {"ap50": 0.7, "ap": 0.5},
    "learnt_from": ["a"],
    "held_back": ["b"],
    "same_image": False,
}


@pytest.fixture
def dock(viewer: Any, tmp_path: Any, monkeypatch: Any, qtbot: Any) -> SegmentDock:
    """A dock with one Cellpose-SAM model of the user's own, called base."""
    import torch

    from napari_biofm.models import store

    monkeypatch.setenv("NAPARI_BIOFM_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("NAPARI_BIOFM_CACHE", str(tmp_path / "passes"))
    monkeypatch.setenv("CELLPOSE_LOCAL_MODELS_PATH", str(tmp_path / "cellpose"))
    keys = ("W2", "encoder.patch_embed.proj.weight", "encoder.neck.0.weight")
    torch.save({key: torch.zeros(1) for key in keys}, tmp_path / "base.pth")
    store.import_model(tmp_path / "base.pth")
    made = SegmentDock(viewer)
    viewer.window.add_dock_widget(made, name="Segment cells")
    made.teaching.expand(animate=False)
    button = made.teach_panel.add_button
    qtbot.waitUntil(lambda: button.isVisible() and 10 < button.height() < 100, timeout=20_000)  # laid out
    return made


@pytest.fixture
def pairs(viewer: Any, dock: SegmentDock) -> list[tuple[Any, Any]]:
    """Two images with masks over them."""
    made = []
    for number in range(2):
        masks = np.zeros((60, 70), np.int32)
        masks[5:25, 5:25], masks[30:50, 40:60] = 1, 2
        image = viewer.add_image(masks * 10.0 + number, name=f"field {number}")
        made.append((image, viewer.add_labels(masks, name=f"cells {number}")))
    return made


def press(button: Any) -> None:
    QTest.mouseClick(getattr(button, "native", button), Qt.MouseButton.LeftButton)


def choose(viewer: Any, dock: SegmentDock, pair: tuple[Any, Any]) -> None:
    dock.image.value = pair[0]
    session_of(viewer).set_layers(image=layer_id(pair[0]), labels=layer_id(pair[1]))


def test_examples_are_added_ticked_and_taught(
    viewer: Any, dock: SegmentDock, pairs: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    panel, asked = dock.teach_panel, []
    assert panel.base.currentText() == "base" and not panel.teach_button.isEnabled()
    for pair in pairs:
        choose(viewer, dock, pair)
        press(panel.add_button)
    texts = [panel.examples.item(i).text() for i in range(2)]
    assert texts == ["field 0  (2 cells)", "field 1  (2 cells)"]
    assert [e.held_back for e in panel._all()] == [False, True]  # the second is kept for the score
    assert "name" in panel.result.text()
    QTest.keyClicks(panel.name, "mine")
    assert panel.teach_button.isEnabled()

    def taught(examples: Any, name: str, base: str, settings: Any, device: str) -> Any:
        from napari_biofm.models import store

        asked.append((len(examples), name, base, settings.epochs, device))
        yield Progress(1, 2, "epoch 1 of 100")
        own = store.import_model(tmp_path / "base.pth", name, about=REPORT)
        return Tuned(name, own.path, REPORT)

    monkeypatch.setattr("napari_biofm.widgets.segment.teach_panel.tune_job", taught)
    press(panel.teach_button)
    assert asked == [(2, "mine", "base", 100, "auto")]
    assert "0.40 before, 0.70 after, better" in panel.result.text()
    assert dock.model.value == "mine"  # ready to segment with
    assert "Taught here from base" in dock.chooser.about.text()
    assert "BSD-3-Clause" in dock.chooser.about.text()


def test_segment_anything_is_taught_where_it_is_the_base(
    viewer: Any, dock: SegmentDock, pairs: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    import torch

    from napari_biofm.models import store

    keys = ("image_encoder.patch_embed.proj.weight", "mask_decoder.iou_token.weight")
    torch.save({key: torch.zeros(1) for key in keys}, tmp_path / "sam.pth")
    store.import_model(tmp_path / "sam.pth", "clicks")
    panel, asked = dock.teach_panel, []
    panel.refresh()
    panel.base.setCurrentText("clicks")
    for pair in pairs:
        choose(viewer, dock, pair)
        press(panel.add_button)
    QTest.keyClicks(panel.name, "mine")
    before, after = ({"iou_1_click": x, "iou_3_clicks": x, "iou_box": x, "cells": 2} for x in (0.4, 0.7))
    report = {**REPORT, "base": "clicks", "before": before, "after": after}

    def taught(examples: Any, name: str, base: str, settings: Any, device: str) -> Any:
        asked.append((len(examples), name, base, settings.epochs, device))
        yield Progress(1, 2, "epoch 1 of 100")
        own = store.import_model(tmp_path / "sam.pth", name, about=report)
        return SamTuned(name, own.path, report)

    monkeypatch.setattr("napari_biofm.widgets.segment.teach_panel.tune_sam_job", taught)
    annotate = AnnotateDock(viewer)
    viewer.window.add_dock_widget(annotate, name="Point and click")
    assert annotate.backend.findData("mine") < 0
    press(panel.teach_button)
    assert asked == [(2, "mine", "clicks", 100, "auto")]
    assert "one click 0.40 before, 0.70 after" in panel.result.text() and "better" in panel.result.text()
    assert "Taught here from clicks" in dock.chooser.about.text()
    assert "IoU for a box 0.40 before, 0.70 after" in dock.chooser.about.text()
    annotate.backend.showPopup()  # an open dock offers it, too
    annotate.backend.hidePopup()
    assert annotate.backend.itemText(annotate.backend.findData("mine")) == "mine (your own)"


def test_a_copy_of_the_embedded_model_is_described(dock: SegmentDock) -> None:
    report = {key: value for key, value in REPORT.items() if key != "base"}
    assert "Taught here from the model in the package" in about_own(report)


def test_all_on_one_side_cannot_be_taught(viewer: Any, dock: SegmentDock, pairs: Any) -> None:
    panel = dock.teach_panel
    QTest.keyClicks(panel.name, "mine")
    for pair in pairs:
        choose(viewer, dock, pair)
        press(panel.add_button)
    panel.examples.item(1).setCheckState(Qt.CheckState.Checked)
    assert not panel.teach_button.isEnabled() and "leave at least one" in panel.result.text()
    panel.examples.setCurrentRow(1)
    QTest.keyClick(panel.examples, Qt.Key.Key_Delete)
    assert panel.examples.count() == 1 and panel.teach_button.isEnabled()  # one is cut in two


def test_without_layers_it_says_what_to_do(viewer: Any, dock: SegmentDock) -> None:
    notification_manager.records.clear()
    press(dock.teach_panel.add_button)
    assert any("then add both" in n.message for n in notification_manager.records)
    assert dock.teach_panel.examples.count() == 0


class Bright:
    """Finds what is bright; remembers the largest part it was given."""

    name, largest = "bright", 0
    weights_sha256 = ""
    capabilities = Capabilities(segments=True)

    def segment(self, image: Any, parameters: Any) -> Any:
        from napari_biofm.types import Segmentation

        Bright.largest = max(Bright.largest, image.size)
        yield Progress(1, 1, "looking")
        return Segmentation(ndimage.label(image > 0.5)[0].astype(np.int32))


def test_a_large_image_goes_in_blocks_and_says_so(
    viewer: Any, dock: SegmentDock, monkeypatch: Any, tmp_path: Any
) -> None:
    import zarr

    for module, name, value in (
        (large_images, "BLOCK", 64),
        (large_images, "MARGIN", 24),
        (large_images, "LARGE", 100 * 100),
        (lazy, "LARGE", 100 * 100),
    ):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr("napari_biofm.images.segment.jobs.make_segmenter", lambda name, device: Bright())
    y, x = np.mgrid[:200, :180]
    discs = ((y % 20 - 10) ** 2 + (x % 20 - 10) ** 2 < 49).astype(np.float32)
    pixels = zarr.create_array(str(tmp_path / "i.zarr"), shape=discs.shape, chunks=(64, 64), dtype="f4")
    pixels[:] = discs
    viewer.add_image(pixels, name="slide", scale=(0.5, 0.5))
    assert dock.estimate.text().startswith("Large image: 12 blocks of up to 64 px")
    press(dock.run_button)
    labels = viewer.layers["slide cells"]
    assert isinstance(labels.data, np.memmap) and labels.data.shape == (200, 180)
    assert labels.data.max() == 90 and "90 cells" in dock.result.text()
    assert Bright.largest <= 112 * 112
    np.testing.assert_allclose(labels.data_to_world((20, 30)), (10, 15))
    labels.data[0, 0] = 999  # painting does not change what is kept
    viewer.layers.remove(labels)
    press(dock.run_button)
    assert viewer.layers["slide cells"].data.max() == 90
    stack = viewer.add_image(np.stack([discs] * 3), name="series")
    dock.image.value = stack
    dock.pixels.value = SERIES
    assert "3 planes of 12 blocks" in dock.estimate.text()


def test_a_model_that_cannot_run_is_shown_as_such(dock: SegmentDock) -> None:
    dock.model.value = "cpdino"
    assert "Not available" in dock.chooser.about.text()
    assert not dock.chooser.download_button.isVisible()
    assert any("not available" in text for text, _ in dock.chooser._choices)
