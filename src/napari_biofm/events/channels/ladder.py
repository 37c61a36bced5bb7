"""Levels of current behind a filter, in noise of its own spectrum: decoded, and fitted to a trace.

A sample is `baseline + sum of kernel[j] * level j samples ago + noise`, after the noise was whitened. A state of the
hidden Markov model holds the levels of the last samples, so that samples on the flank of a filtered step are what
they are and become no levels (Venkataramanan, Kuc & Sigworth 1998, IEEE Trans Biomed Eng 45:1; Qin, Auerbach & Sachs
2000, Biophys J 79:1928).
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.channels.kernels import best_path, likelihood
from napari_biofm.events.channels.steps import ORDER, STEADIEST, Floats, Noise

GAIN = 0.01  # of the baseline that a path follows
BLOCK = 500  # samples between knots of the fitted baseline
RAREST = 1e-5  # probability of a move per sample at least


@dataclass(frozen=True)
class Ladder:
    """Levels and how they are left, with filter and noise.

    Attributes
    ----------
    levels : (k,) current over the lowest level, in the trace's unit.
    kernel : (h,) weights, sum 1, of the level now, one sample ago, ... in a whitened sample.
    noise : whitening and what is left after it.
    flank : noise where the level has just changed; the moment within a sample is not known.
    move : (k, k) probability of each level after each.
    share : (k,) of time.
    jumps : whether any level may follow any other; else only neighbours.
    """

    levels: Floats
    kernel: Floats
    noise: Noise
    flank: float
    move: Floats
    share: Floats
    jumps: bool = False

    @property
    def unit(self) -> float:
        """Current of one step; 0 where there is one level."""
        return float(self.levels[-1] / (len(self.levels) - 1)) if len(self.levels) > 1 else 0.0

    @property
    def n_parameters(self) -> int:
        """Numbers fitted."""
        k = len(self.levels)
        moves = (k - 1) * (k if self.jumps else 2)
        return ORDER + 1 + (0 if k == 1 else (k - 1 if self.jumps else 1) + moves + len(self.kernel) - 1)


def equal_levels(unit: float, count: int, noise: Noise) -> Ladder:
    """Return `count` levels `unit` apart that have not met a trace yet."""
    share = np.full(count, 1 / count)
    levels = np.asarray(unit * np.arange(count), np.float64)
    return Ladder(levels, np.ones(1), noise, 1.2 * noise.sigma, neighbours(count, 0.02), share)


def neighbours(count: int, rate: float) -> Floats:
    """Return (count, count) probabilities of moving by one level."""
    move = np.diag(np.full(count - 1, rate), 1) + np.diag(np.full(count - 1, rate), -1)
    return np.asarray(move + np.diag(1 - move.sum(1)))


@functools.lru_cache(64)
def histories(count: int, length: int, jumps: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (S, length) the levels now, one sample ago, ... of each state, and (S, P) the states before it."""
    states = [
        h
        for h in itertools.product(range(count), repeat=length)
        if jumps or all(abs(a - b) <= 1 for a, b in itertools.pairwise(h))
    ]
    number = {h: i for i, h in enumerate(states)}
    lists = []
    for h in states:
        older = [(*h[1:], k) for k in range(count)]
        if length == 1:
            older = [g for g in older if jumps or abs(g[0] - h[0]) <= 1]
        lists.append([number[g] for g in older if g in number])
    before = np.full((len(states), max(map(len, lists))), -1, np.int64)
    for row, these in zip(before, lists, strict=True):
        row[: len(these)] = these
    return np.array(states), before


def whitened(x: Floats, ar: Floats) -> Floats:
    """Return a trace whose noise is white, with the same steps and baseline."""
    z = x.copy()
    for i in range(1, len(ar) + 1):
        z[i:] -= ar[i - 1] * x[:-i]
    z[: len(ar)] = x[: len(ar)] * (1 - ar.sum())
    return np.asarray(z / (1 - ar.sum()))


