"""The dV/dt rule: an action potential is where the membrane depolarises faster than 20 mV/ms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.classical.ap import ApDetector, Found
from napari_biofm.events.classical.common import (
    Floats,
    Indices,
    Samples,
    criterion_at,
    lowest_score,
    thin,
)
from napari_biofm.events.classical.kinetics import highest, windows
from napari_biofm.events.options import option_values
from napari_biofm.types import DetectionSettings, Option, Progress, Task


class SlopeDetector(ApDetector):
    """Upward crossings of a slope, followed by a peak (customary 20 mV/ms, as in many AP analyses).

    The slope is the central difference over two samples or 0.1 ms, whichever is longer. A peak must come
    within 5 ms and be 5 mV above the crossing. The criterion is the steepest slope.
    """

    name = "dvdt"
    options: Sequence[Option] = (
        Option(
            "slope", "mV/ms", 0.01, 10_000, 20.0, "Slope that the upstroke of an action potential exceeds."
        ),
        Option("refractory_s", "s", 0, 1, 1e-3, "Shortest time between two action potentials."),
    )

    def find(self, volts: Samples, fs: float, settings: DetectionSettings) -> Task[Found]:
        chosen = option_values(self, settings)
        customary = chosen["slope"]
        slope = slope_mv_per_ms(volts, fs)
        yield Progress(1, 2, "slopes")
        floor = criterion_at(lowest_score(settings), customary)
        cross = np.flatnonzero((slope[1:] >= floor) & (slope[:-1] < floor)) + 1
        peak = highest(volts, cross, round(5e-3 * fs) + 1, 1.0)
        peak, cross = _one_each(volts, peak, cross)
        steepest = _steepest(slope, cross, peak)
        keep = thin(peak, steepest, max(1, round(chosen["refractory_s"] * fs)))
        return Found(volts, peak[keep], steepest[keep], customary)


def slope_mv_per_ms(volts: NDArray[np.floating[Any]], sampling_rate: float) -> Samples:
    """Return (n_samples,) dV/dt in mV/ms over two samples or 0.1 ms, whichever is longer."""
    half = max(1, round(0.05e-3 * sampling_rate))
    padded = np.pad(volts, half, mode="edge")
    return np.asarray((padded[2 * half :] - padded[: -2 * half]) * (sampling_rate / (2e3 * half)), np.float32)


def _one_each(volts: Samples, peak: Indices, cross: Indices) -> tuple[Indices, Indices]:
    """Keep the first crossing of each peak, and peaks that rise 5 mV above it."""
    peak, first = np.unique(peak, return_index=True)
    cross = cross[first]
    high = volts[peak] - volts[cross] > 5.0
    return peak[high], cross[high]


def _steepest(slope: Samples, cross: Indices, peak: Indices) -> Floats:
    """Return the largest slope between each crossing and its peak."""
    if not len(peak):
        return np.zeros(0)
    length = int(np.max(peak - cross)) + 1
    piece = windows(slope, cross, length)
    piece[np.arange(length) > (peak - cross)[:, None]] = -np.inf
    return np.asarray(piece.max(axis=1))
