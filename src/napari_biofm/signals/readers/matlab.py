"""MATLAB files, version 5 and 7.3, as exporters write them: Spike2, PatchMaster, LabChart, and plain variables."""

from __future__ import annotations

import re
import struct
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.hdf5_files import check_hdf5
from napari_biofm.signals.arrays import checked_rate
from napari_biofm.signals.readers.matlab_v5 import variables
from napari_biofm.signals.readers.optional import need
from napari_biofm.signals.readers.text_table import agreed_rate
from napari_biofm.signals.recorded import Channel
from napari_biofm.signals.recording import Recording
from napari_biofm.signals.samples import ArraySamples, as_float32
from napari_biofm.signals.units import clean_unit
from napari_biofm.sizes import whole_dataset
from napari_biofm.types import RecordingError

_RATES = ("sampling_rate", "fs", "Fs", "FS", "samplerate", "SampleRate", "sample_rate", "sr", "srate")
_STEPS = ("dt", "si", "interval", "sampling_interval")  # s; "si" of abfload is in microseconds
_SIGNALS = ("signal", "data", "d", "values", "trace", "traces", "y", "vm", "im", "V", "I")
_UNITS = ("unit", "units", "yunit", "Unit", "Units")
_TRACE = re.compile(r"^Trace_(\d+)_(\d+)_(\d+)_(\d+)$")


def read_mat(
    path: Path, *, sampling_rate: float | None = None, unit: str | None = None, variable: str | None = None
) -> Recording:
    """Open a MATLAB file.

    Known are exports of Spike2 (structs with `values`, `interval`, `units`, `title`), PatchMaster (`Trace_1_1_1_1` with
    columns of time and value), LabChart (`data`, `datastart`, `dataend`, `samplerate`), and plain variables (`signal`
    or `data` with `fs` or `sampling_rate` and `unit`). Columns of a plain variable are sweeps. Nothing in the file is run.

    Parameters
    ----------
    path : of the file.
    sampling_rate, unit : where the file does not say.
    variable : name of a plain variable, where there are several.

    Raises
    ------
    RecordingError
        If the file is damaged, holds nothing like a signal, or rate or unit are neither stored nor given.
    """
    content = _content(path)
    if "datastart" in content and "data" in content and "samplerate" in content:
        return _labchart(path, content)
    traces = {name: match for name in content if (match := _TRACE.match(name))}
    if traces:
        return _patchmaster(path, content, traces, unit)
    spike2 = {name: one for name, one in content.items() if _is_spike2(one)}
    if spike2:
        return _spike2(path, spike2)
    return _plain(path, content, sampling_rate, unit, variable)


def _content(path: Path) -> dict[str, Any]:
    """Return the variables of a file: arrays, texts, and structs as dicts."""
    if is_version_7_3(path):
        return _version_7_3(path)
    return read_version_5(path)


def is_version_7_3(path: Path) -> bool:
    """Tell whether a MATLAB file is of version 7.3, which is HDF5."""
    with path.open("rb") as file:
        head = file.read(128)
    return head[:10] == b"MATLAB 7.3" or head[:8] == b"\x89HDF\r\n\x1a\n"


def read_version_5(path: Path, names: Container[str] | None = None) -> dict[str, Any]:
    """Return the variables of a file of version 5, or those of certain names.

    Raises
    ------
    RecordingError
        If it is damaged, or would fill the memory.
    """
    try:
        with path.open("rb") as file:
            return variables(file, path.stat().st_size, names)
    except (ValueError, struct.error, OverflowError) as error:
        raise RecordingError(f"{path.name} is no readable MATLAB file: {error}") from error


