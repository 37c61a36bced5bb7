"""What the panels beside the plots ask to be measured: filters, quality, steps, shapes of events."""

from __future__ import annotations

from collections.abc import Callable

from psygnal import Signal

from napari_biofm.controllers.common.ports import RunJob
from napari_biofm.controllers.trace.ports import Shown
from napari_biofm.events.average import (
    amplitude_histogram,
    average_event,
    events_of_class,
    interval_histogram,
)
from napari_biofm.events.features.single_channels import summarize
from napari_biofm.events.features.step_curves import EVENT_RATE, step_curve
from napari_biofm.session import Session
from napari_biofm.signals import Recording
from napari_biofm.signals.display import TraceLines
from napari_biofm.signals.filters import FilterSettings, filtered
from napari_biofm.signals.quality import report
from napari_biofm.signals.steps import epoch_of, text_of
from napari_biofm.types import BiofmError, RecordingError


class Analyses:
    """Measures the shown recording.

    Parameters
    ----------
    session : that holds it, and to which processed copies are added.
    shown : which recording is meant.
    lines : which channels and sweeps are drawn.
    cursors : returns where the cursors stand on the time axis, None while they are hidden.
    run : runs what takes longer.
    """

    quality_measured = Signal(object)  # see `signals.quality.report`
    steps_measured = Signal(object)  # StepCurve
    steps_note = Signal(str)  # what is missing for a step curve
    cursors_asked = Signal()
    average_made = Signal(object, str)  # AveragedEvent, name of its channel
    histogram_made = Signal(object)  # Histogram
    shapes_note = Signal(str)
    channels_summarised = Signal(object)  # ChannelSummary, or None
    channels_note = Signal(str)
    channels_busy = Signal(bool)
    message = Signal(str)
    failed = Signal(object)

    def __init__(
        self,
        session: Session,
        *,
        shown: Shown,
        lines: TraceLines,
        cursors: Callable[[], tuple[float, float] | None],
        run: RunJob,
    ) -> None:
        self._session, self._shown, self._lines, self._cursors, self._run = (
            session,
            shown,
            lines,
            cursors,
            run,
        )

    def make_copy(self, settings: FilterSettings) -> None:
        """Add a filtered copy of the shown recording to the session."""
        recording, uid = self._shown.recording, self._shown.uid
        if recording is None or uid is None:
            return
        if not settings:
            self.message.emit("Choose a filter or a baseline first: the copy would be the recording itself.")
            return
        try:
            self._session.add_recording(filtered(recording, settings), f"{uid} (filtered)")
        except BiofmError as error:
            self.failed.emit(error)

    def measure(self, channel: int, pulse: int = 0) -> None:
        """Measure the quality of a channel of the shown sweep; `pulse` is the step for access resistance."""
        recording = self._shown.recording
        if recording is not None:
            self._run(
                report, recording, self._lines.sweep, channel, pulse,
                name="Measure quality", lane="interactive", on_done=self.quality_measured.emit,
            )  # fmt: skip

    def plot_steps(self, measure: str, epoch: str = "") -> None:
        """Measure all sweeps against the command: between the cursors, or in an epoch of it.

        Parameters
        ----------
        measure : one of `step_curves.MEASURES`, or `EVENT_RATE`.
        epoch : letter, "*" for the one that varies across sweeps, "" for the cursors.
        """
        recording, uid, lines = self._shown.recording, self._shown.uid, self._lines
        if recording is None or uid is None or not lines.channels:
            return
        if epoch:
            self._plot_epoch(measure, recording, uid, epoch)
            return
        cursors = self._cursors()
        if cursors is None:
            self.cursors_asked.emit()
            self.steps_note.emit("Put the cursors around a step, then press Plot.")
            return
        events = self._session.events(uid)
        if measure == EVENT_RATE and not len(events):
            self.steps_note.emit("No events to count. Find events first, then press Plot.")
            return
        shift = lines.to_axis(lines.sweep, 0.0)
        start, stop = (at - shift for at in cursors)
        self.steps_measured.emit(
            step_curve(recording, lines.channels[0], start, stop, measure, events, lines.chosen)
        )

    def _plot_epoch(self, measure: str, recording: Recording, uid: str, epoch: str) -> None:
        """Measure all sweeps in an epoch of the command, and say which it was."""
        lines, events = self._lines, self._session.events(uid)
        channel = lines.channels[0]
        try:
            used = epoch_of(recording, lines.sweep, channel, None if epoch == "*" else epoch)
        except RecordingError as error:
            self.steps_note.emit(str(error))
            return
        if used is None:
            self.steps_note.emit("The command holds, or nobody knows it: measure between the cursors.")
            return
        if measure == EVENT_RATE and not len(events):
            self.steps_note.emit("No events to count. Find events first, then press Plot.")
            return
        rate = recording.channels[channel].sampling_rate
        curve = step_curve(
            recording, channel, used.start / rate, used.stop / rate, measure, events, lines.chosen
        )
        self.steps_measured.emit(curve)
        self.steps_note.emit(f"{curve.text} In {text_of(used, rate)}.")

    def plot_shapes(self, view: str, name: str, before_s: float = 0.005, after_s: float = 0.03) -> None:
        """Average the events of a class in the first shown channel that has any, or count them."""
        recording, uid = self._shown.recording, self._shown.uid
        if recording is None or uid is None:
            return
        events = events_of_class(self._session.events(uid), name, self._lines.channels)
        if not len(events):
            self.shapes_note.emit("No such events in the shown channels. Find events first.")
        elif view == "Averaged event":
            channel = recording.channels[int(events["channel"][0])].name
            self._run(
                average_event, recording, events, before_s, after_s, name="Average events", lane="interactive",
                on_done=lambda average: self.average_made.emit(average, channel),
            )  # fmt: skip
        else:
            histogram = amplitude_histogram if view == "Amplitudes" else interval_histogram
            self.histogram_made.emit(histogram(events))

    def summarise_channels(self) -> None:
        """Idealise the topmost channel of the shown sweep and count its dwells."""
        recording, lines = self._shown.recording, self._lines
        if recording is None or not lines.channels:
            self.channels_note.emit("Open a recording first.")
            return
        self.channels_busy.emit(True)
        self._run(
            summarize, recording.sweep(lines.sweep, lines.channels[0]), name="Idealise",
            on_done=self.channels_summarised.emit, on_end=lambda: self.channels_busy.emit(False),
        )  # fmt: skip
