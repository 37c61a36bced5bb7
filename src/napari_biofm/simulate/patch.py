"""Whole-cell recordings of one cell: current clamp with spikes, voltage clamp with synaptic currents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray


@dataclass(frozen=True)
class PatchTrace:
    """One simulated whole-cell recording.

    Attributes
    ----------
    values : (n_samples,) float64, mV in current clamp, pA in voltage clamp.
    command : (n_samples,) injected current (pA) or command potential (mV).
    sampling_rate : Hz.
    unit, command_unit : of the two.
    event_times : (n_events,) seconds from the first sample: peaks of APs, or of synaptic currents.
    event_classes : (n_events,) "AP", "EPSC" or "IPSC".
    amplitudes : (n_events,) in `unit`.
    """

    values: NDArray[np.float64]
    command: NDArray[np.float64]
    sampling_rate: float
    unit: str
    command_unit: str
    event_times: NDArray[np.float64]
    event_classes: NDArray[np.str_]
    amplitudes: NDArray[np.float64]


def _pink(rng: np.random.Generator, n: int, sd: float, exponent: float, fs: float) -> NDArray[np.float64]:
    """Noise with a spectrum of 1/f^exponent above 1 Hz, scaled to `sd`."""
    spectrum = np.fft.rfft(rng.normal(0, 1, n))
    frequency = np.maximum(np.fft.rfftfreq(n, 1 / fs), 1.0)
    noise = np.fft.irfft(spectrum * frequency ** (-exponent / 2), n)
    return np.asarray(sd * noise / (noise.std() + 1e-12))


def _action_potential(fs: float) -> tuple[NDArray[np.float64], int]:
    """Return an AP of a pyramidal cell above rest (mV) and the index of its peak.

    About 1 ms half width, 95 mV high, 8 mV after-hyperpolarisation with 30 ms recovery (ranges of
    regular-spiking cells: McCormick et al., J Neurophysiol 54:782, 1985).
    """
    t = np.arange(-0.003, 0.12, 1 / fs)
    up = 95 * np.exp(-(((t) / 0.00035) ** 2)) * (t <= 0)
    down = (103 * np.exp(-np.clip(t, 0, None) / 0.0009) - 8 * np.exp(-np.clip(t, 0, None) / 0.03)) * (t > 0)
    foot = 12 * np.exp(t / 0.0012) * (t <= 0)
    wave = np.maximum(up, foot) * (t <= 0) + down
    return wave, int(np.argmax(wave))


def current_clamp(
    spikes: NDArray[np.float64], duration: float, sampling_rate: float = 20_000.0, seed: int = 0
) -> PatchTrace:
    """Simulate the membrane potential of a cell that fires at `spikes`.

    Parameters
    ----------
    spikes : peak times, seconds.
    duration : seconds.
    sampling_rate : Hz.
    seed : of the noise and the subthreshold potentials.
    """
    rng = np.random.default_rng(seed)
    n = round(duration * sampling_rate)
    values = np.full(n, -68.0) + _pink(rng, n, 0.9, 1.2, sampling_rate) + rng.normal(0, 0.12, n)
    for start in rng.uniform(0, duration, rng.poisson(3 * duration)):
        _add(values, start * sampling_rate, _biexponential(sampling_rate, 0.002, 0.02) * rng.uniform(1, 5))
    wave, peak = _action_potential(sampling_rate)
    index = np.round(spikes * sampling_rate).astype(int)
    index = index[(index >= 0) & (index < n)]
    amplitudes = np.zeros(len(index))
    for k, i in enumerate(index):
        close = k > 0 and (i - index[k - 1]) < 0.008 * sampling_rate
        size = rng.normal(0.85 if close else 1.0, 0.02)
        _add(values, i - peak, wave * size)
        amplitudes[k] = wave[peak] * size
    command = np.zeros(n)
    return PatchTrace(
        values,
        command,
        sampling_rate,
        "mV",
        "pA",
        index / sampling_rate,
        np.full(len(index), "AP"),
        amplitudes,
    )


def voltage_clamp(
    duration: float,
    sampling_rate: float = 20_000.0,
    rate: float = 4.0,
    inhibitory: float = 0.25,
    noise_pa: float = 2.2,
    seed: int = 0,
) -> PatchTrace:
    """Simulate spontaneous synaptic currents at -70 mV, with a 10 mV test pulse every 5 s.

    EPSCs are inward with a rise near 0.5 ms and a decay near 4 ms, IPSCs outward (chloride reversal
    at -80 mV) and slower, 1 and 15 ms; sizes are log-normal around 15 pA.

    Parameters
    ----------
    duration : seconds.
    sampling_rate : Hz.
    rate : events per second.
    inhibitory : fraction that are IPSCs.
    noise_pa : standard deviation of the noise, pA.
    seed : the same seed gives the same trace.
    """
    rng = np.random.default_rng(seed)
    n = round(duration * sampling_rate)
    values = np.full(n, -25.0) + _pink(rng, n, noise_pa * 0.5, 1.0, sampling_rate)
    values += rng.normal(0, noise_pa * 0.87, n)
    starts = np.sort(rng.uniform(0.05, max(duration - 0.1, 0.06), rng.poisson(rate * duration)))
    times, classes, amplitudes = [], [], []
    for start in starts:
        inhibit = rng.random() < inhibitory
        kernel = _biexponential(sampling_rate, *((0.001, 0.015) if inhibit else (0.0005, 0.004)))
        size = np.exp(rng.normal(np.log(15), 0.45)) * (1 if inhibit else -1)
        _add(values, start * sampling_rate, kernel * size)
        times.append(start + np.argmax(kernel) / sampling_rate)
        classes.append("IPSC" if inhibit else "EPSC")
        amplitudes.append(size)
    command = np.full(n, -70.0)
    _test_pulses(values, command, sampling_rate, duration)
    low = scipy.signal.bessel(4, min(3000.0, 0.45 * sampling_rate), fs=sampling_rate, output="sos")
    centre = values[: max(1, n // 100)].mean()
    values = scipy.signal.sosfiltfilt(low, values - centre) + centre if n > 30 else values
    return PatchTrace(
        values,
        command,
        sampling_rate,
        "pA",
        "mV",
        np.asarray(times, float),
        np.asarray(classes, "U4"),
        np.asarray(amplitudes, float),
    )


def _test_pulses(
    values: NDArray[np.float64], command: NDArray[np.float64], fs: float, duration: float
) -> None:
    """Add -10 mV steps of 20 ms through 12 MOhm access, 150 MOhm membrane, 80 pF."""
    access, membrane, capacitance, step = 12e6, 150e6, 80e-12, -10e-3
    t = np.arange(round(0.02 * fs)) / fs
    tau = capacitance * access * membrane / (access + membrane)
    steady = step / (access + membrane)
    current = (steady + (step / access - steady) * np.exp(-t / tau)) * 1e12
    for start in np.arange(2.5, duration - 0.1, 5.0):
        i = round(start * fs)
        values[i : i + len(t)] += current
        command[i : i + len(t)] += step * 1e3
        _add(values, i + len(t), -(step / access - steady) * np.exp(-t / tau) * 1e12)


def _biexponential(fs: float, rise: float, decay: float) -> NDArray[np.float64]:
    t = np.arange(0, 7 * decay, 1 / fs)
    shape = (1 - np.exp(-t / rise)) * np.exp(-t / decay)
    return np.asarray(shape / shape.max())


def _add(target: NDArray[np.float64], start: float, wave: NDArray[np.float64]) -> None:
    """Add `wave` to `target` from sample `start` on, cut at both ends."""
    first = round(start)
    a, b = max(first, 0), min(first + len(wave), len(target))
    if a < b:
        target[a:b] += wave[a - first : b - first]
