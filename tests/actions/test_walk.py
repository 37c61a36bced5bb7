"""Random walks of edits of every kind: all can be undone, the log replays, nothing gets stuck."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from napari_biofm.actions import (
    EditEvents,
    EditLabels,
    History,
    JudgeCells,
    ReplaceMasks,
    SetBehaviour,
    SetUnit,
    UseDetector,
    replay,
)
from napari_biofm.cells.table.cell_table import make_table
from napari_biofm.events import review
from napari_biofm.events.reviewed import same_rows
from napari_biofm.images.edit.labels_edit import ArrayTarget, LabelsEdit
from napari_biofm.links import Link
from napari_biofm.selection import CellKey
from napari_biofm.session import Session
from napari_biofm.session.state import State
from napari_biofm.signals import Recording
from napari_biofm.signals.behaviour import Behaviour, behaviour_of
from napari_biofm.signals.curation import verdicts_of
from napari_biofm.timeline import Clock
from napari_biofm.types import EVENT_DTYPE, CellsError, Segmentation, SessionError

LAYERS = ("cells", "nuclei")
SHAPE = (24, 24)
small = st.integers(0, 20)


def start_labels(layer: str) -> np.ndarray:
    labels = np.zeros(SHAPE, np.int32)
    labels[2:8, 2:8], labels[12:20, 12:20] = 1, 2
    return labels if layer == "cells" else labels.T * 3


def recordings() -> dict[str, Recording]:
    values = np.random.default_rng(0).normal(0, 1, 400).astype(np.float32)
    return {
        "patch": Recording.from_arrays(values, 1000.0, "mV"),
        "traces": Recording.from_arrays(np.stack([values, -values])[None], 10.0, "dF/F"),
        "cells": Recording.from_arrays(np.stack([values, -values]), 10.0, "dF/F", labels=[1, 2]),
    }


def found(n: int) -> np.ndarray:
    events = np.zeros(n, EVENT_DTYPE)
    events["time_s"], events["class"], events["unit"] = np.arange(n) / 50, "AP", "mV"
    events["rise_s"] = np.nan
    return events


def fresh() -> tuple[Session, dict[str, ArrayTarget]]:
    session = Session()
    targets = {layer: ArrayTarget(start_labels(layer), layer) for layer in LAYERS}
    for layer, target in targets.items():
        session.attach_labels(target)
        session.set_segmentation(layer, Segmentation(target.data.copy(), provenance={"flow": 0.4}))
    for name, recording in recordings().items():
        session.add_recording(recording, name)
    return session, targets


def described(state: State, targets: dict[str, ArrayTarget]) -> dict[str, Any]:
    """Everything that edits can change, comparable."""
    return {
        "labels": {k: t.data.copy() for k, t in targets.items()},
        "classes": {k: c for k, c in state.classes.items() if c},
        "segmentations": {k: dict(s.provenance) for k, s in state.segmentations.items()},
        "events": {k: (t.events, dict(t.provenance)) for k, t in state.events.items()},
        "links": state.links,
        "clocks": {k: (c.times, c.source, c.recording) for k, c in state.clocks.items()},
        "channels": {k: (r.channels, dict(r.metadata)) for k, r in state.recordings.items()},
        "samples": {k: [r.values(0, c) for c in range(r.n_channels)] for k, r in state.recordings.items()},
        "detector": state.detector,
    }


def assert_same(a: Any, b: Any, where: str = "state") -> None:
    """Compare nested descriptions, arrays by value."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, (tuple, list)):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b)):
            assert_same(x, y, f"{where}[{i}]")
    elif isinstance(a, np.ndarray) and a.dtype.names:
        assert same_rows(a, b), where
    elif isinstance(a, np.ndarray):
        np.testing.assert_array_equal(a, b, where)
    else:
        assert a == b, where


