"""Current clamp: action potentials of several families, synaptic potentials, artefacts, block.

Ranges: half width 0.25 (fast spiking) to 3 ms, 40 to 120 mV from threshold, threshold -55 to -30 mV, AHP 0 to
20 mV lasting 2 to 100 ms (Bean 2007 Nat Rev Neurosci 8:451; Tasic et al. 2016; Gouwens et al. 2019 Nat
Neurosci 22:1182); 10 to 500 Hz; spikelets 3 to 30 mV (Epsztein et al. 2010 Science 327:474; Hughes et al.
2002 J Neurophysiol 88:1280); amplitude attenuation and depolarisation block (Bianchi et al. 2012 J Comput
Neurosci 33:207); EPSP 0.3 to 15 mV, rise 1 to 5 ms, decay 8 to 50 ms; stimulation artefacts 0.05 to 0.5 ms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .crop import LENGTH, Crop, add_at, log_uniform
from .noise import coloured, drift, faults, restless
from .psc import waveform

AP = 0


def action_potential(
    rng: np.random.Generator, fs: float, half_width: float
) -> tuple[NDArray[np.float64], int]:
    """Return one AP of height one above threshold with its afterpotential, and the index of its peak."""
    up = half_width * rng.uniform(0.25, 0.5)
    down = half_width * rng.uniform(0.55, 1.0)
    ahp = rng.uniform(0, 0.25)
    recover = log_uniform(rng, 3e-3, 60e-3)
    before = int(4 * up * fs) + 3
    t = (np.arange(-before, int(3 * recover * fs) + int(8 * half_width * fs)) + rng.random()) / fs
    sharp = rng.uniform(1.2, 2.2)
    wave = np.where(t < 0, np.exp(-((np.abs(t) / up) ** sharp)), 0.0)
    fall = np.exp(-((np.maximum(t, 0) / down) ** rng.uniform(1.0, 2.0)))
    foot = ahp * (1 - np.exp(-np.maximum(t, 0) / (1.2 * half_width))) * np.exp(-np.maximum(t, 0) / recover)
    wave = np.where(t >= 0, fall - foot, wave)
    if rng.random() < 0.25:  # after-depolarisation
        wave += np.where(t > 0, rng.uniform(0, 0.12) * (t / 4e-3) * np.exp(1 - t / 4e-3), 0)
    return wave, before


def draw_ap(rng: np.random.Generator) -> Crop:
    """Draw one window of a current-clamp recording."""
    fs = log_uniform(rng, 13000, 28500) if rng.random() < 0.8 else log_uniform(rng, 4000, 14000)
    noise = restless(rng, fs) if rng.random() < 0.15 else coloured(rng)
    sigma = log_uniform(rng, 0.03, 6.0)
    trace = np.full(LENGTH, rng.uniform(-85, -50))
    rows: list[tuple[float, float, float, float, int]] = []
    artefacts: list[float] = []
    if rng.random() < 0.5:
        _current_step(rng, trace, fs)
    spikelets = rng.random() < 0.25
    height = log_uniform(rng, 5, 40) if spikelets else rng.uniform(40, 120)
    height = max(height, 2.5 * sigma)
    if rng.random() < 0.8:
        _train(rng, trace, fs, height, rows)
    if rng.random() < 0.3:
        _potentials(rng, trace, fs, height)
    if rng.random() < 0.08:
        _block(rng, trace, fs)
    if rng.random() < 0.15:  # everything smaller: far away, or a gain forgotten
        factor = rng.uniform(0.2, 0.6)
        trace = (trace - trace[0]) * factor + trace[0] * rng.choice([1.0, factor])
        rows = [(t, a * factor, r, d, k) for t, a, r, d, k in rows]
    x = trace + sigma * noise
    if rng.random() < 0.3:
        x, artefacts = stimuli(rng, x, fs, rows)
    if rng.random() < 0.25:
        x = x + rng.uniform(0, 40) * drift(rng)
    x, found = faults(rng, x, fs, max(sigma, 0.1))
    if rng.random() < 0.1:
        x, trace, found = -x, -trace, (*found, "inverted")
        rows = [(t, -a, r, d, k) for t, a, r, d, k in rows]
    table = np.array(sorted(rows), float).reshape(-1, 5)
    return Crop(
        x.astype(np.float32),
        fs,
        "mV",
        "ap",
        table[:, 0],
        table[:, 1],
        table[:, 2],
        table[:, 3],
        table[:, 4].astype(np.int64),
        np.array(artefacts),
        clean=trace.astype(np.float32),
        faults=found,
    )


def _current_step(rng: np.random.Generator, trace: NDArray[np.float64], fs: float) -> None:
    """Charge the membrane: an exponential towards a new potential, with or without a sag."""
    a = int(rng.uniform(-LENGTH / 2, LENGTH))
    b = a + int(rng.uniform(0.02, 0.5) * fs)
    n = np.arange(LENGTH)
    tau = log_uniform(rng, 3e-3, 40e-3) * fs
    size = rng.uniform(-40, 40)
    trace += size * (1 - np.exp(-np.maximum(n - a, 0) / tau)) * (n >= a)
    trace -= size * (1 - np.exp(-np.maximum(n - b, 0) / tau)) * (n >= b)


def _train(
    rng: np.random.Generator, trace: NDArray[np.float64], fs: float, height: float, rows: list[Any]
) -> None:
    """Add action potentials at 0.5 to 500 Hz with adaptation and attenuation."""
    half = log_uniform(rng, 0.25e-3, 3e-3)
    wave, peak = action_potential(rng, fs, half)
    shortest = 1.6 * half
    interval = max(log_uniform(rng, 2e-3, 0.08), shortest)
    at = rng.uniform(-0.02, 0.06) * fs
    adaptation, attenuation = rng.uniform(0.98, 1.1), rng.choice([1.0, rng.uniform(0.8, 1.0)])
    broaden = rng.uniform(1.0, 1.03)
    irregular = rng.choice([0.05, 0.5])
    scale = 1.0
    for i in range(rng.integers(1, 40)):
        if at > LENGTH + peak:
            return
        start = int(at)
        amplitude = height * scale * (1 + 0.04 * rng.normal())
        w = (
            wave
            if broaden < 1.01
            else np.interp(np.arange(len(wave)) / broaden**i, np.arange(len(wave)), wave)
        )
        p = peak if broaden < 1.01 else int(np.argmax(w))
        ramp = np.linspace(0, 1, max(2, int(0.004 * fs))) ** 2 * rng.uniform(0, 10) * min(1, height / 60)
        add_at(trace, ramp, start - len(ramp))
        add_at(trace, amplitude * w + ramp[-1] * np.exp(-np.arange(len(w)) / (2 * half * fs)), start)
        if 0 <= start + p < LENGTH:
            rows.append((start + p, amplitude, half * 0.7, half, AP))
        at += max(interval * np.exp(rng.normal() * irregular), shortest) * fs
        interval *= adaptation
        scale = max(scale * attenuation, 0.25)


def _potentials(rng: np.random.Generator, trace: NDArray[np.float64], fs: float, height: float) -> None:
    """Add synaptic potentials, which are not action potentials."""
    rise, decay = log_uniform(rng, 0.6e-3, 3e-3), log_uniform(rng, 8e-3, 50e-3)
    way = rng.choice([1.0, 1.0, -1.0])
    for s in rng.uniform(-200, LENGTH, rng.poisson(4)):
        wave, _ = waveform(rise * np.exp(rng.normal() * 0.3), decay, fs)
        size = min(log_uniform(rng, 0.3, 12.0), 0.3 * height)
        add_at(trace, way * size * wave, int(s))


def _block(rng: np.random.Generator, trace: NDArray[np.float64], fs: float) -> None:
    """Depolarisation block: a plateau with a dying oscillation, no action potentials."""
    a = int(rng.uniform(0, LENGTH))
    n = np.arange(LENGTH - a) / fs
    trace[a:] += rng.uniform(15, 50) * (1 - np.exp(-n / 3e-3))
    f = rng.uniform(60, 300)
    trace[a:] += rng.uniform(0, 5) * np.exp(-n / 0.02) * np.sin(2 * np.pi * f * n)


def stimuli(
    rng: np.random.Generator, x: NDArray[np.float64], fs: float, rows: list[Any]
) -> tuple[NDArray[np.float64], list[float]]:
    """Add fast artefacts (0.05 to 0.5 ms, 5 to 120 mV, one- or two-sided); return their positions."""
    artefacts = []
    width = max(1, round(log_uniform(rng, 0.05e-3, 0.5e-3) * fs))
    size = log_uniform(rng, 5, 120)
    how = rng.integers(4)
    x = x.copy()
    peaks = np.array([r[0] for r in rows])
    for at in rng.integers(0, LENGTH, max(1, rng.poisson(log_uniform(rng, 0.5, 8)))):
        pulse = np.full(width, size * rng.choice([-1.0, 1.0]))
        if how == 1:
            pulse = np.concatenate([pulse, -pulse])
        elif how == 2:
            pulse = np.concatenate([pulse, pulse[-1] * np.exp(-np.arange(6 * width) / (1.5 * width))])
        elif how == 3:
            pulse = np.concatenate([pulse, -0.6 * pulse[-1] * np.exp(-np.arange(6 * width) / (1.5 * width))])
        if len(peaks) == 0 or np.abs(peaks - at).min() > 3 * width + 6:
            artefacts.append(float(at))
        add_at(x, pulse, int(at))
    return x, artefacts
