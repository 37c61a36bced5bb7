"""The stacked plots: one row per channel, one for the command, all on one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pyqtgraph as pg
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QSizePolicy, QStackedLayout, QWidget

from napari_biofm.signals import Recording
from napari_biofm.signals.display import ScaleMode, SweepMode, TraceLines
from napari_biofm.signals.display.colours import Colours
from napari_biofm.signals.display.layout import MAX_CHANNELS, first_channels
from napari_biofm.signals.display.lines import AT_ONCE
from napari_biofm.signals.display.scales import Range, ViewHistory, stretched
from napari_biofm.signals.filters import FilterSettings
from napari_biofm.types import Progress, run_task
from napari_biofm.widgets.common.event_loop import SLICE_S, EventLoopTask
from napari_biofm.widgets.common.forms import note
from napari_biofm.widgets.trace.curves import TraceViewBox
from napari_biofm.widgets.trace.rows import Row, Scales

COMMAND = "Command"
EMPTY = (
    "No recording is open.\n\nDrag a recording onto napari (ABF, NWB, HEKA, WFDB, HDF5, NumPy, CSV, suite2p, "
    "CaImAn), or press Open."
)


class TracePlots(QWidget):
    """Shows a recording.

    Parameters
    ----------
    recording : what is shown; None shows how to open one.
    colours : of background, axes and marks.
    """

    sweep_changed = Signal(int)
    clicked = Signal(int, float, float, object)  # channel, time in the sweep, value, mouse event
    double_clicked = Signal(int, float, float, object)
    rebuilt = Signal()  # plots were made anew: overlays must be put in again
    view_changed = Signal(float, float)  # seconds in view
    drawn = Signal()  # the curves are there
    message = Signal(str)  # how far the reading of a long trace is

    def __init__(self, recording: Recording | None = None, *, colours: Colours | None = None) -> None:
        super().__init__()
        self.colours = colours or Colours()
        self.lines = TraceLines()
        self.rows: list[Row] = []
        self.stimulus_row: Row | None = None
        self.history = ViewHistory()
        self.scale_mode = ScaleMode.BY_CHANNEL
        self._gains: dict[int, float] = {}  # how far a channel is stretched beyond fitting
        self.show_stimulus = True
        self.show_bars = False
        self._following = False
        self.event_loop_task = EventLoopTask(self, SLICE_S)
        self.event_loop_task.progressed.connect(self._show_progress)
        self.canvas = pg.GraphicsLayoutWidget()
        self.canvas.setBackground(self.colours.background)
        self.canvas.ci.layout.setSpacing(2)
        self.canvas.ci.layout.setContentsMargins(2, 2, 6, 2)
        self.empty = note(EMPTY)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._pages = QStackedLayout(self)
        self._pages.addWidget(self.empty)
        self._pages.addWidget(self.canvas)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(120)
        self.set_recording(recording)

    def sizeHint(self) -> QSize:
        return QSize(900, 420)

    def recolour(self, colours: Colours) -> None:
        """Draw in other colours, where one looked."""
        if colours != self.colours:
            self.colours = colours
            self._rebuild()

    # ------------------------------------------------------------------ what is shown

    @property
    def recording(self) -> Recording | None:
        return self.lines.recording

    @property
    def sweep(self) -> int:
        """The current sweep."""
        return self.lines.sweep

    @property
    def mode(self) -> SweepMode:
        """How several sweeps are laid out."""
        return self.lines.mode

    @property
    def channels(self) -> list[int]:
        """Channels that have a plot, top first."""
        return list(self.lines.channels)

    def set_recording(
        self, recording: Recording | None, *, keep_view: bool = False, mode: SweepMode | None = None
    ) -> None:
        """Show another recording, from its start; `keep_view` where only units or names changed."""
        ranges = [row.view.viewRange() for row in self.rows] if keep_view else []
        self.event_loop_task.stop()
        filters = (
            self.lines.source.filters if self.lines.source is not None and keep_view else FilterSettings()
        )
        self.lines.set_recording(recording, filters)
        if mode is not None:
            self.lines.mode = mode
        self.history.clear()
        if recording is None or not recording.n_sweeps or not recording.n_channels:
            self._clear()
            self._show_message(EMPTY if recording is None else f"{recording.name} holds no samples.")
            return
        if not keep_view:
            self.lines.set_sweep(0)
            self.lines.chosen = None
            self._gains.clear()
            self.lines.channels = first_channels(recording)
        self._build()
        for row, (x, y) in zip(self.rows, ranges, strict=False):
            row.view.setRange(xRange=x, yRange=y, padding=0)

    def set_channels(self, channels: Sequence[int]) -> None:
        """Show these channels, twelve at most."""
        chosen = list(dict.fromkeys(channels))[:MAX_CHANNELS]
        if self.lines.source is None or chosen == self.lines.channels:
            return
        x = self.rows[0].view.viewRange()[0] if self.rows else None
        self.lines.channels = chosen
        self.history.clear()
        self._build()
        if x is not None and self.rows:
            self.rows[0].view.setXRange(*x, padding=0)

    def set_sweep(self, sweep: int) -> None:
        """Show another sweep, or make it the current one among several."""
        if self.recording is None or not 0 <= sweep < self.recording.n_sweeps or sweep == self.sweep:
            return
        self.lines.set_sweep(sweep)
        self._prepare(self._redraw)
        self.sweep_changed.emit(sweep)

    def step_sweep(self, by: int) -> None:
        """Go to the next or a former sweep; in a recording of one sweep, a page on or back."""
        if self.recording is None:
            return
        if self.recording.n_sweeps > 1 and self.mode is not SweepMode.IN_TIME:
            self.set_sweep(self.lines.neighbour(by))
        elif self.rows:
            start, stop = self.rows[0].view.viewRange()[0]
            self.show_span(start + 0.9 * by * (stop - start), stop + 0.9 * by * (stop - start))

    def choose_sweeps(self, sweeps: list[int] | None) -> None:
        """Draw these sweeps only, wherever several are drawn; None for all."""
        if self.lines.source is None or sweeps == self.lines.chosen:
            return
        self.lines.chosen = sweeps
        if sweeps and self.sweep not in sweeps:
            self.set_sweep(sweeps[0])
        self._rebuild()

    def set_mode(self, mode: SweepMode) -> None:
        """Overlay, stack, concatenate sweeps, or show them one by one."""
        if mode is self.mode:
            return
        self.lines.mode = mode
        self.history.clear()
        if self.lines.source is not None:
            self._build()

    def set_scale_mode(self, mode: ScaleMode) -> None:
        """Relate the y axes of channels to each other."""
        self.scale_mode = mode
        self._gains.clear()
        self.fit_y()

    def set_average(self, on: bool) -> None:
        """Draw the mean of the sweeps."""
        self.lines.show_average = on
        self._redraw()

    def set_stimulus(self, on: bool) -> None:
        """Show or hide the command below the channels."""
        if on != self.show_stimulus:
            self.show_stimulus = on
            self._rebuild()

    def set_bars(self, on: bool) -> None:
        """Replace the axes by scale bars, as in a figure."""
        if on != self.show_bars:
            self.show_bars = on
            self._rebuild()

    def set_filters(self, filters: FilterSettings) -> None:
        """Filter what is drawn; the recording stays as it is."""
        if self.lines.source is not None:
            self.lines.source.filters = filters
            self._redraw()

    def scale_gain(self, channel: int, factor: float) -> None:
        """Stretch one channel's y axis about its middle."""
        for row in self.rows:
            if row.channel == channel:
                self._gains[channel] = self._gains.get(channel, 1.0) * factor
                low, high = row.view.viewRange()[1]
                row.view.setYRange(*stretched((low, high), factor), padding=0)

    def scale_gains(self, factor: float) -> None:
        """Stretch the y axes of all shown channels."""
        for channel in self.lines.channels:
            self.scale_gain(channel, factor)

    # ------------------------------------------------------------------ where one looks

    def span(self) -> tuple[float, float]:
        """Return the seconds in view."""
        if not self.rows:
            return 0.0, 1.0
        start, stop = self.rows[0].view.viewRange()[0]
        return float(start), float(stop)

    def show_span(self, start: float, stop: float) -> None:
        """Show these seconds; the former view can be gone back to."""
        if self.rows and stop > start:
            self._remember()
            self.rows[0].view.setXRange(start, stop, padding=0)

    def follow(self, start: float, stop: float) -> None:
        """Show these seconds because another view does; there is no way back to the former ones."""
        now = self.span()
        if self.rows and abs(now[0] - start) + abs(now[1] - stop) > 1e-6 * (now[1] - now[0]):
            self.rows[0].view.setXRange(start, stop, padding=0)

    def go_to(self, sweep: int, time_s: float) -> None:
        """Bring a moment of a sweep into the middle of the view, zooming in if all is in view."""
        self.set_sweep(sweep)
        span = self.lines.span_around(sweep, time_s, self.span())
        if span is not None:
            self.show_span(*span)

    def zoom_out(self) -> None:
        """Show everything; the former view can be gone back to."""
        if self.rows:
            self._remember()
            self.rows[0].view.setXRange(*self.whole(), padding=0.01)
            self._gains.clear()
            self.fit_y(whole=True)

    def zoom_back(self) -> None:
        """Go back to where one looked before the last zoom."""
        for view, (x, y) in zip(self._views(), self.history.back(self._ranges()) or (), strict=False):
            view.setRange(xRange=x, yRange=y, padding=0)

    def whole(self) -> tuple[float, float]:
        """Return the seconds there are on the time axis."""
        return self.lines.whole()

    def fit_y(self, *, whole: bool = False) -> None:
        """Fit the y axes to what is in view, by the scale mode."""
        ranges = self.lines.y_ranges(*(self.whole() if whole else self.span()), self.scale_mode)
        for row, span in zip(self.rows, ranges, strict=False):
            row.view.setYRange(*stretched(span, self._gains.get(row.channel, 1.0)), padding=0)
        self._fit_command()

    def _fit_command(self) -> None:
        row = self.stimulus_row
        span = self.lines.command_range(row.channel) if row is not None else None
        if row is not None and span is not None:
            row.view.setYRange(*span, padding=0)

    # ------------------------------------------------------------------ making plots

    def _clear(self) -> None:
        self.canvas.clear()
        self.rows, self.stimulus_row = [], None
        self.lines.forget()

    def _rebuild(self) -> None:
        """Make the plots anew and look where one looked."""
        if self.lines.source is None:
            return
        ranges = {row.channel: row.view.viewRange() for row in self.rows}
        self._build()
        for row in self.rows:
            if row.channel in ranges:
                row.view.setRange(xRange=ranges[row.channel][0], yRange=ranges[row.channel][1], padding=0)

    def _build(self) -> None:
        recording, lines, colours = self.recording, self.lines, self.colours
        assert recording is not None
        self._clear()
        scales = Scales.BAR if self.mode is SweepMode.STACKED else Scales.AXES
        for channel in self.lines.channels:
            properties = recording.channels[channel]
            colour = colours.channel(0 if recording.is_cells else channel)
            title = colours.foreground if recording.is_cells else colour
            row = self._add_row(channel, properties.name, properties.unit, scales, title)
            row.behind = row.curve(partial(lines.behind, channel), colours.faint)
            row.front = row.curve(partial(lines.front, channel), colour)
            row.mean = row.curve(partial(lines.mean, channel), colours.accent)
            self.rows.append(row)
        self._add_stimulus()
        last = self.stimulus_row or (self.rows[-1] if self.rows else None)
        if last is not None and not self.show_bars:
            last.plot.showAxis("bottom")
            last.plot.setLabel("bottom", "Time (s)")
        self._pages.setCurrentWidget(self.canvas)
        self.rebuilt.emit()
        self._prepare(self._first_look)

    def _first_look(self) -> None:
        start, stop = self.whole()
        margin = 0.01 * (stop - start)
        for view in self._views():
            view.setXRange(start - margin, stop + margin, padding=0)
        self._redraw()
        self.fit_y()
        self.drawn.emit()

    def _add_row(self, channel: int, title: str, unit: str, scales: Scales, title_colour: str) -> Row:
        scales = Scales.BAR_ONLY if self.show_bars else scales
        row = Row(self.canvas, len(self.rows), channel, title, unit, scales, self.colours, title_colour)
        row.view.sigXRangeChanged.connect(self._follow)
        row.view.stepped.connect(self._remember)
        row.view.clicked.connect(partial(self.clicked.emit, channel))
        row.view.double_clicked.connect(partial(self.double_clicked.emit, channel))
        return row

    def _add_stimulus(self) -> None:
        commanded = self.lines.commanded() if self.show_stimulus else None
        if commanded is None:
            return
        channel, unit = commanded
        row = self._add_row(channel, COMMAND, unit, Scales.AXES, self.colours.foreground)
        row.plot.setMaximumHeight(110)
        row.behind = row.curve(partial(self.lines.stimuli, channel), self.colours.faint)
        row.front = row.curve(partial(self.lines.stimulus, channel), self.colours.foreground)
        self.stimulus_row = row

    def _follow(self, leader: TraceViewBox, span: Sequence[float]) -> None:
        """Move all plots together. pyqtgraph's own links bend the range while axes are laid out."""
        if self._following:
            return
        self._following = True
        for view in self._views():
            if view is not leader:
                view.setXRange(*span, padding=0)
        self._following = False
        self.view_changed.emit(float(span[0]), float(span[1]))

    # ------------------------------------------------------------------ drawing

    def _prepare(self, then: Any) -> None:
        """Read what is missing, at once if it is little, else in slices, then go on."""
        source = self.lines.source
        if source is None:
            return
        sweeps, channels = self.lines.sweeps(), self.lines.channels
        work = source.work(sweeps, channels)
        if not work:
            then()
        elif work <= AT_ONCE:
            run_task(source.prepare(sweeps, channels))
            then()
        else:
            self.event_loop_task.start(source.prepare(sweeps, channels), then)

    def _redraw(self) -> None:
        self._fit_command()
        for row in self._all_rows():
            for curve in row.curves:
                curve.refresh(force=True)

    def _all_rows(self) -> list[Row]:
        return self.rows if self.stimulus_row is None else [*self.rows, self.stimulus_row]

    def _views(self) -> list[TraceViewBox]:
        return [row.view for row in self._all_rows()]

    def _remember(self) -> None:
        self.history.remember(self._ranges())

    def _ranges(self) -> list[tuple[Range, Range]]:
        return [(tuple(x), tuple(y)) for x, y in (view.viewRange() for view in self._views())]

    def _show_message(self, text: str) -> None:
        self.empty.setText(text)
        self._pages.setCurrentWidget(self.empty)

    def _show_progress(self, progress: Progress) -> None:
        self.message.emit(f"Reading the trace: {progress.done / max(progress.total, 1):.0%}")

    def note(self) -> str:
        """Return what the picture leaves out, in words; "" if nothing."""
        command_hidden = self.show_stimulus and self.stimulus_row is None
        return self.lines.note(*self.span(), command_hidden=command_hidden)
