"""Passive properties: potentials around a current step, and Rm, Ra, Cm, tau of a voltage or current step."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from napari_biofm.events.features.definitions import Values

Floats = NDArray[np.float64]
_NAN = float("nan")

STEP_DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "baseline_mV": "mean potential over the last tenth of the time before the step",
        "minimum_mV": "lowest potential during the step",
        "maximum_mV": "highest potential during the step",
        "steady_mV": "mean potential over the last tenth of the step",
        "after_mV": "mean potential from the end of the step to the end of the sweep",
        "deflection_mV": "steady minus baseline",
        "sag_ratio": "(steady - minimum) / (baseline - minimum) of a hyperpolarising step; 0 = no sag",
        "tau_off_ms": "time constant of one exponential back to baseline, from 1 to 10 ms after the step",
    }
)
CURRENT_CLAMP_DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "input_resistance_MOhm": "steady deflection over injected current",
        "tau_ms": "time constant of one exponential from 10 to 95 % of the peak deflection",
        "capacitance_pF": "tau over input resistance",
        "step_pA": "injected current minus holding current",
    }
)
VOLTAGE_CLAMP_DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "step_mV": "size of the voltage step",
        "access_MOhm": "step over the transient's peak, extrapolated to the start of the step",
        "membrane_MOhm": "step over the steady current (median from 60 to 95 % of the pulse), minus access",
        "capacitance_pF": "charge of the transient over step, times ((Rm + Ra) / Rm)^2",
        "tau_ms": "time constant of one exponential fitted to the transient",
        "holding_pA": "mean current before the step",
    }
)


def find_steps(command: Floats, least: float | None = None) -> list[tuple[int, int, float]]:
    """Return the steps of a command waveform away from its first level: (start, stop, size) each.

    Parameters
    ----------
    command : (n_samples,), e.g. pA injected or mV commanded; recorded commands may be noisy.
    least : smallest step; by default a twentieth of the range, at least 6 times the noise.
    """
    if len(command) < 3 or not np.isfinite(command).all():
        return []
    level = float(np.median(command[: max(1, len(command) // 100)]))
    noise = float(np.median(np.abs(np.diff(command)))) * 1.05
    least = least if least is not None else max(0.05 * float(np.ptp(command)), 6 * noise, 1e-12)
    away = np.abs(command - level) > 0.5 * least
    edges = np.diff(np.concatenate([[0], away.astype(np.int8), [0]]))
    steps = []
    for a, b in zip(np.flatnonzero(edges > 0), np.flatnonzero(edges < 0), strict=True):
        middle = command[a + (b - a) // 4 : b - (b - a) // 4]
        size = float(np.median(middle)) - level if len(middle) else 0.0
        if b - a >= 5 and abs(size) >= least:
            steps.append((int(a), int(b), size))
    return steps


def step_features(volts: Floats, fs: float, start: int, stop: int) -> Values:
    """Return the columns of `STEP_DEFINITIONS` for a current step over samples [start, stop).

    Parameters
    ----------
    volts : (n_samples,) mV.
    fs : Hz.
    """
    length = stop - start
    values: Values = dict.fromkeys(STEP_DEFINITIONS, _NAN)
    if length < 5 or start < 1:
        return values
    base = float(volts[max(0, int(0.9 * start)) : start].mean())
    steady = float(volts[stop - max(1, length // 10) : stop].mean())
    low, high = float(volts[start:stop].min()), float(volts[start:stop].max())
    values |= {"baseline_mV": base, "minimum_mV": low, "maximum_mV": high, "steady_mV": steady}
    values["after_mV"] = float(volts[stop:].mean()) if stop < len(volts) else _NAN
    values["deflection_mV"] = steady - base
    if base - low > 1.0 and steady < base:
        values["sag_ratio"] = (steady - low) / (base - low)
    piece = volts[stop + round(1e-3 * fs) : stop + round(10e-3 * fs)]
    values["tau_off_ms"] = 1e3 * decay_to(piece - base, fs)
    return values


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
        fit, _ = curve_fit(model, t, piece, guess, bounds=bounds, maxfev=2000)
    except RuntimeError:  # no exponential: nan says so
        return _NAN
    explained = 1 - np.var(piece - model(t, *fit)) / np.var(piece)
    return float(fit[2]) if explained > 0.5 and fit[2] < 10 * t[-1] else _NAN


def current_step(volts: Floats, fs: float, start: int, stop: int, step_pa: float) -> Values:
    """Return the columns of `CURRENT_CLAMP_DEFINITIONS` of a subthreshold step of current.

    Parameters
    ----------
    volts : (n_samples,) mV; the step must not make action potentials, else all is nan.
    step_pa : injected minus holding current, pA.
    """
    values: Values = dict.fromkeys(CURRENT_CLAMP_DEFINITIONS, _NAN) | {"step_pA": step_pa}
    features = step_features(volts, fs, start, stop)
    rise = features["deflection_mV"]
    if step_pa == 0 or not np.isfinite(rise) or features["maximum_mV"] > features["baseline_mV"] + 40:
        return values
    values["input_resistance_MOhm"] = 1e3 * rise / step_pa
    sign = np.sign(step_pa)
    piece = sign * (volts[start:stop] - features["baseline_mV"])
    smooth = np.convolve(piece, np.ones(width := max(1, round(1e-3 * fs))) / width, "same")
    top = int(np.argmax(smooth[: max(2, len(smooth) // 2 + 1)]))
    height = smooth[top]
    charged = np.flatnonzero(smooth[: top + 1] > 0.95 * height)
    first = np.searchsorted(np.maximum.accumulate(smooth), 0.1 * height)
    charging = piece[first : charged[0] if len(charged) else top]
    tau = decay_to_constant(charging, fs)
    values["tau_ms"] = 1e3 * tau
    values["capacitance_pF"] = 1e6 * tau / values["input_resistance_MOhm"] if rise else _NAN
    return values


def voltage_step(current: Floats, fs: float, start: int, stop: int, step_mv: float) -> Values:
    """Return the columns of `VOLTAGE_CLAMP_DEFINITIONS` of a test pulse.

    The cell is a membrane (Rm, Cm) behind an access resistance: the transient starts at step / Ra and
    falls with tau = Cm Ra Rm / (Ra + Rm) to step / (Ra + Rm).

    Parameters
    ----------
    current : (n_samples,) pA.
    start, stop : samples of the pulse.
    step_mv : its size, mV.
    """
    values: Values = dict.fromkeys(VOLTAGE_CLAMP_DEFINITIONS, _NAN) | {"step_mV": step_mv}
    length = stop - start
    if length < 10 or start < 3 or step_mv == 0:
        return values
    hold = float(np.median(current[max(0, start - length) : start]))
    sign = np.sign(step_mv)
    pulse = sign * (current[start:stop] - hold)
    late = pulse[int(0.6 * length) : max(int(0.95 * length), int(0.6 * length) + 3)]
    steady = float(np.median(late))
    top = int(np.argmax(pulse[: max(2, length // 4)]))
    transient = pulse[top:] - steady
    values["holding_pA"] = hold
    if transient[0] <= 3 * np.std(late):  # no transient to be seen
        values["membrane_MOhm"] = 1e3 * abs(step_mv) / steady if steady > 0 else _NAN
        return values
    tau = _transient_tau(transient, fs)
    peak = steady + transient[0] * np.exp(top / fs / tau) if np.isfinite(tau) else steady + transient[0]
    access = 1e3 * abs(step_mv) / peak
    membrane = 1e3 * abs(step_mv) / steady - access if steady > 0 else _NAN
    charge = (peak - steady) * tau  # pA s = pC
    values |= {"access_MOhm": access, "membrane_MOhm": membrane, "tau_ms": 1e3 * tau}
    values["capacitance_pF"] = 1e3 * charge / abs(step_mv) * ((membrane + access) / membrane) ** 2
    return {k: float(v) for k, v in values.items()}


def _transient_tau(transient: Floats, fs: float) -> float:
    """Return the time constant of a capacitive transient, fitted down to 5 % of its peak."""
    low = np.flatnonzero(transient < 0.05 * transient[0])
    stop = max(6, int(low[0]) if len(low) else len(transient))
    piece = transient[:stop]
    t = np.arange(len(piece)) / fs
    good = piece > 0.02 * transient[0]
    if good.sum() < 3:
        return _NAN
    weight = piece[good]
    slope = np.polyfit(t[good], np.log(piece[good]), 1, w=weight)[0]
    return float(-1 / slope) if slope < 0 else _NAN
