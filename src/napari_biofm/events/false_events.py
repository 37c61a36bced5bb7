"""False events: found in the noise of a recording, and upside down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.gaps import filled
from napari_biofm.events.kinds import KindSpec
from napari_biofm.events.searched import SEED, Floats, SearchedSweep, times_found
from napari_biofm.types import DetectionSettings, Detector, Task, relay


def false_rates(
    places: Sequence[SearchedSweep], finder: Detector, settings: DetectionSettings, spec: KindSpec | None
) -> Task[tuple[float, float]]:
    """Return false events per minute without events, and upside down."""
    one_way = spec is not None and spec.name in ("ap", "calcium")
    counts, minutes = np.zeros(2), 0.0
    for i, place in enumerate(places):
        x, fs = place.signal.values, place.signal.sampling_rate
        minutes += len(x) / fs / 60
        bare = replace(place.signal, values=event_free(x, place.found_s, fs, spec))
        versions = [bare]
        if one_way:
            middle = np.float32(2 * np.nanmedian(x)) if np.isfinite(x).any() else np.float32(0)
            versions.append(replace(place.signal, values=(middle - x).astype(np.float32)))
        for k, version in enumerate(versions):
            times = yield from relay(times_found(finder, version, settings), i, len(places), "false events")
            counts[k] += len(times)
    rates = counts / max(minutes, 1e-9)
    return float(rates[0]), float(rates[1]) if one_way else float("nan")


def event_free(
    x: NDArray[np.float32], found_s: Floats, fs: float, spec: KindSpec | None
) -> NDArray[np.float32]:
    """Return a trace with the spectrum of a recording's noise: events cut out and filled from beside, phases random.

    Parameters
    ----------
    x : (n,) trace; NaN marks gaps. found_s : (m,) s, events. spec : their kind.
    """
    length = spec.event_s if spec is not None else 0.01
    gap = ~np.isfinite(x)
    for t in found_s:
        at = round(t * fs)
        gap[max(0, at - round(length * fs)) : at + max(3, round(4 * length * fs))] = True
    if gap.all() or len(x) < 16:
        return np.zeros(len(x), np.float32)
    y = filled(np.where(gap, np.float32(0), x).astype(np.float64), gap)
    line = np.linspace(np.median(y[: max(1, len(y) // 20)]), np.median(y[-max(1, len(y) // 20) :]), len(y))
    spectrum = np.fft.rfft(y - line)
    phase = np.exp(2j * np.pi * np.random.default_rng(SEED).random(len(spectrum)))
    return np.asarray(np.fft.irfft(spectrum * phase, len(y)) + line, np.float32)
