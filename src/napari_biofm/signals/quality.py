"""How good a recording is: noise, hum, drift, access resistance, saturation, dropouts, a wrong unit.

scipy is imported where it is used: loading it takes longer than opening the dock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.access import recording_access, recording_pulses
from napari_biofm.signals.membrane import MembraneTest
from napari_biofm.signals.plausible import UnitHint, unit_hint
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.units import si_unit

Values = NDArray[np.float32]
_LOOK = 2_000_000  # samples of a sweep that are looked at; more would not change the numbers


@dataclass(frozen=True)
class Hum:
    """Mains interference: `frequency` Hz, `rms` in the trace's unit (harmonics included), share of noise."""

    frequency: float
    rms: float
    share: float


@dataclass(frozen=True)
class Flags:
    """Stretches where the trace cannot be believed, as (n, 2) first and one-past-last sample."""

    saturated: NDArray[np.int64]
    dropouts: NDArray[np.int64]


@dataclass(frozen=True)
class Quality:
    """All of it for one channel of one sweep; numbers in the channel's unit unless named otherwise.

    Attributes
    ----------
    access : from the chosen test pulse.
    pulses : start (s) and step (V) of each test pulse there is.
    """

    unit: str
    noise_rms: float
    hum: Hum
    drift_per_s: float
    mean: float
    flags: Flags
    access: MembraneTest | None
    pulses: tuple[tuple[float, float], ...]
    unit_hint: UnitHint | None


def assess(recording: Recording, sweep: int, channel: int, pulse: int = 0) -> Quality:
    """Measure the quality of one channel of one sweep (its first two million samples).

    Parameters
    ----------
    pulse : test pulse that access resistance is taken from, see `access.recording_access`.
    """
    about = recording.channels[channel]
    n = min(recording.n_samples(sweep, channel), _LOOK)
    values = recording.values(sweep, channel, 0, n)
    return Quality(
        unit=about.unit,
        noise_rms=noise_rms(values, about.sampling_rate),
        hum=hum(values, about.sampling_rate),
        drift_per_s=drift(values, about.sampling_rate),
        mean=float(np.nanmean(values)) if np.isfinite(values).any() else float("nan"),
        flags=find_flags(recording.raw(sweep, channel, 0, n), about.sampling_rate),
        access=recording_access(recording, sweep, channel, pulse),
        pulses=tuple(
            (p.start / about.sampling_rate, p.size * si_unit(p.unit)[1])
            for p in recording_pulses(recording, sweep, channel)
        ),
        unit_hint=unit_hint(recording, channel),
    )


def report(
    recording: Recording, sweep: int, channel: int, pulse: int = 0
) -> tuple[Quality, NDArray[np.float64], NDArray[np.float64]]:
    """Return `assess` and the power spectrum (Hz, unit^2/Hz) of one channel of one sweep."""
    about = recording.channels[channel]
    values = recording.values(sweep, channel, 0, min(recording.n_samples(sweep, channel), _LOOK))
    return assess(recording, sweep, channel, pulse), *spectrum(values, about.sampling_rate)


def noise_rms(values: Values, sampling_rate: float) -> float:
    """Return the RMS around a straight line in the quietest quarter of windows of 50 ms.

    Events and steps live in the other windows, so that the number is of the noise alone.
    """
    from scipy import signal as sps

    size = max(int(0.05 * sampling_rate), 16)
    finite = values[np.isfinite(values)].astype(np.float64)
    n = len(finite) // size
    if n == 0:
        return float(finite.std()) if finite.size else float("nan")
    deviation = sps.detrend(finite[: n * size].reshape(n, size), axis=1).std(axis=1)
    return float(np.median(np.sort(deviation)[: max(n // 4, 1)]))


def spectrum(values: Values, sampling_rate: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return frequencies (Hz) and one-sided power density (unit^2/Hz), Welch's method, 1 Hz or coarser."""
    from scipy import signal as sps

    finite = values[np.isfinite(values)]
    if finite.size < 8:
        return np.zeros(0), np.zeros(0)
    size = int(min(len(finite), max(sampling_rate, 256), 1 << 17))
    frequencies, power = sps.welch(finite.astype(np.float64), sampling_rate, nperseg=size)
    return frequencies, power


def hum(values: Values, sampling_rate: float) -> Hum:
    """Return the stronger of 50 and 60 Hz with its first five multiples, over the floor beside them."""
    from scipy import signal as sps

    best = Hum(50.0, 0.0, 0.0)
    finite = values[np.isfinite(values)].astype(np.float64)
    if sampling_rate < 130 or finite.size < sampling_rate / 2:
        return best
    size = int(min(len(finite), 2 * sampling_rate))
    frequencies, power = sps.welch(sps.detrend(finite), sampling_rate, nperseg=size, window="hann")
    width = frequencies[1]
    total = float(power[frequencies > 5].sum() * width) or 1.0
    for mains in (50.0, 60.0):
        excess = 0.0
        for k in range(1, 6):
            if k * mains + 10 >= sampling_rate / 2:
                break
            near = np.abs(frequencies - k * mains) <= 1.6 * width
            beside = (np.abs(frequencies - k * mains) <= 8) & (np.abs(frequencies - k * mains) > 2.5 * width)
            floor = float(np.median(power[beside])) if beside.any() else 0.0
            excess += max(float((power[near] - 2 * floor).sum() * width), 0.0)
        if np.sqrt(excess) > best.rms:
            best = Hum(mains, float(np.sqrt(excess)), min(excess / total, 1.0))
    return best


def drift(values: Values, sampling_rate: float) -> float:
    """Return the slow change in units per second: Theil's slope through the medians of ten pieces."""
    pieces = [p for p in np.array_split(values, 10) if np.isfinite(p).any()]
    if len(values) < 20 or len(pieces) < 3:
        return 0.0
    medians = np.array([np.nanmedian(p) for p in pieces], np.float64)
    i, j = np.triu_indices(len(medians), 1)
    return float(np.median((medians[j] - medians[i]) / ((j - i) * len(values) / 10 / sampling_rate)))


def find_flags(raw: NDArray[Any], sampling_rate: float) -> Flags:
    """Find samples stuck at the converter's end or at the trace's own extreme, and flat or missing ones."""
    if raw.size == 0:
        empty = np.zeros((0, 2), np.int64)
        return Flags(empty, empty)
    low, high = np.nanmin(raw), np.nanmax(raw)
    integer = raw.dtype.kind in "iu"
    stuck = np.zeros(len(raw), bool)
    if high > low:
        stuck = (raw == high) | (raw == low)
    saturated = _runs(stuck, 3 if integer and (high >= 32760 or low <= -32760) else 8)
    missing = np.zeros(len(raw), bool) if integer else ~np.isfinite(raw)
    same = np.concatenate([[False], raw[1:] == raw[:-1]])
    flat = (
        _runs(same, max(int(0.02 * sampling_rate), 32)) if sampling_rate > 200 else np.zeros((0, 2), np.int64)
    )
    if high > low and len(saturated) and len(flat):
        flat = flat[~np.isin(flat[:, 0], saturated[:, 0] + 1)]
    gaps = _runs(missing, 1)
    return Flags(saturated, np.concatenate([flat, gaps]))


def _runs(mask: NDArray[np.bool_], shortest: int) -> NDArray[np.int64]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8))).reshape(-1, 2)
    kept: NDArray[np.int64] = edges[edges[:, 1] - edges[:, 0] >= shortest].astype(np.int64)
    return kept
