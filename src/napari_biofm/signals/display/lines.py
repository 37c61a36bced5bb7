"""Which sweeps are drawn, where on the time axis, and as which points."""

from __future__ import annotations

import bisect

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.display.commands import command_line, command_lines, commanded_channel
from napari_biofm.signals.display.layout import ScaleMode, SweepMode, joined, sweeps_shown, y_ranges
from napari_biofm.signals.display.source import NOTHING, Line, TraceSource, extremes
from napari_biofm.signals.filters import FilterSettings
from napari_biofm.signals.readings import Reading, readings
from napari_biofm.signals.recorded import Tag
from napari_biofm.signals.recording import Recording
from napari_biofm.types import Events

AT_ONCE = 4_000_000  # samples that are read without showing progress


class TraceLines:
    """Lines of the current sweep, of those behind it, of their mean and of the command.

    Attributes
    ----------
    source : the recording and its pyramids; None while none is shown.
    channels : that are drawn, top first.
    sweep : the current one.
    mode : how several sweeps are laid out.
    chosen : sweeps that are drawn together; None for all.
    show_average : whether `mean` draws anything.
    """

    def __init__(self) -> None:
        self.source: TraceSource | None = None
        self.channels: list[int] = []
        self.sweep = 0
        self.mode = SweepMode.ONE
        self.chosen: list[int] | None = None
        self.show_average = False
        self._step: dict[int, float] = {}
        self._means: dict[int, Line] = {}
        self._stimulus: Line | None = None
        self._stimuli: Line | None = None

    @property
    def recording(self) -> Recording | None:
        """What is drawn."""
        return None if self.source is None else self.source.recording

    def set_recording(self, recording: Recording | None, filters: FilterSettings) -> None:
        """Draw another recording."""
        self.source = None if recording is None else TraceSource(recording)
        if self.source is not None:
            self.source.filters = filters
        self.forget()

    def forget(self) -> None:
        """Compute means, distances and the command anew."""
        self._step.clear()
        self._means.clear()
        self._stimulus = self._stimuli = None

    # ------------------------------------------------------------------ the time axis

    def sweeps(self) -> list[int]:
        """Return the sweeps that are drawn."""
        recording = self.recording
        return sweeps_shown(recording.n_sweeps, self.sweep, self.mode, self.chosen) if recording else []

    def whole(self) -> tuple[float, float]:
        """Return the seconds there are on the time axis."""
        recording = self.recording
        if recording is None:
            return 0.0, 1.0
        if self.mode is SweepMode.IN_TIME:
            return float(min(recording.sweep_starts)), recording.total_duration
        return 0.0, max(recording.duration(s) for s in self.sweeps())

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

    def span_around(self, sweep: int, time_s: float, now: tuple[float, float]) -> tuple[float, float] | None:
        """Return what to show so that a moment is well in view; None where it is already.

        Parameters
        ----------
        now : what is in view, places on the time axis; narrowed where it is more than half of what there is.
        """
        if self.recording is None:
            return None
        at, (start, stop), whole = self.to_axis(sweep, time_s), now, self.whole()[1]
        width = stop - start
        if width > 0.5 * whole:
            width = min(width, max(whole / 20, 200 / self.recording.channels[0].sampling_rate))
        if start + 0.15 * width <= at <= stop - 0.15 * width and width == stop - start:
            return None
        return at - width / 2, at + width / 2

    def neighbour(self, by: int) -> int:
        """Return the sweep so many places after the current one, among those that are chosen."""
        if self.recording is None:
            return self.sweep
        pool = self.chosen or range(self.recording.n_sweeps)
        return pool[min(max(bisect.bisect_left(pool, self.sweep) + by, 0), len(pool) - 1)]

    def seconds_at(self, at: float) -> float:
        """Return the time on the recording's clock of a place on the time axis."""
        sweep, time_s = self.from_axis(at)
        return time_s + (float(self.recording.sweep_starts[sweep]) if self.recording is not None else 0.0)

    def place_of(self, seconds: float) -> float | None:
        """Return where a time on the recording's clock lies on the time axis; None where it is not drawn."""
        recording = self.recording
        if recording is None:
            return None
        if self.mode is SweepMode.IN_TIME:
            return seconds
        at = seconds - float(recording.sweep_starts[self.sweep])
        return at if 0 <= at <= recording.duration(self.sweep) else None

    def tag_places(self, most: int = 200) -> list[tuple[float, Tag]]:
        """Return the tags whose time is drawn, of the first `most`, with their places on the time axis."""
        tags = self.recording.tags[:most] if self.recording is not None else ()
        places = [(self.place_of(tag.time_s), tag) for tag in tags]
        return [(at, tag) for at, tag in places if at is not None]

    def events_in_view(
        self, events: Events, channel: int, start: float, stop: float
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return which rows of a table lie in a channel between two places on the time axis, and their places."""
        recording = self.recording
        if recording is None or not len(events):
            return np.zeros(0, np.intp), np.zeros(0)
        wanted, at = events["channel"] == channel, events["time_s"]
        if self.mode is SweepMode.IN_TIME:
            at = at + recording.sweep_starts[np.clip(events["sweep"], 0, recording.n_sweeps - 1)]
        else:
            wanted &= events["sweep"] == self.sweep
        rows = np.flatnonzero(wanted & (at >= start) & (at <= stop))
        return rows, at[rows]

    def describe_sample(self, channel: int, at: float) -> str:
        """Return the value of a channel at a place on the time axis in words; "" where nothing is drawn."""
        if self.source is None:
            return ""
        sweep, time_s = self.from_axis(at)
        drawn = self.source.recording.channels[channel]
        value = self.source.value_at(sweep, channel, time_s)
        return f"{drawn.name}: {value:.5g} {drawn.unit} at {time_s:.5f} s of sweep {sweep}"

    def drawn_value(self, event: np.void) -> float:
        """Return the sample at an event, NaN outside its sweep."""
        if self.source is None:
            return float("nan")
        return self.source.value_at(int(event["sweep"]), int(event["channel"]), float(event["time_s"]))

    # ------------------------------------------------------------------ the value axis

    def readings(self, start: float, stop: float) -> list[Reading]:
        """Measure each drawn channel of the current sweep between two places on the time axis."""
        if self.recording is None:
            return []
        shift = self.to_axis(self.sweep, 0.0)
        return readings(self.recording, start - shift, stop - shift, self.sweep, self.channels)

    def offset(self, sweep: int, channel: int) -> float:
        """Return how far a stacked sweep is drawn below its values."""
        sweeps = self.sweeps()
        if self.mode is not SweepMode.STACKED or sweep not in sweeps:
            return 0.0
        return sweeps.index(sweep) * self._stack_step(channel)

    def extrema(self, channel: int, start: float, stop: float) -> tuple[float, float] | None:
        """Return the lowest and highest value that is drawn between two places on the time axis."""
        if self.source is None:
            return None
        lows, highs = [], []
        for sweep in self.sweeps():
            shift = self.to_axis(sweep, 0.0)
            extrema = self.source.extrema(sweep, channel, start - shift, stop - shift)
            if extrema is not None:
                drop = self.offset(sweep, channel)
                lows.append(extrema[0] - drop)
                highs.append(extrema[1] - drop)
        return (min(lows), max(highs)) if lows else None

    def y_ranges(self, start: float, stop: float, mode: ScaleMode) -> list[tuple[float, float]]:
        """Return the y range of each drawn channel that fits what lies between two places on the time axis."""
        recording = self.recording
        if recording is None:
            return []
        extrema = [self.extrema(channel, start, stop) for channel in self.channels]
        return y_ranges(extrema, [recording.channels[c].unit for c in self.channels], mode)

    def command_range(self, channel: int) -> tuple[float, float] | None:
        """Return the y range that fits the commands of the drawn sweeps; None where they are unknown."""
        values = np.concatenate([self.stimulus(channel).values, self.stimuli(channel).values])
        if not np.isfinite(values).any():
            return None
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        margin = 0.1 * (high - low) or max(abs(low) * 0.1, 1.0)
        return low - margin, high + margin

    def _stack_step(self, channel: int) -> float:
        """Return the distance at which stacked sweeps do not hide each other."""
        if channel not in self._step and self.source is not None:
            spans = [self.source.extrema(s, channel, 0.0, 1e12) for s in self.sweeps()[:40]]
            heights = [high - low for low, high in (one for one in spans if one is not None)]
            self._step[channel] = 0.7 * float(np.median(heights)) if heights else 1.0
        return self._step.get(channel, 1.0)

    # ------------------------------------------------------------------ lines, each (start, stop, pixels) -> points

    def behind(self, channel: int, start: float, stop: float, pixels: int) -> Line | None:
        """Return all sweeps that are drawn together."""
        if self.source is None or self.mode is SweepMode.ONE:
            return NOTHING
        step = self._stack_step(channel) if self.mode is SweepMode.STACKED else 0.0
        return joined(self.source, self.sweeps(), channel, start, stop, pixels, self.mode, step)

    def front(self, channel: int, start: float, stop: float, pixels: int) -> Line | None:
        """Return the current sweep; None while it is not read."""
        source = self.source
        if source is None:
            return None
        shift = self.to_axis(self.sweep, 0.0)
        line = source.line(self.sweep, channel, start - shift, stop - shift, int(0.8 * pixels), bars=True)
        if line is None:
            return None
        drop = self.offset(self.sweep, channel)
        return Line(line.times + shift, line.values - np.float32(drop) if drop else line.values, line.bars)

    def mean(self, channel: int, start: float, stop: float, pixels: int) -> Line | None:
        """Return the mean of the sweeps, where they lie over each other and are short enough."""
        together = self.mode in (SweepMode.ONE, SweepMode.OVERLAY)
        if self.source is None or not self.show_average or not together or not self.recording:
            return NOTHING
        sweeps = sweeps_shown(self.recording.n_sweeps, self.sweep, SweepMode.OVERLAY, self.chosen)
        if len(sweeps) < 2 or self.recording.n_samples(sweeps[0], channel) > AT_ONCE:
            return NOTHING
        if channel not in self._means:
            self._means[channel] = self.source.average(sweeps, channel)
        times, values, _ = self._means[channel]
        first, last = np.searchsorted(times, (start, stop))
        return extremes(Line(times[first:last], values[first:last]), 4 * pixels)

    def stimulus(self, channel: int, start: float = 0.0, stop: float = 0.0, pixels: int = 0) -> Line:
        """Return the corners of the command of `channel` in the current sweep, whatever is in view."""
        if self.recording is None:
            return NOTHING
        if self._stimulus is None:
            self._stimulus = command_line(self.recording, self.sweep, channel)
        times, values, _ = self._stimulus
        return Line(times + self.to_axis(self.sweep, 0.0), values)

    def stimuli(self, channel: int, start: float = 0.0, stop: float = 0.0, pixels: int = 0) -> Line:
        """Return the commands of all sweeps that are drawn together, as many as are read at once."""
        if self.recording is None or self.mode is SweepMode.ONE:
            return NOTHING
        if self._stimuli is None:
            self._stimuli = command_lines(self.recording, self.sweeps(), channel, self.to_axis)
        return self._stimuli

    def commanded(self) -> tuple[int, str] | None:
        """Return the channel whose command is shown, and the command's unit; None where there is none."""
        recording = self.recording
        return None if recording is None else commanded_channel(recording, self.sweep, self.channels)

    def set_sweep(self, sweep: int) -> None:
        """Make another sweep the current one."""
        before, self.sweep = self.sweeps(), sweep
        self._stimulus = None
        if self.mode is not SweepMode.ONE and self.sweeps() != before:
            self._stimuli = None

    def note(self, start: float, stop: float, *, command_hidden: bool = False) -> str:
        """Return what the picture between two times leaves out, in words; "" if nothing.

        Parameters
        ----------
        command_hidden : whether the command is wanted and not drawn.
        """
        recording, source = self.recording, self.source
        if recording is None or source is None:
            return ""
        notes = []
        shown = len(self.sweeps())
        if self.mode is not SweepMode.ONE and shown < recording.n_sweeps:
            notes.append(f"{shown} of {recording.n_sweeps} sweeps are drawn")
        if source.filters and not source.shows_filter(start, stop):
            notes.append("zoom in to see the filter: it is drawn for up to 400,000 samples")
        if command_hidden and recording.command_unknown:
            notes.append(f"the command is unknown ({recording.command_unknown})")
        return "; ".join(notes)
