"""Single channels: levels, baseline and noise found without a hand, then decoded exactly.

The unit current is told by the steps between held levels, else (in much noise, or where channels gate
faster than a level is held) searched on short stretches with a hidden Markov model of equally spaced levels.
The baseline is followed through the recording, both are refined by expectation maximisation, and the path is
the exact Viterbi path. Level 0 is the shut one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.channels.unit_current import held_levels, unit_current
from napari_biofm.types import EVENT_DTYPE, Events, Trace, no_events

MOST_LEVELS = 9
STRETCH = 4000  # samples of the stretches the unit current is searched on
BLOCK = 1000  # samples between knots of the baseline
FIT = 400_000  # samples the levels are fitted on at most
VITERBI = 20_000_000  # samples decoded at once; longer recordings go piece by piece with an overlap


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
    """

    n_open: NDArray[np.int8]
    levels: NDArray[np.float64]
    baseline: NDArray[np.float32]
    noise: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


@dataclass
class _Model:
    """Equally spaced levels `unit` apart with one noise, on a baseline, with free transitions."""

    unit: float
    sigma: float
    n: int  # levels
    move: NDArray[np.float64]
    start: NDArray[np.float64]
    fixed: bool = False  # the unit stays as it is

    def levels(self) -> NDArray[np.float64]:
        return np.asarray(self.unit * np.arange(self.n), np.float64)


def _moves(n: int, stay: float = 0.9) -> NDArray[np.float64]:
    """Return transitions that mostly stay, else mostly step by one."""
    away = np.abs(np.subtract.outer(np.arange(n), np.arange(n))).astype(float)
    move = np.where(away == 0, 0.0, 0.15 ** (away - 1))
    move = (1 - stay) * move / np.maximum(move.sum(1, keepdims=True), 1e-12) + stay * np.eye(n)
    return np.asarray(move / move.sum(1, keepdims=True))


def _em(
    x: NDArray[Any], base: NDArray[Any], m: _Model, rounds: int, block: int
) -> tuple[NDArray[Any], float, Any]:
    """Refine a model and its baseline in place; return the baseline, log likelihood and level
    probabilities.
    """
    from napari_biofm.events.channels.viterbi import posterior

    steps = np.arange(m.n)
    score, p = -np.inf, None
    for i in range(rounds):
        p, moves, fresh = posterior(x - base, m.levels(), np.full(m.n, m.sigma), m.move, m.start)
        k = p @ steps.astype(np.float32)
        k2 = p @ (steps.astype(np.float32) ** 2)
        rest = x - base
        weight = float(np.sum(k2) - np.sum(k) ** 2 / len(x))
        if weight > 1e-6 * len(x) and not m.fixed:
            m.unit = float((np.sum(k * rest) - np.sum(k) * rest.mean()) / weight)
        base = _baseline(x - m.unit * k, block)
        rest = x - base
        m.sigma = float(np.sqrt(max(np.mean(rest**2 - 2 * m.unit * k * rest + m.unit**2 * k2), 1e-18)))
        m.move = (moves + 0.5 * _moves(m.n)) / (moves + 0.5 * _moves(m.n)).sum(1, keepdims=True)
        m.start = p.mean(0).astype(float) + 1e-6
        m.start /= m.start.sum()
        if i and abs(fresh - score) < 1e-5 * len(x):
            score = fresh
            break
        score = fresh
    return base, float(score), p


def _baseline(shut: NDArray[Any], block: int) -> NDArray[np.float64]:
    """Return block means joined by lines; a line over the whole where there is one block."""
    n = len(shut)
    count = n // block
    if count < 2:
        t = np.linspace(-1, 1, n)
        slope = np.sum(t * (shut - shut.mean())) / max(float(np.sum(t * t)), 1e-12)
        return np.asarray(shut.mean() + slope * t)
    edges = np.linspace(0, n, count + 1).astype(int)
    mean = np.add.reduceat(shut.astype(float), edges[:-1]) / np.diff(edges)
    centre = 0.5 * (edges[:-1] + edges[1:] - 1)
    first = mean[0] - (mean[1] - mean[0]) / (centre[1] - centre[0]) * centre[0]
    last = mean[-1] + (mean[-1] - mean[-2]) / (centre[-1] - centre[-2]) * (n - 1 - centre[-1])
    knots = np.interp(np.arange(n), np.r_[0, centre, n - 1], np.r_[first, mean, last])
    return np.asarray(knots, np.float64)


