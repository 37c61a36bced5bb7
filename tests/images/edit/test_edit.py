"""Edits of labels: exact, invertible, replayable from the log, touching their region only."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_biofm.actions import Action, EditLabels
from napari_biofm.images.edit import LabelIndex, LabelsEditor, Piece, View
from napari_biofm.images.edit.labels_edit import ArrayTarget, LabelsEdit, Patch, replay
from napari_biofm.session import Session
from napari_biofm.types import SessionError


def discs(shape=(60, 80), centres=((20, 20), (40, 50)), radius=9, dtype=np.int32):
    """Labels with one disc per centre."""
    y, x = np.indices(shape)
    labels = np.zeros(shape, dtype)
    for k, (cy, cx) in enumerate(centres, 1):
        labels[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = k
    return labels


def editor_of(labels):
    target = ArrayTarget(labels)
    return target, LabelsEditor(target), View.last(labels.ndim)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_a_patch_takes_before_to_after_and_back(dtype):
    rng = np.random.default_rng(0)
    before = rng.integers(0, 4, (7, 9, 11)).astype(dtype)
    after = before.copy()
    after[2:4, 3:8, 1:10] = 5
    after[rng.random(after.shape) < 0.05] = 7
    target = ArrayTarget(np.zeros((20, 20, 20), dtype))
    target.data[3:10, 4:13, 5:16] = before
    whole = target.data.copy()
    edit = LabelsEdit.between(target, "x", [((3, 4, 5), before, after)])
    edit.write(target)
    assert np.array_equal(target.data[3:10, 4:13, 5:16], after)
    edit.inverse().write(target)
    assert np.array_equal(target.data, whole)
    edit.inverse().inverse().write(target)
    assert np.array_equal(target.data[3:10, 4:13, 5:16], after)


def test_an_edit_is_an_action_and_holds_changed_pixels_only():
    labels = discs((2000, 2000), ((500, 700),), 20)
    _, editor, view = editor_of(labels)
    edit = editor.delete(1, view)
    assert isinstance(EditLabels(edit), Action)
    assert edit.patches[0].n_pixels == (labels == 1).sum()
    assert edit.nbytes < 600
    assert edit.labels == (1,)


def test_an_edit_that_changes_nothing_is_false():
    _, editor, view = editor_of(discs())
    assert not editor.fill_holes(view, 1)


def test_an_edit_refuses_labels_that_were_changed_behind_its_back_and_writes_nothing():
    target, editor, view = editor_of(discs())
    edit = editor.delete(2, view)
    target.data[40, 50] = 9
    before = target.data.copy()
    with pytest.raises(SessionError, match="not in the history"):
        edit.write(target)
    assert np.array_equal(target.data, before)


def test_a_log_of_json_replays_to_the_same_labels_even_over_a_later_snapshot():
    labels = discs()
    start = labels.copy()
    target, editor, view = editor_of(labels)
    session, lines = Session(), []
    session.attach_labels(target)
    session.history.recorded.connect(lambda record: lines.append(json.dumps(record)))
    session.do(EditLabels(editor.commit(view, Piece.of(np.ones((5, 6), bool), (2, 60)))))
    editor.index.changed(list(session.history)[-1].edit.patches)
    middle = target.data.copy()
    session.do(EditLabels(editor.delete(1, view)))
    session.undo()
    session.do(EditLabels(editor.grow(view, 2, 3)))
    log = [json.loads(line) for line in lines]
    for snapshot in (start, middle, target.data.copy()):
        again = ArrayTarget(snapshot.copy())
        assert replay(log, again) == 4
        assert np.array_equal(again.data, target.data)


def test_a_log_of_another_image_or_a_damaged_one_is_refused():
    target, editor, view = editor_of(discs())
    record = editor.delete(2, view).record()
    with pytest.raises(SessionError, match="another image"):
        replay([record], ArrayTarget(np.zeros((10, 10), int)))
    record["patches"][0]["runs"] = "AAAA"
    with pytest.raises(SessionError, match="damaged"):
        replay([record], target)
    with pytest.raises(SessionError, match="cannot be read"):
        Patch.from_json({"start": [0]})


def test_a_new_cell_gets_an_id_nobody_had_and_covers_background_only():
    target, editor, view = editor_of(discs())
    editor.delete(2, view).write(editor.target)
    edit = editor.commit(view, Piece.of(np.ones((30, 30), bool), (10, 10)))
    edit.write(target)
    assert edit.details["cell"] == 3
    assert (target.data == 1).sum() == (discs() == 1).sum()
    assert (target.data[10:40, 10:40] != 0).all()


def test_merging_and_deleting_keep_the_ids_of_the_others():
    labels = discs(centres=((15, 15), (15, 36), (45, 60)))
    target, editor, view = editor_of(labels)
    editor.merge(2, 1, view).write(editor.target)
    assert set(np.unique(target.data)) == {0, 2, 3}
    assert np.array_equal(target.data == 3, labels == 3)
    assert target.data[15, 25] == 2, "the narrow gap is closed"
    with pytest.raises(SessionError, match="itself"):
        editor.merge(2, 2, view)


def test_splitting_by_a_second_sink_keeps_the_id_for_the_larger_part():
    labels = np.maximum(discs(centres=((30, 25),), radius=12), discs(centres=((30, 44),), radius=9))
    target, editor, view = editor_of(labels)
    editor.split(view, 1, [np.array([[30, 25]]), np.array([[30, 45]])]).write(editor.target)
    assert target.data[30, 20] == 1 and target.data[30, 48] == 2
    assert ((target.data > 0) == (labels > 0)).all()
    assert (target.data == 1).sum() > (target.data == 2).sum()


def test_cutting_along_a_line_leaves_no_pixel_without_a_cell():
    labels = discs(centres=((30, 40),), radius=14)
    target, editor, view = editor_of(labels)
    editor.cut(view, 1, np.array([[10.0, 36.0], [50.0, 40.0]])).write(editor.target)
    assert set(np.unique(target.data)) == {0, 1, 2}
    assert ((target.data > 0) == (labels > 0)).all()
    assert not editor.cut(view, 1, np.array([[0.0, 0.0], [5.0, 5.0]]))


def test_fill_smooth_grow_shrink_and_redraw_change_one_cell_only():
    labels = discs()
    labels[18:22, 18:22] = 0
    target, editor, view = editor_of(labels)
    editor.fill_holes(view, 1).write(editor.target)
    assert (target.data == 1).sum() == (discs() == 1).sum()
    target.data[20, 29:36] = 1  # a hair
    editor.index.include(1, (20, 29), (21, 36))
    editor.smooth(view, 1, 2.0).write(editor.target)
    assert target.data[20, 34] == 0
    area = (target.data == 2).sum()
    editor.grow(view, 2, 2).write(editor.target)
    assert (target.data == 2).sum() > area
    editor.index.changed(editor.grow(view, 2, 1).patches)
    editor.grow(view, 2, -3).write(editor.target)
    assert (target.data == 2).sum() < area
    editor.redraw(view, 2, Piece.of(np.ones((4, 4), bool), (50, 70))).write(editor.target)
    assert (target.data == 2).sum() == 16


def test_a_cell_at_the_border_shrinks_from_the_border_too_and_grows_within():
    labels = np.zeros((12, 12), np.uint8)
    labels[:5, :5] = 1
    target, editor, view = editor_of(labels)
    editor.grow(view, 1, -1).write(editor.target)
    assert target.data[0, 2] == 0 and target.data[2, 2] == 1


def test_in_time_an_edit_of_a_frame_leaves_the_other_frames():
    frame = discs()
    movie = np.stack([frame] * 4)
    target, editor, _ = editor_of(movie)
    view = View((2, 0, 0), (1, 2))
    editor.delete(1, view).write(editor.target)
    assert (target.data[2] == 1).sum() == 0 and np.array_equal(target.data[1], frame)
    editor.delete(2).write(editor.target)
    assert not (target.data == 2).any()
    assert editor.delete(1, View((1, 0, 0), (1, 2))).patches[0].start[0] == 1


def test_a_transposed_view_edits_the_pixels_it_shows():
    volume = np.zeros((6, 20, 30), np.int32)
    volume[1:4, 5:9, 10:20] = 1
    target, editor, _ = editor_of(volume)
    view = View((0, 6, 0), (2, 0))  # x down, z across, at y = 6
    assert editor.value(view, (12, 2)) == 1 and editor.value(view, (2, 2)) == 0
    piece = editor.piece(view, 1)
    assert piece.origin == (10, 1) and piece.mask.shape == (10, 3)
    editor.commit(view, Piece.of(np.ones((3, 2), bool), (25, 4))).write(editor.target)
    assert (target.data[4:6, 6, 25:28] == 2).all() and (target.data == 2).sum() == 6


def test_a_volume_is_edited_as_a_whole():
    volume = np.zeros((8, 20, 30), np.int32)
    volume[1:6, 5:12, 5:25] = 1
    volume[3, 8, 15] = 0
    target, editor, _ = editor_of(volume)
    view = View.last(3, n=3)
    editor.fill_holes(view, 1).write(editor.target)
    assert target.data[3, 8, 15] == 1
    editor.split(view, 1, [np.array([[3, 8, 6]]), np.array([[3, 8, 23]])]).write(editor.target)
    assert set(np.unique(target.data)) == {0, 1, 2}


def test_ids_that_the_dtype_cannot_hold_are_refused_with_the_remedy():
    labels = np.zeros((20, 20), np.uint8)
    labels[0, 0] = 255
    _, editor, view = editor_of(labels)
    with pytest.raises(SessionError, match="int32"):
        editor.commit(view, Piece.of(np.ones((2, 2), bool), (5, 5)))


def test_the_index_knows_cells_that_undo_brings_back_though_it_was_built_after_they_went():
    target, editor, view = editor_of(discs())
    early = LabelsEdit.between(target, "brush", [((0, 0), target.data.copy(), np.zeros_like(target.data))])
    early.write(target)
    editor.index.changed(early.patches)
    editor.index.ensure()
    early.inverse().write(target)
    assert editor.piece(view, 1).area == (discs() == 1).sum()


def test_the_index_finds_cells_with_huge_ids():
    labels = discs().astype(np.int64) * (1 << 40)
    index = LabelIndex(ArrayTarget(labels))
    assert index.labels == [1 << 40, 2 << 40]
    assert index.box(1 << 40) == ((11, 11), (30, 30))


def test_a_zarr_array_is_edited_in_place(tmp_path):
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array(str(tmp_path / "l.zarr"), shape=(60, 80), chunks=(16, 16), dtype="int32")
    array[:] = discs()
    target, editor, view = editor_of(array)
    edit = editor.delete(1, view)
    edit.write(target)
    assert not (array[:] == 1).any()
    edit.inverse().write(target)
    assert np.array_equal(array[:], discs())


def test_swapping_ids_over_a_span_of_time_is_one_edit():
    movie = np.stack([discs()] * 5)
    target, editor, _ = editor_of(movie)
    editor.relabel({1: 2, 2: 1}, 0, 3, 5).write(editor.target)
    assert np.array_equal(target.data[2], discs())
    assert np.array_equal(target.data[3] == 1, discs() == 2)