@dataclass(frozen=True)
class Decoded:
    """The best path of a ladder through a trace.

    Attributes
    ----------
    level : (n,) number of the level. mean : (n,) expected whitened sample over the baseline.
    whitened : (n,) the trace. log_likelihood : of trace and path together.
    """

    level: NDArray[np.int64]
    mean: Floats
    whitened: Floats
    log_likelihood: float

    @property
    def shut(self) -> Floats:
        """(n,) the trace less its levels: the baseline and noise."""
        return self.whitened - self.mean


def decode(x: Floats, restart: NDArray[np.bool_], ladder: Ladder, baseline: Floats) -> Decoded:
    """Return the best path over a known baseline.

    Parameters
    ----------
    x : (n,) trace. restart : (n,) where a stretch begins. baseline : (n,) of the lowest level.
    """
    history, before, move, mean, sigma, start = _states(ladder)
    z = whitened(x, ladder.noise.ar)
    path, score = best_path(z - baseline, restart, before, move, mean, sigma, start, False, 0.0, 0.0)
    return Decoded(history[path, 0], mean[path], z, _likelihood(score, ladder, len(z)))


def follow(x: Floats, restart: NDArray[np.bool_], ladder: Ladder) -> Decoded:
    """Return the best path over a baseline that it follows, as if there were no filter.

    Each level is tried as the first of every stretch: paths that differ in it differ in their baseline, and must
    not compete before all is seen.
    """
    _, before, move, mean, sigma, start = _states(
        replace(ladder, kernel=np.ones(1), flank=ladder.noise.sigma)
    )
    z = whitened(x, ladder.noise.ar)
    count = len(ladder.levels)
    runs = [
        best_path(
            z, restart, before, move, mean, sigma, start - 1e6 * (np.arange(count) != k), True, 0.0, GAIN
        )
        for k in range(count)
    ]
    scores = np.stack([score for _, score in runs])
    best = scores.argmax(0)
    piece = np.cumsum(restart) - 1
    path = np.choose(best[piece], [run for run, _ in runs]).astype(np.int64)
    return Decoded(path, mean[path], z, _likelihood(scores.max(0), ladder, len(z)))


def _states(
    ladder: Ladder,
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats, Floats, Floats, Floats]:
    """Return histories, states before, log probability of moves, means, noise, log probability at the start."""
    history, before = histories(len(ladder.levels), len(ladder.kernel), ladder.jumps)
    changing = (np.diff(history, axis=1) != 0).any(1)
    sigma = np.where(changing, ladder.flank, ladder.noise.sigma) / (1 - ladder.noise.ar.sum())
    now, old = history[:, 0], history[np.maximum(before, 0), 0]
    move = np.where(before >= 0, np.log(np.maximum(ladder.move, 1e-30))[old, now[:, None]], -1e30)
    start = np.log(ladder.share[now]) - 3.0 * changing
    return history, before, move, ladder.levels[history] @ ladder.kernel, sigma, start


def _likelihood(score: Floats, ladder: Ladder, n: int) -> float:
    """Return the log likelihood of the trace itself from that of the whitened one."""
    return float(score.sum() - n * np.log(1 - ladder.noise.ar.sum()))


def smooth_baseline(shut: Floats, restart: NDArray[np.bool_], block: int = BLOCK) -> Floats:
    """Return means of blocks joined by lines, in each stretch."""
    out = np.empty(len(shut))
    for a, b in itertools.pairwise([*np.flatnonzero(restart), len(shut)]):
        n = b - a
        count = n // block
        if count < 2:
            out[a:b] = shut[a:b].mean()
            continue
        edges = np.linspace(0, n, count + 1).astype(int)
        mean = np.add.reduceat(shut[a:b], edges[:-1]) / np.diff(edges)
        centre = 0.5 * (edges[:-1] + edges[1:] - 1)
        first = mean[0] - (mean[1] - mean[0]) / (centre[1] - centre[0]) * centre[0]
        final = mean[-1] + (mean[-1] - mean[-2]) / (centre[-1] - centre[-2]) * (n - 1 - centre[-1])
        out[a:b] = np.interp(np.arange(n), np.r_[0, centre, n - 1], np.r_[first, mean, final])
    return out


