"""Recording -> events: detectors behind one Protocol, one table for all of them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType

from napari_biofm.types import Detector, RecordingError

# name -> (module, class); imported when asked for, so that listing detectors costs nothing.
DETECTORS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "threshold": ("napari_biofm.events.classical.threshold", "ThresholdDetector"),
    }
)
DEFAULT_DETECTOR = "threshold"


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
