"""The panel *Analyse* in the Trace dock: choose, fill, run, save and copy by clicks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFileDialog, QPushButton

from napari_biofm.signals import Recording
from napari_biofm.widgets.trace import TraceDock


def test_an_analysis_is_chosen_filled_run_and_saved(
    viewer: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock = TraceDock(viewer)
    viewer.window.add_dock_widget(dock, area="bottom", name="Traces and events")
    t = np.arange(4000) / 10_000
    sweeps = [40 * np.exp(-t / tau) for tau in (0.01, 0.02)]
    dock.session.add_recording(Recording.from_arrays(sweeps, 10_000.0, "pA", names=["Im"]), "cell")
    panel = dock.analyse_panel
    buttons = {one.text(): one for one in panel.findChildren(QPushButton)}

    def click(name: str) -> None:
        qtbot.mouseClick(buttons[name], Qt.MouseButton.LeftButton)

    dock.show_panel(panel)
    dock.plots.step_sweep(1)
    dock.cursors.set_visible(True)
    dock.cursors.place(0.005, 0.3)
    panel.choose("fit")
    assert panel.values == {"model": "exp1", "start_s": "0.005", "stop_s": "0.3", "sweep": "1"}
    click("Run")
    qtbot.waitUntil(lambda: panel.table.rowCount() > 0, timeout=60_000)
    shown = {
        panel.table.item(i, 0).text(): panel.table.item(i, 1).text() for i in range(panel.table.rowCount())
    }
    assert float(shown["tau1"]) == pytest.approx(0.02, rel=1e-3)
    assert len(panel.plots.items) == 2 and panel.run_button.isEnabled()
    for name, ending in (("Save table", "csv"), ("Save figure", "pdf")):
        path = tmp_path / f"out.{ending}"
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, path=path: (str(path), ""))
        click(name)
        assert path.stat().st_size > 50
    click("Copy as command")
    clipboard = QApplication.clipboard()
    assert (
        clipboard.text()
        == "napari-biofm fit cell --from 0.005 --to 0.3 --sweep 1 --out table.csv".replace(
            " cell ", " recording "
        )
    )
    click("Copy methods")
    assert "lmfit" in clipboard.text() and "start 0.005 s" in clipboard.text()
    panel.choose("fit-columns")
    assert panel.analysis.takes == ("table",)
    assert [panel._boxes["x"].itemText(i) for i in range(4)] == ["x", "parameter", "value", "error"]
