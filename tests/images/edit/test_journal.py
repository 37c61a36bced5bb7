"""The journal: what a kill leaves behind is enough."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from napari_biofm.actions import EditLabels
from napari_biofm.images.edit import LabelsEditor, Piece, View
from napari_biofm.images.edit.journal import Journal, find_journals, prune_journals, recover
from napari_biofm.images.edit.labels_edit import ArrayTarget
from napari_biofm.session import Session
from napari_biofm.types import SessionError


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
def test_a_random_walk_of_500_edits_with_undo_and_redo_is_replayed_bit_by_bit(tmp_path, seed):
    target = ArrayTarget(np.zeros((3, 96, 96), np.int32), "uid")
    session = Session()
    session.attach_labels(target)
    history = session.history
    journal = Journal(tmp_path / "j", target, {"name": "cells"})
    journal.start()
    history.recorded.connect(journal.write)
    walk(target, 250, seed, session)
    for _ in journal.snapshot():  # a fresh snapshot half way
        walk(target, 10, seed + 10, session)
    walk(target, 250, seed + 20, session)
    got = recover(tmp_path / "j")
    journal.close()
    assert got.labels.dtype == np.int32 and np.array_equal(got.labels, target.data)
    assert got.about == {"name": "cells"} and got.n_edits > 200
    while history.can_undo:
        history.undo()
    assert not target.data.any(), "undoing everything leads back to the beginning"


KILLED = """
import os, sys
import numpy as np
from napari_biofm.actions import EditLabels
from napari_biofm.session import Session
from napari_biofm.images.edit.labels_edit import ArrayTarget
from napari_biofm.images.edit import LabelsEditor, Piece, View
from napari_biofm.images.edit.journal import Journal
target = ArrayTarget(np.zeros((64, 64), np.int32), "uid")
journal = Journal(sys.argv[1], target); journal.start()
session = Session(); session.attach_labels(target); session.history.recorded.connect(journal.write)
editor = LabelsEditor(target)
for k in range(7):
    edit = editor.commit(View.last(2), Piece.of(np.ones((4, 4), bool), (8 * k, 8 * k)))
    session.do(EditLabels(edit)); editor.index.changed(edit.patches)
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signal 9 is a POSIX matter")
def test_a_process_killed_with_signal_9_loses_nothing_that_was_done(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "j")], timeout=60, check=False)
    assert done.returncode == -9
    found = find_journals(tmp_path)
    assert [f.closed for f in found] == [False] and not found[0].in_use
    got = recover(found[0].folder)
    assert set(np.unique(got.labels)) == set(range(8)) and got.n_edits == 7


def test_a_line_cut_short_is_lost_and_a_damaged_one_in_the_middle_is_named(tmp_path):
    target = ArrayTarget(np.zeros((32, 32), np.int32), "uid")
    journal = Journal(tmp_path / "j", target)
    journal.start()
    editor = LabelsEditor(target)
    for k in range(3):
        edit = editor.commit(View.last(2), Piece.of(np.ones((3, 3), bool), (5 * k, 0)))
        edit.write(target)
        editor.index.changed(edit.patches)
        journal.write(edit.record())
    journal.write({"action": "link", "layer": "other"})
    journal.close()
    log = tmp_path / "j" / "log-0.jsonl"
    whole = log.read_text()
    log.write_text(whole[:-20])
    got = recover(tmp_path / "j")
    assert got.lost == 1 and got.n_edits == 2 and got.labels.max() == 2
    lines = whole.splitlines()
    log.write_text("\n".join([lines[0][:30], *lines[1:]]))
    with pytest.raises(SessionError, match="line 1"):
        recover(tmp_path / "j")


def test_what_is_no_journal_is_refused_by_name_and_old_ones_are_pruned(tmp_path):
    with pytest.raises(SessionError, match=r"journal\.json"):
        recover(tmp_path)
    for k in range(4):
        journal = Journal(tmp_path / f"j{k}", ArrayTarget(np.zeros((8, 8), np.uint8), "uid"))
        journal.start()
        journal.close()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "journal.json").write_text(json.dumps({"version": 99}))
    assert len(find_journals(tmp_path)) == 4
    prune_journals(tmp_path, keep=1)
    assert len(find_journals(tmp_path)) == 1
