"""One training example: a window of a trace with everything that is known about it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

LENGTH = 2048  # samples per window, at the rate the network sees


@dataclass
class Crop:
    """A window of a trace and its labels. Times are sample positions in the window (may be fractional).

    Attributes
    ----------
    x : (LENGTH,) float32 in `unit`.
    time, amplitude, rise, decay : (n,) per event; samples, `unit` (signed), seconds, seconds; NaN unknown.
    klass : (n,) index into CLASSES; -1 unknown.
    artefacts : (m,) sample positions of what looks like an event and is none.
    ignore : (k, 2) sample ranges without event labels.
    clean : (LENGTH,) trace without noise, or None.
    spikes : (LENGTH,) expected or true spike counts per sample, or None.
    labelled : events are known (False for real unlabelled traces).
    faults : names of network.FAULTS present; None where not known.
    rhythm : index into RHYTHMS or -1.
    """

    x: NDArray[np.float32]
    sampling_rate: float
    unit: str
    kind: str
    time: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    amplitude: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    rise: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    decay: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    klass: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    artefacts: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    ignore: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    clean: NDArray[np.float32] | None = None
    spikes: NDArray[np.float32] | None = None
    labelled: bool = True
    faults: tuple[str, ...] | None = ()
    rhythm: int = -1


def log_uniform(rng: np.random.Generator, low: float, high: float, size: int | None = None) -> float:
    """Draw from [low, high], uniform in the logarithm."""
    return np.exp(rng.uniform(np.log(low), np.log(high), size))  # type: ignore[return-value]


def add_at(trace: NDArray[np.float64], wave: NDArray[np.float64], start: int) -> None:
    """Add `wave` to `trace` at sample `start` (may begin before it or end after it)."""
    a, b = max(0, start), min(len(trace), start + len(wave))
    if b > a:
        trace[a:b] += wave[a - start : b - start]