def _version_7_3(path: Path) -> dict[str, Any]:
    h5py = need("h5py", path)

    def plain(item: Any, depth: int = 0) -> Any:
        if isinstance(item, h5py.Group):
            return {name: plain(one, depth + 1) for name, one in item.items()} if depth < 4 else {}
        if item.dtype.kind not in "iuf" or "MATLAB_empty" in item.attrs:
            return None  # cells and references are no signals
        value = whole_dataset(item)
        if item.attrs.get("MATLAB_class") == b"char":
            return "".join(map(chr, np.ravel(value).tolist()))
        return np.squeeze(np.asarray(value).T)

    try:
        check_hdf5(path)
        with h5py.File(path, "r") as file:
            return {name: plain(item) for name, item in file.items() if not name.startswith("#")}
    except Exception as error:  # h5py raises whatever a damaged byte leads the library to
        raise RecordingError(f"{path.name} is no readable MATLAB 7.3 file: {error}") from error


def _text(value: Any) -> str:
    items: Any = np.ravel(np.asarray(value)) if value is not None else []
    return str(items[0]).strip() if len(items) and isinstance(items[0], str) else ""


def _number(value: Any) -> float:
    items = np.ravel(np.asarray(value)) if value is not None else np.zeros(0)
    good = len(items) > 0 and items.dtype.kind in "iuf"
    return float(items[0]) if good else float("nan")


def _is_spike2(value: Any) -> bool:
    return isinstance(value, Mapping) and {"values", "interval"} <= set(value)


def _spike2(path: Path, found: Mapping[str, Any]) -> Recording:
    channels, arrays, starts = [], [], []
    for name, one in found.items():
        values = np.asarray(one["values"])
        if values.dtype.kind not in "iuf" or values.size < 2:
            continue
        channels.append(
            Channel(
                _text(one.get("title")) or name,
                clean_unit(_text(one.get("units"))),
                checked_rate(1.0 / max(_number(one["interval"]), 1e-12)),
            )
        )
        arrays.append(as_float32(np.ravel(values)))
        starts.append(_number(one.get("start")))
    if not channels:
        raise RecordingError(f"{path.name} holds no waveform of Spike2")
    start = starts[0] if np.isfinite(starts[0]) else 0.0
    return Recording(
        tuple(channels), ArraySamples([arrays]), np.array([start]), path=path, format="MATLAB (Spike2)"
    )


def _patchmaster(
    path: Path, content: Mapping[str, Any], traces: Mapping[str, re.Match[str]], unit: str | None
) -> Recording:
    """Return the sweeps of the first series; traces are in A or V and come with their times."""
    keys = {name: tuple(int(g) for g in match.groups()) for name, match in traces.items()}
    series = min(key[:2] for key in keys.values())
    mine = {
        key[2:]: np.atleast_2d(np.asarray(content[n], np.float64))
        for n, key in keys.items()
        if key[:2] == series
    }
    sweeps = sorted({sweep for sweep, _ in mine})
    numbers = sorted({trace for _, trace in mine})
    first = {t: mine.get((sweeps[0], t)) for t in numbers}
    if any(one is None or one.shape[1] != 2 or len(one) < 2 for one in first.values()) or len(mine) != len(
        sweeps
    ) * len(numbers):
        raise RecordingError(
            f"{path.name}: its PatchMaster traces are not all of two columns, time and value"
        )
    channels = []
    for t, one in first.items():
        assert one is not None
        step = float(np.mean(np.diff(one[:, 0])))
        size = float(np.max(np.abs(one[:, 1])))
        told = unit or ("A" if size < 1e-5 else "V")
        channels.append(Channel(f"trace {t}", clean_unit(told), checked_rate(round(1 / step, 6))))
    begins = np.array([float(mine[s, numbers[0]][0, 0]) for s in sweeps])
    return Recording(
        tuple(channels),
        ArraySamples([[as_float32(mine[s, t][:, 1]) for t in numbers] for s in sweeps]),
        begins,
        path=path,
        format="MATLAB (PatchMaster)",
        metadata={"series": list(series)},
    )


