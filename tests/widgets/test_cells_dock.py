"""The Cells dock, taught by clicks in a real viewer."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from tests.hand import hover, to_canvas

from napari_biofm.actions import EditLabels
from napari_biofm.cells.table.cell_table import make_table
from napari_biofm.cells.table.export import read_h5ad
from napari_biofm.images.edit.labels_edit import LabelsEdit, Patch
from napari_biofm.session import session_of
from napari_biofm.types import run_task
from napari_biofm.widgets.cells import CellsDock
from napari_biofm.widgets.cells.dock import CellsDockContent
from napari_biofm.widgets.common.viewers import layer_id

KINDS = ("dot", "bar", "big")


def shapes(n_side: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return image, labels and kind (0 .. 2) of n_side**2 cells of three shapes."""
    rng = np.random.default_rng(seed)
    side = 30
    labels = np.zeros((n_side * side, n_side * side), np.int32)
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    kinds = np.arange(n_side**2) % 3
    radii = ((5, 5), (3, 11), (11, 11))
    for i, kind in enumerate(kinds):
        row, column = divmod(i, n_side)
        a, b = np.asarray(radii[kind]) * rng.uniform(0.9, 1.1, 2)
        inside = (y / a) ** 2 + (x / b) ** 2 < 1
        labels[row * side : (row + 1) * side, column * side : (column + 1) * side][inside] = i + 1
    image = (50 + 100 * (labels > 0) + rng.normal(0, 5, labels.shape)).astype(np.float32)
    return image, labels, kinds


def middle(label: int, n_side: int = 8) -> tuple[float, float]:
    row, column = divmod(label - 1, n_side)
    return row * 30 + 15, column * 30 + 15


def test_the_dock_opens_in_turns_of_the_event_loop_and_its_tabs_when_they_are_shown(
    viewer: Any, qtbot: Any
) -> None:
    viewer.add_labels(shapes(3)[1], name="cells")
    frame = CellsDock(viewer)
    viewer.window.add_dock_widget(frame, name="Cells", area="right")
    assert not frame.is_open and "Opening" in frame._words.text()
    qtbot.waitUntil(lambda: frame.is_open, timeout=20000)
    content = frame.content
    qtbot.waitUntil(content.isVisible, timeout=5000)
    assert not frame._words.isVisible()
    assert content.form.layer_box.currentText() == "cells"
    assert content.tabs.made("Plot") is None
    content.tabs.setCurrentIndex(1)
    qtbot.waitUntil(lambda: content.tabs.made("Plot") is not None, timeout=5000)
    assert content.plot.isVisible() and content.tabs.tabText(1) == "Plot"


def test_a_dock_closed_while_it_opens_is_gone(viewer: Any, qtbot: Any) -> None:
    frame = CellsDock(viewer)
    viewer.window.add_dock_widget(frame, name="Cells", area="right")
    viewer.window.remove_dock_widget(frame)
    frame.deleteLater()
    qtbot.wait(200)
    assert session_of(viewer).cells("any") is None


@pytest.fixture
def dock(viewer: Any) -> CellsDockContent:
    image, labels, _ = shapes()
    viewer.window.resize(1400, 1000)
    viewer.add_image(image, name="field")
    viewer.add_labels(labels, name="cells")
    made = CellsDock(viewer)
    viewer.window.add_dock_widget(made, name="Cells", area="right")
    settle()
    viewer.reset_view()
    return made.content


def press(button: Any) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def type_class(dock: CellsDockContent, name: str) -> None:
    QTest.keyClicks(dock.form.class_list.name, name)
    press(dock.form.class_list.add_button)


def settle() -> None:
    """Let the window lay itself out, so that the canvas stands still."""
    for _ in range(3):
        QApplication.processEvents()
        QTest.qWait(20)


def class_layer(dock: CellsDockContent) -> Any:
    """Return the layer of classes, which is added in a turn of its own."""
    end = time.monotonic() + 10
    while dock.overlay.layer is None and time.monotonic() < end:
        QApplication.processEvents()
    assert dock.overlay.layer is not None
    return dock.overlay.layer


def teach(viewer: Any, dock: CellsDockContent, click: Any, per_class: int = 3) -> None:
    press(dock.form.measure_button)
    if not dock.form.click_button.isChecked():
        press(dock.form.click_button)
    settle()
    for kind, name in enumerate(KINDS):
        type_class(dock, name)
        for i in range(per_class):
            click(viewer, middle(kind + 1 + 3 * i))


