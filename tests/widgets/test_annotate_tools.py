"""Every tool of the annotator, pressed and dragged on a real canvas."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from tests.hand import canvas_of, drag, hover, settle

from napari_biofm.controllers.annotate.tools import Tool, load_keys
from napari_biofm.images.edit import Piece
from napari_biofm.images.prompt.correction import Answer
from napari_biofm.session.journal_files import settings_folder
from napari_biofm.types import Segmentation
from napari_biofm.widgets.annotate import AnnotateDock
from napari_biofm.widgets.common.viewers import layer_id


@pytest.fixture(autouse=True)
def autosave_in_tmp(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_BIOFM_AUTOSAVE", str(tmp_path / "home" / "autosave"))


def blobs(centres=((30, 30), (30, 62), (75, 50)), shape=(110, 100), radius=11):
    y, x = np.indices(shape)
    image, labels = np.zeros(shape, np.float32), np.zeros(shape, np.int32)
    for k, (cy, cx) in enumerate(centres, 1):
        far = np.hypot(y - cy, x - cx)
        image += 100 / (1 + np.exp(far - radius))
        labels[far < radius] = k
    return image + 20, labels


TURNED = {"scale": (0.5, 2.0), "rotate": 25, "translate": (40, -10)}
CASES = {
    "2d": (2, {}),
    "2d turned": (2, TURNED),
    "3d": (3, {"scale": (3.0, 0.5, 0.5)}),
    "time": (3, {"scale": (1.0, 0.2, 0.2)}),
}


class Bench:
    """A dock on an image and labels, and a hand that points at pixels of the labels."""

    def __init__(self, viewer: Any, case: str, labels: Any = None) -> None:
        self.ndim, kwargs = CASES[case]
        image, self.truth = blobs()
        self.viewer = viewer
        self.dock = AnnotateDock(viewer)
        viewer.window.add_dock_widget(self.dock, name="annotate")
        self.image = viewer.add_image(self.stacked(image), name="field", **kwargs)
        start = self.truth if labels is None else labels
        self.labels = viewer.add_labels(self.stacked(start), name="cells", **kwargs)
        self.start = np.asarray(self.labels.data).copy()
        if self.ndim == 3:
            viewer.dims.set_current_step(0, 2)
        self.dock.backend.setCurrentIndex(self.dock.backend.findData("level-sets"))
        settle(viewer)

    def stacked(self, plane: Any) -> Any:
        return np.stack([plane] * 4) if self.ndim == 3 else plane.copy()

    def restart(self, plane: Any) -> None:
        """Other labels, nothing to undo."""
        self.start = self.stacked(plane)
        self.labels.data = self.start.copy()
        self.dock.session.history.clear()
        self.dock.press("clear")

    @property
    def plane(self) -> Any:
        data = np.asarray(self.labels.data)
        return data[2] if self.ndim == 3 else data

    def world(self, point: Any) -> Any:
        full = (2.0, *point) if self.ndim == 3 else point
        return np.asarray(self.labels.data_to_world(full))[-2:]

    def use(self, tool: Tool) -> None:
        self.dock.toolbox.tool_buttons[tool].click()

    def drag(self, *points: Any, modifiers: Any = ()) -> None:
        drag(self.viewer, [self.world(p) for p in points], modifiers=modifiers)

    def shown(self) -> Any:
        return self.dock.annotator.prompt.shown.within((0, 0), (110, 100)).mask

    def others_untouched(self) -> bool:
        if self.ndim == 2:
            return True
        return all(np.array_equal(np.asarray(self.labels.data)[k], self.start[k]) for k in (0, 1, 3))


def iou(a: Any, b: Any) -> float:
    return (a & b).sum() / max((a | b).sum(), 1)


NOTHING = np.zeros((110, 100), np.int32)


@pytest.mark.parametrize("case", list(CASES))
def test_every_tool_does_its_work_in_the_plane_that_is_shown(viewer, case):
    bench = Bench(viewer, case)
    for step in (
        click_and_commit,
        box_scribble_and_lasso,
        refine,
        merge,
        split,
        delete_fill_and_smooth,
        brush_and_bucket,
    ):
        step(bench)
        assert bench.others_untouched(), step.__name__


def click_and_commit(bench):
    bench.restart(NOTHING)
    bench.use(Tool.POINT)
    bench.drag((75, 50))
    assert not bench.plane.any(), "nothing is written before the commit"
    assert bench.dock.annotator.preview.shown_area > 100
    bench.dock.toolbox.action_buttons["commit"].click()
    assert iou(bench.plane == 1, bench.truth == 3) > 0.8
    bench.dock.toolbox.action_buttons["undo"].click()
    assert not bench.plane.any()
    bench.dock.toolbox.action_buttons["redo"].click()
    assert iou(bench.plane == 1, bench.truth == 3) > 0.8


def box_scribble_and_lasso(bench):
    bench.restart(NOTHING)
    bench.use(Tool.BOX)
    bench.drag((17, 17), (30, 30), (43, 43))
    assert iou(bench.shown(), bench.truth == 1) > 0.6
    bench.dock.press("commit")
    bench.use(Tool.SCRIBBLE)
    bench.drag((30, 56), (30, 60), (31, 67))
    bench.dock.press("commit")
    assert iou(bench.plane == 2, bench.truth == 2) > 0.7
    bench.use(Tool.LASSO)
    angles = np.linspace(0, 2 * np.pi, 14)
    bench.drag(*[(75 + 12 * np.sin(a), 50 + 12 * np.cos(a)) for a in angles])
    bench.dock.press("commit")
    assert iou(bench.plane == 3, bench.truth == 3) > 0.7


def refine(bench):
    bench.restart(np.where(bench.truth == 2, 1, bench.truth))
    bench.use(Tool.REFINE)
    bench.drag((30, 30))
    assert bench.dock.annotator.prompt.pending.label == 1
    assert bench.dock.annotator.tool is Tool.POINT
    bench.drag((30, 30))
    bench.drag((30, 66), modifiers=["Shift"])
    bench.dock.press("commit")
    assert iou(bench.plane == 1, bench.truth == 1) > 0.8


def merge(bench):
    bench.restart(bench.truth)
    bench.use(Tool.MERGE)
    bench.drag((30, 30), (30, 45), (30, 62))
    assert set(np.unique(bench.plane)) == {0, 1, 3}
    assert bench.plane[30, 62] == 1


def split(bench):
    bench.restart(bench.truth)
    bench.use(Tool.SPLIT)
    bench.drag((15, 30), (30, 30), (45, 30))
    assert len(np.unique(bench.plane)) == 5
    assert bench.plane[30, 24] != bench.plane[30, 36]
    bench.drag((75, 45))
    bench.drag((75, 56))
    assert len(np.unique(bench.plane)) == 6
    assert ((bench.plane > 0) == (bench.truth > 0)).all()


def delete_fill_and_smooth(bench):
    holed = bench.truth.copy()
    holed[28:32, 28:32] = 0
    holed[75, 60:72] = 3
    bench.restart(holed)
    bench.use(Tool.FILL)
    bench.drag((30, 24))
    assert (bench.plane == 1).sum() == (bench.truth == 1).sum()
    bench.use(Tool.SMOOTH)
    bench.drag((75, 50))
    assert bench.plane[75, 70] == 0
    bench.use(Tool.DELETE)
    bench.drag((30, 62))
    assert not (bench.plane == 2).any()
    assert bench.others_untouched()
    for _ in range(3):
        bench.dock.press("undo")
    assert np.array_equal(bench.labels.data, bench.start)


def brush_and_bucket(bench):
    bench.restart(bench.truth)
    bench.use(Tool.BRUSH)
    bench.labels.selected_label, bench.labels.brush_size = 9, 5
    bench.drag((95, 20), (95, 30), (95, 40))
    assert (bench.plane == 9).sum() > 60
    bench.labels.mode, bench.labels.selected_label = "fill", 4
    bench.drag((75, 50))
    assert (bench.plane == 4).any()
    assert not (bench.plane == 3).any()
    assert [a.name for a in bench.dock.session.history] == ["brush", "brush"]
    bench.use(Tool.DELETE)
    bench.drag((30, 30))
    painted = np.asarray(bench.labels.data).copy()
    for _ in range(3):
        bench.dock.press("undo")
    assert np.array_equal(bench.labels.data, bench.start), "strokes and commits are undone in one row"
    for _ in range(3):
        bench.dock.press("redo")
    assert np.array_equal(bench.labels.data, painted)


def test_keys_reach_tools_and_undo_takes_back_the_last_click_of_a_prompt_first(viewer):
    bench = Bench(viewer, "2d")
    viewer.layers.selection.active = bench.labels
    canvas = canvas_of(viewer)
    QTest.keyClick(canvas, Qt.Key.Key_D)
    assert bench.dock.annotator.tool is Tool.DELETE
    bench.drag((30, 30))
    assert not (bench.plane == 1).any()
    QTest.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(bench.plane, bench.truth)
    QTest.keyClick(canvas, Qt.Key.Key_A)
    assert bench.dock.annotator.tool is Tool.POINT
    bench.dock.use_keys({**bench.dock.keys, "delete": "F"})
    QTest.keyClick(canvas, Qt.Key.Key_F)
    assert bench.dock.annotator.tool is Tool.DELETE
    assert "(F)" in bench.dock.toolbox.tool_buttons[Tool.DELETE].text()

    bench.restart(NOTHING)
    bench.use(Tool.POINT)
    bench.drag((30, 30))
    bench.drag((75, 50))
    both = bench.dock.annotator.prompt.shown.area
    bench.dock.press("undo")
    assert len(bench.dock.annotator.prompt.pending.points) == 1
    assert bench.dock.annotator.prompt.shown.area < both
    bench.dock.press("clear")
    assert bench.dock.annotator.prompt.shown is None and bench.dock.annotator.preview.shown_area == 0


def test_the_next_alternative_is_shown_by_key_and_is_what_is_committed(viewer):
    bench = Bench(viewer, "2d", NOTHING)
    dock = bench.dock
    viewer.layers.selection.active = bench.labels
    big, small = Piece.of(bench.truth == 3), Piece.of(np.ones((4, 6), bool), (73, 48))
    dock.annotator.predictor.answer_now = lambda asked: Answer((big, small), (0.9, 0.7))
    bench.use(Tool.POINT)
    bench.drag((75, 50))
    assert dock.toolbox.action_buttons["alternative"].isEnabled()
    assert "alternative 1 of 2" in dock.status.text()
    QTest.keyClick(canvas_of(viewer), Qt.Key.Key_T)
    assert dock.annotator.preview.shown_area == 24
    assert "alternative 2 of 2" in dock.status.text()
    QTest.keyClick(canvas_of(viewer), Qt.Key.Key_C)
    assert (bench.plane == 1).sum() == 24


def test_a_key_is_changed_in_the_table_kept_and_refused_where_it_is_taken(viewer):
    bench = Bench(viewer, "2d")
    dock = bench.dock
    told = []
    dock.key_table.refused.connect(told.append)
    row = list(dock.keys).index("split")
    dock.key_table.item(row, 1).setText("B")
    assert "(B)" in dock.toolbox.tool_buttons[Tool.SPLIT].text()
    dock.key_table.item(row, 1).setText("D")
    assert dock.keys["split"] == "B"
    assert "Key D is given to" in told[-1]
    viewer.layers.selection.active = bench.labels
    QTest.keyClick(canvas_of(viewer), Qt.Key.Key_B)
    assert dock.annotator.tool is Tool.SPLIT
    assert load_keys(settings_folder() / "annotate-keys.json")["split"] == "B", "kept for another day"


def test_a_cell_is_redrawn_by_refine_and_lasso_and_keeps_its_id(viewer):
    bench = Bench(viewer, "2d")
    bench.use(Tool.REFINE)
    bench.drag((75, 50))
    bench.use(Tool.LASSO)
    angles = np.linspace(0, 2 * np.pi, 14)
    bench.drag(*[(80 + 8 * np.sin(a), 60 + 8 * np.cos(a)) for a in angles])
    bench.dock.press("commit")
    assert bench.plane[75, 45] == 0
    assert bench.plane[80, 60] == 3
    assert set(np.unique(bench.plane)) == {0, 1, 2, 3}


def flows_of(labels):
    """Flows and cell probability as a network would give them for these labels."""
    from napari_biofm.images.segment.ideal_flows import flows_from_masks

    flows = flows_from_masks(labels)
    prob = np.where(labels > 0, 4.0, -4.0).astype(np.float32)
    return Segmentation(labels, flows, prob, diameter=22.0)


def test_with_flow_basins_hovering_previews_a_click_accepts_and_dragging_joins(viewer):
    bench = Bench(viewer, "2d", NOTHING)
    dock = bench.dock
    dock.backend.setCurrentIndex(dock.backend.findData("flow-basins"))
    bench.use(Tool.POINT)
    bench.drag((75, 50))
    assert "segment this image first" in dock.status.text()
    dock.session.set_segmentation(layer_id(bench.labels), flows_of(bench.truth))
    hover(viewer, bench.world((75, 50)))
    assert dock.annotator.preview.shown_area > 200
    bench.drag((75, 50))
    dock.press("commit")
    assert iou(bench.plane == 1, bench.truth == 3) > 0.9
    bench.drag((30, 30), (30, 40), (30, 50), (30, 62))
    dock.press("commit")
    assert iou(bench.plane == 2, (bench.truth == 1) | (bench.truth == 2)) > 0.9


def test_in_a_3d_view_clicks_act_on_the_whole_cell_and_prompts_ask_for_a_plane(viewer):
    bench = Bench(viewer, "3d")
    viewer.dims.ndisplay = 3
    settle(viewer)
    bench.use(Tool.DELETE)
    bench.drag((30, 62))
    data = np.asarray(bench.labels.data)
    assert not (data == 2).any()
    assert (data == 1).any() and (data == 3).any()
    bench.drag((100, 10))
    assert "no cell" in bench.dock.status.text()
    bench.use(Tool.MERGE)
    bench.drag((30, 30))
    bench.drag((75, 50))
    assert set(np.unique(bench.labels.data)) == {0, 1}
    bench.use(Tool.POINT)
    bench.drag((30, 30))
    assert "switch the viewer to 2D" in bench.dock.status.text()
    bench.dock.press("undo")
    bench.dock.press("undo")
    assert np.array_equal(bench.labels.data, bench.start)


def test_a_threshold_grows_and_shrinks_the_prompt_and_each_cell_by_the_slider(viewer):
    bench = Bench(viewer, "2d", NOTHING)
    dock = bench.dock
    dock.backend.setCurrentIndex(dock.backend.findData("flow-basins"))
    assert not dock.threshold.isEnabled()
    far = np.hypot(*(np.indices(bench.truth.shape) - np.array([75, 50])[:, None, None]))
    found = flows_of(bench.truth)
    prob = np.where(bench.truth == 3, 5 - 0.5 * far, found.cell_prob).astype(np.float32)
    dock.session.set_segmentation(layer_id(bench.labels), replace(found, cell_prob=prob))
    bench.use(Tool.POINT)
    assert dock.threshold.isEnabled()
    bench.drag((75, 50))
    usual = dock.annotator.prompt.shown.area
    dock.press("shrink")
    assert dock.annotator.prompt.shown.area < usual
    dock.press("grow")
    assert dock.annotator.prompt.shown.area == usual
    dock.press("commit")
    before = np.asarray(bench.labels.data).copy()
    slider = dock.threshold.slider
    slider.setSliderDown(True)
    slider.setValue(25)
    assert np.array_equal(bench.labels.data, before), "nothing is written while the hand is on the slider"
    assert 0 < dock.annotator.preview.shown_area < usual
    slider.setSliderDown(False)
    assert 0 < (bench.plane == 1).sum() < usual
    assert dock.threshold.value == 2.5
    dock.press("undo")
    assert np.array_equal(bench.labels.data, before)


def test_labels_on_another_grid_than_the_image_get_the_mask_where_it_belongs(viewer):
    image, truth = blobs()
    viewer.add_image(image, name="field", scale=(2, 2))
    labels = viewer.add_labels(np.zeros((220, 200), np.int32), name="fine")
    dock = AnnotateDock(viewer)
    viewer.window.add_dock_widget(dock)
    dock.backend.setCurrentIndex(dock.backend.findData("level-sets"))
    settle(viewer)
    dock.toolbox.tool_buttons[Tool.POINT].click()
    drag(viewer, [(150, 100)])
    dock.press("commit")
    fine = np.kron(truth == 3, np.ones((2, 2), bool))
    assert iou(labels.data == 1, fine) > 0.75


def test_the_dock_opens_without_layers_and_makes_labels_on_the_image(viewer):
    dock = AnnotateDock(viewer)
    viewer.window.add_dock_widget(dock)
    assert dock.layers.new_labels() is None
    image = viewer.add_image(blobs()[0], scale=(0.3, 0.3), rotate=10)
    layer = dock.layers.new_labels()
    assert layer.data.shape == image.data.shape
    assert np.allclose(layer.scale, image.scale)
    assert dock.annotator.labels is layer


def test_a_network_is_prepared_once_and_answers_clicks_on_its_window(viewer, monkeypatch):
    from napari_biofm.controllers.annotate import mask_predictor
    from napari_biofm.images.edit import Piece
    from napari_biofm.images.prompt.correction import Answer

    prepared, asked = set(), []

    def prepare(key, model, pixels, device):
        prepared.add(key)
        return key

    def answer(key, model, prompt, device):
        asked.append(prompt)
        if key not in prepared or len(asked) == 3:
            prepared.clear()
            return None  # the worker was restarted
        at = tuple(int(c) for c in prompt.points[0])
        return Answer((Piece(at, np.ones((4, 4), bool)),), (0.9,))

    monkeypatch.setattr(mask_predictor, "prepare_image", prepare)
    monkeypatch.setattr(mask_predictor, "answer_prompt", answer)
    viewer.add_image(np.zeros((3000, 2000), np.uint8))
    dock = AnnotateDock(viewer)
    viewer.window.add_dock_widget(dock)
    labels = dock.layers.new_labels()
    dock.annotator.predictor.backend = "some-network"
    annotator = dock.annotator
    for number, point in enumerate(([2500.0, 1500.0], [2510.0, 1490.0], [2500.0, 1400.0])):
        annotator.clear()
        annotator.prompt.add_points(np.array([point]), True, annotator.view)
        assert annotator.prompt.shown.origin == tuple(int(c) for c in point), number
        assert len(prepared) == 1
    assert max(p.points.max() for p in asked) < 1024, "the network sees a window"
    assert not labels.data.any()
