"""The log of a saved session: every kind of edit, written, read, and made again under the layers' new ids."""

from __future__ import annotations

import json

import numpy as np
from tests.session.test_journal import edit_of_each_kind, kept

from napari_biofm.actions import JudgeCells, ReplaceMasks, SetBehaviour, from_record, replay
from napari_biofm.actions.log import MAKERS
from napari_biofm.images.edit.labels_edit import ArrayTarget, LabelsEdit
from napari_biofm.session import Session
from napari_biofm.session.saving import load_session, save_session
from napari_biofm.session.snapshot import SavedLayer, restore, snapshot
from napari_biofm.session.state import State
from napari_biofm.signals import Recording
from napari_biofm.signals.behaviour import Behaviour
from napari_biofm.signals.curation import verdicts_of


def edited(tmp_path):
    """A session with an edit of every kind, its labels, and the state it began with."""
    target = ArrayTarget(np.zeros((96, 96), np.int32), "cells")
    session, _, _ = kept(tmp_path / "journal", cells=target)
    cells_of_movie = Recording.from_arrays(np.zeros((1, 2, 50)), 10.0, "dF/F", labels=[3, 9])
    judged = session.add_recording(cells_of_movie, "cells of movie")
    first = State()
    for uid, entry in session.recordings.items():
        first.recordings[uid], first.events[uid] = entry.recording, session.event_table(uid)
    edit_of_each_kind(session, target)
    session.do(JudgeCells(judged, ((9, "", "reject"),)))
    session.do(SetBehaviour(judged, None, Behaviour(0, 0.5, 2.0)))
    masks = np.where(target.data == 3, 6, target.data)
    edit = LabelsEdit.whole("cells", "New thresholds", target.data.copy(), masks)
    session.do(ReplaceMasks(edit, {}, {"flow": 0.5}))
    pairs = [("alive", "#ff0000"), ("dead", "#00ff00"), ("third", "#0000ff")]
    cells = np.zeros((96, 96), np.int32)
    cells[:5, :5] = 40
    from napari_biofm.cells.table.cell_table import make_table
    from napari_biofm.cells.table.classes import CellClasses, write_classes

    table = make_table(cells, layer="nuclei")
    brought = CellClasses(*zip(*pairs), np.array([40]), np.array([2], np.int16))
    write_classes(table, brought)
    session.set_cells("nuclei", table)  # brings classes: a group of edits
    return session, target, first


def test_records_of_every_kind_survive_saving_and_make_the_same_action_again(tmp_path):
    session, target, _ = edited(tmp_path)
    layers = (SavedLayer("cells", "labels", "cells", data=target.data, shape=target.shape),)
    save_session(tmp_path / "day1", snapshot(session, layers))
    log = load_session(tmp_path / "day1").log
    assert {entry["kind"] for entry in log} == set(MAKERS), "there is an edit of every kind"
    assert list(log) == [json.loads(json.dumps(entry)) for entry in session.log]
    for entry in log:
        again = from_record(entry).record()
        assert json.loads(json.dumps(again)) == {k: v for k, v in entry.items() if k != "at"}


def test_the_log_of_a_reopened_session_replays_to_what_was_saved(tmp_path):
    session, target, first = edited(tmp_path)
    layers = (SavedLayer("cells", "labels", "cells", data=target.data, shape=target.shape),)
    save_session(tmp_path / "day1", snapshot(session, layers))
    again = Session()
    restore(again, load_session(tmp_path / "day1"), {"cells": "cells now", "movie": "movie now"})
    blank = ArrayTarget(np.zeros((96, 96), np.int32), "cells now")
    first.targets["cells now"] = blank
    assert replay(again.log, first) == len(session.log)
    np.testing.assert_array_equal(blank.data, target.data)
    assert first.classes["cells now"] == again.classes("cells now") == session.classes("cells")
    assert first.links == again.links and {a.cell.layer for a in again.links} == {"cells now"}
    np.testing.assert_array_equal(first.clocks["movie now"].times, session.clock("movie").times)
    assert first.detector == again.detector == session.detector
    assert first.recordings["patch"].channels == again.recordings["patch"].recording.channels
    verdicts = [verdicts_of(entry.recording) for entry in again.recordings.values()]
    assert [one for one in verdicts if one] == [{9: "reject"}]
    session.close()
