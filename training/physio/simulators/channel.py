"""Single channels: Markov schemes of 2 to 6 states, 1 to 5 channels, sub-states, filter, drift.

Ranges: dwell times 0.1 to 500 ms, unitary currents 0.5 to 20 pA, low-pass 1 to 10 kHz at 5 to 50 kHz
sampling (Colquhoun & Sigworth 1995, in Single-Channel Recording; Sakmann & Neher 1995); schemes with one to
three shut and one to two open states (Colquhoun & Hawkes 1982 Phil Trans R Soc B 300:1); sub-conductance 0.2
to 0.8 of the main level (Fox 1987 J Membr Biol 97:1); fast SNR 1.5 to 15 (Celik et al. 2020 Commun Biol 3:3).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import bessel, sosfilt

from .crop import LENGTH, Crop, log_uniform
from .noise import coloured, drift, faults

OPEN = 7


def dwell_path(rng: np.random.Generator, n: int) -> NDArray[np.int8]:
    """Return (n,) the state of one channel, 0 shut and 1 open, from a random Markov scheme.

    Dwell times are mixtures of one to three exponentials per class, as an aggregated scheme gives.
    """
    means = {
        c: (np.atleast_1d(log_uniform(rng, 2, n / 3, int(k))), rng.dirichlet(np.ones(int(k))))
        for c, k in ((0, rng.integers(1, 4)), (1, rng.integers(1, 3)))
    }
    out = np.zeros(n, np.int8)
    at, state = -rng.uniform(0, n / 2), int(rng.random() < 0.5)
    while at < n:
        mean, weight = means[state]
        stay = rng.exponential(mean[rng.choice(len(mean), p=weight)]) + 0.5
        a, b = max(0, round(at)), min(n, round(at + stay))
        if b > a:
            out[a:b] = state
        at += stay
        state = 1 - state
    return out


def draw_channel(rng: np.random.Generator) -> Crop:
    """Draw one window of a single-channel recording."""
    fs = log_uniform(rng, 2000, 25000)
    channels = int(rng.integers(1, 6))
    n_open = sum(dwell_path(rng, LENGTH).astype(int) for _ in range(channels))
    unit = log_uniform(rng, 0.5, 20) * rng.choice([-1.0, 1.0])
    level = n_open * unit
    if rng.random() < 0.2:  # a sub-conductance of part of the openings
        sub = dwell_path(rng, LENGTH).astype(bool) & (n_open > 0)
        level = level - np.where(sub, unit * rng.uniform(0.2, 0.8), 0)
    clean = level.astype(float)
    if rng.random() < 0.7:
        sos = bessel(int(rng.choice([4, 8])), rng.uniform(0.15, 0.8), output="sos", norm="mag")
        clean = sosfilt(sos, np.concatenate([np.full(64, clean[0]), clean]))[64:]
    sigma = abs(unit) / log_uniform(rng, 1.5, 15)
    noise = coloured(rng) * (1 + rng.uniform(0, 0.4) * (n_open > 0))
    x = clean + sigma * noise
    if rng.random() < 0.4:
        x = x + abs(unit) * rng.uniform(0, 2) * drift(rng)
    x, found = faults(rng, x, fs, sigma, 0.1)
    opening = np.flatnonzero(np.diff(n_open) > 0).astype(float) + 1
    n = len(opening)
    return Crop(
        x.astype(np.float32),
        fs,
        "pA",
        "channel",
        opening,
        np.full(n, unit),
        np.full(n, np.nan),
        np.full(n, np.nan),
        np.full(n, OPEN),
        clean=clean.astype(np.float32),
        faults=found,
    )
