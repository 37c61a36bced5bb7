"""The Cells dock's tables follow every change of the masks in a viewer, also those napari tells nobody of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_biofm.actions import EditLabels, ReplaceMasks
from napari_biofm.cells.table.cell_table import make_table
from napari_biofm.controllers.common.layers import full_data, layer_id
from napari_biofm.images.edit.labels_edit import LabelsEdit, Patch
from napari_biofm.session import Session, session_of
from napari_biofm.types import Segmentation
from napari_biofm.widgets.cells import CellsDock
from napari_biofm.widgets.cells.dock import CellsDockContent

MODEL = {"model": "classical"}
SIDE = 30


def picture(n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Return image and labels of n x n square cells."""
    labels = np.zeros((n * SIDE, n * SIDE), np.int32)
    for i in range(n * n):
        y, x = (SIDE * k + 8 for k in divmod(i, n))
        labels[y : y + 14, x : x + 14] = i + 1
    rng = np.random.default_rng(0)
    return (50 + 100 * (labels > 0) + rng.normal(0, 5, labels.shape)).astype(np.float32), labels


def opened(viewer: Any, labels: Any, image: np.ndarray, **more: Any) -> tuple[CellsDockContent, Any, Session]:
    """Return the dock with the cells measured, their layer and the session."""
    viewer.add_image(image, name="field")
    layer = viewer.add_labels(labels, name="cells", **more)
    session = session_of(viewer)
    dock = CellsDock(viewer)
    viewer.window.add_dock_widget(dock, name="Cells", area="right")
    for _ in range(3):
        QApplication.processEvents()
        QTest.qWait(20)
    uid = layer_id(layer)
    session.set_segmentation(uid, Segmentation(full_data(layer), None, None, None, 14.0, MODEL))
    dock.content.measure()
    return dock.content, layer, session


def assert_fresh(session: Session, layer: Any, image: np.ndarray) -> None:
    table = session.cells(layer_id(layer))
    assert table is not None
    fresh = make_table(np.asarray(full_data(layer)), image=image, layer=layer_id(layer))
    assert list(table.obs_names) == list(fresh.obs_names)
    np.testing.assert_allclose(table.obs["area"], fresh.obs["area"])
    np.testing.assert_allclose(table.obs["centroid-0"], fresh.obs["centroid-0"])
    np.testing.assert_allclose(table.obsm["regionprops"], fresh.obsm["regionprops"], rtol=2e-3, atol=2e-3)


def painted(layer: Any, region: tuple[slice, slice], value: int) -> LabelsEdit:
    before = np.array(full_data(layer)[region])
    patch = Patch.between((region[0].start, region[1].start), before, np.full_like(before, value))
    assert patch is not None
    return LabelsEdit(layer_id(layer), "paint", (patch,))


def large_patch(session: Session, layer: Any) -> None:
    session.do(EditLabels(painted(layer, (slice(20, 300), slice(20, 300)), 7)))  # more than 65,536 pixels


def other_thresholds(session: Session, layer: Any) -> None:
    before = np.array(full_data(layer))
    edit = LabelsEdit.whole(layer_id(layer), "New thresholds", before, np.where(before % 3 == 0, 0, before))
    session.do(ReplaceMasks(edit, MODEL, MODEL))


def taken_back(session: Session, layer: Any) -> None:
    large_patch(session, layer)
    session.undo()
    other_thresholds(session, layer)
    session.undo()
    session.redo()


def in_the_array(session: Session, layer: Any) -> None:
    full_data(layer)[100:150, 100:190] = 33
    layer.refresh()


EDITS = [large_patch, other_thresholds, taken_back, in_the_array]


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("multiscale", [False, True])
def test_the_table_follows_edits_that_napari_does_not_tell_of(
    viewer: Any, qtbot: Any, edit: Callable[[Session, Any], None], multiscale: bool
) -> None:
    image, labels = picture()
    data = [labels, labels[::2, ::2].copy()] if multiscale else labels
    dock, layer, session = opened(viewer, data, image, multiscale=multiscale)
    edit(session, layer)
    qtbot.waitUntil(
        lambda: session.cells(layer_id(layer)) is not None and not dock.tables.is_settled, timeout=5000
    )
    dock.tables.flush()
    assert_fresh(session, layer, image)
    assert dock.states.table is session.cells(layer_id(layer))


def test_the_table_of_a_layer_that_is_not_shown_follows_too(viewer: Any) -> None:
    image, labels = picture()
    dock, layer, session = opened(viewer, labels, image)
    viewer.add_labels(labels[::-1].copy(), name="other")
    dock.form.layer_box.setCurrentText("other")
    assert dock.states.table is None
    large_patch(session, layer)
    dock.tables.flush()
    assert_fresh(session, layer, image)


def test_the_table_follows_when_the_dock_was_closed(viewer: Any) -> None:
    image, labels = picture()
    dock, layer, session = opened(viewer, labels, image)
    tables = dock.tables
    viewer.window.remove_dock_widget("all")
    large_patch(session, layer)
    tables.flush()
    assert_fresh(session, layer, image)


def test_masks_of_another_shape_of_cells_given_to_the_layer_are_measured(viewer: Any, qtbot: Any) -> None:
    image, labels = picture()
    dock, layer, session = opened(viewer, labels, image)
    layer.data = np.roll(labels, 4, axis=0)
    qtbot.waitUntil(lambda: not dock.tables.is_settled, timeout=5000)
    dock.tables.flush()
    assert_fresh(session, layer, image)


def test_a_plane_of_a_movie_is_measured_again_where_it_was_measured_whatever_is_shown(viewer: Any) -> None:
    image, labels = picture(6)
    movie = np.stack([labels, np.roll(labels, 3, 1), labels])
    dock, layer, session = opened(viewer, movie, np.stack([image] * 3), axis_labels=("t", "y", "x"))
    table = session.cells(layer_id(layer))
    assert table is not None and table.uns["plane"] == str(viewer.dims.current_step[0])
    at = viewer.dims.current_step[0]
    viewer.dims.set_current_step(0, (at + 1) % 3)
    movie[at, 40:60, 40:80] = 9
    session.labels_changed_outside(layer_id(layer), [8, 9])
    dock.tables.flush()
    after = session.cells(layer_id(layer))
    fresh = make_table(movie[at], image=image, layer=layer_id(layer))
    assert after is not None and list(after.obs_names) == list(fresh.obs_names)
    np.testing.assert_allclose(after.obs["area"], fresh.obs["area"])


def test_what_napari_says_of_a_cell_is_its_own_row_also_when_another_cell_is_gone(
    viewer: Any, qtbot: Any
) -> None:
    image, labels = picture()
    dock, layer, session = opened(viewer, labels, image)
    session.do(EditLabels(painted(layer, (slice(0, SIDE), slice(0, SIDE)), 0)))  # cell 1 is gone
    dock.tables.flush()
    dock.states.predictions_changed.emit()
    qtbot.waitUntil(lambda: len(layer.features) == 143, timeout=10000)
    assert "label: 5" in layer.get_status((SIDE // 2, 4 * SIDE + SIDE // 2), world=True)["value"]
