"""The journal: what a kill leaves behind is enough, whatever was edited."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from napari_biofm.actions import EditEvents, EditLabels, SetUnit, UseDetector
from napari_biofm.cells.table.cell_table import make_table
from napari_biofm.events import review
from napari_biofm.events.reviewed import same_rows
from napari_biofm.images.edit import LabelsEditor, Piece, View
from napari_biofm.images.edit.labels_edit import ArrayTarget, LabelsEdit
from napari_biofm.links import Link
from napari_biofm.selection import CellKey
from napari_biofm.session import Session, journal, recovery
from napari_biofm.session.journal import Journal
from napari_biofm.session.journal_files import JournalFiles
from napari_biofm.session.journal_list import find_journals, prune_journals, settle, unsaved
from napari_biofm.session.processes import started, this_host
from napari_biofm.session.recovery import recover
from napari_biofm.session.snapshot import SavedLayer, restore
from napari_biofm.signals import Recording
from napari_biofm.timeline import Clock
from napari_biofm.types import EVENT_DTYPE, SessionError


class Layers:
    """Layers without a viewer: arrays by their ids."""

    def __init__(self, **targets):
        self.targets = targets

    def described(self):
        movie = SavedLayer("movie", "image", "movie", shape=(4, 96, 96))
        return [
            movie,
            *(SavedLayer(u, "labels", f"name of {u}", shape=t.shape) for u, t in self.targets.items()),
        ]

    def masks(self, uid):
        return self.targets.get(uid)


def kept(root, *, seed=0, **targets):
    """A session with labels and two recordings, and its journal."""
    session, told = Session(), []
    for target in targets.values():
        session.attach_labels(target)
    values = np.random.default_rng(seed).normal(0, 1, 400).astype(np.float32)
    session.add_recording(Recording.from_arrays(values, 1000.0, "mV"), "patch")
    session.add_recording(Recording.from_arrays(np.stack([values, -values])[None], 10.0, "dF/F"), "traces")
    return session, Journal(session, root, Layers(**targets), told.append), told


def labels_of(got, uid="cells"):
    return next(layer.data for layer in got.saved.layers if layer.uid == uid)


def paint(session, target, region, value):
    before = target.read(region)
    edit = LabelsEdit.between(
        target, "paint", [([s.start for s in region], before, np.full_like(before, value))]
    )
    if edit:
        session.do(EditLabels(edit))


def edit_of_each_kind(session, target):
    """One edit of every kind, some of them undone."""
    events = np.zeros(5, EVENT_DTYPE)
    events["time_s"], events["class"], events["rise_s"] = np.arange(5) / 20, "AP", np.nan
    paint(session, target, np.s_[4:12, 4:12], 3)
    session.set_classes("cells", [("alive", "#ff0000"), ("dead", "#00ff00")])
    session.label_cells("cells", np.array([3, 9]), np.array([0, 1]))
    session.set_events("patch", events, {"detector": "threshold"})
    rows = review.delete_events(session.events("patch"), [1])
    session.do(EditEvents("patch", "delete events", rows))
    session.do(EditEvents("patch", "reject", review.judge_events(session.events("patch"), [0], "reject"), 0))
    session.link(Link("patch", 0, CellKey("cells", 3)))
    session.set_clock("movie", Clock.from_rate(4, 10.0, 0.5, recording="patch"))
    session.do(SetUnit("patch", 0, "pA", "Im", 2.0))
    session.do(UseDetector("teach", None, {"classes": ["blip"], "weights": [0.5, 1.5]}))
    session.undo()
    session.redo()
    paint(session, target, np.s_[8:16, 8:16], 4)
    session.undo()
    session.link(Link("traces", 1, CellKey("cells", 9)))
    session.undo()


def assert_all_is_back(got, session, target):
    """The recovered session is the one that was killed."""
    again = Session()
    restore(again, got.saved, {})
    np.testing.assert_array_equal(labels_of(got), target.data)
    assert again.classes("cells") == session.classes("cells") and len(again.classes("cells").labels) == 2
    assert list(again.recordings) == list(session.recordings)
    for uid, entry in session.recordings.items():
        back = again.recordings[uid]
        assert same_rows(back.events, entry.events)
        assert dict(back.provenance) == dict(entry.provenance)
        assert back.recording.channels == entry.recording.channels
        for c in range(entry.recording.n_channels):
            np.testing.assert_array_equal(back.recording.values(0, c), entry.recording.values(0, c))
    assert again.links == session.links and len(again.links) == 1
    np.testing.assert_array_equal(again.clock("movie").times, session.clock("movie").times)
    assert again.detector == session.detector is not None


def random_edit(rng, editor, view):
    """One edit of the kind a user makes."""
    index = editor.index
    alive = [k for k in index.labels if editor.piece(view, k)]
    kind = rng.integers(0, 6) if len(alive) > 1 else 0
    label = int(rng.choice(alive)) if alive else 0
    if kind == 0:
        y, x = rng.integers(0, 80, 2)
        h, w = rng.integers(3, 16, 2)
        return editor.commit(view, Piece.of(np.ones((h, w), bool), (int(y), int(x))), overwrite=bool(y % 2))
    if kind == 1:
        return editor.delete(label, view)
    if kind == 2:
        return editor.merge(label, int(next(k for k in alive if k != label)), view)
    if kind == 3:
        return editor.grow(view, label, int(rng.integers(-2, 4)))
    if kind == 4:
        cy, cx = editor.piece(view, label).centre()
        return editor.cut(view, label, np.array([[cy - 30, cx], [cy + 30, cx + 2]]))
    return editor.smooth(view, label)


def walk(target, steps, seed, session):
    """A random walk of edits, undos and redos."""
    history = session.history
    rng = np.random.default_rng(seed)
    editor = LabelsEditor(target)
    for _ in range(steps):
        view = View((int(rng.integers(0, target.shape[0])), 0, 0), (1, 2))
        choice = rng.random()
        if choice < 0.2 and history.can_undo:
            history.undo()
        elif choice < 0.35 and history.can_redo:
            history.redo()
        else:
            edit = random_edit(rng, editor, view)
            if edit:
                session.do(EditLabels(edit))
                editor.index.changed(edit.patches)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_random_walk_of_500_edits_with_undo_and_redo_is_replayed_bit_by_bit(tmp_path, seed, monkeypatch):
    target = ArrayTarget(np.zeros((3, 96, 96), np.int32), "cells")
    session, written, _ = kept(tmp_path, cells=target)
    walk(target, 250, seed, session)
    monkeypatch.setattr(journal, "AT_ONCE", 1)
    monkeypatch.setattr("napari_biofm.session.journal_parts.SLAB", 96 * 96)
    session.labels_changed_outside("cells")
    written.step_at_once()  # a fresh snapshot half way, while somebody draws
    while written.is_busy:
        written.step()
        walk(target, 10, seed + 10, session)
    walk(target, 250, seed + 20, session)
    got = recover(written.folder)
    assert labels_of(got).dtype == np.int32 and np.array_equal(labels_of(got), target.data)
    assert got.n_edits > 200 and got.missing == ()
    while session.history.can_undo:
        session.undo()
    assert not target.data.any(), "undoing everything leads back to the beginning"
    session.close()


def test_an_edit_of_every_kind_comes_back_from_the_journal(tmp_path):
    target = ArrayTarget(np.zeros((96, 96), np.int32), "cells")
    session, written, _ = kept(tmp_path, cells=target)
    edit_of_each_kind(session, target)
    got = recover(written.folder)
    assert got.missing == ()
    assert_all_is_back(got, session, target)
    assert [dict(r, at="") for r in got.saved.log] == [
        json.loads(json.dumps(dict(r, at=""))) for r in session.log
    ]
    session.close()


@pytest.mark.parametrize("after", [1, 3, 7])
def test_a_fresh_base_after_many_edits_changes_nothing(tmp_path, monkeypatch, after):
    monkeypatch.setattr(journal, "COMPACT_AFTER", after)
    target = ArrayTarget(np.zeros((96, 96), np.int32), "cells")
    session, written, _ = kept(tmp_path, cells=target)
    edit_of_each_kind(session, target)
    for _ in range(3):
        written.step()
    paint(session, target, np.s_[30:40, 30:40], 7)
    got = recover(written.folder)
    assert got.missing == () and got.n_edits <= 16
    assert_all_is_back(got, session, target)
    session.close()


def test_what_comes_and_goes_between_edits_is_in_the_journal(tmp_path):
    target = ArrayTarget(np.zeros((96, 96), np.int32), "cells")
    session, written, _ = kept(tmp_path, cells=target)
    session.set_clock("movie", Clock.from_rate(4, 10.0))
    session.add_recording(Recording.from_arrays(np.arange(50.0), 10.0, "pA"), "third")
    session.do(SetUnit("third", 0, "nA"))
    session.remove_recording("traces")
    session.set_cells("cells", make_table(np.pad(np.ones((9, 9), np.int32), 3), layer="cells"))
    session.set_classes("cells", [("alive", "#ff0000")])
    written.finish()
    got = recover(written.folder)
    assert got.missing == () and list(got.saved.recordings) == ["patch", "third"]
    assert got.saved.recordings["third"].channels[0].unit == "nA"
    assert got.saved.cells["cells"].obs["label"].tolist() == [1]
    session.close()


def test_masks_that_something_else_changed_are_written_again_and_edits_go_on_over_them(tmp_path):
    target = ArrayTarget(np.zeros((96, 96), np.int32), "cells")
    session, written, _ = kept(tmp_path, cells=target)
    paint(session, target, np.s_[4:12, 4:12], 3)
    target.data[50:60, 50:60] = 8
    session.labels_changed_outside("cells", [8])
    paint(session, target, np.s_[55:65, 55:65], 9)
    written.finish()
    target.data[70:80] = 2
    session.labels_changed_outside("cells")
    session.undo()
    written.finish()
    np.testing.assert_array_equal(labels_of(recover(written.folder)), target.data)
    session.close()


def test_a_stroke_of_a_brush_is_logged_and_needs_no_fresh_snapshot(tmp_path):
    target = ArrayTarget(np.zeros((96, 96), np.int32), "cells")
    session, written, _ = kept(tmp_path, cells=target)
    paint(session, target, np.s_[4:12, 4:12], 3)
    before = sorted(written.folder.glob("masks-*"))
    region = np.s_[20:30, 20:30]
    edit = LabelsEdit.between(
        target, "brush", [((20, 20), target.read(region), np.full((10, 10), 5, np.int32))]
    )
    target.data[region] = 5
    session.do(EditLabels(edit), applied=True)
    written.finish()
    assert sorted(written.folder.glob("masks-*")) == before
    np.testing.assert_array_equal(labels_of(recover(written.folder)), target.data)
    session.close()


KILLED = """
import os, sys
from pathlib import Path
import numpy as np
from napari_biofm.images.edit.labels_edit import ArrayTarget
from tests.session.test_journal import edit_of_each_kind, kept
target = ArrayTarget(np.zeros((96, 96), np.int32), "cells")
session, written, _ = kept(Path(sys.argv[1]), cells=target)
edit_of_each_kind(session, target)
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signal 9 is a POSIX matter")
def test_a_process_killed_with_signal_9_loses_nothing_that_was_done(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], timeout=120, check=False)
    assert done.returncode == -9
    found = find_journals(tmp_path)
    assert [f.closed for f in found] == [False] and not found[0].in_use
    assert unsaved(tmp_path) == found and set(found[0].about["names"]) == {"name of cells", "patch", "traces"}
    got = recover(found[0].folder)
    target = ArrayTarget(np.zeros((96, 96), np.int32), "cells")
    session, _, _ = kept(tmp_path / "other", cells=target)
    edit_of_each_kind(session, target)
    assert got.missing == ()
    assert_all_is_back(got, session, target)
    settle(found[0].folder)
    assert unsaved(tmp_path) == []
    session.close()


