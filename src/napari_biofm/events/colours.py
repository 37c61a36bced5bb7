"""One colour per class of event, the same on the image, the trace, the table and the raster."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

# After Okabe and Ito (2008): distinct for all common kinds of colour vision.
CLASS_COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "AP": "#f0e442",
        "EPSC": "#56b4e9",
        "IPSC": "#e69f00",
        "PSC": "#0072b2",
        "EPSP": "#56b4e9",
        "IPSP": "#e69f00",
        "PSP": "#0072b2",
        "calcium": "#00c08b",
        "spike": "#f0e442",
        "R": "#d55e00",
        "open": "#cc79a7",
        "artefact": "#808080",
        "rejected": "#606060",
    }
)
OTHER = "#ffffff"


def class_colour(name: str) -> str:
    """Return the #rrggbb of an event class; an unknown class is white."""
    return CLASS_COLOURS.get(name, OTHER)


def class_colours(classes: NDArray[np.str_]) -> NDArray[np.float32]:
    """Return (n, 4) RGBA in 0..1 of event classes; an unknown class is white."""
    names, index = np.unique(np.asarray(classes, str), return_inverse=True)
    table = np.array([_rgba(class_colour(str(name))) for name in names], np.float32)
    return table.reshape(-1, 4)[index]


def _rgba(colour: str) -> tuple[float, float, float, float]:
    value = int(colour[1:], 16)
    return ((value >> 16) / 255, ((value >> 8) & 255) / 255, (value & 255) / 255, 1.0)
