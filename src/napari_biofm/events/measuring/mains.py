"""Hum of 50 or 60 Hz: found beside the events of a trace, so that these are measured without it."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.events.measuring.bins import Bins, Floats
from napari_biofm.events.measuring.shapes import Shapes, in_bins

_MAINS = (50.0, 60.0)
_HARMONICS = (1, 2, 3, 5)
_BESIDE = (-11.0, -7.0, -3.5, 3.5, 7.0, 11.0)  # Hz from a line, where there is no line
_SPAN_S = 1.0  # over which amplitude and phase are taken as steady
_SHORTEST_S = 0.25
_CLEAR = 12.0  # power of a line over that beside it
_LONGEST = 60.0  # s looked at to tell whether there is a line


def hum(values: NDArray[Any], sampling_rate: float, events: NDArray[Any] | float = 0.0) -> Floats | None:
    """Return the hum of a trace, (n_samples,), or None where there is none.

    Amplitude and phase follow the trace within a second, each harmonic by itself where it stands out.

    Parameters
    ----------
    values : (n_samples,); what is not finite counts as missing.
    sampling_rate : Hz.
    events : (n_samples,) what is known of the trace; it is taken away first.
    """
    if len(values) < max(64, _SHORTEST_S * sampling_rate):
        return None
    rest = np.asarray(values, np.float64) - events
    good = np.isfinite(rest)
    if good.sum() < 64:
        return None
    middle = np.median(rest[good][:: max(1, int(good.sum()) // 100_000)])
    spread = 1.4826 * np.median(np.abs(rest[good][:: max(1, int(good.sum()) // 100_000)] - middle))
    rest = np.clip(np.where(good, rest - middle, 0.0), -5 * spread, 5 * spread)
    power, size = _powers(rest[: int(_LONGEST * sampling_rate)], sampling_rate)
    lines = [
        [
            m * k
            for k in _HARMONICS
            if m * k < 0.4 * sampling_rate and _stands_out(power, size / sampling_rate, m * k)
        ]
        for m in _MAINS
    ]
    found = max(lines, key=len)
    if not found:
        return None
    out = np.zeros(len(rest))
    weight = _twice(good.astype(np.float64), size)
    for frequency in found:
        turn = np.exp(-2j * np.pi * frequency / sampling_rate * np.arange(len(rest)))
        parts = rest * turn
        level = (_twice(parts.real, size) + 1j * _twice(parts.imag, size)) / np.maximum(weight, 1e-9)
        out += 2 * (level * np.conj(turn)).real
    return out


def _twice(values: Floats, size: int) -> Floats:
    half = max(1, size // 2)
    once = scipy.ndimage.uniform_filter1d(values, half, mode="constant")
    return np.asarray(scipy.ndimage.uniform_filter1d(once, half, mode="constant"))


def _powers(rest: Floats, sampling_rate: float) -> tuple[Floats, int]:
    """Return the mean power of each frequency over stretches of up to a second, and the samples of one."""
    size = int(min(_SPAN_S * sampling_rate, len(rest)))
    rows = rest[: len(rest) // size * size].reshape(-1, size) * np.hanning(size)
    return np.asarray(np.mean(np.abs(np.fft.rfft(rows, axis=1)) ** 2, axis=0)), size


def _stands_out(power: Floats, seconds: float, frequency: float) -> bool:
    """Return whether a frequency has more power than those beside it."""
    at, *beside = (
        power[min(round((frequency + shift) * seconds), len(power) - 1)] for shift in (0.0, *_BESIDE)
    )
    return bool(at > _CLEAR * max(float(np.median(beside)), 1e-300))


def course_of(shapes: Shapes, n: int) -> Floats:
    """Return the trace, (n,), that fitted events make without their baselines."""
    out = np.zeros(n)
    first = np.floor(np.clip(shapes.onset - 4 * shapes.smooth - 1, 0, n)).astype(int)
    last = np.ceil(np.clip(shapes.onset + shapes.to_peak + 8 * shapes.length, 0, n)).astype(int)
    for k in np.flatnonzero((shapes.sign != 0) & (last > first)):
        at = np.arange(first[k], last[k], dtype=np.float64)[None]
        bins = Bins(0 * at, np.ones_like(at), at, 0 * at)
        out[first[k] : last[k]] += in_bins(shapes.take(np.array([k])), bins)[0]
    return out