def test_three_classes_taught_by_clicks_classify_every_cell(
    viewer: Any, dock: CellsDockContent, click: Any
) -> None:
    teach(viewer, dock, click)
    kinds = shapes()[2]
    assert dock.states.prediction is not None
    assert (dock.states.prediction.code == kinds).all()
    overlay = class_layer(dock)
    assert overlay.name == "cells · classes"
    shown = np.asarray(overlay.data[:, :])
    labels = viewer.layers["cells"].data
    sure = dock.states.shown_codes != 255
    assert sure.sum() > 50
    for label in np.flatnonzero(sure) + 1:
        assert (shown[labels == label] == kinds[label - 1] + 1).all()
    assert (shown[labels == 0] == 0).all()
    assert "9 labelled" in dock.form.status.text()


def test_undo_takes_each_label_back_and_redo_gives_it_again(
    viewer: Any, dock: CellsDockContent, click: Any
) -> None:
    teach(viewer, dock, click)
    press(dock.form.undo_button)
    assert dock.states.by_hand[8] == -1
    for _ in range(8 + 2):  # two of the classes were added in between
        press(dock.form.undo_button)
    assert (dock.states.by_hand == -1).all()
    assert dock.states.prediction is None
    session = session_of(viewer)
    for _ in range(9 + 2):
        session.history.redo()
    assert (dock.states.by_hand >= 0).sum() == 9
    assert (session.cells(dock.states.uid).obs["class_by_hand"] != "").sum() == 9


def test_shift_click_takes_a_label_away_and_a_drag_labels_nothing(
    viewer: Any, dock: CellsDockContent, click: Any
) -> None:
    teach(viewer, dock, click, 1)
    click(viewer, middle(1), modifiers=("Shift",))
    assert dock.states.by_hand[0] == -1
    click(viewer, middle(10), (middle(10)[0] + 20, middle(10)[1] + 20), (200, 200))
    assert (dock.states.by_hand >= 0).sum() == 2


def test_a_lasso_in_the_plot_selects_in_the_image_and_back(
    viewer: Any, dock: CellsDockContent, click: Any, qtbot: Any
) -> None:
    teach(viewer, dock, click)
    press(dock.form.click_button)
    dock.tabs.setCurrentWidget(dock.plot)
    qtbot.wait(50)
    points, kinds = dock.plot.scatter.points, shapes()[2]
    chosen = points[kinds == 2]
    margin = 0.2 * (points.max(0) - points.min(0)) / 4
    low, high = chosen.min(0) - margin, chosen.max(0) + margin
    corners = [low, (high[0], low[1]), high, (low[0], high[1]), low]
    box, viewport = dock.plot.scatter.box, dock.plot.scatter.plot.viewport()
    places = [dock.plot.scatter.plot.mapFromScene(box.mapViewToScene(_point(c))) for c in corners]
    QTest.mousePress(viewport, Qt.MouseButton.LeftButton, pos=places[0])
    for place in _between(places):
        QTest.mouseMove(viewport, place)
        qtbot.wait(2)
    QTest.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=places[-1])
    inside = ((points >= low) & (points <= high)).all(1)
    session = session_of(viewer)
    found = {key.label for key in session.selection}
    assert len(found ^ set((np.flatnonzero(inside) + 1).tolist())) <= 2
    assert set((np.flatnonzero(kinds == 2) + 1).tolist()) <= found
    assert (np.asarray(class_layer(dock).data[:, :]) == 254).any()
    click(viewer, middle(20))
    assert {key.label for key in session.selection} == {20}
    assert list(dock.plot.scatter.selected) == [19]
    assert list(dock.cell_table.chosen_rows) == [19]


def test_hovering_tells_the_probability(viewer: Any, dock: CellsDockContent, click: Any) -> None:
    teach(viewer, dock, click)
    hover(viewer, middle(33))
    assert "cell 33" in dock.form.status.text()
    assert "big" in dock.form.status.text() and "%" in dock.form.status.text()


def test_a_hot_key_labels_the_selection(viewer: Any, dock: CellsDockContent, click: Any) -> None:
    teach(viewer, dock, click, 1)
    press(dock.form.click_button)
    click(viewer, middle(12))
    dock.controller.press_key(2)
    assert dock.states.by_hand[11] == 2
    assert any("Alt" in str(key) for key in viewer.keymap)


