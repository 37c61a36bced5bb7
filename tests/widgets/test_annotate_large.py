"""Edits of planes larger than a texture are drawn at once, and only where they are."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtTest import QTest
from tests.hand import settle

from napari_biofm.canvas.large_labels import steps_of, thinned
from napari_biofm.images.edit import Piece
from napari_biofm.widgets.annotate import AnnotateDock


@pytest.fixture(autouse=True)
def autosave_in_tmp(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_BIOFM_AUTOSAVE", str(tmp_path / "home" / "autosave"))


def test_a_part_is_thinned_as_the_whole_is():
    whole = np.arange(23 * 31).reshape(23, 31)
    picture = np.zeros_like(whole[::2, ::3])
    for y0, x0, y1, x1 in ((0, 0, 9, 10), (9, 0, 23, 10), (0, 10, 23, 31)):
        part, at = thinned(whole[y0:y1, x0:x1], (y0, x0), (2, 3))
        picture[at[0] : at[0] + part.shape[0], at[1] : at[1] + part.shape[1]] = part
    assert np.array_equal(picture, whole[::2, ::3])


def test_steps_are_found_only_where_a_picture_was_thinned():
    assert steps_of((20000, 20000), (10000, 10000)) == (2, 2)
    assert steps_of((64, 17000), (64, 8500)) == (1, 2)
    assert steps_of((512, 512), (512, 512)) is None
    assert steps_of((512, 512), (1, 1)) == (512, 512)
    assert steps_of((512, 512), (200, 200)) is None


def picture_of(viewer):
    QTest.qWait(1)
    return viewer.screenshot(flash=False)[:, :, :3]


def test_an_edit_of_a_plane_beyond_the_largest_texture_is_shown_without_drawing_it_whole(viewer, monkeypatch):
    labels = np.zeros((48, 17000), np.uint16)
    labels[8:24, 8000:8040] = 3
    viewer.add_image(labels, contrast_limits=(0, 9), visible=False)
    with pytest.warns(UserWarning, match="GL_MAX_TEXTURE_SIZE"):
        layer = viewer.add_labels(labels)
    dock = AnnotateDock(viewer)
    viewer.window.add_dock_widget(dock)
    settle(viewer)  # a canvas that is laid out anew shows another part
    viewer.scene.camera.center = (0, 24, 8020)
    viewer.scene.camera.zoom = 4
    before = picture_of(viewer)
    drawn_whole = []
    monkeypatch.setattr(type(layer), "refresh", lambda self, *a, **k: drawn_whole.append(self))
    annotator = dock.annotator
    annotator.do(annotator.editor.commit(annotator.view, Piece.of(np.ones((16, 30), bool), (28, 8001))))
    annotator.do(annotator.editor.delete(3))
    at_once = picture_of(viewer)
    assert not drawn_whole
    assert (at_once != before).any()
    monkeypatch.undo()
    with pytest.warns(UserWarning, match="GL_MAX_TEXTURE_SIZE"):
        layer.refresh()
    assert np.array_equal(picture_of(viewer), at_once), "as napari draws it whole"
    dock.press("undo")
    dock.press("undo")
    assert np.array_equal(picture_of(viewer), before)