# ------------------------------------------------------------------ damage


def painted(root, n=3):
    target = ArrayTarget(np.zeros((32, 32), np.int32), "cells")
    session, written, _ = kept(root, cells=target)
    editor = LabelsEditor(target)
    session.set_clock("movie", Clock.from_rate(4, 10.0))
    for k in range(n):
        edit = editor.commit(View.last(2), Piece.of(np.ones((3, 3), bool), (5 * k, 0)))
        session.do(EditLabels(edit))
        editor.index.changed(edit.patches)
    session.set_events("patch", np.zeros(2, EVENT_DTYPE), {"detector": "x"})
    for verdict in ("accept", "reject"):
        session.do(
            EditEvents("patch", verdict, review.judge_events(session.events("patch"), [0], verdict), 0)
        )
    session.link(Link("patch", 0, CellKey("cells", 1)))
    log = written.folder / "log-1.jsonl"
    session.close()
    return written, log


def test_a_line_cut_short_is_lost_and_a_damaged_one_in_the_middle_is_named(tmp_path):
    _, log = painted(tmp_path)
    whole = log.read_bytes()
    log.write_bytes(whole[:-20])
    got = recover(log.parent)
    assert len(got.missing) == 1 and "Line 8" in got.missing[0] and "cut short" in got.missing[0]
    assert got.saved.links == () and labels_of(got).max() == 3
    lines = whole.splitlines()
    log.write_bytes(b"\n".join([lines[0], lines[1], lines[2][:30], *lines[3:]]) + b"\n")
    got = recover(log.parent)
    assert "Line 3 of log-1.jsonl is damaged" in got.missing[0]
    assert sorted(np.unique(labels_of(got))) == [0, 1, 3], "what can be made again is"
    assert len(got.saved.links) == 1 and got.saved.events["patch"]["verdict"][0] == "reject"