def _labchart(path: Path, content: Mapping[str, Any]) -> Recording:
    """Return the blocks of a LabChart export as sweeps."""
    data = np.ravel(np.asarray(content["data"], np.float64))
    first, last, rates = (
        np.atleast_2d(np.asarray(content[k], np.float64)) for k in ("datastart", "dataend", "samplerate")
    )
    titles = np.atleast_1d(np.asarray(content.get("titles", [])))
    n_channels = len(titles) if len(titles) else first.shape[0]
    first, last, rates = (one.reshape(n_channels, -1) for one in (first, last, rates))
    names = [str(t).strip() for t in titles] or [f"channel {i}" for i in range(n_channels)]
    texts = [str(t).strip() for t in np.atleast_1d(np.asarray(content.get("unittext", [])))]
    which = np.asarray(content.get("unittextmap", np.ones((n_channels, 1))), np.float64).reshape(
        n_channels, -1
    )[:, 0]
    units = [texts[int(w) - 1] if 1 <= w <= len(texts) else "?" for w in which]
    if (first < 0).any() or (last > data.size).any():
        raise RecordingError(
            f"{path.name}: blocks of its LabChart export lie outside of its data (gaps are -1)"
        )
    arrays = [
        [as_float32(data[int(first[c, b]) - 1 : int(last[c, b])]) for c in range(n_channels)]
        for b in range(first.shape[1])
    ]
    rate = [checked_rate(float(rates[c, 0])) for c in range(n_channels)]
    starts = np.concatenate([[0.0], np.cumsum([one[0].size / rate[0] for one in arrays])[:-1]])
    channels = tuple(Channel(n, clean_unit(u), r) for n, u, r in zip(names, units, rate, strict=True))
    return Recording(channels, ArraySamples(arrays), starts, path=path, format="MATLAB (LabChart)")


def _plain(
    path: Path, content: Mapping[str, Any], rate: float | None, unit: str | None, variable: str | None
) -> Recording:
    """Return a plain variable: (n_samples,), or columns that are sweeps."""
    arrays: dict[str, NDArray[Any]] = {
        name: np.asarray(value)
        for name, value in content.items()
        if isinstance(value, np.ndarray)
        and value.dtype.kind in "iuf"
        and 1 <= value.ndim <= 3
        and value.size > 8
    }
    name = variable or next((key for key in _SIGNALS if key in arrays), None)
    if name is None and len(arrays) == 1:
        name = next(iter(arrays))
    if name not in arrays:
        raise RecordingError(
            f"{path.name}: which variable is the signal? give variable=... one of {', '.join(arrays) or 'none'}"
        )
    said = next(
        (_number(content[key]) for key in _RATES if np.isfinite(_number(content.get(key)))), float("nan")
    )
    if not np.isfinite(said):
        step = next((key for key in _STEPS if np.isfinite(_number(content.get(key)))), None)
        if step is not None:
            said = 1.0 / (_number(content[step]) * (1e-6 if step == "si" else 1.0))
    told = next((_text(content[key]) for key in _UNITS if _text(content.get(key))), "") or unit
    if not told or (not np.isfinite(said) and rate is None):
        raise RecordingError(
            f"{name} of {path.name} does not say its {'unit' if not told else 'rate'}: give sampling_rate (Hz) and "
            "unit, e.g. sampling_rate=10000, unit='pA'; neither is ever guessed"
        )
    used = agreed_rate(path, said, rate) if np.isfinite(said) else float(rate or 0)
    values = arrays[name]
    if values.ndim == 3:  # abfload: samples, channels, sweeps
        sweeps = [[values[:, c, s] for c in range(values.shape[1])] for s in range(values.shape[2])]
    elif values.ndim == 2:
        columns = values if values.shape[0] >= values.shape[1] else values.T
        sweeps = [[columns[:, s]] for s in range(columns.shape[1])]
    else:
        sweeps = [[values]]
    return Recording.from_arrays(
        [[as_float32(one) for one in sweep] for sweep in sweeps],
        used, told, path=path, format="MATLAB",
    )  # fmt: skip
