"""A random walk of edits of every kind through docks in a real viewer: undone, replayed and measured afresh.

    python benchmarks/edits.py --json            1,000 edits, twice: by us alone, and with others changing layers
    python benchmarks/edits.py --json --quick    100 edits each

Edits go through napari's brush, the editor of masks, the Cells dock, event and link edits of the session; undo and redo are
pressed in the Cells and in the Timeline dock. At the end: undoing all gives the first state back exactly, the replayed log
gives the last one, and the table of cells equals a fresh measurement. With others at work (layers replaced, arrays
changed in place, layers removed) nothing may raise, and undo must not get stuck. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from screen import ensure_screen

os.environ.setdefault("NAPARI_BIOFM_ENGINE", "inline")
os.environ.setdefault("NAPARI_BIOFM_AUTOSAVE", "off")
SHAPE = (320, 320)
LAYERS = ("cells", "nuclei")


@dataclass
class Outcome:
    """What came of a walk."""

    edits: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    skipped: list[str] = field(default_factory=list)
    undone_to_start: bool = False
    log_replays: bool = False
    table_is_fresh: bool = False
    seconds: float = 0.0


class Walk:
    """Random edits of one viewer.

    Parameters
    ----------
    viewer : empty.
    seed : of all choices.
    others : whether layers are also changed by something that is no action of ours.
    """

    def __init__(self, viewer: Any, seed: int = 0, others: bool = False) -> None:
        from napari_biofm.signals import Recording
        from napari_biofm.widgets.cells import CellsDock
        from napari_biofm.widgets.common.cell_tables import cell_tables
        from napari_biofm.widgets.common.viewers import layer_id, viewer_session
        from napari_biofm.widgets.timeline import TimelineDock

        self.rng = np.random.default_rng(seed)
        self.viewer, self.others = viewer, others
        self.outcome = Outcome()
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
        viewer.add_image(np.hypot(y - 160, x - 160).astype(np.float32), name="field")
        self.uids = {}
        for k, name in enumerate(LAYERS):
            self.uids[name] = layer_id(viewer.add_labels(_discs(k), name=name))
        self.session = viewer_session(viewer)
        self.session.set_layers(image=layer_id(viewer.layers["field"]), labels=self.uids["cells"])
        self.cells, self.timeline = CellsDock(viewer), TimelineDock(viewer)
        for dock in (self.cells, self.timeline):
            viewer.window.add_dock_widget(dock)
        values = np.random.default_rng(1).normal(0, 1, (2, 2000)).astype(np.float32)
        self.session.add_recording(Recording.from_arrays(values[None], 1000.0, "mV"), "patch")
        self.session.history.skipped.connect(self.outcome.skipped.append)
        settle()
        self.content = self.cells.content
        self.tables = cell_tables(viewer, self.session)
        self.content.measure()
        settle()
        self.first = self.described()
        self.start_log = len(self.session.log)

    # ------------------------------------------------------------------ one edit

    def choices(self) -> list[tuple[Callable[[], None], float]]:
        """What can be done, each with its share."""
        choices: list[tuple[Callable[[], None], float]] = [
            (self.brush, 3),
            (self.edit_masks, 3),
            (self.large_edit, 0.3),
            (self.classes, 1),
            (self.label_cells, 4),
            (self.events, 4),
            (self.links, 1),
            (self.clock, 0.5),
            (self.unit, 0.5),
            (self.thresholds, 0.5),
            (self.undo, 4),
            (self.redo, 2),
        ]
        if self.others:
            choices += [(self.replace_data, 0.5), (self.change_in_place, 0.5), (self.remove_layer, 0.05)]
        return choices

    def step(self) -> None:
        """Do one edit, undo or redo."""
        choices = self.choices()
        weights = np.array([w for _, w in choices])
        chosen = choices[int(self.rng.choice(len(choices), p=weights / weights.sum()))][0]
        self.outcome.kinds[chosen.__name__] += 1
        self.outcome.edits += 1
        chosen()

    def layer(self) -> Any | None:
        """One of the labels layers that are still there."""
        there = [layer for layer in self.viewer.layers if layer.name in LAYERS]
        return there[int(self.rng.integers(len(there)))] if there else None

    def brush(self) -> None:
        layer = self.layer()
        if layer is not None:
            layer.brush_size = int(self.rng.integers(2, 30))
            layer.paint(tuple(self.rng.uniform(0, SHAPE)), int(self.rng.integers(0, 40)))

    def edit_masks(self) -> None:
        from napari_biofm.actions import EditLabels
        from napari_biofm.images.edit import LabelsEditor, View

        layer = self.layer()
        if layer is None:
            return
        target = self.session._state.labels_target(self.uids[layer.name])
        editor, view = LabelsEditor(target), View.last(2)
        alive = editor.index.labels
        if len(alive) < 2:
            return
        one, other = (int(k) for k in self.rng.choice(alive, 2, replace=False))
        makers = (
            lambda: editor.delete(one, view),
            lambda: editor.merge(one, other, view, everywhere=True),
            lambda: editor.grow(view, one, int(self.rng.integers(-3, 6))),
            lambda: editor.relabel({one: other, other: one}, 0, 0, SHAPE[0]),
        )
        edit = makers[int(self.rng.integers(len(makers)))]()
        if edit:
            self.session.do(EditLabels(edit))

    def large_edit(self) -> None:
        """More pixels at once than napari tells of by its paint event."""
        from napari_biofm.actions import EditLabels
        from napari_biofm.images.edit.labels_edit import LabelsEdit

        layer = self.layer()
        if layer is not None:
            after = np.roll(np.asarray(layer.data), int(self.rng.integers(1, 40)), axis=0)
            edit = LabelsEdit.whole(self.uids[layer.name], "shift", np.asarray(layer.data), after)
            if edit:
                self.session.do(EditLabels(edit))

    def classes(self) -> None:
        states = self.content.states
        names = [name for name, _ in states.classes]
        if len(names) < 4:
            states.add_class(f"class {self.rng.integers(1000)}")
        else:
            states.rename(int(self.rng.integers(len(names))), f"class {self.rng.integers(1000, 9999)}")

    def label_cells(self) -> None:
        states = self.content.states
        if len(states.values) and states.classes:
            rows = self.rng.choice(len(states.values), min(3, len(states.values)), replace=False)
            states.assign(np.sort(rows), int(self.rng.integers(-1, len(states.classes))))

    def events(self) -> None:
        from napari_biofm.session.event_editor import EventEditor

        editor = EventEditor(self.session, "patch")
        n, at = len(editor.events), float(self.rng.uniform(0, 1.9))
        if not n or self.rng.random() < 0.4:
            editor.add(0, int(self.rng.integers(2)), at, "AP")
            return
        row = int(self.rng.integers(n))
        kind = int(self.rng.integers(4))
        if kind == 0:
            editor.judge([row], str(self.rng.choice(["accept", "reject", "unclear", ""])))
        elif kind == 1:
            editor.move(row, at)
        elif kind == 2:
            editor.reclass([row], "EPSP")
        else:
            editor.delete([row])

    def links(self) -> None:
        from napari_biofm.session import CellKey, Link

        self.session.link(
            Link(
                "patch", int(self.rng.integers(2)), CellKey(self.uids["cells"], int(self.rng.integers(1, 9)))
            )
        )

    def clock(self) -> None:
        from napari_biofm.timeline import Clock

        self.session.set_clock(
            "movie", Clock.from_rate(50, float(self.rng.integers(1, 60)), recording="patch")
        )

    def unit(self) -> None:
        from napari_biofm.actions import SetUnit

        self.session.do(SetUnit("patch", int(self.rng.integers(2)), str(self.rng.choice(["mV", "pA", "V"]))))

    def thresholds(self) -> None:
        from napari_biofm.actions import ReplaceMasks
        from napari_biofm.images.edit.labels_edit import LabelsEdit

        layer = self.layer()
        if layer is not None:
            uid, now = self.uids[layer.name], np.asarray(layer.data)
            after = np.where(self.rng.random(SHAPE) < 0.01, 0, now).astype(now.dtype)
            edit = LabelsEdit.whole(uid, "New thresholds", now, after)
            if edit:
                self.session.do(ReplaceMasks(edit, {}, {"flow_threshold": float(self.rng.random())}))

    def undo(self) -> None:
        """Press the button of one dock or the other."""
        if self.rng.random() < 0.5:
            self.timeline.undo_button.click()
        else:
            self.content.undo()

    def redo(self) -> None:
        self.timeline.redo_button.click()

    # ------------------------------------------------------------------ others at work

    def replace_data(self) -> None:
        layer = self.layer()
        if layer is not None:
            layer.data = np.roll(np.asarray(layer.data), 7, axis=1)

    def change_in_place(self) -> None:
        layer = self.layer()
        if layer is not None:
            layer.data[40:60, 40:60] = int(self.rng.integers(0, 9))
            layer.refresh()

    def remove_layer(self) -> None:
        layer = self.layer()
        if layer is not None and len([one for one in self.viewer.layers if one.name in LAYERS]) > 1:
            self.viewer.layers.remove(layer)

    # ------------------------------------------------------------------ the end

    def described(self) -> dict[str, Any]:
        """Everything that edits can change, as text and arrays."""
        labels = {n: np.array(self.viewer.layers[n].data) for n in LAYERS if n in self.viewer.layers}
        return _described(self.session, labels)

    def finish(self) -> Outcome:
        """Compare table, log and first state; undo everything."""
        settle()
        self.tables.flush()
        settle()
        self.outcome.table_is_fresh = self._table_is_fresh()
        self.outcome.log_replays = self.others or self._log_replays()
        for _ in range(20 * self.outcome.edits + 100):
            if not self.session.history.can_undo:
                break
            self.undo()
        self.outcome.undone_to_start = self.session.history.can_undo is False and (
            self.others or _same(self.described(), self.first)
        )
        return self.outcome

    def _table_is_fresh(self) -> bool:
        from napari_biofm.cells.table.cell_table import make_table

        for name in LAYERS:
            table = self.session.cells(self.uids[name])
            if name not in self.viewer.layers or table is None:
                continue
            fresh = make_table(np.asarray(self.viewer.layers[name].data), layer=self.uids[name])
            columns = ["label", "area", "centroid-0", "centroid-1"]
            if table.n_obs != fresh.n_obs or not np.allclose(
                table.obs[columns].to_numpy(float), fresh.obs[columns].to_numpy(float)
            ):
                return False
        return True

    def _log_replays(self) -> bool:
        from napari_biofm.actions import replay
        from napari_biofm.images.edit.labels_edit import ArrayTarget
        from napari_biofm.session import Session
        from napari_biofm.signals import Recording

        again = Session()
        arrays = {name: self.first["labels"][name].copy() for name in LAYERS}
        for name, array in arrays.items():
            again.attach_labels(ArrayTarget(array, self.uids[name]))
        values = np.random.default_rng(1).normal(0, 1, (2, 2000)).astype(np.float32)
        again.add_recording(Recording.from_arrays(values[None], 1000.0, "mV"), "patch")
        entries = [json.loads(json.dumps(entry)) for entry in self.session.log]
        if replay(entries, again._state) != len(entries):
            return False
        return _same(_described(again, arrays), self.described())


def _described(session: Any, labels: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the state of a session, with these masks by layer, as text and arrays that can be compared."""
    state = session._state
    return {
        "labels": labels,
        "classes": {u: c for u, c in state.classes.items() if c},
        "events": {u: (t.events.tobytes(), json.dumps(dict(t.provenance))) for u, t in state.events.items()},
        "links": state.links,
        "clocks": {u: c.times.tobytes() for u, c in state.clocks.items()},
        "channels": {u: r.channels for u, r in state.recordings.items()},
    }