def test_the_queue_goes_to_a_cell_without_label_and_similar_cells_are_of_its_kind(
    viewer: Any, dock: CellsDockContent, click: Any
) -> None:
    teach(viewer, dock, click)
    press(dock.next_button)
    row = dock.states.selected_rows
    assert len(row) == 1 and dock.states.by_hand[row[0]] == -1
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], middle(int(row[0]) + 1), atol=2)
    dock.states.select_rows([2])
    press(dock.similar_button)
    found = dock.cell_table.cells.order
    assert found[0] == 2
    assert (shapes()[2][found[1:11]] == 2).all()


def test_saved_head_classifies_again_after_reopening_and_what_is_exported_is_what_is_seen(
    viewer: Any, dock: CellsDockContent, click: Any, tmp_path: Any
) -> None:
    teach(viewer, dock, click)
    dock.controller.files.save_head(tmp_path / "head")
    dock.controller.files.export_csv(tmp_path / "cells.csv")
    dock.controller.files.export_h5ad(tmp_path / "cells.h5ad")
    codes = dock.states.shown_codes.copy()
    names = [name for name, _ in dock.states.classes]
    back = read_h5ad(tmp_path / "cells.h5ad")
    lines = (tmp_path / "cells.csv").read_text().splitlines()
    header = lines[0].split(",")
    for i, line in enumerate(lines[1:]):
        row = dict(zip(header, line.split(","), strict=True))
        assert row["cell_id"] == f"{dock.states.uid}:{i + 1}"
        assert row["predicted"] == back.obs["predicted"].iloc[i]
        if row["predicted"] != "unknown" and not row["class_by_hand"]:
            assert names.index(row["predicted"]) + 1 == codes[i]
    dock.add_class_layer()
    copy = viewer.layers["cells states"].data
    labels = viewer.layers["cells"].data
    predicted = dock.states.table.obs["predicted"]
    for label in (5, 30):
        assert {
            255 if predicted.iloc[label - 1] == "unknown" else names.index(predicted.iloc[label - 1]) + 1
        } == set(np.unique(copy[labels == label]).tolist())
    uid = dock.states.uid
    dock.states.assign(np.arange(len(dock.states.values)), -1)
    session_of(viewer).set_cells(uid, make_table(labels, image=viewer.layers["field"].data, layer=uid))
    assert (dock.states.by_hand == -1).all() and dock.states.prediction is None
    dock.controller.files.load_head(tmp_path / "head")
    assert (dock.states.prediction.code == shapes()[2]).all()
    session_of(viewer).set_cells(uid, back)
    assert (dock.states.by_hand >= 0).sum() == 9
    assert [n for n, _ in dock.states.classes][:3] == list(KINDS)


def test_a_painted_mask_measures_that_cell_again_and_keeps_labels(
    viewer: Any, dock: CellsDockContent, click: Any
) -> None:
    teach(viewer, dock, click)
    before = dock.states.table.obs["area"].to_numpy().copy()
    layer = viewer.layers["cells"]
    layer.selected_label = 4
    layer.paint((20, 100), 4)
    dock.tables.flush()
    after = dock.states.table.obs["area"].to_numpy()
    changed = np.flatnonzero(before != after)
    assert 3 in changed and len(changed) <= 2
    assert (dock.states.by_hand >= 0).sum() == 9


def test_features_carry_label_and_prediction(
    viewer: Any, dock: CellsDockContent, click: Any, qtbot: Any
) -> None:
    viewer.layers["cells"].features = {"label": [1, 2], "mine": ["a", "b"]}
    teach(viewer, dock, click)

    def mirrored() -> bool:
        shown = viewer.layers["cells"].features
        return "prediction" in shown.columns and (shown["prediction"] != "").all()

    qtbot.waitUntil(mirrored, timeout=10000)
    features = viewer.layers["cells"].features
    assert list(features["label"]) == list(range(1, 65))
    assert features["mine"].iloc[1] == "b"
    assert set(features["prediction"]) <= {*KINDS, "unknown"}
    assert (features["roi_id"] == dock.states.uid).all()


def test_other_heads_and_scores_come_from_the_worker(viewer: Any, dock: CellsDockContent, click: Any) -> None:
    teach(viewer, dock, click)
    dock.form.head_box.setCurrentText("discriminant")
    press(dock.form.train_button)
    assert dock.states.other_head.name == "discriminant"
    assert (dock.states.prediction.code == shapes()[2]).mean() > 0.9
    dock.form.head_box.setCurrentText("logistic")
    press(dock.scores.button)
    assert "macro-F1" in dock.scores.words.text()
    assert "Optimistic" in dock.scores.words.text()
    assert dock.scores.confusion.rowCount() == 3


