"""What the panels beside the plots ask to be measured: filters, quality, steps, shapes of events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_biofm.events.average import (
    amplitude_histogram,
    average_event,
    events_of_class,
    interval_histogram,
)
from napari_biofm.events.features.step_curves import EVENT_RATE, step_curve
from napari_biofm.signals.filters import FilterSettings, filtered
from napari_biofm.signals.quality import report
from napari_biofm.types import BiofmError

if TYPE_CHECKING:
    from napari_biofm.widgets.trace.dock import TraceDock


class Analyses:
    """Carries out what the dock's panels ask for.

    Parameters
    ----------
    dock : whose panels are served.
    """

    def __init__(self, dock: TraceDock) -> None:
        self._dock = dock
        dock.filters_panel.changed.connect(self._filter)
        dock.filters_panel.copy_asked.connect(self.make_copy)
        dock.quality_panel.asked.connect(self.measure)
        dock.step_panel.asked.connect(self.plot_steps)
        dock.shapes_panel.asked.connect(self.plot_shapes)

    def _filter(self, settings: FilterSettings) -> None:
        self._dock.plots.set_filters(settings)
        self._dock.tell_reading()

    def make_copy(self, settings: FilterSettings) -> None:
        """Add a filtered copy of the shown recording to the session."""
        dock = self._dock
        if dock.recording is None or dock.uid is None:
            return
        if not settings:
            dock.tell("Choose a filter or a baseline first: the copy would be the recording itself.")
            return
        try:
            dock.session.add_recording(filtered(dock.recording, settings), f"{dock.uid} (filtered)")
        except BiofmError as error:
            dock.tell_error(error)

    def measure(self, channel: int, pulse: int = 0) -> None:
        """Measure the quality of a channel of the shown sweep; `pulse` is the step for access resistance."""
        dock = self._dock
        if dock.recording is not None:
            dock.run(
                report, dock.recording, dock.plots.sweep, channel, pulse,
                name="Measure quality", lane="interactive", on_done=dock.quality_panel.show_report,
            )  # fmt: skip

    def plot_steps(self, measure: str) -> None:
        """Measure all sweeps between the cursors and plot them against the command."""
        dock = self._dock
        recording, plots = dock.recording, dock.plots
        if recording is None or dock.uid is None or not plots.channels:
            return
        if not dock.cursors.visible:
            dock.toolbar.cursors.setChecked(True)
            dock.step_panel.message.setText("Put the cursors around a step, then press Plot.")
            return
        channel = plots.channels[0]
        shift = plots.to_axis(plots.sweep, 0.0)
        start, stop = (at - shift for at in dock.cursors.span)
        events = dock.session.events(dock.uid)
        if measure == EVENT_RATE and not len(events):
            dock.step_panel.message.setText("No events to count. Find events first, then press Plot.")
            return
        curve = step_curve(recording, channel, start, stop, measure, events, plots.lines.chosen)
        dock.step_panel.show_curve(curve)

    def plot_shapes(self, view: str, name: str) -> None:
        """Plot the averaged event or a histogram of the events of the shown channel."""
        dock, panel = self._dock, self._dock.shapes_panel
        recording, uid = dock.recording, dock.uid
        if recording is None or uid is None:
            return
        events = events_of_class(dock.session.events(uid), name, dock.plots.channels)
        if not len(events):
            panel.message.setText("No such events in the shown channels. Find events first.")
            return
        if view == "Averaged event":
            before, after = (box.value() * 1e-3 for box in (panel.before, panel.after))
            channel = recording.channels[int(events["channel"][0])].name
            dock.run(
                average_event, recording, events, before, after,
                name="Average events", lane="interactive", on_done=lambda average: panel.show_average(average, channel),
            )  # fmt: skip
        else:
            histogram = amplitude_histogram(events) if view == "Amplitudes" else interval_histogram(events)
            panel.show_histogram(histogram)
