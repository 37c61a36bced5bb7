"""The trace dock: puts plots and panels together and ties them to the session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_biofm.events.average import amplitude_histogram, average_event, interval_histogram
from napari_biofm.events.detect import detect_events, signal_channels
from napari_biofm.history import CallAction
from napari_biofm.session import CellKey, Session
from napari_biofm.signals import Recording
from napari_biofm.signals.calcium import CellTraces, TraceSettings, extract_traces
from napari_biofm.signals.export import methods, write_events, write_nwb, write_samples
from napari_biofm.signals.filters import FilterSettings, filtered
from napari_biofm.signals.quality import UnitHint, report, unit_hint
from napari_biofm.signals.samples import packed
from napari_biofm.types import BiofmError, DetectionSettings
from napari_biofm.widgets.base import Dock
from napari_biofm.widgets.trace.channels_panel import ChannelsPanel
from napari_biofm.widgets.trace.cursors import CursorPair
from napari_biofm.widgets.trace.curves import detach
from napari_biofm.widgets.trace.edits import EventEditor
from napari_biofm.widgets.trace.events_panel import EventsPanel
from napari_biofm.widgets.trace.export_panel import ENDINGS, ExportPanel, save_figure
from napari_biofm.widgets.trace.filters_panel import FiltersPanel
from napari_biofm.widgets.trace.heatmap import CellHeatmap
from napari_biofm.widgets.trace.iv_panel import StepPanel, step_curve
from napari_biofm.widgets.trace.layout import SweepMode
from napari_biofm.widgets.trace.marks import EventMarks
from napari_biofm.widgets.trace.movie_panel import MoviePanel
from napari_biofm.widgets.trace.opening import ask_for_file, open_asking
from napari_biofm.widgets.trace.plots import MAX_ROWS, TracePlots
from napari_biofm.widgets.trace.quality_panel import QualityPanel
from napari_biofm.widgets.trace.shapes_panel import ShapesPanel
from napari_biofm.widgets.trace.style import colours_of
from napari_biofm.widgets.trace.toolbar import TraceToolbar, shortcut
from napari_biofm.widgets.viewers import layer_id


class TraceDock(Dock):
    """Recordings of the session: seen, measured, their events found, judged and exported."""

    area = "bottom"

    def __init__(self, napari_viewer: Any, *, session: Session | None = None) -> None:
        super().__init__(napari_viewer, session=session)
        self.uid: str | None = None
        colours = colours_of(napari_viewer)
        self.toolbar = TraceToolbar()
        self.plots = TracePlots(colours=colours)
        self.heatmap = CellHeatmap(colours=colours)
        self.marks = EventMarks(self.plots)
        self.cursors = CursorPair(self.plots)
        self.events_panel = EventsPanel()
        self.channels_panel = ChannelsPanel()
        self.filters_panel = FiltersPanel()
        self.quality_panel = QualityPanel(colours)
        self.step_panel = StepPanel(colours)
        self.shapes_panel = ShapesPanel(colours)
        self.movie_panel = MoviePanel(self.viewer)
        self.export_panel = ExportPanel()
        self.readout = QLabel("")
        self.readout.setWordWrap(True)
        self.readout.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.hint = QLabel("")
        self.hint.setWordWrap(True)
        self.fix_unit = QPushButton("Set")
        self.fix_unit.setToolTip("Change the unit as proposed; the numbers stay. Can be undone.")
        self._hinted: tuple[int, UnitHint] | None = None
        self._time_lines: list[pg.InfiniteLine] = []
        self._arrange()
        self._connect()
        self._bind_keys()
        self._recordings_changed()
        self._layers_changed()

    # ------------------------------------------------------------------ building

    def _arrange(self) -> None:
        self._hint_row = QWidget()
        hint_row = QHBoxLayout(self._hint_row)
        hint_row.setContentsMargins(4, 0, 4, 0)
        hint_row.addWidget(self.hint, 1)
        hint_row.addWidget(self.fix_unit)
        self._hint_row.hide()
        self._stack = QSplitter(Qt.Orientation.Vertical)
        self._stack.addWidget(self.heatmap)
        self._stack.addWidget(self.plots)
        self._stack.setStretchFactor(0, 2)
        self._stack.setStretchFactor(1, 3)
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        for widget in (self.toolbar, self._hint_row, self._stack, self.readout):
            column.addWidget(widget)
        column.setStretch(2, 1)
        self.tabs = QTabWidget()
        for name, panel, tip in (
            ("Events", self.events_panel, "Find, judge and correct events"),
            ("Shapes", self.shapes_panel, "Averaged event, histograms of amplitudes and intervals"),
            ("Channels", self.channels_panel, "Which channels are shown, their units and gains"),
            ("Filters", self.filters_panel, "Filters for display or as a processed copy"),
            ("Steps", self.step_panel, "IV and other plots of sweeps against their command"),
            ("Quality", self.quality_panel, "Noise, hum, drift, access resistance, spectrum"),
            ("Export", self.export_panel, "Tables, figures, NWB and a methods paragraph"),
            ("Movie", self.movie_panel, "Traces of cells from a movie and masks"),
        ):
            self.tabs.setTabToolTip(self.tabs.addTab(panel, name), tip)
        self.tabs.setMinimumWidth(400)
        self.tabs.tabBar().setExpanding(False)
        self.tabs.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        right = QWidget()
        side = QVBoxLayout(right)
        side.setContentsMargins(0, 0, 0, 0)
        side.addWidget(self.tabs, 1)
        side.addWidget(self.job_bar)
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.addWidget(left)
        splitter.addWidget(right)
        splitter.setStretchFactor(0, 1)
        splitter.setSizes([900, 400])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.addWidget(splitter)
        self.setMinimumHeight(280)

    def _connect(self) -> None:
        tools, plots, events = self.toolbar, self.plots, self.events_panel
        tools.recording_chosen.connect(self.show_recording)
        tools.open_asked.connect(self.open)
        tools.close_asked.connect(self.close_recording)
        tools.sweep_asked.connect(plots.set_sweep)
        tools.mode_asked.connect(self.set_mode)
        tools.scale_asked.connect(plots.set_scale_mode)
        tools.average.toggled.connect(plots.set_average)
        tools.command.toggled.connect(plots.set_stimulus)
        tools.bars.toggled.connect(plots.set_bars)
        tools.cursors.toggled.connect(self.cursors.set_visible)
        tools.back_asked.connect(plots.zoom_back)
        tools.whole_asked.connect(plots.zoom_out)
        plots.sweep_changed.connect(self._sweep_changed)
        plots.clicked.connect(self._clicked)
        plots.double_clicked.connect(self._add_event)
        plots.rebuilt.connect(self._place_time)
        plots.told.connect(self.readout.setText)
        plots.drawn.connect(self._tell_reading)
        plots.view_changed.connect(lambda *_: self._tell_reading())
        self.cursors.changed.connect(self._tell_reading)
        self.heatmap.picked.connect(self._row_picked)
        self.marks.picked.connect(lambda row: events.table.select_rows([row]))
        self.marks.moved.connect(lambda row, at: self._edit(lambda editor: editor.move(row, at)))
        events.detect.connect(self.detect)
        events.picked.connect(self._events_picked)
        events.judge.connect(lambda rows, verdict: self._edit(lambda editor: editor.judge(rows, verdict)))
        events.delete.connect(lambda rows: self._edit(lambda editor: editor.delete(rows)))
        events.reclass.connect(lambda rows, name: self._edit(lambda editor: editor.reclass(rows, name)))
        events.undo.connect(self.session.history.undo)
        events.redo.connect(self.session.history.redo)
        self.channels_panel.shown.connect(self._show_channels)
        self.channels_panel.unit_changed.connect(self.set_unit)
        self.channels_panel.gain.connect(plots.scale_gain)
        self.filters_panel.changed.connect(self._filter)
        self.filters_panel.copy_asked.connect(self.make_copy)
        self.quality_panel.asked.connect(self.measure)
        self.step_panel.asked.connect(self.plot_steps)
        self.shapes_panel.asked.connect(self.plot_shapes)
        self.movie_panel.asked.connect(self.make_traces)
        self.export_panel.asked.connect(self._ask_export)
        self.export_panel.refresh.connect(self._write_methods)
        self.fix_unit.clicked.connect(self._take_hint)
        for signal, call in (
            (self.session.recordings_changed, self._recordings_changed),
            (self.session.events_changed, self._events_changed),
            (self.session.history.changed, self._history_changed),
            (self.session.selection_changed, self._selection_changed),
            (self.session.time_changed, lambda _: self._place_time()),
            (self.session.layers_changed, self._layers_changed),
            (self.session.clocks_changed, self._layers_changed),
            (self.viewer.layers.events.inserted, self._layers_changed),
            (self.viewer.layers.events.removed, self._layers_changed),
        ):
            self.listen(signal, call)
        self.heatmap.view.sigXRangeChanged.connect(self._follow_heatmap)
        plots.view_changed.connect(self._lead_heatmap)

    def _bind_keys(self) -> None:
        panel, plots, history = self.events_panel, self.plots, self.session.history
        for keys, call in (
            ("Left", lambda: plots.step_sweep(-1)),
            ("Right", lambda: plots.step_sweep(1)),
            ("Up", lambda: plots.scale_gains(1.25)),
            ("Down", lambda: plots.scale_gains(0.8)),
            ("Backspace", plots.zoom_back),
            ("Home", plots.zoom_out),
            ("C", self.toolbar.cursors.toggle),
            ("A", lambda: panel.judge_selected("accept")),
            ("U", lambda: panel.judge_selected("unclear")),
            ("R", lambda: panel.judge_selected("reject")),
            ("N", lambda: panel.table.step(1)),
            ("Space", lambda: panel.table.step(1)),
            ("P", lambda: panel.table.step(-1)),
            ("Del", lambda: panel.delete.emit(panel.table.selected())),
            ("Ctrl+Z", history.undo),
            ("Ctrl+Shift+Z", history.redo),
        ):
            shortcut(self, keys, call)

    # ------------------------------------------------------------------ recordings

    @property
    def recording(self) -> Recording | None:
        """The recording that is shown."""
        entry = self.session.recordings.get(self.uid) if self.uid is not None else None
        return None if entry is None else entry.recording

    def open(self) -> None:
        """Ask for a file and open it."""
        path = ask_for_file(self)
        if path is not None:
            self.open_path(path)

    def open_path(self, path: Path) -> None:
        """Open a file; what it does not say is asked for."""
        try:
            recording = open_asking(path, self)
        except BiofmError as error:
            self.tell_error(error)
            return
        if recording is not None:
            self.show_recording(self.session.add_recording(recording))

    def close_recording(self) -> None:
        """Take the shown recording out of the session."""
        if self.uid is not None:
            self.session.remove_recording(self.uid)

    def show_recording(self, uid: str) -> None:
        """Show a recording of the session."""
        self.uid = uid
        recording = self.recording
        self.toolbar.show_mode(SweepMode.ONE)
        self.plots.mode = SweepMode.ONE
        self.filters_panel.show_filters.setChecked(False)  # a filter is never carried over unseen
        self._install(recording)

    def _install(self, recording: Recording | None, *, keep_view: bool = False) -> None:
        self.toolbar.set_recordings(list(self.session.recordings), self.uid)
        self.heatmap.set_recording(recording)
        self.plots.set_recording(recording, keep_view=keep_view)
        self.plots.set_filters(self.filters_panel.shown)
        height = max(self._stack.height(), 200)
        self._stack.setSizes([int(0.4 * height), int(0.6 * height)])
        self.toolbar.set_sweeps(recording.n_sweeps if recording else 0, self.plots.sweep)
        self.quality_panel.set_recording(recording)
        if recording is not None:
            self.filters_panel.set_limit(min(c.sampling_rate for c in recording.channels))
        hints = self._hints(recording)
        self.channels_panel.set_recording(recording, self.plots.channels, hints)
        self._show_hint(hints)
        self.heatmap.select(self.plots.channels)
        self._events_changed(self.uid or "")
        self._tell_reading()
        self._place_time()

    def _recordings_changed(self) -> None:
        known = self.session.recordings
        if self.uid not in known:
            self.uid = next(reversed(known), None)
            self._install(self.recording)
        elif list(known) and list(known)[-1] not in self._listed():
            self.show_recording(list(known)[-1])
        else:
            self.toolbar.set_recordings(list(known), self.uid)
            if self.plots.recording is not self.recording:
                self._install(self.recording, keep_view=True)
                self.plots.fit_y()

    def _listed(self) -> list[str]:
        box = self.toolbar.recordings
        return [box.itemText(i) for i in range(box.count())]

    # ------------------------------------------------------------------ units

    def set_unit(self, channel: int, unit: str, factor: float = 1.0) -> None:
        """Put a channel's unit (and scale) right, as an edit that can be undone."""
        recording, uid = self.recording, self.uid
        if recording is None or uid is None or (recording.channels[channel].unit == unit and factor == 1.0):
            return
        changed = recording.with_channel(channel, unit=unit, factor=factor)

        def put(one: Recording) -> None:
            entry = self.session.recordings.get(uid)
            if entry is not None:
                entry.recording = one
                self.session.recordings_changed.emit()

        details = {"recording": uid, "channel": channel, "unit": unit, "factor": factor}
        self.session.history.do(CallAction("set unit", lambda: put(changed), lambda: put(recording), details))

    def _hints(self, recording: Recording | None) -> dict[int, UnitHint]:
        if recording is None or recording.is_cells or "processing" in recording.metadata:
            return {}
        found = {c: unit_hint(recording, c) for c in self.plots.channels}
        return {channel: hint for channel, hint in found.items() if hint is not None}

    def _show_hint(self, hints: dict[int, UnitHint]) -> None:
        self._hinted = next(iter(hints.items()), None)
        self._hint_row.setVisible(self._hinted is not None)
        if self._hinted is not None and self.recording is not None:
            channel, hint = self._hinted
            about = self.recording.channels[channel]
            self.hint.setText(f"The unit of {about.name} ({about.unit}) looks wrong: {hint.reason}.")
            times = f", values times {hint.factor:g}" if hint.factor != 1 else ""
            self.fix_unit.setText(f"Set to {hint.proposal}{times}")

    def _take_hint(self) -> None:
        if self._hinted is not None:
            channel, hint = self._hinted
            self.set_unit(channel, hint.proposal, hint.factor)

    # ------------------------------------------------------------------ sweeps, channels, time

    def set_mode(self, mode: SweepMode) -> None:
        """Lay the sweeps out another way."""
        self.plots.set_mode(mode)
        self.marks.update()
        self._tell_reading()

    def _sweep_changed(self, sweep: int) -> None:
        if self.recording is not None:
            self.toolbar.set_sweeps(self.recording.n_sweeps, sweep)
        self._tell_reading()
        self._place_time()

    def _show_channels(self, channels: list[int]) -> None:
        self.plots.set_channels(channels or self.plots.channels)
        self.channels_panel.set_shown(self.plots.channels)
        self.heatmap.select(self.plots.channels)
        if len(channels) > MAX_ROWS:
            self.readout.setText(f"The first {MAX_ROWS} of {len(channels)} ticked channels are drawn.")

    def _clicked(self, channel: int, time_s: float, value: float, event: Any) -> None:
        recording = self.recording
        if recording is None:
            return
        sweep, at = self.plots.from_axis(time_s)
        self.session.set_time(float(recording.sweep_starts[sweep]) + at)
        if self.plots.source is not None:
            about = recording.channels[channel]
            seen = self.plots.source.value_at(sweep, channel, at)
            self.readout.setText(f"{about.name}: {seen:.5g} {about.unit} at {at:.5f} s of sweep {sweep}")

    def _place_time(self) -> None:
        """Show where the session's time stands."""
        for line in self._time_lines:
            detach(line)
        self._time_lines = []
        recording = self.recording
        if recording is None or not self.plots.rows:
            return
        seconds = self.session.time_s
        start = float(recording.sweep_starts[self.plots.sweep])
        at = seconds if self.plots.mode is SweepMode.IN_TIME else seconds - start
        self.heatmap.set_time(seconds)
        if (
            not 0 <= seconds - start <= recording.duration(self.plots.sweep)
            and self.plots.mode is not SweepMode.IN_TIME
        ):
            return
        for row in self.plots.rows:
            line = pg.InfiniteLine(at, pen=pg.mkPen(self.plots.colours.foreground, width=1))
            line.setOpacity(0.6)
            row.plot.addItem(line, ignoreBounds=True)
            self._time_lines.append(line)

    def _tell_reading(self) -> None:
        said = [reading.text for reading in self.cursors.readings()]
        note = self.plots.note()
        self.readout.setText("\n".join([*said, note] if note else said))

    # ------------------------------------------------------------------ cells

    def _row_picked(self, channel: int, add: bool) -> None:
        chosen = [c for c in self.plots.channels if c != channel] if add else []
        self._show_channels([*chosen, channel][-MAX_ROWS:])
        labels, recording = self.session.labels, self.recording
        if labels is not None and recording is not None:
            shown = [recording.channels[c].label for c in self.plots.channels]
            self.session.select(CellKey(labels, label) for label in shown if label is not None)

    def _selection_changed(self, cells: frozenset[CellKey]) -> None:
        """Show the traces of the cells that were selected anywhere."""
        recording, uid = self.recording, self.uid
        if recording is None or not cells:
            return
        linked = [link.channel for link in self.session.links if link.recording == uid and link.cell in cells]
        wanted = {key.label for key in cells}
        own = [i for i, c in enumerate(recording.channels) if c.label in wanted] if recording.is_cells else []
        channels = sorted({*linked, *own})
        if channels and set(channels) != set(self.plots.channels):
            self._show_channels(channels)

    def _follow_heatmap(self, _: Any, span: Any) -> None:
        if self.recording is not None and self.recording.is_cells and self.plots.rows:
            start, stop = self.plots.span()
            if abs(start - span[0]) + abs(stop - span[1]) > 1e-6 * (stop - start):
                self.plots.rows[0].view.setXRange(*span, padding=0)

    def _lead_heatmap(self, start: float, stop: float) -> None:
        if self.heatmap.recording is not None:
            self.heatmap.view.setXRange(start, stop, padding=0)

    # ------------------------------------------------------------------ events

    def detect(self, detector: str, kind: str, preset: str) -> None:
        """Look for events in all sweeps of the shown channels (of all cells)."""
        recording, uid = self.recording, self.uid
        if recording is None or uid is None:
            self.tell("Open a recording first: drag a file onto napari, or press Open.")
            return
        worth = signal_channels(recording)
        channels = worth if recording.is_cells else [c for c in worth if c in self.plots.channels] or worth
        settings = DetectionSettings(kind=kind, preset=preset)  # type: ignore[arg-type]
        about = {"detector": detector, "kind": kind, "preset": preset, "channels": channels[:64]}
        self.events_panel.detect_button.setEnabled(False)
        self.run(
            detect_events, recording, detector, settings, channels,
            name=f"Find events in {uid}",
            on_done=lambda events: self.session.set_events(uid, events, about)
            if uid in self.session.recordings else None,
            on_end=lambda: self.events_panel.detect_button.setEnabled(True),
        )  # fmt: skip

    def _edit(self, edit: Any) -> Any:
        """Carry out an edit of the shown recording's events."""
        if self.uid is None or self.uid not in self.session.recordings:
            return None
        try:
            return edit(EventEditor(self.session, self.uid))
        except BiofmError as error:
            self.tell_error(error)
            return None

    def _add_event(self, channel: int, time_s: float, value: float, event: Any) -> None:
        sweep, at = self.plots.from_axis(time_s)
        name = self.events_panel.new_class.currentText()
        row = self._edit(lambda editor: editor.add(sweep, channel, at, name))
        if row is not None:
            self.events_panel.table.select_rows([row])

    def _events_changed(self, uid: str) -> None:
        if uid != (self.uid or ""):
            return
        from napari_biofm.types import no_events

        if self.uid is None:
            events, review = no_events(), []
        else:
            editor = EventEditor(self.session, self.uid)
            events, review = editor.events, editor.review
        self.events_panel.set_events(events, review)
        self.shapes_panel.set_classes(
            sorted({str(c) for c in np.unique(events["class"])} - {"artefact", "rejected"})
        )
        rows = self.events_panel.table.selected()
        self.marks.set_events(events, review, rows[0] if rows else None)
        self._history_changed()

    def _events_picked(self, rows: list[int]) -> None:
        if self.uid is None or not rows:
            self.marks.set_events(self.marks._events, self.marks._review, None)
            return
        event = self.session.events(self.uid)[rows[0]]
        channel = int(event["channel"])
        if channel not in self.plots.channels:
            self._show_channels([channel])
        self.plots.go_to(int(event["sweep"]), float(event["time_s"]))
        editor = EventEditor(self.session, self.uid)
        self.marks.set_events(editor.events, editor.review, rows[0])

    def _history_changed(self) -> None:
        history = self.session.history
        self.events_panel.set_history(history.undo_name, history.can_redo)

    # ------------------------------------------------------------------ filters, quality, steps, movie

    def _filter(self, settings: FilterSettings) -> None:
        self.plots.set_filters(settings)
        self._tell_reading()

    def make_copy(self, settings: FilterSettings) -> None:
        """Add a filtered copy of the shown recording to the session."""
        if self.recording is None or self.uid is None:
            return
        if not settings:
            self.tell("Choose a filter or a baseline first: the copy would be the recording itself.")
            return
        try:
            self.session.add_recording(filtered(self.recording, settings), f"{self.uid} (filtered)")
        except BiofmError as error:
            self.tell_error(error)

    def measure(self, channel: int) -> None:
        """Measure the quality of a channel of the shown sweep."""
        if self.recording is not None:
            self.run(
                report, self.recording, self.plots.sweep, channel,
                name="Measure quality", on_done=self.quality_panel.show_report,
            )  # fmt: skip

    def plot_steps(self, measure: str) -> None:
        """Measure all sweeps between the cursors and plot them against the command."""
        recording = self.recording
        if recording is None or not self.plots.channels:
            return
        if not self.cursors.visible:
            self.toolbar.cursors.setChecked(True)
            self.step_panel.said.setText("Put the cursors around a step, then press Plot.")
            return
        channel = self.plots.channels[0]
        shift = self.plots.to_axis(self.plots.sweep, 0.0)
        start, stop = (at - shift for at in self.cursors.span)
        x, y, unit = step_curve(recording, channel, start, stop, measure)
        about = recording.channels[channel]
        self.step_panel.show_curve(x, y, unit, f"{measure} of {about.name}", about.unit)

    def plot_shapes(self, view: str, name: str) -> None:
        """Plot the averaged event or a histogram of the events of the shown channel."""
        recording, uid = self.recording, self.uid
        if recording is None or uid is None:
            return
        events = self.session.events(uid)
        events = events[~np.isin(events["class"], ("artefact", "rejected"))]
        events = events[events["class"] == name] if name else events
        channel = next((c for c in self.plots.channels if (events["channel"] == c).any()), None)
        if channel is None:
            self.shapes_panel.said.setText("No such events in the shown channels. Find events first.")
            return
        events = events[events["channel"] == channel]
        if view == "Averaged event":
            before, after = (
                box.value() * 1e-3 for box in (self.shapes_panel.before, self.shapes_panel.after)
            )
            about = recording.channels[channel].name
            self.run(
                average_event, recording, events, before, after,
                name="Average events", on_done=lambda found: self.shapes_panel.show_average(found, about),
            )  # fmt: skip
        else:
            found = amplitude_histogram(events) if view == "Amplitudes" else interval_histogram(events)
            self.shapes_panel.show_histogram(found)

    def make_traces(self, movie: Any, masks: Any, frame_rate: float, settings: TraceSettings) -> None:
        """Measure the cells of a labels layer in a movie; the traces become a recording."""
        labels = np.asarray(masks.data)
        name = movie.name
        self.movie_panel.go.setEnabled(False)
        self.run(
            extract_traces, packed(movie.data), labels, frame_rate, settings,
            name=f"Traces of {name}", bound_to=layer_id(masks),
            on_done=lambda traces: self._show_traces(traces, labels, name),
            on_end=lambda: self.movie_panel.go.setEnabled(True),
        )  # fmt: skip

    def _show_traces(self, traces: CellTraces, labels: Any, name: str) -> None:
        self.movie_panel.said.setText(
            f"{len(traces.labels)} cells, {traces.dff.shape[1]} frames. " + " ".join(traces.warnings)
        )
        self.session.add_recording(traces.recording(labels), f"{name} dF/F")

    def _layers_changed(self, *_: Any) -> None:
        clock = self.session.clock(self.session.image) if self.session.image else None
        rate = clock.frame_rate if clock is not None and clock.n_frames > 1 else None
        self.movie_panel.update_layers(self.session.image, self.session.labels, rate)

    # ------------------------------------------------------------------ export

    def _ask_export(self, key: str) -> None:
        if self.recording is None:
            self.tell("Open a recording first: there is nothing to export.")
            return
        name, _ = QFileDialog.getSaveFileName(self, "Export", "", ENDINGS[key])
        if name:
            ending = f".{ENDINGS[key].rpartition('*.')[2].rstrip(')')}"
            path = Path(name)
            self.export(key, path if path.suffix.lower() == ending else path.with_name(path.name + ending))

    def export(self, key: str, path: Path) -> None:
        """Write one of `ENDINGS` to a file."""
        recording = self.recording
        if recording is None or self.uid is None:
            return
        editor = EventEditor(self.session, self.uid)
        try:
            if key.startswith("events"):
                write_events(path, editor.events, editor.review, {"methods": self.methods_text()})
            elif key == "samples":
                start, stop = self.plots.span()
                shift = self.plots.to_axis(self.plots.sweep, 0.0)
                write_samples(
                    path, recording, self.plots.sweep, self.plots.channels, start - shift, stop - shift
                )
            elif key == "nwb":
                write_nwb(path, recording, editor.events)
            else:
                save_figure(self.plots, path)
        except (BiofmError, OSError) as error:
            self.tell_error(error)
            return
        self.tell(f"Written: {path.name}")

    def methods_text(self) -> str:
        """Return a paragraph that states every setting that was used."""
        if self.recording is None or self.uid is None:
            return ""
        editor = EventEditor(self.session, self.uid)
        settings = {k: v for k, v in editor.entry.provenance.items() if k not in ("review", "was")}
        return methods(self.recording, self.filters_panel.shown, editor.events, settings, editor.review)

    def _write_methods(self) -> None:
        self.export_panel.methods.setPlainText(self.methods_text())
