"""Spike trains: how many, how fast, how they adapt, whether they come in bursts."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.features.definitions import Values, mean_sd

Floats = NDArray[np.float64]
BURST_FACTOR = 2.0

TRAIN_DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "n_aps": "action potentials in the stretch looked at (the stimulus, or the whole sweep)",
        "mean_rate_Hz": "action potentials per second from the start of the step to the last of them; without a step, of the whole sweep",
        "rate_in_stretch_Hz": "action potentials per second of the stretch",
        "latency_ms": "from the start of the stretch to the first peak",
        "time_to_second_ms": "from the start of the stretch to the second peak",
        "time_to_last_ms": "from the start of the stretch to the last peak",
        "first_interval_ms": "between the first two peaks",
        "last_interval_ms": "between the last two peaks",
        "mean_interval_ms": "mean interval between peaks",
        "cv_interval": "standard deviation (n - 1) over mean of the intervals, the first left out",
        "irregularity_ms": "mean absolute difference of neighbouring intervals, the first left out",
        "adaptation_index": "mean of (next - this) / (next + this) over neighbours, first interval left out",
        "interval_log_slope": "slope of log interval against log number, the first interval left out",
        "interval_semilog_slope": "slope of log interval against number, the first interval left out",
        "first_interval_ratio": "second interval over the mean of all but the first",
        "n_early_aps": "action potentials in the first tenth of the stretch",
        "peak_drop_first_second_mV": "peak of the first minus peak of the second action potential",
        "peak_drop_second_last_mV": "peak of the second minus peak of the last action potential",
        "peak_drop_first_last_mV": "peak of the first minus peak of the last action potential",
        "largest_peak_drop_mV": "largest drop of the peak from one action potential to the next",
        "n_bursts": "runs of two or more action potentials at intervals below half the median interval",
        "aps_per_burst": "mean number of action potentials in a burst",
        "burst_rate_Hz": "mean over bursts of intervals per second within",
    }
)


def train_features(
    peak_s: Floats, peak_mv: Floats, start_s: float, stop_s: float, is_step: bool = True
) -> Values:
    """Return the columns of `TRAIN_DEFINITIONS`, nan where there are too few action potentials.

    Parameters
    ----------
    peak_s : (n,) times of the peaks, sorted.
    peak_mv : (n,) potentials of the peaks.
    start_s, stop_s : stretch that is looked at, usually the stimulus.
    is_step : whether it is a stimulus; without one, rates are those of the whole stretch.
    """
    inside = (peak_s >= start_s) & (peak_s <= stop_s)
    times, tops = peak_s[inside] - start_s, peak_mv[inside]
    n, length = len(times), max(stop_s - start_s, 1e-12)
    values: Values = dict.fromkeys(TRAIN_DEFINITIONS, float("nan"))
    values |= {"n_aps": float(n), "rate_in_stretch_Hz": n / length, "n_bursts": 0.0}
    values["n_early_aps"] = float(np.sum(times <= 0.1 * length))
    if n == 0:
        return values
    lasts = times[-1] if is_step else length
    values["mean_rate_Hz"] = n / lasts if lasts > 0 else float("nan")
    values["latency_ms"], values["time_to_last_ms"] = 1e3 * times[0], 1e3 * times[-1]
    if n < 2:
        return values
    drops = -np.diff(tops)
    values["time_to_second_ms"] = 1e3 * times[1]
    values["peak_drop_first_second_mV"] = drops[0]
    values["peak_drop_second_last_mV"] = tops[1] - tops[-1]
    values["peak_drop_first_last_mV"] = tops[0] - tops[-1]
    values["largest_peak_drop_mV"] = float(drops.max())
    return {k: float(v) for k, v in (values | interval_features(1e3 * np.diff(times))).items()}


def interval_features(interval: Floats) -> Values:
    """Return what only the intervals (ms, in order, at least one) tell."""
    later = interval[1:]
    mean, sd = mean_sd(later)
    values: Values = {
        "first_interval_ms": interval[0],
        "last_interval_ms": interval[-1],
        "mean_interval_ms": float(interval.mean()),
        "cv_interval": sd / mean if mean else float("nan"),
        "first_interval_ratio": later[0] / mean if len(later) else float("nan"),
    }
    if len(later) >= 2:
        change = np.diff(later)
        number = np.arange(1, len(later) + 1)
        values["irregularity_ms"] = float(np.abs(change).mean())
        values["adaptation_index"] = float((change / (later[1:] + later[:-1])).mean())
        values["interval_log_slope"] = float(np.polyfit(np.log(number), np.log(later), 1)[0])
        values["interval_semilog_slope"] = float(np.polyfit(number, np.log(later), 1)[0])
    return values | burst_features(interval)


def burst_features(interval: Floats) -> Values:
    """Return number, size and rate of bursts: intervals below the median over `BURST_FACTOR`."""
    short = interval < np.median(interval) / BURST_FACTOR
    edges = np.diff(np.concatenate([[0], short.astype(int), [0]]))
    begin, end = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)
    if not len(begin):
        return {"n_bursts": 0.0}
    inside = [interval[a:b] for a, b in zip(begin, end, strict=True)]
    return {
        "n_bursts": float(len(begin)),
        "aps_per_burst": float(np.mean([len(one) + 1 for one in inside])),
        "burst_rate_Hz": float(np.mean([1e3 / one.mean() for one in inside])),
    }
