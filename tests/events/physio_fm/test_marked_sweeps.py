"""Judged events become marks to learn from, and what was learnt is told in words."""

from __future__ import annotations

import numpy as np

from napari_biofm.events.physio_fm.jobs import marked_sweeps
from napari_biofm.events.physio_fm.teaching_report import describe_marks, describe_teaching
from napari_biofm.events.reviewed import reviewed
from napari_biofm.signals import Recording
from napari_biofm.types import EVENT_DTYPE


def test_accepted_events_are_marks_rejected_ones_are_none_and_the_others_are_open() -> None:
    recording = Recording.from_arrays(np.zeros((3, 1000)), 1000.0, "pA")
    events = np.zeros(6, EVENT_DTYPE)
    events["sweep"], events["time_s"] = [0, 0, 0, 0, 1, 2], [0.1, 0.2, 0.3, 0.4, 0.1, 0.1]
    events["class"] = ["PSC", "artefact", "PSC", "AP", "PSC", "PSC"]
    table = reviewed(events, ["accept", "", "reject", "", "reject", "accept"])
    first, last = marked_sweeps(recording, table)
    assert (first.sweep, first.names, first.time_s.tolist()) == (0, ("PSC",), [0.1])
    assert first.rejected_s.tolist() == [0.2, 0.3] and first.open_s.tolist() == [0.4]
    assert last.sweep == 2, "a sweep without an accepted event teaches nothing"
    assert marked_sweeps(recording, table, "doublet")[0].names == ("doublet",)


def test_the_report_tells_scores_and_what_was_forgotten() -> None:
    report = {
        "marks": 12, "seconds": 2.0, "left_out": "sweeps", "f1_stock": 0.5, "f1_adapted": 0.9,
        "forgetting": {"events": 40, "stock": 0.9, "adapted": 0.5, "forgotten": 0.4},
    }  # fmt: skip
    sentences = describe_teaching(report)
    assert sentences[1] == "F1 0.50 before, 0.90 after" and "finds 90%" in sentences[2]
    assert "beside the stock events" in sentences[3]
    assert len(describe_teaching(report, beside=True)) == 3
    assert "not known" in describe_teaching({**report, "forgetting": None})[-1]
    assert describe_teaching({}) == []


def test_marks_are_counted_in_words() -> None:
    assert describe_marks(0, 3, 0) == "No marks yet."
    assert describe_marks(2, 0, 1).startswith("2 accepted, 0 rejected in 1 sweep. At least 5")
    assert describe_marks(15, 0, 3) == "15 accepted, 0 rejected in 3 sweeps."
