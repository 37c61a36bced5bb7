"""What was done by hand runs again: as a saved recipe, as a line for a terminal, as Python; all three the same."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_biofm.batch.draft import Draft
from napari_biofm.batch.run import run_recipe
from napari_biofm.cli import main
from napari_biofm.controllers.common.recipes import made_from, measure_steps, segmentation_steps
from napari_biofm.session import Session
from napari_biofm.types import BatchError, Segmentation


@pytest.fixture
def signal(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    trace = rng.normal(0, 1, 5000)
    for at in range(500, 5000, 900):
        trace[at : at + 300] -= 40 * np.exp(-np.arange(300) / 40)[: len(trace[at : at + 300])]
    folder = tmp_path / "a b's"
    folder.mkdir()
    path = folder / "cell 1.npz"
    np.savez(path, signal=trace, sampling_rate=10_000.0, unit="pA")
    return path


def test_the_file_the_line_and_the_python_give_one_table(signal: Path, tmp_path: Path, monkeypatch) -> None:
    step = {"detector": "threshold", "kind": "psc", "options": {"sigma": 4.0}, "channel": [0]}
    filters = {"lowpass": 2000.0}
    draft = Draft(recordings=(signal,), steps=(("events", {**step, "filters": filters}),))
    saved = run_recipe(draft.save(tmp_path / "saved.toml"))
    monkeypatch.chdir(tmp_path)
    _, *words = shlex.split(draft.command())
    assert main(words) == 0
    (tmp_path / "results").rename(tmp_path / "by_line")
    exec(draft.python(), {})
    tables = [
        pd.read_parquet(out / "events.parquet") for out in (saved.out, Path("by_line"), Path("results"))
    ]
    assert len(tables[0]) == 5
    for other in tables[1:]:
        for name in set(other) - {"item"}:  # its name follows the place of the recipe
            pd.testing.assert_series_equal(other[name], tables[0][name], check_exact=True)


def test_what_lies_beside_has_to_be_saved_first(tmp_path: Path) -> None:
    draft = Draft(steps=(("measure", {}),), beside={"images/a.tif": print, "masks/a_mask.tif": print})
    with pytest.raises(
        BatchError, match="files that are not on the disk yet .images, masks.: save the recipe"
    ):
        draft.command()
    assert draft.command(tmp_path / "x.toml").startswith("napari-biofm run ")
    with pytest.raises(BatchError, match="Nothing was done"):
        Draft().both()


@pytest.mark.parametrize("corrected", [False, True])
def test_masks_corrected_by_hand_lie_beside_the_recipe(tmp_path: Path, corrected: bool) -> None:
    from napari.components import ViewerModel

    rng = np.random.default_rng(1)
    masks = np.zeros((40, 40), np.int32)
    masks[5:15, 5:15], masks[20:32, 20:30] = 1, 2
    tifffile.imwrite(
        tmp_path / "field.tif", (90 * (masks > 0) + rng.integers(0, 9, masks.shape)).astype(np.uint8)
    )
    viewer, session = ViewerModel(), Session()
    image = viewer.add_image(tifffile.imread(tmp_path / "field.tif"), name="the field")
    if not corrected:
        image.metadata["path"] = str(tmp_path / "field.tif")
    labels = viewer.add_labels(masks.copy(), name="cells")
    made = {
        "choice": "biofm-image",
        "parameters": {"min_size": 9},
        "made_from": made_from(image, "shown plane", []),
    }
    session.set_segmentation(str(labels.unique_id), Segmentation(masks, provenance=made))
    if corrected:
        labels.data[22:24, 5:15] = 3
    draft = segmentation_steps(viewer, session, str(labels.unique_id))
    if not corrected:
        assert draft.steps == (("segment", {"min_size": 9, "model": "biofm-image"}),) and not draft.beside
        return
    assert sorted(draft.beside) == ["images/the field.tif", "masks/the field_mask.tif"]
    measured = measure_steps(draft, [(image, ())], (0.5, 0.5), ["calcium"])
    recipe = measured.save(tmp_path / "by hand.toml")
    assert "corrected by hand" in recipe.read_text(encoding="utf-8")
    cells = pd.read_parquet(run_recipe(recipe).out / "cells.parquet")
    assert cells["area_px"].tolist() == [100, 120, 20] and cells["area_um2"].tolist() == [25, 30, 5]
    assert cells["calcium_mean"][2] == np.asarray(image.data)[22:24, 5:15].mean()
