"""Write simulated data as the files an acquisition program would leave."""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_biofm.simulate.corecording import CoRecording
from napari_biofm.types import RecordingError

# Offsets of the ABF 1.x header, from the file format description of Axon Instruments.
_MODE, _LENGTH, _EPISODES, _CHANNELS, _INTERVAL = 8, 10, 16, 120, 122
_PER_EPISODE, _SEQUENCE, _NAMES, _UNITS, _SCALES = 138, 410, 442, 602, 922
_RANGE, _RESOLUTION, _DATA = 10.0, 2**15, 2048
_EPISODIC, _GAP_FREE = 5, 3


def write_abf(
    path: Path,
    channels: Sequence[NDArray[np.float64]],
    names: Sequence[str],
    units: Sequence[str],
    sampling_rate: float,
) -> Path:
    """Write channels as an ABF 1.3 file; the header is pyabf's, widened to several channels.

    Parameters
    ----------
    path : file to write.
    channels : one array per channel, all (n_samples,) for gap-free or (n_sweeps, n_samples).
    names : up to 10 characters each.
    units : up to 8 characters each.
    sampling_rate : of one channel, Hz.

    Raises
    ------
    RecordingError
        If shapes differ, there are more than 16 channels, or a value is not finite.
    """
    import pyabf.abfWriter

    data = np.stack([np.atleast_2d(np.asarray(c, float)) for c in channels], axis=-1)
    n_sweeps, n_samples, n_channels = data.shape
    if n_channels > 16:
        raise RecordingError(f"{path.name}: an ABF 1 file holds 16 channels, not {n_channels}.")
    if not np.isfinite(data).all():
        raise RecordingError(f"{path.name}: ABF stores finite values only; replace NaN and inf first.")
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "header.abf"
        pyabf.abfWriter.writeABF1(np.zeros((1, 1)), str(template), sampling_rate, units[0])
        header = bytearray(template.read_bytes()[:_DATA])
    episodic = np.asarray(channels[0]).ndim == 2
    struct.pack_into("<h", header, _MODE, _EPISODIC if episodic else _GAP_FREE)
    struct.pack_into("<i", header, _LENGTH, data.size)
    struct.pack_into("<i", header, _EPISODES, n_sweeps)
    struct.pack_into("<h", header, _CHANNELS, n_channels)
    struct.pack_into("<f", header, _INTERVAL, 1e6 / (sampling_rate * n_channels))
    struct.pack_into("<i", header, _PER_EPISODE, n_samples * n_channels)
    struct.pack_into("<16h", header, _SEQUENCE, *range(n_channels), *([-1] * (16 - n_channels)))
    counts = np.empty(data.shape, "<i2")
    for c in range(n_channels):
        peak = float(np.abs(data[..., c]).max()) or 1.0
        scale = np.float32(0.99 * _RANGE / peak)  # volts at the converter per unit
        counts[..., c] = np.round(data[..., c] * (float(scale) * _RESOLUTION / _RANGE))
        struct.pack_into("<f", header, _SCALES + 4 * c, scale)
        struct.pack_into("10s", header, _NAMES + 10 * c, names[c][:10].ljust(10).encode("ascii", "replace"))
        struct.pack_into("8s", header, _UNITS + 8 * c, units[c][:8].ljust(8).encode("ascii", "replace"))
    path.write_bytes(bytes(header) + counts.tobytes())
    return path


def write_ome_tiff(
    path: Path, data: NDArray[np.generic], axes: str, pixel_um: float, frame_rate: float | None = None
) -> Path:
    """Write an image or movie as OME-TIFF with physical pixel size and frame interval.

    Parameters
    ----------
    path : file to write, ending in .ome.tif.
    data : array with axes as named.
    axes : e.g. "YX", "ZYX", "TYX".
    pixel_um : size of a pixel, micrometres.
    frame_rate : Hz, written as TimeIncrement.
    """
    meta: dict[str, object] = {
        "axes": axes,
        "PhysicalSizeX": pixel_um,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": pixel_um,
        "PhysicalSizeYUnit": "µm",
    }
    if frame_rate:
        meta |= {"TimeIncrement": 1 / frame_rate, "TimeIncrementUnit": "s"}
    tifffile.imwrite(path, data, ome=True, metadata=meta, photometric="minisblack", compression="zlib")
    return path


def write_corecording(folder: Path, data: CoRecording) -> dict[str, Path]:
    """Write a co-recording as files: field, movie, masks, two ABF files and the truth.

    Returns
    -------
    dict
        Paths by "field", "movie", "masks", "current_clamp", "voltage_clamp", "truth".
    """
    folder.mkdir(parents=True, exist_ok=True)
    now, after = data.current, data.voltage
    paths = {
        "field": write_ome_tiff(folder / "field.ome.tif", data.field.image, "YX", 0.65),
        "masks": write_ome_tiff(
            folder / "field_mask.ome.tif", data.field.masks.astype(np.uint16), "YX", 0.65
        ),
        "movie": write_ome_tiff(folder / "movie.ome.tif", data.movie, "TYX", 0.65, data.frame_rate),
        "current_clamp": write_abf(
            folder / "current_clamp.abf",
            [now.values, now.command, data.trigger],
            ["Vm", "Icmd", "Frames"],
            [now.unit, now.command_unit, "V"],
            now.sampling_rate,
        ),
        "voltage_clamp": write_abf(
            folder / "voltage_clamp.abf",
            [after.values, after.command],
            ["Im", "Vcmd"],
            [after.unit, after.command_unit],
            after.sampling_rate,
        ),
    }
    truth = {
        "patched_cell": data.patched,
        "offset_s": data.offset,
        "drift": data.drift,
        "frame_rate_hz": data.frame_rate,
        "classes": data.field.classes.tolist(),
        "spikes_s": [s.tolist() for s in data.spikes],
        "ap_times_s": now.event_times.tolist(),
        "psc_times_s": after.event_times.tolist(),
        "psc_classes": after.event_classes.tolist(),
        "psc_amplitudes_pa": after.amplitudes.tolist(),
    }
    paths["truth"] = folder / "truth.json"
    paths["truth"].write_text(json.dumps(truth), encoding="utf-8")
    return paths
