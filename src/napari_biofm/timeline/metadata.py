"""Frame rates and frame times that files state, and which of several rates counts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.hdf5_files import check_hdf5
from napari_biofm.images.io.movie_facts import movie_facts, of_ome
from napari_biofm.timeline.clock import Clock
from napari_biofm.types import TimelineError


def frame_rate_of_file(path: Path) -> float | None:
    """Return the frame rate (Hz) a movie's file states, None where it states none; see `images.io.movie_facts`."""
    return movie_facts(path).frame_rate


def chosen_rate(typed: float | None, clock: Clock | None, stated: float | None) -> tuple[float | None, str]:
    """Return the frame rate of a movie and what the user should know: the user says it, then the clock, then the file.

    Parameters
    ----------
    typed : Hz by the user, None or 0 where nothing was typed.
    clock : of the movie, None where it was not aligned.
    stated : Hz by the file, None where it does not say.

    Returns
    -------
    rate : Hz, None where nobody says it.
    message : where a source that was not taken says something else by more than 2 %; else "".
    """
    timed = clock.imaging_rate if clock is not None and clock.n_frames > 1 else None
    sources = (("typed", typed), ("the clock", timed), ("the file", stated))
    known = [(name, float(rate)) for name, rate in sources if rate]
    if not known:
        return None, ""
    name, rate = known[0]
    others = [f"{other} says {hz:.4g} Hz" for other, hz in known[1:] if abs(hz / rate - 1) > 0.02]
    taken = "the rate that was typed" if name == "typed" else f"that of {name}"
    if not others:
        return rate, ""
    said = "; ".join(others)
    return rate, f"{said[0].upper()}{said[1:]}, but {taken} is used: {rate:.4g} Hz."


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
    times = of_ome(_ome_of(path)).times
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
        check_hdf5(path)
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
