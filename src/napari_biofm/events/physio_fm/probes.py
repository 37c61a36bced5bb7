"""Simulated recordings with known events, one or two per kind: what a taught head is asked about afterwards.

They are small and fixed: the same on every machine, and no part of what the network was trained on.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from napari_biofm.simulate import PatchTrace, calcium_traces, current_clamp, spike_trains, voltage_clamp
from napari_biofm.types import Trace

Floats = NDArray[np.float64]
Probe = tuple[Trace, Floats]

SECONDS = 3.0  # of each fast probe: long enough to count, short beside a fit
GROUP = 0.15  # s, spikes closer than this to the one before are one calcium event


def built_in_probes(kind: str) -> list[Probe]:
    """Return simulated recordings of a kind and the times (s) of their events; none for other kinds."""
    makers: dict[str, Callable[[], list[Probe]]] = {
        "psc": _currents, "ap": _action_potentials, "spike": _units, "calcium": _fluorescence, "ecg": _heart,
    }  # fmt: skip
    return makers[kind]() if kind in makers else []


def _patched(made: PatchTrace) -> Probe:
    return Trace(made.values.astype(np.float32), made.sampling_rate, made.unit), made.event_times


def _currents() -> list[Probe]:
    return [
        _patched(voltage_clamp(SECONDS, 10_000.0, 5.0, share, 1.5, seed=seed))
        for seed, share in ((1, 0.0), (2, 1.0))
    ]


def _action_potentials() -> list[Probe]:
    return [_patched(current_clamp(np.arange(0.15, SECONDS, 0.21), SECONDS, 20_000.0, seed=3))]


def _units() -> list[Probe]:
    """One unit of 80 uV over 12 uV of noise, a trough 0.3 ms wide (Henze et al. 2000 J Neurophysiol 84:390)."""
    fs, rng = 24_000.0, np.random.default_rng(4)
    t = np.arange(-0.001, 0.002, 1 / fs)
    wave = -80 * np.exp(-0.5 * (t / 0.13e-3) ** 2) + 25 * np.exp(-0.5 * ((t - 0.55e-3) / 0.25e-3) ** 2)
    x = 12 * rng.normal(size=round(SECONDS * fs))
    first = np.cumsum(rng.integers(round(0.02 * fs), round(0.12 * fs), 60))
    first = first[first < len(x) - len(t)]
    for a in first:
        x[a : a + len(t)] += wave
    return [(Trace(x.astype(np.float32), fs, "uV"), (first + np.argmin(wave)) / fs)]


def _fluorescence() -> list[Probe]:
    """Two cells of 60 s with GCaMP6f at 30 Hz, noise of 4 % dF/F; an event is the first spike of a group."""
    frames = np.arange(0, 60.0, 1 / 30)
    trains = spike_trains(2, 60.0, seed=5)
    noise = 0.04 * np.random.default_rng(5).normal(size=(2, len(frames)))
    out = []
    for row, spikes in zip(calcium_traces(trains, frames) + noise, trains, strict=True):
        truth = spikes[np.diff(spikes, prepend=-np.inf) > GROUP]
        out.append((Trace(row.astype(np.float32), 30.0, "dF/F"), truth))
    return out


def _heart() -> list[Probe]:
    """Half a minute of sinus rhythm: waves as sums of Gaussians (McSharry et al. 2003 IEEE Trans Biomed Eng 50:289)."""
    fs, rng = 300.0, np.random.default_rng(6)
    at = np.cumsum(0.85 * (1 + 0.04 * rng.normal(size=33)))
    t = np.arange(round(30 * fs)) / fs
    x = 0.05 * rng.normal(size=len(t)) + 0.1 * np.sin(2 * np.pi * 0.25 * t)
    for height, delay, width in (
        (0.12, -0.16, 0.022),
        (1.0, 0.0, 0.011),
        (-0.25, 0.03, 0.012),
        (0.25, 0.27, 0.05),
    ):
        x += height * np.exp(-0.5 * ((t[:, None] - at - delay) / width) ** 2).sum(1)
    return [(Trace(x.astype(np.float32), fs, "mV"), at[at < t[-1]])]
