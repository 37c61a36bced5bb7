"""The trace dock: puts plots, panels and controllers together."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QSizePolicy, QSplitter, QVBoxLayout, QWidget

from napari_biofm.canvas.movie_layers import ViewerMovies
from napari_biofm.controllers.common.analysing import Analysing
from napari_biofm.controllers.common.going import go_to
from napari_biofm.controllers.common.layers import layer_id
from napari_biofm.controllers.common.recording_layers import put_recording
from napari_biofm.controllers.common.volume_layers import is_volumes, open_volumes
from napari_biofm.controllers.trace.analyses import Analyses
from napari_biofm.controllers.trace.cells_controller import CellsController
from napari_biofm.controllers.trace.curating import Curating
from napari_biofm.controllers.trace.events_controller import EventsController
from napari_biofm.controllers.trace.exporting import Exports
from napari_biofm.controllers.trace.forecasting import Forecasting
from napari_biofm.controllers.trace.movie_traces import MovieTraces
from napari_biofm.controllers.trace.recipe import recording_draft
from napari_biofm.controllers.trace.recordings_controller import RecordingsController
from napari_biofm.controllers.trace.sources import TAKES, TraceSources
from napari_biofm.controllers.trace.teaching import Teaching
from napari_biofm.session import Session
from napari_biofm.signals import Recording
from napari_biofm.signals.plausible import unit_hints
from napari_biofm.types import Events
from napari_biofm.widgets.common.analyse_panel import AnalysePanel
from napari_biofm.widgets.common.buttons import shortcut
from napari_biofm.widgets.common.dock import Dock
from napari_biofm.widgets.common.nwb_dialog import ask_about
from napari_biofm.widgets.common.plot_style import colours_of
from napari_biofm.widgets.common.qt_parts import there
from napari_biofm.widgets.common.recipe_bar import RecipeBar
from napari_biofm.widgets.common.recording_dialog import ask_for_file, files_of, open_asking
from napari_biofm.widgets.trace.channels_panel import ChannelsPanel
from napari_biofm.widgets.trace.curation_panel import CurationPanel
from napari_biofm.widgets.trace.events_panel import EventsPanel
from napari_biofm.widgets.trace.export_panel import ExportPanel, save_figure
from napari_biofm.widgets.trace.filters_panel import FiltersPanel
from napari_biofm.widgets.trace.forecast_panel import ForecastPanel
from napari_biofm.widgets.trace.grouped_tabs import GroupedTabs
from napari_biofm.widgets.trace.movie_panel import MoviePanel
from napari_biofm.widgets.trace.quality_panel import QualityPanel
from napari_biofm.widgets.trace.single_panel import SingleChannelPanel
from napari_biofm.widgets.trace.teach_panel import TeachPanel
from napari_biofm.widgets.trace.trace_view import TraceView


class TraceDock(Dock):
    """Recordings of the session: seen, measured, their events found, judged and exported.

    Attributes
    ----------
    view : what is drawn; its toolbar, plots, heatmap, marks, cursors and readout are attributes here too.
    recordings : which recording is shown.
    events, teaching, forecasting, analyses, movies, exports, cells : what the panels ask for; no Qt in them.
    """

    area = "bottom"

    def __init__(self, napari_viewer: Any, *, session: Session | None = None) -> None:
        super().__init__(napari_viewer, session=session)
        self.setAcceptDrops(True)
        self._build_widgets()
        self._build_controllers()
        self._arrange()
        self._connect_recordings()
        self._connect_view()
        self._connect_events()
        self._connect_panels()
        self._bind_keys()
        self.recordings.update()
        self.teaching.show_head()
        self.movies.update()

    # ------------------------------------------------------------------ building

    def minimumSizeHint(self) -> QSize:
        """Let napari, which opens every plugin on the right first, not widen the window for it."""
        return QSize(300, super().minimumSizeHint().height())

    def _build_widgets(self) -> None:
        colours = colours_of(self.viewer)
        self.view = view = TraceView(colours)
        self.toolbar, self.unit_hint, self.readout = view.toolbar, view.unit_hint, view.readout
        self.plots, self.heatmap, self.marks, self.cursors = (
            view.plots,
            view.heatmap,
            view.marks,
            view.cursors,
        )
        self.time_line, self.tag_lines = view.time_line, view.tag_lines
        self.events_panel = EventsPanel()
        self.teach_panel = TeachPanel()
        self.forecast_panel = ForecastPanel()
        self.channels_panel = ChannelsPanel()
        self.filters_panel = FiltersPanel()
        self.quality_panel = QualityPanel(colours)
        self.single_panel = SingleChannelPanel(colours)
        self.movie_panel = MoviePanel()
        self.recipe = RecipeBar(
            lambda: recording_draft(self.viewer, self.session, self.recordings.uid),
            self.tell,
            self.tell_error,
        )
        self.export_panel = ExportPanel(self.recipe)

    def _build_controllers(self) -> None:
        session, lines, run, listen = self.session, self.plots.lines, self.run, self.listen
        add = partial(put_recording, self.viewer, session)
        self.recordings = shown = RecordingsController(session, listen=listen, add=add, read=self._read)
        self.events = EventsController(
            session, shown=shown, channels=lambda: lines.channels, run=run, listen=listen
        )
        self.teaching = Teaching(session, shown=shown, run=run, listen=listen)
        self.forecasting = Forecasting(session, shown=shown, lines=lines, run=run, listen=listen)
        self.analyses = Analyses(session, shown=shown, lines=lines, run=run)
        sources = TraceSources(session, shown=shown, lines=lines, cursors=lambda: self.view.cursor_spans)
        self.analysing = Analysing(TAKES, source=sources.source, run=run, add=session.add_recording)
        self.analyse_panel = AnalysePanel(self.analysing, colours_of(self.viewer), sources.offers)
        self.movies = MovieTraces(session, layers=ViewerMovies(self.viewer), run=run, listen=listen)
        self.exports = Exports(
            session, shown=shown, lines=lines, span=self.plots.span, filters=lambda: self.filters_panel.shown,
            save_figure=partial(save_figure, self.plots), run=run,
        )  # fmt: skip
        self.cells = CellsController(session, shown=shown, lines=lines, listen=listen)
        self.curating = Curating(session, shown=shown, cells=self.cells, listen=listen)
        self.curation_panel = CurationPanel(self.curating)

    def _arrange(self) -> None:
        self.tabs = GroupedTabs()
        for group, panels in (
            ("Events", (
                ("Find", self.events_panel, "Find, judge and correct events"),
                ("Teach", self.teach_panel, "Teach physio-FM an event shape from a few marks"),
                ("Forecast", self.forecast_panel, "What comes next, and how unexpected the present is"),
            )),
            ("Analyse", (("", self.analyse_panel, "All analyses of recordings, events and tables"),)),
            ("Single", (("", self.single_panel, "Single channels: open times, open probability, unit current"),)),
            ("Channels", (
                ("Shown", self.channels_panel, "Which channels are shown, their units and gains"),
                ("Filters", self.filters_panel, "Filters for display or as a processed copy"),
                ("Quality", self.quality_panel, "Noise, hum, drift, access resistance, spectrum"),
            )),
            ("Export", (("", self.export_panel, "Tables, figures, NWB and a methods paragraph"),)),
            ("Movie", (
                ("Traces", self.movie_panel, "Traces of cells from a movie and masks"),
                ("Curate", self.curation_panel, "Accept and reject cells one by one, by key"),
            )),
        ):  # fmt: skip
            self.tabs.add_group(group, panels)
        self.tabs.setMinimumWidth(370)
        there(self.tabs.tabBar()).setExpanding(False)
        self.tabs.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        right = QWidget()
        side = QVBoxLayout(right)
        side.setContentsMargins(0, 0, 0, 0)
        side.addWidget(self.tabs, 1)
        side.addWidget(self.job_bar)
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.addWidget(self.view)
        splitter.addWidget(right)
        splitter.setStretchFactor(0, 1)
        splitter.setSizes([900, 400])
        layout = QVBoxLayout(self)  # what a killed napari left behind is offered above
        layout.setContentsMargins(2, 2, 2, 2)
        layout.addWidget(splitter, 1)
        self.setMinimumHeight(280)

    # ------------------------------------------------------------------ connecting

    def _connect_recordings(self) -> None:
        tools, recordings = self.toolbar, self.recordings
        tools.recording_chosen.connect(recordings.show)
        tools.part_chosen.connect(recordings.open_part)
        tools.open_asked.connect(self._ask_for_file)
        tools.close_asked.connect(recordings.close)
        recordings.listed.connect(lambda names: tools.set_recordings(names, recordings.uid))
        recordings.shown.connect(self._show_recording)
        recordings.time_moved.connect(self.heatmap.set_time)
        recordings.time_moved.connect(self.time_line.place)
        self.time_line.dragged.connect(recordings.set_time)
        self.marks.pointed.connect(recordings.point_at)
        self.channels_panel.unit_changed.connect(recordings.set_unit)
        self.unit_hint.taken.connect(recordings.set_unit)
        for signal in (
            recordings.failed, self.curating.failed, self.events.failed, self.teaching.failed, self.analyses.failed, self.exports.failed,
            self.analysing.failed,
        ):  # fmt: skip
            signal.connect(self.tell_error)
        for signal in (
            self.events.message, self.teaching.message, self.forecasting.message, self.analyses.message,
            self.exports.message, self.analysing.message,
        ):  # fmt: skip
            signal.connect(self.tell)

    def _connect_view(self) -> None:
        view, cells = self.view, self.cells
        view.time_unplaced.connect(self.recordings.place_time)
        view.clicked.connect(lambda at: self.recordings.set_time(self.plots.lines.seconds_at(at)))
        view.clicked.connect(self.forecasting.choose)
        view.channels_changed.connect(self.channels_panel.set_shown)
        view.failed.connect(self.tell_error)
        view.cursor_bar.all_asked.connect(self._measure_all)
        self.heatmap.picked.connect(cells.pick)
        cells.channels_chosen.connect(view.show_channels)
        self.curating.looked_at.connect(self._go_to_cell)
        self.channels_panel.shown.connect(view.show_channels)
        self.channels_panel.gain.connect(self.plots.scale_gain)

    def _connect_events(self) -> None:
        panel, events = self.events_panel, self.events
        panel.detect.connect(events.detect)
        panel.assess.connect(events.assess)
        events.assessed.connect(panel.show_quality)
        panel.judge.connect(events.judge)
        panel.delete.connect(events.delete)
        panel.reclass.connect(events.reclass)
        panel.undo.connect(events.undo)
        panel.redo.connect(events.redo)
        panel.picked.connect(self._event_picked)
        self.marks.picked.connect(lambda row: panel.table.select_rows([row]))
        self.marks.moved.connect(events.move)
        self.plots.double_clicked.connect(self._double_clicked)
        events.keep_asked.connect(panel.ask_keep)
        panel.keep_answered.connect(events.answer)
        events.busy.connect(panel.set_busy)
        events.changed.connect(self._show_events)
        events.edited_row.connect(lambda row: panel.table.select_rows([row]))
        events.history_changed.connect(panel.set_history)

    def _connect_panels(self) -> None:
        teach, forecast, movie = self.teach_panel, self.forecast_panel, self.movie_panel
        teach.teach.connect(self.teaching.teach)
        teach.find.connect(
            lambda: self.events.detect("physio-fm", self.teaching.kind, self.events_panel.chosen_preset)
        )
        teach.stock.connect(self.teaching.use_stock)
        teach.save.connect(self.teaching.save)
        teach.load.connect(self.teaching.load)
        teach.scope_changed.connect(self.teaching.set_everywhere)
        self.teaching.marks_counted.connect(teach.show_marks)
        self.teaching.started.connect(lambda: teach.teach_button.setEnabled(False))
        self.teaching.head_changed.connect(teach.show_head)
        self.teaching.head_changed.connect(self.events_panel.show_head)
        forecast.changed.connect(self.forecasting.set_options)
        forecast.surprise.connect(self.forecasting.surprise)
        self.forecasting.ahead_changed.connect(self.view.forecast_band.show)
        self.forecasting.note.connect(forecast.show_message)
        self.forecasting.busy.connect(forecast.set_busy)
        self.filters_panel.changed.connect(self.view.set_filters)
        self.filters_panel.copy_asked.connect(self.analyses.make_copy)
        self.quality_panel.asked.connect(self.analyses.measure)
        self.analyses.quality_measured.connect(self.quality_panel.show_report)
        self.single_panel.asked.connect(self.analyses.summarise_channels)
        self.analyses.channels_summarised.connect(self.single_panel.show_summary)
        self.analyses.channels_note.connect(self.single_panel.show_message)
        self.analyses.channels_busy.connect(self.single_panel.set_busy)
        self.export_panel.asked.connect(self._export)
        self.export_panel.refresh.connect(self.exports.write_methods)
        self.exports.methods_written.connect(self.export_panel.show_methods)
        self.recordings.noted.connect(self.tell)
        movie.asked.connect(self.movies.make)
        movie.motion_asked.connect(self.movies.correct)
        self.movies.offered.connect(movie.offer)
        self.movies.busy.connect(movie.set_busy)
        self.movies.note.connect(movie.show_message)
        for emitter in (self.viewer.layers.events.inserted, self.viewer.layers.events.removed):
            self.listen(emitter, self.movies.update)

    def _bind_keys(self) -> None:
        panel, plots = self.events_panel, self.plots
        for keys, call in (
            ("Left", lambda: plots.step_sweep(-1)),
            ("Right", lambda: plots.step_sweep(1)),
            ("Up", lambda: plots.scale_gains(1.25)),
            ("Down", lambda: plots.scale_gains(0.8)),
            ("Backspace", plots.zoom_back),
            ("Home", plots.zoom_out),
            ("C", self.toolbar.cursors.toggle),
            ("F", self.forecast_panel.on.toggle),
            ("Ctrl+Shift+Z", self.events.redo),
        ):
            shortcut(self, keys, call)
        calls = {
            "A": lambda: panel.judge_selected("accept"),
            "U": lambda: panel.judge_selected("unclear"),
            "R": lambda: panel.judge_selected("reject"),
            "N": lambda: panel.table.step(1),
            "Space": lambda: panel.table.step(1),
            "P": lambda: panel.table.step(-1),
            "Del": panel.delete_selected,
            "Ctrl+Z": self.events.undo,
        }
        for keys, of_events in calls.items():  # the same keys judge cells while these are gone through
            shortcut(self, keys, lambda k=keys, call=of_events: self.curation_panel.key(k) or call())

    # ------------------------------------------------------------------ showing

    @property
    def recording(self) -> Recording | None:
        """The recording that is shown."""
        return self.recordings.recording

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Take files that are dragged here: also those that napari would give to another reader."""
        if event is not None and files_of(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Open the files that were dropped, one after the other."""
        if event is None:
            return
        for path in files_of(event.mimeData()):
            self.recordings.open(path)
        event.acceptProposedAction()

    def _read(self, path: Path) -> Recording | None:
        """Read a recording; volumes go to the viewer, to be measured in the tab Movie."""
        if not is_volumes(path):
            return open_asking(path, parent=self)
        self.tell(" ".join(open_volumes(self.viewer, path)))
        self.show_panel(self.movie_panel)
        return None

    def _ask_for_file(self) -> None:
        path = ask_for_file(self)
        if path is not None:
            self.recordings.open(path)

    def _show_recording(self, keep_view: bool) -> None:
        """Show another recording from its start, or the same one with other units or names."""
        recording = self.recordings.recording
        if not keep_view:  # a filter is never carried over unseen
            self.filters_panel.show_filters.setChecked(False)
        self.view.show_recording(recording, keep_view=keep_view)
        hints = {} if recording is None else unit_hints(recording)
        self.unit_hint.show_hints(recording, hints)
        self.view.set_filters(self.filters_panel.shown)
        for panel in (self.quality_panel, self.filters_panel, self.export_panel):
            panel.set_recording(recording)
        self.analyse_panel.refresh()
        self.single_panel.show_summary(None)
        self.channels_panel.set_recording(recording, self.plots.channels, hints)
        self.events.show()
        self.teaching.count()
        self.recordings.place_time()

    def _export(self, key: str, path: Path) -> None:
        """Write a file; for NWB the experiment and the animal are asked."""
        about = ask_about(self, self.exports.known_about) if key == "nwb" else None
        if key != "nwb" or about is not None:
            self.exports.write(key, path, about)

    def _measure_all(self) -> None:
        """Measure all sweeps between both pairs of cursors."""
        panel, view = self.analyse_panel, self.view
        self.show_panel(panel)
        panel.choose("cursors")
        for name, value in view.measures.values(view.baseline.span, view.cursors.span).items():
            panel.set_value(name, f"{value:.9g}" if isinstance(value, float) else value)
        panel.run()

    def _go_to_cell(self, masks: str, centre: NDArray[np.float64], size: float) -> None:
        """Bring a cell into the middle of the view."""
        layer = next((one for one in self.viewer.layers if layer_id(one) == masks), None)
        if layer is not None:
            go_to(self.viewer, layer, centre, size)

    def _show_events(self, events: Events) -> None:
        self.events_panel.set_events(events, self.events.searched)
        rows = self.events_panel.table.selected()
        self.marks.set_events(events, rows[0] if rows else None)

    def _event_picked(self, rows: list[int]) -> None:
        """Bring the first of the selected events into view."""
        if rows:
            self.view.show_event(self.events.events[rows[0]])
        self.marks.select(rows[0] if rows else None)

    def _double_clicked(self, channel: int, at: float, value: float, event: Any) -> None:
        sweep, time_s = self.plots.lines.from_axis(at)
        self.events.add(sweep, channel, time_s, self.events_panel.new_class.currentText())

    def show_panel(self, panel: QWidget) -> None:
        """Bring the tab that holds a panel to the front."""
        self.tabs.show_panel(panel)
