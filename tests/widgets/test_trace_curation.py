"""Cells accepted and rejected by key in a real viewer: image, trace and table follow, and iscell.npy is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QShortcut
from tests.hand import settle

from napari_biofm.engine import make_engine
from napari_biofm.signals.curation import accepted_cells, verdicts_of
from napari_biofm.widgets.common.viewers import QtPost, layer_id
from napari_biofm.widgets.trace import TraceDock

CENTRES = {4: (10, 12), 7: (30, 50), 9: (34, 14)}


@pytest.fixture
def dock(viewer: Any, qtbot: Any) -> TraceDock:
    """Three cells measured in a movie through the dock, by the worker."""
    viewer.window.resize(1200, 900)
    rng = np.random.default_rng(0)
    yy, xx = np.mgrid[:44, :64]
    labels = np.zeros((44, 64), np.int32)
    movie = rng.poisson(60, (120, 44, 64)).astype(np.float32)
    for label, (y, x) in CENTRES.items():
        labels[np.hypot(yy - y, xx - x) < 5] = label
        movie[:, labels == label] += 100
    movie[40:50, labels == 7] += 200
    viewer.add_image(movie, name="movie")
    masks = viewer.add_labels(labels, name="cells")
    dock = TraceDock(viewer)
    dock.session.use_engine(make_engine("worker", post=QtPost()))
    viewer.window.add_dock_widget(dock, area="bottom", name="Traces and events")
    dock.session.set_layers(image=layer_id(viewer.layers["movie"]), labels=layer_id(masks))
    dock.movies.update()
    dock.movie_panel.rate.setValue(20.0)
    dock.show_panel(dock.movie_panel)
    settle(viewer)
    QTest.mouseClick(dock.movie_panel.go, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(dock.session.recordings), timeout=60_000)
    dock.show_panel(dock.curation_panel)
    settle(viewer)
    return dock


def test_cells_are_verified_by_key_and_written_as_iscell(
    viewer: Any, dock: TraceDock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel, masks = dock.curation_panel, layer_id(viewer.layers["cells"])

    def press(keys: str) -> None:
        """Do what a key does, whichever window the test has in front."""
        of_dock = [one for one in dock.findChildren(QShortcut) if one.key() == QKeySequence(keys)]
        assert len(of_dock) == 1  # two for one key, and neither would be called
        of_dock[0].activated.emit()
        QTest.qWait(20)

    def looked_at() -> tuple[int | None, ...]:
        """Return the label in the middle of the view, of the trace that is drawn, and of the chosen cell."""
        middle = np.round(getattr(viewer, "scene", viewer).camera.center[-2:]).astype(int)
        drawn = [dock.recording.channels[c].label for c in dock.plots.channels]
        chosen = [cell.label for cell in dock.session.selection if cell.layer == masks]
        seen = int(viewer.layers["cells"].data[tuple(middle)])
        return (seen, *drawn, *chosen)

    def judged() -> dict[int, str]:
        return verdicts_of(dock.recording)

    assert panel.state.text() == "3 accepted, 0 rejected, 3 of 3 not judged."
    press("A")  # the first press only goes there
    assert looked_at() == (4, 4, 4) and judged() == {}
    press("A")
    assert looked_at() == (7, 7, 7) and judged() == {4: "accept"}
    press("R")
    assert looked_at() == (9, 9, 9) and judged() == {4: "accept", 7: "reject"}
    press("P")
    assert looked_at() == (7, 7, 7) and "Cell 7: rejected." in panel.state.text()
    press("Ctrl+Z")
    assert looked_at() == (7, 7, 7) and judged() == {4: "accept"}
    press("A")
    assert looked_at() == (9, 9, 9)
    QTest.mouseClick(panel.buttons["reject"], Qt.MouseButton.LeftButton)
    assert judged() == {4: "accept", 7: "accept", 9: "reject"}
    assert panel.state.text() == "Cell 9: rejected. 2 accepted, 1 rejected, 0 of 3 not judged."
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "iscell.npy"), ""))
    QTest.mouseClick(panel.save_button, Qt.MouseButton.LeftButton)
    table = np.load(tmp_path / "iscell.npy")
    assert table[:, 0].tolist() == [1, 1, 0] and (table[:2, 1] > 0.9).all() and table[2, 1] < 0.1
    assert accepted_cells(dock.recording).tolist() == [True, True, False]


def test_keys_judge_events_where_cells_are_not_gone_through(viewer: Any, dock: TraceDock) -> None:
    dock.show_panel(dock.events_panel)
    settle(viewer)
    assert not dock.curation_panel.key("A") and verdicts_of(dock.recording) == {}