def test_damage_takes_only_what_follows_from_it(tmp_path):
    _, log = painted(tmp_path)
    lines = log.read_bytes().splitlines()
    lines[5] = lines[5].replace(b"accept", b"acc\x00pt", 1).replace(b'"', b"", 1)
    log.write_bytes(b"\n".join(lines) + b"\n")
    got = recover(log.parent)
    told = " ".join(got.missing)
    assert "Line 6 of log-1.jsonl is damaged" in told
    assert "The recording 'patch': line 7 of the log, 'reject', cannot be done again" in told
    assert len(got.saved.events["patch"]) == 2 and len(got.saved.links) == 1
    assert sorted(np.unique(labels_of(got))) == [0, 1, 2, 3]


def test_damaged_masks_are_told_and_the_rest_comes_back(tmp_path):
    _, log = painted(tmp_path)
    (next(log.parent.glob("masks-*")) / "zarr.json").write_text("{")
    got = recover(log.parent)
    assert any("masks of 'name of cells' are missing" in text for text in got.missing)
    assert len(got.saved.links) == 1 and "movie" in got.saved.clocks and len(got.saved.events["patch"]) == 2


def test_a_journal_cannot_name_files_outside_its_folder(tmp_path):
    _, log = painted(tmp_path)
    base = max(log.parent.glob("base-*.json"))
    content = json.loads(base.read_text())
    content["recordings"][0]["events"] = "../../secret.json"
    base.write_text(json.dumps(content))
    with pytest.raises(SessionError, match="outside the journal"):
        recover(log.parent)


