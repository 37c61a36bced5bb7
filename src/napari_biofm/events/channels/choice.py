"""How many levels a trace of single channels has, and how far apart: by penalised likelihood."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.channels.ladder import (
    Ladder,
    decode,
    equal_levels,
    evidence,
    follow,
    refitted,
    smooth_baseline,
    trimmed,
)
from napari_biofm.events.channels.steps import (
    ORDER,
    Floats,
    Noise,
    find_steps,
    quiet_noise,
    rise_samples,
    unit_currents,
)

MOST = 7  # levels of up to six channels
LOOKED_AT = 32_000  # samples that steps are looked for on
COMPARED_ON = 12_000  # samples that models are compared on
SEARCHED = 4000  # samples of quick fits
_ALIKE = 40.0  # log evidence that is no reason to take a part of a unit for the unit
_PASSED = (
    0.5  # time on levels between those of a larger unit, over the time on these, where they are only passed
)
_LITTLE = 0.05  # of the gain in log evidence, that levels which are only passed may add
CLEAR = 12.0  # log evidence by which a model must beat the one without channels
Restart = NDArray[np.bool_]


@dataclass(frozen=True)
class Choice:
    """The best ladder of a trace.

    Attributes
    ----------
    ladder : with one level where nothing opens.
    gain : log evidence over the model without channels, on the stretches compared.
    rival : log evidence by which it beats the best ladder of another unit current; inf without one.
    every : samples of the trace averaged to one of the ladder's.
    """

    ladder: Ladder
    gain: float
    rival: float
    every: int


def averaged(x: Floats, every: int) -> Floats:
    """Return means of `every` samples; what is left at the end is left out."""
    return x if every == 1 else x[: len(x) // every * every].reshape(-1, every).mean(1)


def busiest(x: Floats, size: int) -> Floats:
    """Return the stretch of `size` samples that moves most, drift aside; the whole trace where it is shorter."""
    if len(x) < 1.5 * size:
        return x
    block = 1000
    rows = averaged(x[: len(x) // block * block], 5).reshape(-1, block // 5)
    rows = rows - rows[:, :1] - (rows[:, -1:] - rows[:, :1]) * np.linspace(0, 1, block // 5)
    spread = rows.std(1)
    total = np.r_[0.0, np.cumsum(np.minimum(spread, 4 * np.median(spread)))]
    count = size // block
    at = int(np.argmax(total[count:] - total[:-count]))
    return x[at * block : at * block + size]


def choose(x: Floats) -> Choice:
    """Return how many levels a trace has, their distance, the filter and the noise.

    Parameters
    ----------
    x : (n,) finite, n at least 50.
    """
    wide, every = busiest(x, LOOKED_AT), 1
    noises = _noises(wide)
    while (more := _oversampled(noises)) > 1 and len(wide) // more > 1000:
        wide, every = averaged(wide, more), every * more
        noises = _noises(wide)
    restart = np.arange(len(wide)) == 0
    steps = find_steps(wide, restart, noises[-1])
    rise = rise_samples(wide, steps, noises[-1])
    more = max(1, min(int(rise / 1.8), int(steps.piece / 10), len(wide) // 1000))
    some = busiest(averaged(wide, more), COMPARED_ON)
    every *= more
    restart = np.arange(len(some)) == 0
    units, clear = unit_currents(steps, noises[-1])
    units = units[: 1 if clear else 2]
    if len(noises) > 1:  # slow noise looks like steps where it is taken for white
        others, sure = unit_currents(find_steps(wide, np.arange(len(wide)) == 0, noises[0]), noises[0])
        units, clear = others[:1] + units[: 1 if sure else 2], sure and clear
    tried = list(_ladders(some, restart, units, clear))
    flat, nothing = _without_channels(some, restart)
    best = max(tried, key=lambda one: one[1], default=(flat, nothing))
    for one in sorted(tried, key=lambda one: -abs(one[0].unit)):  # a third explains all that the whole does
        times = one[0].unit / best[0].unit if best[0].unit else 0.0
        least = best[1] - _ALIKE
        if round(times) > 1 and _only_passed(best[0], round(times)):
            least = min(least, best[1] - _LITTLE * (best[1] - nothing))
        if round(times) > 1 and abs(times / round(times) - 1) < 0.05 and one[1] > least:
            best = one
            break
    if best[1] < nothing + CLEAR:
        return Choice(flat, best[1] - nothing, np.inf, every)
    rivals = [e for one, e in tried if abs(one.unit / best[0].unit - 1) > 0.12]
    return Choice(best[0], best[1] - nothing, best[1] - max(rivals, default=-np.inf), every)


def _without_channels(x: Floats, restart: Restart) -> tuple[Ladder, float]:
    """Return the model of noise on a moving baseline, and its evidence."""
    ladder = equal_levels(0.0, 1, quiet_noise(x, min(48, len(x))))
    done = follow(x, restart, ladder)
    baseline = smooth_baseline(done.shut, restart)
    for _ in range(2):
        fit = refitted(x, restart, ladder, done.level, done.shut, 1, (0,))
        if fit is None:
            break
        ladder, baseline = fit
        done = decode(x, restart, ladder, baseline)
    return ladder, evidence(x, ladder, baseline)


def _noises(x: Floats) -> list[Noise]:
    """Return what the noise may be: of long quiet stretches, and of shorter ones where those are not quiet."""
    if len(x) < 96:
        return [quiet_noise(x, len(x))]
    out = [quiet_noise(x, 48)]
    short = quiet_noise(x, 16)
    if abs(np.log(max(out[0].slow, 1e-300) / max(short.slow, 1e-300))) > 0.35:
        out.append(short)
    white = float(np.median(np.abs(np.diff(x)))) / 0.954
    if white < 0.8 * short.sigma:
        out.append(Noise(np.zeros(ORDER), white))
    return out


def _oversampled(noises: list[Noise]) -> int:
    """Return how many samples may be averaged to one before the filter that noise came through is cut into.

    Channels that move all the time look like slow noise, but less so in the shortest stretches.
    """
    fast = len(noises) > 1 and not noises[-1].ar.any()
    if fast or noises[min(1, len(noises) - 1)].alike()[1] < 0.6:
        return 1
    return max(1, int(np.argmax(noises[0].alike() < 0.5)) - 1)


def _ladders(x: Floats, restart: Restart, units: list[float], clear: bool) -> Iterator[tuple[Ladder, float]]:
    """Yield fitted ladders with their evidence."""
    noises = _noises(x)
    found: list[tuple[float, Ladder]] = []
    for one in noises:
        if one.sigma == 0:
            continue
        short = x[: SEARCHED * 2]
        for unit in units if clear else units + _searched(x, restart, one):
            fit = fitted(short, restart[: len(short)], unit, one)
            if fit is not None and all(abs(fit[0].unit / other.unit - 1) > 0.03 for _, other in found):
                found.append((fit[1], fit[0]))
    found.sort(key=lambda each: -each[0])
    for _, ladder in found[:2]:
        best = counted_levels(x, restart, ladder)
        yield best
        times = _needless(best[0])
        if times > 1:
            unit, noise = best[0].unit * times, best[0].noise
            fit = fitted(x, restart, unit, noise)
            slid = fit is None or abs(fit[0].unit / unit - 1) > 0.2
            whole = equal_levels(unit, 2, noise) if fit is None or slid else fit[0]
            yield counted_levels(x, restart, whole)


def _needless(ladder: Ladder) -> int:
    """Return how many steps lie between the levels that hold most of the time: the others may be flanks."""
    much = np.flatnonzero(ladder.share > 0.1 * ladder.share.max())
    if len(much) > 1:
        return int(np.gcd.reduce(np.diff(much)))
    return next((k for k in (2, 3) if len(ladder.levels) > k and _only_passed(ladder, k)), 1)


def _only_passed(ladder: Ladder, times: int) -> bool:
    """Tell whether the levels between every `times`-th one are hardly held: the flanks of brief openings of a larger unit.

    Channels that open by themselves hold the levels between at least as long as the rarer ones of the others.
    """
    whole = np.arange(len(ladder.levels)) % times == 0
    held = ladder.share[whole]
    return float(ladder.share[~whole].sum()) < _PASSED * float(held.sum() - held.max())


def _searched(x: Floats, restart: Restart, noise: Noise) -> list[float]:
    """Return the three likeliest units by quick fits without a filter to the first stretch."""
    short = slice(0, min(len(x), SEARCHED))
    x, restart = x[short], restart[short]
    found: list[tuple[float, float]] = []
    for unit in noise.slow * np.geomspace(1.5, 12, 9):
        ladder = equal_levels(unit, MOST, noise)
        for _ in range(2):
            done = follow(x, restart, ladder)
            price = done.log_likelihood - 0.5 * ladder.n_parameters * np.log(len(x))
            ladder, level = trimmed(ladder, done.level, 3)
            if len(ladder.levels) < 2:
                break
            fit = refitted(x, restart, ladder, level, done.whitened - ladder.levels[level], 1, (0,))
            if fit is None:
                break
            ladder = fit[0]
        else:
            found.append((price, ladder.unit))
    found.sort(reverse=True)
    out: list[float] = []
    for _, unit in found:
        if all(abs(unit / other - 1) > 0.1 for other in out):
            out.append(unit)
    return out[:3]


def fitted(
    x: Floats, restart: Restart, unit: float, noise: Noise, rounds: int = 4
) -> tuple[Ladder, float] | None:
    """Return a ladder of about this unit current with filter and noise fitted, and its evidence.

    It may have levels that are not needed.
    """
    ladder: Ladder = equal_levels(unit, MOST, noise)
    baseline: Floats = np.zeros(0)
    for turn in range(rounds):
        done = follow(x, restart, ladder) if turn < 2 else decode(x, restart, ladder, baseline)
        ladder, level = trimmed(ladder, done.level, 3)
        if len(ladder.levels) < 2:
            return None
        shut = done.whitened - (done.mean if turn > 1 else ladder.levels[level])
        length = 1 if turn == 0 else kernel_length(len(ladder.levels))
        fit = refitted(
            x, restart, ladder, level, shut, length, ((0,), (0, 1))[turn] if turn < 2 else (-1, 0, 1)
        )
        if fit is None:
            return None
        ladder, baseline = fit
    return ladder, evidence(x, ladder, baseline)


def kernel_length(count: int) -> int:
    """Return the samples a kernel has with so many levels: as many as the number of states allows."""
    return {2: 5, 3: 4, 4: 4}.get(count, 3)


def counted_levels(x: Floats, restart: Restart, ladder: Ladder) -> tuple[Ladder, float]:
    """Return the ladder with as many levels as earn their price, and its evidence.

    The baseline is found anew with each number, since unused levels leave it free to lie a step off.
    """
    best, worse, common = (ladder, -np.inf), 0, int(np.sum(ladder.share > 0.02))
    for count in range(2, MOST + 1):
        kernel = ladder.kernel[: kernel_length(count)] / ladder.kernel[: kernel_length(count)].sum()
        one = replace(equal_levels(ladder.unit, count, ladder.noise), kernel=kernel, flank=ladder.flank)
        for again in (_settled(x, restart, one), _settled(x, restart, _unfiltered(one))):
            if again is not None and again[1] > best[1] + 3:
                best, worse = again, -1
        worse += 1
        if worse >= 2 and count >= common:
            break
    return best


def _unfiltered(ladder: Ladder) -> Ladder:
    """Return a ladder in which any level may follow any other from one sample to the next."""
    return replace(ladder, kernel=np.ones(1), jumps=True)


def _settled(x: Floats, restart: Restart, ladder: Ladder) -> tuple[Ladder, float] | None:
    """Return a ladder fitted with the levels it has, and its evidence."""
    done = follow(x, restart, ladder)
    baseline = None
    for _ in range(2):
        fit = refitted(x, restart, ladder, done.level, done.shut, len(ladder.kernel), (0,))
        if fit is None:
            break
        ladder, baseline = fit
        done = decode(x, restart, ladder, baseline)
    return None if baseline is None else (ladder, evidence(x, ladder, baseline))
