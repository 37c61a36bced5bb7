"""The shape of an event: a rise and one or two exponential decays, as a recording shows it.

``(1 - exp(-t / rise)) exp(-t / decay)`` from the onset on, smoothed by a Gaussian: what the filter of the amplifier
does to it, or a rise that begins gently. A second decay constant is used where the trace asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.events.measuring.bins import Bins, Floats

_STEEPEST = 6.0  # an exponential shorter than the smoothing by more than this looks the same
_RISING, _FALLING = 64, 64  # places at which a shape is looked at for its peak and crossings


@dataclass(frozen=True)
class Shapes:
    """Events, (n_events,) each; times in samples.

    Attributes
    ----------
    onset : between samples.
    rise : time constant of the rise.
    smooth : standard deviation of the Gaussian.
    decay, second : time constants of the decay; the second one counts where its size is not 0.
    size, second_size : of the two decays, before the shape is scaled to its peak, with their sign.
    offset : baseline.
    """

    onset: Floats
    rise: Floats
    smooth: Floats
    decay: Floats
    second: Floats
    size: Floats
    second_size: Floats
    offset: Floats

    @property
    def to_peak(self) -> Floats:
        """From onset to peak, of the first decay and without smoothing: the time scale of the rise."""
        return np.asarray(self.rise * np.log1p(self.decay / self.rise) + self.smooth)

    @property
    def length(self) -> Floats:
        """The longer decay constant."""
        return np.where(self.second_size != 0, np.maximum(self.decay, self.second), self.decay)

    @property
    def sign(self) -> Floats:
        """+1 upward, -1 downward, 0 where nothing was found."""
        return np.asarray(np.sign(self.size + self.second_size))

    @property
    def area(self) -> Floats:
        """Integral above the baseline, in unit times samples."""
        parts = []
        for decay, size in ((self.decay, self.size), (self.second, self.second_size)):
            parts.append(size * (decay - self.rise * decay / (self.rise + decay)))
        return np.asarray(parts[0] + parts[1])

    def take(self, rows: NDArray[Any]) -> Shapes:
        """Return some events."""
        return Shapes(*(getattr(self, name)[rows] for name in FIELDS))

    def put(self, rows: NDArray[Any], other: Shapes) -> Shapes:
        """Return these events with some of them replaced."""
        made = {name: getattr(self, name).copy() for name in FIELDS}
        for name in FIELDS:
            made[name][rows] = getattr(other, name)
        return replace(self, **made)


FIELDS = ("onset", "rise", "smooth", "decay", "second", "size", "second_size", "offset")


def unit_shape(late: Floats, rise: Floats, decay: Floats) -> Floats:
    """Return the shape without smoothing, unscaled, `late` samples after the onset; 0 before it."""
    late = np.clip(late, 0, None)
    return np.asarray(-np.expm1(-late / rise) * np.exp(-late / decay))


def smoothed(late: Floats, smooth: Floats, rate: Floats) -> tuple[Floats, Floats]:
    """Return an exponential that begins at 0 and falls at a rate, convolved with a Gaussian; and the rate used."""
    rate = np.minimum(rate, _STEEPEST / smooth)
    steep = rate * smooth
    return np.exp(np.minimum(0.5 * steep**2 - rate * late, 40.0)) * scipy.special.ndtr(
        late / smooth - steep
    ), rate


def in_bins(shapes: Shapes, bins: Bins) -> Floats:
    """Return (n_events, n_bins) the mean of each event in its bins, without the baseline."""
    late = bins.centre - shapes.onset[:, None]
    smooth = np.sqrt(shapes.smooth[:, None] ** 2 + bins.half**2 / 3)
    out = np.zeros_like(late)
    for decay, size in ((shapes.decay, shapes.size), (shapes.second, shapes.second_size)):
        rows = np.flatnonzero(size)
        if not len(rows):
            continue
        every = len(rows) == len(size)
        u, s = (late, smooth) if every else (late[rows], smooth[rows])
        slow = 1 / decay[rows, None]
        one = smoothed(u, s, slow)[0] - smoothed(u, s, slow + 1 / shapes.rise[rows, None])[0]
        out[rows] += size[rows, None] * one
    return out


@dataclass(frozen=True)
class Curve:
    """The course of each event between its samples.

    Attributes
    ----------
    time : (n_events, n) samples. value : above the baseline, upright: positive at the peak.
    at : (n_events,) index of the highest value. peak, height : of the peak between them.
    """

    time: Floats
    value: Floats
    at: NDArray[np.intp]
    peak: Floats
    height: Floats

    def crossing(self, part: float) -> tuple[Floats, Floats]:
        """Return when each event crosses a part of its height on the way up, and down (NaN if it does not)."""
        n = self.value.shape[1]
        column, rows = np.arange(n), np.arange(len(self.value))
        level = (part * self.height)[:, None]
        below = self.value < level
        before, after = below & (column < self.at[:, None]), below & (column > self.at[:, None])
        last = n - 1 - np.argmax(before[:, ::-1], axis=1)
        first = np.argmax(after, axis=1)
        found = []
        for low, high, there in (
            (last, np.minimum(last + 1, n - 1), before),
            (first, np.maximum(first - 1, 0), after),
        ):
            a, b = self.value[rows, low], self.value[rows, high]
            share = (level[:, 0] - a) / np.where(b != a, b - a, 1)
            place = self.time[rows, low] + np.clip(share, 0, 1) * (
                self.time[rows, high] - self.time[rows, low]
            )
            found.append(np.where(there.any(axis=1), place, np.nan))
        return found[0], found[1]

    def slope(self, time: Floats) -> Floats:
        """Return the slope of each event at a time, per sample."""
        rows = np.arange(len(self.value))
        at = np.clip((self.time < np.nan_to_num(time)[:, None]).sum(1), 1, self.value.shape[1] - 1)
        rise = self.value[rows, at] - self.value[rows, at - 1]
        return np.asarray(rise / np.maximum(self.time[rows, at] - self.time[rows, at - 1], 1e-12))


def curve(shapes: Shapes) -> Curve:
    """Return the course of events, from before the onset to eight decay constants after it."""
    begin = shapes.onset - 3.5 * shapes.smooth - 0.02 * shapes.to_peak
    turn = shapes.onset + 1.6 * shapes.to_peak + 2 * shapes.smooth
    rising = begin[:, None] + (turn - begin)[:, None] * np.linspace(0, 1, _RISING)
    fall = (8 * shapes.length)[:, None] * (np.geomspace(1, 60, _FALLING + 1)[1:] - 1) / 59
    time = np.concatenate([rising, turn[:, None] + fall], axis=1)
    sign = np.where(shapes.sign == 0, 1.0, shapes.sign)[:, None]
    value = sign * in_bins(shapes, Bins(0 * time, np.ones_like(time), time, 0 * time))
    at = np.clip(np.argmax(value, axis=1), 1, time.shape[1] - 2)
    rows = np.arange(len(at))
    left, here, right = (value[rows, at + k] for k in (-1, 0, 1))
    one, two = time[rows, at] - time[rows, at - 1], time[rows, at + 1] - time[rows, at]
    before, after = (here - left) / one, (right - here) / two
    bend = np.minimum((after - before) / (0.5 * (one + two)), -1e-300)
    middle = 0.5 * (before + after) + 0.25 * bend * (one - two)
    move = np.clip(-middle / bend, -0.5 * one, 0.5 * two)
    height = here + middle * move + 0.5 * bend * move**2
    return Curve(time, value, at, time[rows, at] + move, np.maximum(height, here))
