"""The stacked plots: one row per channel, one for the command, all on one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QLabel, QSizePolicy, QStackedLayout, QWidget

from napari_biofm.signals import Recording
from napari_biofm.signals.filters import FilterSettings
from napari_biofm.types import Progress, run_task
from napari_biofm.widgets.trace.curves import LazyCurve, TraceViewBox, ViewHistory
from napari_biofm.widgets.trace.layout import MAX_SWEEPS, ScaleMode, SweepMode, joined, sweeps_shown, y_ranges
from napari_biofm.widgets.trace.scalebars import ScaleBar
from napari_biofm.widgets.trace.source import NOTHING, Line, TraceSource
from napari_biofm.widgets.trace.stepper import Stepper
from napari_biofm.widgets.trace.style import Colours

MAX_ROWS = 12  # channels drawn at once
_AT_ONCE = 4_000_000  # samples that are read without showing progress
COMMAND = "Command"
EMPTY = (
    "No recording is open.\n\nDrag a recording onto napari (ABF, NWB, HEKA, WFDB, HDF5, NumPy, CSV, suite2p, "
    "CaImAn),\nor press Open."
)


class Row:
    """One channel's plot and the curves in it."""

    def __init__(self, channel: int, plot: pg.PlotItem, view: TraceViewBox) -> None:
        self.channel = channel
        self.plot = plot
        self.view = view
        self.behind: LazyCurve | None = None
        self.front: LazyCurve | None = None
        self.mean: LazyCurve | None = None
        self.bar: ScaleBar | None = None

    @property
    def curves(self) -> list[LazyCurve]:
        return [curve for curve in (self.behind, self.front, self.mean) if curve is not None]


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
    told = Signal(str)  # how far the reading of a long trace is

    def __init__(self, recording: Recording | None = None, *, colours: Colours | None = None) -> None:
        super().__init__()
        self.colours = colours or Colours()
        self.source: TraceSource | None = None
        self.rows: list[Row] = []
        self.stimulus_row: Row | None = None
        self.history = ViewHistory()
        self.sweep = 0
        self.mode = SweepMode.ONE
        self.scale_mode = ScaleMode.BY_CHANNEL
        self.show_average = False
        self.show_stimulus = True
        self.show_bars = False
        self.gains: dict[int, float] = {}
        self._channels: list[int] = []
        self._following = False
        self._step: dict[int, float] = {}
        self._means: dict[int, Line] = {}
        self._stimulus: Line | None = None
        self.stepper = Stepper(self)
        self.stepper.progressed.connect(self._tell_progress)
        self.canvas = pg.GraphicsLayoutWidget()
        self.canvas.setBackground(self.colours.background)
        self.canvas.ci.layout.setSpacing(2)
        self.canvas.ci.layout.setContentsMargins(2, 2, 6, 2)
        self.message = QLabel(EMPTY)
        self.message.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.message.setWordWrap(True)
        self._pages = QStackedLayout(self)
        self._pages.addWidget(self.message)
        self._pages.addWidget(self.canvas)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(120)
        self.set_recording(recording)

    def sizeHint(self) -> QSize:
        return QSize(900, 420)

    # ------------------------------------------------------------------ what is shown

    @property
    def recording(self) -> Recording | None:
        return None if self.source is None else self.source.recording

    @property
    def channels(self) -> list[int]:
        """Channels that have a plot, top first."""
        return list(self._channels)

    def set_recording(self, recording: Recording | None, *, keep_view: bool = False) -> None:
        """Show another recording, from its start; `keep_view` where only units or names changed."""
        ranges = [row.view.viewRange() for row in self.rows] if keep_view else []
        self.stepper.stop()
        filters = self.source.filters if self.source is not None and keep_view else FilterSettings()
        self.source = None if recording is None else TraceSource(recording)
        self.history.clear()
        if recording is None or not recording.n_sweeps or not recording.n_channels:
            self._clear()
            self._say(EMPTY if recording is None else f"{recording.name} holds no samples.")
            return
        assert self.source is not None
        self.source.filters = filters
        if not keep_view:
            self.sweep = 0
            self.gains.clear()
            self._channels = _first_channels(recording)
        self._build()
        for row, (x, y) in zip(self.rows, ranges, strict=False):
            row.view.setRange(xRange=x, yRange=y, padding=0)

    def set_channels(self, channels: Sequence[int]) -> None:
        """Show these channels, twelve at most."""
        chosen = list(dict.fromkeys(channels))[:MAX_ROWS]
        if self.source is None or chosen == self._channels:
            return
        x = self.rows[0].view.viewRange()[0] if self.rows else None
        self._channels = chosen
        self.history.clear()
        self._build()
        if x is not None and self.rows:
            self.rows[0].view.setXRange(*x, padding=0)

    def set_sweep(self, sweep: int) -> None:
        """Show another sweep, or make it the current one among several."""
        if self.recording is None or not 0 <= sweep < self.recording.n_sweeps or sweep == self.sweep:
            return
        self.sweep = sweep
        self._stimulus = None
        self._prepare(self._redraw)
        self.sweep_changed.emit(sweep)

    def step_sweep(self, by: int) -> None:
        """Go to the next or a former sweep; in a recording of one sweep, a page on or back."""
        if self.recording is None:
            return
        if self.recording.n_sweeps > 1 and self.mode is not SweepMode.IN_TIME:
            self.set_sweep(int(np.clip(self.sweep + by, 0, self.recording.n_sweeps - 1)))
        elif self.rows:
            start, stop = self.rows[0].view.viewRange()[0]
            self.show_span(start + 0.9 * by * (stop - start), stop + 0.9 * by * (stop - start))

    def set_mode(self, mode: SweepMode) -> None:
        """Overlay, stack, concatenate sweeps, or show them one by one."""
        if mode is self.mode:
            return
        self.mode = mode
        self.history.clear()
        self._build()

    def set_scale_mode(self, mode: ScaleMode) -> None:
        """Relate the y axes of channels to each other."""
        self.scale_mode = mode
        self.gains.clear()
        self.fit_y()

    def set_average(self, on: bool) -> None:
        """Draw the mean of the sweeps."""
        self.show_average = on
        self._means.clear()
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
        if self.source is not None:
            self.source.filters = filters
            self._redraw()

    def scale_gain(self, channel: int, factor: float) -> None:
        """Stretch one channel's y axis about its middle."""
        for row in self.rows:
            if row.channel == channel:
                self.gains[channel] = self.gains.get(channel, 1.0) * factor
                low, high = row.view.viewRange()[1]
                middle, half = (low + high) / 2, (high - low) / 2 / factor
                row.view.setYRange(middle - half, middle + half, padding=0)

    def scale_gains(self, factor: float) -> None:
        """Stretch the y axes of all shown channels."""
        for channel in self._channels:
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

    def go_to(self, sweep: int, time_s: float) -> None:
        """Bring a moment of a sweep into the middle of the view, zooming in if all is in view."""
        self.set_sweep(sweep)
        at = self.to_axis(sweep, time_s)
        start, stop = self.span()
        width = stop - start
        if self.recording is not None and width > 0.5 * self.whole()[1]:
            width = min(width, max(self.whole()[1] / 20, 200 / self.recording.channels[0].sampling_rate))
        if not start + 0.15 * width <= at <= stop - 0.15 * width or width < stop - start:
            self.show_span(at - width / 2, at + width / 2)

    def zoom_out(self) -> None:
        """Show everything; the former view can be gone back to."""
        if self.rows:
            self._remember()
            self.rows[0].view.setXRange(*self.whole(), padding=0.01)
            self.gains.clear()
            self.fit_y(whole=True)

    def zoom_back(self) -> None:
        """Go back to where one looked before the last zoom."""
        self.history.back(self._views())

    def whole(self) -> tuple[float, float]:
        """Return the seconds there are on the time axis."""
        recording = self.recording
        if recording is None:
            return 0.0, 1.0
        if self.mode is SweepMode.IN_TIME:
            return float(min(recording.sweep_starts)), recording.total_duration
        return 0.0, max(recording.duration(s) for s in self._sweeps())

    def to_axis(self, sweep: int, time_s: float) -> float:
        """Return where a time of a sweep lies on the time axis."""
        if self.mode is SweepMode.IN_TIME and self.recording is not None:
            return float(self.recording.sweep_starts[sweep]) + time_s
        return time_s

    def from_axis(self, at: float) -> tuple[int, float]:
        """Return sweep and time for a place on the time axis."""
        if self.mode is not SweepMode.IN_TIME or self.recording is None:
            return self.sweep, at
        starts = self.recording.sweep_starts
        order = np.argsort(starts)
        sweep = int(order[max(int(np.searchsorted(starts[order], at, side="right")) - 1, 0)])
        return sweep, at - float(starts[sweep])

    def offset(self, sweep: int, channel: int) -> float:
        """Return how far a stacked sweep is drawn below its values."""
        sweeps = self._sweeps()
        if self.mode is not SweepMode.STACKED or sweep not in sweeps:
            return 0.0
        return sweeps.index(sweep) * self._stack_step(channel)

    def fit_y(self, *, whole: bool = False) -> None:
        """Fit the y axes to what is in view, by the scale mode."""
        recording, source = self.recording, self.source
        if recording is None or source is None:
            return
        start, stop = self.whole() if whole else self.span()
        extrema = [self._extrema(row.channel, start, stop) for row in self.rows]
        ranges = y_ranges(extrema, [recording.channels[r.channel].unit for r in self.rows], self.scale_mode)
        for row, (low, high) in zip(self.rows, ranges, strict=True):
            gain = self.gains.get(row.channel, 1.0)
            middle, half = (low + high) / 2, (high - low) / 2 / gain
            row.view.setYRange(middle - half, middle + half, padding=0)
        self._fit_stimulus()

    def _fit_stimulus(self) -> None:
        if (
            self.stimulus_row is None
            or self._stimulus is None
            or not np.isfinite(self._stimulus.values).any()
        ):
            return
        low, high = float(np.nanmin(self._stimulus.values)), float(np.nanmax(self._stimulus.values))
        margin = 0.1 * (high - low) or max(abs(low) * 0.1, 1.0)
        self.stimulus_row.view.setYRange(low - margin, high + margin, padding=0)

    # ------------------------------------------------------------------ making plots

    def _clear(self) -> None:
        self.canvas.clear()
        self.rows, self.stimulus_row = [], None
        self._stimulus = None
        self._means.clear()
        self._step.clear()

    def _rebuild(self) -> None:
        """Make the plots anew and look where one looked."""
        if self.source is None:
            return
        ranges = {row.channel: row.view.viewRange() for row in self.rows}
        self._build()
        for row in self.rows:
            if row.channel in ranges:
                row.view.setRange(xRange=ranges[row.channel][0], yRange=ranges[row.channel][1], padding=0)

    def _build(self) -> None:
        recording = self.recording
        assert recording is not None
        self._clear()
        for number, channel in enumerate(self._channels):
            about = recording.channels[channel]
            row = self._add_row(number, channel, about.name, about.unit)
            colour = self.colours.channel(0 if recording.is_cells else channel)
            row.behind = self._curve(row, partial(self._supply_behind, channel), self.colours.faint)
            row.front = self._curve(row, partial(self._supply_front, channel), colour)
            row.mean = self._curve(row, partial(self._supply_mean, channel), self.colours.accent)
            self.rows.append(row)
        self._add_stimulus(recording)
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

    def _add_row(self, number: int, channel: int, name: str, unit: str) -> Row:
        view = TraceViewBox(self.colours.accent)
        plot = self.canvas.addPlot(row=number, col=0, viewBox=view)
        plot.hideButtons()
        for side in ("left", "bottom", "top", "right"):
            axis = plot.getAxis(side)
            axis.setPen(self.colours.faint)
            axis.setTextPen(self.colours.foreground)
            axis.enableAutoSIPrefix(False)  # a new label at every pan costs as much as the traces
        plot.getAxis("left").setWidth(58)
        plot.hideAxis("bottom")
        self._name_row(view, f"{name[:40]} ({unit})", channel if name != COMMAND else None)
        view.disableAutoRange()
        view.sigXRangeChanged.connect(self._follow)
        view.stepped.connect(self._remember)
        view.clicked.connect(partial(self.clicked.emit, channel))
        view.double_clicked.connect(partial(self.double_clicked.emit, channel))
        row = Row(channel, plot, view)
        if self.show_bars:
            for side in ("left", "bottom"):
                plot.hideAxis(side)
            row.bar = ScaleBar(view, unit, self.colours.foreground)
        elif (
            self.mode is SweepMode.STACKED and name != COMMAND
        ):  # values are shifted: a bar says how much is how much
            plot.getAxis("left").setStyle(showValues=False)
            row.bar = ScaleBar(view, unit, self.colours.foreground)
        return row

    def _name_row(self, view: TraceViewBox, text: str, channel: int | None) -> None:
        """Write name and unit into the corner, where they fit however low the row is."""
        cells = self.recording is not None and self.recording.is_cells
        colour = self.colours.foreground if channel is None or cells else self.colours.channel(channel)
        label = pg.LabelItem(text, color=colour, size="9pt")
        label.setParentItem(view)
        label.anchor(itemPos=(0, 0), parentPos=(0, 0), offset=(4, -4))

    def _curve(self, row: Row, supplier: Any, colour: str) -> LazyCurve:
        curve = LazyCurve(supplier, colour)
        row.plot.addItem(curve, ignoreBounds=True)
        return curve

    def _add_stimulus(self, recording: Recording) -> None:
        channel = next((c for c in self._channels if not recording.channels[c].label), None)
        if not self.show_stimulus or channel is None:
            return
        recorded = recording.command_channel(channel)
        if recorded in self._channels:
            return  # it has a plot of its own
        stimulus = recording.stimulus(self.sweep, channel, _AT_ONCE)
        if stimulus is None or not np.isfinite(stimulus.values[:1000]).any():
            return
        row = self._add_row(len(self.rows), channel, COMMAND, stimulus.unit)
        row.plot.setMaximumHeight(110)
        row.front = self._curve(row, self._supply_stimulus, self.colours.foreground)
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
        source = self.source
        if source is None:
            return
        sweeps, channels = self._sweeps(), self._channels
        work = source.work(sweeps, channels)
        if not work:
            then()
        elif work <= _AT_ONCE:
            run_task(source.prepare(sweeps, channels))
            then()
        else:
            self.stepper.start(source.prepare(sweeps, channels), then)

    def _redraw(self) -> None:
        if self.stimulus_row is not None:
            self._stimulus = None
            self._supply_stimulus(0, 0, 0)
            self._fit_stimulus()
        for row in [*self.rows, *([self.stimulus_row] if self.stimulus_row else [])]:
            for curve in row.curves:
                curve.refresh(force=True)

    def _sweeps(self) -> list[int]:
        return sweeps_shown(self.recording.n_sweeps, self.sweep, self.mode) if self.recording else []

    def _supply_behind(self, channel: int, start: float, stop: float, pixels: int) -> Line | None:
        if self.source is None or self.mode is SweepMode.ONE:
            return NOTHING
        step = self._stack_step(channel) if self.mode is SweepMode.STACKED else 0.0
        return joined(self.source, self._sweeps(), channel, start, stop, pixels, self.mode, step)

    def _supply_front(self, channel: int, start: float, stop: float, pixels: int) -> Line | None:
        source = self.source
        if source is None:
            return None
        shift = self.to_axis(self.sweep, 0.0)
        line = source.line(self.sweep, channel, start - shift, stop - shift, int(0.8 * pixels), bars=True)
        if line is None:
            return None
        drop = self.offset(self.sweep, channel)
        return Line(line.times + shift, line.values - np.float32(drop) if drop else line.values, line.bars)

    def _supply_mean(self, channel: int, start: float, stop: float, pixels: int) -> Line | None:
        together = self.mode in (SweepMode.ONE, SweepMode.OVERLAY)
        if self.source is None or not self.show_average or not together or not self.recording:
            return NOTHING
        sweeps = sweeps_shown(self.recording.n_sweeps, self.sweep, SweepMode.OVERLAY)
        if len(sweeps) < 2 or self.recording.n_samples(sweeps[0], channel) > _AT_ONCE:
            return NOTHING
        if channel not in self._means:
            self._means[channel] = self.source.average(sweeps, channel)
        times, values, _ = self._means[channel]
        first, last = np.searchsorted(times, (start, stop))
        step = max((last - first) // (4 * pixels), 1)
        return Line(times[first:last:step], values[first:last:step])

    def _supply_stimulus(self, start: float, stop: float, pixels: int) -> Line | None:
        recording = self.recording
        if recording is None or self.stimulus_row is None:
            return None
        if self._stimulus is None:
            found = recording.stimulus(self.sweep, self.stimulus_row.channel, _AT_ONCE)
            if found is None:
                return NOTHING
            self._stimulus = _corners(found.values, found.sampling_rate)
        times, values, _ = self._stimulus
        return Line(times + self.to_axis(self.sweep, 0.0), values)

    def _stack_step(self, channel: int) -> float:
        """Return the distance at which stacked sweeps do not hide each other."""
        if channel not in self._step and self.source is not None:
            spans = [self.source.extrema(s, channel, 0.0, 1e12) for s in self._sweeps()[:40]]
            heights = [high - low for low, high in (one for one in spans if one is not None)]
            self._step[channel] = 0.7 * float(np.median(heights)) if heights else 1.0
        return self._step.get(channel, 1.0)

    def _extrema(self, channel: int, start: float, stop: float) -> tuple[float, float] | None:
        if self.source is None:
            return None
        found = []
        for sweep in self._sweeps():
            shift = self.to_axis(sweep, 0.0)
            one = self.source.extrema(sweep, channel, start - shift, stop - shift)
            if one is not None:
                drop = self.offset(sweep, channel)
                found.append((one[0] - drop, one[1] - drop))
        return (min(f[0] for f in found), max(f[1] for f in found)) if found else None

    def _views(self) -> list[TraceViewBox]:
        return [row.view for row in [*self.rows, *([self.stimulus_row] if self.stimulus_row else [])]]

    def _remember(self) -> None:
        self.history.remember(self._views())

    def _say(self, text: str) -> None:
        self.message.setText(text)
        self._pages.setCurrentWidget(self.message)

    def _tell_progress(self, progress: Progress) -> None:
        self.told.emit(f"Reading the trace: {progress.done / max(progress.total, 1):.0%}")

    def note(self) -> str:
        """Return what the picture leaves out, in words; "" if nothing."""
        recording, source = self.recording, self.source
        if recording is None or source is None:
            return ""
        said = []
        if self.mode is not SweepMode.ONE and recording.n_sweeps > MAX_SWEEPS:
            said.append(f"{MAX_SWEEPS} of {recording.n_sweeps} sweeps are drawn")
        if source.filters and not source.shows_filter(*self.span()):
            said.append("zoom in to see the filter: it is drawn for up to 400,000 samples")
        return "; ".join(said)


def _first_channels(recording: Recording) -> list[int]:
    """Return the channels to begin with: all of a few, the first of many."""
    return list(range(min(recording.n_channels, 4 if recording.is_cells else 8)))


def _corners(values: Any, rate: float) -> Line:
    """Return a command with its runs of equal values shortened to their ends: it draws the same."""
    if values.strides == (0,) and len(values) > 2:  # one level, held in a single number
        return Line(np.array([0, len(values) - 1]) / rate, np.array([values[0], values[-1]], np.float32))
    if len(values) < 3:
        return Line(np.arange(len(values)) / rate, values)
    same = (values[1:-1] == values[:-2]) & (values[1:-1] == values[2:])
    keep = np.concatenate([[True], ~same, [True]])
    index = np.flatnonzero(keep)
    if len(index) > 20_000:
        index = index[:: len(index) // 20_000 + 1]
    return Line(index / rate, values[index])