def test_bad_input_is_named_and_nothing_is_lost(
    viewer: Any, dock: CellsDockContent, click: Any, tmp_path: Any
) -> None:
    notification_manager.records.clear()
    press(dock.form.measure_button)
    type_class(dock, "one")
    press(dock.form.click_button)
    settle()
    click(viewer, middle(1))
    assert "another class" in dock.form.status.text()
    press(dock.form.train_button)
    press(dock.scores.button)
    assert any("Two classes" in n.message for n in notification_manager.records)
    (tmp_path / "labels.csv").write_text("object_id,label\n2,two\n999,two\n")
    dock.files_panel.guarded(lambda: dock.controller.files.read_labels(tmp_path / "labels.csv"))
    assert any("999" in n.message for n in notification_manager.records)
    assert (dock.states.by_hand >= 0).sum() == 1
    (tmp_path / "labels.csv").write_text("object_id,label\n2,two\n4,one\n")
    dock.controller.files.read_labels(tmp_path / "labels.csv")
    assert (dock.states.by_hand >= 0).sum() == 3
    dock.controller.files.save_head(tmp_path / "head")
    text = (tmp_path / "head" / "head.json").read_text()
    (tmp_path / "head" / "head.json").write_text(
        text.replace('"weights_sha256": ""', '"weights_sha256": "ff"')
    )
    notification_manager.records.clear()
    dock.files_panel.guarded(lambda: dock.controller.files.load_head(tmp_path / "head"))
    assert any("Compute the vectors with the encoder" in n.message for n in notification_manager.records)


def test_a_class_with_one_cell_is_learnt_and_the_score_says_what_it_lacks(
    viewer: Any, dock: CellsDockContent, click: Any
) -> None:
    notification_manager.records.clear()
    teach(viewer, dock, click, 1)
    assert (dock.states.by_hand >= 0).sum() == 3
    assert dock.states.prediction is not None and not notification_manager.records
    press(dock.scores.button)
    assert any("two labelled cells each" in n.message for n in notification_manager.records)
    assert (dock.states.by_hand >= 0).sum() == 3


def test_vectors_that_are_constant_or_missing_are_named_and_labels_stay(
    viewer: Any, dock: CellsDockContent, click: Any
) -> None:
    teach(viewer, dock, click)
    states, n = dock.states, len(dock.states.values)
    states.add_embedding("flat", np.ones((n, 5), np.float32), {"name": "flat"})
    states.add_embedding("empty", np.full((n, 5), np.nan, np.float32), {"name": "empty"})
    holes = np.asarray(states.table.obsm["regionprops"]).copy()
    holes[[0, 40]] = np.nan
    states.add_embedding("holes", holes, {"name": "holes"})
    for name, words in (("flat", "All cells have the same vector"), ("empty", "No cell has finite vectors")):
        dock.form.vectors_box.setCurrentText(name)
        assert words in dock.form.status.text()
        assert states.prediction is None and (states.by_hand >= 0).sum() == 9
    dock.form.vectors_box.setCurrentText("holes")
    code = states.prediction.code
    assert code[40] == -1 and (np.delete(code, [0, 40]) == np.delete(shapes()[2], [0, 40])).all()
    assert states.shown_codes[0] == 1  # its label by hand is shown, whatever it lacks
    assert (states.by_hand >= 0).sum() == 9


def test_a_labelled_cell_that_is_deleted_takes_only_its_own_label_along(
    viewer: Any, dock: CellsDockContent, click: Any
) -> None:
    teach(viewer, dock, click)
    layer = viewer.layers["cells"]
    layer.data[layer.data == 9] = 0  # the cell labelled last, by something that is not in the history
    session_of(viewer).labels_changed_outside(dock.states.uid, [9])
    dock.tables.flush()
    states = dock.states
    assert 9 not in states.values and len(states.values) == 63
    assert (states.by_hand >= 0).sum() == 8 and states.prediction is not None
    press(dock.form.undo_button)  # the label of the cell that is gone: there is nothing to take it from
    assert (states.by_hand >= 0).sum() == 8
    session_of(viewer).history.redo()
    press(dock.form.undo_button)
    press(dock.form.undo_button)
    assert (states.by_hand >= 0).sum() == 7
    click(viewer, middle(9))
    assert (states.by_hand >= 0).sum() == 7


def test_removing_the_layer_empties_the_dock_without_error(
    viewer: Any, dock: CellsDockContent, click: Any
) -> None:
    teach(viewer, dock, click, 1)
    viewer.layers.remove("cells")
    assert dock.states.table is None
    assert not any("classes" in layer.name for layer in viewer.layers)
    assert "Segment an image first" in dock.form.status.text()


