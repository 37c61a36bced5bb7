"""Current against voltage: density, conductance, reversal, corrected for junction potential and series resistance."""

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
from napari_biofm.signals.fits import CurveFit, fit_curve
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.steps import epoch_of, text_of
from napari_biofm.signals.units import si_unit
from napari_biofm.types import RecordingError

_LEAST_DRIVE = 5.0  # mV from the reversal: nearer, a conductance is noise


@dataclass(frozen=True)
class IvParameters:
    """Where currents are read, and what the voltage is corrected for."""

    from_s: float | None = option(
        None, "From this time of the sweep; not given: the epoch that varies.", unit="s", low=0, role="from"
    )
    to_s: float | None = option(None, "To this time.", unit="s", low=0, role="to")
    measure: Literal["peak", "mean", "inward", "outward"] = option(
        "peak", "Farthest from zero, mean, or the peak of one direction."
    )
    mean_ms: float = option(
        0.2, "A peak is the extreme of means over this time.", unit="ms", low=0, high=1000
    )
    skip_ms: float = option(
        1.0, "Left out at the start: the capacitance transient.", unit="ms", low=0, high=1000
    )
    subtract_holding: bool = option(True, "Take the current before the step out.")
    junction_mv: float = option(
        0.0, "Liquid junction potential; it is taken off the command.", unit="mV", low=-100, high=100
    )
    series_mohm: float = option(
        0.0, "Series resistance; its drop is taken off the command.", unit="MOhm", low=0, high=1000
    )
    compensation: float = option(0.0, "Part of it that the amplifier compensated.", unit="%", low=0, high=100)
    capacitance_pf: float | None = option(None, "Of the cell, for current densities.", unit="pF", low=0.01)
    reversal_mv: float | None = option(
        None,
        "Reversal potential; not given: fitted, or where currents change sign.",
        unit="mV",
        low=-300,
        high=300,
    )
    fit: bool = option(True, "Fit a Boltzmann to the conductance.")
    sweeps: str = option("", SWEEPS_HELP, role="sweeps")
    channel: int | None = option(None, CHANNEL_HELP, low=0, role="channel")


def iv(source: Source, p: IvParameters) -> Result:
    """Return current, density and conductance of every sweep against the voltage."""
    recording = source.the_recording
    channel = picked_channel(recording, p.channel)
    about = recording.channels[channel]
    if si_unit(about.unit)[0] != "A":
        raise RecordingError(
            f"an IV curve needs a current; channel {channel} of {recording.name} is in {about.unit}"
        )
    sweeps = picked_sweeps(recording, p.sweeps)
    rows, where = zip(*(_read(recording, channel, sweep, p) for sweep in sweeps), strict=True)
    command, current = np.array(rows, float).T
    notes: list[str] = []
    if not np.isfinite(command).all():
        raise RecordingError(
            f"the command of {recording.name} is not known: there is no voltage to draw currents against"
        )
    left = p.series_mohm * (1 - p.compensation / 100)
    voltage = command - p.junction_mv - 1e-3 * current * left  # pA x MOhm = uV
    reversal, how = _reversal(voltage, current, p)
    notes += [] if np.isfinite(reversal) else [f"cannot tell the reversal potential: {how}; no conductance"]
    drive = voltage - reversal
    conductance = np.where(
        np.abs(drive) >= _LEAST_DRIVE, current / np.where(drive == 0, np.nan, drive), np.nan
    )
    fitted = _boltzmann(voltage, conductance, notes) if p.fit and np.isfinite(reversal) else None
    columns = [
        Column("sweep", np.array(sweeps), meaning="counted from 0"),
        Column("command", command, "mV", "median of the command there"),
        Column("voltage", voltage, "mV", "command minus junction potential minus the drop over what is left of Rs"),
        Column("current", current, "pA", f"{p.measure} {where[0]}"),
        Column("series_error", 1e-3 * current * left, "mV", "drop over the series resistance that is left"),
        Column("conductance", conductance, "nS", "current over (voltage - reversal); empty within 5 mV of the reversal"),
        Column("normalised", conductance / np.nanmax(conductance) if np.isfinite(conductance).any() else conductance,
               meaning="conductance over its largest"),
    ]  # fmt: skip
    if p.capacitance_pf:
        columns.append(Column("density", current / p.capacitance_pf, "pA/pF", "current over capacitance"))
    summary = f"{len(sweeps)} sweeps {where[0]}"
    summary += f"; reversal {reversal:.4g} mV ({how})" if np.isfinite(reversal) else ""
    summary += f"; {fitted.text}" if fitted is not None else ""
    methods = _methods(p, left)
    return Result(
        tuple(columns), _plots(columns, voltage, fitted), f"{summary}.", tuple(notes), methods=methods
    )