class Walk(RuleBasedStateMachine):
    """Edits of a session without a window."""

    @initialize()
    def begin(self) -> None:
        self.session, self.targets = fresh()
        self.told: list[tuple[str, Any]] = []
        self.session.labels_edited.connect(lambda layer, ids: self.told.append((layer, ids)))
        self.skipped: list[str] = []
        self.session.history.skipped.connect(self.skipped.append)
        self.first = described(self.session._state, self.targets)
        self.outside = False

    # ------------------------------------------------------------------ masks

    @rule(layer=st.sampled_from(LAYERS), y=small, x=small, h=st.integers(1, 9), label=st.integers(0, 6))
    def paint(self, layer: str, y: int, x: int, h: int, label: int) -> None:
        target = self.targets[layer]
        region = (slice(y, y + h), slice(x, x + h))
        before = target.read(region)
        edit = LabelsEdit.between(target, "brush", [((y, x), before, np.full_like(before, label))])
        if edit and self.session.has_labels(layer):
            n = len(self.told)
            self.session.do(EditLabels(edit))
            assert self.told[n:] == [(layer, edit.labels)]

    @rule(layer=st.sampled_from(LAYERS), threshold=st.integers(0, 3))
    def other_thresholds(self, layer: str, threshold: int) -> None:
        target, before = self.targets[layer], self.session.segmentation(layer)
        if before is None:
            return
        masks = np.where(start_labels(layer) > threshold, start_labels(layer), 0)
        edit = LabelsEdit.between(target, "New thresholds", [((0, 0), target.data.copy(), masks)])
        if edit:
            self.session.do(ReplaceMasks(edit, dict(before.provenance), {"flow": float(threshold)}))
            np.testing.assert_array_equal(target.data, masks)
            assert self.session.segmentation(layer).provenance == {"flow": float(threshold)}

    # ------------------------------------------------------------------ classes

    @rule(layer=st.sampled_from(LAYERS), name=st.sampled_from(["G1", "S", "M"]))
    def add_class(self, layer: str, name: str) -> None:
        now = self.session.classes(layer)
        try:
            more = now.with_class(name)
            self.session.set_classes(layer, zip(more.names, more.colours), "add class")
        except (CellsError, SessionError):
            assert name in now.names or not self.session.has_labels(layer)

    @rule(layer=st.sampled_from(LAYERS), at=small, name=st.text("abc", min_size=1, max_size=2))
    def rename_class(self, layer: str, at: int, name: str) -> None:
        now = self.session.classes(layer)
        if now.names and name not in now.names:
            pairs = list(zip(now.names, now.colours))
            pairs[at % len(pairs)] = (name, pairs[at % len(pairs)][1])
            self.session.set_classes(layer, pairs, "rename class")

    @rule(
        layer=st.sampled_from(LAYERS),
        cells=st.lists(st.integers(1, 9), min_size=1, max_size=5, unique=True),
        code=st.integers(-1, 4),
    )
    def label_cells(self, layer: str, cells: list[int], code: int) -> None:
        if code < len(self.session.classes(layer).names):
            self.session.label_cells(layer, np.array(cells), np.full(len(cells), code))

    @rule(layer=st.sampled_from(LAYERS))
    def measure(self, layer: str) -> None:
        """Measuring is no edit: classes by hand must survive it, and stand in the table."""
        if not self.session.has_labels(layer):
            return
        before, n = self.session.classes(layer), len(self.session.log)
        self.session.set_cells(layer, make_table(self.targets[layer].data, layer=layer))
        assert self.session.classes(layer) == before
        assert len(self.session.log) == n

    @rule(layer=st.sampled_from(LAYERS), name=st.sampled_from(["M", "apoptotic"]))
    def open_table_with_classes(self, layer: str, name: str) -> None:
        """A table from a file brings its classes where the layer has none, as an edit."""
        if not self.session.has_labels(layer):
            return
        before = self.session.classes(layer)
        table = make_table(self.targets[layer].data, layer=layer)
        table.obs["class_by_hand"] = [name] * table.n_obs
        self.session.set_cells(layer, table)
        now = self.session.classes(layer)
        if len(before.labels):
            assert now == before
        else:
            assert list(now.names_of(now.codes_of(table.obs["label"].to_numpy()))) == [name] * table.n_obs

    # ------------------------------------------------------------------ events

    @rule(uid=st.sampled_from(["patch", "traces"]), n=st.integers(0, 5))
    def detect(self, uid: str, n: int) -> None:
        self.session.set_events(uid, found(n), {"detector": "threshold", "n": n})

    @rule(
        uid=st.sampled_from(["patch", "traces"]), at=st.integers(0, 300), name=st.sampled_from(["AP", "EPSP"])
    )
    def add_event(self, uid: str, at: int, name: str) -> None:
        recording = self.session.recordings[uid].recording
        time_s = at / recording.channels[0].sampling_rate
        before = self.session.events(uid)
        change = review.add_event(before, recording, 0, 0, time_s, name)
        self.session.do(EditEvents(uid, "add event", change))
        after = self.session.events(uid)
        assert len(after) == len(before) + 1
        assert (after[list(change.added_at)]["class"] == name).all()
        assert (np.diff(after["time_s"]) >= 0).all()

    @rule(uid=st.sampled_from(["patch", "traces"]), row=small, to=st.floats(0, 0.3))
    def move_event(self, uid: str, row: int, to: float) -> None:
        events = self.session.events(uid)
        if len(events):
            recording = self.session.recordings[uid].recording
            change = review.move_event(events, recording, row % len(events), to)
            self.session.do(EditEvents(uid, "move event", change))

    @rule(
        uid=st.sampled_from(["patch", "traces"]),
        rows=st.lists(small, min_size=1, max_size=3),
        verdict=st.sampled_from(["accept", "unclear", "reject", ""]),
    )
    def judge(self, uid: str, rows: list[int], verdict: str) -> None:
        events = self.session.events(uid)
        if len(events):
            change = review.judge_events(events, [r % len(events) for r in rows], verdict)
            self.session.do(EditEvents(uid, verdict or "take verdict back", change, counts=0))

    @rule(uid=st.sampled_from(["patch", "traces"]), rows=st.lists(small, min_size=1, max_size=3))
    def delete_events(self, uid: str, rows: list[int]) -> None:
        events = self.session.events(uid)
        if len(events):
            change = review.delete_events(events, [r % len(events) for r in rows])
            self.session.do(EditEvents(uid, "delete events", change))

    # ------------------------------------------------------------------ links, clocks, units, detector

    @rule(channel=st.integers(0, 1), label=st.integers(1, 4))
    def link(self, channel: int, label: int) -> None:
        self.session.link(Link("traces", channel, CellKey("cells", label)))

    @rule(channel=st.integers(0, 1))
    def unlink(self, channel: int) -> None:
        for one in sorted(a for a in self.session.links if a.channel == channel):
            self.session.unlink(one)

    @rule(rate=st.integers(1, 50))
    def set_clock(self, rate: int) -> None:
        self.session.set_clock("movie", Clock.from_rate(30, float(rate), 0.1, recording="patch"))

    @rule(unit=st.sampled_from(["mV", "pA", "nA"]), factor=st.sampled_from([1.0, 0.05, 1000.0]))
    def set_unit(self, unit: str, factor: float) -> None:
        self.session.do(SetUnit("patch", 0, unit, factor=factor))

    @rule(verdict=st.sampled_from(["accept", "reject", ""]), label=st.sampled_from([1, 2]))
    def judge_cell(self, verdict: str, label: int) -> None:
        before = verdicts_of(self.session.recordings["cells"].recording).get(label, "")
        if before != verdict:
            self.session.do(JudgeCells("cells", ((label, before, verdict),)))

    @rule(threshold=st.integers(0, 3))
    def set_behaviour(self, threshold: int) -> None:
        before = behaviour_of(self.session.recordings["traces"].recording)
        after = Behaviour(0, 0.5, float(threshold)) if threshold else None
        if before != after:
            self.session.do(SetBehaviour("traces", before, after))

    @rule(threshold=st.integers(0, 3))
    def use_detector(self, threshold: int) -> None:
        after = {"classes": ["AP"], "threshold": threshold} if threshold else None
        if after != self.session.detector:
            self.session.do(UseDetector("teach", self.session.detector, after))

    # ------------------------------------------------------------------ back and forth

    @rule()
    def undo(self) -> None:
        self.session.undo()

    @rule()
    def redo(self) -> None:
        self.session.redo()

    @invariant()
    def tables_show_the_classes_given_by_hand(self) -> None:
        for layer in LAYERS:
            table = self.session.cells(layer)
            if table is not None:
                now = self.session.classes(layer)
                shown = now.names_of(now.codes_of(table.obs["label"].to_numpy()))
                assert list(table.obs["class_by_hand"]) == list(shown)

    @precondition(lambda self: not self.outside)
    @rule()
    def the_log_replays_to_the_same_state(self) -> None:
        again, targets = fresh()
        entries = [json.loads(json.dumps(entry)) for entry in self.session.log]
        assert replay(entries, again._state) == len(entries)
        assert_same(described(again._state, targets), described(self.session._state, self.targets))

    def teardown(self) -> None:
        if not hasattr(self, "session"):
            return
        for _ in range(3 * len(self.session.history) + 1):
            self.session.undo()
        assert not self.session.history.can_undo
        if not self.outside:
            assert self.skipped == []
            assert_same(described(self.session._state, self.targets), self.first)


