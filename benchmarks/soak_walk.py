"""A random walk of a user over all docks of a real viewer, with the worker engine; see `soak.py`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from tests.hand import canvas_of, drag  # noqa: E402

from edits import LAYERS, SHAPE, Walk, _described, _same, settle  # noqa: E402

WAIT_S = 600.0
DOCKS = ("Segment cells", "Point and click", "Traces and events", "Conditions")
ANALYSES = ("membrane", "split", "average-sweeps", "histogram")


class UserWalk(Walk):
    """Edits of `edits.Walk`, and what a person does in every dock; everything is compared with a copy kept apart.

    Parameters
    ----------
    viewer : empty. seed : of all choices. folder : where sessions are saved.

    Attributes
    ----------
    faults : what was not as it should be, in words.
    """

    def __init__(self, viewer: Any, seed: int, folder: Path) -> None:
        super().__init__(viewer, seed)
        self.folder, self.faults = folder, list[str]()
        self.frames: dict[str, Any] = {}
        self.docks = {name: self._open(name) for name in DOCKS}
        self.wait(lambda: self.session.cells(self.uids["cells"]) is not None, "the table of cells")
        self.docks["Traces and events"].recordings.show("patch")
        self._typed: dict[tuple[int, int], str] = {}
        self.begin()

    # ------------------------------------------------------------------ the copy kept apart

    def begin(self) -> None:
        """Begin a part of the walk: history and log start here, and so does the copy."""
        from napari_biofm.images.edit.labels_edit import ArrayTarget
        from napari_biofm.session import Session
        from napari_biofm.signals import Recording

        self.session.begin_log()
        self.first = self.described()
        self.copy, self._read = Session(), 0
        self.arrays = {name: self.first["labels"][name].copy() for name in LAYERS}
        for name, array in self.arrays.items():
            self.copy.attach_labels(ArrayTarget(array, self.uids[name]))
        values = np.random.default_rng(1).normal(0, 1, (2, 2000)).astype(np.float32)
        self.copy.add_recording(Recording.from_arrays(values[None], 1000.0, "mV"), "patch")
        _take_over(self.session, self.copy)

    def check(self, after: str) -> None:
        """Compare masks, classes, events, links, clocks and channels with what was done."""
        from napari_biofm.actions import replay

        log = self.session.log
        new = [json.loads(json.dumps(entry)) for entry in log[self._read :]]
        self._read = len(log)
        try:
            replay(new, self.copy._state)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the log is told
            self.faults.append(f"after {after}: the log does not replay: {error}")
            return
        if not _same(_described(self.copy, self.arrays), self.described()):
            self.faults.append(f"after {after}: the session is not what was done")

    def described(self) -> dict[str, Any]:
        """Leave out recordings that analyses made: they are no edits."""
        told = super().described()
        return {**told, "channels": {"patch": told["channels"]["patch"]}}

    def part_ends(self) -> None:
        """Let jobs end, compare the table with a fresh one and a saved session with this one, undo and redo all."""
        self.idle()
        self.tables.flush()
        self.idle()
        if not self._table_is_fresh():
            self.faults.append("the table of cells is not that of its masks")
        self._save_and_compare()
        last, n = self.described(), 0
        while self.session.history.can_undo:
            n += bool(self.session.undo())
        if not _same(self.described(), self.first):
            self.faults.append("undoing all does not give the first state")
        for _ in range(n):  # what was undone before stays undone
            self.session.redo()
        if not _same(self.described(), last):
            self.faults.append("doing all again does not give the last state")
        while self.session.history.can_undo:
            self.session.undo()
        self.faults += [f"left out: {words}" for words in self.outcome.skipped]
        self.outcome.skipped.clear()
        self.check("undoing all")
        self.idle()
        self.begin()

    def _save_and_compare(self) -> None:
        from napari_biofm.session.saving import load_session
        from napari_biofm.widgets.common.session_menu import session_files

        files, now = session_files(self.viewer), self.session
        files.save_to(self.folder / "walk.biofm")
        files.writer.wait()
        self.pump(0.05)
        saved = load_session(self.folder / "walk.biofm")
        masks = {layer.uid: layer for layer in saved.layers}
        for what, same in (
            ("events", np.asarray(saved.events["patch"]).tobytes() == now.events("patch").tobytes()),
            ("links", set(saved.links) == set(now.links)),
            ("log", len(saved.log) == len(now.log)),
            ("classes", all(saved.classes.get(uid, now.classes(uid)) == now.classes(uid) for uid in masks)),
            ("masks", all(
                np.array_equal(np.asarray(masks[self.uids[name]].data), self.viewer.layers[name].data)
                for name in LAYERS
            )),
        ):  # fmt: skip
            if not same:
                self.faults.append(f"the {what} of a saved session are not those of the session")

    # ------------------------------------------------------------------ the window

    def pump(self, seconds: float) -> None:
        """Let the window work."""
        from qtpy.QtWidgets import QApplication

        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            QApplication.processEvents()
            time.sleep(0.002)

    def wait(self, ready: Callable[[], bool], what: str) -> bool:
        """Let the window work until something is there; a fault after ten minutes, on whatever machine."""
        end = time.perf_counter() + WAIT_S
        while not ready():
            self.pump(0.005)
            if time.perf_counter() > end:
                self.faults.append(f"waited {WAIT_S:.0f} s for {what}")
                return False
        return True

    def idle(self) -> None:
        """Wait until no job is left."""
        self.wait(lambda: not self.session.engine.jobs, "the jobs")
        settle(10)

    def _open(self, name: str) -> Any:
        self.frames[name], widget = self.viewer.window.add_plugin_dock_widget("napari-biofm", name)
        self.wait(lambda: getattr(widget, "is_open", True), f"the dock {name}")
        return getattr(widget, "content", widget)

    def step(self) -> None:
        """Do one thing, let the window answer, and compare."""
        before = dict(self.outcome.kinds)
        super().step()
        self.pump(0.01)
        self.check(next(name for name, n in self.outcome.kinds.items() if n != before.get(name, 0)))

    def choices(self) -> list[tuple[Callable[[], None], float]]:
        """Also what is done in the other docks."""
        return [
            *super().choices(),
            (self.segment, 0.15),
            (self.segment_and_cancel, 0.15),
            (self.click_tool, 4),
            (self.detect, 0.4),
            (self.browse_trace, 2),
            (self.analyse, 0.4),
            (self.type_well, 1),
            (self.browse_docks, 2),
            (self.select_cells, 2),
            (self.set_time, 1),
            (self.look_around, 2),
            (self.reopen_dock, 0.2),
            (self.measure, 0.2),
        ]

    # ------------------------------------------------------------------ what is done in the docks

    def segment(self, cancel: bool = False) -> None:
        """Segment the field in the worker, then remove the new masks."""
        dock = self.docks["Segment cells"]
        dock.image.value = self.viewer.layers["field"]
        if not dock.run_button.native.isEnabled():
            return
        before = set(self.viewer.layers)
        dock.run_button.native.click()
        if cancel:
            self.pump(float(self.rng.uniform(0, 0.5)))
            for job in self.session.engine.jobs:
                job.cancel()
        self.wait(lambda: dock.run_button.native.isEnabled(), "the segmentation")
        self.pump(0.05)
        for layer in set(self.viewer.layers) - before:
            self.viewer.layers.remove(layer)
        from napari_biofm.widgets.common.viewers import layer_id

        self.session.set_layers(image=layer_id(self.viewer.layers["field"]), labels=self.uids["cells"])

    def segment_and_cancel(self) -> None:
        """Cancel a segmentation at some moment."""
        self.segment(cancel=True)

    def click_tool(self) -> None:
        """Use a tool of Point and click with the mouse on the canvas."""
        from napari_biofm.controllers.annotate.tools import DRAGGED, PROMPTING, Tool

        dock = self.docks["Point and click"]
        tools = [tool for tool in Tool if tool not in (Tool.OFF, Tool.BRUSH)]
        tool = tools[int(self.rng.integers(len(tools)))]
        dock.toolbox.tool_buttons[tool].click()
        canvas = canvas_of(self.viewer)
        if min(canvas.width(), canvas.height()) < 50:  # nobody clicks there, and vispy divides by the size
            self.viewer.window.resize(1500, 1000)
            self.pump(0.2)
        points = self.rng.uniform(10, SHAPE[0] - 10, (3 if tool in DRAGGED else 1, 2))
        drag(self.viewer, points.tolist())
        if tool in PROMPTING:
            self.wait(lambda: not self.session.engine.jobs, "the answer to a click")
            self.pump(0.05)
            name = "commit" if self.rng.random() < 0.6 else "clear"
            for one in (name, "clear"):
                if dock.toolbox.action_buttons[one].isEnabled():
                    dock.toolbox.action_buttons[one].click()
        dock.toolbox.tool_buttons[Tool.OFF].click()

    def detect(self) -> None:
        """Have a detector look for events in the worker; keep or discard what was judged."""
        panel = self.docks["Traces and events"].events_panel
        panel.detector.setCurrentText("threshold")
        panel.detect_button.click()
        self.pump(0.02)
        if not panel.keep_bar.isHidden():
            panel.keep_buttons[int(self.rng.integers(3))].click()
        self.wait(lambda: not self.session.engine.jobs, "the events")
        self.pump(0.05)

    def browse_trace(self) -> None:
        """Zoom, switch tabs, show cursors, step through events."""
        dock = self.docks["Traces and events"]
        dock.tabs.setCurrentIndex(int(self.rng.integers(dock.tabs.count())))
        for call in (
            dock.plots.zoom_out,
            lambda: dock.plots.scale_gains(float(self.rng.choice([0.8, 1.25]))),
            dock.toolbar.cursors.toggle,
            lambda: dock.events_panel.table.step(1),
        ):
            if self.rng.random() < 0.5:
                call()

    def analyse(self) -> None:
        """Run an analysis of the recording and look at what it gives."""
        dock = self.docks["Traces and events"]
        dock.show_panel(dock.analyse_panel)
        known = [name for name in ANALYSES if dock.analyse_panel.choice.findData(name) >= 0]
        dock.analyse_panel.choose(known[int(self.rng.integers(len(known)))])
        dock.analyse_panel.run()
        self.wait(lambda: not self.session.engine.jobs, "the analysis")
        self.pump(0.02)
        for uid in [uid for uid in self.session.recordings if uid != "patch"]:
            self.session.remove_recording(uid)

    def type_well(self) -> None:
        """Type into a well of the plate; the grid says what was typed."""
        control = self.docks["Conditions"].control
        rows, columns = control.shape()
        at = int(self.rng.integers(rows)), int(self.rng.integers(columns))
        text = f"compound {self.rng.integers(9)}"
        control.type_at(*at, text)
        self._typed[at] = text
        if text.split()[0] not in control.grid()[at[0]][at[1]].text + control.grid()[at[0]][at[1]].tip:
            self.faults.append(f"the well {at} does not say '{text}'")

    def browse_docks(self) -> None:
        """Show another tab of the Cells and the Timeline dock."""
        for tabs in (self.content.tabs, self.timeline.tabs):
            tabs.setCurrentIndex(int(self.rng.integers(tabs.count())))
        self.pump(0.02)

    def select_cells(self) -> None:
        """Select cells, in whatever dock listens."""
        from napari_biofm.session import CellKey

        labels = np.unique(np.asarray(self.viewer.layers["cells"].data))[1:]
        chosen: Any = self.rng.choice(labels, min(3, len(labels)), replace=False) if len(labels) else []
        self.session.select([CellKey(self.uids["cells"], int(label)) for label in chosen])

    def set_time(self) -> None:
        """Move the time that traces and movies share."""
        self.session.set_time(float(self.rng.uniform(0, 2)))

    def look_around(self) -> None:
        """Zoom, hide and show layers, change the size of the window."""
        self.viewer.camera.zoom = float(self.rng.uniform(1, 6))
        self.viewer.reset_view()
        layer = self.viewer.layers[int(self.rng.integers(len(self.viewer.layers)))]
        layer.visible = not layer.visible
        if self.rng.random() < 0.2:
            self.viewer.window.resize(int(self.rng.integers(1000, 1500)), int(self.rng.integers(700, 1100)))

    def reopen_dock(self) -> None:
        """Close a dock and open it again."""
        name = str(self.rng.choice(["Conditions", "Segment cells"]))
        self.idle()
        del self.docks[name]
        close_dock(self.frames.pop(name))
        self.docks[name] = self._open(name)

    def measure(self) -> None:
        """Press Measure in the Cells dock."""
        self.content.measure()
        self.wait(lambda: not self.session.engine.jobs, "the measurement")


def _take_over(session: Any, copy: Any) -> None:
    """Give a copy the state that a session has now, apart from masks."""
    from copy import deepcopy

    now, then = session._state, copy._state
    for uid, classes in now.classes.items():
        then.classes[uid] = deepcopy(classes)
    for uid, table in now.events.items():
        then.events[uid] = deepcopy(table)
    then._links = now._links
    for uid, clock in now.clocks.items():
        then.clocks[uid] = deepcopy(clock)
    then.recordings["patch"] = now.recordings["patch"]


def close_dock(frame: Any) -> None:
    """Close a dock as its cross does: napari lets go of what is inside, and nobody deletes it."""
    from qtpy.QtCore import QEvent
    from qtpy.QtWidgets import QApplication

    frame.destroyOnClose()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QApplication.processEvents()
