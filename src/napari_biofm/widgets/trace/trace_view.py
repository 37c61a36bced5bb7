"""What is seen of one recording: toolbar, heatmap, plots with all that lies over them, and the readout."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QSplitter, QVBoxLayout, QWidget

from napari_biofm.controllers.trace.cursors import CursorMeasures, HowMeasured, Span
from napari_biofm.signals import Recording
from napari_biofm.signals.display import SweepMode
from napari_biofm.signals.display.colours import Colours
from napari_biofm.signals.display.layout import MAX_CHANNELS, parse_sweeps
from napari_biofm.signals.filters import FilterSettings
from napari_biofm.types import BiofmError
from napari_biofm.widgets.common.forms import note
from napari_biofm.widgets.trace.cursor_bar import CursorBar
from napari_biofm.widgets.trace.cursors import BASELINE_COLOUR, CursorPair
from napari_biofm.widgets.trace.forecast_band import ForecastBand
from napari_biofm.widgets.trace.heatmap import CellHeatmap
from napari_biofm.widgets.trace.marks import EventMarks
from napari_biofm.widgets.trace.plots import TracePlots
from napari_biofm.widgets.trace.tag_lines import TagLines
from napari_biofm.widgets.trace.time_line import TimeLine
from napari_biofm.widgets.trace.toolbar import TraceToolbar
from napari_biofm.widgets.trace.unit_hint import UnitHintBar


class TraceView(QWidget):
    """Shows a recording; its parts move together.

    Parameters
    ----------
    colours : of background, axes and marks.
    """

    clicked = Signal(float)  # place on the time axis
    channels_changed = Signal(list)  # those that are drawn now
    time_unplaced = Signal()  # other plots or another sweep: the time has to be put in again
    failed = Signal(object)

    def __init__(self, colours: Colours) -> None:
        super().__init__()
        self.toolbar = TraceToolbar()
        self.unit_hint = UnitHintBar()
        self.plots = TracePlots(colours=colours)
        self.heatmap = CellHeatmap(colours=colours)
        self.marks = EventMarks(self.plots)
        self.cursors = CursorPair(self.plots)
        self.baseline = CursorPair(self.plots, ("B", "B"), BASELINE_COLOUR, (0.08, 0.25))
        self.cursor_bar = CursorBar()
        self.measures = CursorMeasures(self.plots.lines)
        self.time_line = TimeLine(self.plots)
        self.tag_lines = TagLines(self.plots)
        self.forecast_band = ForecastBand(self.plots)
        self.readout = note(selectable=True)
        self._stack = QSplitter(Qt.Orientation.Vertical)
        self._stack.addWidget(self.heatmap)
        self._stack.addWidget(self.plots)
        self._stack.setStretchFactor(0, 2)
        self._stack.setStretchFactor(1, 3)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        for widget in (self.toolbar, self.cursor_bar, self.unit_hint, self._stack, self.readout):
            column.addWidget(widget)
        column.setStretch(3, 1)
        self._connect()

    def _connect(self) -> None:
        tools, plots, heatmap, bar = self.toolbar, self.plots, self.heatmap, self.cursor_bar
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
        plots.rebuilt.connect(self.time_unplaced)
        plots.message.connect(self.readout.setText)
        plots.drawn.connect(self.show_readings)
        plots.view_changed.connect(lambda *_: self.show_readings())
        plots.view_changed.connect(heatmap.follow)
        heatmap.view_changed.connect(plots.follow)
        self.cursors.changed.connect(self._cursors_changed)
        self.baseline.changed.connect(self.show_readings)
        bar.baseline_toggled.connect(self.baseline.set_visible)
        bar.typed.connect(self._place_cursors)
        bar.how_changed.connect(self._measure_so)

    def show_recording(self, recording: Recording | None, *, keep_view: bool) -> None:
        """Show another recording from its start, or the same one with other units or names."""
        if not keep_view:  # a layout is never carried over unseen
            self.toolbar.show_mode(SweepMode.ONE)
            self.toolbar.chosen.clear()
        self.toolbar.set_parts_of(recording)
        self.heatmap.set_recording(recording)
        self.plots.set_recording(recording, keep_view=keep_view, mode=None if keep_view else SweepMode.ONE)
        height = max(self._stack.height(), 200)
        self._stack.setSizes([int(0.4 * height), int(0.6 * height)])
        self.toolbar.set_sweeps(recording.n_sweeps if recording else 0, self.plots.sweep)
        self.heatmap.select(self.plots.channels)
        if keep_view:
            self.plots.fit_y()
        self.show_readings()

    def show_channels(self, channels: list[int]) -> None:
        """Show these channels; the present ones if there are none."""
        self.plots.set_channels(channels or self.plots.channels)
        self.heatmap.select(self.plots.channels)
        self.channels_changed.emit(self.plots.channels)
        if len(channels) > MAX_CHANNELS:
            self.readout.setText(f"The first {MAX_CHANNELS} of {len(channels)} ticked channels are drawn.")

    def show_event(self, event: np.void) -> None:
        """Bring an event into view."""
        if int(event["channel"]) not in self.plots.channels:
            self.show_channels([int(event["channel"])])
        self.plots.go_to(int(event["sweep"]), float(event["time_s"]))

    def set_filters(self, settings: FilterSettings) -> None:
        """Filter what is drawn; the recording stays as it is."""
        self.plots.set_filters(settings)
        self.show_readings()

    def set_mode(self, mode: SweepMode) -> None:
        """Lay the sweeps out another way."""
        self.plots.set_mode(mode)
        self.marks.update()
        self.show_readings()

    def choose_sweeps(self, text: str) -> None:
        """Draw, average and measure the sweeps that a text such as "0-5, 8" names; all for ""."""
        recording = self.plots.recording
        if recording is None:
            return
        try:
            self.plots.choose_sweeps(parse_sweeps(text, recording.n_sweeps))
        except BiofmError as error:
            self.failed.emit(error)
        self.marks.update()
        self.show_readings()

    def show_readings(self) -> None:
        """Say what the cursors read and what the picture leaves out."""
        if self.baseline.visible:
            texts = self.measures.texts(self.baseline.span, self.cursors.span)
        else:
            texts = [reading.text for reading in self.cursors.readings()]
        self.readout.setText("\n".join(text for text in (*texts, self.plots.note()) if text))
        if self.cursors.visible:
            spans = self.baseline.span, self.cursors.span
            self.cursor_bar.show_spans(*map(self.measures.in_sweep, spans))

    @property
    def cursor_spans(self) -> list[Span]:
        """Where the shown pairs stand on the time axis: what is measured, then the baseline."""
        return [pair.span for pair in (self.cursors, self.baseline) if pair.visible]

    def _cursors_changed(self) -> None:
        """Show the baseline and the times beside the cursors, and no longer than these."""
        on = self.cursors.visible
        self.cursor_bar.setVisible(on)
        wanted = on and self.cursor_bar.baseline.isChecked()
        if wanted != self.baseline.visible:
            self.baseline.set_visible(wanted)
        self.show_readings()

    def _place_cursors(self, baseline: Span, peak: Span) -> None:
        self.baseline.place(*self.measures.on_axis(baseline))
        self.cursors.place(*self.measures.on_axis(peak))

    def _measure_so(self, how: HowMeasured) -> None:
        self.measures.how = how
        self.show_readings()

    def _sweep_changed(self, sweep: int) -> None:
        if self.plots.recording is not None:
            self.toolbar.set_sweeps(self.plots.recording.n_sweeps, sweep)
        self.show_readings()
        self.time_unplaced.emit()

    def _clicked(self, channel: int, at: float, value: float, event: Any) -> None:
        self.clicked.emit(at)
        self.readout.setText(self.plots.lines.describe_sample(channel, at))
