"""Spikes per second from calcium traces, refused where the traces are no dF/F."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.api.signals import AnyRecording, WhichChannel, channels_of, opened, physio_fm
from napari_biofm.signals import Recording
from napari_biofm.types import RecordingError

_HIGHEST_BASE = 3.0  # dF/F has its baseline about 0; brightness does not


@dataclass(frozen=True, eq=False)
class SpikeRate:
    """Spike rates of cells.

    Attributes
    ----------
    rate : (n, T) float32, spikes/s; NaN in gaps, and for cells that have z-scores only.
    low, high : (n, T) float32, the band that holds the true rate in 90 % of frames.
    frame_rate : Hz.
    warnings : what the user should know.
    """

    rate: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    frame_rate: float
    warnings: tuple[str, ...] = ()


def spike_rate(
    traces: AnyRecording | NDArray[Any],
    *,
    frame_rate: float | None = None,
    channel: WhichChannel = None,
    rejected: bool = False,
) -> SpikeRate:
    """Infer spikes per second from calcium traces.

    Parameters
    ----------
    traces : recording of cells or its path; or dF/F (n, T) as a fraction (0.1 is 10 %), NaN marks gaps.
    frame_rate : Hz; needed for an array.
    channel : of a recording, counted from 0; None takes all cells that are not rejected.
    rejected : whether None takes rejected cells, too.

    Raises
    ------
    RecordingError
        If traces differ in length or rate, the frame rate is missing, or the traces are no dF/F.
    """
    said: tuple[str, ...] = ()
    if isinstance(traces, np.ndarray):
        if frame_rate is None:
            raise RecordingError("an array of traces does not say its frame rate; give frame_rate in Hz")
        rows, rate = np.atleast_2d(traces).astype(np.float32), float(frame_rate)
        _check_baseline(rows, "the array")
    else:
        recording = opened(traces)
        rows, rate, said = _calcium_rows(recording, channels_of(recording, channel, rejected))
    result, low, high = physio_fm().rate(rows, rate)
    return SpikeRate(result, low, high, rate, said)


def _calcium_rows(
    recording: Recording, chosen: list[int]
) -> tuple[NDArray[np.float32], float, tuple[str, ...]]:
    """Return dF/F as a fraction (n, T), NaN for cells of which there are z-scores only, and the frame rate."""
    from napari_biofm.events.physio_fm.input_encoding import network_unit

    units = {recording.channels[c].unit for c in chosen}
    others = units - {"dF/F", "%", "z", "%dF/F", "% dF/F"}
    if others or units == {"z"}:
        raise RecordingError(
            f"{recording.name} is in {', '.join(sorted(units))}: spike rates are inferred from dF/F only. Make it with "
            "`napari-biofm traces`, choose the part that holds it (--part), or say the unit if it is dF/F (--unit)."
        )
    rates = {recording.channels[c].sampling_rate for c in chosen}
    sweeps = [recording.sweep(sweep, c) for sweep in range(recording.n_sweeps) for c in chosen]
    if len(rates) != 1 or len({len(one.values) for one in sweeps}) != 1:
        raise RecordingError(f"{recording.name}: traces of different lengths or rates; choose one channel")
    rows = np.stack(
        [np.asarray(one.values[:], np.float32) * network_unit(one, "calcium")[1] for one in sweeps]
    )
    scored = np.array([one.unit == "z" for one in sweeps])
    rows[scored] = np.nan
    _check_baseline(rows, recording.name)
    n = int(scored.sum())
    words = f"{n} cell{'s' if n > 1 else ''} without an F0 to trust: no rate, for z-scores say none."
    return rows, rates.pop(), (words,) if n else ()


def _check_baseline(rows: NDArray[np.float32], name: str) -> None:
    """Refuse traces whose baseline is far from zero: they are brightness, whatever unit they say."""
    known = rows[np.isfinite(rows).any(axis=1)]
    if not len(known):
        return
    base = float(np.median(np.nanpercentile(known, 10, axis=1)))
    if abs(base) > _HIGHEST_BASE:
        raise RecordingError(
            f"{name} looks like raw brightness (baseline {base:.4g}), not dF/F: make dF/F of it first "
            "(`napari-biofm traces`)."
        )
