"""What leaves a session holds no rejected cell, or says that it does; NWB and reopened sessions know which they are."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from napari_biofm.api.session_report import describe_session, session_report
from napari_biofm.cells.table.cell_table import make_table
from napari_biofm.cli import main
from napari_biofm.session.nwb import write_nwb
from napari_biofm.session.nwb_read import read_nwb_session
from napari_biofm.session.saving import load_session, save_session
from napari_biofm.session.snapshot import Saved, SavedLayer
from napari_biofm.signals import Recording, read_recording
from napari_biofm.signals.curation import ACCEPTED, accepted_cells, verdicts_of, with_verdicts
from napari_biofm.signals.export import methods
from napari_biofm.signals.filters import FilterSettings
from napari_biofm.signals.recorded import MeasuredOn
from napari_biofm.types import EVENT_DTYPE

LABELS = (2, 4, 5, 9)
SAID = "2 of 4 cells are rejected and left out"


def masks() -> np.ndarray:
    picture = np.zeros((20, 40), np.int32)
    for k, label in enumerate(LABELS):
        picture[4:12, 2 + 9 * k : 9 + 9 * k] = label
    return picture


@pytest.fixture
def saved() -> Saved:
    """Four cells; the file rejects 5, a person 9."""
    values = np.random.default_rng(0).normal(0, 0.1, (4, 200)).astype(np.float32)
    traces = Recording.from_arrays(values, 20.0, "dF/F", labels=LABELS)
    traces = dataclasses.replace(traces, metadata={ACCEPTED: [2, 4, 9]}, measured_on=MeasuredOn("m", "L"))
    events = np.zeros(8, EVENT_DTYPE)
    events["channel"], events["class"], events["time_s"] = np.repeat(np.arange(4), 2), "calcium", range(1, 9)
    layer = SavedLayer("L", "labels", "cells", data=masks(), shape=(20, 40))
    return Saved(
        layers=(layer,), labels="L", recordings={"traces": with_verdicts(traces, {9: "reject"})},
        events={"traces": events}, cells={"L": make_table(masks(), layer="L")},
    )  # fmt: skip


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_tables_of_a_session_hold_accepted_cells_and_all_of_them_with_rejected(
    saved: Saved, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "one.biofm"
    save_session(folder, saved)
    command = ["export", str(folder), "--to", "csv", "anndata", "geojson", "nwb", "--out"]
    assert main([*command, str(tmp_path / "out")]) == 0
    said = capsys.readouterr().err
    assert f"one_traces_events.csv: {SAID}" in said and f"one_cells_cells.csv: {SAID}" in said
    assert "one_cells.geojson: 2 of 4 cells are rejected and included" in said
    assert "one.nwb: traces: 2 of 4 cells are rejected and included (column accepted)" in said
    assert {row["channel"] for row in rows(tmp_path / "out" / "one_traces_events.csv")} == {"0", "1"}
    assert {row["label"] for row in rows(tmp_path / "out" / "one_cells_cells.csv")} == {"2", "4"}
    import anndata

    assert anndata.read_h5ad(tmp_path / "out" / "one_cells_cells.h5ad").obs["label"].tolist() == [2, 4]
    assert main([*command, str(tmp_path / "all"), "--rejected"]) == 0
    assert "2 of 4 cells are rejected and included" in capsys.readouterr().err
    assert len(rows(tmp_path / "all" / "one_traces_events.csv")) == 8
    assert {row["label"] for row in rows(tmp_path / "all" / "one_cells_cells.csv")} == {"2", "4", "5", "9"}


def test_nwb_holds_which_cells_are_accepted_and_reopens_with_verdicts(saved: Saved, tmp_path: Path) -> None:
    path = write_nwb(tmp_path / "one.nwb", saved)
    again = read_nwb_session(path).recordings["traces"]
    assert verdicts_of(again) == {9: "reject"}
    assert accepted_cells(again).tolist() == [True, True, False, False]
    other = read_recording(path)  # as any other program sees it: the column of the regions
    assert other.labels[accepted_cells(other)].tolist() == [2, 4]
    bare = {"traces": dataclasses.replace(saved.recordings["traces"], metadata={})}
    plain = write_nwb(tmp_path / "two.nwb", dataclasses.replace(saved, recordings=bare))
    assert ACCEPTED not in read_recording(plain).metadata  # nobody said anything of cells


def test_a_session_reopened_still_leaves_them_out_and_reports_and_methods_say_so(
    saved: Saved, tmp_path: Path
) -> None:
    folder = tmp_path / "one.biofm"
    save_session(folder, saved)
    traces = load_session(folder).recordings["traces"]
    assert accepted_cells(traces).tolist() == [True, True, False, False]
    assert describe_session(folder)["recordings"][0]["rejected_cells"] == 2
    page = session_report(folder, tmp_path / "report.html").read_text()
    assert "2 of 4 cells are rejected and included" in page
    text = methods(traces, FilterSettings(), saved.events["traces"], {})
    assert "2 of 4 cells are rejected and included in the table of events." in text
