"""What a file says of its movie: frame rate, channels and planes, and what a pixel without light reads.

Read from OME-XML, from ImageJ's description, from ScanImage's header and from OME-Zarr.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.io.tiff import opened_tiff

_TO_SECONDS = {
    "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "": 1.0,
    "ms": 1e-3, "msec": 1e-3, "millisecond": 1e-3, "milliseconds": 1e-3,
    "us": 1e-6, "usec": 1e-6, "microsecond": 1e-6, "microseconds": 1e-6,
    "ns": 1e-9, "nanosecond": 1e-9, "nanoseconds": 1e-9,
    "min": 60.0, "minute": 60.0, "minutes": 60.0, "h": 3600.0, "hour": 3600.0, "hours": 3600.0,
}  # fmt: skip
_MICRO = str.maketrans({"\N{MICRO SIGN}": "u", "\N{GREEK SMALL LETTER MU}": "u"})


@dataclass(frozen=True)
class MovieFacts:
    """What a file says of its movie.

    Attributes
    ----------
    frame_rate : Hz at which one plane is imaged again, None where the file does not say.
    source : where the rate was found, in words.
    n_channels, n_planes : that are interleaved in its pages, as ScanImage writes them; 1 elsewhere.
    kept_planes : of `n_planes`, those that are not the flyback of the objective.
    dark_levels : per channel what a pixel without light reads, None where the file does not say.
    times : (n,) seconds of each frame, where the file has them; else empty.
    """

    frame_rate: float | None = None
    source: str = ""
    n_channels: int = 1
    n_planes: int = 1
    kept_planes: int = 1
    dark_levels: tuple[float | None, ...] = ()
    times: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def dark_level(self, channel: int = 0) -> float | None:
        """Return the dark level of a channel, None where the file does not say."""
        return self.dark_levels[channel] if channel < len(self.dark_levels) else None


def seconds_in(unit: str) -> float | None:
    """Return how many seconds a unit of time is, as files spell it; None where it is no unit of time.

    Parameters
    ----------
    unit : e.g. "ms", "msec", "\N{MICRO SIGN}s", "seconds"; "" is taken for seconds.
    """
    return _TO_SECONDS.get(_unescaped(unit).strip().translate(_MICRO).lower())


def _unescaped(text: str) -> str:
    r"""Return ImageJ's text with its \u00B5 as a character."""
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text)


def movie_facts(path: Path) -> MovieFacts:
    """Return what a file says of its movie; nothing where it is missing, damaged or says nothing.

    Parameters
    ----------
    path : .tif, .tiff or .zarr; other kinds say nothing.
    """
    if path.suffix.lower() == ".zarr" and path.is_dir():
        return _of_zarr(path)
    if not path.is_file() or path.suffix.lower() not in (".tif", ".tiff"):
        return MovieFacts()
    try:
        with opened_tiff(path) as file:
            if file.is_scanimage:
                return of_scanimage(dict(file.scanimage_metadata or {}).get("FrameData") or {})
            ome, imagej = file.ome_metadata, file.imagej_metadata
    except Exception:  # noqa: BLE001 (a damaged header raises anything; who reads the pixels says what is wrong)
        return MovieFacts()
    return of_ome(ome) if ome else of_imagej(imagej or {})


def of_imagej(metadata: Mapping[str, Any]) -> MovieFacts:
    """Return what ImageJ's description says: `finterval` in `tunit`, else `fps`.

    Parameters
    ----------
    metadata : as tifffile reads it.
    """
    interval, unit = _number(metadata.get("finterval")), str(metadata.get("tunit") or "")
    seconds = seconds_in(unit)
    if interval > 0 and seconds is not None:
        return MovieFacts(1 / (interval * seconds), "finterval of ImageJ" + (f" in {unit}" if unit else ""))
    fps = _number(metadata.get("fps"))
    return MovieFacts(fps, "fps of ImageJ") if fps > 0 else MovieFacts()


