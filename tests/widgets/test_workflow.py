"""The most common work from an image to a table, in a real viewer with the worker engine, counted by interactions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QPushButton
from tests.hand import drag, settle
from tests.widgets.test_cells_dock import KINDS, middle, shapes

from napari_biofm.controllers.annotate.tools import Tool
from napari_biofm.engine import make_engine
from napari_biofm.session import session_of
from napari_biofm.widgets.annotate import AnnotateDock
from napari_biofm.widgets.cells import CellsDock
from napari_biofm.widgets.common.viewers import QtPost
from napari_biofm.widgets.segment import SegmentDock

SIDE, DEBRIS, MOST = 13, 6, 40


class Hand:
    """Does what a person does, and counts it."""

    def __init__(self, viewer: Any) -> None:
        self.viewer, self.n = viewer, 0

    def open(self, dock: Any, name: str) -> Any:
        self.n += 1
        self.viewer.window.add_dock_widget(dock, name=name, area="right")
        settle(self.viewer)
        return dock

    def press(self, button: Any) -> None:
        self.n += 1
        assert button.isVisible() and button.isEnabled()
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)

    def click(self, layer: Any, at: tuple[float, float]) -> None:
        self.n += 1
        drag(self.viewer, [layer.data_to_world(at)[-2:]])

    def type(self, field: Any, text: str) -> None:
        self.n += 2  # the word, and Enter
        QTest.keyClicks(field, text)
        QTest.keyClick(field, Qt.Key.Key_Return)


def picture() -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Return 169 nuclei of three shapes with debris between them, and where that lies."""
    image = shapes(SIDE)[0]
    places = [(30 * k + 30, 30 * k + 30) for k in range(2, 2 + DEBRIS)]
    y, x = np.indices(image.shape)
    for cy, cx in places:
        image = np.where(np.hypot(y - cy, x - cx) < 3.6, 160.0, image)
    return image.astype(np.float32), places


def test_169_nuclei_6_corrections_18_labels_3_classes_and_a_csv_in_40_interactions(
    viewer: Any, qtbot: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "cells.csv"), ""))
    viewer.window.resize(1500, 1100)
    image, debris = picture()
    viewer.add_image(image, name="field")
    session_of(viewer).use_engine(make_engine("worker", post=QtPost()))
    hand = Hand(viewer)

    def wait(until: Callable[[], bool]) -> None:
        qtbot.waitUntil(until, timeout=120_000)

    segment = hand.open(SegmentDock(viewer), "Segment")
    hand.press(segment.run_button.native)
    wait(lambda: "field cells" in viewer.layers)
    layer = viewer.layers["field cells"]
    assert len(np.unique(layer.data)) - 1 == SIDE**2 + DEBRIS

    annotate = hand.open(AnnotateDock(viewer), "Annotate")
    hand.press(annotate.toolbox.tool_buttons[Tool.DELETE])
    for place in debris:
        hand.click(layer, place)
    assert len(np.unique(layer.data)) - 1 == SIDE**2

    cells = hand.open(CellsDock(viewer), "Cells")
    wait(lambda: cells.is_open)
    content = cells.content
    hand.press(content.form.measure_button)
    wait(lambda: content.states.table is not None)
    hand.press(content.form.click_button)  # puts the tool of corrections away
    settle(viewer)
    for kind, name in enumerate(KINDS):
        hand.type(content.form.class_list.name, name)
        for i in range(6):
            hand.click(layer, middle(kind + 1 + 3 * (4 * i + 2), SIDE))
    wait(lambda: content.states.prediction is not None and len(content.states.prediction.classes) == 3)
    assert int((content.states.by_hand >= 0).sum()) == 18
    hand.n += 1
    content.tabs.setCurrentIndex(
        [content.tabs.tabText(i) for i in range(content.tabs.count())].index("Files")
    )
    wait(lambda: content.files_panel.isVisible())
    hand.press(
        next(b for b in content.files_panel.findChildren(QPushButton) if b.text().startswith("Export CSV"))
    )
    hand.n += 1  # the name of the file
    wait(lambda: (tmp_path / "cells.csv").exists())

    table = pd.read_csv(tmp_path / "cells.csv")
    assert len(table) == SIDE**2 and hand.n <= MOST
    at = np.floor(table[["centroid_y_px", "centroid_x_px"]].to_numpy() / 30).astype(int)
    truth = np.asarray(KINDS)[(at[:, 0] * SIDE + at[:, 1]) % 3]
    told = table["predicted"].to_numpy()
    assert (told == truth).mean() > 0.95
    assert {"area_px", "intensity_mean", "field_mean", "n_neighbours"} & set(table.columns) >= {
        "area_px",
        "field_mean",
    }
