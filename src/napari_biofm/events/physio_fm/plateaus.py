"""Plateaus of calcium: a trace that stays up for many seconds is one event, not a train of them."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.events.classical.common import clean
from napari_biofm.events.classical.oasis import spectral_noise
from napari_biofm.events.gaps import runs
from napari_biofm.types import Events, Trace

Floats = NDArray[np.float64]

SHORTEST_S = 8.0  # above half of the highest level
SMOOTH_S = 1.0
FLAT = 0.06  # of its height, what a plateau moves by around a slow course
ONSET_S = (1.5, 2.0)  # around its beginning: the first event stands for all
SURE = 4.0  # standard errors that a rise on a plateau needs
SHARE = 0.3  # of the height already reached


def plateaus(x: Floats, fs: float, white: float) -> list[tuple[float, float]]:
    """Return beginning and end (s) of flat stretches above half of the highest level, 8 s long or more.

    Parameters
    ----------
    x : (n,) trace without gaps. white : standard deviation of its white noise.
    """
    smooth = scipy.ndimage.uniform_filter1d(x, max(1, round(SMOOTH_S * fs)))
    floor = float(np.quantile(smooth, 0.1))
    found = []
    for a, b in runs(smooth - floor >= 0.5 * (smooth.max() - floor)):
        inner = smooth[a + round(1.5 * fs) : b - round(1.5 * fs)]
        if (b - a) / fs < SHORTEST_S or len(inner) < 3 * fs:
            continue
        t = np.linspace(-1, 1, len(inner))
        rest = inner - np.polyval(np.polyfit(t, inner, 2), t)
        quiet = 1.3 * white / np.sqrt(max(SMOOTH_S * fs, 1.0))
        if rest.std() <= max(FLAT * (float(np.median(inner)) - floor), quiet):
            found.append((a / fs, b / fs))
    return found


def one_per_plateau(signal: Trace, events: Events) -> Events:
    """Return calcium events without those that a plateau makes of itself.

    Around the beginning of a plateau the first event stays; on it, those that rise by four standard errors of the white noise
    and by 30 % of the height that is already reached.

    Parameters
    ----------
    signal : dF/F of one cell. events : of it, in order of time.
    """
    cleaned, _ = clean(signal, 64)
    if cleaned is None or len(events) < 2:
        return events
    x, fs = cleaned.values.astype(np.float64), signal.sampling_rate
    white = spectral_noise(x)
    keep, times = np.ones(len(events), bool), events["time_s"]
    for start, stop in plateaus(x, fs, white):
        on = np.flatnonzero((times >= start + ONSET_S[1]) & (times <= stop))
        sure, share = _rises(x, fs, white, times[on])
        keep[on[(sure < SURE) | (share < SHARE)]] = False
        onset = np.flatnonzero((times >= start - ONSET_S[0]) & (times < start + ONSET_S[1]))
        keep[onset[1:]] = False
    return events[keep]


def _rises(x: Floats, fs: float, white: float, times: Floats) -> tuple[Floats, Floats]:
    """Return by how much the trace rises at moments, in standard errors and of the height before."""
    width, reach = max(1, round(0.1 * fs)), max(2, round(0.3 * fs))
    smooth, floor = scipy.ndimage.uniform_filter1d(x, width), float(np.quantile(x, 0.1))
    sure, share = np.zeros(len(times)), np.zeros(len(times))
    for i, t in enumerate(times):
        at = int(t * fs)
        last = max(1, at - round(0.05 * fs))
        before = x[max(0, last - reach) : last]
        rise = float(smooth[at : at + max(2, round(0.6 * fs))].max(initial=before.mean()) - before.mean())
        sure[i] = rise / max(white * np.sqrt(1 / width + 1 / len(before)), 1e-12)
        share[i] = rise / max(float(before.mean()) - floor, 3 * white / np.sqrt(width), 1e-12)
    return sure, share
