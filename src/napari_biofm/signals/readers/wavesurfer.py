"""WaveSurfer HDF5: channels, sweeps with their times, and the polynomial that takes converter counts to volts.

Source: data files as described and read by PyWaveSurfer (Janelia), versions 0.7 to 1.0. Stimuli are not rebuilt.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.arrays import checked_rate
from napari_biofm.signals.readers.optional import H5Trace
from napari_biofm.signals.recorded import Channel
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.samples import ArraySamples, as_float32
from napari_biofm.signals.units import clean_unit
from napari_biofm.sizes import whole_dataset
from napari_biofm.types import RecordingError

_PREFIXES = ("sweep_", "trial_")
_VOLTS_PER_COUNT = 10.0 / 2**15  # of converters whose polynomial is not stored (before version 0.95)


@dataclass(frozen=True)
class Counts:
    """Converter counts of one channel in one sweep, as values of the channel's unit when sliced.

    Attributes
    ----------
    trace : the counts.
    polynomial : V per power of the count, the constant first.
    scale : V per unit of the channel.
    """

    trace: H5Trace
    polynomial: tuple[float, ...]
    scale: float

    @property
    def shape(self) -> tuple[int]:
        """(n_samples,)."""
        return self.trace.shape

    def __getitem__(self, span: slice) -> NDArray[np.float32]:
        counts = np.asarray(self.trace[span], np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            volts = np.polynomial.polynomial.polyval(counts, self.polynomial) / self.scale
        return as_float32(volts)


def is_wavesurfer(file: Any) -> bool:
    """Return whether an open HDF5 file is WaveSurfer's."""
    return "header" in file and any(name.startswith(_PREFIXES) for name in file)


def read_wavesurfer(path: Path, file: Any, sampling_rate: float | None = None) -> Recording:
    """Return the analogue inputs of all sweeps; samples stay in the file.

    Parameters
    ----------
    path : of the file.
    file : the open HDF5 file.
    sampling_rate : Hz; must not contradict the file.

    Raises
    ------
    RecordingError
        If no analogue channel was recorded, the header does not fit the sweeps, or the rate contradicts it.
    """
    header = file["header"]
    part = header.get("Acquisition", header)
    prefix = "" if "Acquisition" in header else "AI"
    rate = checked_rate(_number(part, "SampleRate", "AcquisitionSampleRate"))
    if sampling_rate is not None and abs(sampling_rate / rate - 1) > 5e-3:
        raise RecordingError(
            f"{path.name}: WaveSurfer recorded at {rate:.6g} Hz, but {sampling_rate:.6g} was given"
        )
    names = _texts(part, f"{prefix}ChannelNames", "AnalogChannelNames", "AIChannelNames", "ChannelNames")
    units = _texts(part, "AnalogChannelUnits", "AIChannelUnits", "ChannelUnits")
    scales = _numbers(part, "AnalogChannelScales", "AIChannelScales", "ChannelScales")
    active = _numbers(part, "IsAnalogChannelActive", "IsAIChannelActive", "IsChannelActive")
    used = [i for i in range(len(scales)) if not len(active) or active[min(i, len(active) - 1)]]
    sweeps = sorted(key for name in file if name.startswith(_PREFIXES) and (key := _scans(file, name)))
    if not used or not sweeps:
        raise RecordingError(f"{path.name} holds no analogue channels of WaveSurfer")
    polynomials = _polynomials(part, len(used))
    n_rows = {int(file[key].shape[0]) for key in sweeps}
    if n_rows != {len(used)} or len(names) < max(used) + 1 or any(scales[i] == 0 for i in used):
        raise RecordingError(
            f"{path.name}: its header names {len(used)} active channels, its sweeps hold {sorted(n_rows)}"
        )
    arrays: list[list[Any]] = []
    for key in sweeps:
        n = int(file[key].shape[1])
        arrays.append(
            [
                Counts(H5Trace(str(path), key, (n,), row), polynomials[row], float(scales[channel]))
                for row, channel in enumerate(used)
            ]
        )
    stamps = [key.replace("analogScans", "timestamp") for key in sweeps]
    starts: Any = None
    if all(stamp != key and stamp in file for stamp, key in zip(stamps, sweeps, strict=True)):
        starts = np.array([float(np.ravel(whole_dataset(file[stamp]))[0]) for stamp in stamps])
    else:  # versions before 0.8 wrote no times: sweeps follow each other
        starts = np.concatenate([[0.0], np.cumsum([one[0].shape[0] / rate for one in arrays])[:-1]])
    return Recording(
        tuple(Channel(names[i], clean_unit(units[i]), rate) for i in used),
        ArraySamples(arrays),
        starts - starts[0],
        t0=_start(header),
        path=path,
        format="WaveSurfer",
        metadata={"version": "".join(_texts(header, "VersionString")[:1])},
    )


def _scans(file: Any, name: str) -> str:
    """Return the dataset of a sweep's analogue samples, "" if it has none: (n_channels, n_samples) counts."""
    if getattr(file[name], "shape", None) is not None:
        return name if file[name].ndim == 2 and file[name].dtype.kind == "i" else ""
    return f"{name}/analogScans" if "analogScans" in file[name] else ""


def _item(part: Any, *keys: str) -> Any:
    return next((whole_dataset(part[key]) for key in keys if key in part), None)


def _numbers(part: Any, *keys: str) -> NDArray[np.float64]:
    value = _item(part, *keys)
    return np.zeros(0) if value is None else np.ravel(np.asarray(value, np.float64))


def _number(part: Any, *keys: str) -> float:
    found = _numbers(part, *keys)
    return float(found[0]) if len(found) else float("nan")


def _texts(part: Any, *keys: str) -> list[str]:
    value = _item(part, *keys)
    items = [] if value is None else np.ravel(np.asarray(value)).tolist()
    return [one.decode("latin-1") if isinstance(one, bytes) else str(one) for one in items]


def _polynomials(part: Any, n: int) -> list[tuple[float, ...]]:
    stored = _item(part, "AnalogScalingCoefficients", "AIScalingCoefficients")
    if stored is None:
        return [(0.0, _VOLTS_PER_COUNT)] * n
    rows = np.atleast_2d(np.asarray(stored, np.float64))
    if rows.shape[0] != n:
        raise RecordingError(f"scaling coefficients of {rows.shape[0]} channels for {n} active ones")
    return [tuple(float(c) for c in row) for row in rows]


def _start(header: Any) -> datetime | None:
    clock = _numbers(header, "ClockAtRunStart")
    if len(clock) < 6:
        return None
    try:
        whole = [int(v) for v in clock[:5]]
        return datetime(whole[0], whole[1], whole[2], whole[3], whole[4], int(clock[5]))
    except ValueError:
        return None
