"""The command line: files that are whole, one clear line on failure, the same twice."""

from __future__ import annotations

import csv
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from tests.images.segment.test_classical import matched

import napari_biofm as biofm
from napari_biofm import __version__
from napari_biofm.cli import build_parser, main
from napari_biofm.cli.common import atomic_write
from napari_biofm.signals import read_recording
from napari_biofm.simulate import simulate_corecording, simulate_field, voltage_clamp, write_corecording


def run(*args: Any) -> int:
    return main([str(a) for a in args])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    data = simulate_corecording((96, 96), n_cells=8, n_frames=60, sampling_rate=10_000, seed=5)
    return write_corecording(tmp_path_factory.mktemp("co"), data)


def test_segment_writes_masks_of_the_image_s_shape_and_a_report(tmp_path: Path) -> None:
    field = simulate_field((150, 170), 15, crowding=-0.5, seed=0)
    tifffile.imwrite(tmp_path / "a.tif", field.image)
    np.save(tmp_path / "b.npy", np.zeros((40, 50), np.uint8))
    assert (
        run(
            "segment", tmp_path / "a.tif", tmp_path / "b.npy", "--out", tmp_path / "o", "--model", "classical"
        )
        == 0
    )
    mask = tifffile.imread(tmp_path / "o" / "a_mask.tif")
    assert matched(mask.astype(int), field.masks) > 0.9
    assert tifffile.imread(tmp_path / "o" / "b_mask.tif").shape == (40, 50)
    report = json.loads((tmp_path / "o" / "report.json").read_text())
    assert {"model", "weights_sha256", "device", "images"} <= set(report)
    assert [set(r) >= {"seconds", "objects", "peak_memory_mb"} for r in report["images"]] == [True, True]
    assert report["images"][1]["objects"] == 0


def test_the_same_call_twice_gives_the_same_files(tmp_path: Path, files: dict[str, Path]) -> None:
    for out in ("one", "two"):
        assert run("segment", files["field"], "--out", tmp_path / out, "--model", "classical") == 0
        assert (
            run(
                "events", files["voltage_clamp"], "--out", tmp_path / out / "e.csv", "--detector", "threshold"
            )
            == 0
        )
    for name in ("field_mask.tif", "e.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_bad_image_among_good_ones_costs_only_itself(
    tmp_path: Path, files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.tif"
    bad.touch()
    assert run("segment", files["field"], bad, "--out", tmp_path, "--model", "classical") == 1
    assert (tmp_path / "field_mask.tif").exists()
    assert json.loads((tmp_path / "report.json").read_text())["failed"]
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "bad.tif is empty (0 bytes)" in last


def test_events_of_any_array_and_recording(tmp_path: Path, files: dict[str, Path]) -> None:
    trace = voltage_clamp(10.0, seed=1)
    np.savez(tmp_path / "t.npz", signal=trace.values, sampling_rate=trace.sampling_rate, unit="pA")
    for source in (tmp_path / "t.npz", files["current_clamp"]):
        assert run("events", source, "--out", tmp_path / "e.csv", "--detector", "threshold") == 0
        with (tmp_path / "e.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert rows
        assert list(rows[0])[:9] == [
            "sweep",
            "channel",
            "time_s",
            "class",
            "score",
            "amplitude",
            "unit",
            "rise_s",
            "decay_s",
        ]
    assert {row["class"] for row in rows} == {"AP"}


def test_traces_have_the_keys_of_the_contract(tmp_path: Path, files: dict[str, Path]) -> None:
    assert run("traces", files["movie"], "--masks", files["masks"], "--out", tmp_path / "t.npz") == 0
    with np.load(tmp_path / "t.npz") as found:
        assert {"labels", "dff", "raw", "neuropil", "frame_rate"} <= set(found.files)
        assert found["dff"].shape == (len(found["labels"]), 60)
        assert float(found["frame_rate"]) == pytest.approx(20.0)
    recording = read_recording(tmp_path / "t.npz")
    assert recording.is_cells


def test_embed_gives_one_row_per_label(tmp_path: Path, files: dict[str, Path]) -> None:
    import anndata

    out = tmp_path / "cells.h5ad"
    assert run("embed", files["field"], "--masks", files["masks"], "--out", out, "--model", "classical") == 0
    table = anndata.read_h5ad(out)
    labels = np.unique(tifffile.imread(files["masks"]))[1:]
    assert table.obs["label"].tolist() == labels.tolist()
    assert np.isfinite(table.X).all()
    assert table.X.shape[1] > 10


def test_info_tells_what_is_inside(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", files["current_clamp"], "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [c["unit"] for c in found["channels"]] == ["mV", "pA", "V"]
    assert run("info", files["current_clamp"]) == 0
    assert "channel 2: Frames [V] at 10000 Hz" in capsys.readouterr().out


def test_models_are_listed_with_licence_and_presence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "list", "--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["biofm-image"]["default"]
    assert "CC-BY-NC" in rows["cpsam"]["licence"]


def test_the_doctor_finds_this_machine_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["problems"] == []
    assert "cpu" in report["devices"]
    assert "physio.safetensors" in report["model"] and "processes" in report["cluster"]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (("segment", "absent.tif", "--out", "{tmp}"), "absent.tif does not exist"),
        (("segment", "{field}", "--out", "{tmp}", "--model", "nobody"), "nobody"),
        (("events", "{empty}", "--out", "{tmp}/e.csv"), "empty.abf"),
        (("events", "{cc}", "--out", "{tmp}/e.csv", "--channel", "9"), "channel 9"),
        (("traces", "{field}", "--masks", "{masks}", "--out", "{tmp}/t.npz"), "a movie is"),
        (("embed", "{movie}", "--masks", "{masks}", "--out", "{tmp}/c.h5ad"), "shape"),
        (("segment", "{field}", "--out", "{field}/below"), "field.ome.tif"),
    ],
)
def test_a_failure_is_one_clear_line(
    call: tuple[str, ...],
    words: str,
    tmp_path: Path,
    files: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty.abf").touch()
    names = {
        "tmp": tmp_path,
        "empty": tmp_path / "empty.abf",
        "cc": files["current_clamp"],
        **{k: files[k] for k in ("field", "masks", "movie")},
    }
    assert run(*(part.format(**names) for part in call)) != 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("napari-biofm:")]
    assert len(lines) == 1
    assert words in lines[0]


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("former")

    def break_off() -> None:
        with atomic_write(target) as temporary:
            temporary.write_text("half")
            raise ValueError("power cut")

    with pytest.raises(ValueError, match="power cut"):
        break_off()
    assert target.read_text() == "former"
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]