def _same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    labels = a["labels"].keys() == b["labels"].keys() and all(
        np.array_equal(a["labels"][name], b["labels"][name]) for name in a["labels"]
    )
    return labels and all(a[key] == b[key] for key in a if key != "labels")


def _discs(seed: int) -> np.ndarray:
    labels = np.zeros(SHAPE, np.int32)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for k, (cy, cx) in enumerate((cy, cx) for cy in range(30, 320, 52) for cx in range(30, 320, 52)):
        labels[np.hypot(y - cy, x - cx) < 14 + (k + seed) % 6] = k + 1
    return labels


def settle(turns: int = 60) -> None:
    """Let the window work until its short tasks are done."""
    from qtpy.QtWidgets import QApplication

    for _ in range(turns):
        QApplication.processEvents()
        time.sleep(0.005)


def run(steps: int, seed: int, others: bool) -> Outcome:
    """Walk in a viewer of its own."""
    import napari

    viewer = napari.Viewer(show=False)
    walk = Walk(viewer, seed, others)
    begin = time.perf_counter()
    for _ in range(steps):
        walk.step()
    walk.outcome.seconds = time.perf_counter() - begin
    outcome = walk.finish()
    viewer.close()
    return outcome


def main() -> None:
    """Print a table and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    ensure_screen()
    steps = 100 if args.quick else 1000
    line: dict[str, Any] = {}
    for name, others in (("alone", False), ("with_others", True)):
        outcome = run(steps, args.seed, others)
        print(
            f"{name:12} {outcome.edits} edits in {outcome.seconds:.1f} s, "
            f"undone to the start: {outcome.undone_to_start}, log replays: {outcome.log_replays}, "
            f"table fresh: {outcome.table_is_fresh}, left out: {len(outcome.skipped)}"
        )
        print("             " + ", ".join(f"{n} {k}" for k, n in outcome.kinds.most_common()))
        line[name] = {
            "edits": outcome.edits,
            "ms_per_edit": 1e3 * outcome.seconds / outcome.edits,
            "undone_to_start": outcome.undone_to_start,
            "log_replays": outcome.log_replays,
            "table_is_fresh": outcome.table_is_fresh,
            "left_out": len(outcome.skipped),
        }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
