"""Which model for my image: agreement between models, and their outlines side by side."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_biofm as biofm
from napari_biofm.cli import main
from napari_biofm.images.segment import agreement
from napari_biofm.images.segment.agreement import GAP, compare_models, f1_of, panels
from napari_biofm.simulate import simulate_field
from napari_biofm.types import ImageError, ModelError, SegmentationParameters, run_task


def squares(*corners: tuple[int, int]) -> np.ndarray:
    masks = np.zeros((40, 40), np.int32)
    for number, (y, x) in enumerate(corners, 1):
        masks[y : y + 8, x : x + 8] = number
    return masks


def test_f1_counts_cells_that_overlap_by_half() -> None:
    three, two = squares((0, 0), (0, 20), (20, 20)), squares((20, 20), (0, 1))
    assert f1_of(three, two) == pytest.approx(2 * 2 / 5)
    assert f1_of(squares(), squares()) == 1 and f1_of(three, squares()) == 0


def test_the_model_that_agrees_most_comes_first_and_one_that_fails_stops_no_other() -> None:
    found = {
        "a": (squares((0, 0)), 1.0),
        "b": (squares((0, 0), (0, 20)), 2.0),
        "c": (squares((0, 1), (0, 20), (20, 0)), 3.0),
    }
    compared = agreement._compared(found, {"d": "no memory"})
    assert [one.name for one in compared.results] == ["b", "c", "a"]
    assert compared.between[0, 1] == pytest.approx(2 * 2 / 5) and compared.between[0, 2] == pytest.approx(
        2 / 3
    )
    assert compared.results[0].agreement == pytest.approx((2 / 3 + 0.8) / 2)
    assert compared.results[0].diameter == pytest.approx(2 * np.sqrt(64 / np.pi))
    assert compared.describe()[-1] == "d: failed (no memory)"
    shown = panels(np.zeros((40, 40)), compared)
    assert shown.shape == (40, 3 * 40 + 2 * GAP, 3)
    assert tuple(shown[7, 3]) == agreement.COLOUR and tuple(shown[3, 3]) != agreement.COLOUR


def test_models_run_on_one_image_by_function_and_verb(tmp_path: Path) -> None:
    image = simulate_field((128, 128), 8, seed=3).image
    compared = biofm.which_model(image, models=["classical", "biofm-image", "no-such-model"])
    assert {one.name for one in compared.results} == {"classical", "biofm-image"}
    assert "no-such-model" in compared.failed
    assert compared.results[0].agreement > 0.5
    tifffile.imwrite(tmp_path / "field.tif", image.astype(np.float32))
    command = ["which-model", str(tmp_path / "field.tif"), "--models", "classical,biofm-image", "--out"]
    assert main([*command, str(tmp_path / "out"), "--region", "10,0,110,128"]) == 0
    with (tmp_path / "out" / "field_models.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["model"] for row in rows} == {"classical", "biofm-image"}
    assert float(rows[0]["agreement"]) == pytest.approx(float(rows[1]["agreement"]))
    assert (tmp_path / "out" / "field_models.png").exists()
    masks = biofm.read_masks(tmp_path / "out" / "field_classical_mask.tif")
    assert masks.shape == (100, 128) and masks.max() == int(
        next(row["cells"] for row in rows if row["model"] == "classical")
    )
    assert main([*command, str(tmp_path / "out")]) != 0  # nothing is replaced unasked


def test_stacks_regions_off_the_image_and_no_model_at_all_are_refused() -> None:
    with pytest.raises(ImageError, match="plane"):
        run_task(compare_models(np.zeros((4, 20, 30)), SegmentationParameters(), ["classical"]))
    with pytest.raises(ModelError, match="no-such"):
        run_task(compare_models(np.eye(20), SegmentationParameters(), ["no-such"]))
    with pytest.raises(ImageError, match="region"):
        biofm.which_model(np.eye(20), models=["classical"], region=(0, 0, 30, 30))