def test_undo_reaches_the_labels_of_a_layer_that_is_not_shown(
    viewer: Any, dock: CellsDockContent, click: Any
) -> None:
    teach(viewer, dock, click, 1)
    uid = dock.states.uid
    viewer.add_labels(shapes(4)[1], name="other")
    dock.form.layer_box.setCurrentText("other")
    assert dock.states.table is None
    session = session_of(viewer)
    press(dock.form.undo_button)
    assert (session.cells(uid).obs["class_by_hand"] != "").sum() == 2
    dock.form.layer_box.setCurrentText("cells")
    assert (dock.states.by_hand >= 0).sum() == 2


def test_refits_off_the_gui_thread_end_with_the_newest_labels(
    viewer: Any, dock: CellsDockContent, click: Any, qtbot: Any
) -> None:
    press(dock.form.measure_button)
    dock.latest._inline = False
    for kind, name in enumerate(KINDS):
        dock.states.add_class(name)
        for i in range(3):
            dock.states.assign([kind + 3 * i], kind)
    kinds = shapes()[2]
    qtbot.waitUntil(
        lambda: dock.states.prediction is not None and (dock.states.prediction.code == kinds).all(),
        timeout=20000,
    )
    qtbot.waitUntil(lambda: not dock.latest.is_busy, timeout=20000)
    first = viewer.layers["cells"].data == 1
    overlay = class_layer(dock)
    qtbot.waitUntil(lambda: (np.asarray(overlay.data[:, :])[first] == 1).all(), timeout=5000)


def test_a_movie_is_classified_frame_by_frame_and_shown_as_a_timeline(
    viewer: Any, dock: CellsDockContent, click: Any
) -> None:
    _, labels, kinds = shapes(4)
    grown = shapes(4, seed=3)
    movie = np.stack([labels, labels, grown[1]])
    big = movie[2] == 1  # cell 1, a dot, becomes a bar in the last frame
    movie[2][big] = 0
    movie[2][12:18, 5:26] = 1
    viewer.add_image(np.where(movie > 0, 150, 50).astype(np.float32), name="movie")
    viewer.add_labels(movie, name="moving", axis_labels=("time", "y", "x"))
    viewer.dims.set_current_step(0, 0)
    dock.form.layer_box.setCurrentText("moving")
    press(dock.form.measure_button)
    for kind, name in enumerate(KINDS):
        dock.states.assign(np.flatnonzero(kinds == kind)[:4], dock.states.add_class(name))
    dock.form.confidence.setValue(0.0)
    press(dock.timeline.button)
    timeline = dock.timeline.timeline
    assert timeline.codes.shape == (16, 3)
    first = [timeline.classes[c] for c in timeline.codes[0]]
    assert first == ["dot", "dot", "bar"]
    assert dock.timeline.shown.codes[0].tolist() == timeline.codes[0].tolist()
    overlay = class_layer(dock).data
    assert set(np.unique(overlay[0][movie[0] == 1])) == {1}
    assert set(np.unique(overlay[2:3][0][movie[2] == 1])) == {2}
    dock.timeline.frame_chosen.emit(2)
    assert viewer.dims.current_step[0] == 2
    assert dock.timeline.frame_line.value() == 2


def moving_cells(viewer: Any, dock: CellsDockContent) -> np.ndarray:
    """Add a movie of 16 cells whose cell 1, a dot, is a bar in the last frame; measure the first frame."""
    _, labels, _ = shapes(4)
    movie = np.stack([labels, labels, labels])
    movie[2][movie[2] == 1] = 0
    movie[2][12:18, 5:26] = 1
    viewer.add_image(np.where(movie > 0, 150, 50).astype(np.float32), name="movie")
    viewer.add_labels(movie, name="moving", axis_labels=("time", "y", "x"))
    viewer.dims.set_current_step(0, 0)
    dock.form.layer_box.setCurrentText("moving")
    press(dock.form.measure_button)
    return movie


