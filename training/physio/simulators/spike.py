"""Extracellular spikes of a few units in the crackle of many distant ones.

Ranges: trough 0.15 to 0.45 ms wide at half height, repolarising peak 0.2 to 0.8 ms later and 0.1 to 0.8 of
it (Henze et al. 2000 J Neurophysiol 84:390; Bartho et al. 2004 J Neurophysiol 92:600); 50 to 500 uV over 5 to
15 uV of noise; distant units make the background (Martinez et al. 2009 J Neurosci Methods 184:285); band
0.3 to 6 kHz (Quiroga et al. 2004 Neural Comput 16:1661).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .crop import LENGTH, Crop, add_at, log_uniform
from .noise import coloured, faults, restless
from .psc import Noise

SPIKE = 5


def shape(rng: np.random.Generator, fs: float) -> tuple[NDArray[np.float64], int]:
    """Return a waveform with a trough of minus one, and the index of the trough."""
    width = log_uniform(rng, 0.08e-3, 0.3e-3)
    later, broad = rng.uniform(0.2e-3, 0.8e-3), width * rng.uniform(1.2, 4)
    t = np.arange(-int(0.0012 * fs), int(0.003 * fs)) / fs
    t = t + rng.uniform(-0.5, 0.5) / fs
    wave = -np.exp(-0.5 * (t / width) ** 2)
    wave += rng.uniform(0.05, 0.8) * np.exp(-0.5 * ((t - later - width) / broad) ** 2)
    wave += rng.uniform(0, 0.4) * (rng.random() < 0.5) * np.exp(-0.5 * ((t + 2 * width) / width) ** 2)
    trough = int(np.argmin(wave))
    return wave / -wave[trough], trough


def draw_spike(rng: np.random.Generator, background: Noise | None = None) -> Crop:
    """Draw one window of an extracellular recording; half of them over a real background where there is one."""
    fs = log_uniform(rng, 14000, 34500)
    unit, sigma = (
        ("uV", log_uniform(rng, 3, 25)) if rng.random() < 0.6 else ("mV", log_uniform(rng, 0.003, 0.05))
    )
    if rng.random() < 0.3:
        unit, sigma = "other", log_uniform(rng, 0.01, 100)
    way = -1.0 if rng.random() < 0.3 else 1.0
    ignore: list[tuple[float, float]] = []
    real = background is not None and rng.random() < 0.5
    noise, ignore = (
        background(rng, fs)
        if real and background is not None
        else ((restless(rng, fs) if rng.random() < 0.15 else coloured(rng)), ignore)
    )
    if not real and rng.random() < 0.6:  # distant units
        far = np.zeros(LENGTH)
        shapes = [shape(rng, fs)[0] for _ in range(4)]
        for s in rng.integers(-60, LENGTH, rng.poisson(log_uniform(rng, 20, 200))):
            add_at(far, shapes[rng.integers(4)] * rng.gamma(2, 0.3), int(s))
        mix = rng.uniform(0.2, 0.9)
        noise = np.sqrt(1 - mix) * noise + np.sqrt(mix) * far / max(far.std(), 1e-9)
    trace = np.zeros(LENGTH)
    rows = []
    for _ in range(rng.choice(4, p=[0.2, 0.4, 0.25, 0.15])):
        wave, trough = shape(rng, fs)
        height = log_uniform(rng, 2.5, 8 if rng.random() < 0.6 else 16)
        steady = rng.uniform(0, 0.15)
        start = rng.uniform(-80, LENGTH, rng.poisson(log_uniform(rng, 0.5, 10)))
        if rng.random() < 0.2:
            start = np.append(start, rng.uniform(0, LENGTH) + np.arange(4) * rng.uniform(2e-3, 8e-3) * fs)
        for s in start:
            a = height * (1 + steady * rng.normal()) * sigma
            add_at(trace, a * wave, int(s))
            if 0 <= int(s) + trough < LENGTH:
                rows.append((int(s) + trough, -a * way))
    trace *= way
    noise = noise * way if way < 0 else noise
    x, found = faults(rng, trace + sigma * noise, fs, sigma, 0.1)
    if rng.random() < 0.2:
        x = x + sigma * rng.uniform(1, 10) * np.sin(
            2 * np.pi * (np.arange(LENGTH) / fs * rng.uniform(3, 60) + rng.random())
        )
    table = np.array(sorted(rows), float).reshape(-1, 2)
    n = len(table)
    nan = np.full(n, np.nan)
    faulty = (*found, "inverted") if way < 0 else found
    return Crop(
        x.astype(np.float32), fs, unit, "spike", table[:, 0], table[:, 1], nan, nan, np.full(n, SPIKE),
        ignore=np.array(ignore, float).reshape(-1, 2), clean=trace.astype(np.float32), faults=faulty,
    )  # fmt: skip
