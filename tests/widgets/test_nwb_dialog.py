"""The NWB export of a dock asks for the experiment and the animal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QDialogButtonBox, QFileDialog, QPushButton

from napari_biofm.signals import Recording, read_recording
from napari_biofm.signals.nwb_about import about_of
from napari_biofm.widgets.common.nwb_dialog import NwbDialog
from napari_biofm.widgets.trace import TraceDock

pytest.importorskip("pynwb")


def _export(
    dock: TraceDock,
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
    path: Path,
    fill: Callable[[NwbDialog], None],
) -> None:
    """Press *All as NWB*, name the file, and do with the dialog what `fill` does."""
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))

    def answer() -> None:
        shown = [
            one for one in QApplication.topLevelWidgets() if isinstance(one, NwbDialog) and one.isVisible()
        ]
        if not shown:
            QTimer.singleShot(10, answer)
            return
        dialog = shown[0]
        try:
            fill(dialog)
        finally:
            if dialog.isVisible():
                dialog.reject()  # so that a test that fails does not hang

    QTimer.singleShot(0, answer)
    button = next(one for one in dock.export_panel.findChildren(QPushButton) if one.text() == "All as NWB")
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def _press(dialog: NwbDialog, qtbot: Any, which: str) -> None:
    button = dialog.buttons.button(getattr(QDialogButtonBox.StandardButton, which))
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_the_export_asks_checks_remembers_and_leaves_out(
    viewer: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NAPARI_BIOFM_AUTOSAVE", str(tmp_path / "kept"))
    dock = TraceDock(viewer)
    viewer.window.add_dock_widget(dock, area="bottom", name="Traces and events")
    dock.session.add_recording(Recording.from_arrays(np.zeros(100, np.float32), 1000.0, "pA"), "cell")
    dock.show_panel(dock.export_panel)
    qtbot.wait(20)

    def first(dialog: NwbDialog) -> None:
        assert not any(box.text() for name, box in dialog.boxes.items() if name != "sex"), (
            "nothing is made up"
        )
        qtbot.keyClicks(dialog.boxes["species"], "mouse")
        qtbot.keyClicks(dialog.boxes["subject_id"], "m17")
        dialog.boxes["sex"].setCurrentText("F")
        _press(dialog, qtbot, "Ok")
        assert dialog.isVisible() and "write Mus musculus" in dialog.problem.text()
        dialog.boxes["species"].clear()
        qtbot.keyClicks(dialog.boxes["species"], "Mus musculus")
        _press(dialog, qtbot, "Ok")
        assert not dialog.isVisible()

    def again(dialog: NwbDialog) -> None:
        assert dialog.boxes["species"].text() == "Mus musculus" and dialog.boxes["sex"].currentText() == "F"
        dialog.boxes["subject_id"].clear()
        _press(dialog, qtbot, "Ok")

    _export(dock, qtbot, monkeypatch, tmp_path / "one.nwb", first)
    said = about_of(read_recording(tmp_path / "one.nwb")).given
    assert {k: said.get(k) for k in ("species", "subject_id", "sex", "age", "lab")} == {
        "species": "Mus musculus", "subject_id": "m17", "sex": "F", "age": None, "lab": None,
    }  # fmt: skip
    _export(dock, qtbot, monkeypatch, tmp_path / "two.nwb", again)
    assert "subject_id" not in about_of(read_recording(tmp_path / "two.nwb")).given
    _export(dock, qtbot, monkeypatch, tmp_path / "three.nwb", lambda dialog: _press(dialog, qtbot, "Cancel"))
    assert not (tmp_path / "three.nwb").exists()
    dock.session.add_recording(read_recording(tmp_path / "one.nwb"), "again")

    def of_file(dialog: NwbDialog) -> None:
        assert dialog.boxes["subject_id"].text() == "m17", (
            "what the open file says goes before what was said last"
        )
        _press(dialog, qtbot, "Cancel")

    _export(dock, qtbot, monkeypatch, tmp_path / "three.nwb", of_file)