def _read(recording: Recording, channel: int, sweep: int, p: IvParameters) -> tuple[tuple[float, float], str]:
    """Return command (mV) and current (pA) of a sweep, and in words where they were read."""
    fs = recording.channels[channel].sampling_rate
    if p.from_s is not None and p.to_s is not None:
        first, last = samples_between(recording, sweep, channel, p.from_s, p.to_s)
        said = f"between {p.from_s:g} and {p.to_s:g} s"
    else:
        one = epoch_of(recording, sweep, channel)
        if one is None:
            raise RecordingError(f"the command of {recording.name} holds or is not known: give two times")
        first, last = one.start, min(one.stop, recording.n_samples(sweep, channel))
        said = f"in {text_of(one, fs).rsplit(',', 1)[0]}"
    unit = si_unit(recording.channels[channel].unit)[1] * 1e12
    level, level_unit = command_between(recording, sweep, channel, first, last)
    start = min(first + round(1e-3 * p.skip_ms * fs), last - 1)
    values = recording.values(sweep, channel, start, last).astype(float) * unit
    if p.subtract_holding and first > 2:
        values = values - np.nanmean(recording.values(sweep, channel, first // 2, first).astype(float)) * unit
    if p.measure == "mean":
        current = float(np.nanmean(values))
    else:
        smooth = boxcar(values, max(1, round(1e-3 * p.mean_ms * fs)))
        at = extreme(smooth, {"peak": 0.0, "inward": -1.0, "outward": 1.0}[p.measure])
        current = float(smooth[at]) if at >= 0 else float("nan")
    return (level * si_unit(level_unit)[1] * 1e3 if level_unit else float("nan"), current), said


def _reversal(voltage: Floats, current: Floats, p: IvParameters) -> tuple[float, str]:
    """Return the reversal potential and how it is known."""
    if p.reversal_mv is not None:
        return p.reversal_mv, "given"
    order = np.argsort(voltage)
    v, i = voltage[order], current[order]
    least = 0.02 * float(np.nanmax(np.abs(i)))
    change = [k for k in range(len(v) - 1) if i[k] * i[k + 1] < 0 and max(abs(i[k]), abs(i[k + 1])) > least]
    if not change:
        return float("nan"), "no current changes sign, and none was given"
    k = change[-1]
    return float(
        v[k] - i[k] * (v[k + 1] - v[k]) / (i[k + 1] - i[k])
    ), "between the two points where currents change sign"


def _boltzmann(voltage: Floats, conductance: Floats, notes: list[str]) -> CurveFit | None:
    try:
        found = fit_curve(voltage, conductance, "boltzmann")
    except RecordingError as error:
        notes.append(f"cannot tell activation: {error}")
        return None
    if found.r2 < 0.8:
        notes.append(
            f"cannot tell activation: a Boltzmann describes {100 * found.r2:.0f} % of the conductance"
        )
        return None
    half, slope = (next(one for one in found.parameters if one.name == name) for name in ("half", "slope"))
    if not (half.error < _LEAST_DRIVE and slope.error < 0.5 * abs(slope.value)):
        notes.append("cannot tell activation: too few voltages lie on the slope of the Boltzmann")
        return None
    return found


def _plots(columns: list[Column], voltage: Floats, fitted: CurveFit | None) -> tuple[Plot, ...]:
    by = {one.name: one for one in columns}
    order = np.argsort(voltage)
    shown = by.get("density", by["current"])
    plots = [
        Plot(
            "Voltage",
            shown.name.capitalize(),
            (Curve(voltage[order], shown.values[order], style="both"),),
            "mV",
            shown.unit,
        )
    ]
    conductance = by["conductance"].values
    if np.isfinite(conductance).any():
        curves = [Curve(voltage[order], conductance[order], style="points")]
        if fitted is not None:
            x = np.argsort(fitted.x)
            curves.append(Curve(fitted.x[x], fitted.best[x], "Boltzmann"))
        plots.append(Plot("Voltage", "Conductance", tuple(curves), "mV", "nS"))
    return tuple(plots)


def _methods(p: IvParameters, left: float) -> str:
    said = "Currents were read in every sweep and drawn against the commanded voltage"
    said += (
        f", corrected for a liquid junction potential of {p.junction_mv:g} mV"
        if p.junction_mv
        else ", not corrected for a junction potential"
    )
    said += (
        f" and for the drop over {left:.3g} MOhm of series resistance ({p.compensation:g} % of {p.series_mohm:g} MOhm compensated)."
        if p.series_mohm else " nor for series resistance." if not p.junction_mv else ", not for series resistance."
    )  # fmt: skip
    return (
        said + " Conductance is current over driving force; activation was fitted with a Boltzmann (lmfit)."
    )


ANALYSES = (
    Analysis(
        "iv", "Current and conductance against voltage", "Voltage clamp",
        "IV and GV curves with density, reversal, Boltzmann, corrected for junction potential and series resistance.",
        ("recording",), iv, IvParameters,
        "Currents were read in every sweep against the commanded voltage; conductance is current over driving force.",
    ),
)  # fmt: skip
