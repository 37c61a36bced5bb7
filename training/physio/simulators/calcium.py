"""Calcium: dF/F of synthetic dyes and genetically encoded indicators, with the spikes beneath.

Ranges: rise 1 to 300 ms and decay 0.03 to 3 s from OGB-1 and Cal-520 over GCaMP6/7 and jGECO1a to GCaMP8
(Chen et al. 2013 Nature 499:295; Dana et al. 2016 eLife 5:e12727, 2019 Nat Methods 16:649; Zhang et al. 2023
Nature 615:884; Tada et al. 2014 Eur J Neurosci 39:1720); 3 to 120 % dF/F per spike; Hill exponent 1 to 3 and
saturation (Greenberg et al. 2018 bioRxiv 479055; Deneux et al. 2016 Nat Commun 7:12190); shot noise, neuropil
(Rupprecht et al. 2021 Nat Neurosci 24:1324: 0.5 to 8 % per root Hz); frame rates 5 to 200 Hz.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from .crop import LENGTH, Crop, log_uniform
from .noise import drift, restless

CALCIUM = 4
RATES = (57.0, 113.0)  # Hz, what the network sees; slower recordings are interpolated
SILENT = 0.2  # of the cells hold no spike
GROUP = 0.15  # s, spikes closer than this to the one before belong to its group


def spike_train(rng: np.random.Generator, seconds: float) -> NDArray[np.float64]:
    """Return spike times of a cell: sparse, regular, bursting or modulated."""
    rate = log_uniform(rng, 0.05, 12.0)
    how = rng.integers(4)
    if how == 0:
        times = rng.uniform(0, seconds, rng.poisson(rate * seconds))
    elif how == 1:  # bursts of 2 to 12 spikes
        starts = rng.uniform(0, seconds, rng.poisson(min(rate, 1.0) * seconds))
        gap = log_uniform(rng, 3e-3, 0.06)
        size = rng.integers(2, 12)
        times = np.concatenate(
            [[], *(s + np.cumsum(rng.exponential(gap, rng.integers(1, size + 1))) for s in starts)]
        )
    elif how == 2:  # slowly modulated
        n = max(2, int(seconds / log_uniform(rng, 0.3, 4)))
        gain = np.exp(rng.normal(size=n) * 1.3)
        times = rng.uniform(0, seconds, rng.poisson(rate * seconds * 3))
        keep = np.interp(times, np.linspace(0, seconds, n), gain / gain.max()) > rng.random(len(times))
        times = times[keep]
    else:  # fairly regular
        times = np.cumsum(rng.gamma(4, 1 / (4 * rate), int(rate * seconds * 2) + 2))
    times = np.sort(times[(times > 0) & (times < seconds)])
    return times[np.diff(times, prepend=-1) > 0.0015]


def groups(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the first spike of every group of spikes."""
    return times[np.diff(times, prepend=-np.inf) > GROUP]


def kinetics(rng: np.random.Generator) -> tuple[float, float]:
    """Return time constants (s) of rise and decay: a fast indicator, any, or a slow one."""
    how = rng.random()
    if how < 0.4:  # GCaMP8, jGCaMP7f, GCaMP6f, Cal-520
        return log_uniform(rng, 1e-3, 0.03), log_uniform(rng, 0.04, 0.4)
    if how < 0.8:
        return log_uniform(rng, 2e-3, 0.1), log_uniform(rng, 0.05, 2.0)
    return log_uniform(rng, 0.03, 0.3), log_uniform(rng, 0.5, 3.0)  # GCaMP6s in spines and cord, OGB-1, jGECO


def fluorescence(
    rng: np.random.Generator, times: NDArray[np.float64], fs: float, n: int
) -> NDArray[np.float64]:
    """Return (n,) noise-free dF/F at rate fs for spikes at `times`, a spike's height about one."""
    rise, decay = kinetics(rng)
    fine = 4  # finer grid so that the spike's place in a frame matters
    drive = np.bincount(np.clip((times * fs * fine).astype(int), 0, n * fine - 1), minlength=n * fine).astype(
        float
    )
    a, b = np.exp(-1 / (decay * fs * fine)), np.exp(-1 / (rise * fs * fine))
    calcium = lfilter([1.0], [1, -(a + b), a * b], drive)
    lone = lfilter([1.0], [1, -(a + b), a * b], np.eye(1, int(6 * (rise + decay) * fs * fine) + 8)[0])
    calcium = calcium / lone.max()
    if rng.random() < 0.6:  # co-operative binding, then saturation
        hill, half = rng.uniform(1.0, 2.6), log_uniform(rng, 2, 40)
        rest = rng.uniform(0.1, 1.5)
        c = calcium + rest
        y = c**hill / (c**hill + half**hill)
        y0 = rest**hill / (rest**hill + half**hill)
        y1 = (1 + rest) ** hill / ((1 + rest) ** hill + half**hill)
        calcium = (y - y0) / (y1 - y0)
    return calcium.reshape(n, fine).mean(1)  # a frame integrates


