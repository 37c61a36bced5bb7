"""The trace dock: puts plots and panels together and ties them to the session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_biofm.actions import SetUnit
from napari_biofm.session import Pointed, Session
from napari_biofm.signals import Recording
from napari_biofm.signals.display import SweepMode
from napari_biofm.signals.display.layout import parse_sweeps
from napari_biofm.timeline import Clock, is_of_movie, recording_time, session_time
from napari_biofm.types import BiofmError
from napari_biofm.widgets.common.buttons import shortcut
from napari_biofm.widgets.common.dock import Dock
from napari_biofm.widgets.trace.analyses import Analyses
from napari_biofm.widgets.trace.cells_link import CellsLink
from napari_biofm.widgets.trace.channels_panel import ChannelsPanel
from napari_biofm.widgets.trace.cursors import CursorPair
from napari_biofm.widgets.trace.events_controller import EventsController
from napari_biofm.widgets.trace.events_panel import EventsPanel
from napari_biofm.widgets.trace.export_panel import ExportPanel
from napari_biofm.widgets.trace.exporting import Exports
from napari_biofm.widgets.trace.filters_panel import FiltersPanel
from napari_biofm.widgets.trace.forecast_panel import ForecastPanel
from napari_biofm.widgets.trace.forecasting import Forecasting
from napari_biofm.widgets.trace.heatmap import CellHeatmap
from napari_biofm.widgets.trace.iv_panel import StepPanel
from napari_biofm.widgets.trace.marks import EventMarks
from napari_biofm.widgets.trace.movie_panel import MoviePanel
from napari_biofm.widgets.trace.movie_traces import MovieTraces
from napari_biofm.widgets.trace.opening import ask_for_file, open_asking
from napari_biofm.widgets.trace.placing import other_part, put_recording
from napari_biofm.widgets.trace.plots import MAX_ROWS, TracePlots
from napari_biofm.widgets.trace.quality_panel import QualityPanel
from napari_biofm.widgets.trace.scrolled import Scrolled
from napari_biofm.widgets.trace.shapes_panel import ShapesPanel
from napari_biofm.widgets.trace.style import colours_of
from napari_biofm.widgets.trace.tag_lines import TagLines
from napari_biofm.widgets.trace.teach_panel import TeachPanel
from napari_biofm.widgets.trace.teaching import Teaching
from napari_biofm.widgets.trace.time_line import TimeLine
from napari_biofm.widgets.trace.toolbar import TraceToolbar
from napari_biofm.widgets.trace.unit_hint import UnitHintBar


class TraceDock(Dock):
    """Recordings of the session: seen, measured, their events found, judged and exported.

    Attributes
    ----------
    uid : of the recording that is shown, or None.
    plots, heatmap, marks, cursors : what is drawn.
    events, teaching, forecasting, analyses, movies, exports : what the panels ask for, each with its verbs.
    """

    area = "bottom"

    def __init__(self, napari_viewer: Any, *, session: Session | None = None) -> None:
        super().__init__(napari_viewer, session=session)
        self.uid: str | None = None
        colours = colours_of(napari_viewer)
        self.toolbar = TraceToolbar()
        self.unit_hint = UnitHintBar()
        self.plots = TracePlots(colours=colours)
        self.heatmap = CellHeatmap(colours=colours)
        self.marks = EventMarks(self.plots)
        self.cursors = CursorPair(self.plots)
        self.time_line = TimeLine(self.plots)
        self.tag_lines = TagLines(self.plots)
        self.events_panel = EventsPanel()
        self.teach_panel = TeachPanel()
        self.forecast_panel = ForecastPanel()
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
        self._arrange()
        self.events = EventsController(self)
        self.teaching = Teaching(self)
        self.forecasting = Forecasting(self)
        self.analyses = Analyses(self)
        self.movies = MovieTraces(self)
        self.exports = Exports(self)
        self._cells = CellsLink(self)
        self._connect()
        self._bind_keys()
        self._recordings_changed()

    # ------------------------------------------------------------------ building

    def minimumSizeHint(self) -> QSize:
        """Let napari, which opens every plugin on the right first, not widen the window for it."""
        return QSize(300, super().minimumSizeHint().height())

    def _arrange(self) -> None:
        self._stack = QSplitter(Qt.Orientation.Vertical)
        self._stack.addWidget(self.heatmap)
        self._stack.addWidget(self.plots)
        self._stack.setStretchFactor(0, 2)
        self._stack.setStretchFactor(1, 3)
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        for widget in (self.toolbar, self.unit_hint, self._stack, self.readout):
            column.addWidget(widget)
        column.setStretch(2, 1)
        self.tabs = QTabWidget()
        for name, panel, tip in (
            ("Events", self.events_panel, "Find, judge and correct events"),
            ("Teach", self.teach_panel, "Teach physio-FM an event shape from a few marks"),
            ("Shapes", self.shapes_panel, "Averaged event, histograms of amplitudes and intervals"),
            ("Forecast", self.forecast_panel, "What comes next, and how unexpected the present is"),
            ("Channels", self.channels_panel, "Which channels are shown, their units and gains"),
            ("Filters", self.filters_panel, "Filters for display or as a processed copy"),
            ("Steps", self.step_panel, "IV and other plots of sweeps against their command"),
            ("Quality", self.quality_panel, "Noise, hum, drift, access resistance, spectrum"),
            ("Export", self.export_panel, "Tables, figures, NWB and a methods paragraph"),
            ("Movie", self.movie_panel, "Traces of cells from a movie and masks"),
        ):
            self.tabs.setTabToolTip(self.tabs.addTab(Scrolled(panel), name), tip)
        self.tabs.setMinimumWidth(360)
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
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.addWidget(splitter)
        self.setMinimumHeight(280)

    def _connect(self) -> None:
        tools, plots = self.toolbar, self.plots
        tools.recording_chosen.connect(self.show_recording)
        tools.part_chosen.connect(self.open_part)
        tools.open_asked.connect(self.open)
        tools.close_asked.connect(self.close_recording)
        tools.sweep_asked.connect(plots.set_sweep)
        tools.mode_asked.connect(self.set_mode)
        tools.sweeps_asked.connect(self.choose_sweeps)
        tools.scale_asked.connect(plots.set_scale_mode)
        tools.average.toggled.connect(plots.set_average)
        tools.command.toggled.connect(plots.set_stimulus)
        tools.bars.toggled.connect(plots.set_bars)
        tools.cursors.toggled.connect(self.cursors.set_visible)
        tools.back_asked.connect(plots.zoom_back)
        tools.whole_asked.connect(plots.zoom_out)
        plots.sweep_changed.connect(self._sweep_changed)
        plots.clicked.connect(self._clicked)
        plots.rebuilt.connect(self._place_time)
        self.time_line.dragged.connect(self._time_chosen)
        self.marks.pointed.connect(self._pointed)
        plots.message.connect(self.readout.setText)
        plots.drawn.connect(self.tell_reading)
        plots.view_changed.connect(lambda *_: self.tell_reading())
        self.cursors.changed.connect(self.tell_reading)
        self.channels_panel.shown.connect(self.show_channels)
        self.channels_panel.unit_changed.connect(self.set_unit)
        self.channels_panel.gain.connect(plots.scale_gain)
        self.unit_hint.taken.connect(self.set_unit)
        self.listen(self.session.recordings_changed, self._recordings_changed)
        self.listen(self.session.time_changed, lambda _: self._place_time())
        self.listen(self.session.clocks_changed, self._place_time)

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
            ("F", self.forecast_panel.on.toggle),
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
            self.show_recording(put_recording(self.viewer, self.session, recording))

    def open_part(self, number: int) -> None:
        """Show another part of the shown recording's file; it becomes a recording of its own."""
        recording = self.recording
        if recording is None or number == recording.metadata.get("part"):
            return
        try:
            part, name = other_part(recording, number)
        except BiofmError as error:
            self.tell_error(error)
            return
        known = self.session.recordings
        self.show_recording(name if name in known else put_recording(self.viewer, self.session, part, name))

    def close_recording(self) -> None:
        """Take the shown recording out of the session."""
        if self.uid is not None:
            self.session.remove_recording(self.uid)

    def show_recording(self, uid: str) -> None:
        """Show a recording of the session."""
        self.uid = uid
        self.toolbar.show_mode(SweepMode.ONE)
        self.toolbar.chosen.clear()
        self.filters_panel.show_filters.setChecked(False)  # a filter is never carried over unseen
        self._install(self.recording, mode=SweepMode.ONE)

    def _install(
        self, recording: Recording | None, *, keep_view: bool = False, mode: SweepMode | None = None
    ) -> None:
        self.toolbar.set_recordings(list(self.session.recordings), self.uid)
        about = recording.metadata if recording else {}
        self.toolbar.set_parts([str(part) for part in about.get("parts", ())], int(about.get("part", 0)))
        self.heatmap.set_recording(recording)
        self.plots.set_recording(recording, keep_view=keep_view, mode=mode)
        self.plots.set_filters(self.filters_panel.shown)
        height = max(self._stack.height(), 200)
        self._stack.setSizes([int(0.4 * height), int(0.6 * height)])
        self.toolbar.set_sweeps(recording.n_sweeps if recording else 0, self.plots.sweep)
        self.quality_panel.set_recording(recording)
        if recording is not None:
            self.filters_panel.set_limit(min(c.sampling_rate for c in recording.channels))
        hints = self.unit_hint.look_at(recording, self.plots.channels)
        self.channels_panel.set_recording(recording, self.plots.channels, hints)
        self.heatmap.select(self.plots.channels)
        self.events.show()
        self.teaching.count()
        self.tell_reading()
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

    # ------------------------------------------------------------------ units, sweeps, channels, time

    def set_unit(self, channel: int, unit: str, factor: float = 1.0) -> None:
        """Put a channel's unit (and scale) right, as an edit that can be undone."""
        recording, uid = self.recording, self.uid
        if recording is None or uid is None or (recording.channels[channel].unit == unit and factor == 1.0):
            return
        self.session.do(SetUnit(uid, channel, unit, factor=factor))

    def set_mode(self, mode: SweepMode) -> None:
        """Lay the sweeps out another way."""
        self.plots.set_mode(mode)
        self.marks.update()
        self.tell_reading()

    def choose_sweeps(self, text: str) -> None:
        """Draw, average and measure the sweeps that a text such as "0-5, 8" names; all for ""."""
        recording = self.recording
        if recording is None:
            return
        try:
            self.plots.choose_sweeps(parse_sweeps(text, recording.n_sweeps))
        except BiofmError as error:
            self.tell_error(error)
        self.marks.update()
        self.tell_reading()

    def show_channels(self, channels: list[int]) -> None:
        """Show these channels; the present ones if there are none."""
        self.plots.set_channels(channels or self.plots.channels)
        self.channels_panel.set_shown(self.plots.channels)
        self.heatmap.select(self.plots.channels)
        if len(channels) > MAX_ROWS:
            self.readout.setText(f"The first {MAX_ROWS} of {len(channels)} ticked channels are drawn.")

    def show_panel(self, panel: QWidget) -> None:
        """Bring the tab that holds a panel to the front."""
        for i in range(self.tabs.count()):
            if self.tabs.widget(i).isAncestorOf(panel):
                self.tabs.setCurrentIndex(i)

    def tell_reading(self) -> None:
        """Say what the cursors read and what the picture leaves out."""
        said = [reading.text for reading in self.cursors.readings()]
        note = self.plots.note()
        self.readout.setText("\n".join([*said, note] if note else said))

    def _sweep_changed(self, sweep: int) -> None:
        if self.recording is not None:
            self.toolbar.set_sweeps(self.recording.n_sweeps, sweep)
        self.tell_reading()
        self._place_time()

    def _clicked(self, channel: int, time_s: float, value: float, event: Any) -> None:
        recording = self.recording
        if recording is None:
            return
        sweep, at = self.plots.from_axis(time_s)
        self._time_chosen(float(recording.sweep_starts[sweep]) + at)
        if self.plots.source is not None:
            about = recording.channels[channel]
            seen = self.plots.source.value_at(sweep, channel, at)
            self.readout.setText(f"{about.name}: {seen:.5g} {about.unit} at {at:.5f} s of sweep {sweep}")

    def _place_time(self) -> None:
        """Show where the session's time stands."""
        recording, seconds = self.recording, self.session.time_s
        if recording is not None:
            seconds = recording_time(recording, seconds, self._clock(recording))
        self.heatmap.set_time(seconds)
        self.time_line.place(seconds)

    def _time_chosen(self, seconds: float) -> None:
        """Move the session's time to a time of the shown recording."""
        if self.recording is not None:
            self.session.set_time(session_time(self.recording, seconds, self._clock(self.recording)))

    def _clock(self, recording: Recording) -> Clock | None:
        """Return the clock of the movie the shown traces were measured from, None for other recordings."""
        return next((c for c in self.session.clocks.values() if is_of_movie(recording, c)), None)

    def _pointed(self, row: int) -> None:
        self.session.point_at(Pointed(self.uid, row) if self.uid is not None and row >= 0 else None)
