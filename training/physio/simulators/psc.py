"""Voltage clamp: miniature, spontaneous and evoked postsynaptic currents.

Ranges: mEPSC rise 0.2 to 1 ms, decay 1.5 to 8 ms, 5 to 60 pA (Bekkers & Stevens 1996 J Neurosci 16:4; Jonas
et al. 1993 J Physiol 472:615); mIPSC rise 0.5 to 2 ms, decay 8 to 30 ms (Edwards et al. 1990 J Physiol
430:213; Mody & Pearce 2004 TINS 27:569); slow currents (NMDA, GABA-B, GABA-A of neurogliaform cells) rise 2 to 10
ms, decay 35 to 160 ms (Szabadics et al. 2007 Eur J Neurosci 25:3713); 0.2 to 40 Hz; amplitude CV 0.3 to 0.8;
evoked trains 5 to 100 Hz with short-term plasticity (Zucker & Regehr 2002); capacitive transients 0.1 to 5 ms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .crop import LENGTH, Crop, add_at, log_uniform
from .noise import coloured, faults, restless

EPSC, IPSC = 1, 2
Noise = Callable[[np.random.Generator, float], tuple[NDArray[Any], list[Any]]]
SILENT = 0.18  # of the windows hold no event


def waveform(
    rise: float, decay: float, sampling_rate: float, slow: float = 0.0, power: float = 1.0
) -> tuple[NDArray[np.float64], int]:
    """Return a current of peak one and the index of its peak.

    Parameters
    ----------
    rise, decay : time constants, s.
    slow : fraction of a second decay four times as slow.
    """
    t = np.arange(int(min(7 * decay * (1 + 2 * slow), 0.8) * sampling_rate) + 4) / sampling_rate
    fall = (1 - slow) * np.exp(-t / decay) + slow * np.exp(-t / (4 * decay))
    wave = (1 - np.exp(-t / rise)) ** power * fall
    peak = int(np.argmax(wave))
    return wave / wave[peak], peak


def families_of(rng: np.random.Generator, slow: bool) -> list[tuple[bool, float, float, float, float]]:
    """Return one or two families of currents: inhibitory, rise and decay (s), slow part, direction."""
    sign = rng.choice([-1.0, 1.0])
    found = []
    for inhibitory in ([False], [True], [False, True])[rng.choice(3, p=[0.6, 0.27, 0.13])]:
        if slow:
            rise, decay = log_uniform(rng, 1e-3, 5e-3), log_uniform(rng, 0.03, 0.16)
        elif inhibitory:
            rise, decay = log_uniform(rng, 0.25e-3, 1.0e-3), log_uniform(rng, 6e-3, 35e-3)
        else:
            rise, decay = log_uniform(rng, 0.08e-3, 0.6e-3), log_uniform(rng, 1.2e-3, 9e-3)
        found.append((inhibitory or slow, rise, decay, rng.uniform(0, 0.4) * (rng.random() < 0.3), sign))
        sign = -sign
    return found


def draw_psc(
    rng: np.random.Generator, spectra: NDArray[Any] | None = None, background: Noise | None = None
) -> Crop:
    """Draw one window of a voltage-clamp recording.

    Parameters
    ----------
    spectra : measured noise spectra. background : draws noise of real recordings; nearly half of the windows have it.
    """
    fs = log_uniform(rng, 3500, 14500) if rng.random() < 0.85 else log_uniform(rng, 2000, 26000)
    slow = rng.random() < 0.12
    if slow:
        fs = log_uniform(rng, 2000, 6000)
    ignore: list[tuple[float, float]] = []
    silent = rng.random() < SILENT
    if background is not None and rng.random() < 0.45:
        noise, ignore = background(rng, fs)
    elif silent and rng.random() < 0.6:
        noise = restless(rng, fs)
    else:
        noise = coloured(rng, spectra=spectra)
    sigma = log_uniform(rng, 0.6, 12.0)
    trace = np.zeros(LENGTH)
    rows: list[tuple[float, float, float, float, int]] = []
    artefacts: list[float] = []
    families = families_of(rng, slow)
    snr = log_uniform(rng, 1.3, 16.0)
    spread = rng.uniform(0.15, 0.75)
    mean = 0.0 if silent else log_uniform(rng, 0.5, 14.0) * (0.3 if slow else 1.0)
    start = rng.uniform(-300, LENGTH, rng.poisson(mean * 1.15))
    if rng.random() < 0.15 and not silent:  # a burst
        gap = log_uniform(rng, 1.5e-3, 15e-3) * fs
        start = np.append(
            start, rng.uniform(0, LENGTH) + np.cumsum(rng.exponential(gap, rng.integers(3, 12)))
        )
    for s in start:
        inhibitory, rise, decay, tail, way = families[rng.integers(len(families))]
        rise *= np.exp(rng.normal() * 0.25)
        decay *= np.exp(rng.normal() * 0.25)
        height = snr * np.exp(rng.normal() * spread - spread**2 / 4)
        wave, peak = waveform(rise, decay, fs, tail, rng.choice([1.0, 1.0, 2.0]))
        at = int(np.floor(s))
        add_at(trace, way * height * sigma * wave, at)
        if 0 <= at + peak < LENGTH:
            if height < 0.6:
                ignore.append((at + peak - 16, at + peak + 16))
            else:
                k = IPSC if inhibitory else EPSC
                rows.append((at + peak, way * height * sigma, rise * 2.2, decay, k))
    if rng.random() < 0.1 and not silent:
        _evoke(rng, trace, fs, sigma, families, rows, artefacts)
    if rng.random() < 0.08:
        _step(rng, trace, fs, sigma, artefacts)
    x, found = faults(rng, trace + sigma * noise, fs, sigma)
    return _crop(x + rng.normal() * 60, trace, fs, rows, artefacts, ignore, found)


def _evoke(
    rng: np.random.Generator,
    trace: NDArray[np.float64],
    fs: float,
    sigma: float,
    families: list[Any],
    rows: list[Any],
    artefacts: list[float],
) -> None:
    """Add a train of stimuli, each an artefact and (mostly) an evoked current."""
    every = fs / log_uniform(rng, 5, 100)
    inhibitory, rise, decay, slow, way = families[0]
    at, height = rng.uniform(0, LENGTH * 0.7), log_uniform(rng, 5, 80)
    plasticity = rng.uniform(0.7, 1.15)
    latency = rng.uniform(1e-3, 5e-3) * fs
    width = max(1, int(log_uniform(rng, 0.1e-3, 0.5e-3) * fs))
    size = log_uniform(rng, 20, 800) * sigma * rng.choice([-1, 1])
    tail = np.exp(-np.arange(60) / (log_uniform(rng, 0.05e-3, 0.6e-3) * fs))
    pulse = np.concatenate([np.ones(width), -rng.uniform(0, 1) * np.ones(width), -rng.uniform(0, 0.5) * tail])
    for _ in range(rng.integers(1, 12)):
        if at >= LENGTH:
            return
        add_at(trace, size * pulse, int(at))
        artefacts.append(float(int(at)))
        if rng.random() < 0.9:
            wave, peak = waveform(rise, decay, fs, slow)
            amplitude = way * height * sigma * np.exp(rng.normal() * 0.25)
            add_at(trace, amplitude * wave, int(at + latency))
            if int(at + latency) + peak < LENGTH:
                k = IPSC if inhibitory else EPSC
                rows.append((int(at + latency) + peak, amplitude, rise * 2.2, decay, k))
        at += every
        height *= plasticity


def _step(
    rng: np.random.Generator, trace: NDArray[np.float64], fs: float, sigma: float, artefacts: list[float]
) -> None:
    """Add a voltage step: capacitive transients at both ends, a leak current between."""
    a = int(rng.uniform(0, LENGTH))
    b = a + int(log_uniform(rng, 5e-3, 0.3) * fs)
    size = log_uniform(rng, 5, 300) * sigma * rng.choice([-1, 1])
    n = np.arange(int(0.05 * fs) + 2)
    tau = log_uniform(rng, 0.1e-3, 5e-3) * fs
    transient = np.exp(-n / tau)
    add_at(trace, np.full(b - a, size * rng.uniform(0, 0.5)), a)
    for at, way in ((a, 1.0), (b, -1.0)):
        add_at(trace, way * size * transient, at)
        if at < LENGTH:
            artefacts.append(float(at))


def _crop(
    x: NDArray[np.float64],
    trace: NDArray[np.float64],
    fs: float,
    rows: list[Any],
    artefacts: list[float],
    ignore: list[Any],
    found: tuple[str, ...],
) -> Crop:
    """Put the pieces together."""
    table = np.array(sorted(rows), float).reshape(-1, 5)
    return Crop(
        x.astype(np.float32),
        fs,
        "pA",
        "psc",
        table[:, 0],
        table[:, 1],
        table[:, 2],
        table[:, 3],
        table[:, 4].astype(np.int64),
        np.array(artefacts, float),
        np.array(ignore, float).reshape(-1, 2),
        trace.astype(np.float32),
        faults=found,
    )