def test_a_movie_is_classified_by_the_vectors_of_the_model_along_a_tracks_layer(
    viewer: Any, dock: CellsDockContent, click: Any
) -> None:
    movie = moving_cells(viewer, dock)
    kinds = shapes(4)[2]
    dock.controller.learning.add_vectors("biofm-image", alone=True)
    assert dock.form.vectors_box.currentText() == "biofm-image crops"
    assert dock.states.table.uns["blocks"]["biofm-image crops"]["recipe"] == "crops"
    for kind, name in enumerate(KINDS):
        dock.states.assign(np.flatnonzero(kinds == kind), dock.states.add_class(name))
    dock.form.confidence.setValue(0.0)
    points = [[5, t, *middle(1, 4)] for t in range(3)] + [[6, t, *middle(2, 4)] for t in range(2)]
    viewer.add_tracks(points, name="from btrack")
    dock.timeline.tracks_box.setCurrentText("from btrack")
    press(dock.timeline.button)
    timeline = dock.timeline.timeline
    assert timeline.tracks.tolist() == [5, 6] and timeline.codes.shape == (2, 3)
    assert [timeline.classes[c] for c in timeline.codes[0]] == ["dot", "dot", "bar"]
    assert timeline.codes[1, 2] == -1  # not tracked there
    assert dock.controller.learning.movie.table.obsm["biofm-image crops"].shape == (
        48,
        dock.states.table.obsm["biofm-image crops"].shape[1],
    )
    assert (movie[2] == 1).sum() == 126


def test_the_timeline_is_shown_under_the_image_and_comes_back(
    viewer: Any, dock: CellsDockContent, click: Any
) -> None:
    dock.tabs.setCurrentWidget(dock.timeline)
    press(dock.timeline.below_box)
    settle()
    canvas = viewer.window._qt_viewer.canvas.native
    below = dock.timeline.plot.mapToGlobal(QPoint(0, 0)).y()
    assert dock.timeline.plot.isVisible()
    assert below >= canvas.mapToGlobal(QPoint(0, canvas.height())).y()
    press(dock.timeline.below_box)
    settle()
    assert dock.timeline.isAncestorOf(dock.timeline.plot) and dock.timeline.plot.isVisible()


def test_values_are_learnt_from_a_csv_shown_saved_and_loaded(
    viewer: Any, dock: CellsDockContent, click: Any, tmp_path: Any
) -> None:
    press(dock.form.measure_button)
    panel, kinds = dock.values_panel, shapes()[2]
    assert not panel.train_button.isEnabled() and "Read a CSV or AnnData" in panel.words.text()
    rng = np.random.default_rng(0)
    lines = [f"{i + 1},{kinds[i] + 0.1 * rng.normal():.3f},{rng.normal():.3f}" for i in range(0, 64, 2)]
    (tmp_path / "genes.csv").write_text("object_id,size,noise\n" + "\n".join(lines) + "\n")
    panel.source.read(tmp_path / "genes.csv")
    assert "measured in 32 of 64 cells" in panel.words.text()
    press(panel.train_button)
    assert panel.table.rowCount() == 2 and float(panel.table.item(0, 0).text()) > 0.8
    assert "1 of 2 targets" in panel.words.text() and "'noise' is not predicted" in panel.words.text()
    assert np.corrcoef(dock.states.table.obs["predicted_size"], kinds)[0, 1] > 0.9
    panel.target_box.setCurrentText("size")
    press(panel.show_button)
    shown, labels = viewer.layers["cells: size"].data, viewer.layers["cells"].data
    assert np.isnan(shown[labels == 0]).all()
    np.testing.assert_allclose(shown[labels == 7], dock.states.table.obs["predicted_size"].iloc[6], rtol=1e-5)
    panel.source.save(tmp_path / "head")
    before = panel.source.values.copy()
    panel.source.forget()
    panel.source.load(tmp_path / "head")
    np.testing.assert_array_equal(panel.source.values, before)
    notification_manager.records.clear()
    dock.files_panel.guarded(lambda: dock.controller.files.load_head(tmp_path / "head"))
    assert any(
        "predicts values (size, noise), not classes" in n.message for n in notification_manager.records
    )
    (tmp_path / "bad.csv").write_text("object_id,size\n1,2\n777,3\n")
    panel.guarded(lambda: panel.source.read(tmp_path / "bad.csv"))
    assert any("'777'" in n.message for n in notification_manager.records)
    assert panel.source.targets is None and panel.source.values is not None


def test_a_head_trained_on_crops_gets_its_vectors_computed_before_it_predicts(
    viewer: Any, dock: CellsDockContent, click: Any, tmp_path: Any
) -> None:
    press(dock.form.measure_button)
    dock.controller.learning.add_vectors("biofm-image", alone=True)
    kinds = shapes()[2]
    for kind, name in enumerate(KINDS):
        dock.states.assign(np.flatnonzero(kinds == kind)[:8], dock.states.add_class(name))
    dock.controller.files.save_head(tmp_path / "head")
    uid = dock.states.uid
    fresh = make_table(viewer.layers["cells"].data, image=viewer.layers["field"].data, layer=uid)
    session_of(viewer).set_cells(uid, fresh)
    assert list(dock.states.table.obsm) == ["regionprops"]
    dock.controller.files.load_head(tmp_path / "head")
    assert list(dock.states.table.obsm) == ["regionprops", "biofm-image crops"]
    assert (dock.states.prediction.code == kinds).mean() > 0.9


