"""Synaptic currents and potentials: the fit of every event of a stretch of trace.

An event is fitted in a window of its own length; the tails of the events before it are taken away as their fits go
on, and the window ends where the next event begins. Clear events of one direction tell the usual shape of the small
ones. A second decay constant is taken where the trace asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.measuring.bins import N_BEFORE, N_BINS, Bins, Floats, Sums, around
from napari_biofm.events.measuring.coarse import grid
from napari_biofm.events.measuring.fitting import Fit, Prior, fit
from napari_biofm.events.measuring.shapes import Shapes, in_bins

_LAGS = 12  # events before one whose tails are taken away
_GUARD_S = 0.15e-3  # between a window and its neighbour
_SURE = 12.0  # size over its standard error from which an event tells of the usual shape
_LEAST_SPREAD = 0.1, 0.35  # of the logarithm of a time constant among many and few events of one direction
_FEWEST, _MANY = 5, 12
_WAVES = 6  # events of a pile that are fitted one after the other; later ones together
_CONVINCING = 15.0  # F of a second decay: two more parameters
_LEAST_SHARE = 0.07  # of either decay


@dataclass(frozen=True)
class Fitted:
    """Events with their fits.

    Attributes
    ----------
    fit : shapes, errors and what is left over.
    bins : the trace around each event without its neighbours.
    first, last : (n_events,) limits of the windows, samples.
    noise : (n_events,) standard deviation of one sample.
    overlaps : which events begin on the tail of another one.
    single : the fit with one decay.
    """

    fit: Fit
    bins: Bins
    first: Floats
    last: Floats
    noise: Floats
    overlaps: NDArray[np.bool_]
    single: Fit


def sample_noise(values: NDArray[np.floating]) -> float:
    """Return a lower bound of the noise of one sample: from differences between neighbours."""
    x = np.asarray(values[: 1 << 20], np.float64)
    steps = np.diff(x)
    steps = steps[np.isfinite(steps)]
    steps = steps[:: max(1, len(steps) // 100_000)]
    return float(np.median(np.abs(steps - np.median(steps))) / 0.6745 / np.sqrt(2)) if len(steps) else 0.0


def fit_events(sums: Sums, at: Floats, sign: Floats, sampling_rate: float, noise: float) -> Fitted:
    """Fit every event of a stretch of trace.

    Parameters
    ----------
    at : (n_events,) samples, sorted, where a detector marked events.
    sign : (n_events,) +1 or -1; 0 where it is not known.
    sampling_rate : Hz.
    noise : least standard deviation of one sample.
    """
    work = _Work(sums, at, sign, sampling_rate, max(noise, 1e-12))
    work.fit(np.arange(len(at)), rough=True)
    work.use_what_is_usual()
    place = _places(_near(work.shapes))
    for k in range(
        min(int(place.max(initial=0)), _WAVES) + 1
    ):  # along each pile of events, one after the other
        work.fit(np.flatnonzero(np.minimum(place, _WAVES) == k))
    near = _near(work.shapes)
    again = np.flatnonzero(near | np.append(near[1:], False))
    for _ in range(2 if len(again) else 0):
        work.limit()
        work.prior = _usual(work.made, work.sign, work.at)[0]
        work.fit(again)
    single = work.made
    work.fit_second_decays()
    start = Bins(*(np.zeros((len(at), 1)) for _ in range(4)))
    start = Bins(start.y, start.count + 1, work.shapes.onset[:, None], start.half)
    overlaps = np.abs(tails(work.shapes, start, np.arange(len(at))))[:, 0] > 0.02 * np.abs(work.shapes.size)
    return Fitted(work.made, work.bins, work.first, work.last, work.level, overlaps, single)


class _Work:
    """The fits of a stretch of trace while they are made.

    Attributes
    ----------
    shapes : as they are known; what is fitted next begins there.
    made, bins : the last fit of each event and the trace it was made on.
    first, last : limits of the windows, samples.
    level : noise of one sample. prior : of the shapes.
    """

    def __init__(self, sums: Sums, at: Floats, sign: Floats, sampling_rate: float, noise: float) -> None:
        n, gap = len(at), np.diff(at)
        self.sums, self.at, self.sign, self.noise = sums, at, sign, noise
        self.guard, self.least = max(1.0, _GUARD_S * sampling_rate), max(12.0, 1e-3 * sampling_rate)
        self.first = np.concatenate([[0.0], at[:-1] + np.minimum(self.guard, 0.3 * gap)])
        self.last = np.concatenate([at[1:] - np.minimum(3 * self.guard, 0.4 * gap), [float(sums.n)]])
        longest = int(min(sums.n, 12 * sampling_rate))
        self.shapes = grid(sampling_rate, longest).best(sums, at, sign, self.first, self.last, noise)
        self.level = np.full(n, noise)
        logs = np.log(np.stack([self.shapes.rise, self.shapes.smooth, self.shapes.decay], 1))
        self.prior = Prior(logs, np.tile([1e6, 1.0, 1e6], (n, 1)))
        empty = np.zeros((n, N_BINS))
        self.bins = Bins(empty, empty, empty, empty)
        self.made = Fit(self.shapes, np.ones((n, 3)), np.ones(n), empty)

    def fit(self, rows: NDArray[np.intp], *, rough: bool = False) -> None:
        """Fit some events around what is known of all; roughly: with neighbours still in the trace."""
        fitted, noise = self.shapes.take(rows), self.level[rows]
        first, last = self.first[rows], self.last[rows]
        bins = around(self.sums, fitted.onset, fitted.to_peak, fitted.length, first, last, self.least)
        if not rough:
            bins = Bins(bins.y - tails(self.shapes, bins, rows), bins.count, bins.centre, bins.half)
        weight = bins.count if rough else bins.count * _trusted(bins, fitted, noise)
        reach = np.maximum(1.2 * fitted.to_peak, 6 * self.guard)
        made = fit(bins, weight, fitted, noise, self.prior.take(rows), reach)
        made = _sound(made, fitted, self.sign[rows], first, last)
        self.made, self.bins = self.made.put(rows, made), self.bins.put(rows, bins)
        self.shapes = self.made.shapes
        self.level = _noise_levels(self.made, self.bins, self.noise)

    def limit(self) -> None:
        """Let the windows reach from the peak before to the onset after."""
        shapes, there = self.shapes, self.shapes.sign != 0
        gap = np.diff(self.at)
        peak = np.where(there, shapes.onset + shapes.to_peak, self.at)
        onset = np.where(there, shapes.onset - 2 * shapes.smooth, self.at - self.guard)
        peak[:-1] = np.minimum(peak[:-1], self.at[:-1] + 0.5 * gap)
        onset[1:] = np.maximum(onset[1:], self.at[1:] - 0.5 * gap)
        # what turned out to be no event limits no window
        before = np.maximum.accumulate(np.where(there, peak, -np.inf))[:-1]
        after = np.minimum.accumulate(np.where(there, onset, np.inf)[::-1])[::-1][1:]
        first = np.concatenate([[0.0], np.maximum(before + self.guard, 0)])
        last = np.concatenate([np.minimum(after - 0.5 * self.guard, self.sums.n), [float(self.sums.n)]])
        first = np.minimum(first, np.maximum(shapes.onset - 3, 0))
        last = np.maximum(last, shapes.onset + shapes.to_peak + np.maximum(3.0, 0.2 * shapes.to_peak))
        marks = np.minimum.accumulate(np.where(there, np.maximum(self.at, onset), np.inf)[::-1])[::-1]
        last[:-1] = np.minimum(last[:-1], marks[1:])
        self.first, self.last = np.clip(first, 0, self.sums.n), np.clip(last, 0, self.sums.n)

    def use_what_is_usual(self) -> None:
        """Learn from clear events, and begin small ones with their shape."""
        self.limit()
        self.prior, self.shapes = _usual(self.made, self.sign, self.at)

    def fit_second_decays(self) -> None:
        """Give a second decay to events that ask for it."""
        self.made = _with_second_decay(self.made, self.bins, self.level, self.prior, self.guard)
        self.shapes = self.made.shapes


def tails(shapes: Shapes, bins: Bins, rows: NDArray[np.intp]) -> Floats:
    """Return what the events before each one contribute to its bins.

    Parameters
    ----------
    shapes : of all events, sorted.
    bins : of the events `rows`.
    """
    out = np.zeros_like(bins.y)
    ends = shapes.onset + shapes.to_peak + 8 * shapes.length
    for lag in range(1, _LAGS + 1):
        before = rows - lag
        here = np.flatnonzero((before >= 0) & (ends[np.maximum(before, 0)] > bins.centre[:, 0]))
        if len(here):
            out[here] += in_bins(shapes.take(before[here]), bins.take(here))
    return out


def _places(near: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the place of each event in its pile: 0 for one that begins on flat ground."""
    index = np.arange(len(near))
    return index - np.maximum.accumulate(np.where(near, 0, index))


