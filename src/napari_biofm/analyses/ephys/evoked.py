"""Evoked responses: amplitude, latency, jitter, failures, paired pulses, trains, and the course of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_biofm.analyses.description import Analysis, Column, Curve, Plot, Result, Source, option
from napari_biofm.analyses.ephys.common import (
    CHANNEL_HELP,
    SWEEPS_HELP,
    mean_with_interval,
    picked_channel,
    picked_sweeps,
)
from napari_biofm.analyses.ephys.responses import Responses, Window, find_responses
from napari_biofm.analyses.ephys.stimuli import Where, stimulus_times
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.units import si_unit


@dataclass(frozen=True)
class EvokedParameters:
    """Where the stimuli are, and how responses are measured."""

    stimuli: Where = option(
        "auto", "Typed times, pulses of a channel or of the command, or artefacts in the trace."
    )
    times: str = option("", "Times of the stimuli in a sweep in s, such as 0.1, 0.15.")
    stimulus_channel: int | None = option(None, "Channel of the pulses.", low=0, role="channel")
    polarity: Literal["auto", "up", "down"] = option(
        "auto", "Direction of responses; auto: of the mean response."
    )
    baseline_ms: float = option(10.0, "Baseline before each stimulus.", unit="ms", low=0.1, high=10_000)
    blank_ms: float = option(1.0, "Left out after each stimulus: the artefact.", unit="ms", low=0, high=1000)
    window_ms: float = option(
        50.0, "Responses are looked for up to this time.", unit="ms", low=0.1, high=60_000
    )
    mean_ms: float = option(
        0.5, "The peak is the extreme of means over this time.", unit="ms", low=0, high=1000
    )
    failure_sd: float = option(
        3.0,
        "A response below this many standard deviations of the same measure without stimulus is a failure.",
        low=0,
    )
    tail: bool = option(True, "Take the decay of the response before out of the next one.")
    normalise: int = option(0, "Amplitudes in percent of the mean of this many first sweeps; 0: none.", low=0)
    most_change: float | None = option(
        None, "Sweeps whose access resistance changed by more since the start do not count.", unit="%", low=0
    )
    rows: Literal["response", "pulse"] = option(
        "response", "A row per response, or per pulse over all sweeps."
    )
    sweeps: str = option("", SWEEPS_HELP, role="sweeps")
    channel: int | None = option(None, CHANNEL_HELP, low=0, role="channel")


def evoked(source: Source, p: EvokedParameters) -> Result:
    """Measure the responses to stimuli in every sweep."""
    recording = source.the_recording
    channel = picked_channel(recording, p.channel)
    sweeps = picked_sweeps(recording, p.sweeps)
    at, origin = stimulus_times(recording, channel, sweeps, p.stimuli, p.times, p.stimulus_channel)
    window = Window(p.baseline_ms, p.blank_ms, p.window_ms, p.mean_ms, p.failure_sd, p.tail)
    found = find_responses(
        recording, channel, sweeps, at, window, {"auto": 0.0, "up": 1.0, "down": -1.0}[p.polarity]
    )
    access, excluded = _access(recording, channel, found, p.most_change)
    table = _response_columns(recording, found, p, access, excluded)
    pulses = _pulse_columns(found, ~excluded, window)
    plots = _plots(found, table, pulses, excluded)
    return Result(
        table if p.rows == "response" else pulses, plots, _words(found, pulses, origin, excluded),
        found.notes + _own(recording, channel, origin) + (("access resistance was not measured: no test pulse",) if access is None else ()),
    )  # fmt: skip


def _own(recording: Recording, channel: int, origin: str) -> tuple[str, ...]:
    """Say where the stimuli are steps of the clamp: then responses are the cell's own currents and its capacitance."""
    command = recording.stimulus(0, channel) if origin == "from the command" else None
    if command is None or si_unit(command.unit)[0] != "V":
        return ()
    return (
        "stimuli are steps of the voltage: what follows them are capacitance and the cell's own currents",
    )