def test_a_layer_removed_while_a_head_trains_loses_nothing_else(
    viewer: Any, dock: CellsDockContent, click: Any, monkeypatch: Any
) -> None:
    press(dock.form.measure_button)
    kinds = shapes()[2]
    for kind, name in enumerate(KINDS):
        dock.states.assign(np.flatnonzero(kinds == kind)[:4], dock.states.add_class(name))
    waiting: list[Any] = []
    monkeypatch.setattr(
        dock, "run", lambda job, *args, on_done, **more: waiting.append((run_task(job(*args)), on_done))
    )
    dock.form.head_box.setCurrentText("discriminant")
    press(dock.form.train_button)
    viewer.layers.remove("cells")
    ((trained, done),) = waiting
    done(trained)
    assert trained.name == "discriminant" and trained.probabilities.shape == (64, 3)
    assert dock.states.prediction is None and "Segment an image first" in dock.form.status.text()
    assert "field" in viewer.layers


def test_what_was_learnt_is_applied_to_a_folder(
    viewer: Any, dock: CellsDockContent, click: Any, tmp_path: Any
) -> None:
    press(dock.form.measure_button)
    kinds = shapes()[2]
    for kind, name in enumerate(KINDS):
        dock.states.assign(np.flatnonzero(kinds == kind)[:8], dock.states.add_class(name))
    image, labels, others = shapes(4, seed=4)
    np.save(tmp_path / "f.npy", image)
    np.save(tmp_path / "f_mask.npy", labels)
    dock.form.confidence.setValue(0.0)
    panel = dock.files_panel
    dock.controller.files.apply_to_folder(tmp_path, tmp_path, tmp_path / "out.csv")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == "object_id,label,probability"
    assert [line.split(",")[:2] for line in lines[1:]] == [
        [f"f:{i + 1}", KINDS[k]] for i, k in enumerate(others)
    ]
    assert "16 cells" in panel.words.text()


