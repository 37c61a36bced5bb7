"""What is measured on sweeps and events by hand: step curves, readings between two times, averaged events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from napari_biofm.api.signals import AnyRecording, channels_of, detect_events, opened
from napari_biofm.types import Events

if TYPE_CHECKING:
    from napari_biofm.events.average import AveragedEvent
    from napari_biofm.events.features.step_curves import StepCurve
    from napari_biofm.signals.readings import Reading


def step_curve(
    recording: AnyRecording,
    start_s: float,
    stop_s: float,
    *,
    measure: str = "Mean",
    channel: int | None = None,
    events: Events | None = None,
    sweeps: Sequence[int] | None = None,
) -> StepCurve:
    """Measure every sweep between two times beside its command: IV and FI curves.

    Parameters
    ----------
    recording : or its path.
    start_s, stop_s : seconds from the start of each sweep.
    measure : "Mean", "Peak (largest)", "Peak (smallest)", "Standard deviation" or "Events per second".
    channel : counted from 0; None takes the first that is no command or trigger.
    events : counted for "Events per second"; None detects them.
    sweeps : counted from 0; None takes all.

    Returns
    -------
    StepCurve
        `x` (the command, `x_unit`), `y` (the measure, `y_unit`), and the slope of the line through all points.

    Raises
    ------
    RecordingError
        If there is no such measure or channel.
    """
    from napari_biofm.events.features.step_curves import EVENT_RATE
    from napari_biofm.events.features.step_curves import step_curve as curve

    trace = opened(recording)
    chosen = channels_of(trace, channel)[0]
    if measure == EVENT_RATE and events is None:
        events = detect_events(trace, channel=chosen, sweeps=sweeps)
    return curve(trace, chosen, start_s, stop_s, measure, events, sweeps)


def readings(
    recording: AnyRecording, start_s: float, stop_s: float, *, sweep: int = 0, channel: int | None = None
) -> list[Reading]:
    """Measure the channels of a sweep between two times, as the cursors of the Trace dock do.

    Parameters
    ----------
    recording : or its path.
    start_s, stop_s : seconds from the start of the sweep, both included.
    sweep, channel : counted from 0; channel None takes all.

    Returns
    -------
    One `Reading` per channel: values at both times, mean, root mean square about it, slope, minimum and maximum, in
    the unit of the channel. Channels without a finite sample are left out.

    Raises
    ------
    RecordingError
        If there is no such sweep or channel.
    """
    from napari_biofm.signals.readings import readings as measure

    trace = opened(recording)
    channels = None if channel is None else channels_of(trace, channel)
    return measure(trace, start_s, stop_s, sweep, channels)


def average_event(
    recording: AnyRecording,
    events: Events | None = None,
    *,
    name: str = "",
    before_s: float = 0.005,
    after_s: float = 0.03,
    align: Literal["peak", "rise"] = "peak",
    channel: int | None = None,
    rejected: bool = False,
) -> AveragedEvent:
    """Average the events of one class in one channel.

    Parameters
    ----------
    recording : or its path.
    events : any detector's table; None detects them.
    name : class of the events; "" takes all.
    before_s, after_s : what is cut around each event, seconds.
    align : on the "peak", or on the steepest "rise" before it.
    channel : counted from 0; None takes the first that has such events.
    rejected : whether None takes rejected cells, too.

    Returns
    -------
    AveragedEvent
        `time_s`, `mean` and `sd` in `unit`, and the number of events `n`.

    Raises
    ------
    RecordingError
        If there is no such channel, or the window holds no sample.
    """
    from napari_biofm.events.average import average_event as average
    from napari_biofm.events.average import events_of_class

    trace = opened(recording)
    channels = channels_of(trace, channel, rejected)
    table = detect_events(trace, channel=channel, rejected=rejected) if events is None else events
    return average(trace, events_of_class(table, name, channels), before_s, after_s, align=align)
