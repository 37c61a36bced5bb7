"""Every tool of the annotator, pressed and dragged on a real canvas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_biofm.types import Segmentation
from napari_biofm.widgets.annotate import AnnotateDock
from napari_biofm.widgets.annotate.tools import Tool
from napari_biofm.widgets.viewers import layer_id
from tests.hand import canvas_of, drag, hover


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
        ndim, kwargs = CASES[case]
        image, truth = blobs()
        self.truth = truth
        start = truth if labels is None else labels
        if ndim == 3:
            image, start = np.stack([image] * 4), np.stack([start] * 4)
        self.viewer = viewer
        self.image = viewer.add_image(image, name="field", **kwargs)
        self.labels = viewer.add_labels(start.copy(), name="cells", **kwargs)
        self.start = start.copy()
        self.dock = AnnotateDock(viewer)
        viewer.window.add_dock_widget(self.dock, name="annotate")
        if ndim == 3:
            viewer.dims.set_current_step(0, 2)
        viewer.reset_view()
        self.ndim = ndim

    @property
    def plane(self) -> Any:
        data = np.asarray(self.labels.data)
        return data[2] if self.ndim == 3 else data

    def world(self, point: Any) -> Any:
        full = (2.0, *point) if self.ndim == 3 else point
        return np.asarray(self.labels.data_to_world(full))[-2:]

    def use(self, tool: Tool) -> None:
        self.dock.tool_buttons[tool].click()

    def drag(self, *points: Any, modifiers: Any = ()) -> None:
        drag(self.viewer, [self.world(p) for p in points], modifiers=modifiers)

    def others_untouched(self) -> bool:
        if self.ndim == 2:
            return True
        return all(np.array_equal(np.asarray(self.labels.data)[k], self.start[k]) for k in (0, 1, 3))


def iou(a: Any, b: Any) -> float:
    return (a & b).sum() / max((a | b).sum(), 1)


@pytest.fixture(params=list(CASES))
def bench(request, viewer):
    return Bench(viewer, request.param)


@pytest.fixture(params=list(CASES))
def empty(request, viewer):
    return Bench(viewer, request.param, np.zeros((110, 100), np.int32))


def test_a_click_previews_a_mask_and_commit_makes_a_cell(empty):
    empty.use(Tool.POINT)
    empty.drag((75, 50))
    assert not empty.plane.any(), "nothing is written before the commit"
    assert empty.dock.annotator.preview.shown_area > 100
    empty.dock.action_buttons["commit"].click()
    assert iou(empty.plane == 1, empty.truth == 3) > 0.8
    assert empty.others_untouched()
    empty.dock.action_buttons["undo"].click()
    assert not empty.plane.any()
    empty.dock.action_buttons["redo"].click()
    assert iou(empty.plane == 1, empty.truth == 3) > 0.8


def test_a_box_a_scribble_and_a_lasso_make_cells(empty):
    empty.use(Tool.BOX)
    empty.drag((17, 17), (30, 30), (43, 43))
    assert iou(empty.dock.annotator.shown.within((0, 0), (110, 100)).mask, empty.truth == 1) > 0.6
    empty.dock.press("commit")
    empty.use(Tool.SCRIBBLE)
    empty.drag((30, 56), (30, 60), (31, 64), (32, 67))
    empty.dock.press("commit")
    assert iou(empty.plane == 2, empty.truth == 2) > 0.7
    empty.use(Tool.LASSO)
    angles = np.linspace(0, 2 * np.pi, 24)
    empty.drag(*[(75 + 12 * np.sin(a), 50 + 12 * np.cos(a)) for a in angles])
    empty.dock.press("commit")
    assert iou(empty.plane == 3, empty.truth == 3) > 0.75
    assert empty.others_untouched()


def test_refine_takes_an_existing_cell_and_shift_click_takes_away_from_it(bench):
    joined = np.where(bench.truth == 2, 1, bench.truth)
    for plane in range(4) if bench.ndim == 3 else (slice(None),):
        bench.labels.data[plane] = joined
    bench.labels.data = bench.labels.data
    bench.start = np.asarray(bench.labels.data).copy()
    bench.use(Tool.REFINE)
    bench.drag((30, 30))
    assert bench.dock.annotator.pending.label == 1
    assert bench.dock.annotator.tool is Tool.POINT
    bench.drag((30, 30))
    bench.drag((30, 66), modifiers=["Shift"])
    bench.dock.press("commit")
    assert iou(bench.plane == 1, bench.truth == 1) > 0.8
    assert bench.others_untouched()


def test_merge_by_dragging_from_one_cell_to_another(bench):
    bench.use(Tool.MERGE)
    bench.drag((30, 30), (30, 45), (30, 62))
    assert set(np.unique(bench.plane)) == {0, 1, 3}
    assert bench.plane[30, 62] == 1
    assert bench.others_untouched()


def test_split_by_a_line_and_by_two_clicks(bench):
    bench.use(Tool.SPLIT)
    bench.drag((15, 30), (30, 30), (45, 30))
    assert len(np.unique(bench.plane)) == 5
    assert bench.plane[30, 24] != bench.plane[30, 36]
    bench.drag((75, 45))
    bench.drag((75, 56))
    assert len(np.unique(bench.plane)) == 6
    assert ((bench.plane > 0) == (bench.truth > 0)).all()
    assert bench.others_untouched()


def test_delete_fill_and_smooth_by_a_click(bench):
    holed = bench.truth.copy()
    holed[28:32, 28:32] = 0
    holed[75, 60:72] = 3
    if bench.ndim == 3:
        bench.labels.data[:] = holed
    else:
        bench.labels.data[:] = holed
    bench.labels.data = bench.labels.data
    bench.start = np.asarray(bench.labels.data).copy()
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


def test_napari_s_brush_and_fill_bucket_enter_the_same_history(bench):
    bench.use(Tool.BRUSH)
    bench.labels.selected_label, bench.labels.brush_size = 9, 5
    bench.drag((95, 20), (95, 30), (95, 40))
    assert (bench.plane == 9).sum() > 60
    bench.labels.mode, bench.labels.selected_label = "fill", 4
    bench.drag((75, 50))
    assert (bench.plane == 4).any() and not (bench.plane == 3).any()
    history = bench.dock.session.history
    assert [a.name for a in history] == ["brush", "brush"]
    bench.use(Tool.DELETE)
    bench.drag((30, 30))
    painted = np.asarray(bench.labels.data).copy()
    for _ in range(3):
        bench.dock.press("undo")
    assert np.array_equal(bench.labels.data, bench.start), "strokes and commits are undone in one row"
    for _ in range(3):
        bench.dock.press("redo")
    assert np.array_equal(bench.labels.data, painted)


def test_keys_reach_tools_and_undo_on_the_canvas(viewer):
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
    assert "(F)" in bench.dock.tool_buttons[Tool.DELETE].text()


def test_undo_takes_back_the_last_click_of_a_prompt_first(viewer):
    bench = Bench(viewer, "2d", np.zeros((110, 100), np.int32))
    bench.use(Tool.POINT)
    bench.drag((30, 30))
    bench.drag((75, 50))
    both = bench.dock.annotator.shown.area
    bench.dock.press("undo")
    assert len(bench.dock.annotator.pending.points) == 1
    assert bench.dock.annotator.shown.area < both
    bench.dock.press("clear")
    assert bench.dock.annotator.shown is None and bench.dock.annotator.preview.shown_area == 0


def flows_of(labels):
    """Flows and cell probability as a network would give them for these labels."""
    from napari_biofm.images.dynamics import flows_from_masks

    flows = flows_from_masks(labels)
    prob = np.where(labels > 0, 4.0, -4.0).astype(np.float32)
    return Segmentation(labels, flows, prob, diameter=22.0)


def test_with_flow_basins_hovering_previews_a_click_accepts_and_dragging_joins(viewer):
    bench = Bench(viewer, "2d", np.zeros((110, 100), np.int32))
    dock = bench.dock
    dock.session.set_segmentation(layer_id(bench.labels), flows_of(bench.truth))
    dock.backend.setCurrentIndex(dock.backend.findData("flow-basins"))
    bench.use(Tool.POINT)
    hover(viewer, bench.world((75, 50)))
    assert dock.annotator.preview.shown_area > 200
    bench.drag((75, 50))
    dock.press("commit")
    assert iou(bench.plane == 1, bench.truth == 3) > 0.9
    bench.drag((30, 30), (30, 40), (30, 50), (30, 62))
    dock.press("commit")
    assert iou(bench.plane == 2, (bench.truth == 1) | (bench.truth == 2)) > 0.9


def test_without_flows_the_basins_say_what_to_do(viewer):
    bench = Bench(viewer, "2d", np.zeros((110, 100), np.int32))
    bench.dock.backend.setCurrentIndex(bench.dock.backend.findData("flow-basins"))
    bench.use(Tool.POINT)
    bench.drag((75, 50))
    assert "segment this image first" in bench.dock.status.text()


def test_in_a_3d_view_a_click_deletes_the_whole_cell(viewer):
    bench = Bench(viewer, "3d")
    bench.use(Tool.DELETE)
    viewer.dims.ndisplay = 3
    viewer.reset_view()
    centre = viewer.camera.center
    bench.dock.annotator.click(np.zeros(3), False, bench.dock.annotator.view, 2)
    assert not (np.asarray(bench.labels.data) == 2).any()
    assert len(centre) == 3
    bench.dock.press("undo")
    assert np.array_equal(bench.labels.data, bench.start)


def test_labels_on_another_grid_than_the_image_get_the_mask_where_it_belongs(viewer):
    image, truth = blobs()
    viewer.add_image(image, name="field", scale=(2, 2))
    labels = viewer.add_labels(np.zeros((220, 200), np.int32), name="fine")
    dock = AnnotateDock(viewer)
    viewer.window.add_dock_widget(dock)
    viewer.reset_view()
    dock.tool_buttons[Tool.POINT].click()
    drag(viewer, [(150, 100)])
    dock.press("commit")
    fine = np.kron(truth == 3, np.ones((2, 2), bool))
    assert iou(labels.data == 1, fine) > 0.75


def test_the_dock_opens_without_layers_and_makes_labels_on_the_image(viewer):
    dock = AnnotateDock(viewer)
    viewer.window.add_dock_widget(dock)
    assert dock.new_labels() is None
    image = viewer.add_image(blobs()[0], scale=(0.3, 0.3), rotate=10)
    layer = dock.new_labels()
    assert layer.data.shape == image.data.shape
    assert np.allclose(layer.scale, image.scale)
    assert dock.annotator.labels is layer
