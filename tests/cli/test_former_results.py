"""What a verb replaces is kept under a numbered name, unless the new result is the same."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_biofm.cli import OUTPUTS, build_parser, main
from napari_biofm.files import keeping_former, write_json, write_text


def run(*args: Any) -> int:
    return main([str(a) for a in args])


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording of 2 s with five currents, in the working directory."""
    monkeypatch.chdir(tmp_path)
    trace = np.random.default_rng(0).normal(0, 1, 20_000)
    for at in range(2000, 18_000, 4000):
        trace[at : at + 300] -= 40 * np.exp(-np.arange(300) / 40)
    np.savez("sweep.npz", signal=trace, sampling_rate=10_000.0, unit="pA")
    return Path("sweep.npz")


def find(sweep: Path, out: str, sigma: float = 6.0, *more: Any) -> int:
    return run(
        "events", sweep, "--kind", "psc", "--detector", "threshold", "--option", f"sigma={sigma}",
        "--out", out, *more,
    )  # fmt: skip


def names() -> list[str]:
    return sorted(one.name for one in Path().iterdir() if one.name != "sweep.npz")


def test_a_table_in_a_relative_place_is_kept_before_another_takes_its_name(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("found.csv").write_text("mine\n")
    assert find(sweep, "found.csv") == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "kept" in line]
    assert said == ["found.csv held another result, which is kept as found (1).csv"]
    assert names() == ["found (1).csv", "found.csv"]
    assert Path("found (1).csv").read_text() == "mine\n"
    first = Path("found.csv").read_bytes()
    assert first.startswith(b"sweep,channel,time_s")

    Path("found.csv").write_text("mine again\n")
    assert find(sweep, "found.csv") == 0
    assert names() == ["found (1).csv", "found (2).csv", "found.csv"]
    assert Path("found.csv").read_bytes() == first and Path("found (2).csv").read_text() == "mine again\n"


def test_the_same_result_changes_nothing(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert find(sweep, "found.csv") == 0
    before = Path("found.csv").stat()
    capsys.readouterr()
    assert find(sweep, "found.csv") == 0
    after = Path("found.csv").stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)
    assert names() == ["found.csv"] and "kept" not in capsys.readouterr().err


def test_arrays_are_kept_and_equal_ones_are_not(sweep: Path) -> None:
    def forecast(at: float) -> int:
        return run("forecast", sweep, "--at", at, "--horizon", 20, "--out", "next.npz")

    assert forecast(1.0) == 0 and forecast(1.0) == 0
    assert names() == ["next.npz"]
    first = Path("next.npz").read_bytes()
    assert forecast(1.2) == 0
    assert names() == ["next (1).npz", "next.npz"]
    assert Path("next (1).npz").read_bytes() == first != Path("next.npz").read_bytes()


def test_json_is_kept(sweep: Path) -> None:
    Path("quality.json").write_text("{}")
    assert find(sweep, "quality.json", 6.0, "--quality") == 0
    assert json.loads(Path("quality.json").read_text())["file"] == "sweep.npz"
    assert Path("quality (1).json").read_text() == "{}"


def test_tables_of_a_folder_are_kept(sweep: Path) -> None:
    Path("other.npz").write_bytes(sweep.read_bytes())
    Path("out").mkdir()
    Path("out/sweep_events.csv").write_text("mine\n")
    assert run("events", sweep, "other.npz", "--kind", "psc", "--detector", "threshold", "--out", "out") == 0
    assert sorted(one.name for one in Path("out").iterdir()) == [
        "other_events.csv", "summary.csv", "sweep_events (1).csv", "sweep_events.csv",
    ]  # fmt: skip


def test_a_trained_head_is_kept_as_a_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 200, (24, 24, 24)).astype(np.uint8)
    crops[12:] += 40
    tifffile.imwrite(tmp_path / "crops.tif", crops)

    def fit(names: str) -> int:
        rows = "\n".join(f"{i},{names[i // 12]}" for i in range(24))
        (tmp_path / "labels.csv").write_text(f"object_id,label\n{rows}\n")
        files = ("--crops", tmp_path / "crops.tif", "--labels", tmp_path / "labels.csv")
        return run("cells", "fit", *files, "--out", tmp_path / "head", "--model", "biofm-image")

    assert fit("ab") == 0
    (tmp_path / "head" / "notes.txt").write_text("mine")
    before = {one.name: one.read_bytes() for one in (tmp_path / "head").iterdir() if one.suffix != ".txt"}
    assert fit("ab") == 0 and not (tmp_path / "head (1)").exists()
    assert fit("cd") == 0
    kept = {one.name: one.read_bytes() for one in (tmp_path / "head (1)").iterdir()}
    assert kept == before and (tmp_path / "head" / "notes.txt").read_text() == "mine"
    args = ("--crops", tmp_path / "crops.tif", "--out", tmp_path / "pred.csv")
    assert run("cells", "predict", "--head", tmp_path / "head (1)", *args) == 0
    assert run("cells", "predict", "--head", tmp_path / "head", *args) == 0


def test_a_verb_that_fails_leaves_what_was_there(sweep: Path) -> None:
    Path("found.csv").write_text("mine\n")
    sweep.write_bytes(b"PK\x03\x04")
    assert find(sweep, "found.csv") == 1
    assert names() == ["found.csv"] and Path("found.csv").read_text() == "mine\n"


def test_what_belongs_together_gets_one_number_and_other_files_are_replaced(tmp_path: Path) -> None:
    told: list[str] = []
    for name in ("a.csv", "a.definitions.json", "b.csv", "a.definitions (1).json"):
        (tmp_path / name).write_text("before")
    with keeping_former([tmp_path / "a.csv"], told.append):
        write_text(tmp_path / "a.csv", "now")
        write_text(tmp_path / "a.csv", "a second time")  # its own
        write_json(tmp_path / "a.definitions.json", {})
        write_text(tmp_path / "b.csv", "now")
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "a (2).csv", "a.csv", "a.definitions (1).json", "a.definitions (2).json", "a.definitions.json", "b.csv",
    ]  # fmt: skip
    assert len(told) == 2
    write_text(tmp_path / "a.csv", "outside of it nothing is kept")
    assert not (tmp_path / "a (3).csv").exists()


READ = {
    "atlas", "base", "baseline", "cells", "classes", "confounds", "crops", "events", "head", "ids", "image", "images",
    "labels", "map", "marks", "masks", "model", "movie", "names", "prompts", "receptor", "reference", "settings", "targets", "vectors", "waveform",
    "within",
}  # fmt: skip


def test_every_option_that_names_a_file_is_known_as_read_or_written() -> None:
    def options(parser: argparse.ArgumentParser) -> set[str]:
        found = set()
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                found |= {name for one in action.choices.values() for name in options(one)}
            elif action.type is Path and action.option_strings:
                found.add(action.dest)
        return found

    assert options(build_parser()) == READ | set(OUTPUTS) | {"log_json"}
