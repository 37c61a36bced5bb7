"""Leak and capacitance transients taken out of voltage steps: P/N by given sweeps, or scaled from small steps."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_biofm.analyses.description import Analysis, Column, Curve, Plot, Result, Source, option
from napari_biofm.analyses.ephys.common import CHANNEL_HELP, Floats, least_cut, picked_channel, picked_sweeps
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.samples import ArraySamples
from napari_biofm.signals.steps import recording_epochs
from napari_biofm.signals.units import si_unit
from napari_biofm.types import RecordingError, Trace

_MOST_DRAWN = 40
_SETTLED = 0.7  # share of a step behind which its current is steady


@dataclass(frozen=True)
class LeakParameters:
    """How leak is estimated."""

    method: Literal["scaled", "ohmic"] = option(
        "scaled",
        "Scaled: the mean response to leak sweeps, transients included. Ohmic: the conductance of their steady current.",
    )
    leak_sweeps: str = option(
        "", "Sweeps that open no channels, such as P/N sub-sweeps; empty: those with small steps."
    )
    small_mv: float = option(20.0, "Steps up to this size are small.", unit="mV", low=0.1, high=200)
    blank_ms: float = option(
        0.0,
        "Left empty after each change of the command: what is left of transients.",
        unit="ms",
        low=0,
        high=100,
    )
    capacitance_pf: float | None = option(None, "Of the cell, for current densities.", unit="pF", low=0.01)
    channel: int | None = option(None, CHANNEL_HELP, low=0, role="channel")


@dataclass(frozen=True, eq=False)
class OneCommand:
    """The command of one channel of a recording, for a recording that holds nothing but this channel."""

    recording: Recording
    channel: int

    def __call__(self, sweep: int, channel: int) -> Trace | None:
        """Return the commanded waveform of a sweep."""
        return self.recording.stimulus(sweep, self.channel)


@dataclass(frozen=True, eq=False)
class _Steps:
    """Current and command of all sweeps, both against their level at the start; (n_sweeps, n_samples)."""

    current: Floats
    command: Floats
    size: Floats  # (n_sweeps,) mV, of the epoch that varies
    span: tuple[int, int]
    holding: Floats  # (n_sweeps,) pA


def leak(source: Source, p: LeakParameters) -> Result:
    """Subtract leak from every sweep."""
    recording = source.the_recording
    channel = picked_channel(recording, p.channel)
    steps, notes = _steps(recording, channel)
    chosen = _leak_sweeps(recording, steps, p)
    span = steps.span
    if p.method == "ohmic":
        a, b = span[0] + round(_SETTLED * (span[1] - span[0])), span[1]
        x, y = steps.size[chosen], steps.current[chosen, a:b].mean(axis=1)
        conductance = float(x @ y / (x @ x))
        fitted = conductance * steps.command
    else:
        # the mean response per mV, by least squares over leak sweeps: at each sample after the step
        x = steps.size[chosen]
        template = x @ steps.current[chosen] / float(x @ x)
        conductance = float(template[span[0] + round(_SETTLED * (span[1] - span[0])) : span[1]].mean())
        fitted = steps.size[:, None] * template
        notes += _linear(steps, chosen, template)
    left = steps.current - fitted
    fs = recording.channels[channel].sampling_rate
    left = _blanked(left, steps.command, round(1e-3 * p.blank_ms * fs))
    return _result(recording, channel, p, steps, left, chosen, conductance, tuple(notes))


def _steps(recording: Recording, channel: int) -> tuple[_Steps, list[str]]:
    """Return current (pA) and command (mV) above the holding level, and the size of the step that varies."""
    about = recording.channels[channel]
    found = recording_epochs(recording, channel)
    if si_unit(about.unit)[0] != "A" or not found.sweeps or si_unit(found.unit)[0] != "V":
        raise RecordingError(
            f"leak needs a current under a known command of voltage; channel {channel} of {recording.name} is in {about.unit} and "
            f"its command {'in ' + found.unit if found.sweeps else 'is not known'}"
        )
    sweeps = list(range(recording.n_sweeps))
    current, cut = least_cut(recording, sweeps, channel)
    n, to_pa, to_mv = current.shape[1], si_unit(about.unit)[1] * 1e12, si_unit(found.unit)[1] * 1e3
    command = np.zeros((len(sweeps), n))
    for sweep in sweeps:
        wave = recording.stimulus(sweep, channel)
        if wave is None:
            raise RecordingError(f"the command of sweep {sweep} of {recording.name} is not known")
        values = np.asarray(wave.values[:n], float)
        command[sweep, : len(values)] = values * to_mv
    main = found.main()
    mains = [found.of(sweep, main) for sweep in sweeps]
    if main < 0 or any(one is None for one in mains):
        raise RecordingError(
            f"the command of {recording.name} holds: there is no step whose leak could be taken out"
        )
    first = min(one.start for one in mains if one is not None)
    last = min(min(one.stop for one in mains if one is not None), n)
    before = slice(max(0, first // 2), max(first, 1))
    holding = np.nanmean(current[:, before], axis=1) * to_pa
    size = np.array([one.size for one in mains if one is not None]) * to_mv
    command -= np.nanmedian(command[:, before], axis=1)[:, None]
    return _Steps(current * to_pa - holding[:, None], command, size, (first, last), holding), list(cut)


def _leak_sweeps(recording: Recording, steps: _Steps, p: LeakParameters) -> np.ndarray:
    if p.leak_sweeps:
        chosen = np.array(picked_sweeps(recording, p.leak_sweeps))
    else:
        chosen = np.flatnonzero((np.abs(steps.size) <= p.small_mv * 1.001) & (np.abs(steps.size) > 0.1))
    if not len(chosen) or not np.abs(steps.size[chosen]).max() > 0.1:
        sizes = ", ".join(f"{size:g}" for size in np.unique(np.round(steps.size, 3)))
        raise RecordingError(
            f"no leak sweeps: the steps of {recording.name} are {sizes} mV. Name sweeps that open no channels, or raise small_mv"
        )
    return chosen


def _linear(steps: _Steps, chosen: np.ndarray, template: Floats) -> list[str]:
    """Say where leak sweeps are not scaled copies of each other: they open channels, too."""
    if len(chosen) < 2:
        return ["one leak sweep: cannot tell whether leak is linear"]
    a, b = steps.span
    rest = steps.current[chosen, a:b] - steps.size[chosen, None] * template[a:b]
    late = slice(round(_SETTLED * (b - a)), None)
    noise = steps.current[chosen, : max(a, 2)].std() / np.sqrt(max(b - a, 1) * (1 - _SETTLED))
    worst = float(np.abs(rest[:, late].mean(axis=1)).max())
    usual = float(np.abs(steps.size[chosen].max() * template[a:b][late].mean()))
    if worst > max(0.1 * usual, 5 * noise):
        return [
            f"leak sweeps differ from each other by up to {worst:.3g} pA when scaled: some may open channels"
        ]
    return []


def _blanked(left: Floats, command: Floats, width: int) -> Floats:
    if width:
        change = np.abs(np.diff(command, axis=1)).max(axis=0) > 0.5
        for i in np.flatnonzero(change):
            left[:, max(0, i - 1) : i + 1 + width] = np.nan
    return left


def _result(
    recording: Recording,
    channel: int,
    p: LeakParameters,
    steps: _Steps,
    left: Floats,
    chosen: np.ndarray,
    conductance: float,
    notes: tuple[str, ...],
) -> Result:
    a, b = steps.span
    during = left[:, a:b]
    late = during[:, round(_SETTLED * (b - a)) :]
    peak = np.array(
        [row[int(np.nanargmax(np.abs(row)))] if np.isfinite(row).any() else np.nan for row in during]
    )
    steady = np.nanmean(late, axis=1)
    is_leak = np.isin(np.arange(len(left)), chosen).astype(int)
    columns = [
        Column("sweep", np.arange(len(left)), meaning="counted from 0"),
        Column("step", steps.size, "mV", "of the epoch that varies across sweeps"),
        Column("holding", steps.holding, "pA", "before the step"),
        Column("peak", peak, "pA", "farthest from zero during the step, leak taken out"),
        Column("steady", steady, "pA", "mean of the last 30 % of the step, leak taken out"),
        Column("leak", steps.size * conductance, "pA", "steady current that was taken out"),
        Column("leak_sweep", is_leak, meaning="1 where leak was estimated from"),
    ]
    if p.capacitance_pf:
        columns += [
            Column("peak_density", peak / p.capacitance_pf, "pA/pF", "peak over capacitance"),
            Column("steady_density", steady / p.capacitance_pf, "pA/pF", "steady over capacitance"),
        ]
    fs = recording.channels[channel].sampling_rate
    t = np.arange(left.shape[1]) * 1e3 / fs
    shown = range(0, len(left), max(1, -(-len(left) // _MOST_DRAWN)))
    traces = tuple(Curve(t, left[i], faint=bool(is_leak[i])) for i in shown)
    about = dataclasses.replace(recording.channels[channel], unit="pA")
    made = dataclasses.replace(
        recording, channels=(about,), samples=ArraySamples([[row.astype(np.float32)] for row in left]), path=None,
        command_source=OneCommand(recording, channel),
    )  # fmt: skip
    return Result(
        tuple(columns),
        (
            Plot("Time", "Current, leak taken out", traces, "ms", "pA", scale_bars=True),
            Plot("Step", "Current", (Curve(steps.size, peak, "peak", "points"), Curve(steps.size, steady, "steady", "points")), "mV", "pA"),
        ),
        f"Leak conductance {conductance:.4g} nS ({1e3 / conductance if conductance else np.inf:.4g} MOhm) from {len(chosen)} sweeps.",
        notes, (made,),
    )  # fmt: skip


ANALYSES = (
    Analysis(
        "leak", "Leak subtraction", "Voltage clamp",
        "Leak and linear capacitance transients taken out of voltage steps, scaled from small steps or P/N sweeps.",
        ("recording",), leak, LeakParameters,
        "Leak and linear capacitance currents were subtracted by scaling the mean response to small steps (P/N; Bezanilla & "
        "Armstrong, J Gen Physiol 70:549, 1977).",
    ),
)  # fmt: skip