def trimmed(ladder: Ladder, level: NDArray[np.int64], least: int) -> tuple[Ladder, NDArray[np.int64]]:
    """Return the ladder without levels at its ends that fewer than `least` samples lie on, and the path in it."""
    count = np.bincount(level, minlength=len(ladder.levels))
    seen = np.flatnonzero(count >= least)
    ends = (seen[0], seen[-1]) if len(seen) else (count.argmax(), count.argmax())
    first, last = int(ends[0]), int(ends[1])
    return part(ladder, first, last), np.clip(level, first, last) - first


def part(ladder: Ladder, first: int, last: int) -> Ladder:
    """Return the levels first to last as a ladder."""
    inner = slice(first, last + 1)
    move, share = ladder.move[inner, inner], ladder.share[inner]
    return replace(
        ladder,
        levels=ladder.levels[inner] - ladder.levels[first],
        move=move / move.sum(1, keepdims=True),
        share=share / share.sum(),
    )


def extended(ladder: Ladder, below: int, above: int) -> Ladder:
    """Return a ladder of equal levels with so many more at its ends, where none were seen so far."""
    k = len(ladder.levels)
    count, last = below + k + above, below + k - 1
    move = neighbours(count, 0.05)
    move[below : last + 1] = 0
    move[below : last + 1, below : last + 1] = ladder.move
    if below:
        move[below, below - 1] = 1e-3
    if above:
        move[last, last + 1] = 1e-3
    share = np.r_[np.full(below, 1e-4), ladder.share, np.full(above, 1e-4)]
    return replace(
        ladder,
        levels=np.asarray(ladder.unit * np.arange(count), np.float64),
        move=move / move.sum(1, keepdims=True),
        share=share / share.sum(),
    )


def refitted(
    x: Floats,
    restart: NDArray[np.bool_],
    ladder: Ladder,
    level: NDArray[np.int64],
    shut: Floats,
    length: int,
    shifts: tuple[int, ...] = (-1, 0, 1),
) -> tuple[Ladder, Floats] | None:
    """Return the ladder of least squares for a path, and the baseline; None where filter or noise make no sense.

    An autoregression with the path as input gives noise, filter and current at once.

    Parameters
    ----------
    x : (n,) trace. restart : (n,). level : (n,) path. shut : (n,) trace less its levels.
    length : of the kernel. shifts : samples that the path may be late by.
    """
    baseline = smooth_baseline(shut, restart)
    y, current = x - baseline, ladder.levels[level]
    fit = np.ones(len(x), bool)
    for a in np.flatnonzero(restart):
        fit[a : a + 8] = fit[max(0, a - 4) : a] = False
    fit[-4:] = False
    past = [np.roll(y, i) for i in range(1, ORDER + 1)]
    rows = np.stack([*past, *(np.roll(current, j) for j in range(-1, length + 1)), np.ones(len(y)), y])[
        :, fit
    ]
    best: tuple[float, Floats, Floats, int] | None = None
    for late in shifts:  # the smallest shift that explains as much
        chosen = [*range(ORDER), *range(ORDER + 1 - late, ORDER + 1 - late + length), len(rows) - 2]
        used = rows[chosen]
        gram = used @ used.T
        gram[np.diag_indices(len(gram))] += 1e-6 * np.diag(gram) + 1e-12 * np.trace(gram) / len(gram) + 1e-300
        weight = np.linalg.solve(gram, used @ rows[-1])
        rest = rows[-1] - weight @ used
        error = float(rest @ rest) * (1 + 0.005 * abs(late))
        if best is None or error < best[0]:
            best = error, weight, rest, late
    assert best is not None
    _, weight, rest, late = best
    ar = weight[:ORDER] * min(1.0, STEADIEST / max(weight[:ORDER].sum(), 1e-9))
    kernel = weight[ORDER : ORDER + length] / (1 - ar.sum())
    scale = float(kernel.sum())
    several = len(ladder.levels) > 1
    if several and (scale < 0.2 or not _sane(kernel / scale, ar)):
        return None
    changed = np.zeros(len(x), bool)
    for j in range(1, length):
        changed |= np.roll(level, j - late) != np.roll(level, j - 1 - late)
    steady, moving = rest[~changed[fit]], rest[changed[fit]]
    sigma = float(np.sqrt(np.mean(steady**2))) if len(steady) > 50 else float(rest.std())
    sigma = max(sigma, 1e-9 * (np.abs(x).max() + 1e-300))
    flank = np.sqrt((np.sum(moving**2) + 20 * sigma**2) / (len(moving) + 20))
    move, share = counted(level, restart, len(ladder.levels), ladder.jumps)
    return Ladder(
        ladder.levels * (scale if several else 1.0),
        kernel / scale if several else np.ones(1),
        Noise(ar, sigma),
        float(np.clip(flank, sigma, 3 * sigma)),
        move,
        share,
        ladder.jumps,
    ), baseline


