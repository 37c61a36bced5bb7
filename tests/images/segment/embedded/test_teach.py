"""A copy of the embedded model learns from another model or from masks, and is chosen by its name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_biofm import cli
from napari_biofm.images.segment.catalogue import make_model
from napari_biofm.images.train.examples import Example
from napari_biofm.images.train.teaching import TeachSettings, teach_job, teacher_named
from napari_biofm.models import store
from napari_biofm.types import ModelError, run_task


@pytest.fixture
def folder(tmp_path: Path, discs, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three pictures of discs, with masks in `labels`."""
    monkeypatch.setenv("NAPARI_BIOFM_MODELS", str(tmp_path / "models"))
    image, masks = discs
    (tmp_path / "pictures/labels").mkdir(parents=True)
    for k in range(3):
        tifffile.imwrite(tmp_path / f"pictures/{k}.tif", np.roll(image, 5 * k, 1))
        tifffile.imwrite(tmp_path / f"pictures/labels/{k}_labels.tif", np.roll(masks, 5 * k, 1))
    return tmp_path / "pictures"


def teach(folder: Path, base: Path, *more: str) -> int:
    words = ["train", "image", str(folder), "--base", str(base), "--steps", "4", "--batch", "2", *more]
    return cli.main([*words, "--device", "cpu"])


@pytest.mark.parametrize("source", ["teacher", "masks"])
def test_the_command_makes_a_model_that_is_found_by_name(
    source: str, folder: Path, random_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--teacher", "classical"] if source == "teacher" else ["--masks", str(folder / "labels")]
    report = folder.parent / "report.json"
    assert teach(folder, random_weights, "--name", "mine", "--out", str(report), *words) == 0
    told = json.loads(report.read_text())
    assert told["learnt_from"] == ["0.tif", "1.tif"] and told["held_back"] == ["2.tif"]
    assert told["base_sha256"] == store.sha256_of(random_weights)
    assert {*told["before"]} == {*told["after"]} == {"ap50", "ap"}
    assert "before" in capsys.readouterr().err
    own = store.imported_models()["mine"]
    assert own.family == "embedded" and str(own.path) == told["path"]
    assert own.sha256 != told["base_sha256"]
    mine = make_model("mine", "cpu")
    assert mine.weights_sha256 == own.sha256
    assert run_task(mine.segment(tifffile.imread(folder / "0.tif"))).masks.shape == (150, 200)
    assert teach(folder, random_weights, "--name", "mine", *words) == 1
    assert "exists already" in capsys.readouterr().err


def test_an_untrained_cellpose_sam_is_asked_as_teacher_and_finds_nothing(
    cpsam_weights: Path, small_vit: None, random_weights: Path, folder: Path, discs
) -> None:
    teacher = teacher_named(str(cpsam_weights), "cpu")
    examples = [Example(discs[0], np.zeros_like(discs[1]), f"{k}") for k in range(2)]
    with pytest.raises(ModelError, match=f"{re.escape(teacher.name)} found no cells in 2 images"):
        run_task(teach_job(examples, "noise", teacher, TeachSettings(2, 1), random_weights))


def test_bad_wishes_are_refused_before_any_work(folder: Path, random_weights: Path, discs) -> None:
    one = [Example(discs[0], discs[1], "one")]
    with pytest.raises(ModelError, match="0 steps of 4 crops"):
        run_task(teach_job(one, "x", None, TeachSettings(0), random_weights))
    with pytest.raises(ModelError, match="found no cells in 1 images"):
        run_task(teach_job([Example(discs[0], discs[1] * 0, "one")], "x", None, None, random_weights))
    with pytest.raises(ModelError, match="cannot be the name"):
        run_task(teach_job(one, "a/b", None, None, random_weights))


def test_weights_without_their_description_are_refused(tmp_path: Path, random_weights: Path) -> None:
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes(random_weights.read_bytes())
    with pytest.raises(ModelError, match=r"alone\.json is missing"):
        store.import_model(alone, "alone", tmp_path)
