"""Excitability: rheobase, rate against current, gain, adaptation, latency; phase plane and mean action potential; sag."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_biofm.analyses.description import Analysis, Column, Curve, Plot, Result, Source, option
from napari_biofm.analyses.ephys.common import (
    CHANNEL_HELP,
    SWEEPS_HELP,
    Floats,
    boxcar,
    picked_channel,
    picked_sweeps,
)
from napari_biofm.analyses.ephys.spiking import SpikingSweep, spiking_sweeps
from napari_biofm.events.features.train import train_features

GROUP = "Current clamp"
EPOCH_HELP = "Letter of an epoch of the command; empty: the one that varies across sweeps."


@dataclass(frozen=True)
class ExcitabilityParameters:
    """Which sweeps, and where gain is read."""

    epoch: str = option("", EPOCH_HELP, role="epoch")
    gain_to: float = option(
        75.0,
        "Gain is the slope up to this part of the highest rate: the rising part.",
        unit="%",
        low=10,
        high=100,
    )
    sweeps: str = option("", SWEEPS_HELP, role="sweeps")
    channel: int | None = option(None, CHANNEL_HELP, low=0, role="channel")


def excitability(source: Source, p: ExcitabilityParameters) -> Result:
    """Describe how a cell fires under steps or ramps of current."""
    recording = source.the_recording
    channel = picked_channel(recording, p.channel)
    found = spiking_sweeps(recording, channel, picked_sweeps(recording, p.sweeps), p.epoch)
    rows = [_row(one) for one in found]
    table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    ramp = found[0].is_ramp
    notes: list[str] = []
    silent = not any(len(one.marks.peak) and one.marks.peak[0] < one.start for one in found)
    said = [_rheobase(table, ramp, silent, notes)]
    curves: tuple[Curve, ...] = ()
    order = np.argsort(table["current"], kind="stable")
    if not ramp:
        gain, line = _gain(table["current"], table["rate"], p.gain_to / 100, notes)
        said.append(f"gain {gain:.4g} Hz/pA" if np.isfinite(gain) else "no gain")
        curves = (Curve(table["current"][order], table["rate"][order], style="both"), *line)
    columns = tuple(
        Column(name, table[name].astype(int) if name in ("sweep", "n_aps") else table[name], unit, meaning)
        for name, (unit, meaning) in _MEANINGS.items()
    )
    plots: tuple[Plot, ...] = (Plot("Current", "Rate", curves, "pA", "Hz"),) if curves else ()
    fires = np.isfinite(table["latency"])
    if fires.any():
        x = np.sort(table["current"][fires])
        y = table["latency"][fires][np.argsort(table["current"][fires], kind="stable")]
        plots += (Plot("Current", "Latency", (Curve(x, y, style="both"),), "pA", "ms"),)
    return Result(columns, plots, "; ".join(said) + ".", tuple(notes))


_MEANINGS = {
    "sweep": ("", "counted from 0"),
    "current": ("pA", "of the step against the level before; of a ramp its end"),
    "n_aps": ("", "action potentials in the epoch"),
    "rate": ("Hz", "action potentials over the length of the epoch"),
    "first_rate": ("Hz", "one over the first interval"),
    "last_rate": ("Hz", "one over the last interval"),
    "latency": ("ms", "from the start of the epoch to where the first action potential begins"),
    "current_at_first": ("pA", "command where the first action potential begins: the rheobase of a ramp"),
    "threshold": ("mV", "of the first action potential, where dV/dt reaches 10 mV/ms"),
    "adaptation_index": (
        "",
        "mean of (next - this) / (next + this) over neighbouring intervals, the first left out",
    ),
    "accommodation": ("", "last interval over first interval"),
}


def _row(one: SpikingSweep) -> dict[str, float]:
    peaks, length = one.peaks, (one.stop - one.start) / one.fs
    row = dict.fromkeys(_MEANINGS, float("nan"))
    row |= {"sweep": one.sweep, "current": one.current, "n_aps": len(peaks), "rate": len(peaks) / length}
    begin = one.first_begin
    if begin < 0:
        return row
    row |= {
        "latency": 1e3 * (begin - one.start) / one.fs, "current_at_first": float(one.command[begin]),
        "threshold": float(one.volts[begin]),
    }  # fmt: skip
    if len(peaks) > 1:
        interval = np.diff(peaks) / one.fs
        train = train_features(peaks / one.fs, one.volts[peaks], one.start / one.fs, one.stop / one.fs)
        row |= {
            "first_rate": 1 / interval[0], "last_rate": 1 / interval[-1], "adaptation_index": train["adaptation_index"],
            "accommodation": interval[-1] / interval[0],
        }  # fmt: skip
    return row


def _rheobase(table: dict[str, Floats], ramp: bool, silent: bool, notes: list[str]) -> str:
    fires = table["n_aps"] > 0
    if not silent or (fires & (table["current"] <= 0)).any():
        notes.append("cannot tell the rheobase: the cell fires without current")
        return "fires without current"
    if not fires.any():
        notes.append(f"cannot tell the rheobase: no action potential up to {table['current'].max():g} pA")
        return "no action potential"
    if ramp:
        values = table["current_at_first"][fires]
        if not np.isfinite(values).any():
            notes.append("cannot tell the rheobase: the course of the ramp is not known")
            return "no rheobase"
        return f"rheobase {np.nanmean(values):.4g} pA (command at the first action potential of {fires.sum()} ramps)"
    rheobase = float(table["current"][fires].min())
    below = table["current"][~fires & (table["current"] < rheobase)]
    if not len(below):
        notes.append(
            "cannot tell the rheobase: the smallest current fires already; it lies at or below this one"
        )
        return f"rheobase at most {rheobase:.4g} pA"
    return f"rheobase {rheobase:.4g} pA (the step before was {below.max():.4g} pA)"


def _gain(current: Floats, rate: Floats, part: float, notes: list[str]) -> tuple[float, tuple[Curve, ...]]:
    """Return the slope of the rising part: from the last silent current to where a part of the highest rate is passed."""
    order = np.argsort(current, kind="stable")
    x, y = current[order], rate[order]
    if not (y > 0).any():
        return float("nan"), ()
    first = int(np.flatnonzero(y > 0)[0])
    top = int(np.argmax(y))
    last = first + int(np.flatnonzero(y[first : top + 1] >= part * y.max())[0])
    used = slice(first, last + 1)
    if last - first + 1 < 3:
        notes.append(
            f"cannot tell the gain: {last - first + 1} currents lie on the rising part; smaller steps would help"
        )
        return float("nan"), ()
    slope, offset = np.polyfit(x[used], y[used], 1)
    ends = x[[first, last]]
    return float(slope), (Curve(ends, slope * ends + offset, f"{slope:.3g} Hz/pA"),)


@dataclass(frozen=True)
class PhaseParameters:
    """Which action potentials."""

    which: int | None = option(
        None, "Number of the action potential in its sweep, from 1; not given: all.", low=1
    )
    before_ms: float = option(2.0, "Shown before the peak.", unit="ms", low=0.1, high=100)
    after_ms: float = option(4.0, "Shown after the peak.", unit="ms", low=0.1, high=500)
    threshold_slope: float = option(
        10.0, "dV/dt at which an action potential begins.", unit="mV/ms", low=0.5, high=500
    )
    epoch: str = option("", EPOCH_HELP, role="epoch")
    sweeps: str = option("", SWEEPS_HELP, role="sweeps")
    channel: int | None = option(None, CHANNEL_HELP, low=0, role="channel")


def phase_plane(source: Source, p: PhaseParameters) -> Result:
    """Lay action potentials over each other, and draw dV/dt against V."""
    from napari_biofm.events.features.ap import ap_features

    recording = source.the_recording
    channel = picked_channel(recording, p.channel)
    rows, cuts, fs = [], [], recording.channels[channel].sampling_rate
    a, b = round(1e-3 * p.before_ms * fs), round(1e-3 * p.after_ms * fs)
    lost = 0
    for one in spiking_sweeps(recording, channel, picked_sweeps(recording, p.sweeps), p.epoch):
        features = ap_features(one.volts, fs, one.marks)
        for k, peak in enumerate(one.marks.peak):
            if p.which is not None and k + 1 != p.which:
                continue
            if peak < a + 2 or peak + b + 2 > len(one.volts):
                lost += 1
                continue
            piece = one.volts[peak - a - 1 : peak + b + 1]
            slope = (piece[2:] - piece[:-2]) * fs * 0.5e-3
            begin = _begin(piece[1:-1], slope, p.threshold_slope, a)
            cuts.append((piece[1:-1], slope))
            rows.append((
                one.sweep, k + 1, peak / fs, begin, features["peak_mV"][k], features["half_width_ms"][k],
                features["max_rise_mV_per_ms"][k], features["max_fall_mV_per_ms"][k], features["ahp_mV"][k],
            ))  # fmt: skip
    if not rows:
        return Result((), notes=("cannot tell: no action potential with room around it",))
    data = np.array(rows, float)
    columns = (
        Column("sweep", data[:, 0].astype(int), meaning="counted from 0"),
        Column("number", data[:, 1].astype(int), meaning="in its sweep, from 1"),
        Column("time_s", data[:, 2], "s", "of the peak in the sweep"),
        Column("threshold", data[:, 3], "mV", f"where dV/dt passes {p.threshold_slope:g} mV/ms, by a line between samples"),
        Column("peak", data[:, 4], "mV", "highest sample"), Column("half_width", data[:, 5], "ms", "as in docs/features.md"),
        Column("max_rise", data[:, 6], "mV/ms", "as in docs/features.md"),
        Column("max_fall", data[:, 7], "mV/ms", "as in docs/features.md"), Column("ahp", data[:, 8], "mV", "as in docs/features.md"),
    )  # fmt: skip
    notes = (f"{lost} action potentials left out: too near an end",) if lost else ()
    summary = f"{len(rows)} action potentials, threshold {np.nanmean(data[:, 3]):.4g} mV, maximal rise {np.nanmean(data[:, 6]):.4g} mV/ms."
    return Result(
        columns, _phase_plots(cuts, a, fs, float(np.nanmean(data[:, 3])), p.threshold_slope), summary, notes
    )


def _begin(volts: Floats, slope: Floats, least: float, peak: int) -> float:
    """Return the potential where dV/dt last passes a limit on the way to its steepest, between samples."""
    steepest = int(np.argmax(slope[: peak + 1]))
    gentle = np.flatnonzero(slope[:steepest] < least)
    if not len(gentle):
        return float("nan")
    i = int(gentle[-1])
    share = (least - slope[i]) / (slope[i + 1] - slope[i])
    return float(volts[i] + share * (volts[i + 1] - volts[i]))


def _phase_plots(
    cuts: list[tuple[Floats, Floats]], a: int, fs: float, threshold: float, slope: float
) -> tuple[Plot, ...]:
    step = max(1, -(-len(cuts) // 60))
    t = (np.arange(len(cuts[0][0])) - a) * 1e3 / fs
    mean_v = np.mean([v for v, _ in cuts], axis=0)
    mean_s = np.mean([s for _, s in cuts], axis=0)
    gap = [np.nan]
    faint_v = np.concatenate([np.append(v, gap) for v, _ in cuts[::step]])
    faint_s = np.concatenate([np.append(s, gap) for _, s in cuts[::step]])
    times = np.tile(np.append(t, gap), len(cuts[::step]))
    begin = Curve(np.array([threshold]), np.array([slope]), "threshold", "points")
    return (
        Plot(
            "Potential",
            "dV/dt",
            (Curve(faint_v, faint_s, faint=True), Curve(mean_v, mean_s, "mean"), begin),
            "mV",
            "mV/ms",
        ),
        Plot("Time", "Potential", (Curve(times, faint_v, faint=True), Curve(t, mean_v, "mean")), "ms", "mV"),
    )


@dataclass(frozen=True)
class SagParameters:
    """Which sweeps."""

    least_mv: float = option(2.0, "Smaller hyperpolarisations are left out.", unit="mV", low=0.1, high=100)
    rebound_ms: float = option(200.0, "Rebound is looked for up to this time.", unit="ms", low=5, high=5000)
    epoch: str = option("", EPOCH_HELP, role="epoch")
    sweeps: str = option("", SWEEPS_HELP, role="sweeps")
    channel: int | None = option(None, CHANNEL_HELP, low=0, role="channel")


def sag(source: Source, p: SagParameters) -> Result:
    """Fit the course of hyperpolarising steps: how far the potential sags back, how fast, and what rebounds."""
    from napari_biofm.analyses.ephys.sagging import sag_of

    recording = source.the_recording
    channel = picked_channel(recording, p.channel)
    found = spiking_sweeps(recording, channel, picked_sweeps(recording, p.sweeps), p.epoch)
    fits = [(one, sag_of(one, p.rebound_ms * 1e-3)) for one in found if one.current < 0]
    fits = [(one, fit) for one, fit in fits if fit.values["baseline"] - fit.values["peak"] >= p.least_mv]
    if not fits:
        return Result((), notes=(f"cannot tell sag: no step hyperpolarises by {p.least_mv:g} mV",))
    names = {
        "baseline": ("mV", "before the step"), "peak": ("mV", "lowest point of the fitted course"),
        "steady": ("mV", "end of the step, of the fitted course"), "sag": ("mV", "steady minus peak"),
        "sag_ratio": ("", "(steady - peak) / (baseline - peak)"), "tau_membrane": ("ms", "of the charging of the membrane"),
        "tau_sag": ("ms", "of the way back; empty without sag"),
        "rebound": ("mV", "highest potential after the step against the baseline, mean of 2 ms"),
        "rebound_spikes": ("", "action potentials in that time"),
    }  # fmt: skip
    columns = [
        Column("sweep", np.array([one.sweep for one, _ in fits])),
        Column("current", np.array([one.current for one, _ in fits]), "pA"),
    ]
    columns += [
        Column(name, np.array([fit.values[name] for _, fit in fits]), unit, meaning)
        for name, (unit, meaning) in names.items()
    ]
    curves = [curve for one, fit in fits[:12] for curve in _sag_curves(one, fit.t_ms, fit.course)]
    ratios = np.array([fit.values["sag_ratio"] for _, fit in fits])
    largest = fits[int(np.argmin([one.current for one, _ in fits]))][1].values
    summary = f"{len(fits)} sweeps; sag ratio {np.nanmean(ratios):.3g} in the mean, {largest['sag_ratio']:.3g} at the largest current, "
    summary += f"rebound {largest['rebound']:.3g} mV."
    return Result(
        tuple(columns), (Plot("Time", "Potential", tuple(curves), "ms", "mV", scale_bars=True),), summary
    )


def _sag_curves(one: SpikingSweep, t_ms: Floats, course: Floats) -> list[Curve]:
    a, b = max(0, one.start - round(0.05 * one.fs)), min(len(one.volts), one.stop + round(0.2 * one.fs))
    t = (np.arange(a, b) - one.start) * 1e3 / one.fs
    step = max(1, (b - a) // 4000)
    return [Curve(t[::step], boxcar(one.volts[a:b], step)[::step], faint=True), Curve(t_ms, course)]


ANALYSES = (
    Analysis(
        "excitability", "Excitability", GROUP, "Rheobase, rate against current, gain, latency, adaptation of steps or ramps.",
        ("recording",), excitability, ExcitabilityParameters,
        "Action potentials were found by their prominence; the rheobase is the smallest step that fires (of ramps the current where "
        "the first action potential begins), the gain the slope of rate against current on the rising part.",
    ),
    Analysis(
        "phase-plane", "Phase plane and mean action potential", GROUP,
        "dV/dt against V with the threshold, and action potentials laid over each other.",
        ("recording",), phase_plane, PhaseParameters,
        "Phase planes show central differences of the potential against the potential (Bean, Nat Rev Neurosci 8:451, 2007); the "
        "threshold is the potential where dV/dt passes a given slope.",
    ),
    Analysis(
        "sag", "Sag and rebound", GROUP, "Sag and rebound of hyperpolarising steps, fitted.",
        ("recording",), sag, SagParameters,
        "Hyperpolarising steps were fitted with the sum of two exponentials, charging and sag; ratios are read from the fit.",
    ),
)  # fmt: skip
