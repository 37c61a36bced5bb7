"""Recording -> events: detectors behind one Protocol, one table for all of them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType

from napari_biofm.types import Detector, RecordingError

# name -> (module, class); imported when asked for, so that listing detectors costs nothing.
DETECTORS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "physio-fm": ("napari_biofm.events.physio_fm", "PhysioFM"),
        "threshold": ("napari_biofm.events.classical.threshold", "ThresholdDetector"),
        "classical": ("napari_biofm.events.classical.choice", "ClassicalDetector"),
        "template": ("napari_biofm.events.classical.template", "TemplateDetector"),
        "deconvolution": ("napari_biofm.events.classical.deconvolution", "DeconvolutionDetector"),
        "prominence": ("napari_biofm.events.classical.prominence", "ProminenceDetector"),
        "dvdt": ("napari_biofm.events.classical.dvdt", "SlopeDetector"),
        "extracellular": ("napari_biofm.events.classical.extracellular", "SpikeDetector"),
        "oasis": ("napari_biofm.events.classical.oasis", "OasisDetector"),
        "half-amplitude": ("napari_biofm.events.classical.half_amplitude", "HalfAmplitudeDetector"),
        "pan-tompkins": ("napari_biofm.events.classical.ecg", "PanTompkinsDetector"),
        "xqrs": ("napari_biofm.events.classical.ecg", "XqrsDetector"),
        "neurokit": ("napari_biofm.events.classical.ecg", "NeuroKitDetector"),
    }
)
DEFAULT_DETECTOR = "physio-fm"


def make_detector(name: str = DEFAULT_DETECTOR) -> Detector:
    """Return a new detector by name.

    Raises
    ------
    RecordingError
        If no detector has this name.
    """
    if name not in DETECTORS:
        raise RecordingError(f"No detector '{name}'; there are: {', '.join(DETECTORS)}.")
    module, attribute = DETECTORS[name]
    detector: Detector = getattr(importlib.import_module(module), attribute)()
    return detector
