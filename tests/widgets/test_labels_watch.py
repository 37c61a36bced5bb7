"""Every change of the masks in a viewer is heard, whoever makes it and whichever docks are open."""

from __future__ import annotations

import numpy as np
import pytest

from napari_biofm.actions import EditLabels
from napari_biofm.controllers.common.layers import HELPER
from napari_biofm.images.edit import LabelsEditor, Piece, View
from napari_biofm.images.edit.labels_edit import LabelsEdit
from napari_biofm.widgets.annotate import AnnotateDock
from napari_biofm.widgets.cells import CellsDock
from napari_biofm.widgets.common.viewers import layer_id, viewer_session
from napari_biofm.widgets.segment import SegmentDock
from napari_biofm.widgets.timeline import TimelineDock
from napari_biofm.widgets.trace import TraceDock


@pytest.fixture(autouse=True)
def autosave(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_BIOFM_AUTOSAVE", str(tmp_path / "home" / "autosave"))


def field(shape=(120, 120)):
    labels = np.zeros(shape, np.int32)
    for k in range(16):
        y, x = 8 + 26 * (k // 4), 8 + 26 * (k % 4)
        labels[..., y : y + 14, x : x + 14] = k + 1
    return labels


class Heard:
    """What a session tells of its masks, and of edits that no longer fit."""

    def __init__(self, session):
        self.edits, self.skipped = [], []
        session.labels_edited.connect(lambda uid, ids: self.edits.append((uid, ids)))
        session.history.skipped.connect(self.skipped.append)


def quiet(viewer, qtbot):
    """Wait until a layer that was drawn was looked at."""
    session = viewer_session(viewer)
    told = []
    session.labels_edited.connect(lambda uid, ids: told.append(ids))
    qtbot.waitUntil(lambda: bool(told), timeout=5000)


def watched(viewer, qtbot, data=None):
    """A viewer with masks that were looked at once, its session, and what it tells."""
    layer = viewer.add_labels(field() if data is None else data, name="cells")
    session = viewer_session(viewer)
    heard = Heard(session)
    qtbot.wait(400)  # one pause and one look
    return layer, session, heard


# ---------------------------------------------------------------------- napari's own tools


TOOLS = {
    "paint": lambda layer: layer.paint((14, 14), 30),
    "erase": lambda layer: layer.paint((40, 40), 0),
    "fill": lambda layer: layer.fill((66, 66), 31),
    "polygon": lambda layer: layer.paint_polygon([(2, 2), (2, 20), (20, 20)], 32),
    "data_setitem": lambda layer: layer.data_setitem((np.array([10, 11]), np.array([10, 10])), 33),
}


@pytest.mark.parametrize("docks", [(), (TimelineDock, AnnotateDock)])
def test_what_napari_paints_is_one_edit_of_the_history_whichever_dock_is_open(viewer, qtbot, docks):
    layer, session, heard = watched(viewer, qtbot)
    for dock in docks:
        viewer.window.add_dock_widget(dock(viewer))
    layer.brush_size = 6
    for k, use in enumerate(TOOLS.values()):
        before = layer.data.copy()
        use(layer)
        after = layer.data.copy()
        assert (before != after).any()
        assert [entry["action"] for entry in session.log[3 * k :]] == ["brush"]
        touched = (set(before[before != after]) | set(after[before != after])) - {0}
        assert heard.edits[3 * k :] == [(layer_id(layer), tuple(sorted(touched)))]
        session.undo()
        assert np.array_equal(layer.data, before)
        session.redo()
        assert np.array_equal(layer.data, after)
    layer.refresh()
    qtbot.wait(400)
    assert len(heard.edits) == 3 * len(TOOLS), "what the history did does not count as changed from outside"


def test_a_stroke_through_a_stack_is_an_edit_of_the_planes_it_touched(viewer, qtbot):
    layer, session, heard = watched(viewer, qtbot, field((4, 120, 120)))
    layer.n_edit_dimensions = 3
    layer.brush_size = 5
    before = layer.data.copy()
    layer.paint((2, 15, 15), 40)
    assert len(session.log) == 1 and (layer.data[1] == 40).any() and not (layer.data[0] == 40).all()
    session.undo()
    assert np.array_equal(layer.data, before) and not heard.skipped


def test_a_stroke_by_hand_is_one_edit(viewer, qtbot, click):
    layer, session, _ = watched(viewer, qtbot)
    before = layer.data.copy()
    layer.mode = "paint"
    layer.selected_label = 21
    viewer.layers.selection.active = layer
    click(viewer, (10, 10), (20, 20), (30, 25))
    assert (layer.data == 21).any()
    assert [entry["action"] for entry in session.log] == ["brush"]
    session.undo()
    assert np.array_equal(layer.data, before)


def test_an_edit_of_a_pyramid_is_told_once_and_is_not_outside(viewer, qtbot):
    full = field((256, 256))
    layer = viewer.add_labels([full, full[::2, ::2].copy()], multiscale=True, name="cells")
    session = viewer_session(viewer)
    heard = Heard(session)
    qtbot.wait(400)
    uid = layer_id(layer)
    editor = LabelsEditor(session.labels_target(uid), session.label_index(uid))
    session.do(EditLabels(editor.delete(3)))
    qtbot.wait(400)
    assert heard.edits == [(uid, (3,))]
    assert 3 not in layer.data[0] and 3 not in layer.data[1]


# ---------------------------------------------------------------------- changes from outside


def test_new_data_are_told_with_the_ids_that_changed(viewer, qtbot):
    layer, _, heard = watched(viewer, qtbot)
    data = layer.data.copy()
    data[data == 5] = 0
    data[100:110, 112:118] = 99
    layer.data = data
    assert heard.edits == [(layer_id(layer), (5, 99))]


def test_new_data_of_another_shape_are_told_without_ids(viewer, qtbot):
    layer, session, heard = watched(viewer, qtbot)
    layer.data = field((200, 160))
    assert heard.edits == [(layer_id(layer), None)]
    assert session.labels_target(layer_id(layer)).shape == (200, 160)


def test_an_array_changed_in_place_is_told_when_it_is_drawn(viewer, qtbot):
    layer, _, heard = watched(viewer, qtbot)
    layer.data[8:12, 8:40] = 7
    layer.refresh()
    quiet(viewer, qtbot)
    assert heard.edits == [(layer_id(layer), (1, 2, 7))]


def test_napari_s_own_undo_is_told(viewer, qtbot):
    layer, session, heard = watched(viewer, qtbot)
    layer.paint((14, 14), 30)
    qtbot.wait(400)
    layer.undo()
    quiet(viewer, qtbot)
    assert heard.edits[-1] == (layer_id(layer), (1, 30))
    assert len(session.log) == 1


def test_a_change_before_an_edit_of_the_same_place_is_not_lost(viewer, qtbot):
    layer, session, heard = watched(viewer, qtbot)
    layer.data[100:104, 100:104] = 55
    layer.refresh()
    uid = layer_id(layer)
    editor = LabelsEditor(session.labels_target(uid), session.label_index(uid))
    session.do(EditLabels(editor.delete(1)))
    assert any(ids is not None and 55 in ids for _, ids in heard.edits)
    assert 55 in session.label_index(uid)


def test_the_index_of_the_cells_follows_changes_from_everywhere(viewer, qtbot):
    layer, session, _ = watched(viewer, qtbot)
    uid = layer_id(layer)
    index = session.label_index(uid)
    assert index.next_id == 17
    layer.paint((60, 118), 44)
    assert index.box(44)[0][0] <= 60 < index.box(44)[1][0]
    layer.data[100:119, 2:4] = 80
    layer.refresh()
    quiet(viewer, qtbot)
    start, stop = index.box(80)
    assert start <= (100, 2) and stop >= (119, 4)
    assert index.next_id == 81
    layer.data = np.roll(field((200, 200)), 30, axis=0)
    assert index.box(1)[0] == (38, 8)
    assert index.next_id == 17


def test_a_hundred_layers_are_made_known_without_reading_a_pixel():
    from napari.layers import Labels

    from napari_biofm.canvas.labels_target import LayerTarget
    from napari_biofm.images.edit.fingerprint import LabelsFingerprint

    read = []

    class Counting(np.ndarray):
        def __getitem__(self, key):
            read.append(key)
            return super().__getitem__(key)

    layers = [Labels(np.zeros((512, 512), np.uint16).view(Counting)) for _ in range(100)]
    read.clear()
    assert all(not LabelsFingerprint(LayerTarget(layer)).is_complete for layer in layers)
    assert not read


def test_a_large_array_on_disk_is_read_only_where_it_is_shown(viewer, qtbot, tmp_path):
    zarr = pytest.importorskip("zarr")
    data = zarr.open(
        str(tmp_path / "l.zarr"), mode="w", shape=(3, 9000, 9000), chunks=(1, 1024, 1024), dtype="u4"
    )
    data[1, 6000:6020, 6000:6020] = 9
    layer = viewer.add_labels(data, name="large")
    session = viewer_session(viewer)
    heard = Heard(session)
    uid = layer_id(layer)
    target, pixels = session.labels_target(uid), []
    read = target.read
    target.read = lambda region: pixels.append(np.prod([s.stop - s.start for s in region])) or read(region)
    viewer.dims.set_point(0, 1)
    viewer.scene.camera.center = (6010, 6010)
    viewer.scene.camera.zoom = 4
    qtbot.wait(600)
    data[1, 6030:6040, 6000:6020] = 12
    layer.refresh()
    quiet(viewer, qtbot)
    assert heard.edits == [(uid, (12,))]
    assert sum(pixels) < 9000 * 9000 / 4


def test_helper_layers_are_not_watched(viewer, qtbot):
    viewer.add_labels(field(), name="preview", metadata={HELPER: True})
    layer, session, _ = watched(viewer, qtbot)
    assert session.has_labels(layer_id(layer))
    assert not session.has_labels(layer_id(viewer.layers["preview"]))


def test_masks_that_cannot_be_written_are_shown_and_not_edited(viewer, qtbot):
    da = pytest.importorskip("dask.array")
    layer = viewer.add_labels(da.from_array(field(), chunks=60), name="lazy")
    session = viewer_session(viewer)
    heard = Heard(session)
    assert not session.has_labels(layer_id(layer))
    layer.data = field()
    assert session.has_labels(layer_id(layer)) and heard.edits == [(layer_id(layer), None)]


# ---------------------------------------------------------------------- undo


def edits_of_many_kinds(viewer, session, layer):
    """A class, a labelled cell, an edit of masks, one on top of the other."""
    uid = layer_id(layer)
    session.set_classes(uid, [("dead", "#ff0000")])
    editor = LabelsEditor(session.labels_target(uid), session.label_index(uid))
    session.do(EditLabels(editor.delete(3)))
    session.label_cells(uid, np.array([5]), np.array([0]))
    session.do(EditLabels(editor.commit(View.last(2), Piece.of(np.ones((4, 4), bool), (114, 114)))))


def everything_undone(session, docks):
    """Press undo in one dock after the other until nothing is left."""
    presses = [
        lambda: docks["annotate"].press("undo"),
        lambda: docks["timeline"].undo_button.click(),
        session.undo,
    ]
    for k in range(30):
        if not session.history.can_undo:
            return k
        presses[k % len(presses)]()
    raise AssertionError("undo is stuck")


@pytest.mark.parametrize("change", ["api", "replaced", "removed"])
def test_undo_from_all_docks_leaves_out_what_no_longer_fits_and_reaches_what_is_older(
    viewer, qtbot, monkeypatch, change
):
    shown = []
    monkeypatch.setattr("napari_biofm.widgets.common.viewers.show_info", shown.append)
    viewer.add_image(field().astype(np.float32), name="image")
    other = viewer.add_labels(np.zeros((120, 120), np.int32), name="other")
    layer, session, heard = watched(viewer, qtbot)
    docks = {
        "annotate": AnnotateDock(viewer),
        "segment": SegmentDock(viewer),
        "cells": CellsDock(viewer),
        "timeline": TimelineDock(viewer),
        "trace": TraceDock(viewer),
    }
    for dock in docks.values():
        viewer.window.add_dock_widget(dock)
    session.set_classes(layer_id(other), [("alive", "#00ff00")])
    edits_of_many_kinds(viewer, session, layer)
    if change == "api":
        layer.data[114:118, 114:118] = 77
        layer.refresh()
    elif change == "replaced":
        layer.data = np.full_like(layer.data, 8)
    else:
        viewer.layers.remove(layer)
    everything_undone(session, docks)
    assert session.classes(layer_id(other)).names == (), "what is older is undone"
    assert heard.skipped and shown == heard.skipped, "shown once, however many docks are open"
    if change != "removed":
        assert session.classes(layer_id(layer)).names == ()
        assert not len(session.classes(layer_id(layer)).labels)
    if change == "api":
        assert 3 in layer.data and (layer.data[114:118, 114:118] == 77).all()
    while session.history.can_redo:
        docks["annotate"].press("redo")


def test_a_layer_that_came_back_can_be_edited_again(viewer, qtbot):
    layer, session, heard = watched(viewer, qtbot)
    uid = layer_id(layer)
    before = layer.data.copy()
    layer.paint((14, 14), 30)
    viewer.layers.remove(layer)
    assert not session.has_labels(uid)
    viewer.layers.append(layer)
    assert session.has_labels(uid)
    layer.paint((50, 50), 31)
    assert len(session.log) == 2
    session.undo()
    session.undo()
    assert np.array_equal(layer.data, before) and not heard.skipped


def test_labels_that_cannot_be_written_any_more_do_not_stop_undo(viewer, qtbot):
    layer, session, heard = watched(viewer, qtbot)
    session.set_classes(layer_id(layer), [("dead", "#ff0000")])
    layer.paint((14, 14), 30)
    data = layer.data.copy()
    data.flags.writeable = False
    layer.data = data
    session.undo()
    assert "cannot be written" in heard.skipped[0]
    session.undo()
    assert session.classes(layer_id(layer)).names == ()


def test_edits_told_as_carried_out_are_told_to_those_who_follow_the_masks(qtbot):
    from napari_biofm.images.edit import ArrayTarget
    from napari_biofm.session import Session

    session, target = Session(), ArrayTarget(field())
    session.attach_labels(target)
    heard = Heard(session)
    before = target.data.copy()
    target.data[0:3, 0:3] = 60
    edit = LabelsEdit.whole("labels", "brush", before, target.data)
    session.do(EditLabels(edit), applied=True)
    assert heard.edits == [("labels", (60,))]
