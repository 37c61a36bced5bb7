"""Small traces with known events."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events import make_detector
from napari_biofm.events.evaluation import match_events
from napari_biofm.types import DetectionSettings, Events, Kind, Preset, Trace, run_task

FS = 20_000.0
Floats = NDArray[np.float64]


def detect(
    name: str,
    values: Any,
    fs: float,
    unit: str,
    kind: Kind = "auto",
    *,
    preset: Preset = "balanced",
    all_scores: bool = False,
    **options: float,
) -> Events:
    """Run one detector on one trace."""
    signal = Trace(np.asarray(values, np.float32), fs, unit)
    return run_task(make_detector(name).detect(signal, DetectionSettings(kind, preset, all_scores, options)))


def real(events: Events) -> Events:
    """Leave out what a detector calls an artefact."""
    return events[~np.isin(events["class"], ("artefact", "rejected"))]


def f1(truth: Floats, found: Floats, tolerance: float) -> float:
    """Match each found event to the nearest free true event."""
    hit = match_events(truth, found, np.zeros(len(found)), tolerance)
    return 2 * int(hit.sum()) / max(1, len(truth) + len(found))


def synaptic(
    rng: np.random.Generator,
    n_events: int,
    duration: float,
    snr: float,
    decay: float = 5e-3,
    sign: float = -1.0,
) -> tuple[Floats, Floats]:
    """Return a trace (pA, noise of 2 pA) and peak times; events of one size, `snr` times the noise."""
    n = round(duration * FS)
    t = np.arange(round(8 * decay * FS)) / FS
    wave = (1 - np.exp(-t / 0.4e-3)) * np.exp(-t / decay)
    wave /= wave.max()
    starts = np.sort(rng.choice(np.arange(1000, n - 2000, 700), n_events, replace=False))
    values = rng.normal(0, 2, n)
    for start in starts:
        values[start : start + len(wave)] += sign * 2 * snr * wave[: n - start]
    return values, (starts + np.argmax(wave)) / FS


def extracellular(
    rng: np.random.Generator, n_spikes: int, duration: float, snr: float
) -> tuple[Floats, Floats]:
    """Return a trace (uV, noise of 10 uV, a slow field) and trough times."""
    n = round(duration * FS)
    t = np.arange(-20, 40) / FS * 1e3
    wave = -np.exp(-((t / 0.12) ** 2)) + 0.4 * np.exp(-(((t - 0.5) / 0.3) ** 2))
    starts = np.sort(rng.choice(np.arange(200, n - 200, 80), n_spikes, replace=False))
    values = rng.normal(0, 10, n) + 100 * np.sin(np.arange(n) / FS * 2 * np.pi * 7)
    for start in starts:
        values[start : start + len(t)] += 10 * snr * wave
    return values, (starts + 20) / FS


def heart(rng: np.random.Generator, duration: float, fs: float, noise: float = 0.05) -> tuple[Floats, Floats]:
    """Return an ECG-like trace (mV) and R peaks, 70 beats per minute with 4 % variation."""
    beats = 0.5 + np.cumsum(rng.normal(0.857, 0.034, int(duration)))
    beats = beats[beats < duration - 0.5]
    t = np.arange(round(duration * fs)) / fs
    values = rng.normal(0, noise, len(t)) + 0.2 * np.sin(2 * np.pi * 0.25 * t)
    waves = (
        (-0.17, 0.025, 0.12),
        (-0.025, 0.01, -0.1),
        (0, 0.011, 1.0),
        (0.03, 0.012, -0.2),
        (0.3, 0.05, 0.3),
    )
    for beat in beats:
        for delay, width, size in waves:
            values += size * np.exp(-(((t - beat - delay) / width) ** 2))
    return values, beats


def calcium(
    rng: np.random.Generator, n_spikes: int, duration: float, fs: float, noise: float = 0.05
) -> tuple[Floats, Floats]:
    """Return dF/F of spikes at least 0.4 s apart, of size 0.3 and 0.6 s decay, and their times."""
    slots = rng.choice(np.arange(2.0, duration - 3, 0.6), n_spikes, replace=False)
    spikes = np.sort(slots) + rng.uniform(0, 0.2, n_spikes)
    t = np.arange(round(duration * fs)) / fs
    values = rng.normal(0, noise, len(t))
    for spike in spikes:
        late = np.clip(t - spike, 0, None)
        values += 0.3 * np.exp(-late / 0.6) * (1 - np.exp(-late / 0.02))
    return values, spikes


def channel(
    rng: np.random.Generator, duration: float, n_channels: int = 1, noise: float = 0.2, step: float = 2.0
) -> tuple[Floats, NDArray[np.int64]]:
    """Return a patch current (pA), mean open 10 ms and closed 25 ms, and the open channels per sample."""
    n = round(duration * FS)
    count = np.zeros(n, np.int64)
    for _ in range(n_channels):
        at, is_open = 0, False
        while at < n:
            dwell = 1 + int(rng.exponential(0.01 if is_open else 0.025) * FS)
            count[at : at + dwell] += is_open
            at, is_open = at + dwell, not is_open
    return step * count + rng.normal(0, noise, n), count
