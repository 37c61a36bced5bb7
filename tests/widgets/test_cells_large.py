"""What the Cells dock does in another way for many cells looks the same as the plain way."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_biofm.cells.table.cell_table import make_table
from napari_biofm.controllers.cells.coded_labels import BLOCK, CodedLabels
from napari_biofm.controllers.cells.mirror import mirror_features
from napari_biofm.session import Session
from napari_biofm.teaching.cell_states import CellStates
from napari_biofm.widgets.cells.cell_table import CellTable
from napari_biofm.widgets.cells.scatter import stamp


def one_by_one(
    at: np.ndarray, codes: np.ndarray, shape: tuple[int, int], offsets: list[tuple[int, int]]
) -> np.ndarray:
    picture = np.zeros(shape, int)
    order = np.argsort(codes > 0, kind="stable")
    for (dy, dx), row in itertools.product(offsets, order):
        x, y = at[row] + (dx, dy)
        if 0 <= x < shape[1] and 0 <= y < shape[0]:
            picture[y, x] = int(codes[row]) + 1
    return picture


def test_points_set_once_and_shifted_look_like_points_drawn_one_by_one() -> None:
    rng = np.random.default_rng(0)
    at = rng.integers(-9, 40, (300, 2)).astype(np.int32)
    codes = rng.choice([0, 1, 2, 255], 300).astype(np.uint8)
    offsets = [(dy, dx) for dy in (-2, -1, 0, 1, 2) for dx in (-2, -1, 0, 1, 2) if abs(dy) + abs(dx) < 4]
    drawn = stamp(at, codes, (25, 31), offsets)
    np.testing.assert_array_equal(drawn, one_by_one(at, codes, (25, 31), offsets))


def test_classes_looked_up_in_blocks_are_those_of_the_table() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 1000, (BLOCK // 500, 1301)).astype(np.int32)
    coded = CodedLabels(labels, 900)  # labels above 900 were painted since: they get the last entry
    assert not coded[:, :].any()
    coded.lut = rng.integers(0, 6, 901).astype(np.uint8)
    np.testing.assert_array_equal(coded[:, :], coded.lut[np.minimum(labels, 900)])
    np.testing.assert_array_equal(coded[7], coded.lut[np.minimum(labels[7], 900)])


def table_of(n: int) -> tuple[Session, CellStates]:
    labels = np.zeros((3, n), np.int32)
    labels[1] = np.arange(1, n + 1)
    session = Session()
    states = CellStates(session, lambda work, done, failed: done(work()))
    states.use("cells", make_table(labels, image=labels.astype(np.float32), layer="cells"))
    return session, states


def shown_table(qtbot: Any, order: Any) -> tuple[Session, CellStates, CellTable]:
    """A table of as many cells as `order` has, shown in that order, which follows the selection."""
    session, states = table_of(len(order))
    table = CellTable(states)
    qtbot.addWidget(table)
    table.resize(400, 300)
    table.show()
    table.cells.set_order(order)
    session.selection_changed.connect(lambda _: table.show_selection(states.selected_rows))
    return session, states, table


def test_a_selection_all_over_the_table_is_shown_and_changed_by_clicks(qtbot: Any) -> None:
    _, states, table = shown_table(qtbot, np.arange(1000))
    states.select_rows(np.arange(0, 1000, 2))
    np.testing.assert_array_equal(table.chosen_rows, np.arange(0, 1000, 2))
    assert not table.selectionModel().hasSelection()  # Qt would need seconds for many more of them
    plain, marked = (pixel(table, row) for row in (1, 2))
    assert plain != marked

    click(table, 1, Qt.KeyboardModifier.ControlModifier)
    assert {0, 1, 2} <= set(states.selected_rows.tolist()) and len(states.selected_rows) == 501
    click(table, 2, Qt.KeyboardModifier.ControlModifier)
    assert 2 not in states.selected_rows and len(states.selected_rows) == 500
    click(table, 5)
    assert states.selected_rows.tolist() == [5]
    assert table.chosen_rows.tolist() == [5]
    assert pixel(table, 5) == marked  # drawn alike, whoever keeps it
    assert pixel(table, 2) == plain


def test_many_rows_selected_in_the_table_are_kept_beside_qt(qtbot: Any) -> None:
    session, states, table = shown_table(qtbot, np.arange(5000)[::-1])
    QTest.keyClick(table, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    assert len(session.selection) == 5000 and len(table.chosen_rows) == 5000
    assert not table.selectionModel().hasSelection()
    click(table, 0)
    assert states.selected_rows.tolist() == [4999]
    table.scrollToBottom()
    click(table, 4999, Qt.KeyboardModifier.ShiftModifier)
    assert len(states.selected_rows) == 5000 and not table.selectionModel().hasSelection()


def click(table: CellTable, row: int, modifier: Any = Qt.KeyboardModifier.NoModifier) -> None:
    place = table.visualRect(table.cells.index(row, 0)).center()
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, modifier, place)


def pixel(table: CellTable, row: int) -> int:
    """Colour of an empty corner of the row's third column."""
    QTest.qWait(20)
    corner = table.visualRect(table.cells.index(row, 2)).topRight()
    return int(table.viewport().grab().toImage().pixel(corner.x() - 3, corner.y() + 3))


def test_the_features_of_the_same_cells_are_written_into_the_table_that_is_there(viewer: Any) -> None:
    _, states = table_of(20)
    layer = viewer.add_labels(np.zeros((4, 4), np.uint8))
    mirror_features(layer, states.table)
    first, told = layer.features, []
    layer.features["mine"] = np.arange(20)
    layer.events.features.connect(lambda event: told.append(event))
    mirror_features(layer, states.table)
    assert not told  # nothing differs
    states.table.obs["predicted"] = np.asarray(["mitosis"] * 20, object)
    mirror_features(layer, states.table)
    assert len(told) == 1 and layer.features is first
    assert set(layer.features["prediction"]) == {"mitosis"}
    fresh = viewer.add_labels(np.zeros((4, 4), np.uint8))
    mirror_features(fresh, states.table)
    pd.testing.assert_frame_equal(layer.features.drop(columns="mine"), fresh.features)
