"""Heart rate variability (Task Force of the ESC and NASPE, Circulation 93:1043, 1996)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.events.features.definitions import Columns, Values, mean_sd
from napari_biofm.types import Events

Floats = NDArray[np.float64]
_NAN = float("nan")
_RESAMPLED_HZ = 4.0
_SHORTEST_S = 60.0  # recordings shorter than this have no low-frequency power worth the name

BEAT_DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "interval_ms": "from the R peak before (nan for the first)",
        "heart_rate_bpm": "60,000 over the interval",
        "normal": "1 if the interval is within 20 % of the median of the 11 around it, else 0",
    }
)
HRV_DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "n_beats": "R peaks",
        "mean_heart_rate_bpm": "60,000 over the mean normal interval",
        "mean_nn_ms": "mean of the normal intervals",
        "sdnn_ms": "standard deviation (n - 1) of the normal intervals",
        "rmssd_ms": "root mean square of the differences of neighbouring normal intervals",
        "pnn50_percent": "share of such differences above 50 ms",
        "sd1_ms": "Poincare plot, across: standard deviation of the differences over sqrt(2)",
        "sd2_ms": "Poincare plot, along: sqrt(2 sdnn^2 - sd1^2)",
        "lf_ms2": "power from 0.04 to 0.15 Hz (Welch) of the intervals, splined at 4 Hz; from 60 s on",
        "hf_ms2": "power from 0.15 to 0.4 Hz",
        "lf_over_hf": "ratio of the two",
        "abnormal_percent": "share of intervals that are not normal",
    }
)


def beat_features(events: Events) -> Columns:
    """Return one value per R peak and column of `BEAT_DEFINITIONS`, (n_beats,) float64 each."""
    interval = np.diff(events["time_s"], prepend=np.nan) * 1e3
    normal = np.concatenate([[np.nan], normal_intervals(interval[1:]).astype(float)])[: len(interval)]
    rate = np.where(interval > 0, 6e4 / np.where(interval > 0, interval, 1), np.nan)
    return {"interval_ms": interval, "heart_rate_bpm": rate, "normal": normal}


def normal_intervals(interval: Floats) -> NDArray[np.bool_]:
    """Return which intervals are within 20 % of the median of the 11 around them."""
    if not len(interval):
        return np.zeros(0, bool)
    padded = np.pad(interval, 5, mode="reflect" if len(interval) > 5 else "edge")
    usual = np.median(np.lib.stride_tricks.sliding_window_view(padded, 11), axis=1)
    return np.asarray(np.abs(interval - usual) <= 0.2 * usual)


def hrv_features(times: Floats) -> Values:
    """Return the columns of `HRV_DEFINITIONS`.

    Parameters
    ----------
    times : (n_beats,) s, sorted R peaks.
    """
    values: Values = dict.fromkeys(HRV_DEFINITIONS, _NAN) | {"n_beats": float(len(times))}
    interval = np.diff(times) * 1e3
    normal = normal_intervals(interval)
    if normal.sum() < 2:
        return values
    nn = interval[normal]
    change = np.diff(interval)[normal[1:] & normal[:-1]]
    mean, sd = mean_sd(nn)
    values |= {"mean_nn_ms": mean, "sdnn_ms": sd, "mean_heart_rate_bpm": 6e4 / mean}
    values["abnormal_percent"] = 100 * float(1 - normal.mean())
    if len(change) >= 2:
        sd1 = mean_sd(change)[1] / np.sqrt(2)
        values["rmssd_ms"] = float(np.sqrt(np.mean(change**2)))
        values["pnn50_percent"] = 100 * float(np.mean(np.abs(change) > 50))
        values["sd1_ms"] = float(sd1)
        values["sd2_ms"] = float(np.sqrt(max(2 * sd**2 - sd1**2, 0.0)))
    return values | _bands(times[1:][normal], nn)


def _bands(times: Floats, nn: Floats) -> Values:
    """Return low- and high-frequency power of normal intervals."""
    if len(nn) < 20 or times[-1] - times[0] < _SHORTEST_S:
        return {}
    grid = np.arange(times[0], times[-1], 1 / _RESAMPLED_HZ)
    even = scipy.signal.detrend(scipy.interpolate.CubicSpline(times, nn)(grid))
    frequency, power = scipy.signal.welch(even, _RESAMPLED_HZ, nperseg=min(len(even), 256))
    step = frequency[1] - frequency[0]
    low, high = (
        float(power[(frequency >= a) & (frequency < b)].sum() * step) for a, b in ((0.04, 0.15), (0.15, 0.4))
    )
    return {"lf_ms2": low, "hf_ms2": high, "lf_over_hf": low / high if high > 0 else _NAN}