def _search(x: NDArray[Any], known: float | None) -> tuple[float, _Model, NDArray[Any]]:
    """Return (penalised log likelihood per sample, model, baseline) of the best ladder of levels on a
    stretch; `known`: the unit current where steps have told it.
    """
    low, high = np.quantile(x, [0.002, 0.998])
    span = float(high - low)
    flat = _Model(span, float(x.std()), 1, np.ones((1, 1)), np.ones(1))
    t = np.linspace(-1, 1, len(x))
    line = np.polyval(np.polyfit(t, x, 1), t)
    sigma = max(float((x - line).std()), 1e-12)
    best = (-0.5 - np.log(sigma), flat, line)
    tried: list[tuple[float, _Model, NDArray[Any]]] = []
    units = 0.85 * span / np.array([1.0, 1.4, 2.0, 2.6, 3.3, 4.2, 5.2, 6.5])
    for unit in units if known is None else np.array([known]):
        n = min(MOST_LEVELS, int(np.ceil(span / unit)) + 1)
        m = _Model(unit, unit / 4, n, _moves(n), np.full(n, 1 / n), known is not None)
        tried.append(_rate(x, np.full(len(x), low + 0.05 * span), m, 9))
    for _, m, base in sorted(tried, key=lambda item: -item[0])[:3]:
        rated = _rate(x, base, m, 20)
        if m.n > 1 and abs(m.unit) > 0.8 * m.sigma and rated[0] > best[0]:
            best = rated
    return best


def _rate(x: NDArray[Any], base: NDArray[Any], m: _Model, rounds: int) -> tuple[float, _Model, NDArray[Any]]:
    """Refine a model on a stretch; return its likelihood per sample less a price per level, the model, the
    baseline.
    """
    base, score, p = _em(x, base, m, rounds, len(x))
    visited = np.flatnonzero(p.sum(0) > 3)
    count = int(visited[-1] - visited[0] + 1) if len(visited) else 1
    cost = 0.5 * np.log(len(x)) * (3 + 2 * count) + 25 * (count - len(visited))
    return (score - cost) / len(x), m, base


