"""Autosave and recovery, review queue, propagation, linking and series, in a real window."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from qtpy.QtTest import QTest

from napari_biofm.controllers.annotate.tools import Tool
from napari_biofm.images.edit import ArrayTarget, Piece
from napari_biofm.images.edit.labels_edit import replay
from napari_biofm.session.journal_list import find_journals
from napari_biofm.session.recovery import recover
from napari_biofm.widgets.annotate import AnnotateDock


@pytest.fixture(autouse=True)
def autosave(tmp_path, monkeypatch):
    folder = tmp_path / "home" / "autosave"
    monkeypatch.setenv("NAPARI_BIOFM_AUTOSAVE", str(folder))
    return folder


def disc(shape, centre, radius):
    y, x = np.indices(shape)
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


def field():
    labels = np.zeros((120, 120), np.int32)
    for k in range(16):
        labels[disc(labels.shape, (20 + 26 * (k // 4), 20 + 26 * (k % 4)), 9)] = k + 1
    return labels


def random_action(rng, dock):
    """One thing a user may do, brush strokes included."""
    annotator, layer = dock.annotator, dock.annotator.labels
    y, x = (int(c) for c in rng.integers(5, 115, 2))
    view, editor = annotator.view, annotator.editor
    label = editor.value(view, (y, x))
    kind = rng.integers(0, 9)
    if kind == 0:
        layer.selected_label = int(rng.integers(1, 30))
        layer.paint((y, x), layer.selected_label)
    elif kind == 1:
        layer.fill((y, x), int(rng.integers(0, 30)))
    elif kind == 2:
        dock.press("undo")
    elif kind == 3:
        dock.press("redo")
    elif kind == 4:
        annotator.do(editor.commit(view, Piece.of(np.ones((7, 5), bool), (y - 5, x - 5)), overwrite=True))
    elif label and kind == 5:
        annotator.do(editor.delete(label, view))
    elif label and kind == 6:
        annotator.do(editor.grow(view, label, int(rng.integers(-2, 3))))
    elif label and kind == 7:
        annotator.do(editor.cut(view, label, np.array([[y - 40.0, x], [y + 40.0, x + 1]])))
    elif label:
        other = next((k for k in editor.index.labels if k != label and editor.piece(view, k)), 0)
        if other:
            annotator.do(editor.merge(label, other, view))


def test_a_random_walk_of_500_edits_ends_bit_equal_to_the_log_and_is_recovered(viewer, autosave):
    start = field()
    viewer.add_image(start.astype(np.float32))
    layer = viewer.add_labels(start.copy(), name="cells")
    dock = AnnotateDock(viewer)
    viewer.window.add_dock_widget(dock)
    log = []
    dock.session.history.recorded.connect(log.append)
    rng = np.random.default_rng(7)
    while len(log) < 500:
        random_action(rng, dock)
    again = ArrayTarget(start.copy())
    assert replay(log, again) == len(log)
    assert np.array_equal(again.data, layer.data)
    found = find_journals(autosave)
    assert len(found) == 1 and not found[0].closed
    got = recover(found[0].folder)
    (kept,) = [one for one in got.saved.layers if one.kind == "labels"]
    assert np.array_equal(kept.data, layer.data) and got.missing == ()
    assert kept.name == "cells" and got.about["names"] == ["cells"]
    while dock.session.history.can_undo:
        dock.press("undo")
    assert np.array_equal(layer.data, start), "undoing everything leads back to the beginning"


KILLED = """
import os, signal
import numpy as np, napari
from napari_biofm.images.edit import Piece
from napari_biofm.widgets.annotate import AnnotateDock
viewer = napari.Viewer(show=False)
viewer.add_image(np.zeros((64, 64)), scale=(0.5, 0.5))
layer = viewer.add_labels(np.zeros((64, 64), np.int32), name="mine", scale=(0.5, 0.5))
dock = AnnotateDock(viewer)
for k in range(1, 5):
    a = dock.annotator
    a.do(a.editor.commit(a.view, Piece.of(np.ones((6, 6), bool), (10 * k, 10 * k))))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signal 9 is a POSIX matter")
def test_a_napari_killed_in_the_middle_is_offered_for_recovery_with_all_its_edits(viewer):
    done = subprocess.run([sys.executable, "-c", KILLED], timeout=240, check=False, env=dict(os.environ))
    assert done.returncode == -signal.SIGKILL
    dock = AnnotateDock(viewer)
    viewer.window.add_dock_widget(dock)
    QTest.qWait(1)
    assert not dock.recovery.isHidden()
    assert "mine" in dock.recovery.text.text()
    dock.recovery.recover_button.click()
    layer = viewer.layers["mine (recovered)"]
    assert set(np.unique(layer.data)) == {0, 1, 2, 3, 4}
    assert np.allclose(layer.data_to_world((2, 2)), (1, 1)), "it lies where it lay"
    assert dock.annotator.labels is layer
    assert dock.recovery.isHidden()


