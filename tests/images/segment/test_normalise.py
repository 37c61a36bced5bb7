"""Limits of contrast by percentiles: the same words for every model, told, and nothing changed where none are given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import napari_biofm as biofm
from napari_biofm.cli import main
from napari_biofm.images.io.normalization import as_rgb8, contrast_limits
from napari_biofm.images.prompt.sam import SAM
from napari_biofm.images.segment.cellpose_sam import CellposeSAM
from napari_biofm.images.segment.classical import to_grey
from napari_biofm.images.segment.embedded.input_planes import to_planes
from napari_biofm.images.tiling.blocks import limits_of
from napari_biofm.types import ImageError, SegmentationParameters, run_task


@pytest.fixture
def field() -> np.ndarray:
    """Four discs of which two are 20 times fainter, (120, 120) uint16."""
    y, x = np.mgrid[:120, :120]
    image = np.random.default_rng(0).normal(100, 3, y.shape)
    for cy, cx, bright in ((30, 30, 4000), (90, 90, 4000), (30, 90, 200), (90, 30, 200)):
        image += bright * np.clip(1.5 - np.hypot(y - cy, x - cx) / 10, 0, 1)
    return image.astype(np.uint16)


def test_the_models_own_percentiles_change_nothing(field: np.ndarray) -> None:
    np.testing.assert_array_equal(to_planes(field), to_planes(field, percentiles=(1.0, 99.8)))
    np.testing.assert_array_equal(to_grey(field), to_grey(field, (1.0, 99.8)))
    np.testing.assert_array_equal(as_rgb8(field), as_rgb8(field, percentiles=(0.1, 99.9)))
    for model in ("biofm-image", "classical"):
        usual, given = (biofm.segment(field, model=model, normalise=n) for n in (None, (1, 99.8)))
        np.testing.assert_array_equal(usual.masks, given.masks)
        assert usual.masks.any()


def test_percentiles_are_those_of_each_channel(field: np.ndarray) -> None:
    two = np.stack([field, 10 * field], -1).astype(np.float32)
    limits = contrast_limits(two, (5, 90))
    np.testing.assert_allclose(limits, np.percentile(two, (5, 90), axis=(0, 1)).T)
    shown = as_rgb8(field.astype(np.uint8), percentiles=(0, 100))
    assert shown.min() == 0 and shown.max() == 255


def test_a_lower_upper_percentile_shows_faint_cells(field: np.ndarray) -> None:
    usual = to_planes(field)[0]
    bright = to_planes(field, percentiles=(1, 90))[0]
    faint = (slice(25, 35), slice(85, 95))
    assert bright[faint].mean() > 4 * usual[faint].mean()
    found = biofm.segment(field, model="classical", normalise=(1, 90), least_contrast=0).masks
    assert found.max() == 4 > biofm.segment(field, model="classical", least_contrast=0).masks.max()


@pytest.mark.parametrize("mode", [None, "stitch"])
def test_cellpose_takes_them_for_planes_stacks_and_blocks(
    small_vit: Any, cpsam_weights: Path, blobs: np.ndarray, mode: Any
) -> None:
    model = CellposeSAM(cpsam_weights, "cpu", dtype="float32", keep_features=False)
    parameters = SegmentationParameters(normalise=(2, 95))
    limits = np.percentile(blobs, (2, 95)).reshape(1, 2)
    plain = SegmentationParameters()
    if mode is None:
        found = run_task(model.segment(blobs, parameters))
        wanted = run_task(model.segment(blobs, plain, limits=limits))
    else:
        found = run_task(model.segment_stack(np.stack([blobs] * 2), parameters, mode))
        wanted = run_task(model.segment_stack(np.stack([blobs] * 2), plain, mode, limits=limits))
    np.testing.assert_array_equal(found.flows, wanted.flows)
    assert found.provenance["parameters"]["normalise"] == (2.0, 95.0)
    np.testing.assert_allclose(limits_of(blobs, 2, 95), limits)
    again = model.remask(found, SegmentationParameters(min_size=30))  # the network did not run again
    assert again.provenance["parameters"]["normalise"] == (2.0, 95.0)


def test_segment_anything_sees_them(
    sam_weights: Path, field: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, seen = SAM(sam_weights, "cpu", dtype="float32"), []
    monkeypatch.setattr(model, "_prepare", lambda pixels, viewport: seen.append(pixels) or iter(()))
    with pytest.raises(AttributeError):
        run_task(model.segment(field, SegmentationParameters(normalise=(1, 90))))
    np.testing.assert_array_equal(seen[0], as_rgb8(field, percentiles=(1, 90)))


@pytest.mark.parametrize(
    "bad", [(99, 1), (1, 101), (-1, 99), (1,), (1, 2, 3), (5, 5), ("a", "b"), (np.nan, 99)]
)
def test_what_are_no_percentiles_is_said(bad: Any) -> None:
    with pytest.raises(ImageError, match="0 <= low < high <= 100"):
        SegmentationParameters(normalise=bad)
    assert SegmentationParameters(normalise=[1, 99]).normalise == (1.0, 99.0)  # type: ignore[arg-type]


def test_the_command_line_and_recipes_take_them_and_the_report_tells(
    field: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tifffile.imwrite(tmp_path / "field.tif", field)
    call = ["segment", str(tmp_path / "field.tif"), "--model", "classical", "--least-contrast", "0"]
    assert main([*call, "--out", str(tmp_path / "out"), "--normalise", "1", "90"]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["parameters"]["normalise"] == [1.0, 90.0]
    masks = tifffile.imread(tmp_path / "out" / "field_mask.tif")
    assert masks.max() == 4
    assert main([*call, "--out", str(tmp_path / "usual")]) == 0
    assert json.loads((tmp_path / "usual" / "report.json").read_text())["parameters"]["normalise"] is None
    capsys.readouterr()
    assert main([*call, "--out", str(tmp_path / "bad"), "--normalise", "90", "1"]) == 1
    assert "0 <= low < high <= 100" in capsys.readouterr().err

    step = "do='segment', model='classical', least_contrast=0, normalise={}"
    run = ["run", "--images", str(tmp_path / "field.tif"), "--out", str(tmp_path / "run")]
    assert main([*run, "--step", step.format("[1]")]) == 1
    assert "normalise = [1]: give 2 numbers" in capsys.readouterr().err
    assert main([*run, "--step", step.format("[1, 90]")]) == 0
    (made,) = (tmp_path / "run").rglob("*mask*.tif")
    np.testing.assert_array_equal(tifffile.imread(made), masks)
