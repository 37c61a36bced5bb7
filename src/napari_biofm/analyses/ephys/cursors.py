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
    crossing_after,
    crossing_before,
    extreme,
    picked_channel,
    picked_sweeps,
    samples_between,
)
from napari_biofm.signals.recording import Recording
from napari_biofm.types import RecordingError

SIGNS = {"largest": 0.0, "up": 1.0, "down": -1.0}
Measure = Literal["peak", "mean", "area", "peak_time", "rise", "half_width", "baseline", "slope"]


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
    against: Literal["sweep", "time", "command"] = option("sweep", "Against what it is drawn.")
    sweeps: str = option("", SWEEPS_HELP, role="sweeps")
    channel: int | None = option(None, CHANNEL_HELP, low=0, role="channel")


_MEANINGS = {
    "sweep": ("", "counted from 0"),
    "time_s": ("s", "start of the sweep in the recording"),
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
    row = {"sweep": float(sweep), "time_s": float(recording.sweep_starts[sweep]), "command": level}
    row |= dict.fromkeys(list(_MEANINGS)[3:], float("nan"))
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
            "two pairs of times are needed: put the cursors around the baseline and press From cursors, then around "
            "the peak and press it again; or type them"
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
    name = {"sweep": "sweep", "time": "time_s", "command": "command"}[p.against]
    notes = []
    if name == "command" and not np.isfinite(by[name].values.astype(float)).any():
        notes.append(
            "cannot tell the command: the file gives none and none was recorded; drawn against the sweep"
        )
        name = "sweep"
    x, y = by[name], by[p.plot]
    order = np.argsort(x.values, kind="stable")
    curve = Curve(x.values[order], y.values[order], style="both")
    title = {"time_s": "Time"}.get(x.name, x.name.capitalize())
    return Plot(title, y.name.replace("_", " ").capitalize(), (curve,), x.unit, y.unit), notes


ANALYSES = (
    Analysis(
        "cursors", "Cursors: baseline and peak", "Sweeps",
        "The peak between two times against the baseline between two others, with mean, area, rise, half width and slope.",
        ("recording",), cursors, CursorParameters,
        "Peaks were measured between cursors as the extreme of the trace minus the mean of a baseline window.",
    ),
)  # fmt: skip
