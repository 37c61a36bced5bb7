"""Which sweeps are drawn, where on the time axis, and as which points. No Qt here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_biofm.signals import Recording
from napari_biofm.signals.filters import FilterSettings
from napari_biofm.widgets.trace.layout import SweepMode, joined, sweeps_shown
from napari_biofm.widgets.trace.source import NOTHING, Line, TraceSource, extremes

AT_ONCE = 4_000_000  # samples that are read without showing progress
MOST_CORNERS = 20_000  # of a command


class TraceLines:
    """Lines of the current sweep, of those behind it, of their mean and of the command.

    Attributes
    ----------
    source : the recording and its pyramids; None while none is shown.
    sweep : the current one.
    mode : how several sweeps are laid out.
    chosen : sweeps that are drawn together; None for all.
    show_average : whether `mean` draws anything.
    """

    def __init__(self) -> None:
        self.source: TraceSource | None = None
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

    # ------------------------------------------------------------------ the value axis

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
        found = []
        for sweep in self.sweeps():
            shift = self.to_axis(sweep, 0.0)
            one = self.source.extrema(sweep, channel, start - shift, stop - shift)
            if one is not None:
                drop = self.offset(sweep, channel)
                found.append((one[0] - drop, one[1] - drop))
        return (min(f[0] for f in found), max(f[1] for f in found)) if found else None

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
            found = self.recording.stimulus(self.sweep, channel, AT_ONCE)
            self._stimulus = NOTHING if found is None else _corners(found.values, found.sampling_rate)
        times, values, _ = self._stimulus
        return Line(times + self.to_axis(self.sweep, 0.0), values)

    def stimuli(self, channel: int, start: float = 0.0, stop: float = 0.0, pixels: int = 0) -> Line:
        """Return the commands of all sweeps that are drawn together, as many as are read at once."""
        recording = self.recording
        if recording is None or self.mode is SweepMode.ONE:
            return NOTHING
        if self._stimuli is None:
            times, values, room = [np.zeros(0)], [np.zeros(0, np.float32)], AT_ONCE
            for sweep in self.sweeps():
                room -= recording.n_samples(sweep, channel)
                found = recording.stimulus(sweep, channel, AT_ONCE) if room > 0 else None
                if found is not None:
                    line = _corners(found.values, found.sampling_rate)
                    times += [
                        line.times + self.to_axis(sweep, 0.0),
                        line.times[-1:] + self.to_axis(sweep, 0.0),
                    ]
                    values += [line.values, np.full(len(line.times[-1:]), np.nan, np.float32)]
            self._stimuli = Line(np.concatenate(times), np.concatenate(values))
        return self._stimuli

    def commanded(self, channels: Sequence[int]) -> tuple[int, str] | None:
        """Return the channel whose command is shown, and the command's unit; None where there is none.

        A command that was recorded on one of `channels` has a plot of its own.
        """
        recording = self.recording
        channel = next((c for c in channels if recording and not recording.channels[c].label), None)
        if recording is None or channel is None or recording.command_channel(channel) in channels:
            return None
        found = recording.stimulus(self.sweep, channel, AT_ONCE)
        return None if found is None or not np.isfinite(found.values[:1000]).any() else (channel, found.unit)

    def set_sweep(self, sweep: int) -> None:
        """Make another sweep the current one."""
        before, self.sweep = self.sweeps(), sweep
        self._stimulus = None
        if self.mode is not SweepMode.ONE and self.sweeps() != before:
            self._stimuli = None

    def note(self, start: float, stop: float) -> str:
        """Return what the picture between two times leaves out, in words; "" if nothing."""
        recording, source = self.recording, self.source
        if recording is None or source is None:
            return ""
        said = []
        shown = len(self.sweeps())
        if self.mode is not SweepMode.ONE and shown < recording.n_sweeps:
            said.append(f"{shown} of {recording.n_sweeps} sweeps are drawn")
        if source.filters and not source.shows_filter(start, stop):
            said.append("zoom in to see the filter: it is drawn for up to 400,000 samples")
        return "; ".join(said)


def _corners(values: Any, rate: float) -> Line:
    """Return a command with its runs of equal values shortened to their ends: it draws the same."""
    if values.strides == (0,) and len(values) > 2:  # one level, held in a single number
        return Line(np.array([0, len(values) - 1]) / rate, np.array([values[0], values[-1]], np.float32))
    if len(values) < 3:
        return Line(np.arange(len(values)) / rate, values)
    same = (values[1:-1] == values[:-2]) & (values[1:-1] == values[2:])
    keep = np.concatenate([[True], ~same, [True]])
    index = np.flatnonzero(keep)
    return extremes(Line(index / rate, values[index]), MOST_CORNERS)