def test_the_guide_steps_through_doubtful_cells_by_key(viewer):
    labels = field()
    labels[70:75, 70:75] = 0
    labels[0:4, 100:110] = 40
    viewer.add_image(labels.astype(np.float32), scale=(2, 2))
    layer = viewer.add_labels(labels, scale=(2, 2))
    dock = AnnotateDock(viewer)
    viewer.window.add_dock_widget(dock)
    dock.press("next_doubt")
    n = dock.review.list.count()
    assert n >= 2
    seen = set()
    for _ in range(n):
        dock.press("next_doubt")
        seen.add(int(layer.selected_label))
        y, x = np.argwhere(layer.data == layer.selected_label).mean(axis=0) * 2
        assert np.allclose(viewer.scene.camera.center[-2:], (y, x), atol=12)
    assert 40 in seen
    assert next(iter(dock.session.selection)).label == layer.selected_label


def test_a_cell_is_propagated_through_z_and_stops_where_it_is_lost(viewer):
    rng = np.random.default_rng(0)
    volume = np.zeros((8, 90, 90), np.float32)
    for z in range(8):
        if z != 6:
            volume[z][disc((90, 90), (30 + 2 * z, 40), 11)] = 100
    volume += rng.normal(0, 2, volume.shape)
    viewer.add_image(volume, scale=(4, 1, 1))
    labels = np.zeros(volume.shape, np.int32)
    labels[1][disc((90, 90), (32, 40), 11)] = 5
    layer = viewer.add_labels(labels, scale=(4, 1, 1))
    dock = AnnotateDock(viewer)
    viewer.window.add_dock_widget(dock)
    viewer.dims.set_current_step(0, 1)
    dock.backend.setCurrentIndex(dock.backend.findData("level-sets"))
    layer.selected_label = 5
    dock.time.last.setValue(7)
    dock.time.go_button.click()
    assert "Stopped at plane 6" in dock.time.outcome.text()
    assert viewer.dims.current_step[0] == 6
    assert not (layer.data[2] == 5).any(), "nothing is written before the user says so"
    dock.time.keep_button.click()
    assert all((layer.data[z] == 5).sum() > 250 for z in range(1, 6))
    assert not layer.data[6].any()
    dock.press("undo")
    assert not layer.data[2].any()


def test_with_flows_of_all_planes_a_cell_is_hovered_clicked_and_propagated_in_each(viewer):
    from napari_biofm.images.segment.ideal_flows import flows_from_masks
    from napari_biofm.types import Segmentation
    from napari_biofm.widgets.common.viewers import layer_id

    truth = np.zeros((5, 80, 90), np.int32)
    for z in range(5):
        truth[z][disc((80, 90), (30 + 2 * z, 30), 10)] = 1
        truth[z][disc((80, 90), (30 + 2 * z, 50), 10)] = 2
    viewer.add_image((truth > 0) * 100.0, scale=(3, 1, 1))
    layer = viewer.add_labels(np.zeros_like(truth), scale=(3, 1, 1))
    flows = np.stack([flows_from_masks(plane) for plane in truth], axis=1)
    prob = np.where(truth > 0, 4.0, -4.0).astype(np.float32)
    dock = AnnotateDock(viewer)
    viewer.window.add_dock_widget(dock)
    dock.session.set_segmentation(layer_id(layer), Segmentation(truth, flows, prob, diameter=20.0))
    dock.backend.setCurrentIndex(dock.backend.findData("flow-basins"))
    viewer.dims.set_current_step(0, 4)
    dock.choose_tool(Tool.POINT)
    annotator = dock.annotator
    annotator.prompt.add_points(np.array([[38.0, 50.0]]), True, annotator.view)
    dock.press("commit")
    assert np.array_equal(layer.data[4] == 1, truth[4] == 2)
    dock.time.last.setValue(0)
    dock.time.go_button.click()
    for z in range(5):
        both = ((layer.data[z] == 1) & (truth[z] == 2)).sum()
        assert both > 0.9 * ((layer.data[z] == 1) | (truth[z] == 2)).sum(), z


def test_cells_are_linked_into_tracks_whose_ids_are_the_labels(viewer):
    frames = np.zeros((4, 60, 80), np.int32)
    for t in range(4):
        frames[t][disc((60, 80), (20 + t, 20 + 3 * t), 7)] = 1 + (t % 2)
        frames[t][disc((60, 80), (40, 60), 8)] = 2 - (t % 2)
    start = frames.copy()
    layer = viewer.add_labels(frames, name="cells", scale=(1, 0.5, 0.5))
    dock = AnnotateDock(viewer)
    viewer.window.add_dock_widget(dock)
    dock.time.link_button.click()
    tracks = viewer.layers["cells tracks"]
    assert all(layer.data[int(t), round(y), round(x)] == k for k, t, y, x in tracks.data)
    assert len(np.unique(tracks.data[:, 0])) == 2
    assert np.allclose(tracks.scale, layer.scale)
    dock.press("undo")
    assert np.array_equal(layer.data, start)


