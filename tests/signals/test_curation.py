"""Which regions are cells: the file, then the person; kept through sessions and new measurements."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import napari_biofm as biofm
from napari_biofm.actions import JudgeCells, from_record
from napari_biofm.session import Session
from napari_biofm.session.saving import load_session, save_session
from napari_biofm.session.snapshot import snapshot
from napari_biofm.signals import Recording
from napari_biofm.signals.curation import ACCEPTED, accepted_cells, verdicts_of, with_verdicts
from napari_biofm.signals.display.cell_heatmap import row_order
from napari_biofm.signals.recorded import MeasuredOn
from napari_biofm.types import RecordingError, SessionError


def cells(accepted: list[int] | None = None) -> Recording:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 0.05, (4, 400))
    values[:, 100:110] += 1.0
    made = Recording.from_arrays(values.astype(np.float32), 20.0, "dF/F", labels=[3, 5, 8, 9])
    return made if accepted is None else dataclasses.replace(made, metadata={ACCEPTED: accepted})


def test_a_person_goes_before_the_file_and_the_file_before_nothing() -> None:
    assert accepted_cells(cells()).tolist() == [True] * 4
    read = cells([5, 8])
    assert accepted_cells(read).tolist() == [False, True, True, False]
    judged = with_verdicts(read, {3: "accept", 8: "reject"})
    assert accepted_cells(judged).tolist() == [True, True, False, False]
    assert row_order(judged, np.zeros((4, 2), np.uint8), "accepted").tolist() == [0, 1, 2, 3]
    assert row_order(with_verdicts(judged, {3: ""}), np.zeros((4, 2), np.uint8), "accepted").tolist() == [
        1,
        0,
        2,
        3,
    ]
    with pytest.raises(RecordingError, match="no cell 4"):
        with_verdicts(read, {4: "accept"})


def test_verdicts_are_edits_that_undo_and_do_not_overwrite_others() -> None:
    session = Session()
    uid = session.add_recording(cells(), "cells")
    action = JudgeCells(uid, ((5, "", "reject"),))
    session.do(from_record(action.record()))
    assert verdicts_of(session.recordings[uid].recording) == {5: "reject"}
    with pytest.raises(SessionError, match="judged in another way"):
        session.do(action)
    session.undo()
    assert verdicts_of(session.recordings[uid].recording) == {}


def test_measuring_again_and_reopening_keep_verdicts(tmp_path: Path) -> None:
    session = Session()
    on = MeasuredOn("movie", "masks")
    uid = session.put_traces(dataclasses.replace(cells(), measured_on=on), "cells")
    session.do(JudgeCells(uid, ((5, "", "reject"), (8, "", "accept"))))
    values = np.zeros((2, 10), np.float32)
    again = Recording.from_arrays(values, 20.0, "dF/F", labels=[5, 7], measured_on=on)
    assert session.put_traces(again, "cells") == uid
    assert verdicts_of(session.recordings[uid].recording) == {5: "reject"}  # cell 8 is gone
    folder = save_session(tmp_path / "one.biofm", snapshot(session))
    assert verdicts_of(load_session(folder).recordings[uid]) == {5: "reject"}


def test_verdicts_on_results_of_a_file_come_back_with_the_session(tmp_path: Path) -> None:
    np.save(tmp_path / "F.npy", np.random.default_rng(1).normal(100, 1, (3, 50)).astype(np.float32))
    np.save(tmp_path / "iscell.npy", np.array([[1, 0.9], [0, 0.2], [1, 0.8]], np.float32))
    session = Session()
    uid = session.add_recording(biofm.read_recording(tmp_path / "F.npy", sampling_rate=10.0), "run")
    session.do(JudgeCells(uid, ((2, "", "accept"), (3, "", "reject"))))
    folder = save_session(tmp_path / "two.biofm", snapshot(session))
    assert accepted_cells(load_session(folder).recordings[uid]).tolist() == [True, True, False]


def test_rules_leave_alone_what_was_judged_by_hand_and_respect_the_file(tmp_path: Path) -> None:
    found = biofm.analyse("curate", with_verdicts(cells([5, 8, 9]), {8: "reject"}))
    assert found.table["accepted"].tolist() == [False, True, False, True]
    assert found.table["reason"].tolist() == ["rejected in the file", "", "rejected by hand", ""]
    strict = biofm.analyse("curate", with_verdicts(cells(), {3: "accept"}), least_snr=1e6)
    assert strict.table["accepted"].tolist() == [True, False, False, False]