def _choose(x: NDArray[Any], known: float | None) -> tuple[_Model, NDArray[Any], int] | None:
    """Return the model of the stretch that tells levels apart best, its baseline, and where it starts."""
    stretch = min(len(x), STRETCH)
    starts = np.unique(np.linspace(0, len(x) - stretch, min(7, max(1, len(x) // stretch))).astype(int))
    tried = []
    for a in starts:
        _, m, base = _search(x[a : a + stretch], known)
        if m.n > 1:
            tried.append((m, base, int(a)))
    if not tried:
        return None
    units = np.array([abs(m.unit) for m, _, _ in tried])
    middle = np.median(units)
    near = [i for i in range(len(tried)) if abs(units[i] / middle - 1) < 0.15] or list(range(len(tried)))
    return tried[min(near, key=lambda i: tried[i][0].sigma / units[i])]


def fit(x: NDArray[np.float64]) -> tuple[_Model, NDArray[np.float64]] | None:
    """Return levels and baseline of a trace, or None where there is one level only.

    Parameters
    ----------
    x : (n,) finite.
    """
    from napari_biofm.events.channels.viterbi import follow

    held, sigma = held_levels(x)
    unit = unit_current(x, held, sigma)
    at = np.arange(len(x)) if unit is None else np.flatnonzero(held)
    chosen = _choose(x[at], unit)
    if chosen is None:
        return None
    m, base, first = chosen
    # Follow the baseline from that stretch to both ends, with spare levels on both sides.
    spare = 4
    wide = (np.arange(m.n + 2 * spare) - spare) * m.unit
    move = _moves(len(wide))
    inner = slice(spare, spare + m.n)
    move[inner, inner] = 0.95 * m.move + 0.05 * move[inner, inner]
    outside = np.maximum(np.maximum(spare - np.arange(len(wide)), np.arange(len(wide)) - spare - m.n + 1), 0)
    move *= 0.05 ** np.minimum(outside, 2)  # a level not seen so far is possible, not likely
    move /= move.sum(1, keepdims=True)
    gain, start = 1 / 100, base[len(base) // 2]
    split = at[first + len(base) // 2]
    after = follow(x[split:], wide, m.sigma, move, start, gain)
    before = follow(x[:split][::-1].copy(), wide, m.sigma, move, start, gain)[::-1]
    followed = np.concatenate([before, after])
    k = np.clip(np.round((x - followed) / m.unit), -spare, m.n + spare - 1)
    base = _baseline(x - k * m.unit, BLOCK // 2) + wide[0]
    m, settled = _settle(x[at], base[at], m, len(wide))
    if unit is None:
        return m, settled
    m.fixed = False
    base = np.interp(np.arange(len(x)), at, settled)
    part = slice(0, min(len(x), FIT))
    base[part] = _em(x[part], base[part], m, 6, BLOCK)[0]
    return m, base


def _settle(x: NDArray[Any], base: NDArray[Any], m: _Model, n: int) -> tuple[_Model, NDArray[Any]]:
    """Refine on all levels, then drop those at the ends that explain too little."""
    part = slice(0, min(len(x), FIT))
    full = _Model(m.unit, m.sigma, n, _moves(n), np.full(n, 1 / n), m.fixed)
    inner, _, p = _em(x[part], base[part], full, 4, BLOCK)
    kept = np.flatnonzero(p.sum(0) > max(4.0, 2e-5 * len(p)))
    first, last = (int(kept[0]), int(kept[-1])) if len(kept) else (0, 0)
    final, inner, score = _within(x[part], inner, full, first, last, 6)
    while final.n > 1:  # a level at an end must earn its place
        price = 20 + np.log(len(p))
        fewer = [_within(x[part], inner, final, *ends, 3) for ends in ((1, final.n - 1), (0, final.n - 2))]
        k = int(fewer[1][2] > fewer[0][2])
        if fewer[k][2] < score - price:
            break
        first += k == 0
        final, inner, score = fewer[k]
    final, inner, _ = _within(x[part], inner, final, 0, final.n - 1, 8)
    base = base + first * full.unit
    base[part] = inner
    for a in range(part.stop, len(x), FIT):  # the rest: two rounds from the same start
        piece = slice(a, min(a + FIT, len(x)))
        copy = _Model(final.unit, final.sigma, final.n, final.move, final.start)
        base[piece] = _em(x[piece], base[piece], copy, 2, BLOCK)[0]
    return final, base


def _within(
    x: NDArray[Any], base: NDArray[Any], m: _Model, first: int, last: int, rounds: int
) -> tuple[_Model, NDArray[Any], float]:
    """Refine with the levels first to last of a model only; return the model, the baseline, the log
    likelihood.
    """
    inner = slice(first, last + 1)
    move = m.move[inner, inner] + 1e-9
    start = m.start[inner] + 1e-9
    part = _Model(
        m.unit, m.sigma, last - first + 1, move / move.sum(1, keepdims=True), start / start.sum(), m.fixed
    )
    base, score, _ = _em(x, base + first * m.unit, part, rounds, BLOCK)
    return part, base, score


def _unseen(count: NDArray[np.int64]) -> tuple[int, int]:
    """Return how many levels below and above were too rare to be seen, by the binomial law of equal channels.

    Only where the levels seen contradict the law clearly and one more level at one end mends it.
    """
    from scipy.optimize import minimize_scalar
    from scipy.stats import binom

    n, share = len(count), count / count.sum()
    if n < 3:
        return 0, 0

    def misfit(channels: int, first: int) -> tuple[float, float]:
        """Kullback-Leibler divergence at the best open probability, and the mass of what was not seen."""

        def cost(p: float) -> float:
            law = binom.pmf(np.arange(first, first + n), channels, p)
            return float(np.sum(share * np.log((share + 1e-12) / (law / max(law.sum(), 1e-300) + 1e-12))))

        best = minimize_scalar(cost, bounds=(1e-3, 1 - 1e-3), method="bounded")
        return float(best.fun), 1 - float(binom.pmf(np.arange(first, first + n), channels, best.x).sum())

    now, _ = misfit(n - 1, 0)
    options = [(below, above, *misfit(n - 1 + below + above, below)) for below, above in ((1, 0), (0, 1))]
    below, above, cost, mass = min(options, key=lambda o: o[2])
    return (below, above) if now > 1.5e-3 and cost < 0.2 * now and mass < 4e-3 else (0, 0)


def _shut_is_top(m: _Model, base: NDArray[Any], noise: NDArray[Any], holding: float | None) -> bool:
    """Decide which end of the ladder is the shut one.

    In this order: the holding potential's sign where it is told; the end that is quieter by a fifth (open
    channels are noisier; NaN where too little was seen); the end that lies at zero current, on a steady
    baseline; else the lower one.
    """
    if holding is not None and abs(holding) > 1e-4:
        return holding < 0
    if len(noise) > 1 and noise[0] > 1.2 * noise[-1]:
        return True
    if len(noise) > 1 and noise[-1] > 1.2 * noise[0]:
        return False
    if np.subtract(*np.quantile(base, [0.95, 0.05])) > 0.5 * abs(m.unit):
        return False
    ends = np.median(base) + np.array([0.0, m.unit * (m.n - 1)])
    ends = np.abs(ends) / abs(m.unit)
    return bool(ends[1] < 0.15 and ends[0] > 0.5)


def idealize(signal: Trace) -> Idealized:
    """Return how many channels are open at each sample.

    Parameters
    ----------
    signal : a single-channel recording; NaN gaps are bridged and get the level before them.

    Returns
    -------
    Idealized; one level and zeros where nothing opens.
    """
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    from napari_biofm.events.channels.viterbi import viterbi

    values = np.asarray(signal.values[:], np.float64)
    bad = ~np.isfinite(values)
    if bad.any() and not bad.all():
        values = np.interp(np.arange(len(values)), np.flatnonzero(~bad), values[~bad])
    nothing = Idealized(
        np.zeros(len(values), np.int8),
        np.zeros(1),
        np.full(len(values), np.median(values) if len(values) else 0, "f4"),
    )
    if len(values) < 50 or bad.all() or np.ptp(values) == 0:
        return nothing
    found = fit(values)
    if found is None or found[0].n < 2:
        return nothing
    m, base = found
    if m.unit < 0:  # levels from low to high
        base = base + m.unit * (m.n - 1)
        m = _Model(-m.unit, m.sigma, m.n, m.move[::-1, ::-1].copy(), m.start[::-1].copy())
    levels, tiny = m.levels(), 1e-12
    path = np.zeros(len(values), np.int8)
    for a in range(0, len(values), VITERBI):
        b = min(len(values), a + VITERBI + 10_000)
        piece = viterbi(
            (values - base)[a:b], levels, np.full(m.n, m.sigma), np.log(m.move + tiny), np.log(m.start + tiny)
        )
        path[a : a + VITERBI] = piece[:VITERBI]
    below, above = _unseen(np.bincount(path, minlength=m.n))
    if below or above:
        base, path = base - below * m.unit, (path + below).astype(np.int8)
        m = _Model(m.unit, m.sigma, m.n + below + above, m.move, m.start)
        levels = m.levels()
    rest = values - base - levels[path]
    inside = minimum_filter1d(path, 7) == maximum_filter1d(path, 7)  # off the flanks of filtered steps
    lying = [rest[(path == k) & inside] for k in range(m.n)]
    noise = np.array([part.std() if len(part) > 300 else np.nan for part in lying])
    if _shut_is_top(m, base, noise, signal.holding):
        base = base + levels[-1]
        path = (m.n - 1 - path).astype(np.int8)
        levels, noise = -levels, noise[::-1].copy()
    return Idealized(path, levels, base.astype(np.float32), np.where(np.isnan(noise), m.sigma, noise))


def opening_events(signal: Trace) -> Events:
    """Return the openings of a recording as events: one row per step to more open channels.

    `decay_s` holds how long the channel count stays at or above the new level.
    """
    ideal = idealize(signal)
    up = np.flatnonzero(np.diff(ideal.n_open.astype(int)) > 0) + 1
    if not len(up):
        return no_events()
    table = np.zeros(len(up), EVENT_DTYPE)
    table["sweep"], table["channel"], table["unit"] = signal.sweep, signal.channel, signal.unit[:8]
    table["time_s"], table["class"], table["score"] = up / signal.sampling_rate, "open", 1.0
    steps = ideal.n_open.astype(int)
    table["amplitude"] = ideal.levels[steps[up]] - ideal.levels[steps[up - 1]]
    table["rise_s"] = np.nan
    down = np.flatnonzero(np.diff(steps) < 0) + 1
    following = np.searchsorted(down, up)
    ends = np.append(down, len(steps))[following]
    table["decay_s"] = (ends - up) / signal.sampling_rate
    unit, sigma = abs(ideal.levels[1]), float(ideal.noise.mean())
    table["score"] = np.clip(unit / (unit + sigma), 0, 1)
    return table
