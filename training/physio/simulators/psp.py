"""Current clamp without spikes: excitatory and inhibitory postsynaptic potentials.

Ranges: 0.2 to 15 mV, rise 0.5 to 8 ms, decay 6 to 80 ms (Markram et al. 1997 J Physiol 500:409; Magee & Cook 2000
Nat Neurosci 3:895; Williams & Stuart 2002 Science 295:1907); 0.2 to 40 Hz; noise 0.02 to 1 mV.
The network sees them as synaptic currents in a unit it does not know.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ap import action_potential, stimuli
from .crop import LENGTH, Crop, add_at, log_uniform
from .noise import coloured, drift, faults, restless
from .psc import EPSC, IPSC, SILENT, waveform


def draw_psp(rng: np.random.Generator, spectra: NDArray[Any] | None = None) -> Crop:
    """Draw one window of a membrane potential with synaptic potentials; action potentials are artefacts."""
    fs = log_uniform(rng, 2000, 12000)
    sigma = log_uniform(rng, 0.02, 1.0)
    trace, artefacts = np.zeros(LENGTH), []
    rows: list[tuple[float, float, float, float, int]] = []
    ignore: list[tuple[float, float]] = []
    snr, spread = log_uniform(rng, 1.5, 25.0), rng.uniform(0.15, 0.7)
    mean = 0.0 if rng.random() < SILENT else log_uniform(rng, 0.5, 10.0)
    kinds = ([1.0], [-1.0], [1.0, -1.0])[rng.choice(3, p=[0.65, 0.15, 0.2])]
    families = [(way, log_uniform(rng, 0.3e-3, 4e-3), log_uniform(rng, 6e-3, 0.08)) for way in kinds]
    for s in rng.uniform(-300, LENGTH, rng.poisson(mean * 1.15)):
        way, rise, decay = families[rng.integers(len(families))]
        rise, decay = rise * np.exp(rng.normal() * 0.2), decay * np.exp(rng.normal() * 0.2)
        height = snr * np.exp(rng.normal() * spread - spread**2 / 4)
        wave, peak = waveform(rise, decay, fs)
        at = int(np.floor(s))
        add_at(trace, way * height * sigma * wave, at)
        if 0 <= at + peak < LENGTH:
            if height < 0.8:
                ignore.append((at + peak - 16, at + peak + 16))
            else:
                rows.append((at + peak, way * height * sigma, rise * 2.2, decay, EPSC if way > 0 else IPSC))
    clean = trace.copy()
    if rng.random() < 0.15:
        wave, peak = action_potential(rng, fs, log_uniform(rng, 0.4e-3, 2e-3))
        for s in rng.uniform(0, LENGTH, rng.integers(1, 5)):
            add_at(trace, rng.uniform(40, 110) * wave, int(s) - peak)
            artefacts.append(float(int(s)))
    noise = restless(rng, fs) if rng.random() < 0.15 else coloured(rng, spectra=spectra)
    x = trace + sigma * noise
    if rng.random() < 0.1:
        x, more = stimuli(rng, x, fs, rows)
        artefacts += more
    if rng.random() < 0.3:
        x = x + log_uniform(rng, 0.5, 20) * sigma * drift(rng)
    x, found = faults(rng, x, fs, sigma)
    table = np.array(sorted(rows), float).reshape(-1, 5)
    return Crop(
        (x + rng.uniform(-85, -45)).astype(np.float32), fs, "mV", "psc", table[:, 0], table[:, 1], table[:, 2],
        table[:, 3], table[:, 4].astype(np.int64), np.array(artefacts, float),
        np.array(ignore, float).reshape(-1, 2), clean.astype(np.float32), faults=found,
    )  # fmt: skip