def _access(
    recording: Recording, channel: int, found: Responses, most_change: float | None
) -> tuple[np.ndarray | None, np.ndarray]:
    """Return the access resistance (MOhm) of each response's sweep, and which responses do not count."""
    from napari_biofm.signals.stability import Rule, membrane_over_time

    rows = membrane_over_time(recording, [channel], Rule(most_change=most_change))
    if not rows:
        return None, np.zeros(found.n, bool)
    by = {row["sweep"]: (row["access_MOhm"], bool(row["excluded"])) for row in rows}
    pairs = [by.get(int(sweep), (np.nan, False)) for sweep in found.sweep]
    return np.array([one for one, _ in pairs], float), np.array([out for _, out in pairs], bool)


def _response_columns(
    recording: Recording,
    found: Responses,
    p: EvokedParameters,
    access: np.ndarray | None,
    excluded: np.ndarray,
) -> tuple[Column, ...]:
    unit = found.unit
    columns = [
        Column("sweep", found.sweep, meaning="counted from 0"),
        Column("pulse", found.pulse + 1, meaning="stimulus of the sweep, counted from 1"),
        Column(
            "time_s",
            recording.sweep_starts[found.sweep] + found.stimulus_s,
            "s",
            "of the stimulus in the recording",
        ),
        Column("stimulus_s", found.stimulus_s, "s", "of the stimulus in the sweep"),
        Column("baseline", found.baseline, unit, "mean before the stimulus"),
        Column(
            "amplitude",
            found.amplitude,
            unit,
            "peak minus baseline; of a failure where the mean response peaks",
        ),
        Column(
            "latency", found.latency_ms, "ms", "from the stimulus to a fifth of the peak; empty for failures"
        ),
        Column("peak_latency", found.peak_ms, "ms", "from the stimulus to the peak; empty for failures"),
        Column("rise", found.rise_ms, "ms", "20 to 80 %"),
        Column("failure", found.failure.astype(int), meaning="1 for a failure"),
        Column("excluded", excluded.astype(int), meaning="1 where access resistance changed too much"),
    ]
    if p.normalise:
        first = np.unique(found.sweep)[: p.normalise]
        share = np.full(found.n, np.nan)
        for pulse in np.unique(found.pulse):
            mine = found.pulse == pulse
            base = _mean(found.amplitude[mine & np.isin(found.sweep, first) & ~excluded])
            share[mine] = 100 * found.amplitude[mine] / base
        columns.append(Column("normalised", share, "%", f"of the mean of the first {p.normalise} sweeps"))
    if access is not None:
        columns.append(
            Column("access", access, "MOhm", "access resistance of the sweep, from its test pulse")
        )
    return tuple(columns)


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _sd(values: np.ndarray) -> float:
    return float(np.nanstd(values, ddof=1)) if np.isfinite(values).sum() > 1 else float("nan")


def _pulse_columns(found: Responses, kept: np.ndarray, window: Window) -> tuple[Column, ...]:
    """Return one row per pulse; means are those of the averaged trace, failures included (Kim & Alger 2001)."""
    numbers = np.unique(found.pulse)
    rows = []
    for pulse in numbers:
        mine = kept & (found.pulse == pulse)
        good = mine & ~found.failure
        mean, half = mean_with_interval(found.scaled[mine][:, None])
        sd = _sd(found.scaled[mine])
        rows.append((
            pulse + 1, int(mine.sum()), float(mean[0]), float(half[0]), sd, sd / abs(float(mean[0])),
            float(np.mean(found.failure[mine])) if mine.any() and found.failures_known else np.nan,
            _mean(found.scaled[good]),
            _mean(found.latency_ms[good]),
            _sd(found.latency_ms[good]),
        ))  # fmt: skip
    data = np.array(rows, float)
    ratio = data[:, 2] / data[0, 2]
    unit = found.unit
    return (
        Column("pulse", numbers + 1, meaning="counted from 1"),
        Column("n", data[:, 1].astype(int), meaning="responses, failures included"),
        Column(
            "amplitude",
            data[:, 2],
            unit,
            "of the averaged trace: mean of the sizes of the mean response in each",
        ),
        Column("ci95", data[:, 3], unit, "half of its 95 % confidence interval (t)"),
        Column("sd", data[:, 4], unit, "between responses"),
        Column("cv", data[:, 5], meaning="sd over amplitude"),
        Column(
            "ratio_to_first",
            ratio,
            meaning="amplitude over that of pulse 1: the paired-pulse ratio for pulse 2",
        ),
        Column("failures", data[:, 6], meaning=f"share below {window.failure_sd:g} sd"),
        Column("potency", data[:, 7], unit, "mean of the responses that are no failures"),
        Column("latency", data[:, 8], "ms", "mean"),
        Column("jitter", data[:, 9], "ms", "standard deviation of the latency"),
    )


