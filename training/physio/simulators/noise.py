"""Noise as recordings have it, and the faults that users bring.

Ranges: background spectra of patch recordings fall as 1/f^a (a 0.5 to 2) onto a white floor that rises as
f^2 near the bandwidth (Sigworth 1995, in Single-Channel Recording, electronic design; Benndorf 1995, ibid.)
under a 4- or 8-pole Bessel filter at 1 to 10 kHz; mains hum at 50 or 60 Hz with odd harmonics; slow drift
of tens of pA or mV per minute; seal steps; clipping at the converter's range; 12- or 16-bit quantisation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .crop import LENGTH, log_uniform


def coloured(
    rng: np.random.Generator, n: int = LENGTH, spectra: NDArray[Any] | None = None
) -> NDArray[np.float64]:
    """Return (n,) noise of unit standard deviation.

    Parameters
    ----------
    spectra : (k, m) square roots of measured power spectra from 0 to the Nyquist frequency, or None.
        A third of the draws takes its spectrum from there.
    """
    m = 2 * n  # twice the length: the ends do not meet
    f = np.arange(1, m // 2 + 1) / (m / 2)  # of Nyquist
    if spectra is not None and len(spectra) and rng.random() < 0.33:
        row = spectra[rng.integers(len(spectra))]
        shape = np.interp(f * rng.uniform(0.6, 1.0), np.linspace(0, 1, len(row)), row)
    else:
        corner = log_uniform(rng, 1e-3, 0.5)
        power = 1.0 + rng.choice([0.0, 1.0]) * (corner / f) ** rng.uniform(0.5, 2.0)
        if rng.random() < 0.3:
            power += log_uniform(rng, 0.3, 10.0) * f**2
        if rng.random() < 0.3:
            power += log_uniform(rng, 1.0, 100.0) / (1 + (f / log_uniform(rng, 0.005, 0.2)) ** 2)
        shape = np.sqrt(np.minimum(power, 1e5))
    if rng.random() < 0.6:
        shape = shape / (1 + (f / rng.uniform(0.15, 1.0)) ** int(rng.choice([2, 4, 8]))) ** 0.5
    spectrum = np.empty(m // 2 + 1, np.complex64)
    spectrum[0] = 0
    z = rng.standard_normal((2, m // 2), dtype=np.float32)
    spectrum[1:] = (z[0] + 1j * z[1]) * shape
    x = np.fft.irfft(spectrum)[:n]
    return np.asarray(x / max(x.std(), 1e-12))


def restless(rng: np.random.Generator, sampling_rate: float, n: int = LENGTH) -> NDArray[np.float64]:
    """Return (n,) noise of unit standard deviation as recordings without events have it, of one of seven sorts.

    White, smoothed white, 1/f, a slow common fluctuation, shot noise, a mixture with hum, coloured by `coloured`.
    """
    how, white = rng.integers(7), rng.normal(size=n)
    x: NDArray[Any]
    if how == 0:
        x = white
    elif how == 1:
        from scipy.ndimage import gaussian_filter1d

        x = gaussian_filter1d(white, log_uniform(rng, 0.4, 12.0), mode="wrap")
    elif how == 2:
        f = np.maximum(np.arange(n // 2 + 1), 1.0)
        x = np.fft.irfft(np.fft.rfft(white) * f ** -rng.uniform(0.25, 1.0), n)
    elif how == 3:
        from scipy.signal import lfilter

        slow = lfilter([1.0], [1, -np.exp(-1 / log_uniform(rng, 2, 300))], rng.normal(size=n + 1000))[1000:]
        x = white + rng.uniform(0.2, 2.0) * slow / max(slow.std(), 1e-9)
    elif how == 4:
        mean = log_uniform(rng, 1.0, 60.0)
        x = rng.poisson(mean, n) - mean
    elif how == 5:
        x = white + rng.uniform(0.3, 2.0) * hum(rng, sampling_rate, n)
    else:
        x = coloured(rng, n)
    return np.asarray((x - x.mean()) / max(x.std(), 1e-12))


def hum(rng: np.random.Generator, sampling_rate: float, n: int = LENGTH) -> NDArray[np.float64]:
    """Return (n,) mains hum of amplitude one, 50 or 60 Hz with harmonics."""
    t = np.arange(n) / sampling_rate
    base = rng.choice([50.0, 60.0])
    out = np.zeros(n)
    for k, weight in ((1, 1.0), (2, 0.2), (3, 0.5), (5, 0.3), (7, 0.2)):
        if k == 1 or rng.random() < 0.4:
            out += weight * rng.uniform(0.3, 1) * np.sin(2 * np.pi * (k * base * t + rng.random()))
    return out


def drift(rng: np.random.Generator, n: int = LENGTH) -> NDArray[np.float64]:
    """Return (n,) slow drift within about -1 to 1: a line, a slow sine or a slow random walk."""
    u = np.linspace(0, 1, n)
    how = rng.integers(3)
    if how == 0:
        return (u - 0.5) * rng.uniform(-2, 2)
    if how == 1:
        return np.sin(2 * np.pi * (u * log_uniform(rng, 0.1, 4.0) + rng.random()))
    knots = np.cumsum(rng.normal(size=12))
    knots = (knots - knots.mean()) / max(np.ptp(knots), 1e-9)
    return np.interp(u, np.linspace(0, 1, 12), knots) * 2


def faults(
    rng: np.random.Generator, x: NDArray[np.float64], sampling_rate: float, sigma: float, often: float = 0.15
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Add hum, drift, steps, clipping and quantisation to a trace, each with probability `often`."""
    found = []
    if rng.random() < often:
        strength = log_uniform(rng, 0.2, 4.0)
        x = x + sigma * strength * hum(rng, sampling_rate, len(x))
        if strength > 0.7:
            found.append("hum")
    if rng.random() < 2 * often:
        x = x + sigma * log_uniform(rng, 0.5, 30.0) * drift(rng, len(x))
    if rng.random() < 0.4 * often:
        x = x + sigma * rng.normal() * 6 * (np.arange(len(x)) > rng.integers(len(x)))
    if rng.random() < 0.3 * often:
        low, high = np.quantile(x, [rng.uniform(0, 0.05), rng.uniform(0.95, 1.0)])
        if high > low:
            x = np.clip(x, low, high)
            found.append("clipping")
    if rng.random() < often:
        quantum = sigma * log_uniform(rng, 0.05, 0.8)
        x = np.round(x / quantum) * quantum
    return x, tuple(found)
