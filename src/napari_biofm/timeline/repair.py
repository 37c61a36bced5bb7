"""Mend a sequence of pulses: stray ones, lost ones, those under way at the first sample, and pauses."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_biofm.timeline.triggers import Pulses

SHORT = 0.75  # of the period: a pulse that follows sooner is not a frame's
GRID = 0.2  # of the period: how far from a whole number of periods an interval may be
ALIKE = 0.1  # periods: misfits that differ by less are alike
PAUSE = 2.5  # periods: a longer gap parts two trains
FEW = 3  # periods: a gap up to that long is a pulse or two that were lost
SEVERAL = 6  # periods: a longer gap within a sweep is a pause, not a row of lost pulses
NARROW = 0.3  # of the median width: a shorter pulse is a glitch
NEIGHBOURS = 9  # intervals on each side that the local period is taken from

Reach = Literal["short", "sweep", "all"]


def with_open_pulses(pulses: Pulses) -> Pulses:
    """Put in the pulse that was under way at the first sample of a sweep, in step with those after it.

    Returns
    -------
    The pulses themselves where no sweep did.
    """
    if not pulses.open_at_start.any() or len(pulses.times) < 2:
        return pulses
    period = pulses.period
    extra = []
    for sweep in np.unique(pulses.sweeps):
        if pulses.open_at_start[sweep]:
            inside = pulses.times[pulses.sweeps == sweep]
            alike = np.flatnonzero(np.abs(np.diff(inside) / period - 1) < GRID)
            anchor = float(inside[alike[0]] if len(alike) else inside[0])  # not a bounce of the open pulse
            extra.append((anchor - period * np.ceil((anchor - pulses.starts[sweep]) / period), sweep))
    if not extra:
        return pulses
    times = np.concatenate([pulses.times, [time for time, _ in extra]])
    order = np.argsort(times, kind="stable")
    if (np.diff(times[order]) <= 0).any():
        return pulses
    return replace(
        pulses,
        times=times[order],
        widths=np.concatenate([pulses.widths, np.full(len(extra), np.nan)])[order],
        sweeps=np.concatenate([pulses.sweeps, [s for _, s in extra]])[order].astype(np.int64),
        open_at_start=np.zeros_like(pulses.open_at_start),
    )


def without_stray(pulses: Pulses) -> Pulses:
    """Drop pulses that are much narrower than the others, and those out of step with their neighbours.

    Where a pulse follows another too soon, the one that fits the step of the pulses before and after is
    kept.
    """
    times, widths = pulses.times, pulses.widths
    known = widths[np.isfinite(widths)]
    keep = np.ones(len(times), bool)
    if len(known) > 4:
        middle = float(np.median(known))
        alike = np.abs(known / middle - 1) < 0.3
        if alike.mean() > 0.8:
            keep = ~(widths < NARROW * middle)
    part = _kept(pulses, keep)
    return _kept(part, _in_step(part.times, part.period))


def _in_step(times: NDArray[np.float64], period: float) -> NDArray[np.bool_]:
    """Return which pulses to keep so that none follows another too soon."""
    keep = np.ones(len(times), bool)
    if len(times) < 3 or (np.diff(times) >= SHORT * period).all():
        return keep
    last = 0
    for i in range(1, len(times)):
        if times[i] - times[last] >= SHORT * period:
            last = i
            continue
        before = times[np.flatnonzero(keep[:last])[-1]] if keep[:last].any() else None
        after = _next_in_step(times, i + 1, period)
        # of two that fit alike, the first
        if _misfit(times[last], before, after, period) <= _misfit(times[i], before, after, period) + ALIKE:
            keep[i] = False
        else:
            keep[last] = False
            last = i
    return keep


def _next_in_step(times: NDArray[np.float64], start: int, period: float) -> float | None:
    """Return the first pulse from `start` on that another one follows after a period."""
    for i in range(start, min(start + 6, len(times) - 1)):
        if abs((times[i + 1] - times[i]) / period - 1) < GRID:
            return float(times[i])
    return float(times[start]) if start < len(times) else None


def _misfit(time: float, before: float | None, after: float | None, period: float) -> float:
    """Return how far a pulse is from a whole number of periods to the one before and the one after."""
    total = 0.0
    for other in (before, after):
        if other is not None:
            steps = abs(time - other) / period
            total += abs(steps - max(round(steps), 1))
    return total


def filled(pulses: Pulses, reach: Reach) -> NDArray[np.float64]:
    """Return the times with pulses put in where a gap is a multiple of the period.

    Parameters
    ----------
    pulses : in step.
    reach : "short" fills gaps of one or two pulses, "sweep" those of a few pulses within a sweep, "all"
        also those between sweeps, however long: the camera may have run on.
    """
    times, period = pulses.times, pulses.period
    intervals = np.diff(times)
    steps = np.maximum(np.round(intervals / period), 1).astype(int)
    fits = np.abs(intervals / period - steps) < GRID
    if reach == "short":
        fits &= steps <= FEW
    else:
        within = np.diff(pulses.sweeps) == 0
        fits &= np.where(within, steps <= SEVERAL, reach == "all")
    steps[~fits] = 1
    at = np.concatenate([[0], np.cumsum(steps)])  # where each recorded pulse comes to stand
    return np.asarray(np.interp(np.arange(at[-1] + 1), at, times))


def lost_pulses(times: NDArray[np.float64], period: float) -> int:
    """Return the number of gaps of two or three periods: places where a pulse or two may be lost."""
    steps = np.diff(times) / period
    whole = np.round(steps)
    return int(((whole >= 2) & (whole <= FEW) & (np.abs(steps - whole) < GRID)).sum())


def trains(pulses: Pulses) -> list[tuple[int, int]]:
    """Return [start, stop) of the trains of pulses between pauses.

    A pause is a gap of more than two and a half local periods, so that trains of other rates (a preview
    before the movie) are told apart.
    """
    intervals = np.diff(pulses.times)
    if len(intervals) == 0:
        return [(0, len(pulses.times))]
    breaks = []
    for i in np.flatnonzero(intervals > PAUSE * intervals.min()):
        sides = (intervals[max(0, i - NEIGHBOURS) : i], intervals[i + 1 : i + 1 + NEIGHBOURS])
        local = [float(np.median(side)) for side in sides if len(side)]
        long = [float(np.median(side)) for side in sides if len(side) >= NEIGHBOURS // 3]
        # longer than what is usual on either side: a slower train is no row of pauses
        if not local or (intervals[i] > PAUSE * min(local) and all(intervals[i] > 1.5 * one for one in long)):
            breaks.append(int(i) + 1)
    edges = [0, *breaks, len(pulses.times)]
    return list(pairwise(edges))


def _kept(pulses: Pulses, keep: NDArray[np.bool_]) -> Pulses:
    if keep.all():
        return pulses
    return replace(pulses, times=pulses.times[keep], widths=pulses.widths[keep], sweeps=pulses.sweeps[keep])


def part_of(pulses: Pulses, start: int, stop: int) -> Pulses:
    """Return pulses [start, stop); only what is at the first sample of its sweep counts as begun before."""
    sweeps = pulses.sweeps[start:stop]
    opened = pulses.open_at_start.copy()
    opened[: sweeps[0]] = False
    opened[sweeps[-1] + 1 :] = False
    if start > 0 and pulses.sweeps[start - 1] == sweeps[0]:
        opened[sweeps[0]] = False
    return replace(
        pulses, times=pulses.times[start:stop], widths=pulses.widths[start:stop], sweeps=sweeps,
        open_at_start=opened,
    )  # fmt: skip
