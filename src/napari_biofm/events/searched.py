"""A sweep in which a detector looks for events, and the times it finds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import DetectionSettings, Detector, Task, Trace

Floats = NDArray[np.float64]

SEED = 12  # of places and phases drawn at random


@dataclass
class SearchedSweep:
    """One sweep of the channel: its trace, and the times of the events that were found in it."""

    signal: Trace
    found_s: Floats


def times_found(finder: Detector, signal: Trace, settings: DetectionSettings) -> Task[Floats]:
    """Return the times of the events a detector finds in a trace, seconds; artefacts are left out."""
    found = yield from finder.detect(signal, settings)
    return np.asarray(found["time_s"][~np.isin(found["class"], ("artefact", "rejected"))], np.float64)
