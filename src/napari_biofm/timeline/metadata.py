"""Frame rates and frame times that files state: OME-TIFF, ImageJ, NWB."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import TimelineError

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


def frame_times_of_file(path: Path, n_frames: int) -> tuple[NDArray[np.float64], str]:
    """Return when each frame of a movie began, as a file states it, and in words where it was found.

    OME-TIFF: `DeltaT` of the planes, else an even rate; ImageJ: an even rate; NWB: `timestamps`, else
    `starting_time` and rate, of an image series or of fluorescence with as many samples as the movie has
    frames.

    Parameters
    ----------
    path : .tif, .tiff or .nwb.
    n_frames : of the movie.

    Raises
    ------
    TimelineError
        If the file cannot be read, or states no times of so many frames.
    """
    if re.search(r"\.nwb$", path.name, re.IGNORECASE):
        return _nwb_frame_times(path, n_frames)
    if not path.is_file():
        raise TimelineError(f"There is no file {path}; choose the file that holds the frame times.")
    times = ome_frame_times(_ome_of(path))
    if len(times) == n_frames:
        return times, f"DeltaT in {path.name}"
    rate = frame_rate_of_file(path)
    if rate and len(times) == 0:
        return np.arange(n_frames) / rate, f"{rate:g} Hz in {path.name}"
    held = f"times of {len(times)} frames, the movie has {n_frames}" if len(times) else "no frame times"
    raise TimelineError(f"{path.name} states {held}; choose another file, or type rate and offset.")


def _ome_of(path: Path) -> str:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            return file.ome_metadata or ""
    except (tifffile.TiffFileError, OSError, ValueError) as error:
        raise TimelineError(
            f"{path.name} cannot be read ({error}); frame times come from TIFF or NWB."
        ) from error


def _nwb_frame_times(path: Path, n_frames: int) -> tuple[NDArray[np.float64], str]:
    import h5py

    found: list[str] = []
    try:
        with h5py.File(path, "r") as file:
            for name, series in sorted(_series_of(file)):
                n = int(series["data"].shape[0]) if "data" in series else 0
                if "timestamps" in series:
                    n = int(series["timestamps"].shape[0])
                found.append(f"{name} ({n})")
                if n != n_frames:
                    continue
                if "timestamps" in series:
                    return np.asarray(series["timestamps"], float), f"timestamps of {name} in {path.name}"
                start = series["starting_time"]
                rate = float(start.attrs["rate"])
                times = float(start[()]) + np.arange(n_frames) / rate
                return times, f"{name} in {path.name} ({rate:g} Hz)"
    except (OSError, KeyError, ValueError) as error:
        raise TimelineError(f"{path.name} cannot be read as NWB ({error}).") from error
    held = ", ".join(found) or "none"
    raise TimelineError(
        f"{path.name} holds no series of {n_frames} frames; it holds: {held}. Choose another file or type rate "
        "and offset."
    )


def _series_of(file: Any) -> list[tuple[str, Any]]:
    """Return name and group of each time series in an NWB file that images or cells of images are in."""
    kinds = ("TwoPhotonSeries", "OnePhotonSeries", "ImageSeries", "RoiResponseSeries")
    found: list[tuple[str, Any]] = []

    def look(name: str, item: Any) -> None:
        kind = item.attrs.get("neurodata_type", b"")
        kind = kind.decode() if isinstance(kind, bytes) else str(kind)
        if kind in kinds and ("timestamps" in item or "starting_time" in item):
            found.append((name, item))

    file.visititems(look)
    return found


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
