"""Two pairs of cursors: the peak between two times against the baseline between two others, in every sweep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_biofm.analyses.description import Analysis, Column, Curve, Plot, Result, Source, option
from napari_biofm.analyses.ephys.common import (
    CHANNEL_HELP,
    SWEEPS_HELP,
    Floats,
    boxcar,
    command_between,
    extreme,
    picked_channel,
    picked_sweeps,
    samples_between,
)
from napari_biofm.events.crossings import crossing_after, crossing_before
from napari_biofm.signals.recording import Recording
from napari_biofm.types import RecordingError

SIGNS = {"largest": 0.0, "up": 1.0, "down": -1.0}
Measure = Literal[
    "peak", "mean", "area", "peak_time", "rise", "half_width", "baseline", "slope", "noise", "command"
]
Against = Literal[
    "sweep", "time", "clock", "command", "peak", "mean", "area", "peak_time", "rise", "half_width", "baseline", "slope", "noise"
]  # fmt: skip
MOST_SAMPLES = 2_000_000  # between cursors, for numbers that follow the mouse


@dataclass(frozen=True)
class CursorParameters:
    """Where is measured, and how."""

    baseline_from_s: float | None = option(
        None, "Baseline from this time of the sweep.", unit="s", low=0, role="from"
    )
    baseline_to_s: float | None = option(None, "Baseline to this time.", unit="s", low=0, role="to")
    peak_from_s: float | None = option(
        None, "Peak is looked for from this time.", unit="s", low=0, role="from"
    )
    peak_to_s: float | None = option(None, "Peak is looked for to this time.", unit="s", low=0, role="to")
    polarity: Literal["largest", "up", "down"] = option("largest", "Direction of the peak from the baseline.")
    mean_ms: float = option(
        0.0, "The peak is the extreme of means over this time.", unit="ms", low=0, high=1000
    )
    plot: Measure = option("peak", "What is drawn.")
    against: Against = option(
        "sweep",
        "Against what it is drawn: sweep, time in the recording, time of day, command, or another measure.",
    )
    sweeps: str = option("", SWEEPS_HELP, role="sweeps")
    channel: int | None = option(None, CHANNEL_HELP, low=0, role="channel")


_MEANINGS = {
    "sweep": ("", "counted from 0"),
    "time_s": ("s", "start of the sweep in the recording"),
    "clock": (
        "h",
        "time of day of its start, in hours; goes on after 24 at midnight; empty where the file does not know",
    ),
    "command": ("", "median of the command between the cursors of the peak"),
    "baseline": ("{u}", "mean between the cursors of the baseline"),
    "noise": ("{u}", "standard deviation between the cursors of the baseline"),
    "peak": ("{u}", "extreme between the cursors of the peak, minus baseline"),
    "peak_time": ("s", "of the peak, from the start of the sweep"),
    "mean": ("{u}", "mean between the cursors of the peak, minus baseline"),
    "area": ("{u} s", "integral between the cursors of the peak above the baseline"),
    "rise": ("ms", "from 10 to 90 % of the peak"),
    "half_width": ("ms", "at half the peak"),
    "slope": ("{u}/ms", "steepest slope between the baseline and the peak, over 3 samples or mean_ms"),
}


def measured(recording: Recording, p: CursorParameters, channel: int, sweep: int) -> dict[str, float]:
    """Measure one sweep between both pairs of cursors; what is not there is NaN.

    Parameters
    ----------
    recording, channel, sweep : where.
    p : times are given.
    """
    assert p.baseline_from_s is not None and p.baseline_to_s is not None
    assert p.peak_from_s is not None and p.peak_to_s is not None
    fs = recording.channels[channel].sampling_rate
    a, b = samples_between(recording, sweep, channel, p.baseline_from_s, p.baseline_to_s)
    first, last = samples_between(recording, sweep, channel, p.peak_from_s, p.peak_to_s)
    rest = recording.values(sweep, channel, a, b).astype(float)
    level, _ = command_between(recording, sweep, channel, first, last)
    start_s = float(recording.sweep_starts[sweep])
    row = dict.fromkeys(_MEANINGS, float("nan"))
    row |= {"sweep": float(sweep), "time_s": start_s, "command": level, "clock": _clock(recording, start_s)}
    raw = recording.values(sweep, channel, first, last).astype(float)
    if not np.isfinite(rest).any() or not np.isfinite(raw).any():
        return row
    base = float(np.nanmean(rest))
    width = max(1, round(1e-3 * p.mean_ms * fs))
    rise = _seen(recording, sweep, channel, (b, first, last), base, width)
    smooth, start = rise
    inside = smooth[first - start :]
    at = extreme(inside, SIGNS[p.polarity])
    sign = SIGNS[p.polarity] or float(np.sign(inside[at])) or 1.0
    row |= {"baseline": base, "noise": float(np.nanstd(rest)), "peak": float(inside[at])}
    row |= {"peak_time": (first + at) / fs, "mean": float(np.nanmean(raw)) - base}
    row["area"] = float(np.nansum(raw - base)) / fs
    return row | _shape(sign * smooth, at + first - start, fs, sign)


def _clock(recording: Recording, seconds: float) -> float:
    """Return the time of day in hours; NaN where the file does not know when it began."""
    began = recording.t0
    if began is None:
        return float("nan")
    return began.hour + began.minute / 60 + (began.second + 1e-6 * began.microsecond + seconds) / 3600


def measured_in_words(recording: Recording, p: CursorParameters, channel: int, sweep: int) -> str:
    """Return what is measured in a sweep between both pairs of cursors in one line; why not, where it cannot be.

    Parameters
    ----------
    recording, channel, sweep : where.
    p : times are given.
    """
    about = recording.channels[channel]
    unit, name = about.unit, about.name
    spans = ((p.baseline_from_s, p.baseline_to_s), (p.peak_from_s, p.peak_to_s))
    if sum((b or 0.0) - (a or 0.0) for a, b in spans) * about.sampling_rate > MOST_SAMPLES:
        return f"{name}: too long to measure while you drag: press All sweeps"
    try:
        row = measured(recording, p, channel, sweep)
    except RecordingError as error:
        return f"{name}: {error}"
    if not np.isfinite(row["peak"]):
        return f"{name}: nothing but gaps between the cursors"
    shape = {"rise": "ms", "half_width": "ms", "slope": f"{unit}/ms"}
    told = [
        f"{key.replace('_', ' ')} {row[key]:.4g} {its}" for key, its in shape.items() if np.isfinite(row[key])
    ]
    length = 1e3 * ((p.peak_to_s or 0.0) - (p.peak_from_s or 0.0))
    parts = [
        f"dt {length:.4g} ms", f"peak {row['peak']:.4g} {unit} at {row['peak_time']:.5g} s", f"mean {row['mean']:.4g} {unit}",
        f"area {row['area']:.4g} {unit} s", *told,
    ]  # fmt: skip
    return f"{name}: {', '.join(parts)}; baseline {row['baseline']:.4g} ± {row['noise']:.2g} {unit}"


def _seen(
    recording: Recording, sweep: int, channel: int, at: tuple[int, int, int], base: float, width: int
) -> tuple[Floats, int]:
    """Return the smoothed trace above the baseline, from the end of the baseline on where that lies before, and its start."""
    end, first, last = at
    start = end if end <= first else first
    more = recording.values(sweep, channel, start, last).astype(float)
    return boxcar(more, width) - base, start


def _shape(up: Floats, at: int, fs: float, sign: float) -> dict[str, float]:
    top = up[at]
    if not top > 0:
        return {}
    low, high = (crossing_before(up, at, share * top) for share in (0.1, 0.9))
    half = crossing_after(up, at, 0.5 * top) - crossing_before(up, at, 0.5 * top)
    steps = np.diff(up[: at + 1])
    slope = float(np.nanmax(boxcar(steps, 3))) * fs * 1e-3 if len(steps) > 2 else float("nan")
    return {"rise": 1e3 * (high - low) / fs, "half_width": 1e3 * half / fs, "slope": sign * slope}


def cursors(source: Source, p: CursorParameters) -> Result:
    """Measure every sweep between two pairs of cursors."""
    times = (p.baseline_from_s, p.baseline_to_s, p.peak_from_s, p.peak_to_s)
    if None in times:
        raise RecordingError(
            "two pairs of times are needed: press Cursors, put one pair around the baseline and the other around the "
            "peak, and press From cursors; or type them"
        )
    recording = source.the_recording
    channel = picked_channel(recording, p.channel)
    rows, notes = [], []
    for sweep in picked_sweeps(recording, p.sweeps):
        try:
            rows.append(measured(recording, p, channel, sweep))
        except RecordingError as error:
            notes.append(f"cannot tell for sweep {sweep}: {error}")
    if not rows:
        raise RecordingError(notes[0])
    unit = recording.channels[channel].unit
    _, command_unit = command_between(recording, int(rows[0]["sweep"]), channel, 0, 1)
    columns = []
    for name, (its, meaning) in _MEANINGS.items():
        its = command_unit if name == "command" else its.replace("{u}", unit)
        values = np.array([row[name] for row in rows])
        columns.append(Column(name, values.astype(int) if name == "sweep" else values, its, meaning))
    plot, said = _drawn(p, {one.name: one for one in columns})
    notes += said
    peaks = np.array([row["peak"] for row in rows])
    summary = f"{len(rows)} sweeps, peak {np.nanmean(peaks):.4g} {unit} in the mean."
    return Result(tuple(columns), (plot,), summary, tuple(notes))


def _drawn(p: CursorParameters, by: dict[str, Column]) -> tuple[Plot, list[str]]:
    name = {"time": "time_s"}.get(p.against, p.against)
    notes = []
    unknown = {
        "command": "cannot tell the command: the file gives none and none was recorded",
        "clock": "cannot tell the time of day: the file does not say when the recording began",
    }
    for missing, why in unknown.items():
        if missing in (name, p.plot) and not np.isfinite(by[missing].values.astype(float)).any():
            notes.append(why + ("; drawn against the sweep" if missing == name else ""))
            name = "sweep" if missing == name else name
    x, y = by[name], by[p.plot]
    order = np.argsort(x.values, kind="stable")
    told = name in ("sweep", "time_s", "clock", "command")  # one measure against another is no course: points
    curve = Curve(x.values[order], y.values[order], style="both" if told else "points")
    titles = {"time_s": "Time", "clock": "Time of day"}
    return Plot(titles.get(x.name, _title(x.name)), _title(y.name), (curve,), x.unit, y.unit), notes


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


ANALYSES = (
    Analysis(
        "cursors", "Cursors: baseline and peak", "Sweeps",
        "The peak between two times against the baseline between two others, with mean, area, rise, half width and slope.",
        ("recording",), cursors, CursorParameters,
        "Peaks were measured between cursors as the extreme of the trace minus the mean of a baseline window.",
    ),
)  # fmt: skip
