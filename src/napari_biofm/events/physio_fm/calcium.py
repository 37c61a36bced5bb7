"""Fluorescence -> spikes per second, with a band; the size and course of transients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.physio_fm.resampling import BATCH, ResampledTrace, choose_resampling, windows
from napari_biofm.events.physio_fm.runner import NetworkRunner
from napari_biofm.types import Events, Trace

LONGEST = 5_000_000  # frames; whatever is longer is no fluorescence, and is not held in memory
BAND_SMOOTHING = 0.05  # s, standard deviation of the Gaussian under which the band holds


def spike_rate(
    runner: NetworkRunner, dff: NDArray[Any], sampling_rate: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return the expected spike rate of every cell and its 90 % band; see `PhysioFM.rate`."""
    traces = np.atleast_2d(np.asarray(dff, np.float32))
    n_cells, length = traces.shape
    out = np.zeros((n_cells, length), np.float32)
    if length < 3:
        return out, out.copy(), out.copy()
    resampling = choose_resampling(sampling_rate, "calcium")
    jobs: list[tuple[int, Any, NDArray[np.float32]]] = []
    expected = np.zeros(-(-length * resampling.dense // resampling.thin) + 1, np.float32)
    per_cell = np.zeros((n_cells, len(expected)), np.float32)
    pending = [(i, w) for i in range(n_cells) for w in windows(ResampledTrace(traces[i], resampling).length)]
    readers = [ResampledTrace(traces[i], resampling) for i in range(n_cells)]
    for k, (i, w) in enumerate(pending):
        jobs.append((i, w, readers[i].read(w.start, w.stop)[0]))
        if len(jobs) < BATCH and k + 1 < len(pending):
            continue
        sample = runner.run(np.stack([j[2] for j in jobs]), resampling.sampling_rate, "dF/F", "calcium")[
            "sample"
        ]
        for (cell, w_, x), one in zip(jobs, sample, strict=True):
            part = slice(w_.first - w_.start, w_.last - w_.start)
            flat = float(np.ptp(x)) == 0.0
            per_cell[cell, w_.first : w_.last] = 0 if flat else np.exp(np.clip(one[part, 3], -14, 5))
        jobs = []
    if resampling.dense > 1:
        out = (
            per_cell[:, : length * resampling.dense].reshape(n_cells, length, resampling.dense).sum(2)
            * sampling_rate
        )
    else:
        out = np.repeat(per_cell, resampling.thin, axis=1)[:, :length] * resampling.sampling_rate
    out = (out * rate_gain(out, runner.card.get("rate_gain"))[:, None]).astype(np.float32)
    out[~np.isfinite(traces)] = np.nan
    low, high = band(out, sampling_rate, runner.card.get("rate_band"))
    return out, low, high


def rate_describes(rate: NDArray[Any]) -> NDArray[np.float64]:
    """Return what the gain of a cell's rate depends on, (n_cells, 2): the logarithm of its mean, the share of its top 5 %."""
    n = rate.shape[1]
    total = np.maximum(rate.sum(1, dtype=np.float64), 1e-9)
    top = np.sort(rate, axis=1)[:, n - max(1, n // 20) :].sum(1, dtype=np.float64)
    return np.stack([np.log(np.maximum(total / n, 1e-3)), top / total], axis=1)


def rate_gain(rate: NDArray[Any], table: Mapping[str, Any] | None) -> NDArray[np.float64]:
    """Return the factor that brings the network's expected spikes to those counted, (n_cells,); 1 without a table.

    The network spreads spikes it is not sure of over the quiet stretches of weak cells: the lower and the flatter a rate, the
    more of it is too much. The numbers come from kept-back cells with simultaneous recordings (training/physio/counts.py).
    """
    if table is None:
        return np.ones(len(rate))
    described = (rate_describes(rate) - np.asarray(table["middle"])) / np.asarray(table["spread"])
    return np.asarray(
        np.exp(np.clip(described @ np.asarray(table["weights"]) + table["bias"], *table["limits"]))
    )


def with_transients(signal: Trace, events: Events, least: float) -> Events:
    """Return calcium events with amplitude, rise and decay read from the trace.

    The network names the first spike, where the transient has not risen yet. What follows is measured with
    the tools of the deconvolution (`classical.oasis.transients`): the calcium added, the rise from 20 to
    80 %, the decay up to the next event whose score is at least `least`.
    """
    from napari_biofm.events.classical.common import clean
    from napari_biofm.events.classical.oasis import deconvolve, transients

    if not len(events) or len(signal.values) > LONGEST:
        return events
    cleaned, _ = clean(replace(signal, values=np.asarray(signal.values[:])), 16)
    if cleaned is None:
        return events
    fs = signal.sampling_rate
    result = deconvolve(cleaned.values, fs)
    first = np.clip((events["time_s"] * fs).astype(np.intp), 0, len(cleaned.values) - 1)
    strong = events["score"] >= least
    passes = [strong] if strong.all() else [np.ones_like(strong), strong]  # weak ones do not cut the others
    for chosen in passes:
        shape, added = transients(result, first[chosen], fs)
        events["amplitude"][chosen] = np.where(added > 0, added, np.maximum(shape.amplitude, 0))
        events["rise_s"][chosen], events["decay_s"][chosen] = shape.rise_s, shape.decay_s
    return events


def band(
    rate: NDArray[np.float32], sampling_rate: float, table: dict[str, Any] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the 5 and 95 % quantiles of the true rate (smoothed with 50 ms) given the model's, by a
    measured table.
    """
    from scipy.ndimage import gaussian_filter1d

    steady = gaussian_filter1d(np.nan_to_num(rate), max(BAND_SMOOTHING * sampling_rate, 0.3), axis=1)
    if table is None:
        spread = 1.645 * np.sqrt(np.maximum(steady, 0) / (2 * np.sqrt(np.pi) * BAND_SMOOTHING))
        return np.maximum(steady - spread, 0).astype(np.float32), (steady + spread).astype(np.float32)
    low, high = (np.interp(steady, table["rate"], table[k]).astype(np.float32) for k in ("low", "high"))
    return np.minimum(low, steady), np.maximum(high, steady)