def plateau(rng: np.random.Generator, fs: float, n: int) -> tuple[NDArray[np.float64], float]:
    """Return (n,) a long rise of calcium of height one, 2 to 40 s, and its onset (s)."""
    start, last = rng.uniform(0, n / fs), log_uniform(rng, 2.0, 40.0)
    t = np.arange(n) / fs - start
    up, down = log_uniform(rng, 0.05, 1.0), log_uniform(rng, 0.3, 4.0)
    wave = (1 - np.exp(-np.maximum(t, 0) / up)) * np.exp(-np.maximum(t - last, 0) / down)
    sag = 1 - rng.uniform(0, 0.5) * np.clip(t / last, 0, 1)
    return np.asarray(wave * sag), start


def draw_calcium(rng: np.random.Generator) -> Crop:
    """Draw one window of a fluorescence trace, at the rate the network sees; a fifth of the cells are silent."""
    rate = log_uniform(rng, *RATES)
    factor = int(rng.choice([1, 1, 1, 2, 4, 8], p=[0.3, 0.2, 0.05, 0.2, 0.15, 0.1]))
    fs, n = rate / factor, LENGTH // factor
    pad = int(5 * fs)  # spikes before the window
    silent = rng.random() < SILENT
    times = np.zeros(0) if silent else spike_train(rng, (n + pad) / fs)
    clean = fluorescence(rng, times, fs, n + pad)[pad:]
    times = times - pad / fs
    times = times[(times >= 0) & (times < n / fs)]
    height = log_uniform(rng, 0.03, 1.2)
    sigma = log_uniform(rng, 0.04, 1.2)  # of a spike's height
    sigma = sigma * np.sqrt(fs / 30) if rng.random() < 0.6 else sigma
    noise = rng.normal(size=n) * np.sqrt(1 + np.maximum(clean, 0) * height * rng.choice([0.0, 1.0]))
    if silent or rng.random() < 0.2:
        noise = restless(rng, fs, n)
    elif rng.random() < 0.2:
        noise += 0.5 * lfilter([1.0], [1, -0.9], rng.normal(size=n))
    long, onset = np.zeros(n), None
    if rng.random() < 0.06:
        long, onset = plateau(rng, fs, n)
        long = long * log_uniform(rng, 1.0, 8.0)
    x = clean + long + sigma * noise
    if rng.random() < 0.35:  # neuropil: slow and fast common fluctuations, some of it subtracted too much
        walk = lfilter([1.0], [1, -np.exp(-1 / (rng.uniform(0.3, 4) * fs))], rng.normal(size=n + 200))[200:]
        x = x + rng.normal() * 0.6 * walk / max(walk.std(), 1e-9)
    if rng.random() < 0.35:
        x = x + rng.uniform(0, 1.5) * drift(rng, n)
    if rng.random() < (0.3 if silent else 0.1):  # movement, mostly out of focus
        for at in rng.integers(n, size=rng.integers(1, 5)):
            down = -1.0 if rng.random() < 0.75 else 1.0
            x[at : at + int(log_uniform(rng, 0.05, 1.5) * fs) + 1] += down * log_uniform(rng, 0.5, 4)
    crop = at_rate(x * height, (clean + long) * height, times, fs, factor)
    if onset is not None:  # an event of its own; how many spikes lie beneath is not known
        crop.spikes = None
        crop.time = np.sort(np.append(crop.time, onset * rate))
        nan = np.full(len(crop.time), np.nan)
        crop.amplitude, crop.rise, crop.decay = nan, nan, nan
        crop.klass = np.full(len(crop.time), CALCIUM)
    return crop


def at_rate(
    x: NDArray[np.float64],
    clean: NDArray[np.float64] | None,
    times: NDArray[np.float64],
    fs: float,
    factor: int,
) -> Crop:
    """Interpolate a trace to the network's rate and label it with spikes (s from its start)."""
    rate = fs * factor
    grid = np.arange(LENGTH) / factor
    old = np.arange(len(x))
    position = times * rate
    spikes = np.bincount(np.clip(position.astype(int), 0, LENGTH - 1), minlength=LENGTH)[:LENGTH]
    first = groups(times) * rate
    n = len(first)
    return Crop(
        np.interp(grid, old, x).astype(np.float32),
        rate,
        "dF/F",
        "calcium",
        first,
        np.full(n, np.nan),
        np.full(n, np.nan),
        np.full(n, np.nan),
        np.full(n, CALCIUM),
        clean=None if clean is None else np.interp(grid, old, clean).astype(np.float32),
        spikes=spikes.astype(np.float32),
        faults=None,
    )