def _near(shapes: Shapes) -> NDArray[np.bool_]:
    """Return which events begin before the one before them is over."""
    ends = np.maximum.accumulate(shapes.onset + shapes.to_peak + 6 * shapes.length)
    return np.concatenate([[False], ends[:-1] > shapes.onset[1:] - shapes.length[1:]])


def _trusted(bins: Bins, shapes: Shapes, noise: Floats) -> Floats:
    """Return weights in (0, 1]: bins of the baseline far off the fit count less (stimulus artefacts)."""
    rest = np.abs(bins.y - in_bins(shapes, bins) - shapes.offset[:, None])
    limit = 4 * noise[:, None] * np.maximum(1 / np.sqrt(np.maximum(bins.count, 1)), 0.25)
    weight = np.minimum(1.0, limit / np.maximum(rest, 1e-30))
    weight[:, N_BEFORE:] = 1.0
    return weight


def _sound(made: Fit, before: Shapes, sign: Floats, first: Floats, last: Floats) -> Fit:
    """Return the fit without what is no event: size 0 where one turned round, or peaks outside its window.

    Those keep the shape they began with. Small ones (below twice their standard error) lend no tail to others.
    """
    now = made.shapes
    wrong = (now.sign != sign) & (sign != 0)
    peak = now.onset + now.to_peak
    wrong |= (peak > last + 1) | (peak < first - 1) | (made.size_error > 0.5)
    if not wrong.any():
        return made
    shapes = now.put(wrong, before.take(wrong))
    shapes.size[wrong] = shapes.second_size[wrong] = 0.0
    return Fit(shapes, made.error, made.size_error, made.residual)