def step_response(kernel: Floats, ar: Floats, count: int = 24) -> Floats:
    """Return (count,) how far the trace itself is on its way from one level to the next, 0 to 1."""
    from scipy.signal import lfilter

    drive = np.full(count, kernel.sum())
    drive[: len(kernel)] = np.cumsum(kernel)[:count]
    return np.asarray(lfilter([1 - ar.sum()], np.r_[1.0, -ar], drive))


def _sane(kernel: Floats, ar: Floats) -> bool:
    """Tell whether a step through the filter rises once and settles."""
    way = step_response(kernel, ar)
    return bool(way.max() < 1.4 and way.min() > -0.3)


def counted(
    level: NDArray[np.int64], restart: NDArray[np.bool_], count: int, jumps: bool
) -> tuple[Floats, Floats]:
    """Return (count, count) probabilities of moves as a path makes them, and the share of each level."""
    going = ~restart[1:]
    pair = level[:-1].astype(np.int64) * count + level[1:]
    seen = np.bincount(pair[going], minlength=count * count).reshape(count, count).astype(float)
    time = np.bincount(level, minlength=count).astype(float)
    if not jumps:  # a path moves by one at a time
        seen *= np.abs(np.subtract.outer(np.arange(count), np.arange(count))) <= 1
    rate = max(float(seen.sum() - np.trace(seen)) / max(time.sum(), 1.0) / 2, RAREST)
    prior = np.full((count, count), rate) if jumps else neighbours(count, rate)
    np.fill_diagonal(prior, 0.0)
    move = (seen - np.diag(np.diag(seen)) + 2 * prior) / (time[:, None] + 2)
    move = np.clip(move, 0, 0.4)
    np.fill_diagonal(move, np.maximum(1 - move.sum(1), 1e-3))
    return move / move.sum(1, keepdims=True), (time + 1) / (time.sum() + count)


def evidence(x: Floats, ladder: Ladder, baseline: Floats) -> float:
    """Return the log likelihood of a trace over all paths, less the price of what was fitted (Schwarz 1978).

    Parameters
    ----------
    x : (n,) one stretch. baseline : (n,) of the lowest level.
    """
    _, before, move, mean, sigma, start = _states(ladder)
    z = whitened(x, ladder.noise.ar) - baseline
    whole = likelihood(z, before, np.exp(move), mean, sigma, np.exp(start))
    return _likelihood(np.array([whole]), ladder, len(x)) - 0.5 * ladder.n_parameters * float(np.log(len(x)))