def test_what_is_no_journal_is_refused_by_name_and_old_ones_are_pruned(tmp_path):
    with pytest.raises(SessionError, match=r"journal\.json"):
        recover(tmp_path)
    for _ in range(4):
        painted(tmp_path, 1)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "journal.json").write_text(json.dumps({"version": 99}))
    assert len(find_journals(tmp_path)) == 4
    prune_journals(tmp_path, keep=1)
    assert len(find_journals(tmp_path)) == 1


# ------------------------------------------------------------------ the disk is full


def test_a_full_disk_is_told_once_and_recovery_says_what_is_missing(tmp_path, monkeypatch):
    target = ArrayTarget(np.zeros((96, 96), np.int32), "cells")
    session, written, told = kept(tmp_path, cells=target)
    paint(session, target, np.s_[4:12, 4:12], 3)
    append = JournalFiles.append

    def full(self, entry):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(JournalFiles, "append", full)
    paint(session, target, np.s_[20:30, 20:30], 5)
    session.set_clock("movie", Clock.from_rate(4, 10.0))
    written.step()
    assert len(told) == 1 and "No space left on device" in told[0]
    assert (target.data == 5).sum() == 100 and session.clock("movie") is not None, "the session goes on"
    got = recover(written.folder)
    assert got.missing == ("The disk was full: 2 edits could not be written (paint, set clock).",)
    assert sorted(np.unique(labels_of(got))) == [0, 3]
    monkeypatch.setattr(JournalFiles, "append", append)
    written.step()
    got = recover(written.folder)
    assert got.missing == ()
    np.testing.assert_array_equal(labels_of(got), target.data)
    assert "movie" in got.saved.clocks
    session.close()


