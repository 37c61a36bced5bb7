"""A measure of every sweep against its command, the averaged event, and histograms of events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_biofm.analyses.description import (
    Analysis,
    Column,
    Curve,
    OfEvents,
    Plot,
    Result,
    Source,
    option,
)
from napari_biofm.analyses.ephys.common import CHANNEL_HELP, SWEEPS_HELP, picked_channel, picked_sweeps
from napari_biofm.types import Events, RecordingError

STEP_MEASURES = {
    "mean": "Mean", "largest": "Peak (largest)", "smallest": "Peak (smallest)", "sd": "Standard deviation",
    "rate": "Events per second",
}  # fmt: skip
_DRAWN = 60


@dataclass(frozen=True)
class StepsParameters:
    """What is measured, and where."""

    measure: Literal["mean", "largest", "smallest", "sd", "rate"] = option(
        "mean", "What is measured of each sweep."
    )
    start_s: float | None = option(
        None,
        "From this time of the sweep; not given: an epoch.",
        unit="s",
        low=0,
        role="from",
        said_as="from",
    )
    stop_s: float | None = option(None, "To this time.", unit="s", low=0, role="to", said_as="to")
    epoch: str = option(
        "", "Letter of an epoch of the command; empty: the one that varies across sweeps.", role="epoch"
    )
    sweeps: str = option("", SWEEPS_HELP, role="sweeps")
    channel: int | None = option(None, CHANNEL_HELP, low=0, role="channel")


def steps(source: Source, p: StepsParameters) -> Result:
    """Measure every sweep between two times, or in an epoch, against its command."""
    from napari_biofm.api.analyses import step_curve
    from napari_biofm.signals.steps import epoch_of, text_of

    recording = source.the_recording
    channel, sweeps = picked_channel(recording, p.channel), picked_sweeps(recording, p.sweeps)
    start, stop, where = p.start_s, p.stop_s, ""
    if start is None or stop is None:
        used = epoch_of(recording, sweeps[0], channel, p.epoch or None)
        if used is None:
            raise RecordingError("The command holds, or nobody knows it: measure between the cursors.")
        fs = recording.channels[channel].sampling_rate
        start, stop, where = used.start / fs, used.stop / fs, f" In {text_of(used, fs)}."
    found = step_curve(
        recording,
        start,
        stop,
        measure=STEP_MEASURES[p.measure],
        channel=channel,
        events=source.events,
        sweeps=sweeps,
    )
    if not len(found.x):
        raise RecordingError("No sweep reaches these times: move the cursors into the sweeps.")
    order = np.argsort(found.x, kind="stable")
    x, y = found.labels
    columns = (
        Column(x, found.x, meaning="median of the command there, or the number of the sweep"),
        Column(y, found.y, meaning="of every sweep between both times"),
    )
    curve = Curve(found.x[order], found.y[order], style="both")
    return Result(columns, (Plot(x, y, (curve,)),), f"{found.text}{where}")


@dataclass(frozen=True)
class AverageParameters(OfEvents):
    """Which events, and how they are cut."""

    name: str = option("", "Class of the events, such as EPSC; empty: all.", role="class", said_as="class")
    before_s: float = option(0.005, "Cut before each event.", unit="s", low=1e-5, high=60, said_as="before")
    after_s: float = option(0.03, "Cut after each event.", unit="s", low=1e-5, high=60, said_as="after")
    align: Literal["peak", "rise"] = option("peak", "On the peak, or on the steepest rise before it.")
    channel: int | None = option(
        None, "Counted from 0; not given: the first that has such events.", low=0, role="channel"
    )


def averaged(source: Source, p: AverageParameters) -> Result:
    """Average the events of one class in one channel."""
    from napari_biofm.api.analyses import average_event

    found = average_event(
        source.the_recording,
        source.events,
        name=p.name,
        before_s=p.before_s,
        after_s=p.after_s,
        align=p.align,
        channel=p.channel,
        rejected=p.rejected,
    )
    if not found.n:
        raise RecordingError(
            "No such event lies far enough from the ends. Find events first, or make the window smaller."
        )
    t = found.time_s * 1e3
    gap = [np.nan]
    cuts = found.cuts[:: max(1, -(-len(found.cuts) // _DRAWN))]
    faint = Curve(
        np.tile(np.append(t, gap), len(cuts)), np.concatenate([np.append(c, gap) for c in cuts]), faint=True
    )
    columns = (
        Column("time_s", found.time_s, "s", "from the point of alignment"), Column("mean", found.mean, found.unit, "baseline before taken off"),
        Column("sd", found.sd, found.unit, "between events"),
    )  # fmt: skip
    plot = Plot(
        "Time",
        "Mean event",
        (faint, Curve(t, found.mean, "mean")),
        "ms",
        found.unit,
        scale_bars=True,
        y_range=found.value_range,
    )
    return Result(
        columns,
        (plot,),
        f"{found.n} events, mean peak {found.peak:.4g} {found.unit} from the baseline before.",
    )


@dataclass(frozen=True)
class HistogramParameters(OfEvents):
    """What is counted."""

    of: Literal["amplitude", "interval", "rise_s", "decay_s", "half_width_s", "area"] = option(
        "amplitude", "What is counted."
    )
    bins: int | None = option(None, "Not given: by the rule of Freedman and Diaconis.", low=2, high=1000)
    name: str = option("", "Class of the events, such as EPSC; empty: all.", role="class")
    channel: int | None = option(
        None, "Counted from 0; not given: the first that has such events.", low=0, role="channel"
    )


def counted(source: Source, p: HistogramParameters) -> Result:
    """Count events by size or interval, with the cumulative distribution."""
    from napari_biofm.events.average import (
        amplitude_histogram,
        events_of_class,
        histogram,
        interval_histogram,
    )

    assert source.events is not None
    events: Events = events_of_class(source.events, p.name, None if p.channel is None else [p.channel])
    if not len(events):
        raise RecordingError("No such events. Find events first.")
    if p.of == "amplitude":
        found = amplitude_histogram(events, p.bins)
    elif p.of == "interval":
        found = interval_histogram(events, p.bins)
    else:
        if p.of not in (events.dtype.names or ()):
            raise RecordingError(f"the events were not measured for {p.of}: find them again")
        found = histogram(events[p.of], p.of, p.bins)
    if not len(found.counts):
        raise RecordingError(f"Too few events for a histogram: none has a number for {p.of}.")
    middle = 0.5 * (found.edges[:-1] + found.edges[1:])
    columns = (
        Column("from", found.edges[:-1], meaning=found.label), Column("to", found.edges[1:], meaning=found.label),
        Column("count", found.counts, meaning="events"),
    )  # fmt: skip
    plots = (
        Plot(found.label, "Events", (Curve(middle, found.counts, style="bars"),)),
        Plot(found.label, "Cumulative share", (Curve(found.sorted_values, found.cumulative, style="steps"),)),
    )
    return Result(columns, plots, f"{len(found.sorted_values)} values, median {found.median:.4g}.")


ANALYSES = (
    Analysis(
        "steps", "Steps against the command", "Sweeps", "A measure of every sweep against its command: IV and FI curves.",
        ("recording",), steps, StepsParameters, "Sweeps were measured between two times, or in an epoch of the command.",
        own_verb=True, optional=("events",),
    ),
    Analysis(
        "average", "Averaged event", "Events", "The averaged event, with its standard deviation.",
        ("recording", "events"), averaged, AverageParameters,
        "Events were averaged after subtracting the mean of the first quarter of the window before each.", own_verb=True,
    ),
    Analysis(
        "histogram", "Histogram of events", "Events", "Events counted by amplitude, interval or kinetics.",
        ("recording", "events"), counted, HistogramParameters,
        "Histograms use bins by the rule of Freedman and Diaconis (1981) unless a number is given.",
    ),
)  # fmt: skip
