"""Frame rates that files state: OME-TIFF's time increment, ImageJ's frame interval."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

PER_SECOND = {"s": 1.0, "ms": 1e3, "µs": 1e6, "us": 1e6, "min": 1 / 60, "h": 1 / 3600, "ns": 1e9}


def frame_rate_of_file(path: Path) -> float | None:
    """Return the frame rate (Hz) a TIFF file states, None where it states none or is no TIFF.

    OME-TIFF: the median difference of the planes' `DeltaT`, else `TimeIncrement`. ImageJ: `finterval`,
    else `fps`.
    """
    if not path.is_file() or not re.search(r"\.tiff?$", path.name, re.IGNORECASE):
        return None
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            ome, imagej = file.ome_metadata, file.imagej_metadata
    except (tifffile.TiffFileError, OSError, ValueError):
        return None
    if ome:
        return _of_ome(ome)
    return _of_imagej(imagej or {})


def ome_frame_times(ome: str) -> NDArray[np.float64]:
    """Return seconds of each frame (plane z = 0, channel 0) from the planes' `DeltaT`; empty without any."""
    try:
        root = ElementTree.fromstring(ome)
    except ElementTree.ParseError:
        return np.zeros(0)
    times: dict[int, float] = {}
    for plane in root.iterfind(".//{*}Plane"):
        if plane.get("TheZ", "0") == "0" and plane.get("TheC", "0") == "0" and plane.get("DeltaT"):
            unit = PER_SECOND.get(plane.get("DeltaTUnit", "s"), 1.0)
            times[int(plane.get("TheT", "0"))] = float(plane.get("DeltaT", "0")) / unit
    return np.array([times[t] for t in sorted(times)])


def _of_ome(ome: str) -> float | None:
    times = ome_frame_times(ome)
    if len(times) > 1 and np.median(np.diff(times)) > 0:
        return float(1 / np.median(np.diff(times)))
    try:
        pixels = ElementTree.fromstring(ome).find(".//{*}Pixels")
    except ElementTree.ParseError:
        return None
    if pixels is None or not pixels.get("TimeIncrement"):
        return None
    unit = PER_SECOND.get(pixels.get("TimeIncrementUnit", "s"), 1.0)
    seconds = float(pixels.get("TimeIncrement", "0")) / unit
    return 1 / seconds if seconds > 0 else None


def _of_imagej(metadata: dict[str, Any]) -> float | None:
    interval = float(metadata.get("finterval") or 0)
    if interval > 0:
        return 1 / interval
    return float(metadata["fps"]) if float(metadata.get("fps") or 0) > 0 else None
