"""Synaptic events: amplitude, rise, decay, area, interval."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from napari_biofm.events.classical.kinetics import windows
from napari_biofm.events.features.definitions import Columns, Values, mean_sd
from napari_biofm.types import Events, Trace

PSC_DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "amplitude": "peak minus the mean just before the onset, with its sign, in the unit of the trace",
        "rise_20_80_ms": "time from 20 to 80 % of the amplitude",
        "decay_ms": "time constant of one exponential from 80 % of the amplitude to the next event",
        "half_width_ms": "from half the amplitude on the way up to half the amplitude on the way down",
        "area": "integral over baseline from 2 ms before the peak to three decay times after it or the next "
        "event, in the unit of the trace times ms (pA ms = fC)",
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
_BEFORE_S = 2e-3


def psc_features(signal: Trace, events: Events) -> Columns:
    """Return one value per event and column of `PSC_DEFINITIONS`, (n_events,) float64 each.

    Parameters
    ----------
    signal : the trace the events come from.
    events : synaptic events of this sweep and channel, sorted by time.
    """
    fs, n = signal.sampling_rate, len(events)
    peak = np.clip(np.rint(events["time_s"] * fs).astype(np.intp), 0, max(len(signal.values) - 1, 0))
    interval = np.diff(events["time_s"], prepend=np.nan) * 1e3
    decay = np.where(np.isfinite(events["decay_s"]), events["decay_s"], 5e-3)
    room = np.diff(events["time_s"], append=np.inf)
    area, width = np.full(n, np.nan), np.full(n, np.nan)
    before = max(1, round(_BEFORE_S * fs))
    for i in range(n):
        after = max(2, round(min(3 * decay[i], room[i], 0.5) * fs))
        start = peak[i : i + 1] - 2 * before
        piece = windows(signal.values, start, 2 * before + after)[0]
        foot = piece[: before // 2 + 1]
        piece = piece - (np.nanmean(foot) if np.isfinite(foot).any() else 0.0)
        area[i] = float(np.nansum(piece[before:])) * 1e3 / fs
        width[i] = _half_width(piece, 2 * before, events["amplitude"][i]) * 1e3 / fs
    return {
        "amplitude": np.asarray(events["amplitude"], np.float64),
        "rise_20_80_ms": events["rise_s"] * 1e3,
        "decay_ms": events["decay_s"] * 1e3,
        "half_width_ms": width,
        "area": area,
        "interval_ms": interval,
        "instantaneous_rate_Hz": np.where(interval > 0, 1e3 / np.where(interval > 0, interval, 1), np.nan),
    }


def _half_width(piece: np.ndarray, peak: int, amplitude: float) -> float:
    """Return samples at half amplitude around `peak`; nan if one flank is cut off."""
    upright = piece * np.sign(amplitude)
    below = upright < 0.5 * abs(amplitude)
    up, down = np.flatnonzero(below[:peak]), np.flatnonzero(below[peak:])
    return float(peak + down[0] - up[-1] - 1) if len(up) and len(down) else float("nan")


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
