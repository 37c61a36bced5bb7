"""Neurodata Without Borders: intracellular sweeps, ROI responses and other series, left on disk."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.readers.optional import H5Trace, need
from napari_biofm.signals.recording import Channel, Recording
from napari_biofm.signals.samples import ArraySamples, scaled
from napari_biofm.signals.units import clean_unit
from napari_biofm.types import RecordingError, Signal

_DISPLAY = {"volts": ("mV", 1e3), "V": ("mV", 1e3), "amperes": ("pA", 1e12), "A": ("pA", 1e12)}
_PREFERRED = ("DfOverF", "Fluorescence")


def read_nwb(path: Path) -> Recording:
    """Open an NWB file: patch-clamp series as sweeps, else ROI responses as cells, else any series.

    Raises
    ------
    RecordingError
        If pynwb is missing, the file is damaged, or holds no series with a sampling rate.
    """
    pynwb = need("pynwb", path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            io = pynwb.NWBHDF5IO(str(path), "r", load_namespaces=True)
            with io:
                return _read(path, io.read(), pynwb)
    except RecordingError:
        raise
    except Exception as error:  # hdmf raises in many ways on a damaged file
        raise RecordingError(
            f"{path.name} is no readable NWB file ({type(error).__name__}: {error})"
        ) from error


def _read(path: Path, nwb: Any, pynwb: Any) -> Recording:
    acquired = [s for s in nwb.acquisition.values() if isinstance(s, pynwb.TimeSeries)]
    patch = [s for s in acquired if isinstance(s, pynwb.icephys.PatchClampSeries) and _rate(s)]
    if patch:
        return _intracellular(path, nwb, patch)
    cells = _roi_series(nwb, pynwb)
    if cells is not None:
        return _cells(path, nwb, cells)
    plain = [s for s in acquired if _rate(s) and _is_numeric(s)]
    if not plain:
        raise RecordingError(
            f"{path.name} holds no series with a sampling rate; series with timestamps are not read"
        )
    return _series(path, nwb, plain)


def _about(nwb: Any, kind: str) -> dict[str, Any]:
    return {
        "format": "NWB",
        "t0": nwb.session_start_time.replace(tzinfo=None) if nwb.session_start_time else None,
        "comment": nwb.session_description or "",
        "metadata": {"identifier": str(nwb.identifier), "kind": kind},
    }


@dataclass(frozen=True)
class _Stimulus:
    """The stimulus series of each sweep and channel."""

    traces: dict[tuple[int, int], tuple[H5Trace, tuple[float, float], str, float]]

    def __call__(self, sweep: int, channel: int) -> Signal | None:
        found = self.traces.get((sweep, channel))
        if found is None:
            return None
        trace, scale, unit, rate = found
        return Signal(scaled(trace[0 : trace.shape[0]], scale), rate, unit, sweep, channel)


def _intracellular(path: Path, nwb: Any, series: Sequence[Any]) -> Recording:
    """Return sweeps of electrodes; series without a sweep number follow each other in time."""
    by_channel: dict[tuple[str, str], list[Any]] = {}
    for one in series:
        by_channel.setdefault((one.electrode.name, _unit(one)[0]), []).append(one)
    for group in by_channel.values():
        group.sort(key=lambda s: (_sweep_number(s), float(s.starting_time or 0.0), s.name))
    n_sweeps = min(len(group) for group in by_channel.values())
    channels, scales = [], []
    arrays: list[list[Any]] = [[] for _ in range(n_sweeps)]
    stimuli: dict[tuple[int, int], tuple[H5Trace, tuple[float, float], str, float]] = {}
    for number, ((electrode, unit), group) in enumerate(by_channel.items()):
        channels.append(Channel(electrode, unit, _rate(group[0])))
        scales.append(_scale(group[0]))
        for sweep, one in enumerate(group[:n_sweeps]):
            arrays[sweep].append(_trace(path, one))
            stimulus = _stimulus_of(nwb, one)
            if stimulus is not None:
                stimuli[sweep, number] = (
                    _trace(path, stimulus), _scale(stimulus), _unit(stimulus)[0], _rate(stimulus)
                )  # fmt: skip
    first = next(iter(by_channel.values()))[:n_sweeps]
    starts = np.array([float(s.starting_time or 0.0) for s in first])
    return Recording(
        tuple(channels),
        ArraySamples(arrays, scales),
        starts,
        path=path,
        protocol=str(getattr(first[0], "stimulus_description", "") or ""),
        command_source=_Stimulus(stimuli) if stimuli else None,
        **_about(nwb, "intracellular"),
    )


def _stimulus_of(nwb: Any, response: Any) -> Any | None:
    """Return the stimulus that belongs to a response, by the recordings table or by sweep and electrode."""
    table = nwb.intracellular_recordings
    if table is not None:
        for row in range(len(table)):
            if table["responses"]["response"][row].timeseries is response:
                stimulus = table["stimuli"]["stimulus"][row].timeseries
                return stimulus if stimulus is not response else None
    for one in nwb.stimulus.values():
        same = getattr(one, "electrode", None) is response.electrode
        if same and _sweep_number(one) == _sweep_number(response) >= 0 and _rate(one):
            return one
    return None


def _roi_series(nwb: Any, pynwb: Any) -> Any | None:
    """Return dF/F of ROIs where there is one, else fluorescence."""
    found: list[tuple[int, Any]] = []
    for module in nwb.processing.values():
        for container in module.data_interfaces.values():
            kind = type(container).__name__
            if kind in _PREFERRED:
                found += [(_PREFERRED.index(kind), s) for s in container.roi_response_series.values()]
            elif isinstance(container, pynwb.ophys.RoiResponseSeries):
                found.append((len(_PREFERRED), container))
    usable = [(order, s) for order, s in found if _rate(s)]
    return min(usable, key=lambda pair: pair[0])[1] if usable else None


def _cells(path: Path, nwb: Any, series: Any) -> Recording:
    data = series.data
    n_cells = 1 if data.ndim == 1 else int(data.shape[1])
    rate = _rate(series)
    table = series.rois.table if series.rois is not None else None
    rows = [int(i) for i in series.rois.data[:]] if table is not None else list(range(n_cells))
    ids = [int(table.id[row]) + 1 for row in rows] if table is not None else [row + 1 for row in rows]
    unit = "dF/F" if "dff" in series.name.lower() or "DfOverF" in type(series.parent).__name__ else "a.u."
    channels = tuple(Channel(f"cell {ids[i]}", unit, rate, ids[i]) for i in range(n_cells))
    return Recording(
        channels,
        ArraySamples([[_trace(path, series, i) for i in range(n_cells)]]),
        np.array([float(series.starting_time or 0.0)]),
        path=path,
        rois=None if table is None else _masks(table, rows, ids),
        **_about(nwb, "ophys"),
    )


def _masks(table: Any, rows: Sequence[int], ids: Sequence[int]) -> NDArray[np.int32] | None:
    if "image_mask" not in table.colnames:
        return None
    labels: NDArray[np.int32] | None = None
    for row, label in zip(rows, ids, strict=True):
        mask = np.asarray(table["image_mask"][row]) > 0
        if mask.ndim != 2:
            return None
        if labels is None:
            labels = np.zeros(mask.shape, np.int32)
        labels[mask & (labels == 0)] = label
    return labels


def _series(path: Path, nwb: Any, series: Iterable[Any]) -> Recording:
    channels, traces, scales = [], [], []
    for one in series:
        width = 1 if one.data.ndim == 1 else int(one.data.shape[1])
        for i in range(width):
            channels.append(Channel(one.name if width == 1 else f"{one.name} {i}", _unit(one)[0], _rate(one)))
            traces.append(_trace(path, one, i))
            scales.append(_scale(one))
    return Recording(
        tuple(channels), ArraySamples([traces], scales), np.zeros(1), path=path, **_about(nwb, "time series")
    )


def _trace(path: Path, series: Any, column: int = 0) -> H5Trace:
    data = series.data
    index = None if data.ndim == 1 else column
    return H5Trace(str(path), data.name, (int(data.shape[0]),), index, axis=1)


def _unit(series: Any) -> tuple[str, float]:
    return _DISPLAY.get(series.unit, (clean_unit(str(series.unit)), 1.0))


def _scale(series: Any) -> tuple[float, float]:
    factor = _unit(series)[1]
    conversion = float(series.conversion if series.conversion is not None else 1.0)
    offset = float(getattr(series, "offset", 0.0) or 0.0)
    return conversion * factor, offset * factor


def _rate(series: Any) -> float:
    """Return Hz, 0 for a series that has time stamps instead."""
    return float(series.rate or 0.0)


def _sweep_number(series: Any) -> int:
    number = getattr(series, "sweep_number", None)
    return -1 if number is None else int(number)


def _is_numeric(series: Any) -> bool:
    data = series.data
    return getattr(data, "dtype", np.dtype(object)).kind in "iuf" and data.ndim <= 2 and data.size > 1
