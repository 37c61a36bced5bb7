"""Classes given by hand stay with their cells when these get the ids of their tracks."""

from __future__ import annotations

import numpy as np

from napari_biofm.cells.table.classes import CellClasses
from napari_biofm.images.edit.linking import link_array, relabel_edit
from napari_biofm.teaching.relabelling import link_over_time, move_labels
from napari_biofm.types import run_task
from tests.teaching.test_cell_tables import UID, assert_fresh, kept


def movie() -> np.ndarray:
    """Return three frames of three cells that stand still, numbered differently in each."""
    labels = np.zeros((3, 60, 60), np.int32)
    for t, numbers in enumerate(((1, 2, 3), (2, 3, 1), (3, 1, 2))):
        for number, x in zip(numbers, (5, 25, 45), strict=True):
            labels[t, 10:20, x : x + 10] = number
    return labels


def test_the_class_of_a_cell_follows_it_to_the_id_of_its_track_and_back() -> None:
    labels = movie()
    session, tables, target, _ = kept(labels, None, (1,))
    session.set_classes(UID, [("left", "#ffffff"), ("right", "#000000")])
    session.label_cells(UID, np.array([2, 1]), np.array([0, 1]))  # in frame 1: left and right
    tracking = run_task(link_array(labels))
    session.do(link_over_time(session, relabel_edit(target, tracking), tracking))
    tables.flush()
    assert (labels == labels[0]).all()

    def given() -> dict[int, str]:
        table = session.cells(UID)
        assert table is not None
        return dict(zip(table.obs["label"], table.obs["class_by_hand"], strict=True))

    assert given() == {1: "left", 2: "", 3: "right"}
    assert_fresh(session, labels[1], None)
    assert session.undo() == "link over time"
    tables.flush()
    assert given() == {1: "right", 2: "left", 3: ""}
    assert_fresh(session, labels[1], None)
    session.redo()
    tables.flush()
    assert given() == {1: "left", 2: "", 3: "right"}


def test_cells_without_classes_need_no_edit_of_classes() -> None:
    assert move_labels(UID, CellClasses(("a",), ("#ffffff",)), {1: 2}, "link over time") is None
