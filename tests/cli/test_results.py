"""Results are never replaced unasked and never shared by two images."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

import napari_biofm as biofm
from napari_biofm.cli import main
from napari_biofm.cli.results import MaskResults
from napari_biofm.images.io.masks import read_labels
from napari_biofm.images.train.examples import check_examples, hold_back, read_examples
from napari_biofm.simulate import simulate_field
from napari_biofm.simulate.files import write_abf
from napari_biofm.types import ImageError


def run(*args: Any) -> int:
    return main([str(a) for a in args])


@pytest.fixture
def twins(tmp_path: Path) -> Path:
    field = simulate_field((80, 90), 6, seed=2).image
    picture = (255 * (field / field.max())).astype(np.uint8)
    iio.imwrite(tmp_path / "a.png", picture)
    tifffile.imwrite(tmp_path / "a.tif", np.rot90(picture, 2).copy())
    return tmp_path


def segment(*args: Any) -> int:
    return run("segment", *args, "--model", "classical")


def test_twins_of_one_call_have_masks_of_their_own(twins: Path) -> None:
    assert segment(twins / "a.png", twins / "a.tif", "--out", twins / "o") == 0
    one, two = (read_labels(twins / "o" / f"{n}_mask.tif") for n in ("a.png", "a.tif"))
    assert not np.array_equal(one, two)
    rows = json.loads((twins / "o" / "report.json").read_text())["images"]
    assert [row["mask"] for row in rows] == ["a.png_mask.tif", "a.tif_mask.tif"]


def test_masks_that_exist_are_kept_unless_told(twins: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = twins / "o"
    assert segment(twins / "a.png", "--out", out) == 0
    before = (out / "a_mask.tif").read_bytes()
    assert segment(twins / "a.png", "--out", out) == 1
    assert "--force" in capsys.readouterr().err
    assert segment(twins / "a.png", "--out", out, "--resume") == 0
    assert "a_mask.tif exists and was kept" in capsys.readouterr().err
    assert segment(twins / "a.tif", "--out", out) == 0  # the twin of a later call has a name of its own
    assert (out / "a_mask.tif").read_bytes() == before
    rows = json.loads((out / "report.json").read_text())["images"]
    assert [row["mask"] for row in rows] == ["a_mask.tif", "a.tif_mask.tif"]
    assert segment(twins / "a.png", "--out", out, "--force") == 0
    rows = json.loads((out / "report.json").read_text())["images"]
    assert sorted(row["image"] for row in rows) == ["a.png", "a.tif"]


def test_masks_of_another_image_of_the_same_name_are_not_taken_for_done(
    twins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (twins / "x").mkdir()
    iio.imwrite(twins / "x" / "a.png", np.zeros((40, 40), np.uint8))
    assert segment(twins / "a.png", "--out", twins / "o") == 0
    assert segment(twins / "x" / "a.png", "--out", twins / "o", "--resume") == 1
    assert "another --out" in capsys.readouterr().err


def test_clicks_of_two_images_do_not_share_an_archive(twins: Path) -> None:
    (twins / "p.json").write_text(json.dumps([{"id": 3, "points": [[40, 45, 1]], "box": None}]))
    iio.imwrite(twins / "b.png", iio.imread(twins / "a.png"))
    out = twins / "o"
    click = ("--prompts", twins / "p.json", "--out", out, "--model", "level-sets")
    assert run("click", twins / "a.png", *click) == 0
    first = (out / "clicks.npz").read_bytes()
    assert run("click", twins / "b.png", *click) == 0
    assert run("click", twins / "a.png", *click) == 1
    assert run("click", twins / "a.png", *click, "--resume") == 0
    assert (out / "clicks.npz").read_bytes() == first
    with np.load(out / "b_clicks.npz") as held:
        assert held.files == ["3"] and held["3"].dtype == bool
    assert run("click", twins / "a.png", *click, "--force") == 0
    assert sorted(p.name for p in out.iterdir()) == [
        "a_clicks.tif", "b_clicks.npz", "b_clicks.tif", "clicks.npz",
    ]  # fmt: skip


def test_a_table_is_not_replaced_and_keeps_ids_of_any_size(twins: Path) -> None:
    import anndata

    masks = np.zeros((80, 90), np.uint32)
    masks[10:30, 10:30], masks[40:60, 40:60] = 3_000_000_001, 2_000_000_000
    tifffile.imwrite(twins / "m.tif", masks)
    call = (
        "embed",
        twins / "a.png",
        "--masks",
        twins / "m.tif",
        "--out",
        twins / "c.h5ad",
        "--model",
        "classical",
    )
    assert run(*call) == 0
    assert anndata.read_h5ad(twins / "c.h5ad").obs["label"].tolist() == [2_000_000_000, 3_000_000_001]
    assert run(*call) == 1
    assert run(*call, "--force") == 0


def test_examples_take_no_picture_for_masks_and_twins_stay_on_one_side(twins: Path) -> None:
    with pytest.raises(ImageError, match="has masks in"):
        read_examples(twins, twins)  # a.tif is no mask of a.png
    field = simulate_field((80, 90), 6, seed=2)
    for name in ("a.png", "a.tif", "b"):
        tifffile.imwrite(twins / f"{name}_labels.tif", field.masks.astype(np.float32))
    iio.imwrite(twins / "b.png", iio.imread(twins / "a.png"))  # a copy under another name
    iio.imwrite(twins / "c.png", np.rot90(iio.imread(twins / "a.png"), 2))
    tifffile.imwrite(twins / "c_labels.tif", field.masks)
    examples = read_examples(twins)
    assert [e.name for e in examples] == ["a.png", "a.tif", "b.png", "c.png"]
    assert len({e.origin for e in examples}) == 1  # c.png shows what a.tif shows
    iio.imwrite(twins / "c.png", np.flipud(iio.imread(twins / "a.png")))
    told = hold_back(check_examples(read_examples(twins)), 0.25)
    assert [e.held_back for e in told] == [False, False, False, True]


def test_a_picture_in_the_folder_of_masks_is_seen(twins: Path) -> None:
    (twins / "m").mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (80, 90)).astype(np.uint8)
    iio.imwrite(twins / "m" / "a.png", noise)
    (twins / "a.tif").unlink()
    with pytest.raises(ImageError, match="as a picture has"):
        check_examples(read_examples(twins, twins / "m"))


def test_idealize_writes_tables_of_dwells_and_amplitudes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    is_open = np.repeat(np.tile([0, 1], 200), np.maximum(rng.exponential(80, 400), 1).astype(int))
    signal = (-3 * is_open + 0.3 * rng.normal(size=len(is_open))).astype(np.float32)
    np.savez(tmp_path / "patch.npz", signal=signal, sampling_rate=10_000.0, unit="pA")
    out, tables = tmp_path / "ideal.npz", tmp_path / "tables"
    assert main(["idealize", str(tmp_path / "patch.npz"), "--out", str(out), "--tables", str(tables)]) == 0
    with np.load(out, allow_pickle=False) as file:
        assert np.mean(file["n_open"][0] == is_open) > 0.999
        assert file["levels"] == pytest.approx([0, -3], abs=0.05)
        assert set(file.files) >= {"baseline", "probability", "dead_time_s", "delay_s", "notes", "unit"}
    names = {path.name for path in tables.iterdir()}
    assert names == {
        f"patch_{name}.csv" for name in ("summary", "dwells", "open_dwells", "shut_dwells", "amplitudes")
    }
    as_table = tmp_path / "ideal.csv"
    assert main(["idealize", str(tmp_path / "patch.npz"), "--out", str(as_table)]) == 0
    with as_table.open() as text:
        rows = list(csv.DictReader(text))
    with np.load(out, allow_pickle=False) as file:
        assert [int(one["n_open"]) for one in rows] == file["n_open"][0].tolist()
    assert list(rows[0]) == ["sweep", "time_s", "n_open"] and rows[7]["time_s"] == "0.0007"
    with (tables / "patch_summary.csv").open() as file:
        row = next(csv.DictReader(file))
    assert row["n_channels"] == "1"
    assert float(row["open_probability"]) == pytest.approx(is_open.mean(), rel=0.02)


def test_rates_and_forecasts_are_written_by_the_ending_of_their_file(tmp_path: Path) -> None:
    dff = np.abs(np.random.default_rng(0).normal(0, 0.1, (2, 200))).astype(np.float32)
    np.savez(tmp_path / "cells.npz", labels=np.array([4, 9]), dff=dff, frame_rate=20.0)
    cells = str(tmp_path / "cells.npz")
    assert main(["rate", cells, "--out", str(tmp_path / "rate.npz")]) == 0
    assert main(["rate", cells, "--out", str(tmp_path / "rate.csv")]) == 0
    with (tmp_path / "rate.csv").open() as text, np.load(tmp_path / "rate.npz") as file:
        rows = list(csv.DictReader(text))
        assert list(rows[0]) == ["time_s", "rate_4", "low_4", "high_4", "rate_9", "low_9", "high_9"]
        np.testing.assert_allclose([float(one["rate_9"]) for one in rows], file["rate"][1], rtol=1e-5)
    forecast = ["forecast", cells, "--at", "5", "--horizon", "10", "--out"]
    assert main([*forecast, str(tmp_path / "ahead.csv")]) == 0
    with (tmp_path / "ahead.csv").open() as text:
        ahead = list(csv.DictReader(text))
    assert len(ahead) == 10 and next(iter(ahead[0])) == "time_s" and {"q0.05", "q0.95"} <= set(ahead[0])


@pytest.mark.parametrize("verb", ["idealize", "rate", "forecast", "what-if"])
def test_another_ending_is_refused_before_any_work(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "a.npz", signal=np.zeros(50, np.float32), sampling_rate=100.0, unit="pA")
    more = {"forecast": ["--at", "0.2", "--horizon", "5"], "what-if": ["--step", "10"]}.get(verb, [])
    out = tmp_path / "x.txt"
    assert main([verb, str(tmp_path / "a.npz"), *more, "--out", str(out)]) != 0
    assert "x.txt: this result is written as .npz or .csv" in capsys.readouterr().err
    assert not out.exists()


def test_what_if_writes_the_sweep_of_another_step(tmp_path: Path) -> None:
    command = np.zeros((5, 6000))
    command[:, 1000:5000] = np.arange(-40, 41, 20.0)[:, None]
    charge = 1 - np.exp(-np.arange(4000) / 10_000 / 0.02)
    volts = np.full((5, 6000), -70.0)
    volts[:, 1000:5000] += 0.1 * command[:, 1000:5000] * charge
    path = write_abf(tmp_path / "cell.abf", [volts, command], ["V", "command"], ["mV", "pA"], 10_000.0)
    assert run("what-if", path, "--step", "30", "--out", tmp_path / "one.npz") == 0
    with np.load(tmp_path / "one.npz", allow_pickle=False) as file:
        assert file["mean"].max() == pytest.approx(-67, abs=0.15)
        assert file["nearest_sweep"] in (3, 4) and file["command_unit"] == "pA"
        assert not file["counts"].any()
    table = biofm.analyse("what-if", path, step=30).table
    assert table["response_mV"].max() == pytest.approx(-67, abs=0.15) and not table["spikes"].any()
    assert run("what-if", path, "--step", "30", "--out", tmp_path / "one.csv") == 0
    header, *rows = (tmp_path / "one.csv").read_text().splitlines()
    assert header == "time_s,command_pA,response_mV,low_mV,high_mV,spikes" and len(rows) == len(
        table["time_s"]
    )
    assert run("what-if", path, "--step", "0", "--ramp-to", "30", "--out", tmp_path / "ramp.npz") == 0
    with np.load(tmp_path / "ramp.npz", allow_pickle=False) as file:
        ramp = biofm.analyse("what-if", path, step=0, ramp_to=30).table
        np.testing.assert_array_equal(file["command"], ramp["command_pA"])
    assert run("what-if", path, "--step", "30", "--start", "9", "--out", tmp_path / "no.npz") == 1
    assert not (tmp_path / "no.npz").exists()


def test_two_runs_into_one_folder_lose_no_masks_and_no_rows(twins: Path) -> None:
    tifffile.imwrite(twins / "b.tif", np.zeros((80, 90), np.uint8))
    out = twins / "o"
    runs = [MaskResults(out, [twins / name]) for name in ("a.png", "a.tif", "b.tif")]  # begun at once
    masks = [np.full((80, 90), n, np.int32) for n in (1, 2, 3)]
    runs[0].write(twins / "a.png", masks[0], force=False)
    with pytest.raises(ImageError, match=r"a_mask\.tif was written by another run meanwhile"):
        runs[1].write(twins / "a.tif", masks[1], force=False)
    runs[2].write(twins / "b.tif", masks[2], force=False)
    for run_, name in ((runs[0], "a.png"), (runs[2], "b.tif")):
        run_.write_report({"model": "m"}, [run_.row(twins / name)])
    rows = json.loads((out / "report.json").read_text())["images"]
    assert [row["mask"] for row in rows] == ["a_mask.tif", "b_mask.tif"]
    assert read_labels(out / "a_mask.tif").max() == 1
    assert sorted(one.name for one in out.iterdir()) == ["a_mask.tif", "b_mask.tif", "report.json"]