def test_umap_is_honest_where_it_is_not_installed(
    viewer: Any, dock: CellsDockContent, click: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("napari_biofm.widgets.cells.plot_panel.has_umap", lambda: False)
    press(dock.form.measure_button)
    dock.plot.kind.setCurrentText("UMAP")
    assert "pip install 'napari-biofm[umap]'" in dock.plot.words.text()
    assert np.isfinite(dock.plot.scatter.points).all()  # PCA is there meanwhile


def test_umap_is_shown_when_it_arrives_unless_another_plot_was_chosen(
    dock: CellsDockContent, qtbot: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("napari_biofm.widgets.cells.plot_panel.has_umap", lambda: True)
    monkeypatch.setattr("napari_biofm.widgets.cells.plot_panel.umap", lambda axes: 7 + axes[:, :2])
    press(dock.form.measure_button)
    plot = dock.plot
    plot.kind.setCurrentText("UMAP")
    assert "background" in plot.words.text() and plot.scatter.points.min() < 7  # PCA meanwhile
    expected = 7 + dock.states.prepared.features[:, :2]
    qtbot.waitUntil(lambda: np.array_equal(plot.scatter.points, expected))
    qtbot.waitUntil(lambda: plot.words.text() == "")
    plot.kind.setCurrentText("PCA 1, 2")
    plot.kind.setCurrentText("UMAP")
    plot.kind.setCurrentText("PCA 3, 4")
    shown = plot.scatter.points.copy()
    qtbot.wait(200)
    np.testing.assert_array_equal(plot.scatter.points, shown)
    assert plot.words.text() == ""


def test_a_second_dock_of_the_same_viewer_shows_the_same_labels(
    viewer: Any, dock: CellsDockContent, click: Any
) -> None:
    teach(viewer, dock, click, 1)
    assert layer_id(viewer.layers["cells"]) == dock.states.uid
    assert session_of(viewer).cells(dock.states.uid) is dock.states.table


def test_a_dock_opened_again_takes_over_the_layer_of_classes(
    viewer: Any, dock: CellsDockContent, click: Any
) -> None:
    teach(viewer, dock, click, 1)
    viewer.window.remove_dock_widget("all")
    settle()
    again = CellsDock(viewer)
    viewer.window.add_dock_widget(again, name="Cells again")
    assert again.content.states.table is not None
    settle()
    assert [layer.name for layer in viewer.layers if "classes" in layer.name] == ["cells · classes"]


def _point(xy: Any) -> Any:
    from qtpy.QtCore import QPointF

    return QPointF(float(xy[0]), float(xy[1]))


def _between(places: list[QPoint], n: int = 8) -> list[QPoint]:
    out = []
    for a, b in itertools.pairwise(places):
        for i in range(1, n + 1):
            out.append(QPoint(a.x() + (b.x() - a.x()) * i // n, a.y() + (b.y() - a.y()) * i // n))
    return out


__all__ = ["to_canvas"]


def stack_of_cells(viewer: Any) -> tuple[np.ndarray, np.ndarray]:
    """Add a stack of three cells, one of them in the last plane only, with two images over it."""
    labels = np.zeros((4, 60, 60), np.int32)
    labels[:3, 5:20, 5:20], labels[1:3, 30:45, 5:20], labels[3, 40:50, 40:50] = 1, 2, 3
    dapi = np.where(labels > 0, 100.0, 10.0).astype(np.float32)
    gfp = (labels * 7.0 + 1).astype(np.float32)
    scale = {"scale": (2.0, 0.5, 0.5), "units": ("um", "um", "um")}
    viewer.add_image(gfp, name="GFP", **scale)
    viewer.add_image(dapi, name="DAPI", **scale)
    viewer.add_labels(labels, name="stack", **scale)
    return labels, gfp


def test_what_is_measured_is_chosen_shown_and_written(
    viewer: Any, dock: CellsDockContent, tmp_path: Any
) -> None:
    import pandas as pd

    stack_of_cells(viewer)
    dock.form.layer_box.setCurrentText("stack")
    row = dock.form.measured_on
    assert row.part.isVisible() and row.part.currentText() == "All planes" and row.images.text() == "DAPI"
    actions = {action.text(): action for action in row.images.menu().actions()}
    assert list(actions) == ["DAPI", "GFP"]  # of the shape of the labels; "field" is not offered
    actions["GFP"].trigger()
    assert row.images.text() == "DAPI + GFP"
    press(dock.form.measure_button)
    assert dock.states.values.tolist() == [1, 2, 3]  # the volume, not the plane in view
    assert "3 cells on DAPI and GFP" in dock.form.status.text()
    dock.controller.files.export_csv(tmp_path / "cells.csv")
    read = pd.read_csv(tmp_path / "cells.csv").set_index("label")
    np.testing.assert_allclose(read["GFP_mean"], [8, 15, 22])
    np.testing.assert_allclose(read["DAPI_mean"], 100)
    np.testing.assert_allclose(read["volume_um3"], read["volume_px"] * 0.5)
    assert set(read["measured_on"]) == {"DAPI, GFP"} and read["object_id"].tolist()[0] == "DAPI:1"
    viewer.dims.set_current_step(0, 0)
    row.part.setCurrentText("Plane in view")
    row.part.activated.emit(1)
    press(dock.form.measure_button)
    assert dock.states.values.tolist() == [1]
    assert "1 cells of plane 0 on DAPI and GFP" in dock.form.status.text()
    dock.controller.files.export_csv(tmp_path / "plane.csv")
    read = pd.read_csv(tmp_path / "plane.csv")
    assert read["measured_plane"].tolist() == ["plane 0"] and read["area_um2"].tolist() == [15 * 15 * 0.25]


def test_an_edit_of_cells_measured_on_two_images_is_measured_on_both(
    viewer: Any, dock: CellsDockContent
) -> None:
    gfp = stack_of_cells(viewer)[1]
    dock.form.layer_box.setCurrentText("stack")
    for action in dock.form.measured_on.images.menu().actions():
        action.setChecked(True)
    press(dock.form.measure_button)
    layer = viewer.layers["stack"]
    before = np.array(layer.data[0:2, 40:50, 40:50])
    patch = Patch.between((0, 40, 40), before, np.full_like(before, 9))
    dock.session.do(EditLabels(LabelsEdit(layer_id(layer), "paint", (patch,))))
    dock.tables.flush()
    table = dock.session.cells(layer_id(layer))
    fresh = make_table(
        layer.data, image=np.stack([viewer.layers["DAPI"].data, gfp], -1), layer=layer_id(layer)
    )
    assert table.obs["label"].tolist() == [1, 2, 3, 9]
    np.testing.assert_allclose(table.obsm["regionprops"], fresh.obsm["regionprops"], rtol=2e-3, atol=2e-3)
