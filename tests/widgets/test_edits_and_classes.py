"""Edits of masks and what the Cells dock knows of the cells, in a real viewer; sessions put layers back exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from tests.widgets.test_cells_dock import KINDS, shapes

from napari_biofm.controllers.common.layers import HELPER, OVERLAY, OVERLAY_OF, is_helper, layer_id, matrix_of
from napari_biofm.controllers.common.session_files import SessionFiles
from napari_biofm.controllers.common.session_layers import ViewerLayers
from napari_biofm.images.edit import Piece
from napari_biofm.session import session_of
from napari_biofm.widgets.annotate import AnnotateDock
from napari_biofm.widgets.cells import CellsDock
from napari_biofm.widgets.common.background import Background


@pytest.fixture
def docks(viewer: Any) -> tuple[Any, Any]:
    """Both docks over 64 cells, 9 of them labelled by hand."""
    image, labels, kinds = shapes()
    viewer.add_image(image, name="field")
    viewer.add_labels(labels, name="cells")
    annotate = AnnotateDock(viewer)
    viewer.window.add_dock_widget(annotate, area="right")
    frame = CellsDock(viewer)
    viewer.window.add_dock_widget(frame, area="right")
    for _ in range(3):
        QApplication.processEvents()
        QTest.qWait(20)
    cells = frame.content
    cells.measure()
    for kind, name in enumerate(KINDS):
        cells.states.assign(np.flatnonzero(kinds == kind)[:3], cells.states.add_class(name))
    return annotate.annotator, cells


def class_of(cells: Any, label: int) -> str:
    row = int(cells.states.rows_of([label])[0])
    code = -1 if row < 0 else int(cells.states.by_hand[row])
    return "" if code < 0 else cells.states.classes[code][0]


def split(annotator: Any) -> None:
    annotator.do(annotator.editor.cut(annotator.view, 2, np.array([[0.0, 45.0], [40.0, 45.5]])))


def new_cell(annotator: Any) -> None:
    annotator.do(
        annotator.editor.commit(annotator.view, Piece.of(np.ones((6, 6), bool), (0, 28)), overwrite=True)
    )


@pytest.mark.parametrize("edit", [split, new_cell])
def test_a_new_id_is_measured_predicted_and_described(docks: tuple[Any, Any], edit: Any) -> None:
    annotator, cells = docks
    edit(annotator)
    cells.tables.flush()
    states = cells.states
    new = int(states.values.max())
    assert new == 65 and len(states.prediction.code) == 65 and (states.prediction.code >= 0).all()
    cells.controller.hover(new)
    cells.controller.click(new)
    assert f"cell {new}" in cells.form.status.text() and states.selected_rows.tolist() == [64]
    assert not np.isnan(states.prediction.probability[-1])


def test_undo_of_delete_and_merge_brings_the_class_by_hand_back(docks: tuple[Any, Any]) -> None:
    annotator, cells = docks
    masks = annotator.labels.data.copy()
    assert (class_of(cells, 1), class_of(cells, 2)) == ("dot", "bar")
    annotator.do(annotator.editor.delete(1, annotator.view))
    cells.tables.flush()
    assert class_of(cells, 1) == ""
    annotator.do(annotator.editor.merge(3, 2, annotator.view))
    cells.tables.flush()
    gone = {2, 3} - set(cells.states.values.tolist())
    assert len(gone) == 1
    cells.session.undo()
    cells.session.undo()
    cells.tables.flush()
    np.testing.assert_array_equal(annotator.labels.data, masks)
    assert [class_of(cells, i) for i in (1, 2, 3)] == list(KINDS)
    assert len(cells.states.prediction.code) == 64


@pytest.mark.parametrize("key", [HELPER, OVERLAY, OVERLAY_OF])
def test_helper_layers_are_neither_offered_nor_saved(viewer: Any, docks: tuple[Any, Any], key: str) -> None:
    annotator, cells = docks
    helper = viewer.add_labels(annotator.labels.data.copy(), name="helper", metadata={key: "x"})
    picture = viewer.add_image(np.zeros((240, 240)), name="drawn over", metadata={key: "x"})
    assert is_helper(helper) and is_helper(picture)
    box = cells.form.layer_box
    assert [box.itemText(i) for i in range(box.count())] == ["cells"]
    assert "drawn over" not in [a.text() for a in cells.form.measured_on.images.menu().actions()]
    assert [one.name for one in ViewerLayers(viewer).saved()] == ["field", "cells"]


def test_rotation_shear_predictions_and_threshold_come_back(
    viewer: Any, docks: tuple[Any, Any], make_napari_viewer: Any, tmp_path: Any, qtbot: Any
) -> None:
    import tifffile

    cells = docks[1]
    tifffile.imwrite(tmp_path / "field.tif", viewer.layers["field"].data)
    for name in ("field", "cells"):
        layer = viewer.layers[name]
        layer.scale, layer.translate = (0.5, 0.25), (3, -7)
        layer.rotate, layer.shear = 30, [0.2]
        layer.affine = np.array([[1, 0.1, 5], [0, 2, 1], [0, 0, 1.0]])
    viewer.layers["field"].metadata["path"] = str(tmp_path / "field.tif")
    cells.form.confidence.setValue(0.9)
    files = SessionFiles(cells.session, ViewerLayers(viewer), Background(cells))
    files.save_to(tmp_path / "session")
    qtbot.waitUntil(lambda: (tmp_path / "session" / "session.json").exists(), timeout=20000)
    other = make_napari_viewer(show=False)
    again = session_of(other)
    opening = SessionFiles(again, ViewerLayers(other), Background(cells))
    assert opening.open_from(tmp_path / "session")
    for name in ("field", "cells"):
        np.testing.assert_array_equal(matrix_of(other.layers[name]), matrix_of(viewer.layers[name]))
    frame = CellsDock(other)
    other.window.add_dock_widget(frame, area="right")
    qtbot.waitUntil(lambda: frame.is_open, timeout=20000)
    states = frame.content.states
    assert states.uid == layer_id(other.layers["cells"])
    np.testing.assert_array_equal(states.prediction.probabilities, cells.states.prediction.probabilities)
    np.testing.assert_array_equal(states.shown_codes, cells.states.shown_codes)
    assert frame.content.form.confidence.value() == states.min_probability == 0.9


def test_masks_and_classes_go_to_another_program_and_come_back(
    viewer: Any, docks: tuple[Any, Any], tmp_path: Any, monkeypatch: Any
) -> None:
    from qtpy.QtWidgets import QFileDialog, QPushButton

    cells = docks[1]
    panel = cells.files_panel
    buttons = {b.text(): b for b in panel.findChildren(QPushButton)}
    masks = viewer.layers["cells"].data.copy()
    viewer.layers["field"].scale = viewer.layers["cells"].scale = (2, 2)
    path = tmp_path / "out.geojson"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    buttons["Export masks ..."].click()
    buttons["Read masks ..."].click()
    assert "64 cells read from out.geojson" in panel.words.text()
    back = viewer.layers["out"]
    np.testing.assert_array_equal(back.data, masks)
    np.testing.assert_array_equal(matrix_of(back), matrix_of(viewer.layers["cells"]))
    given = cells.session.classes(layer_id(back))
    assert sorted(given.names) == sorted(KINDS) and len(given.labels) == 9
    viewer.open(str(path), plugin="napari-biofm")  # as when it is dropped on the window
    np.testing.assert_array_equal(viewer.layers[-1].data, masks)
    viewer.layers["cells"].save(str(tmp_path / "saved.zip"), plugin="napari-biofm")
    (tmp_path / "saved.zip").rename(tmp_path / "rois.zip")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "rois.zip"), ""))
    buttons["Read masks ..."].click()
    np.testing.assert_array_equal(viewer.layers[-1].data, masks)


def test_the_gallery_shows_cells_by_score_and_a_click_selects(viewer: Any, docks: tuple[Any, Any]) -> None:
    cells = docks[1]
    cells.tabs.setCurrentIndex([cells.tabs.tabText(i) for i in range(cells.tabs.count())].index("Gallery"))
    QApplication.processEvents()
    gallery = cells.gallery
    gallery.fill()
    assert gallery.pictures.count() == 64 and gallery.which.count() == 4
    gallery.order.setCurrentText("Least sure first")
    gallery.which.setCurrentText("bar")
    gallery.which.activated.emit(2)
    rows = [gallery.pictures.item(i).data(256) for i in range(gallery.pictures.count())]
    states = cells.states
    assert sorted(rows) == np.flatnonzero(states.shown_codes == 2).tolist()
    probability = states.prediction.probability[rows]
    assert (np.diff(probability) >= 0).all()
    gallery.pictures.item(0).setSelected(True)
    assert states.selected_rows.tolist() == [rows[0]]
    picture = gallery.pictures.item(0).icon().pixmap(56, 56).toImage()
    assert picture.pixelColor(28, 28).value() > picture.pixelColor(2, 28).value()


def test_cells_are_grouped_without_labels_and_groups_become_classes(
    viewer: Any, docks: tuple[Any, Any]
) -> None:
    cells = docks[1]
    plot = cells.plot
    plot.project()
    plot.number.setValue(3)
    for method in ("HDBSCAN", "k-means"):
        plot.method.setCurrentText(method)
        plot.cluster_button.click()
        assert "groups" in plot.words.text()
    groups = cells.states.table.obs["cluster"].to_numpy()
    assert set(groups) == {1, 2, 3}
    n_log = len(cells.session.log)
    plot.classes_button.click()
    assert len(cells.session.log) == n_log + 1 and (cells.states.by_hand >= 0).all()
    cells.session.undo()
    assert int((cells.states.by_hand >= 0).sum()) == 9


def test_labelling_by_clicks_and_editing_masks_exclude_each_other(
    viewer: Any, docks: tuple[Any, Any]
) -> None:
    from napari_biofm.controllers.annotate.tools import Tool

    annotator, cells = docks
    annotate = next(w for w in QApplication.allWidgets() if isinstance(w, AnnotateDock))
    cells.form.click_button.setChecked(True)
    annotate.choose_tool(Tool.DELETE)
    assert not cells.form.click_button.isChecked() and annotator.tool is Tool.DELETE
    cells.form.click_button.setChecked(True)
    assert annotator.tool is Tool.OFF and cells.controller.labels_by_clicking


def test_columns_of_other_plugins_stay_when_cells_are_measured(viewer: Any, docks: tuple[Any, Any]) -> None:
    import pandas as pd

    from napari_biofm.controllers.cells.mirror import mirror_features

    cells, layer = docks[1], viewer.layers["cells"]
    for key in ("index", "label"):
        layer.features = pd.DataFrame({key: np.arange(64, 0, -1), "theirs": np.arange(64, 0, -1) * 2.0})
        mirror_features(layer, cells.states.table)
        assert layer.features["theirs"].tolist() == (2.0 * layer.features["label"]).tolist()
        assert layer.features["index"].tolist() == layer.features["label"].tolist() == list(range(1, 65))


def test_a_class_is_merged_and_removed_from_the_menu(viewer: Any, docks: tuple[Any, Any]) -> None:
    cells = docks[1]
    classes = cells.form.class_list
    classes.choose(0)
    menu = classes.edit_button.menu()
    menu.aboutToShow.emit()
    assert [a.text() for a in menu.actions()] == [
        "Remove 'dot'",
        "Merge 'dot' into 'bar'",
        "Merge 'dot' into 'big'",
    ]
    menu.actions()[1].trigger()
    assert [name for name, _ in cells.states.classes] == ["bar", "big"] and class_of(cells, 1) == "bar"
    cells.session.undo()
    assert class_of(cells, 1) == "dot"