def test_a_series_is_walked_through_and_its_labels_are_kept(viewer, tmp_path):
    tifffile = pytest.importorskip("tifffile")
    folder = tmp_path / "series"
    folder.mkdir()
    for name in "ab":
        tifffile.imwrite(folder / f"{name}.tif", field().astype(np.uint8) * 10)
    dock = AnnotateDock(viewer)
    viewer.window.add_dock_widget(dock)
    dock.backend.setCurrentIndex(dock.backend.findData("level-sets"))
    dock.series.open_folder(folder)
    QTest.qWait(10)
    annotator = dock.annotator
    assert annotator.image.name == "a"
    dock.choose_tool(Tool.POINT)
    annotator.do(annotator.editor.commit(annotator.view, Piece.of(np.ones((5, 5), bool), (50, 50))))
    dock.press("next_image")
    assert annotator.image.name == "b"
    assert tifffile.imread(folder / "labels" / "a_labels.tif").sum() == 25
    dock.series.previous_button.click()
    assert np.asarray(annotator.labels.data).sum() == 25
    dock.press("next_image")
    dock.press("next_image")
    assert dock.series.series.n_done == 2
    assert "All images" in dock.status.text()


def test_images_ahead_are_prepared_in_the_background_and_the_hand_goes_first(viewer, tmp_path, monkeypatch):
    from napari_biofm.types import Progress
    from napari_biofm.widgets.annotate import prefetch

    folder = tmp_path / "series"
    folder.mkdir()
    for name in "abc":
        np.save(folder / f"{name}.npy", field().astype(np.uint8))
    done = []

    def prepare(path, model, device):
        yield Progress(0, 1, path)
        done.append(path[-5:])
        return path

    monkeypatch.setattr(prefetch, "precompute_file", prepare)
    dock = AnnotateDock(viewer)
    viewer.window.add_dock_widget(dock)
    dock.annotator.predictor.backend = "some-network"
    dock.series.open_folder(folder)
    dock.annotator.predictor.asked.emit()
    QTest.qWait(50)
    assert not done, "the user's question goes first"
    monkeypatch.setattr(prefetch, "QUIET_MS", 1)
    dock.annotator.predictor.asked.emit()
    for _ in range(100):
        QTest.qWait(10)
        if len(done) == 2:
            break
    assert done == ["b.npy", "c.npy"]
    QTest.qWait(10)
    assert "2 of 2" in dock.series.prepared.text()
    dock.series.ahead.click()
    dock.series.ahead.click()
    QTest.qWait(20)
    assert len(done) == 2, "what is prepared is not prepared again"


def test_lazy_labels_are_refused_with_the_remedy(viewer):
    dask = pytest.importorskip("dask.array")
    viewer.add_image(np.zeros((64, 64)))
    viewer.add_labels(dask.zeros((64, 64), dtype=int), name="lazy")
    dock = AnnotateDock(viewer)
    assert "cannot be written in place" in dock.annotator.status
    viewer.window.add_dock_widget(dock)


def test_a_pyramid_in_zarr_is_edited_in_all_its_levels_and_only_where_the_edit_is(viewer, tmp_path):
    zarr = pytest.importorskip("zarr")
    start = field()
    levels = []
    for k, data in enumerate((start, start[::2, ::2], start[::4, ::4])):
        level = zarr.create_array(str(tmp_path / str(k)), shape=data.shape, chunks=(30, 30), dtype="int32")
        level[:] = data
        levels.append(level)
    viewer.add_image(start.astype(np.float32))
    layer = viewer.add_labels(levels, multiscale=True, name="pyramid")
    dock = AnnotateDock(viewer)
    viewer.window.add_dock_widget(dock)
    annotator = dock.annotator
    annotator.do(annotator.editor.delete(6, annotator.view))
    annotator.do(annotator.editor.commit(annotator.view, Piece.of(np.ones((9, 12), bool), (57, 3))))
    full = np.asarray(layer.data[0])
    wanted = np.where(start == 6, 0, start)
    wanted[57:66, 3:15][wanted[57:66, 3:15] == 0] = 17
    assert np.array_equal(full, wanted)
    for k in (1, 2):
        assert np.array_equal(np.asarray(layer.data[k]), full[:: 2**k, :: 2**k])
    dock.choose_tool(Tool.BRUSH)
    assert "cannot paint on the pyramid" in dock.status.text()
    dock.press("undo")
    dock.press("undo")
    assert np.array_equal(np.asarray(layer.data[0]), start)
    assert np.array_equal(np.asarray(layer.data[2]), start[::4, ::4])
