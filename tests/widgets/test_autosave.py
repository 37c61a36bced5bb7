"""Whatever dock is open, a killed napari loses nothing: edits of every kind come back in the next one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from napari_biofm.controllers.common.layers import layer_id
from napari_biofm.events.physio_fm.head import AdaptedHead
from napari_biofm.session.journal_files import FOLDER_VARIABLE
from napari_biofm.session.journal_list import find_journals, unsaved
from napari_biofm.widgets.common.viewers import viewer_session

KILLED = """
import importlib, os, signal, sys  # folder, dock, folder, dock ...: a napari for each, forked when all is imported
from pathlib import Path
import numpy as np, napari
from qtpy.QtWidgets import QApplication
from napari_biofm.actions import EditEvents, SetUnit, UseDetector
from napari_biofm.events import review
from napari_biofm.events.physio_fm.head import AdaptedHead
from napari_biofm.links import Link
from napari_biofm.selection import CellKey
from napari_biofm.session import session_of
from napari_biofm.session.journal_files import FOLDER_VARIABLE
from napari_biofm.signals import Recording
from napari_biofm.timeline import Clock
from napari_biofm.types import EVENT_DTYPE
from napari_biofm.widgets.common.autosave import autosave_of
from napari_biofm.controllers.common.layers import layer_id
import napari.viewer, napari.layers

asked, children = list(zip(sys.argv[2::2], sys.argv[3::2])), []
for folder, dock in asked:
    children.append(os.fork())
    if not children[-1]:
        break
else:
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.exit(0 if ends == [-signal.SIGKILL] * len(ends) else str(ends))

os.environ[FOLDER_VARIABLE] = folder
viewer = napari.Viewer(show=False)
masks = np.zeros((40, 50), np.int32)
masks[4:12, 4:12], masks[20:30, 30:44] = 2, 5
movie = viewer.add_image(np.zeros((6, 40, 50), np.uint8), name="movie", scale=(1, 2, 2))
cells = viewer.add_labels(masks, name="cells", scale=(2, 2))
module, name = dock.split(":")
frame = getattr(importlib.import_module(module), name)(viewer)
viewer.window.add_dock_widget(frame)
dock = getattr(frame, "content", frame)
session, uid = dock.session, layer_id(cells)
session.set_classes(uid, [("alive", "#ff0000"), ("dead", "#00ff00")], "classes")
session.label_cells(uid, np.array([2, 5]), np.array([1, 0]))
values = np.sin(np.arange(4000) / 30).astype(np.float32)
session.add_recording(Recording.from_arrays(values, 1000.0, "mV"), "patch")
events = np.zeros(3, EVENT_DTYPE)
events["time_s"], events["class"], events["rise_s"] = [0.5, 1.5, 2.5], "AP", np.nan
session.set_events("patch", events, {"detector": "threshold"})
session.do(EditEvents("patch", "delete events", review.delete_events(session.events("patch"), [1])))
session.do(EditEvents("patch", "accept", review.judge_events(session.events("patch"), [0], "accept"), 0))
session.link(Link("patch", 0, CellKey(uid, 5)))
session.set_clock(layer_id(movie), Clock.from_rate(6, 2.0, 0.25, recording="patch"))
session.do(SetUnit("patch", 0, "pA", "Im"))
session.do(UseDetector("teach", None, AdaptedHead.load(Path(sys.argv[1])).to_plain()))
cells.paint((2, 45), 7)  # napari's own brush: in the log where a dock makes it an edit, else seen as a change
session.label_cells(uid, np.array([2]), np.array([-1]))
session.undo()
while not autosave_of(session).journal.is_quiet:
    QApplication.processEvents()
