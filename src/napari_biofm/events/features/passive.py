"""Passive properties: potentials around a current step, and Rm, Ra, Cm, tau of a voltage or current step."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.events.features.definitions import Values
from napari_biofm.signals.membrane import MembraneTest

Floats = NDArray[np.float64]
_NAN = float("nan")
_PARABOLA_S = 0.015
_REBOUND_S = 0.1
_ONSET_S = 0.5e-3  # behind the start of a step: the pipette charges

STEP_DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "baseline_mV": "mean potential over the last tenth of the time before the step at the level before it",
        "minimum_mV": "lowest sample during the step",
        "maximum_mV": "highest sample during the step",
        "steady_mV": "mean potential over the last tenth of the step",
        "after_mV": "mean potential from the end of the step to the end of the sweep",
        "deflection_mV": "steady minus baseline",
        "peak_mV": "lowest potential in the first half of a hyperpolarising step, of parabolas fitted over 15 ms",
        "sag_mV": "steady minus peak of a hyperpolarising step",
        "sag_ratio": "(steady - peak) / (baseline - peak) of a hyperpolarising step; 0 = no sag",
        "rebound_mV": "highest potential within 100 ms after a hyperpolarising step minus baseline, fitted as peak",
        "tau_off_ms": "time constant of one exponential back to baseline, from 1 to 10 ms after the step",
    }
)
CURRENT_CLAMP_DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "input_resistance_MOhm": "steady deflection over injected current",
        "tau_ms": "time constant of one exponential plus a constant from 0.5 ms on: over the step, or to 95 % of the "
        "peak where there is sag",
        "capacitance_pF": "tau over input resistance",
        "step_pA": "injected current minus the current before the step",
    }
)
VOLTAGE_CLAMP_DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "step_mV": "size of the test pulse",
        "access_MOhm": "step over the peak current, extrapolated to the onset of the step behind the filter",
        "membrane_MOhm": "step over the steady current, minus access",
        "input_MOhm": "step over the steady current",
        "capacitance_pF": "charge of the transient over step, times ((Rm + Rs) / Rm)^2",
        "tau_ms": "time constant of the transient: exponential behind a filter, least squares",
        "holding_pA": "median current before the step",
    }
)


def step_features(volts: Floats, fs: float, start: int, stop: int, rest: int = 0) -> Values:
    """Return the columns of `STEP_DEFINITIONS` for a current step over samples [start, stop).

    Parameters
    ----------
    volts : (n_samples,) mV.
    fs : Hz.
    rest : first sample of the level before the step.
    """
    length = stop - start
    values: Values = dict.fromkeys(STEP_DEFINITIONS, _NAN)
    if length < 5 or start - rest < 1:
        return values
    base = float(volts[min(rest + int(0.9 * (start - rest)), start - 1) : start].mean())
    steady = float(volts[stop - max(1, length // 10) : stop].mean())
    low, high = float(volts[start:stop].min()), float(volts[start:stop].max())
    values |= {"baseline_mV": base, "minimum_mV": low, "maximum_mV": high, "steady_mV": steady}
    values["after_mV"] = float(volts[stop:].mean()) if stop < len(volts) else _NAN
    values["deflection_mV"] = steady - base
    if base - low > 1.0 and steady < base:
        peak = float(_smooth(volts[start:stop], fs)[: max(length // 2, 1)].min())
        values |= {"peak_mV": peak, "sag_mV": steady - peak}
        values["sag_ratio"] = (steady - peak) / (base - peak) if base > peak else _NAN
        after = volts[stop + round(1e-3 * fs) : stop + round(_REBOUND_S * fs)]
        if len(after) > 5 and high < base + 40:
            values["rebound_mV"] = float(_smooth(after, fs).max()) - base
    piece = volts[stop + round(1e-3 * fs) : stop + round(10e-3 * fs)]
    values["tau_off_ms"] = 1e3 * decay_to(piece - base, fs)
    return values


def _smooth(volts: Floats, fs: float) -> Floats:
    """Return potentials as parabolas fitted over 15 ms around each sample (Savitzky & Golay, Anal Chem 36:1627, 1964)."""
    width = min(round(_PARABOLA_S * fs), len(volts)) // 2 * 2 - 1
    return np.asarray(scipy.signal.savgol_filter(volts, width, 2)) if width >= 5 else volts


def decay_to(piece: Floats, fs: float) -> float:
    """Return the time constant (s) of one exponential that ends at 0, least squares; nan where none fits."""
    if len(piece) < 6 or np.ptp(piece) == 0:
        return _NAN
    t = np.arange(len(piece)) / fs
    tau = np.geomspace(0.5 / fs, 50 * t[-1], 400)
    falls = np.exp(-t / tau[:, None])
    gain = (falls @ piece) ** 2 / (falls**2).sum(axis=1)
    best = int(np.argmax(gain))
    explained = gain[best] / max(float((piece**2).sum()), 1e-300)
    return float(tau[best]) if explained > 0.8 and 0 < best < len(tau) - 1 else _NAN


def decay_to_constant(piece: Floats, fs: float) -> float:
    """Return the time constant (s) of one exponential plus a constant; nan where none fits."""
    if len(piece) < 6 or np.ptp(piece) == 0:
        return _NAN
    t = np.arange(len(piece)) / fs

    def model(x: Floats, end: float, size: float, tau: float) -> Floats:
        return np.asarray(end + size * np.exp(-x / tau))

    guess = (float(piece[-1]), float(piece[0] - piece[-1]), max(t[-1] / 3, 1 / fs))
    bounds = ([-np.inf, -np.inf, 0.2 / fs], [np.inf, np.inf, 20 * t[-1]])
    try:
        fit, _ = scipy.optimize.curve_fit(model, t, piece, guess, bounds=bounds, maxfev=2000)
    except RuntimeError:  # no exponential: nan says so
        return _NAN
    explained = 1 - np.var(piece - model(t, *fit)) / np.var(piece)
    return float(fit[2]) if explained > 0.5 and fit[2] < 10 * t[-1] else _NAN


def current_step(volts: Floats, fs: float, start: int, stop: int, step_pa: float, rest: int = 0) -> Values:
    """Return the columns of `CURRENT_CLAMP_DEFINITIONS` of a subthreshold step of current.

    Parameters
    ----------
    volts : (n_samples,) mV; the step must not make action potentials, else all is nan.
    fs : Hz.
    start, stop : samples of the step.
    step_pa : injected current minus the current before the step, pA.
    rest : first sample of the level before the step.
    """
    values: Values = dict.fromkeys(CURRENT_CLAMP_DEFINITIONS, _NAN) | {"step_pA": step_pa}
    features = step_features(volts, fs, start, stop, rest)
    rise = features["deflection_mV"]
    if step_pa == 0 or not np.isfinite(rise) or features["maximum_mV"] > features["baseline_mV"] + 40:
        return values
    values["input_resistance_MOhm"] = 1e3 * rise / step_pa
    piece = np.sign(step_pa) * (volts[start:stop] - features["baseline_mV"])
    smooth = _smooth(piece, fs)
    top = int(np.argmax(smooth[: max(2, len(smooth) // 2 + 1)]))
    settles = smooth[top] < 1.05 * abs(rise)  # no sag: the whole step is one exponential
    last = len(piece) if settles else int(np.flatnonzero(smooth[: top + 1] > 0.95 * smooth[top])[0])
    first = min(round(_ONSET_S * fs), max(last - 10, 0))
    tau = decay_to_constant(piece[first:last], fs)
    values["tau_ms"] = 1e3 * tau
    values["capacitance_pF"] = 1e6 * tau / values["input_resistance_MOhm"] if rise else _NAN
    return values


def test_pulse(found: MembraneTest) -> Values:
    """Return the columns of `VOLTAGE_CLAMP_DEFINITIONS`: a membrane test in the units of the table.

    Parameters
    ----------
    found : of `signals.access.recording_access`, which docks show, too.
    """
    return {
        "step_mV": 1e3 * found.step,
        "access_MOhm": 1e-6 * found.access_resistance,
        "membrane_MOhm": 1e-6 * found.membrane_resistance,
        "input_MOhm": 1e-6 * found.input_resistance,
        "capacitance_pF": 1e12 * found.capacitance,
        "tau_ms": 1e3 * found.tau,
        "holding_pA": 1e12 * found.holding_current,
    }


test_pulse.__test__ = False  # type: ignore[attr-defined]  # no test of ours, whatever its name says to pytest
