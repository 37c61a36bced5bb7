"""What a detector would say of simulated synaptic events."""

from __future__ import annotations

import numpy as np

from napari_biofm.simulate.synaptic import SynapticTrace
from napari_biofm.types import MEASURED_DTYPE, Events, Trace


def trace_of(truth: SynapticTrace, unit: str = "pA") -> Trace:
    """Return the trace as detectors see it."""
    return Trace(truth.values, truth.sampling_rate, unit)


def marked(truth: SynapticTrace, late_s: float = 0.0) -> Events:
    """Return the times, off by `late_s`, and sizes that were guessed."""
    events = np.zeros(len(truth.peak_s), MEASURED_DTYPE)
    events["time_s"], events["class"] = truth.peak_s + late_s, "PSC"
    events["unit"], events["score"] = "pA", 0.9
    events["amplitude"] = 0.4 * truth.amplitude
    events["rise_s"] = events["decay_s"] = 0.026
    return events