class WalkWithOthers(Walk):
    """The same while a brush, another plugin and the user change layers outside the history."""

    @rule(layer=st.sampled_from(LAYERS), label=st.integers(0, 6))
    def painted_by_another_program(self, layer: str, label: int) -> None:
        self.outside = True
        self.targets[layer].data[5:15, 5:15] = label
        if self.session.has_labels(layer):
            n = len(self.told)
            self.session.labels_changed_outside(layer, None)
            assert self.told[n:] == [(layer, None)]

    @rule(layer=st.sampled_from(LAYERS))
    def layer_removed(self, layer: str) -> None:
        self.outside = True
        self.session.forget_layer(layer)
        assert self.session.cells(layer) is None

    @rule()
    def recording_closed_and_opened(self) -> None:
        self.outside = True
        self.session.remove_recording("traces")
        self.session.add_recording(recordings()["traces"], "traces")


_SETTINGS = settings(
    max_examples=20,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestWalk = Walk.TestCase
TestWalk.settings = _SETTINGS
TestWalkWithOthers = WalkWithOthers.TestCase
TestWalkWithOthers.settings = _SETTINGS


def test_the_history_of_a_session_forgets_the_oldest_when_memory_is_full() -> None:
    session, targets = fresh()
    small_history = History(session._state, max_bytes=10_000)
    rng = np.random.default_rng(0)
    for _ in range(60):
        target = targets["cells"]
        noise = rng.integers(0, 9, SHAPE).astype(np.int32)
        edit = LabelsEdit.between(target, "noise", [((0, 0), target.data.copy(), noise)])
        small_history.do(EditLabels(edit))
    assert small_history.nbytes <= 10_000
    assert 2 <= len(small_history) < 60
    assert small_history.undo() == "noise"
