"""Recordings averaged, concatenated, split and subtracted: sweeps as new recordings."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_biofm.analyses.description import Analysis, Column, Curve, Plot, Result, Source, option
from napari_biofm.analyses.ephys.common import (
    CHANNEL_HELP,
    SWEEPS_HELP,
    Floats,
    least_cut,
    mean_with_interval,
    picked_channel,
    picked_sweeps,
    samples_between,
)
from napari_biofm.signals.recording import Recording
from napari_biofm.types import RecordingError

GROUP = "Sweeps"
_DRAWN = 30
_HOW = "Sweeps were combined sample by sample; the table is a recording with a column of time, which this program reads again."


@dataclass(frozen=True)
class AverageParameters:
    """Which sweeps are averaged."""

    sweeps: str = option("", SWEEPS_HELP, role="sweeps")
    every: int | None = option(None, "Average each so many sweeps in a row; not given: all together.", low=1)
    baseline_from_s: float | None = option(
        None, "Take the mean from this time off each sweep first.", unit="s", low=0, role="from"
    )
    baseline_to_s: float | None = option(None, "To this time.", unit="s", low=0, role="to")
    channel: int | None = option(None, CHANNEL_HELP, low=0, role="channel")


def averaged(source: Source, p: AverageParameters) -> Result:
    """Average sweeps, with a 95 % confidence interval."""
    recording = source.the_recording
    channel = picked_channel(recording, p.channel)
    sweeps = picked_sweeps(recording, p.sweeps)
    stack, notes = least_cut(recording, sweeps, channel)
    if p.baseline_from_s is not None and p.baseline_to_s is not None:
        a, b = samples_between(recording, sweeps[0], channel, p.baseline_from_s, p.baseline_to_s)
        stack = stack - np.nanmean(stack[:, a:b], axis=1, keepdims=True)
    size = p.every or len(sweeps)
    groups = [stack[i : i + size] for i in range(0, len(stack), size)]
    pairs = [mean_with_interval(one) for one in groups]
    means = np.array([mean for mean, _ in pairs])
    columns = _columns(recording, channel, means)
    unit = recording.channels[channel].unit
    if len(groups) == 1:
        columns += (
            Column(
                f"ci95 ({unit})", pairs[0][1], meaning="half of the 95 % confidence interval of the mean (t)"
            ),
        )
    t = np.arange(means.shape[1]) / recording.channels[channel].sampling_rate
    bands = (
        [Curve(t, m - h, "", "band", high=m + h, faint=True) for m, h in pairs[:1]] if len(sweeps) > 1 else []
    )
    curves = (*bands, *(Curve(t, mean) for mean in means[:_DRAWN]))
    plot = Plot("Time", "Mean", curves, "s", unit, scale_bars=True)
    starts = recording.sweep_starts[np.array(sweeps[::size])]
    made = _made(recording, channel, means, starts)
    return Result(columns, (plot,), f"{len(sweeps)} sweeps in {len(groups)} averages.", notes, (made,))


@dataclass(frozen=True)
class JoinParameters:
    """How sweeps of several recordings are put together."""

    channel: int | None = option(None, CHANNEL_HELP, low=0, role="channel")


def concatenated(source: Source, p: JoinParameters) -> Result:
    """Put the sweeps of several recordings behind each other, at their clock times where files know them."""
    recordings = _opened(source)
    if len(recordings) < 2:
        raise RecordingError("one recording: there is nothing to put behind it; give two or more")
    first = recordings[0]
    channel = picked_channel(first, p.channel)
    rows: list[Floats] = []
    starts: list[float] = []
    notes: list[str] = []
    clocks = [one.t0 for one in recordings]
    for one in recordings:
        _fits(first, one, channel)
        known = [t for t in clocks if t is not None]
        if len(known) == len(clocks) and one.t0 is not None and first.t0 is not None:
            shift = (one.t0 - first.t0).total_seconds()
        else:
            shift = starts[-1] + len(rows[-1]) / first.channels[channel].sampling_rate if rows else 0.0
            notes = ["files without a clock: sweeps follow each other without a gap"]
        for sweep in range(one.n_sweeps):
            rows.append(one.values(sweep, channel).astype(float))
            starts.append(shift + float(one.sweep_starts[sweep]))
    n = min(map(len, rows))
    notes += ["sweeps of different length: cut to the shortest"] * any(len(row) != n for row in rows)
    stack = np.array([row[:n] for row in rows])
    made = _made(first, channel, stack, np.array(starts))
    return Result(
        _columns(first, channel, stack), (_traces(first, channel, stack),),
        f"{len(rows)} sweeps of {len(recordings)} recordings.", tuple(notes), (made,),
    )  # fmt: skip


@dataclass(frozen=True)
class SplitParameters:
    """What is cut out."""

    sweeps: str = option("", SWEEPS_HELP, role="sweeps")
    from_s: float | None = option(None, "From this time of each sweep.", unit="s", low=0, role="from")
    to_s: float | None = option(None, "To this time.", unit="s", low=0, role="to")
    every_s: float | None = option(
        None, "Cut into pieces of this length, which become sweeps.", unit="s", low=1e-4
    )
    channel: int | None = option(None, CHANNEL_HELP, low=0, role="channel")


def split(source: Source, p: SplitParameters) -> Result:
    """Cut out sweeps and times, or a gap-free recording into sweeps."""
    recording = source.the_recording
    channel = picked_channel(recording, p.channel)
    fs = recording.channels[channel].sampling_rate
    rows, starts, lost = [], [], 0
    for sweep in picked_sweeps(recording, p.sweeps):
        end = recording.n_samples(sweep, channel) / fs
        a, b = samples_between(recording, sweep, channel, p.from_s or 0.0, end if p.to_s is None else p.to_s)
        length = b - a if p.every_s is None else max(2, round(p.every_s * fs))
        for at in range(a, b - length + 1, length):
            rows.append(recording.values(sweep, channel, at, at + length).astype(float))
            starts.append(float(recording.sweep_starts[sweep]) + at / fs)
        lost += (b - a) % length
    if not rows:
        raise RecordingError(f"pieces of {p.every_s} s are longer than what is cut: make them shorter")
    n = min(map(len, rows))
    stack = np.array([row[:n] for row in rows])
    notes = (f"{lost / fs:.4g} s at the ends fill no piece and are left out",) if lost else ()
    made = _made(recording, channel, stack, np.array(starts))
    columns = _columns(recording, channel, stack)
    return Result(
        columns,
        (_traces(recording, channel, stack),),
        f"{len(rows)} sweeps of {n / fs:.6g} s.",
        notes,
        (made,),
    )


@dataclass(frozen=True)
class SubtractParameters:
    """What is taken from what."""

    pairing: Literal["sweep", "mean"] = option(
        "sweep", "Sweep from sweep, or the mean of the second recording from each sweep."
    )
    channel: int | None = option(None, CHANNEL_HELP, low=0, role="channel")


def subtracted(source: Source, p: SubtractParameters) -> Result:
    """Take the second recording from the first, as a drug-sensitive current is made."""
    recordings = _opened(source)
    if len(recordings) != 2:
        raise RecordingError(f"{len(recordings)} recordings: give two, the second is taken from the first")
    first, second = recordings
    channel = picked_channel(first, p.channel)
    _fits(first, second, channel)
    one, cut = least_cut(first, list(range(first.n_sweeps)), channel)
    two, cut_too = least_cut(second, list(range(second.n_sweeps)), channel)
    n = min(one.shape[1], two.shape[1])
    notes = (
        cut
        or cut_too
        or (("sweeps of different length: cut to the shortest",) if one.shape[1] != two.shape[1] else ())
    )
    if p.pairing == "mean":
        left = one[:, :n] - np.nanmean(two[:, :n], axis=0)
    elif len(one) != len(two):
        raise RecordingError(
            f"{len(one)} and {len(two)} sweeps cannot be paired; --pairing mean takes the mean of the second"
        )
    else:
        left = one[:, :n] - two[:, :n]
    made = _made(first, channel, left, first.sweep_starts)
    return Result(
        _columns(first, channel, left),
        (_traces(first, channel, left),),
        f"{second.name} taken from {first.name}.",
        notes,
        (made,),
    )


def _opened(source: Source) -> list[Recording]:
    from napari_biofm.api.signals import read_recording

    return [one if isinstance(one, Recording) else read_recording(one) for one in source.recordings]


def _fits(first: Recording, other: Recording, channel: int) -> None:
    if channel >= other.n_channels:
        raise RecordingError(f"{other.name} has no channel {channel}")
    a, b = first.channels[channel], other.channels[channel]
    if (a.unit, a.sampling_rate) != (b.unit, b.sampling_rate):
        raise RecordingError(
            f"{first.name} is in {a.unit} at {a.sampling_rate:g} Hz and {other.name} in {b.unit} at {b.sampling_rate:g} Hz: they "
            "cannot be put together"
        )


def _columns(recording: Recording, channel: int, rows: Floats) -> tuple[Column, ...]:
    """Return a column of time and one per sweep, as the reader of CSV takes them."""
    about = recording.channels[channel]
    t = np.arange(rows.shape[1]) / about.sampling_rate
    names = (
        [f"{about.name} ({about.unit})"]
        if len(rows) == 1
        else [f"sweep {i} ({about.unit})" for i in range(len(rows))]
    )
    time = Column("time_s", t, meaning="from the start of the sweep")
    return (time, *(Column(name, row, meaning="samples") for name, row in zip(names, rows, strict=True)))


def _traces(recording: Recording, channel: int, rows: Floats) -> Plot:
    about = recording.channels[channel]
    t = np.arange(rows.shape[1]) / about.sampling_rate
    shown = rows[:: max(1, -(-len(rows) // _DRAWN))]
    return Plot("Time", about.name, tuple(Curve(t, row) for row in shown), "s", about.unit, scale_bars=True)


def _made(recording: Recording, channel: int, rows: Floats, starts: Floats) -> Recording:
    about = recording.channels[channel]
    made = Recording.from_arrays(
        rows.astype(np.float32), about.sampling_rate, about.unit, names=[about.name], sweep_starts=starts,
        t0=recording.t0, protocol=recording.protocol, comment=f"made of {recording.name}",
    )  # fmt: skip
    return dataclasses.replace(made, format="array")


ANALYSES = (
    Analysis("average-sweeps", "Average sweeps", GROUP, "The mean of sweeps with its confidence interval, as a new recording.",
             ("recording",), averaged, AverageParameters, _HOW),
    Analysis("split", "Split a recording", GROUP, "Sweeps and times cut out, or a gap-free recording cut into sweeps.",
             ("recording",), split, SplitParameters, _HOW),
    Analysis("concatenate", "Concatenate recordings", GROUP, "The sweeps of several recordings behind each other.",
             ("recordings",), concatenated, JoinParameters, _HOW),
    Analysis("subtract", "Subtract recordings", GROUP, "The second recording taken from the first, sweep by sweep.",
             ("recordings",), subtracted, SubtractParameters, _HOW),
)  # fmt: skip
