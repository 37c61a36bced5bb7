"""Calcium events: rate, amplitude, decay, and how active a cell is."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from napari_biofm.events.classical.common import clean
from napari_biofm.events.classical.oasis import deconvolve
from napari_biofm.events.features.definitions import Columns, Values, mean_sd
from napari_biofm.types import Events, Trace

CALCIUM_DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "amplitude": "calcium added by the event, in the unit of the trace",
        "rise_20_80_ms": "time from 20 to 80 % of the way to the peak",
        "decay_ms": "time constant of one exponential from 80 % of the peak to the next event",
        "interval_ms": "from the event before (nan for the first)",
        "time_to_peak_ms": "from the event to the highest frame before the next one, within 2 s",
    }
)
CALCIUM_SWEEP_DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "n_events": "calcium events of the trace",
        "rate_Hz": "events per second of the trace",
        "mean_amplitude": "mean amplitude, in the unit of the trace",
        "median_decay_ms": "median decay time constant of the events",
        "noise": "standard deviation of the noise from the upper half of the spectrum, unit of the trace",
        "snr": "mean amplitude over noise",
        "model_decay_ms": "decay time constant of the deconvolution, from the autocovariance",
        "spike_rate_Hz": "inferred spikes per second, one spike being the usual small event; an estimate",
        "active_fraction": "fraction of time with calcium above three times the noise",
    }
)


def calcium_features(signal: Trace, events: Events) -> Columns:
    """Return one value per event and column of `CALCIUM_DEFINITIONS`, (n_events,) float64 each."""
    fs, n = signal.sampling_rate, len(events)
    first = np.clip(np.rint(events["time_s"] * fs).astype(np.intp), 0, max(len(signal.values) - 1, 0))
    stops = np.append(first[1:], len(signal.values))
    to_peak = np.full(n, np.nan)
    for i in range(n):
        piece = signal.values[first[i] : max(first[i] + 1, min(stops[i], first[i] + round(2 * fs)))]
        if np.isfinite(piece).any():
            to_peak[i] = np.nanargmax(piece) * 1e3 / fs
    return {
        "amplitude": np.asarray(events["amplitude"], np.float64),
        "rise_20_80_ms": events["rise_s"] * 1e3,
        "decay_ms": events["decay_s"] * 1e3,
        "interval_ms": np.diff(events["time_s"], prepend=np.nan) * 1e3,
        "time_to_peak_ms": to_peak,
    }


def calcium_sweep(signal: Trace, events: Events) -> Values:
    """Return the columns of `CALCIUM_SWEEP_DEFINITIONS` for one trace."""
    values: Values = dict.fromkeys(CALCIUM_SWEEP_DEFINITIONS, float("nan"))
    duration = len(signal.values) / signal.sampling_rate
    values["n_events"] = float(len(events))
    values["rate_Hz"] = len(events) / duration if duration else float("nan")
    values["mean_amplitude"] = mean_sd(np.asarray(events["amplitude"], np.float64))[0]
    decay = events["decay_s"][np.isfinite(events["decay_s"])]
    values["median_decay_ms"] = 1e3 * float(np.median(decay)) if len(decay) else float("nan")
    cleaned, _ = clean(signal, 16)
    if cleaned is not None:
        result = deconvolve(cleaned.values, signal.sampling_rate)
        values["noise"], values["model_decay_ms"] = result.noise, 1e3 * result.decay_s
        values["snr"] = values["mean_amplitude"] / result.noise
        values["spike_rate_Hz"] = float(result.activity.sum() / result.unit_jump / duration)
        values["active_fraction"] = float(np.mean(result.calcium > 3 * result.noise))
    return values
