"""Single channels: levels, baseline and noise found without a hand, then decoded.

How many levels there are, and how far apart, is chosen by penalised likelihood on a stretch of the recording
(`choice`). The baseline is followed through all of it, and the best path goes over the levels behind the filter
(`ladder`). Level 0 is the shut one (`meaning`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.channels.choice import MOST, Choice, averaged, choose
from napari_biofm.events.channels.ladder import (
    Decoded,
    Ladder,
    counted,
    decode,
    extended,
    follow,
    part,
    smooth_baseline,
    step_response,
    whitened,
)
from napari_biofm.events.channels.meaning import could_be_more, read_levels, steady
from napari_biofm.events.channels.steps import Floats
from napari_biofm.signals.units import si_unit
from napari_biofm.types import Trace

PIECE = 200_000  # samples decoded at once; longer recordings go piece by piece, two at a time
OVERLAP = 2000  # samples that pieces share
DEAD = 0.538  # of the rise: an opening that short reaches half its height (Colquhoun & Sigworth 1995)
BESSEL_DELAY = 0.94  # of the rise: by which a 4-pole Bessel filter delays the middle of a step
SHORTEST = 50  # samples; below that there is nothing to see


@dataclass(frozen=True)
class Idealized:
    """An idealised recording.

    Attributes
    ----------
    n_open : (n,) int8, channels open.
    levels : (k,) mean current of 0, 1, ... open channels above the baseline, in the signal's unit; levels[0]
    is 0.
    baseline : (n,) float32, current with all channels shut.
    noise : (k,) standard deviation per level.
    probability : that levels are read right (which is shut, how many stay open); 1 where nothing opens.
    evidence : log evidence for these levels over none, on the stretch they were chosen on.
    dead_time_s : dwells shorter than that are missed by the filter.
    delay_s : by which the filter lets the trace lag behind `n_open`.
    notes : what cannot be told.
    """

    n_open: NDArray[np.int8]
    levels: NDArray[np.float64]
    baseline: NDArray[np.float32]
    noise: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    probability: float = 1.0
    evidence: float = 0.0
    dead_time_s: float = 0.0
    delay_s: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Path:
    """Levels of a trace, lowest current first: ladder, level of each (averaged) sample, baseline."""

    ladder: Ladder
    level: NDArray[np.int8]
    baseline: Floats


def idealize(signal: Trace) -> Idealized:
    """Return how many channels are open at each sample.

    Parameters
    ----------
    signal : a single-channel recording; NaN gaps are bridged and get the level before them.

    Returns
    -------
    Idealized; one level and zeros where nothing opens.
    """
    base, factor = si_unit(signal.unit)
    if base != "A":
        return _idealize(signal)
    picoamperes = (
        factor * 1e12
    )  # in amperes the currents of channels are no larger than what counts as nothing below
    scaled = np.asarray(np.asarray(signal.values[:], np.float64) * picoamperes, np.float32)
    done = _idealize(replace(signal, values=scaled))
    return replace(
        done,
        levels=done.levels / picoamperes,
        baseline=np.asarray(done.baseline / picoamperes, np.float32),
        noise=done.noise / picoamperes,
    )


def _idealize(signal: Trace) -> Idealized:
    values = np.asarray(signal.values[:], np.float64)
    bad = ~np.isfinite(values)
    if bad.any() and not bad.all():
        values = np.interp(np.arange(len(values)), np.flatnonzero(~bad), values[~bad])
    if len(values) < SHORTEST or bad.all() or np.ptp(values) == 0:
        return _one_level(values, "too short, empty or constant: there is nothing to see")
    choice = choose(values)
    if len(choice.ladder.levels) < 2:
        note = "one level only: no channel opens, or none ever shuts; cannot tell which"
        return replace(_one_level(values, note), evidence=choice.gain)
    path = _decoded(values, choice)
    if len(path.ladder.levels) < 2:
        return _one_level(values, "one level only: no channel opens, or none ever shuts; cannot tell which")
    return _read(signal, values, choice, path)


def _one_level(values: Floats, note: str) -> Idealized:
    middle = np.nanmedian(values) if np.isfinite(values).any() else 0.0
    n = len(values)
    return Idealized(np.zeros(n, np.int8), np.zeros(1), np.full(n, middle, np.float32), notes=(note,))


def _decoded(values: Floats, choice: Choice) -> _Path:
    """Return the best path through a whole recording, with levels that the stretch did not show."""
    x = averaged(values, choice.every)
    spare = int(
        len(choice.ladder.levels) < MOST
    )  # a baseline must not follow levels the stretch did not show
    path = _followed(x, extended(choice.ladder, spare, spare))
    for turn in range(2 * MOST):
        path = _over_baseline(x, path)
        first, last = _earned(x, path)
        below, above = _missed(x, path) if turn else (False, False)
        room = MOST - len(path.ladder.levels)
        fits = first == 0 and last == len(path.ladder.levels) - 1
        if turn and fits and (room < below + above or not (below or above)):
            break
        ladder = part(path.ladder, first, last) if not fits else path.ladder
        level = np.clip(path.level, first, last) - np.int8(first)
        if fits and room >= below + above:
            ladder, level, first = (
                extended(ladder, int(below), int(above)),
                level + np.int8(below),
                -int(below),
            )
        path = _Path(ladder, level.astype(np.int8), path.baseline + first * path.ladder.unit)
    return path


def _pieces(n: int) -> list[tuple[int, int, int, int]]:
    """Return (begin, end, from, to) of pieces: what is decoded, and what of it is kept."""
    starts = range(0, max(n, 1), PIECE)
    return [(max(a - OVERLAP, 0), min(a + PIECE + OVERLAP, n), a, min(a + PIECE, n)) for a in starts]


def _followed(x: Floats, ladder: Ladder) -> _Path:
    """Return a path and a baseline that is not known yet."""
    level, shut = np.zeros(len(x), np.int8), np.zeros(len(x))
    pieces = _pieces(len(x))
    for (begin, _, a, b), done in zip(
        pieces, _each(pieces, lambda i, j: follow(x[i:j], _start(j - i), ladder)), strict=True
    ):
        inner = slice(a - begin, b - begin)
        off = 0
        if a:  # a piece finds its own lowest level: that of the piece before it counts
            near = min(OVERLAP, a)
            apart = np.median(shut[a - near : a]) - np.median(done.shut[inner][:near])
            off = round(float(apart / ladder.unit))
        level[a:b] = np.clip(done.level[inner] - off, 0, len(ladder.levels) - 1)
        shut[a:b] = done.whitened[inner] - ladder.levels[level[a:b]]
    return _Path(ladder, level, smooth_baseline(shut, _start(len(x))))


def _start(n: int) -> NDArray[np.bool_]:
    """Return (n,) True at the first sample."""
    return np.asarray(np.arange(n) == 0)


def _each(pieces: list[tuple[int, int, int, int]], work: Callable[[int, int], Decoded]) -> Iterator[Decoded]:
    """Yield what `work` makes of each piece, two at a time: compiled code does not hold the interpreter."""
    if len(pieces) == 1:
        yield work(*pieces[0][:2])
        return
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(work, *zip(*((i, j) for i, j, _, _ in pieces), strict=True))


def _over_baseline(x: Floats, path: _Path) -> _Path:
    """Return the path and baseline again, from a baseline."""
    level, shut = np.zeros(len(x), np.int8), np.zeros(len(x))
    pieces = _pieces(len(x))

    def work(i: int, j: int) -> Decoded:
        return decode(x[i:j], _start(j - i), path.ladder, path.baseline[i:j])

    for (begin, _, a, b), done in zip(pieces, _each(pieces, work), strict=True):
        inner = slice(a - begin, b - begin)
        level[a:b], shut[a:b] = done.level[inner], done.shut[inner]
    restart = _start(len(x))
    ladder = path.ladder
    move, share = counted(level.astype(np.int64), restart, len(ladder.levels), ladder.jumps)
    baseline = smooth_baseline(shut, restart)
    off_flank = steady(level, len(ladder.kernel)) if len(ladder.kernel) > 1 else np.ones(len(x), bool)
    rest = (shut - baseline)[off_flank]
    mean = ladder.levels[level]
    if len(rest) > 1000:
        moving = mean - mean.mean()
        strong = float(moving @ moving)
        if strong > 0:  # what is left over goes along with the levels where the unit is not quite right
            scale = 1 + float(moving[off_flank] @ rest) / float(
                moving[off_flank] @ moving[off_flank] + 1e-300
            )
            ladder = replace(ladder, levels=ladder.levels * float(np.clip(scale, 0.8, 1.25)))
        sigma = float(rest.std() * (1 - ladder.noise.ar.sum()))
        ladder = replace(ladder, noise=replace(ladder.noise, sigma=sigma), flank=max(ladder.flank, sigma))
    return _Path(replace(ladder, move=move, share=share), level, baseline)


def _earned(x: Floats, path: _Path) -> tuple[int, int]:
    """Return the lowest and the highest level with a visit that the next level cannot explain."""
    first, last = 0, len(path.ladder.levels) - 1
    rest, held, spread, price = _beyond(x, path)
    while (
        first < last
        and _gain(rest, held & (path.level == first), 1.0, path.ladder.unit, spread, True) < price
    ):
        first += 1
    while (
        first < last
        and _gain(rest, held & (path.level == last), -1.0, path.ladder.unit, spread, True) < price
    ):
        last -= 1
    return first, last


def _missed(x: Floats, path: _Path) -> tuple[bool, bool]:
    """Tell whether some stretch at the lowest, or the highest, level lies clearly a step beyond it."""
    rest, held, spread, price = _beyond(x, path)
    last = len(path.ladder.levels) - 1
    below, above = (
        _gain(rest, held & (path.level == end), sign, path.ladder.unit, spread, False) > price
        for end, sign in ((0, -1.0), (last, 1.0))
    )
    return below, above


def _beyond(x: Floats, path: _Path) -> tuple[Floats, NDArray[np.bool_], float, float]:
    """Return what is left of a whitened trace, where it is off flanks, its noise, and the price of a level."""
    ladder = path.ladder
    rest = whitened(x, ladder.noise.ar) - path.baseline - ladder.levels[path.level]
    length = len(ladder.kernel)
    held = steady(path.level, length) if length > 1 else np.ones(len(x), bool)
    return rest, held, ladder.noise.slow, float(np.log(len(x)) + 10)


def _gain(
    rest: Floats, where: NDArray[np.bool_], sign: float, unit: float, spread: float, own: bool
) -> float:
    """Return the most that any stretch gains in log likelihood by a level `sign` steps away.

    With `own`, what it gains by its own level over that one. Outliers count for no more than 3.5 deviations.
    """
    if not where.any():
        return -np.inf
    most = (3.5 * spread) ** 2
    there, here = np.minimum((rest - sign * unit) ** 2, most), np.minimum(rest**2, most)
    gain = np.where(where, ((there - here) if own else (here - there)) / (2 * spread**2), -1e6)
    total = np.r_[0.0, np.cumsum(gain)]
    return float((total - np.minimum.accumulate(total)).max())


def _rise(ladder: Ladder) -> float:
    """Return the samples in which the filter lets a step rise from 10 to 90 %; 0 without a filter."""
    way = np.maximum.accumulate(np.r_[0.0, step_response(ladder.kernel, ladder.noise.ar)])
    low, high = np.interp([0.1, 0.9], way, np.arange(float(len(way))))
    return float(
        np.sqrt(max((high - low) ** 2 - 0.8**2, 0.0))
    )  # an unfiltered step rises between two samples


def _at_full_rate(
    values: Floats, choice: Choice, path: _Path, delay: float
) -> tuple[NDArray[np.int8], Floats]:
    """Return level and baseline of each sample; levels change `delay` samples before the trace is half way."""
    every, n = choice.every, len(values)
    way = step_response(path.ladder.kernel, path.ladder.noise.ar)
    j = int(np.argmax(way >= 0.5))
    before = way[j - 1] if j else 0.0
    late = j - 1 + (0.5 - before) / max(way[j] - before, 1e-9)
    at = np.flatnonzero(np.diff(path.level)) + 1
    change = (at + late) * every + 0.5 * (every - 1)
    baseline = np.interp((np.arange(n) + 0.5) / every - 0.5, np.arange(len(path.baseline)), path.baseline)
    old, new = path.level[at - 1], path.level[at]
    if every > 1:
        change = _half_way(values - baseline, change, path.ladder.levels[old], path.ladder.levels[new], every)
    change = np.ceil(change - delay - 1e-6).astype(np.int64)
    change = np.maximum.accumulate(np.clip(change, 0, n))
    level = np.repeat(np.r_[path.level[:1], new], np.diff(np.r_[0, change, n]))
    return level.astype(np.int8), baseline


def _half_way(x: Floats, change: Floats, old: Floats, new: Floats, every: int) -> Floats:
    """Return the moments next to `change`, in samples, at which the smoothed trace crosses the middle of two levels."""
    from scipy.ndimage import uniform_filter1d

    smooth = uniform_filter1d(x, every | 1)
    offset = np.arange(-every - 1, every + 1)
    near = np.ceil(change).astype(np.int64)
    index = np.clip(near[:, None] + offset, 0, len(x) - 1)
    beyond = (smooth[index] - 0.5 * (old + new)[:, None]) * np.sign(new - old)[:, None] > 0
    crossing = ~beyond[:, :-1] & beyond[:, 1:]
    cost = np.where(crossing, np.abs(offset[1:]), 1000)
    best = cost.argmin(1)
    return np.where(cost.min(1) < 1000, near + offset[1:][best] - 0.5, change)


def _read(signal: Trace, values: Floats, choice: Choice, path: _Path) -> Idealized:
    """Return what a path means in channels."""
    rise = _rise(path.ladder) * choice.every
    delay = BESSEL_DELAY * rise
    level, baseline = _at_full_rate(values, choice, path, delay)
    levels = path.ladder.levels
    if levels[-1] < 0:  # lowest current first
        level, baseline, levels = (len(levels) - 1 - level).astype(np.int8), baseline + levels[-1], -levels
    unit = float(levels[1])
    rest = values - baseline - levels[level]
    held = steady(level, 3 * choice.every)
    lying = [rest[(level == k) & held] for k in range(len(levels))]
    noise = np.array([these.std() if len(these) > 300 else np.nan for these in lying])
    independent = max(1.0, (path.ladder.noise.slow / path.ladder.noise.sigma) ** 2) * choice.every
    error = np.array(
        [s * np.sqrt(independent / (2 * max(len(these), 1))) for s, these in zip(noise, lying, strict=True)]
    )
    share = np.bincount(level, minlength=len(levels)) / len(level)
    wanders = np.subtract(*np.quantile(baseline, [0.95, 0.05])) > 0.5 * unit
    visits = int(np.count_nonzero(np.diff(level))) + 1
    lowest = None if wanders else float(np.median(baseline)) / unit
    meaning = read_levels(share, lowest, noise, error, visits, signal.holding)
    notes = list(meaning.notes)
    fallback = float(path.ladder.noise.sigma)
    if meaning.downward:
        baseline, level = baseline + levels[-1], (len(levels) - 1 - level).astype(np.int8)
        levels, noise, share = -levels, noise[::-1].copy(), share[::-1]
    if meaning.hidden:
        step = float(levels[1])
        baseline, level = baseline - meaning.hidden * step, (level + meaning.hidden).astype(np.int8)
        levels = np.asarray(step * np.arange(len(levels) + meaning.hidden), np.float64)
        noise = np.r_[np.full(meaning.hidden, np.nan), noise]
    if could_be_more(np.bincount(level) / len(level), len(levels) - 1, len(level), _open_samples(level)):
        notes.append("one channel more than seen might have stayed unnoticed")
    if choice.rival < 10:
        notes.append("another unit current explains the trace nearly as well")
    return Idealized(
        level,
        levels,
        baseline.astype(np.float32),
        np.where(np.isnan(noise), fallback, noise),
        meaning.probability,
        choice.gain,
        max(DEAD * rise, 1.0) / signal.sampling_rate,
        delay / signal.sampling_rate,
        tuple(notes),
    )


def _open_samples(level: NDArray[np.int8]) -> float:
    """Return the mean samples that one channel stays open."""
    closings = int(np.clip(-np.diff(level.astype(int)), 0, None).sum())
    return float(level.sum(dtype=np.int64) / max(closings, 1))
