"""Masks of a layer that is hidden are edited, undone and previewed like those that are shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_biofm.actions import EditLabels
from napari_biofm.canvas.click_preview import Preview
from napari_biofm.canvas.labels_target import LayerTarget
from napari_biofm.images.edit import LabelsEditor, Piece, View
from napari_biofm.session import Session


@pytest.fixture
def hidden() -> tuple[Any, Any]:
    """Return a viewer and a labels layer of which napari keeps no picture."""
    viewer: Any = ViewerModel()
    data = np.zeros((3, 64, 64), np.int32)
    data[:, 5:20, 5:20] = 1
    layer = viewer.add_labels(data, name="cells", visible=False)
    viewer.dims.set_current_step(0, 2)
    return viewer, layer


def test_an_edit_of_a_hidden_layer_is_written_once_undone_and_seen_when_it_is_shown(
    hidden: tuple[Any, Any],
) -> None:
    _, layer = hidden
    session, target, view = Session(), LayerTarget(layer), View.last(3, (2, 0, 0))
    session.attach_labels(target)
    before = layer.data.copy()
    session.do(EditLabels(LabelsEditor(target).delete(1, view)))
    after = layer.data.copy()
    assert not after[2].any() and after[0].any()
    session.undo()
    np.testing.assert_array_equal(layer.data, before)
    session.redo()
    np.testing.assert_array_equal(layer.data, after)
    layer.visible = True
    assert not np.asarray(layer._data_view).any()


def test_the_preview_of_a_click_can_be_hidden_and_cleared(hidden: tuple[Any, Any]) -> None:
    viewer, layer = hidden
    preview, view = Preview(viewer), View.last(3, (2, 0, 0))
    preview.show(layer, view, Piece((4, 4), np.ones((6, 6), bool)))
    assert preview.shown_area == 36
    (helper,) = preview.layers
    helper.visible = False
    viewer.dims.set_current_step(0, 1)
    preview.show(layer, view, Piece((10, 4), np.ones((3, 3), bool)))
    preview.clear()
    assert preview.shown_area == 0 and not np.asarray(helper.data).any()
