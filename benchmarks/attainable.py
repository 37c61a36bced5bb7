"""The smallest error that any unbiased measurement of one event can have: the bound of Cramer and Rao, for measures.py.

An event ``(1 - exp(-t / rise)) exp(-t / decay)`` of unknown size, rise, decay, onset and baseline stands in Gaussian noise of
the recording's filter. The bound is the inverse of its Fisher information (Kay, Fundamentals of Statistical Signal Processing:
Estimation Theory, 1993, chapter 3). A measurement that pools the shape of many events may do better for each.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal as sps
from scipy.linalg import solve_toeplitz

from napari_biofm.simulate.synaptic import Wave

Floats = NDArray[np.float64]
FINE = 10  # points computed per sample
MEDIAN = 0.6745  # median absolute error of a normal error over its standard deviation
ONSET_S = 0.01


def _course(rise: float, decay: float, onset: float, fs: float, n: int, filter_hz: float | None) -> Floats:
    """Return an event as it is recorded, FINE points per sample."""
    t = np.arange(n * FINE) / (fs * FINE) - onset
    course = np.where(t >= 0, Wave(rise, decay).at(np.maximum(t, 0)), 0.0)
    if filter_hz:
        course = sps.sosfilt(sps.bessel(4, filter_hz, fs=fs * FINE, output="sos", norm="mag"), course)
    return np.asarray(course, np.float64)


def _rise(course: Floats, fs: float) -> float:
    top = int(np.argmax(course))
    low, high = np.interp((0.2, 0.8), course[: top + 1] / course[top], np.arange(top + 1))
    return float(high - low) / (fs * FINE)


def attainable(
    rate: float, rise_s: float, decay_s: float, snr: float, filter_hz: float | None
) -> dict[str, float]:
    """Return the least median error of amplitude, rise (20 to 80 %) and decay of one event, as fractions.

    Parameters
    ----------
    rate : Hz. rise_s, decay_s : time constants of the event. snr : amplitude over noise. filter_hz : None for none.
    """
    n = int((ONSET_S + 6 * decay_s + 4 * rise_s) * rate)
    peak = float(_course(rise_s, decay_s, ONSET_S, rate, n, filter_hz).max())
    at = np.array([1.0, rise_s, decay_s, ONSET_S, 0.0])
    step = np.array([1e-3, 1e-3 * rise_s, 1e-3 * decay_s, 1e-3 * rise_s, 1e-3])

    def seen(p: Floats) -> Floats:
        return p[0] * _course(p[1], p[2], p[3], rate, n, filter_hz)[::FINE] / peak + p[4]

    slopes = np.stack([(seen(at + d) - seen(at - d)) / (2 * d.max()) for d in np.diag(step)], 1)
    covariance = np.linalg.inv(slopes.T @ solve_toeplitz(_noise(rate, n, filter_hz), slopes) * snr**2)
    gradient = np.zeros(5)
    for k in (1, 2):
        less, more = at.copy(), at.copy()
        less[k], more[k] = 0.99 * at[k], 1.01 * at[k]
        both = [_rise(_course(p[1], p[2], p[3], rate, n, filter_hz), rate) for p in (less, more)]
        gradient[k] = (both[1] - both[0]) / (0.02 * at[k])
    true_rise = _rise(_course(rise_s, decay_s, ONSET_S, rate, n, filter_hz), rate)
    return {
        "amplitude": MEDIAN * float(np.sqrt(covariance[0, 0])),
        "rise_s": MEDIAN * float(np.sqrt(gradient @ covariance @ gradient)) / true_rise,
        "decay_s": MEDIAN * float(np.sqrt(covariance[2, 2])) / decay_s,
    }


def _noise(rate: float, n: int, filter_hz: float | None) -> Floats:
    """Return the autocorrelation of the noise, 1 at no lag."""
    if not filter_hz:
        return np.eye(1, n)[0]
    impulse = sps.sosfilt(
        sps.bessel(4, min(filter_hz, 0.45 * rate), fs=rate, output="sos", norm="mag"), np.eye(1, 4000)[0]
    )
    lags = np.correlate(impulse, impulse, "full")[len(impulse) - 1 :]
    lags = np.pad(lags / lags[0], (0, max(0, n - len(lags))))[:n]
    lags[0] += 1e-3  # what is not filtered, of the converter
    return np.asarray(lags, np.float64)