def _words(found: Responses, pulses: tuple[Column, ...], origin: str, excluded: np.ndarray) -> str:
    by = {one.name: one.values for one in pulses}
    out = f"{found.n} responses to stimuli {origin}; pulse 1: {by['amplitude'][0]:.4g} {found.unit} "
    failed = f"{100 * by['failures'][0]:.3g} % failures, " if found.failures_known else ""
    out += f"({failed}latency {by['latency'][0]:.3g} ms, jitter {by['jitter'][0]:.2g} ms)"
    if len(by["pulse"]) > 1:
        out += f"; paired-pulse ratio {by['ratio_to_first'][1]:.3g}"
    return out + (f"; {int(excluded.sum())} excluded." if excluded.any() else ".")


def _plots(
    found: Responses,
    table: tuple[Column, ...],
    pulses: tuple[Column, ...],
    excluded: np.ndarray,
) -> tuple[Plot, ...]:
    mean, half = mean_with_interval(found.traces)
    band = Curve(found.trace_ms, mean - half, "95 % CI", "band", high=mean + half, faint=True)
    plots = [
        Plot("Time", "Mean response", (band, Curve(found.trace_ms, mean)), "ms", found.unit, scale_bars=True)
    ]
    by = {one.name: one for one in table}
    shown = by.get("normalised", by["amplitude"])
    curves = []
    for pulse in np.unique(found.pulse):
        mine = found.pulse == pulse
        for rows, style, faint in ((mine & ~excluded, "both", False), (mine & excluded, "points", True)):
            if rows.any():
                name = "excluded" if faint else f"pulse {pulse + 1}"
                curves.append(
                    Curve(by["time_s"].values[rows], shown.values[rows], name, style, faint=faint)  # type: ignore[arg-type] # both are styles
                )
    if "normalised" in by:
        span = by["time_s"].values[[0, -1]]
        curves.insert(0, Curve(span, np.full(2, 100.0), faint=True))
    plots.append(Plot("Time", "Amplitude", tuple(curves), "s", shown.unit))
    if len(np.unique(found.pulse)) > 1:
        of = {one.name: one.values for one in pulses}
        curve = Curve(of["pulse"], of["amplitude"], style="both", error=of["ci95"])
        plots.append(Plot("Pulse", "Amplitude", (curve,), "", found.unit))
    return tuple(plots)


ANALYSES = (
    Analysis(
        "evoked", "Evoked responses", "Sweeps",
        "Responses to stimuli: amplitude, latency, jitter, failures, paired-pulse ratio, trains, course of time.",
        ("recording",), evoked, EvokedParameters,
        "Evoked responses were measured as peaks against a baseline before each stimulus; failures lie below a multiple of the "
        "standard deviation of the same measure without stimulus, and ratios of pulses are ratios of mean amplitudes, failures "
        "included (Kim & Alger, J Neurosci 21:9608, 2001).",
    ),
)  # fmt: skip
