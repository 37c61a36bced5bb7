"""Masks of a run corrected by hand: only that item is done again, tables, report and manifest follow, and it lasts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from tests.batch.test_run import project, tables

import napari_biofm as biofm
from napari_biofm.batch.correct import corrected_items
from napari_biofm.batch.manifest import Manifest
from napari_biofm.batch.opened import OpenedRun
from napari_biofm.batch.recipe import Recipe
from napari_biofm.cli import main
from napari_biofm.types import BatchError

__all__ = ["project"]


@pytest.fixture
def run(project: Path) -> Path:
    """A finished run of six fields with 0 to 5 cells, and two recordings."""
    return biofm.run_recipe(project / "recipe.toml", project / "out").out


def corrected(project: Path) -> np.ndarray:
    """The masks of the field with three cells, one of them deleted and another one added."""
    masks = tifffile.imread(project / "masks" / "f_A04_mask.tif")
    masks[masks == 2] = 0
    masks[30:40, 30:44] = 9
    return masks


def test_only_what_depends_on_the_masks_is_done_again(project: Path, run: Path) -> None:
    before = tables(run)
    stamps = {path: path.stat().st_mtime_ns for path in run.glob("items/*/done.json")}
    result = biofm.correct_masks(run, "f_A04.tif", corrected(project))
    assert not result.problems and len(result.rows) == 10 and result.kept == 9
    changed = [path.parent.name for path, stamp in stamps.items() if path.stat().st_mtime_ns != stamp]
    (key,) = changed
    assert key.startswith("fields_f_A04")
    after = tables(run)
    mine = after["cells"][after["cells"]["item"] == key]
    assert mine["label"].tolist() == [1, 3, 9] and mine["area_px"].tolist()[-1] == 140
    pd.testing.assert_frame_equal(
        before["cells"][before["cells"]["item"] != key], after["cells"][after["cells"]["item"] != key]
    )
    pd.testing.assert_frame_equal(before["events"], after["events"])
    rows = {row["key"]: row for row in Manifest(run).rows()}
    assert [k for k, row in rows.items() if row["corrected"] == "corrected by hand"] == [key]
    assert rows[key]["objects"] == 3 and len(rows) == 10
    conditions = after["conditions"].set_index("item")
    assert conditions.loc[key, "corrected"] == "corrected by hand" and conditions.loc[key, "objects"] == 3
    assert conditions.drop(index=key)["corrected"].isna().all()
    assert "Masks corrected by hand" in (run / "report.html").read_text()
    field = next(one for one in OpenedRun.open(run).fields if one.key == key)
    np.testing.assert_array_equal(tifffile.imread(field.masks), corrected(project))
    given = tifffile.imread(project / "masks" / "f_A04_mask.tif")
    assert 2 in given and 9 not in given, "masks that the run was given are not touched"


def test_a_correction_lasts_and_can_be_taken_back(project: Path, run: Path) -> None:
    before = tables(run)["cells"]
    biofm.correct_masks(run, "f_A04.tif", corrected(project))
    after = tables(run)["cells"]
    again = biofm.run_recipe(project / "recipe.toml", run, resume=True)
    assert again.kept == 8, "the two broken files are tried again, all others stay"
    pd.testing.assert_frame_equal(tables(run)["cells"], after)
    anew = biofm.run_recipe(project / "recipe.toml", run, force=True)
    assert "1 items have masks corrected by hand" in anew.notes[0]
    pd.testing.assert_frame_equal(tables(run)["cells"], after)
    assert [key[:12] for key in corrected_items(run)] == ["fields_f_A04"]
    biofm.undo_correction(run, "f_A04.tif")
    pd.testing.assert_frame_equal(tables(run)["cells"], before)
    assert not corrected_items(run) and not any(row["corrected"] for row in Manifest(run).rows())
    with pytest.raises(BatchError, match="were not corrected"):
        biofm.undo_correction(run, "f_A04.tif")


def test_what_cannot_be_corrected_is_told_and_changes_nothing(
    project: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in run.glob("*.parquet")}
    with pytest.raises(BatchError, match="did you mean 'f_A04.tif'"):
        biofm.correct_masks(run, "f_A4.tif", corrected(project))
    with pytest.raises(BatchError, match="corrected ones \\(9, 9\\)"):
        biofm.correct_masks(run, "f_A04.tif", np.ones((9, 9), int))
    with pytest.raises(BatchError, match="whole numbers"):
        biofm.correct_masks(run, "f_A04.tif", corrected(project).astype(float))
    with pytest.raises(BatchError, match="holds no finished run"):
        biofm.correct_masks(project, "f_A04.tif", corrected(project))
    monkeypatch.setattr("napari_biofm.batch.work.write_results", lambda *_: 1 / 0)
    with pytest.raises(BatchError, match="ZeroDivisionError"):
        biofm.correct_masks(run, "f_A04.tif", corrected(project))
    assert not corrected_items(run)
    assert {path: path.read_bytes() for path in run.glob("*.parquet")} == before


def test_the_verb_corrects_lists_and_undoes(
    project: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tifffile.imwrite(project / "mine.tif", corrected(project))
    words = ["correct", str(run), "--item", "f_A04.tif"]
    assert main([*words, "--masks", str(project / "mine.tif"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tables"]["cells"] == 15
    assert main(["correct", str(run), "--list"]) == 0
    assert capsys.readouterr().out.startswith("fields_f_A04")
    assert main([*words, "--undo"]) == 0
    assert main([*words, "--undo"]) == 1 and "were not corrected" in capsys.readouterr().err


def test_a_recipe_in_the_folder_of_a_run_still_finds_its_files(project: Path, run: Path) -> None:
    kept = Recipe.read(run / "recipe.toml")
    assert kept.folder == project and kept.images == ("fields/*.tif",)
    again = biofm.run_recipe(run / "recipe.toml", project / "again")
    assert len(again.rows) == 10
    pd.testing.assert_frame_equal(tables(project / "again")["cells"], tables(run)["cells"])