LIMITED = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from napari_biofm.images.edit.labels_edit import ArrayTarget
from tests.session.test_journal import kept, paint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
target = ArrayTarget(np.zeros((96, 96), np.int32), "cells")
session, written, told = kept(Path(sys.argv[1]), cells=target)
paint(session, target, np.s_[0:9, 0:9], 3)
log = next(Path(sys.argv[1]).glob("*/log-1.jsonl"))
resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 100, -1))
for k in range(4):
    paint(session, target, np.s_[20:30, 20:30], 5 + k)
assert len(told) == 1, told
resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
written.step()
paint(session, target, np.s_[40:50, 40:50], 9)
np.save(sys.argv[2], target.data)
import os; os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are a POSIX matter")
def test_a_line_cut_by_a_full_disk_does_not_take_the_next_one_with_it(tmp_path):
    told = tmp_path / "labels.npy"
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "j"), str(told)], timeout=120, check=False
    )
    assert done.returncode == -9
    got = recover(unsaved(tmp_path / "j")[0].folder)
    np.testing.assert_array_equal(labels_of(got), np.load(told))
    assert all("damaged" in text for text in got.missing), (
        "nothing but the line that was cut, which a base holds"
    )


# ------------------------------------------------------------------ who is at work


def rewritten(folder: Path, **what):
    head = json.loads((folder / "journal.json").read_text())
    (folder / "journal.json").write_text(json.dumps({**head, "closed": False, **what}))


def test_a_journal_is_in_use_while_its_process_lives_and_no_other_of_its_number(tmp_path):
    _, log = painted(tmp_path)
    folder = log.parent
    rewritten(folder)
    assert find_journals(tmp_path)[0].in_use, "this process is alive"
    rewritten(folder, started="at another time")
    assert not find_journals(tmp_path)[0].in_use, "its number was given to another process"
    rewritten(folder, pid=1, started="at another time")
    assert not find_journals(tmp_path)[0].in_use, "number 1 lives in every container"
    rewritten(folder, host="elsewhere", pid=1)
    os.utime(folder / "heartbeat")
    assert find_journals(tmp_path)[0].in_use, "somebody on another host is at work"
    os.utime(folder / "heartbeat", (time.time() - 3600,) * 2)
    assert not find_journals(tmp_path)[0].in_use
    assert [f.folder for f in unsaved(tmp_path)] == [folder]


def test_clean_up_leaves_journals_that_are_in_use_and_those_nobody_has_seen(tmp_path):
    folders = [painted(tmp_path, 1)[1].parent for _ in range(3)]
    rewritten(folders[0])  # of this process, at work
    rewritten(folders[1], pid=999_999_999, started="before")  # killed
    prune_journals(tmp_path, keep=0)
    assert {f.folder for f in find_journals(tmp_path)} == set(folders[:2])
    settle(folders[1])
    prune_journals(tmp_path, keep=0)
    assert [f.folder for f in find_journals(tmp_path)] == folders[:1]


def test_the_start_of_a_process_is_known_and_of_none_is_none():
    assert started(os.getpid()) == started(os.getpid()) is not None
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert started(child.pid) is not None
    child.communicate(b"\n")
    assert started(child.pid) is None or started(child.pid) != started(os.getpid())
    assert this_host()


def test_sessions_saved_by_themselves_by_version_0_1_are_found(tmp_path):
    from napari_biofm.session.saving import save_session
    from napari_biofm.session.snapshot import snapshot

    session, _, _ = kept(tmp_path / "other", cells=ArrayTarget(np.zeros((9, 9), np.int32), "cells"))
    folder = save_session(tmp_path / "20261130-120000-999999999", snapshot(session))
    assert [(f.folder, f.kind) for f in unsaved(tmp_path)] == [(folder, recovery.SESSION_0_1)]
    assert list(recover(folder).saved.recordings) == ["patch", "traces"]
    settle(folder)
    assert unsaved(tmp_path) == []
    session.close()


def test_the_thread_of_the_journal_outlives_whatever_it_was_given(tmp_path):
    files = JournalFiles(tmp_path)

    def broken() -> None:
        raise KeyError("colours")  # what zarr says where its folder is gone

    done: list[int] = []
    files.beside(broken)
    files.beside(lambda: done.append(1))
    files.wait()
    assert done == [1] and isinstance(files.failure, KeyError)
    files.close()
