"""Traces, detectors, and tables of events. Units are SI unless a field says otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types.arrays import Events
from napari_biofm.types.tasks import Task

Kind = Literal["auto", "psc", "ap", "calcium", "channel", "spike", "ecg", "psp", "loose"]
Preset = Literal["balanced", "precise"]

EVENT_CLASSES = (
    "AP",
    "EPSC",
    "IPSC",
    "PSC",
    "EPSP",
    "IPSP",
    "PSP",
    "calcium",
    "spike",
    "R",
    "open",
    "artefact",
    "rejected",
)

# One row per event; `time_s` counts from the start of the sweep, `amplitude` is in `unit`.
EVENT_DTYPE = np.dtype(
    [
        ("sweep", np.int32),
        ("channel", np.int32),
        ("time_s", np.float64),
        ("class", "U12"),
        ("score", np.float32),
        ("amplitude", np.float64),
        ("unit", "U8"),
        ("rise_s", np.float64),
        ("decay_s", np.float64),
    ]
)


# What a detection adds to each row once the event was measured on the trace; NaN and "" where it could not be.
MEASURED_DTYPE = np.dtype(
    [
        *EVENT_DTYPE.descr,
        ("direction", "U8"),  # inward or outward for currents, up or down for the rest
        ("baseline", np.float64),  # in `unit`
        ("baseline_from", "U12"),  # "before" the event, or the "former decay" that was taken on
        ("amplitude_error", np.float64),  # standard error, in `unit`
        ("rise_10_90_s", np.float64),
        ("half_width_s", np.float64),
        ("area", np.float64),  # in `unit` times seconds
        ("decay_r2", np.float64),  # of one exponential
        ("decay_fast_s", np.float64),  # of two, where these describe the decay better
        ("decay_slow_s", np.float64),
        ("decay_fast_share", np.float64),
        ("reason", "U32"),  # why something is NaN
        ("model_amplitude", np.float64),  # what a network believes
        ("model_rise_s", np.float64),
        ("model_decay_s", np.float64),
    ]
)


def no_events() -> Events:
    """Return an empty event table."""
    return np.zeros(0, EVENT_DTYPE)


@dataclass(frozen=True)
class Trace:
    """One channel of one sweep, as detectors see it.

    Attributes
    ----------
    values : (n_samples,) float32 in `unit`; NaN marks gaps.
    sampling_rate : Hz.
    unit : unit of `values`, e.g. "pA", "mV", "dF/F".
    sweep, channel : where it comes from, counted from 0.
    holding : holding level of the other quantity in SI (V in voltage clamp), or None.
    """

    values: NDArray[np.float32]
    sampling_rate: float
    unit: str
    sweep: int = 0
    channel: int = 0
    holding: float | None = None


@dataclass(frozen=True)
class Option:
    """One number that a user may set on a detector.

    Attributes
    ----------
    name : as it is written in settings, recipes and on the command line.
    unit : of the value, "" for a pure number.
    low, high : smallest and largest value that makes sense, both included.
    default : value where none is given; None where the detector takes it from the recording.
    help : one sentence.
    """

    name: str
    unit: str
    low: float
    high: float
    default: float | None
    help: str


@dataclass(frozen=True)
class DetectionSettings:
    """What to look for and how sure to be.

    Attributes
    ----------
    kind : kind of events; "auto" lets the detector find out.
    preset : "balanced" keeps most events, "precise" the sure ones.
    all_scores : return every candidate, whatever its score.
    options : numbers of the detector by name, as its `options` declare them.
    """

    kind: Kind = "auto"
    preset: Preset = "balanced"
    all_scores: bool = False
    options: Mapping[str, float] = field(default_factory=dict)


@runtime_checkable
class Detector(Protocol):
    """Trace -> events. `kinds` are the kinds of signal it is meant for, `options` what may be set."""

    name: str
    kinds: Sequence[Kind]

    @property
    def options(self) -> Sequence[Option]: ...

    def detect(self, signal: Trace, settings: DetectionSettings) -> Task[Events]: ...
