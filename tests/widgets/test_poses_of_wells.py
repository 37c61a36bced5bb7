"""A click on a well shows the best pose of its compound beside the field of the well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QPushButton
from tests.conditions.test_poses import _ligand, _moved, _receptor, _sdf
from tests.widgets.test_conditions_dock import make_run

from napari_biofm.widgets.conditions.dock import ConditionsDock

pytest.importorskip("rdkit")
pytest.importorskip("posebusters")


def _click(dock: ConditionsDock, row: int, column: int, qtbot: Any) -> None:
    where = dock.grid.visualItemRect(dock.grid.item(row, column)).center()
    qtbot.mouseClick(dock.grid.viewport(), Qt.MouseButton.LeftButton, pos=where)


def test_the_best_pose_stands_beside_the_field_of_its_well(
    viewer: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    poses = tmp_path / "poses"
    poses.mkdir()
    _receptor(poses / "receptor.pdb")
    one = _ligand("Cc1ccc(C(=O)O)cc1")
    for rank, confidence, by in (
        (1, 0.71, (9.0, 0, 0)),
        (2, -0.53, (0.0, 0, 0)),
    ):  # the first stands in the receptor
        _sdf(poses / "X" / f"rank{rank}_confidence{confidence:.2f}.sdf", _moved(one, by))
    dock = ConditionsDock(viewer)
    viewer.window.add_dock_widget(dock, name="Conditions")
    dock.control.open(make_run(tmp_path))
    dock.control.read_map(tmp_path / "map.csv")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(poses))
    button = next(one for one in dock.findChildren(QPushButton) if one.text() == "Open poses ...")
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert "Poses of 1 compounds: X" in dock.words.text()
    _click(dock, 0, 2, qtbot)  # compound x
    field, cells, pocket, bonds, atoms = viewer.layers
    assert (field.name, pocket.name) == ("A03 x_A03.tif", "pocket of X rank 2"), (
        "the first hits the wall of its receptor"
    )
    assert [type(layer).__name__ for layer in (pocket, bonds, atoms)] == ["Surface", "Vectors", "Points"]
    assert viewer.dims.ndisplay == 3 and viewer.layers.selection.active is cells
    assert "3 cells" in dock.words.text() and "rank 2, in receptor.pdb" in dock.words.text()
    right, bottom = field.extent.world[1][1], field.extent.world[1][0]
    for layer in (pocket, atoms):
        low, high = layer.extent.world[:, -2:]
        assert low[1] > right and low[0] > -1 and high[0] < bottom + 1, "beside the field, no higher than it"
    scale = atoms.metadata["world_per_angstrom"]
    distances = np.linalg.norm(np.diff(atoms.data, axis=0), axis=1)
    seen = np.array([atoms.data_to_world(at) for at in atoms.data])
    np.testing.assert_allclose(np.linalg.norm(np.diff(seen, axis=0), axis=1), scale * distances, rtol=1e-6)
    viewer.dims.ndisplay = 2
    _click(dock, 0, 3, qtbot)
    assert len(viewer.layers) == 5 and viewer.layers[0].name == "A04 x_A04.tif", "the former ones make way"
    assert viewer.dims.ndisplay == 2, "only the first pose turns the view"
    _click(dock, 0, 0, qtbot)
    assert len(viewer.layers) == 2 and "dmso has no pose" in dock.words.text()


def test_a_well_without_a_field_shows_its_pose_alone_and_a_folder_without_poses_is_told(
    viewer: Any, qtbot: Any, tmp_path: Path
) -> None:
    (tmp_path / "poses").mkdir()
    (tmp_path / "map.csv").write_text("well,compound\nA1,tolyl\nA2,x\n")
    dock = ConditionsDock(viewer)
    viewer.window.add_dock_widget(dock, name="Conditions")
    dock.control.read_map(tmp_path / "map.csv")
    told: list[str] = []
    monkey = dock.tell_error
    dock.tell_error = lambda error: told.append(str(error))  # type: ignore[method-assign]
    dock.control.open_poses(tmp_path / "poses")
    dock.tell_error = monkey  # type: ignore[method-assign]
    assert told and "poses" in told[0]
    _sdf(tmp_path / "poses" / "tolyl.sdf", _ligand("Cc1ccc(C(=O)O)cc1"))
    dock.control.open_poses(tmp_path / "poses")
    _click(dock, 0, 0, qtbot)
    assert [type(layer).__name__ for layer in viewer.layers] == ["Vectors", "Points"]
    assert "no receptor beside it" in dock.words.text() and viewer.dims.ndisplay == 3
