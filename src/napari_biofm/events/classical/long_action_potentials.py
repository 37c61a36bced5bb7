"""Action potentials with a plateau or a slow upstroke: of heart cells, pacemaker cells, some neurons and glands.

They last 5 ms to 5 s, ten to a thousand times as long as those of most neurons, so that what looks for short ones finds only
an edge. Here they are told by what makes any action potential: the membrane depolarises by tens of millivolts, faster and faster
(it is regenerative; the charging of a passive membrane is steepest at its beginning), and comes back more slowly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.events.classical.ap import millivolts
from napari_biofm.events.gaps import runs
from napari_biofm.types import Trace

Floats = NDArray[np.float64]

LEAST_MV = 40.0  # of amplitude
PEAK_MV = -30.0  # that the potential rises above
WIDTH_S = (5e-3, 5.0)  # at half amplitude
COARSE_HZ = 2000.0
BLOCK = 200_000  # coarse samples read at a time
SMOOTH_S = 1e-3
FINE_S = 0.1e-3
AROUND_S = 0.5  # in which the potential before and after is looked for
REGENERATIVE = (
    0.4  # share of the rise from 20 to 80 % that is over at 50 %: .34 of a passive membrane, .5 of a sigmoid
)
SLOWER = 1.5  # times the rise, that the fall takes at least
FALL_S = 1e-3  # that the fall takes at least: no membrane, but an amplifier jumps
FOOT_S = 5e-3  # means in which the lowest potential before is looked for
RETURN = 0.3  # of the amplitude at most, by which the potential afterwards differs from that before


@dataclass(frozen=True)
class LongActionPotential:
    """One of them.

    Attributes
    ----------
    foot, peak, end : samples where it rises through a fifth of its amplitude, of its (first) peak, and where it has fallen
        through a fifth.
    rise : samples in which it rises from 20 to 80 %.
    amplitude : mV, from the lowest potential in the half second before.
    """

    foot: int
    peak: int
    end: int
    rise: int
    amplitude: float

    def rise_width(self, fs: float) -> int:
        """Return the samples over which its upstroke may be averaged: a fifth of the rise, .1 ms at least.

        Parameters
        ----------
        fs : Hz.
        """
        return max(1, round(FINE_S * fs), self.rise // 5)

    def fall_width(self, fs: float) -> int:
        """Return the same of its way down: a fiftieth of the time from peak to end.

        Parameters
        ----------
        fs : Hz.
        """
        return max(1, round(FINE_S * fs), (self.end - self.peak) // 50)


def long_action_potentials(signal: Trace) -> list[LongActionPotential]:
    """Return the long action potentials of a trace in order; those that gaps touch, or that do not end in it, are left out.

    Parameters
    ----------
    signal : one channel of one sweep; volts in any unit.
    """
    fs, factor = signal.sampling_rate, millivolts(signal.unit)
    step = max(1, int(fs // COARSE_HZ))
    n = len(signal.values) // step
    rate = fs / step
    if n < 20:
        return []
    coarse = np.empty(n)
    for a in range(0, n, BLOCK):  # long recordings stay on disk
        part = np.asarray(signal.values[a * step : min(a + BLOCK, n) * step], np.float32)
        coarse[a : a + BLOCK] = part.reshape(-1, step).mean(1, dtype=np.float64) * factor
    known = np.isfinite(coarse)
    if known.sum() < 20:
        return []
    low, high = np.quantile(coarse[known], [0.02, 0.9995])
    if high - low < LEAST_MV or high < PEAK_MV:
        return []
    coarse = np.where(known, coarse, low)
    smooth, level = (running_mean(coarse, max(1, round(seconds * rate))) for seconds in (SMOOTH_S, FOOT_S))
    middle, margin = 0.5 * (low + high), 0.1 * (high - low)  # noise on a slow fall does not make two of one
    above = [(a, b) for a, b in runs(smooth > middle - margin) if smooth[a:b].max() > middle + margin]
    around = max(2, round(AROUND_S * rate))
    found = []
    for i, (a, b) in enumerate(above):
        last, following = above[i - 1][1] if i else 0, above[i + 1][0] if i + 1 < len(above) else n
        before, after = max(last, a - around), min(following, b + around)
        if not WIDTH_S[0] <= (b - a) / rate <= WIDTH_S[1] or a - before < 2 or after - b < 2:
            continue
        if not known[before:after].all():
            continue
        foot, top = float(level[before:a].min()), float(smooth[a:b].max())
        if top - foot < LEAST_MV or top < PEAK_MV or level[b:after].min() - foot > RETURN * (top - foot):
            continue
        piece = np.asarray(signal.values[before * step : after * step], np.float64) * factor
        one = _regenerative(piece, (a - before) * step, (b - before) * step, foot, fs)
        if one is not None:
            first = before * step
            found.append(replace(one, foot=one.foot + first, peak=one.peak + first, end=one.end + first))
    return found


def _regenerative(x: Floats, up: int, down: int, foot: float, fs: float) -> LongActionPotential | None:
    """Return what rises through its half around `up` and falls around `down`, where it does so as an action potential."""
    fine, slow = max(1, round(FINE_S * fs)), max(1, round(SMOOTH_S * fs))
    smooth, peak, rise = running_mean(x, fine), up + int(np.argmax(x[up:down])), 0
    for _ in range(2):  # the second time as smooth as its own rise allows
        amplitude = float(smooth[peak] - foot)
        low, half, high = (foot + share * amplitude for share in (0.2, 0.5, 0.8))
        middle = _last_below(smooth, peak, half)
        begin, end = _last_below(smooth, middle, low), middle + _first(smooth[middle:] >= high)
        rise = end - begin
        smooth = running_mean(x, max(fine, rise // 5))
        peak = _first_peak(x, middle, down, max(slow, rise // 2))
    fallen = down + _first(smooth[down:] <= low)
    fall = fallen - _last_above(smooth, down, high)
    width = _width(running_mean(x, fine), middle, peak + max(slow, rise), foot)
    if amplitude < LEAST_MV or width < WIDTH_S[0] * fs or fall < max(SLOWER * rise, FALL_S * fs):
        return None
    if rise >= 8 * fine and middle - begin < REGENERATIVE * rise:
        return None
    return LongActionPotential(begin, peak, fallen, rise, amplitude)


def _width(x: Floats, up: int, stop: int, foot: float) -> int:
    """Return the samples of the peak between `up` and `stop` above six tenths: few of a short one on a depolarised stretch."""
    top = up + int(np.argmax(x[up : stop + 1]))
    level = foot + 0.6 * (x[top] - foot)
    return top + _first(x[top:] < level) - _last_below(x, top, level)


def _first_peak(x: Floats, up: int, down: int, width: int) -> int:
    """Return the highest place of the first peak after `up`: before a notch or a dome, if there is one."""
    slow = running_mean(x, width)
    slope = slow[width:] - slow[:-width]
    stop = min(up + _first(slope[up:down] <= 0), down) + width
    return up + int(np.argmax(running_mean(x, max(1, width // 4))[up : stop + 1]))


def running_mean(x: Floats, width: int) -> Floats:
    """Return the mean over `width` samples around each; the ends are repeated."""
    return np.asarray(scipy.ndimage.uniform_filter1d(x, width, mode="nearest"))


def _first(condition: NDArray[np.bool_]) -> int:
    """Return the first place where a condition holds; the end where it never does."""
    return int(np.argmax(condition)) if condition.any() else len(condition)


def _last_below(x: Floats, at: int, level: float) -> int:
    below = np.flatnonzero(x[:at] < level)
    return int(below[-1]) if len(below) else 0


def _last_above(x: Floats, at: int, level: float) -> int:
    above = np.flatnonzero(x[: at + 1] >= level)
    return int(above[-1]) if len(above) else 0