def _noise_levels(made: Fit, bins: Bins, least: float) -> Floats:
    """Return the noise of one sample for each event: what is left over, half by itself, half as usual."""
    free = np.maximum((bins.count > 0).sum(1) - 6, 1)
    own = np.sqrt((bins.count * made.residual**2).sum(1) / free)
    usual = float(np.median(own)) if len(own) else least
    return np.maximum(np.sqrt(own * usual), least)


def _usual(made: Fit, sign: Floats, at: Floats) -> tuple[Prior, Shapes]:
    """Return what the clear events of each direction tell of the others, and where those begin."""
    shapes = made.shapes
    way, strength = shapes.sign, 1 / np.maximum(made.size_error, 1e-30)
    logs = np.log(np.stack([shapes.rise, shapes.smooth, shapes.decay], 1))
    mean, spread = logs.copy(), np.full_like(logs, 1e6)
    mean[:, 1], spread[:, 1] = np.log(np.clip(0.1 * (shapes.to_peak - shapes.smooth), 0.2, None)), 1.0
    begun = shapes
    for one in (-1.0, 1.0):
        mine = (way == one) | ((way == 0) & (sign == one))
        sure = (way == one) & (strength > _SURE) & (made.error[:, 1:].max(1) < 0.5)
        if int(sure.sum()) < _FEWEST:
            continue
        centre = np.median(logs[sure], axis=0)
        width = 1.48 * np.median(np.abs(logs[sure] - centre), axis=0)
        mean[mine] = centre
        own = np.median(made.error[sure], axis=0)[[1, 1, 2]]  # what of the spread is noise of the fits
        least = _LEAST_SPREAD[int(sure.sum()) < _MANY]
        spread[mine] = np.maximum(1.3 * np.sqrt(np.maximum(width**2 - own**2, 0)), least)
        weak = mine & (strength < 0.7 * _SURE)
        held = begun.take(weak)
        held.onset[:] = np.where(way[weak] == 0, at[weak], held.onset + held.to_peak)
        for name, value in zip(("rise", "smooth", "decay"), np.exp(centre), strict=True):
            getattr(held, name)[:] = value
        held.onset[:] -= held.to_peak
        begun = begun.put(weak, held)
    return Prior(mean, spread), begun


def _with_second_decay(made: Fit, bins: Bins, level: Floats, prior: Prior, guard: float) -> Fit:
    """Return the fits, with a second decay where that is convincing."""
    strength = 1 / np.maximum(made.size_error, 1e-30)
    used = (bins.count > 0).sum(1)
    rows = np.flatnonzero((strength > 15) & (used > 16) & (made.shapes.sign != 0))
    if not len(rows):
        return made
    some, shapes = bins.take(rows), made.shapes.take(rows)
    start = shapes.put(np.arange(len(rows)), shapes)
    start.decay[:], start.second[:] = 0.5 * shapes.decay, 2.5 * shapes.decay
    loose = Prior(
        np.log(np.stack([shapes.rise, shapes.smooth, start.decay], 1)), np.full((len(rows), 3), 2.0)
    )
    loose.spread[:, 1] = np.minimum(prior.spread[rows, 1], 1.0)
    reach = np.maximum(1.2 * shapes.to_peak, 6 * guard)
    two = fit(some, some.count, start, level[rows], loose, reach, two=True)
    single, double = ((some.count * rest**2).sum(1) for rest in (made.residual[rows], two.residual))
    noise = np.maximum(double / np.maximum(used[rows] - 7, 1), 0.25 * level[rows] ** 2)
    now = two.shapes
    share = now.size / (now.size + now.second_size)
    good = ((single - double) / 2 / noise > _CONVINCING) & (share > _LEAST_SHARE) & (share < 1 - _LEAST_SHARE)
    ratio = now.second / now.decay
    good &= (np.maximum(ratio, 1 / ratio) > 1.5) & (now.sign == shapes.sign)
    good &= np.maximum(now.second, now.decay) < 4 * np.maximum(some.centre.max(1) - now.onset, 1)
    kept = np.flatnonzero(good)
    picked = Fit(two.shapes.take(kept), two.error[kept], two.size_error[kept], two.residual[kept])
    return made.put(rows[kept], picked)
