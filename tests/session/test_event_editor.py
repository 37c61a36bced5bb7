"""Edits of events by hand: each is one action of the session that can be taken back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_biofm.events.reviewed import same_rows
from napari_biofm.session import Session
from napari_biofm.session.event_editor import EventEditor
from napari_biofm.signals import Recording
from napari_biofm.types import EVENT_DTYPE, RecordingError


@pytest.fixture
def editor() -> EventEditor:
    session = Session()
    recording = Recording.from_arrays(np.tile(np.arange(1000.0), (3, 1)), 1000, "pA")
    uid = session.add_recording(recording, "r")
    events = np.zeros(4, EVENT_DTYPE)
    events["sweep"], events["time_s"] = [0, 0, 1, 2], [0.1, 0.5, 0.2, 0.3]
    events["class"], events["score"] = ["EPSC", "EPSC", "IPSC", "AP"], [0.9, 0.6, 0.8, 0.7]
    session.set_events(uid, events, {"detector": "threshold"})
    return EventEditor(session, uid)


def _undo_all(editor: EventEditor) -> None:
    while editor._session.history.undo_name not in ("", "detect"):
        editor._session.history.undo()


def test_every_edit_can_be_undone_exactly(editor: EventEditor) -> None:
    before, review = editor.events.copy(), editor.review
    editor.add(1, 0, 0.25, "EPSC")
    editor.judge([0, 3], "reject")
    editor.move(1, 0.61)
    editor.reclass([2], "AP")
    editor.judge([0], "accept")
    editor.delete([0, 2, 4])
    assert len(editor.events) == 2
    _undo_all(editor)
    assert same_rows(editor.events, before)
    assert editor.review == review
    while editor._session.history.redo():
        pass
    assert len(editor.events) == 2


def test_an_added_event_lands_in_order_and_where_nothing_is_it_says_so(editor: EventEditor) -> None:
    row = editor.add(1, 0, 0.25, "EPSC")
    added = editor.events[3]
    assert row == 3 and added["time_s"] == 0.25 and editor.review[3] == "accept"
    assert added["reason"] and np.isnan(added["decay_s"])  # a ramp, no event
    with pytest.raises(RecordingError, match="ends at"):
        editor.add(1, 0, 5.0, "EPSC")
    with pytest.raises(RecordingError, match="no class"):
        editor.add(1, 0, 0.5, "blip")


def test_rejecting_keeps_the_class_for_the_way_back(editor: EventEditor) -> None:
    editor.judge([0], "reject")
    assert editor.events[0]["class"] == "rejected" and editor.review[0] == "reject"
    editor.judge([0], "accept")
    assert editor.events[0]["class"] == "EPSC" and editor.review[0] == "accept"


def test_the_log_of_an_edit_is_small(editor: EventEditor) -> None:
    rows: list[dict] = []
    editor._session.history.recorded.connect(rows.append)
    editor.judge([2], "unclear")
    assert len(rows) == 1
    row = rows[0]
    assert (row["action"], row["recording"], row["removed_at"], row["added"]["verdict"]) == (
        "unclear",
        "r",
        [2],
        ["unclear"],
    )
    assert len(json.dumps(row)) < 1500
