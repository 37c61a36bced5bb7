"""Synaptic events: amplitude, rise, decay, area, interval."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from napari_biofm.events.features.definitions import Columns, Values, mean_sd
from napari_biofm.events.measuring.measure import is_measured, measure_events
from napari_biofm.types import Events, Trace

PSC_DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "amplitude": "peak minus baseline, with its sign, in the unit of the trace",
        "rise_20_80_ms": "time from 20 to 80 % of the amplitude",
        "rise_10_90_ms": "time from 10 to 90 % of the amplitude",
        "decay_ms": "time constant of one exponential",
        "decay_r2": "share of the variance after the peak that one exponential describes",
        "decay_fast_ms": "the shorter of two time constants, where two describe the decay better",
        "decay_slow_ms": "the longer of the two",
        "half_width_ms": "from half the amplitude on the way up to half the amplitude on the way down",
        "area": "integral above the baseline, in the unit of the trace times ms (pA ms = fC)",
        "interval_ms": "from the peak before (nan for the first)",
        "instantaneous_rate_Hz": "one over the interval",
    }
)
PSC_SWEEP_DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "n_events": "events of the sweep, without artefacts and rejected ones",
        "rate_Hz": "events per second of the sweep",
        "mean_amplitude": "mean amplitude, in the unit of the trace",
        "median_amplitude": "median amplitude, in the unit of the trace",
        "cv_amplitude": "standard deviation (n - 1) over mean of the amplitudes",
        "mean_interval_ms": "mean interval between peaks",
        "cv_interval": "standard deviation (n - 1) over mean of the intervals",
        "median_rise_20_80_ms": "median rise time",
        "median_decay_ms": "median decay time constant",
    }
)


def psc_features(signal: Trace, events: Events) -> Columns:
    """Return one value per event and column of `PSC_DEFINITIONS`, (n_events,) float64 each.

    The numbers are those of the event table; a table that was not measured (of an older file) is measured here.

    Parameters
    ----------
    signal : the trace the events come from.
    events : synaptic events of this sweep and channel, sorted by time.
    """
    table = measured(signal, events)
    interval = np.diff(events["time_s"], prepend=np.nan) * 1e3
    return {
        "amplitude": np.asarray(table["amplitude"], np.float64),
        "rise_20_80_ms": table["rise_s"] * 1e3,
        "rise_10_90_ms": table["rise_10_90_s"] * 1e3,
        "decay_ms": table["decay_s"] * 1e3,
        "decay_r2": table["decay_r2"],
        "decay_fast_ms": table["decay_fast_s"] * 1e3,
        "decay_slow_ms": table["decay_slow_s"] * 1e3,
        "half_width_ms": table["half_width_s"] * 1e3,
        "area": table["area"] * 1e3,
        "interval_ms": interval,
        "instantaneous_rate_Hz": np.where(interval > 0, 1e3 / np.where(interval > 0, interval, 1), np.nan),
    }


def measured(signal: Trace, events: Events) -> Events:
    """Return events of a trace as they are, or measured where the table is of an older file."""
    return events if is_measured(events) else measure_events(signal, events)


def psc_sweep(events: Events, duration_s: float) -> Values:
    """Return the columns of `PSC_SWEEP_DEFINITIONS` for the events of one sweep."""
    amplitude, sd = mean_sd(np.asarray(events["amplitude"], np.float64))
    interval, interval_sd = mean_sd(np.diff(events["time_s"]) * 1e3)
    return {
        "n_events": float(len(events)),
        "rate_Hz": len(events) / duration_s if duration_s > 0 else float("nan"),
        "mean_amplitude": amplitude,
        "median_amplitude": _median(events["amplitude"]),
        "cv_amplitude": abs(sd / amplitude) if amplitude else float("nan"),
        "mean_interval_ms": interval,
        "cv_interval": interval_sd / interval if interval else float("nan"),
        "median_rise_20_80_ms": 1e3 * _median(events["rise_s"]),
        "median_decay_ms": 1e3 * _median(events["decay_s"]),
    }


def _median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")
