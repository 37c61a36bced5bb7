"""Events of the shown recording: found by a job, judged and corrected by hand, shown as table and marks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_biofm.events import DEFAULT_DETECTOR
from napari_biofm.events.detect import detect_events
from napari_biofm.events.review import match_verdicts
from napari_biofm.events.reviewed import reviewed
from napari_biofm.session.event_editor import EventEditor
from napari_biofm.signals.channels import signal_channels
from napari_biofm.types import BiofmError, DetectionSettings, Events, no_events

if TYPE_CHECKING:
    from napari_biofm.widgets.trace.dock import TraceDock

NEAR_S = 5e-3  # a found event this close to a mark is the marked one


class EventsController:
    """Ties the dock's table and marks of events to the session.

    Parameters
    ----------
    dock : whose panel and marks are served.
    """

    def __init__(self, dock: TraceDock) -> None:
        self._dock = dock
        panel, marks, session = dock.events_panel, dock.marks, dock.session
        dock.plots.double_clicked.connect(self._add)
        marks.picked.connect(lambda row: panel.table.select_rows([row]))
        marks.moved.connect(self._move)
        panel.detect.connect(self.detect)
        panel.picked.connect(self._picked)
        panel.judge.connect(lambda rows, verdict: self._edit(lambda editor: editor.judge(rows, verdict)))
        panel.delete.connect(lambda rows: self._edit(lambda editor: editor.delete(rows)))
        panel.reclass.connect(lambda rows, name: self._edit(lambda editor: editor.reclass(rows, name)))
        panel.undo.connect(session.history.undo)
        panel.redo.connect(session.history.redo)
        dock.listen(session.events_changed, self._events_changed)
        dock.listen(session.history.changed, self._history_changed)

    def detect(self, detector: str, kind: str, preset: str) -> None:
        """Look for events in all sweeps of the shown channels (of all cells)."""
        dock = self._dock
        recording, uid, session = dock.recording, dock.uid, dock.session
        if recording is None or uid is None:
            dock.tell("Open a recording first: drag a file onto napari, or press Open.")
            return
        worth = signal_channels(recording)
        channels = worth if recording.is_cells else [c for c in worth if c in dock.plots.channels] or worth
        settings = DetectionSettings(kind=kind, preset=preset)  # type: ignore[arg-type]
        head = dock.teaching.head if detector == DEFAULT_DETECTOR else None
        about = {"detector": detector, "kind": kind, "preset": preset, "channels": channels[:64]}
        if detector == DEFAULT_DETECTOR:
            from napari_biofm.events.physio_fm.weights import stock_hash  # the dock opens without it

            about["weights_sha256"] = stock_hash()
        if head is not None:
            about["taught"] = list(head.classes)
        former = session.events(uid) if head is not None else None

        def put(events: Events) -> None:
            if uid not in session.recordings:
                return
            if former is not None:  # marks that taught stay marks
                events = match_verdicts(former, events, NEAR_S)
            session.set_events(uid, events, about)

        button = dock.events_panel.detect_button
        button.setEnabled(False)
        dock.run(
            detect_events, recording, detector, settings, channels,
            head=head,
            name=f"Find events in {uid}",
            on_done=put,
            on_end=lambda: button.setEnabled(True),
        )  # fmt: skip

    def show(self) -> None:
        """Show the events of the dock's recording, none where there is no recording."""
        dock = self._dock
        if dock.uid is None:
            events = reviewed(no_events())
        else:
            events = dock.session.events(dock.uid)
        dock.events_panel.set_events(events)
        classes = {str(c) for c in np.unique(events["class"])} - {"artefact", "rejected"}
        dock.shapes_panel.set_classes(sorted(classes))
        rows = dock.events_panel.table.selected()
        dock.marks.set_events(events, rows[0] if rows else None)
        self._history_changed()

    def _edit(self, edit: Any) -> Any:
        """Carry out an edit of the shown recording's events."""
        dock = self._dock
        if dock.uid is None or dock.uid not in dock.session.recordings:
            return None
        try:
            return edit(EventEditor(dock.session, dock.uid))
        except BiofmError as error:
            dock.tell_error(error)
            return None

    def _add(self, channel: int, time_s: float, value: float, event: Any) -> None:
        sweep, at = self._dock.plots.from_axis(time_s)
        panel = self._dock.events_panel
        row = self._edit(lambda editor: editor.add(sweep, channel, at, panel.new_class.currentText()))
        if row is not None:
            panel.table.select_rows([row])

    def _move(self, row: int, time_s: float) -> None:
        now = self._edit(lambda editor: editor.move(row, time_s))
        if now is not None:
            self._dock.events_panel.table.select_rows([now])

    def _events_changed(self, uid: str) -> None:
        if uid == (self._dock.uid or ""):
            self.show()

    def _picked(self, rows: list[int]) -> None:
        dock = self._dock
        if dock.uid is None or not rows:
            dock.marks.select(None)
            return
        event = dock.session.events(dock.uid)[rows[0]]
        channel = int(event["channel"])
        if channel not in dock.plots.channels:
            dock.show_channels([channel])
        dock.plots.go_to(int(event["sweep"]), float(event["time_s"]))
        dock.marks.set_events(dock.session.events(dock.uid), rows[0])

    def _history_changed(self) -> None:
        history = self._dock.session.history
        self._dock.events_panel.set_history(history.undo_name, history.can_redo)
