"""The same settings over many files: saved in the dock, used on the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from napari_biofm.cli import main
from napari_biofm.events.recipe import Recipe
from napari_biofm.signals import Recording
from napari_biofm.signals.filters import FilterSettings, filtered
from napari_biofm.types import RecordingError

RATE = 10_000.0


def _current(path: Path, n_events: int) -> Path:
    rng = np.random.default_rng(n_events)
    values = rng.normal(0, 1, 20_000)
    for i in range(n_events):
        values[1000 + 3000 * i :][:80] -= 60 * np.exp(-np.arange(80) / 25)
    np.savez(path, signal=values.astype(np.float32), sampling_rate=RATE, unit="pA")
    return path


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_many_files_give_a_table_each_and_a_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [_current(tmp_path / f"cell{i}.npz", i) for i in (2, 4)]
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK")
    settings = tmp_path / "settings.json"
    Recipe("threshold", "psc", "balanced").write(settings)
    out = tmp_path / "tables"
    code = main(["events", *map(str, [*files, broken]), "--out", str(out), "--settings", str(settings)])
    assert code != 0 and "1 of 3 files failed (broken.npz)" in capsys.readouterr().err
    assert [len(_rows(out / f"cell{i}_events.csv")) for i in (2, 4)] == [2, 4]
    summary = _rows(out / "summary.csv")
    assert [row["events"] for row in summary] == ["2", "4", ""] and "broken.npz" in summary[2]["error"]


def test_a_recipe_knows_the_filters_of_the_copy_that_was_searched(tmp_path: Path) -> None:
    recording = filtered(Recording.from_arrays(np.zeros(5000), RATE, "pA"), FilterSettings(lowpass=800.0))
    recipe = Recipe.from_provenance(
        recording, {"detector": "deconvolution", "kind": "psc", "preset": "precise"}
    )
    recipe.write(tmp_path / "s.json")
    back = Recipe.read(tmp_path / "s.json")
    assert back == recipe and back.filters.lowpass == 800 and back.settings.preset == "precise"
    prepared = back.prepared(Recording.from_arrays(np.zeros(5000), RATE, "pA"))
    assert prepared.metadata["processing"]["lowpass"] == 800


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no json", "no file of settings"),
        ('{"detector": "magic"}', "detector 'magic'; there are"),
        ("[]", "settings"),
    ],
)
def test_settings_that_are_none_are_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "s.json"
    path.write_text(text)
    with pytest.raises(RecordingError, match=said):
        Recipe.read(path)


def test_an_option_given_goes_before_the_settings_and_a_part_can_be_chosen(tmp_path: Path) -> None:
    source, settings = _current(tmp_path / "cell.npz", 3), tmp_path / "s.json"
    settings.write_text(json.dumps({"detector": "template", "kind": "psc"}))
    out = tmp_path / "e.csv"
    assert (
        main(
            ["events", str(source), "--out", str(out), "--settings", str(settings), "--detector", "threshold"]
        )
        == 0
    )
    assert len(_rows(out)) == 3
    assert main(["events", str(source), "--out", str(out), "--part", "1"]) != 0
