"""The classical method that serves a kind of signal best."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from napari_biofm.signals.units import si_unit
from napari_biofm.types import DetectionSettings, Detector, Events, Kind, Progress, Signal, Task

_HERE = "napari_biofm.events.classical"
BEST: Mapping[Kind, tuple[str, str]] = MappingProxyType(
    {
        "ap": (f"{_HERE}.prominence", "ProminenceDetector"),
        "psc": (f"{_HERE}.deconvolution", "DeconvolutionDetector"),
        "calcium": (f"{_HERE}.oasis", "OasisDetector"),
        "channel": (f"{_HERE}.half_amplitude", "HalfAmplitudeDetector"),
        "spike": (f"{_HERE}.extracellular", "SpikeDetector"),
        "ecg": (f"{_HERE}.ecg", "PanTompkinsDetector"),
    }
)


def kind_of_unit(unit: str) -> Kind:
    """Guess what is recorded from the unit: volts are APs, amperes synaptic currents, else calcium."""
    base = si_unit(unit)[0]
    return "psc" if base == "A" else "ap" if base == "V" else "calcium"


class ClassicalDetector:
    """Relative prominence for APs, deconvolution for synaptic currents, OASIS for calcium, half amplitude
    for channels, 4 sigma for extracellular spikes, Pan & Tompkins for ECG.
    """

    name = "classical"
    kinds: Sequence[Kind] = ("auto", *BEST)

    def detect(self, signal: Signal, settings: DetectionSettings) -> Task[Events]:
        """Return the events of the method for `settings.kind`, or for the kind the unit speaks of."""
        kind = kind_of_unit(signal.unit) if settings.kind == "auto" else settings.kind
        module, attribute = BEST[kind]
        machine: Detector = getattr(importlib.import_module(module), attribute)()
        yield Progress(0, 1, f"{kind}: {machine.name}")
        return (yield from machine.detect(signal, settings))