def of_ome(ome: str) -> MovieFacts:
    """Return what OME-XML says: `DeltaT` of the planes, else `TimeIncrement`.

    Parameters
    ----------
    ome : XML.
    """
    try:
        root = ElementTree.fromstring(ome)
    except ElementTree.ParseError:
        return MovieFacts()
    times: dict[int, float] = {}
    for plane in root.iterfind(".//{*}Plane"):
        seconds = seconds_in(plane.get("DeltaTUnit", "s"))
        if (
            plane.get("TheZ", "0") == "0"
            and plane.get("TheC", "0") == "0"
            and plane.get("DeltaT")
            and seconds
        ):
            times[int(plane.get("TheT", "0"))] = _number(plane.get("DeltaT")) * seconds
    stamps = np.array([times[t] for t in sorted(times)])
    step = float(np.median(np.diff(stamps))) if len(stamps) > 1 else 0.0
    if step > 0:
        return MovieFacts(1 / step, "DeltaT of OME-XML", times=stamps)
    pixels = root.find(".//{*}Pixels")
    increment = _number(pixels.get("TimeIncrement")) if pixels is not None else 0.0
    seconds = seconds_in(pixels.get("TimeIncrementUnit", "s")) if pixels is not None else None
    if increment > 0 and seconds:
        return MovieFacts(1 / (increment * seconds), "TimeIncrement of OME-XML", times=stamps)
    return MovieFacts(times=stamps)


def of_scanimage(header: Mapping[str, Any]) -> MovieFacts:
    """Return what ScanImage's header says: its rates, the channels saved, the planes, the offsets.

    A plane is imaged again at the volume rate where a fast stack was recorded. Offsets count where they were not
    subtracted when the file was written.

    Parameters
    ----------
    header : the `SI. ...` lines as tifffile reads them.
    """

    def said(name: str) -> Any:
        return header.get(f"SI.{name}", header.get(f"scanimage.SI.{name}"))

    saved = [int(c) for c in _flat(said("hChannels.channelSave"))] or [1]
    fast = bool(said("hFastZ.enable")) or (
        bool(said("hStackManager.enable")) and str(said("hStackManager.stackMode") or "") == "fast"
    )
    slices = int(_number(said("hStackManager.actualNumSlices") or said("hStackManager.numSlices")) or 1)
    planes = kept = 1
    if fast:
        kept = max(slices, 1)
        whole = said("hStackManager.numFramesPerVolumeWithFlyback") or said("hFastZ.numFramesPerVolume")
        planes = max(int(_number(whole) or kept), kept)
    rate = _number(said("hRoiManager.scanVolumeRate" if fast else "hRoiManager.scanFrameRate"))
    source = f"{'scanVolumeRate' if fast else 'scanFrameRate'} of ScanImage"
    if not rate:
        period = _number(said("hRoiManager.scanFramePeriod"))
        rate, source = (1 / period / planes if period > 0 else 0.0), "scanFramePeriod of ScanImage"
    offsets, subtracted = (
        _flat(said("hChannels.channelOffset")),
        _flat(said("hChannels.channelSubtractOffset")),
    )
    dark: list[float | None] = []
    for place, number in enumerate(saved):
        # lists name all channels the machine has, or only those that were saved
        at = number - 1 if len(offsets) > len(saved) or max(saved) <= len(offsets) else place
        known = at < len(offsets)
        done = bool(subtracted[at]) if at < len(subtracted) else False
        dark.append((0.0 if done else float(offsets[at])) if known else None)
    return MovieFacts(rate or None, source if rate else "", len(saved), planes, kept, tuple(dark))


def _of_zarr(path: Path) -> MovieFacts:
    """Return the step of the time axis of an OME-Zarr image."""
    import zarr

    try:
        node = zarr.open(str(path), mode="r")
        about = dict(node.attrs)
        scales = about.get("ome", about).get("multiscales") or [{}]
        names = [str(axis["name"]) for axis in scales[0]["axes"]]
        unit = str(scales[0]["axes"][names.index("t")].get("unit") or "second")
        steps = scales[0]["datasets"][0]["coordinateTransformations"][0]["scale"]
        step, seconds = float(steps[names.index("t")]), seconds_in(unit)
    except Exception:  # noqa: BLE001 (no OME-Zarr, or no time axis: it says nothing)
        return MovieFacts()
    stated = "unit" in scales[0]["axes"][names.index("t")] or step != 1.0
    return (
        MovieFacts(1 / (step * seconds), "time axis of OME-Zarr")
        if seconds and step > 0 and stated
        else MovieFacts()
    )


def _number(value: Any) -> float:
    """Return a finite number, 0 where there is none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if np.isfinite(number) else 0.0


def _flat(value: Any) -> list[Any]:
    """Return a list of a header, however nested, or of one value."""
    if value is None:
        return []
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [one for part in value for one in _flat(part)]
    return [value]