def test_every_verb_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["--help"])
    text = capsys.readouterr().out
    for verb in ("segment", "embed", "traces", "events", "info", "models", "doctor"):
        assert verb in text


def test_without_a_screen_the_demo_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["demo"]) == 1
    assert "--headless" in capsys.readouterr().err
    assert main(["demo", "--headless", "--out", str(tmp_path / "out")]) == 1
    assert "Xvfb" in capsys.readouterr().err


def test_the_package_runs_as_a_module(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["napari-biofm", "--version"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("napari_biofm.cli.__main__", run_name="__main__")
    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == __version__


def test_the_doctor_tells_what_is_wrong_with_graphics_cache_and_qt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from napari_biofm.cli import machine

    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NAPARI_BIOFM_CACHE", str(tmp_path / "file"))
    assert "cannot be written" in machine.cache_written()[1][0]
    monkeypatch.setenv("DISPLAY", ":nobody")
    monkeypatch.setattr(machine, "DRAW", "raise SystemExit('no driver')")
    assert machine.graphics()[1] == [
        "Qt cannot draw (no driver): install Qt's and OpenGL's system libraries, see docs/install.md"
    ]
    assert machine.bindings_trouble(["PyQt6"], True) == []
    assert "need Qt 6" in machine.bindings_trouble([], True)[0]
    assert machine.model_read()[1] == []


def test_the_doctor_tells_of_damaged_weights_and_a_scheduler_that_is_gone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from napari_biofm.cli import machine
    from napari_biofm.models import registry

    monkeypatch.setenv("NAPARI_BIOFM_MODELS", str(tmp_path))
    assert machine.weights_checked() == (f"none downloaded to {tmp_path}", [])
    entry = next(one for one in registry.entries() if one.sha256)
    (tmp_path / entry.file_name).write_bytes(b"cut off")
    assert f"models download {entry.name}" in machine.weights_checked()[1][0]
    pytest.importorskip("distributed")
    monkeypatch.setenv("NAPARI_BIOFM_ENGINE", "tcp://127.0.0.1:9")
    monkeypatch.setattr("napari_biofm.batch.pools.CONNECT_TIMEOUT", 0.3)
    told, problems = machine.cluster_answers()
    assert told == "no answer" and "No Dask scheduler answers at tcp://127.0.0.1:9" in problems[0]


def test_segment_takes_a_picture_of_a_movie(tmp_path: Path, files: dict[str, Path], capsys: Any) -> None:
    movie = ("segment", files["movie"], "--model", "classical", "--out")
    assert run(*movie, tmp_path / "a", "--projection", "mean") == 0
    assert run(*movie, tmp_path / "b", "--projection", "3") == 0
    (mask,) = (tmp_path / "a").glob("*_mask.tif")
    assert tifffile.imread(mask).shape == (96, 96) and tifffile.imread(mask).max() > 2
    found = biofm.segment(files["movie"], model="classical", projection="mean")
    np.testing.assert_array_equal(tifffile.imread(mask), found.masks)
    capsys.readouterr()
    for words, told in (("means", "has no picture 'means'; there are mean,"), ("60", "there are 0 to 59")):
        assert run(*movie, tmp_path / "c", "--projection", words) == 1
        assert told in capsys.readouterr().err
    assert run("segment", files["field"], "--out", tmp_path / "c", "--projection", "mean") == 1
    assert "is no movie or stack" in capsys.readouterr().err
