"""The Conditions dock: a plate map read or typed, a heat map of a run, and wells that open their fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFileDialog, QPushButton

from napari_biofm.batch.opened import OpenedRun
from napari_biofm.batch.run import run_recipe
from napari_biofm.simulate.plate import simulate_plate
from napari_biofm.widgets.conditions.dock import ConditionsDock

RECIPE = '[input]\nimages = ["fields"]\nmasks = "masks"\nconditions = "map.csv"\n[[step]]\ndo = "measure"\n'


def make_run(folder: Path) -> Path:
    """Four wells with 1, 2, 3 and 4 cells, measured."""
    for name in ("fields", "masks"):
        (folder / name).mkdir()
    for n in range(1, 5):
        masks = np.zeros((40, 40), np.uint16)
        for label in range(n):
            masks[4 + 9 * label : 10 + 9 * label, 5:15] = label + 1
        tifffile.imwrite(folder / "fields" / f"x_A{n:02d}.tif", (90 * (masks > 0)).astype(np.uint8))
        tifffile.imwrite(folder / "masks" / f"x_A{n:02d}_mask.tif", masks)
    (folder / "map.csv").write_text("well,compound\nA1,dmso\nA2,dmso\nA3,x\nA4,x\n")
    (folder / "recipe.toml").write_text(RECIPE)
    return run_recipe(folder / "recipe.toml", folder / "out").out


def test_a_well_that_is_clicked_shows_its_field_and_the_grid_what_its_cells_do(
    viewer: Any, tmp_path: Path
) -> None:
    out = make_run(tmp_path)
    dock = ConditionsDock(viewer)
    viewer.window.add_dock_widget(dock, name="Conditions")
    dock.control.open(out)
    dock.control.read_map(tmp_path / "map.csv")
    assert "4 of 4 names belong to a row" in dock.words.text()
    assert [dock.grid.item(0, c).text() for c in range(4)] == ["dmso", "dmso", "x", "x"]
    dock.control.profile()
    dock.column.setCurrentText("n_cells")
    assert [dock.grid.item(0, c).text() for c in range(4)] == ["1", "2", "3", "4"]
    lightness = [dock.grid.item(0, c).background().color().lightness() for c in range(4)]
    assert lightness == sorted(lightness) and lightness[0] < lightness[-1]
    dock.grid.cellClicked.emit(0, 2)
    assert [layer.name for layer in viewer.layers] == ["A03 x_A03.tif", "A03 x_A03.tif cells"]
    assert viewer.layers[-1].data.max() == 3 and dock.session.labels == str(viewer.layers[-1].unique_id)
    dock.grid.cellClicked.emit(0, 0)
    assert len(viewer.layers) == 2, "the field of the former well makes way"
    dock.grid.item(0, 1).setText("7")
    assert "was measured" in dock.words.text() and dock.grid.item(0, 1).text() == "2"
    dock.column.setCurrentText("compound")
    dock.grid.item(0, 1).setText("caffeine")
    dock.control.save_map(tmp_path / "typed.csv")
    assert pd.read_csv(tmp_path / "typed.csv")["compound"].tolist() == ["dmso", "caffeine", "x", "x"]
    dock.recipe.save(tmp_path / "again.toml")
    again = run_recipe(tmp_path / "again.toml")
    assert not again.problems
    assert pd.read_parquet(again.out / "wells.parquet")["n_cells"].tolist() == [1, 2, 3, 4]
    cells = pd.read_parquet(again.out / "cells.parquet")
    assert cells["compound"].tolist() == ["dmso"] + 2 * ["caffeine"] + 7 * ["x"]


def test_a_map_is_typed_into_an_empty_grid_and_a_plate_opens_without_a_run(tmp_path: Path) -> None:
    from napari_biofm.controllers.conditions.controller import ConditionsController
    from napari_biofm.session import Session

    told: list[object] = []
    control = ConditionsController(Session(), None, lambda *_, **__: None)  # type: ignore[arg-type,return-value]
    control.failed.connect(told.append)
    control.set_well("B02", "aspirin")
    control.choose("", "dose")
    control.set_well("B02", "10 nM")
    assert control.grid()[1][1].text == "10" and not told
    control.set_well("B03", "lots")
    assert "lots" in str(told[0]) and control.grid()[1][2].text == "", "what is no dose is refused and named"
    (tmp_path / "p_B02.tif").touch()
    control.open(tmp_path)
    assert control.opened is not None and [f.well for f in control.opened.fields] == ["B02"]
    assert OpenedRun.open(tmp_path).plates() == []


MOVIES = """
[input]
images = ["fields"]
masks = "masks"
conditions = "map.csv"
[[step]]
do = "measure"
plane = "mean"
[[step]]
do = "traces"
frame_rate = 10.0
[[step]]
do = "events"
detector = "threshold"
kind = "calcium"
[[step]]
do = "profiles"
min_cells = 1
normalise = "none"
features = ["area_px"]
"""


def test_masks_corrected_in_the_viewer_are_run_again(viewer: Any, tmp_path: Path, click: Any) -> None:
    """A well is clicked, a cell is filled away, the button pressed: cells, wells, traces and manifest follow."""
    rng = np.random.default_rng(0)
    for name in ("fields", "masks"):
        (tmp_path / name).mkdir()
    masks = np.zeros((40, 40), np.uint16)
    masks[5:15, 5:15], masks[25:35, 20:30] = 1, 2
    for well in ("A01", "A02"):
        movie = rng.normal(100, 1, (60, 40, 40)).astype(np.float32)
        movie[20:40, masks == 1] += 60 * np.exp(-np.arange(20) / 6)[:, None]
        tifffile.imwrite(tmp_path / "fields" / f"x_{well}.tif", movie, photometric="minisblack")
        tifffile.imwrite(tmp_path / "masks" / f"x_{well}_mask.tif", masks)
    (tmp_path / "map.csv").write_text("well,compound\nA1,dmso\nA2,x\n")
    (tmp_path / "recipe.toml").write_text(MOVIES)
    out = run_recipe(tmp_path / "recipe.toml", tmp_path / "out").out
    dock = ConditionsDock(viewer)
    viewer.window.add_dock_widget(dock, name="Conditions")
    again = next(one for one in dock.findChildren(QPushButton) if "Run again" in one.text())
    again.click()
    assert "Open the folder of a run" in dock.words.text()
    dock.control.open(out)
    dock.grid.cellClicked.emit(0, 1)
    assert [layer.data.shape for layer in viewer.layers] == [(60, 40, 40), (40, 40)], "time is no channel"
    labels, session = viewer.layers[-1], dock.session
    (uid,) = session.recordings
    assert "x_A02" in uid and session.recordings[uid].recording.labels.tolist() == [1, 2]
    assert len(session.events(uid)) == 1 and session.recordings[uid].recording.measured_on is not None
    viewer.layers.selection.active = labels
    labels.mode, labels.selected_label = "fill", 0
    QApplication.processEvents()  # the dock makes the canvas narrower
    click(viewer, (30, 25))
    assert np.unique(labels.data).tolist() == [0, 1]
    again.click()
    assert "x_A02.tif was corrected by hand: 3 rows of cells" in dock.words.text()
    cells = pd.read_parquet(out / "cells.parquet")
    assert cells.groupby("well")["label"].apply(list).to_dict() == {"A01": [1, 2], "A02": [1]}
    assert pd.read_parquet(out / "wells.parquet")["n_cells"].tolist() == [2, 1]
    dock.column.setCurrentText("n_cells")
    assert [dock.grid.item(0, c).text() for c in range(2)] == ["2", "1"], "the heat map follows"
    (uid,) = session.recordings
    assert session.recordings[uid].recording.labels.tolist() == [1], "and the traces"
    assert labels in viewer.layers, "the layer stays, and what was done on it can be undone"
    assert "corrected by hand" in pd.read_parquet(out / "conditions.parquet")["corrected"].tolist()
    dock.grid.cellClicked.emit(0, 0)
    dock.grid.cellClicked.emit(0, 1)
    assert np.unique(viewer.layers[-1].data).tolist() == [0, 1], "the corrected masks are shown again"


def test_hits_and_doses_of_the_wells_are_told_and_drawn(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    plate = simulate_plate(0, n_cells=120)
    (tmp_path / "run").mkdir()
    cells = plate.cells.rename(columns={"predicted": "class"}).drop(columns=[f"f{i}" for i in range(1, 12)])
    cells.insert(0, "file", cells["well"] + ".tif")
    cells.to_parquet(tmp_path / "run" / "cells.parquet")
    plate.plate_map.drop(columns="plate").to_csv(tmp_path / "map.csv", index=False)
    dock = ConditionsDock(viewer)
    viewer.window.add_dock_widget(dock, name="Conditions")
    dock.control.read_map(tmp_path / "map.csv")
    dock.control.opened = OpenedRun(tmp_path / "run", ())
    dock.control.profile()
    panel = dock.analyse_panel
    dock.tabs.setCurrentIndex(1)
    assert panel.analysis.name == "hits" and "the wells" in panel.summary.text()
    panel.set_value("value", "event_rate")
    qtbot.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    assert "comparisons are hits" in panel.summary.text() and len(panel.plots.items) == 1
    hit = {
        (panel.table.item(i, 0).text(), panel.table.item(i, 1).text()): panel.table.item(i, 11).text()
        for i in range(panel.table.rowCount())
    }
    assert panel.table.horizontalHeaderItem(11).text() == "hit" and len(hit) == 24
    assert all(hit[f"compound {k}", "31.25"] == "True" for k in (1, 2, 3))
    assert sum(hit["compound 4", dose] == "True" for _, dose in hit if _ == "compound 4") <= 1
    panel.choose("dose")
    panel.set_value("value", "event_rate")
    qtbot.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    assert "compound 1" in panel.summary.text() and "compound 4: no EC50" in panel.summary.text()
    dock.analysing.save(tmp_path / "dose.svg")
    assert "<svg" in (tmp_path / "dose.svg").read_text()


def test_vectors_of_compounds_stand_beside_what_was_measured(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    """A map with SMILES, wells with a value: chosen, computed, drawn, shown in the grid, saved."""
    pytest.importorskip("rdkit")
    from tests.conditions.test_treatments import chains

    wells = chains().assign(n_cells=50)
    wells[["well", "smiles"]].to_csv(tmp_path / "map.csv", index=False)
    dock = ConditionsDock(viewer)
    viewer.window.add_dock_widget(dock, name="Conditions")
    panel = dock.vectors_panel
    dock.tabs.setCurrentIndex(2)
    assert "Open a plate map with a column smiles" in panel.summary.text()
    qtbot.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    assert "Open a plate map" in notification_manager.records[-1].message
    dock.control.read_map(tmp_path / "map.csv")
    assert panel.summary.text() == "Works on the plate map."
    panel.set_value("vectors", "descriptors")
    qtbot.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    assert "24 different entries of smiles" in panel.summary.text() and len(panel.plots.items) == 1
    wells[["well", "area", "n_cells"]].head(40).to_parquet(tmp_path / "wells.parquet")
    (tmp_path / "x_A01.tif").touch()
    dock.control.open(tmp_path)
    dock.control.use_wells(pd.read_parquet(tmp_path / "wells.parquet"))
    assert panel.summary.text() == "Works on the wells." and panel.values["vectors"] == "descriptors"
    panel.set_value("value", "area")
    qtbot.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    assert "area: R2 0.9" in panel.summary.text() and len(panel.plots.items) == 2
    dock.column.setCurrentText("predicted")
    shown = [dock.grid.item(row, column) for row in (0, 3) for column in range(12)]
    assert all(item.text() for item in shown), "wells that were not measured have a prediction, too"
    assert shown[0].background().color() != shown[2].background().color()
    dock.grid.item(0, 0).setText("7")
    assert "predicted was computed" in dock.words.text()
    panel.set_value("with_vectors", True)
    qtbot.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    assert panel.table.columnCount() == 60, "all are saved, some are shown"
    dock.vectors.save(tmp_path / "out.csv")
    assert {"v0", "v200", "predicted_left_out"} <= set(pd.read_csv(tmp_path / "out.csv"))
    assert dock.vectors.command.startswith("napari-biofm treatments 'the wells' --vectors descriptors")


def test_a_file_or_a_folder_of_vectors_is_chosen_by_a_button(
    viewer: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "map.csv").write_text("well,compound\nA1,a\nA2,b\n")
    (tmp_path / "made.csv").write_text("id,x\na,1\nb,2\n")
    dock = ConditionsDock(viewer)
    viewer.window.add_dock_widget(dock, name="Conditions")
    dock.control.read_map(tmp_path / "map.csv")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "made.csv"), ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    panel = dock.vectors_panel
    buttons = {one.text(): one for one in panel.findChildren(QPushButton)}
    buttons["Folder ..."].click()
    qtbot.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    assert "config.json is missing" in notification_manager.records[-1].message
    first = next(one for one in panel.findChildren(QPushButton) if one.text() == "File ...")
    first.click()
    qtbot.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    assert panel.table.item(1, 1).text() == "b" and panel.table.item(1, 2).text() == "b"