os.kill(os.getpid(), signal.SIGKILL)
"""
TAUGHT = Path(__file__).parents[1] / "fixtures" / "version_0_1" / "files" / "taught.safetensors"
DOCKS = {
    "cells": "napari_biofm.widgets.cells:CellsDock",
    "traces": "napari_biofm.widgets.trace:TraceDock",
    "annotate": "napari_biofm.widgets.annotate:AnnotateDock",
}


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Return what each of three naparis left that were killed, one with every dock."""
    folders = {which: tmp_path_factory.mktemp(which) / "auto" for which in DOCKS}
    pairs = [str(part) for which, folder in folders.items() for part in (folder, DOCKS[which])]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(TAUGHT), *pairs],
        timeout=280,
        check=False,
        env=dict(os.environ),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folders


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signal 9 is a POSIX matter")
@pytest.mark.parametrize("which", list(DOCKS))
def test_edits_of_every_kind_come_back_after_a_kill_whichever_dock_is_open(
    viewer, killed, monkeypatch, which
):
    import importlib

    kept = killed[which]
    monkeypatch.setenv(FOLDER_VARIABLE, str(kept))
    assert len(unsaved(kept)) == 1
    viewer.add_image(np.zeros((6, 40, 50), np.uint8), name="movie", scale=(1, 2, 2))
    module, name = DOCKS[which].split(":")
    frame = getattr(importlib.import_module(module), name)(viewer)
    viewer.window.add_dock_widget(frame)
    dock = getattr(frame, "content", frame)
    QApplication.processEvents()
    assert not dock.recovery.isHidden() and "'cells', 'patch'" in dock.recovery.text.text()
    dock.recovery.recover_button.click()
    session, layer = viewer_session(viewer), viewer.layers["cells (recovered)"]
    uid = layer_id(layer)
    assert sorted(np.unique(layer.data)) == [0, 2, 5, 7] and layer.scale.tolist() == [2, 2]
    classes = session.classes(uid)
    assert classes.names == ("alive", "dead") and classes.codes_of(np.array([2, 5, 7])).tolist() == [1, 0, -1]
    table = session.event_table("patch")
    assert table.events["time_s"].tolist() == [0.5, 2.5] and table.events["verdict"].tolist() == [
        "accept",
        "",
    ]
    assert table.provenance == {"detector": "threshold", "by_hand": {"delete events": 1}}
    recording = session.recordings["patch"].recording
    assert (recording.channels[0].unit, recording.channels[0].name) == ("pA", "Im")
    np.testing.assert_allclose(recording.values(0, 0), np.sin(np.arange(4000) / 30), atol=1e-6)
    assert [(a.recording, a.channel, a.cell.layer, a.cell.label) for a in session.links] == [
        ("patch", 0, uid, 5)
    ]
    clock = session.clock(layer_id(viewer.layers["movie"]))
    assert clock.times[:2].tolist() == [0.25, 0.75] and clock.recording == "patch"
    assert session.detector == AdaptedHead.load(TAUGHT).to_plain()
    assert dock.recovery.isHidden() and unsaved(kept) == []
    session.close()
    assert all(found.closed for found in find_journals(kept))


def test_masks_that_any_plugin_changes_are_kept(viewer, tmp_path, monkeypatch):
    from napari_biofm.session.recovery import recover
    from napari_biofm.widgets.common.autosave import autosave_of

    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "auto"))
    session = viewer_session(viewer)
    layer = viewer.add_labels(np.zeros((30, 30), np.int32), name="cells")
    session.set_classes(layer_id(layer), [("alive", "#ff0000")])
    layer.data = np.pad(np.full((5, 5), 3, np.int32), ((2, 23), (2, 23)))
    journal = autosave_of(session).journal
    journal.finish()
    (kept,) = recover(journal.folder).saved.layers
    np.testing.assert_array_equal(kept.data, layer.data)
    layer.data_setitem((np.array([20]), np.array([20])), 9)
    (kept,) = recover(journal.folder).saved.layers
    np.testing.assert_array_equal(kept.data, layer.data)


def test_nothing_is_written_where_nothing_was_done_or_it_is_switched_off(viewer, tmp_path, monkeypatch):
    from napari_biofm.widgets.common.autosave import autosave_of

    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "auto"))
    session = viewer_session(viewer)
    viewer.add_labels(np.zeros((30, 30), np.int32), name="cells")
    autosave_of(session).step()
    assert not (tmp_path / "auto").exists()
    session.close()
    monkeypatch.setenv(FOLDER_VARIABLE, "off")
    assert autosave_of(viewer_session(viewer)) is None
