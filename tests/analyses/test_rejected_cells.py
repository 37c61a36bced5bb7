"""Rejected cells are left out by every analysis of cells, by verbs, batch steps and matching, unless they are asked for."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

import napari_biofm as biofm
from napari_biofm.analyses.description import OfCells
from napari_biofm.analyses.registry import analyses
from napari_biofm.cli import main
from napari_biofm.signals import Recording
from napari_biofm.signals.curation import ACCEPTED, choose_cells, with_verdicts
from napari_biofm.types import MEASURED_DTYPE, Events, RecordingError

RATE, N = 20.0, 8
OUT = (3, 6)  # labels that the file or a person rejects
SAID = "2 of 8 cells are rejected and left out"


def values(rng: np.random.Generator) -> np.ndarray:
    """Cells that beat together every 2 s; the rejected ones do the opposite and are far larger."""
    t = np.arange(800)
    beat = np.exp(-(t % 40) / 8.0)
    made = beat + rng.normal(0, 0.05, (N, 800)) + 0.3 * rng.normal(0, 1, (N, 1))
    for label in OUT:
        made[label - 1] = 30 * np.roll(beat, 20) + rng.normal(0, 0.05, 800)
    return made.astype(np.float32)


def masks() -> np.ndarray:
    picture = np.zeros((40, 80), np.int32)
    for k in range(N):
        picture[5 + 15 * (k % 2) : 13 + 15 * (k % 2), 2 + 9 * k : 9 + 9 * k] = k + 1
    return picture


def recording() -> Recording:
    made = Recording.from_arrays(
        values(np.random.default_rng(0)), RATE, "dF/F", labels=np.arange(1, N + 1), rois=masks()
    )
    read = dataclasses.replace(made, metadata={ACCEPTED: [1, 2, 4, 5, 6, 7, 8]})  # the file rejects 3
    return with_verdicts(read, {6: "reject"})


def events() -> Events:
    table: Events = np.zeros(N * 20, MEASURED_DTYPE)
    table["channel"], table["class"] = np.repeat(np.arange(N), 20), "calcium"
    table["time_s"] = np.tile(np.arange(20) * 2.0 + 0.01, N)
    table["time_s"][np.isin(table["channel"], [one - 1 for one in OUT])] += 1.0
    return table


GIVEN = {
    "responsive-cells": {"times": "4,8,12,16,20,24", "shuffles": 20},
    "assemblies": {"components": 2, "method": "pca"},
    "raster-order": {"method": "tree"},
    "synchrony": {"shuffles": 20},
    "cell-rates": {},
    "correlations": {"matrix": False},
    "beats": {},
    "propagation": {},
    "connectivity": {},
}


def test_every_analysis_of_traces_can_leave_rejected_cells_out() -> None:
    of_cells = {one.name for one in analyses().values() if issubclass(one.parameters, OfCells)}
    assert of_cells == set(GIVEN)
    assert {one.name for one in analyses().values() if "traces" in one.takes} - of_cells == {"curate"}


@pytest.mark.parametrize("name", GIVEN)
def test_rejected_cells_are_left_out_and_told_and_come_back_when_asked_for(name: str) -> None:
    traces = recording()
    table = events() if name == "synchrony" else None
    found = biofm.analyse(name, traces, events=table, **GIVEN[name])
    every = biofm.analyse(name, traces, events=table, rejected=True, **GIVEN[name])
    assert SAID in found.notes and SAID in found.methods
    assert "2 of 8 cells are rejected and included" in every.notes
    if name == "synchrony":
        assert found.table["share"].max() == 1.0 and found.table["active"].max() == 6
        assert every.table["active"].max() == 6 and every.table["share"].max() == 0.75
        return
    of = "label" if name == "connectivity" else "cell"
    ids = [int(one) for one in found.table[of] if str(one).isdigit()]
    assert sorted(ids) == [1, 2, 4, 5, 7, 8]
    assert sorted(int(one) for one in every.table[of] if str(one).isdigit()) == list(range(1, 9))
    if name == "correlations":
        assert found.table["mean_in_cluster"].min() > 0.8


def test_no_histogram_is_of_a_rejected_cell_unless_its_channel_is_asked_for() -> None:
    traces = with_verdicts(recording(), {1: "reject"})
    table = events()
    table["amplitude"] = np.where(table["channel"] == 0, 30.0, 1.0)
    found = biofm.analyse(
        "histogram", traces, events=table, of="amplitude"
    )  # of the first cell that has events
    assert "3 of 8 cells are rejected and left out" in found.notes and "median 1" in found.summary
    one = biofm.analyse("histogram", traces, events=table, of="amplitude", channel=0)
    assert not one.notes and "median 30" in one.summary
    every = biofm.analyse("histogram", traces, events=table, of="amplitude", rejected=True)
    assert "3 of 8 cells are rejected and included" in every.notes and "median 30" in every.summary


def test_no_averaged_event_is_of_a_rejected_cell_unless_it_is_asked_for(tmp_path: Path) -> None:
    traces = with_verdicts(
        recording(), dict.fromkeys((1, 2), "reject")
    )  # with 3 of the file, which is 30 times as large
    window = {"before_s": 0.2, "after_s": 0.5}
    found = biofm.average_event(traces, events(), **window)
    every = biofm.average_event(traces, events(), rejected=True, **window)
    np.testing.assert_allclose(found.mean, biofm.average_event(traces, events(), channel=3, **window).mean)
    np.testing.assert_allclose(every.mean, biofm.average_event(traces, events(), channel=0, **window).mean)
    told = biofm.analyse("average", traces, events=events(), rejected=True, **window)
    assert "4 of 8 cells are rejected and included" in told.notes
    np.testing.assert_allclose(told.table["mean_dF_per_F"], every.mean)


def test_events_rates_and_features_leave_rejected_cells_out() -> None:
    traces = recording()
    assert set(np.unique(biofm.detect_events(traces, kind="calcium")["channel"])) <= {0, 1, 3, 4, 6, 7}
    every = biofm.detect_events(traces, kind="calcium", rejected=True)
    assert {2, 5} <= set(np.unique(every["channel"]))
    assert biofm.spike_rate(traces).rate.shape[0] == 6
    assert biofm.spike_rate(traces, rejected=True).rate.shape[0] == 8
    numbers = biofm.features(traces, events(), kind="calcium")
    assert set(numbers["channel"]) == {0, 1, 3, 4, 6, 7}
    gathered = biofm.collect([traces], kind="calcium", rejected=True).table
    assert {2, 5} <= set(gathered["channel"])


def test_what_traces_are_is_decided_by_cells_that_count() -> None:
    from napari_biofm.api.protocols import kinds_of

    traces = recording()
    alone = kinds_of(choose_cells(traces).recording)
    assert kinds_of(traces, channel="all")[0].share == alone[0].share


def test_where_all_are_rejected_the_remedy_is_named() -> None:
    traces = with_verdicts(recording(), dict.fromkeys(range(1, N + 1), "reject"))
    with pytest.raises(RecordingError, match="all 8 cells of recording are rejected: accept some"):
        biofm.analyse("correlations", traces)
    with pytest.raises(RecordingError, match="all 8 cells"):
        biofm.detect_events(traces)


def test_chosen_cells_keep_their_values_and_their_events() -> None:
    traces = recording()
    chosen = choose_cells(traces)
    assert chosen.recording.labels.tolist() == [1, 2, 4, 5, 7, 8]
    for c, of in enumerate(chosen.channels.tolist()):
        assert np.array_equal(chosen.recording.values(0, c), traces.values(0, of))
    kept = chosen.events(events())
    assert len(kept) == 120 and kept["time_s"].max() < 38.5 and set(kept["channel"]) == set(range(6))
    patch = Recording.from_arrays(np.zeros((2, 100), np.float32), 1000.0, "mV")
    assert choose_cells(patch).recording is patch and choose_cells(patch).said == ""


@pytest.fixture
def suite2p(tmp_path: Path) -> Path:
    """A plane as suite2p writes it, two of whose eight regions are no cells."""
    folder = tmp_path / "suite2p" / "plane0"
    folder.mkdir(parents=True)
    traces = 100 * (2 + values(np.random.default_rng(0)))
    picture = masks()
    stat = []
    for k in range(N):
        y, x = np.nonzero(picture == k + 1)
        stat.append({"ypix": y, "xpix": x, "lam": np.ones(len(y))})
    iscell = np.array([[float(k + 1 not in OUT), 0.5] for k in range(N)], np.float32)
    for name, array in (("F", traces), ("Fneu", 0 * traces), ("spks", 0 * traces), ("iscell", iscell)):
        np.save(folder / f"{name}.npy", array)
    ops = {"fs": RATE, "Ly": 40, "Lx": 80}
    savemat(folder / "Fall.mat", {"stat": np.array(stat, object), "ops": ops, "F": traces, "iscell": iscell})
    return folder


def channels_in(path: Path) -> set[int]:
    with path.open(newline="") as file:
        return {int(row["channel"]) for row in csv.DictReader(file)}


def test_verbs_leave_them_out_say_so_and_take_them_with_rejected(
    suite2p: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "events.csv"
    assert main(["events", str(suite2p), "--kind", "calcium", "--out", str(out)]) == 0
    assert channels_in(out) <= {0, 1, 3, 4, 6, 7}
    assert f"{SAID} (--rejected includes them)" in capsys.readouterr().err
    assert main(["events", str(suite2p), "--kind", "calcium", "--rejected", "--out", str(out)]) == 0
    assert {2, 5} <= channels_in(out)
    assert "2 of 8 cells are rejected and included" in capsys.readouterr().err
    table = tmp_path / "r.csv"
    assert main(["correlations", str(suite2p), "--no-matrix", "--out", str(table)]) == 0
    assert SAID in capsys.readouterr().err and len(table.read_text().splitlines()) == 7
    assert main(["correlations", str(suite2p), "--no-matrix", "--rejected", "--out", str(table)]) == 0
    assert len(table.read_text().splitlines()) == 9
    assert main(["features", str(suite2p), "--kind", "calcium", "--out", str(table)]) == 0
    assert channels_in(table) == {0, 1, 3, 4, 6, 7}


def test_rates_name_the_cells_they_are_of(tmp_path: Path) -> None:
    from napari_biofm.session.nwb import write_nwb
    from napari_biofm.session.snapshot import Saved, SavedLayer

    layer = SavedLayer("masks", "labels", "cells", data=masks(), shape=(40, 80))
    path = write_nwb(
        tmp_path / "traces.nwb", Saved(layers=(layer,), labels="masks", recordings={"traces": recording()})
    )
    assert main(["rate", str(path), "--out", str(tmp_path / "rate.csv")]) == 0
    names = (tmp_path / "rate.csv").read_text().splitlines()[0].split(",")
    assert [one for one in names if one.startswith("rate_")] == [f"rate_{k}" for k in (1, 2, 4, 5, 7, 8)]
    assert main(["rate", str(path), "--rejected", "--out", str(tmp_path / "rate.npz")]) == 0
    with np.load(tmp_path / "rate.npz") as file:
        assert file["labels"].tolist() == list(range(1, 9)) and file["rate"].shape[0] == 8


def test_cells_of_two_sessions_are_matched_without_rejected_ones(
    suite2p: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from napari_biofm.images.io.masks import write_mask

    write_mask(tmp_path / "day2.tif", masks())
    command = ["cells", "match", str(suite2p), str(tmp_path / "day2.tif"), "--out", str(tmp_path / "p.csv")]
    assert main(command) == 0
    said = capsys.readouterr().err
    assert SAID in said and "6 pairs" in said and "2 only in the second" in said
    assert main([*command, "--rejected"]) == 0
    assert "8 pairs" in capsys.readouterr().err
    assert len(biofm.match_cells(recording(), masks()).first) == 6


def test_steps_of_a_recipe_leave_them_out_and_note_it(suite2p: Path, tmp_path: Path) -> None:
    import pandas as pd

    for rejected, expected in (("false", 6), ("true", 8)):
        recipe = tmp_path / "recipe.toml"
        recipe.write_text(
            'format = 1\n[input]\nrecordings = ["suite2p/plane0/F.npy"]\n'
            f'[output]\nfolder = "run_{rejected}"\n[[step]]\ndo = "events"\nkind = "calcium"\nrejected = {rejected}\n'
            f'[[step]]\ndo = "features"\nrejected = {rejected}\n'
        )
        assert main(["run", str(recipe)]) == 0
        table = pd.read_parquet(tmp_path / f"run_{rejected}" / "features.parquet")
        assert table["channel"].nunique() == expected
        notes = [
            json.loads(one.read_text())
            for one in (tmp_path / f"run_{rejected}").rglob("*.json")
            if "rejected and" in one.read_text()
        ]
        assert notes
