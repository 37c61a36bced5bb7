"""Least squares for many events at once.

Sizes and the baseline are linear and solved exactly at every step; onset and time constants move by Levenberg and
Marquardt's rule (Golub & Pereyra, SIAM J Numer Anal 10:413, 1973, for the separation). What is known of a shape
beforehand enters as a measurement of the stated spread: a clear event is measured by itself, a small one has the
shape of the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.measuring.bins import Bins, Floats
from napari_biofm.events.measuring.shapes import FIELDS, Shapes, smoothed

_ROUNDS = 25
_LARGEST_STEP = 0.7  # of the logarithm of a time constant
_SHORTEST, _LONGEST = np.log(0.05), np.log(3e7)  # samples
_ROOT_TWO_PI = 2.5066282746310002


@dataclass(frozen=True)
class Prior:
    """What is known of the logarithms of rise, smoothing and decay: (n_events, 3); spread inf where nothing is."""

    mean: Floats
    spread: Floats

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Prior:
        """Return that of some events."""
        return Prior(self.mean[rows], self.spread[rows])


@dataclass(frozen=True)
class Fit:
    """The outcome of `fit`.

    Attributes
    ----------
    shapes : the events.
    error : (n_events, 3) standard errors of onset (samples) and of the logarithms of rise and decay, from the
        trace alone.
    size_error : (n_events,) standard error of the size as a fraction, for this shape.
    residual : (n_events, n_bins) data minus fit.
    """

    shapes: Shapes
    error: Floats
    size_error: Floats
    residual: Floats

    def put(self, rows: NDArray[np.intp], other: Fit) -> Fit:
        """Return this with some events replaced."""
        error, size, rest = self.error.copy(), self.size_error.copy(), self.residual.copy()
        error[rows], size[rows], rest[rows] = other.error, other.size_error, other.residual
        return Fit(self.shapes.put(rows, other.shapes), error, size, rest)


@dataclass
class _State:
    """Where the fit of each event stands: what its parameters give."""

    p: Floats  # (n, 4 or 5): onset, log rise, log smoothing, log decay, log second decay
    basis: Floats  # (n, 1 + n_decays, n_bins): ones, and the shape of each decay
    linear: Floats  # (n, 1 + n_decays)
    rest: Floats  # (n, n_bins)
    cost: Floats
    parts: tuple[
        Floats, ...
    ]  # exponentials at each decay's rate and at its sum with the rise's, and the Gaussian


class _Problem:
    """Data of the events."""

    def __init__(self, bins: Bins, weight: Floats, noise: Floats, prior: Prior, two: bool) -> None:
        self.bins, self.prior, self.two = bins, prior, two
        self.weight = weight / noise[:, None] ** 2

    def take(self, rows: NDArray[np.intp]) -> _Problem:
        other = _Problem.__new__(_Problem)
        other.bins, other.weight, other.two = self.bins.take(rows), self.weight[rows], self.two
        other.prior = self.prior.take(rows)
        return other

    def state(self, p: Floats) -> _State:
        """Return what parameters give."""
        late = self.bins.centre - p[:, :1]
        smooth = np.sqrt(np.exp(2 * p[:, 2:3]) + self.bins.half**2 / 3)
        basis, parts = [np.ones_like(late)], [late, smooth]
        rise = np.exp(-p[:, 1:2])
        for k in range(3, p.shape[1]):
            slow = np.exp(-p[:, k : k + 1])
            one, two = smoothed(late, smooth, slow)[0], smoothed(late, smooth, slow + rise)[0]
            basis.append(one - two)
            parts += [one, two]
        stacked = np.stack(basis, 1)
        linear = self._linear(stacked)
        rest = self.bins.y - (linear[:, None] @ stacked)[:, 0]
        pull = ((p[:, 1:4] - self.prior.mean) / self.prior.spread) ** 2
        return _State(p, stacked, linear, rest, (self.weight * rest**2).sum(1) + pull.sum(1), tuple(parts))

    def _linear(self, basis: Floats) -> Floats:
        weighted = basis * self.weight[:, None]
        matrix = weighted @ basis.transpose(0, 2, 1)
        right = (weighted @ self.bins.y[:, :, None])[:, :, 0]
        diagonal = np.arange(basis.shape[1])
        matrix[:, diagonal, diagonal] *= 1 + 1e-9
        matrix[:, diagonal, diagonal] += 1e-12 * matrix[:, :1, 0] + 1e-30
        return np.asarray(np.linalg.solve(matrix, right[:, :, None])[:, :, 0])

    def slopes(self, at: _State) -> Floats:
        """Return (n, n_linear + n_nonlinear, n_bins): derivatives by the linear parts and by `p`."""
        p, (late, smooth) = at.p, at.parts[:2]
        rise = np.exp(-p[:, 1:2])
        share = np.exp(2 * p[:, 2:3]) / smooth**2  # of the smoothing that is the event's own
        bell = np.exp(-0.5 * np.minimum((late / smooth) ** 2, 80)) / (_ROOT_TWO_PI * smooth)
        by_onset, by_rise, by_smooth = (np.zeros_like(late) for _ in range(3))
        by_decay = []
        for k in range(3, p.shape[1]):
            one, two = at.parts[2 * k - 4 : 2 * k - 2]
            size = at.linear[:, k - 2, None]
            slow = np.exp(-p[:, k : k + 1])
            fast = np.minimum(slow + rise, 6.0 / smooth)
            by_onset -= size * (fast * two - slow * one)
            one_rate = -(late - slow * smooth**2) * one - smooth**2 * bell
            two_rate = -(late - fast * smooth**2) * two - smooth**2 * bell
            by_rise += size * two_rate * rise
            curved = (
                (slow * smooth) ** 2 * one - (fast * smooth) ** 2 * two + (fast - slow) * smooth**2 * bell
            )
            by_smooth += size * share * curved
            by_decay.append(-size * slow * (one_rate - two_rate))
        return np.concatenate([at.basis, np.stack([by_onset, by_rise, by_smooth, *by_decay], 1)], 1)


def fit(
    bins: Bins,
    weight: Floats,
    start: Shapes,
    noise: Floats,
    prior: Prior,
    reach: Floats,
    *,
    two: bool = False,
) -> Fit:
    """Fit one event to each row of bins.

    Parameters
    ----------
    bins : the trace around each event.
    weight : (n_events, n_bins) samples that a bin counts for.
    start : where to begin.
    noise : (n_events,) standard deviation of one sample.
    prior : of the shapes.
    reach : (n_events,) samples that an onset may move from its start at most.
    two : whether two decays are fitted.
    """
    names = ("rise", "smooth", "decay", *(("second",) if two else ()))
    p = np.stack([start.onset, *(np.log(getattr(start, name)) for name in names)], 1)
    p[:, 1:] = np.clip(p[:, 1:], _SHORTEST, _LONGEST)
    problem = _Problem(bins, weight, noise, prior, two)
    state = problem.state(p)
    centre, damping = p[:, 0].copy(), np.full(len(p), 1e-2)
    live = np.arange(len(p))
    for _ in range(_ROUNDS):
        if not len(live):
            break
        now = problem.take(live)
        here = _rows(state, live)
        step = _step(now, here, damping[live])
        moved = here.p + step
        moved[:, 0] = np.clip(moved[:, 0], centre[live] - reach[live], centre[live] + reach[live])
        moved[:, 1:] = np.clip(moved[:, 1:], _SHORTEST, _LONGEST)
        moved[:, 1] = np.minimum(moved[:, 1], moved[:, 3] + 3.0)
        ratio = (
            moved[:, 3] - moved[:, 1]
        )  # smoothed by more than its own rise or 0.3 decays, it is another shape
        longest = np.maximum(moved[:, 1] + np.log(np.log1p(np.exp(ratio))), moved[:, 3] - 1.2)
        moved[:, 2] = np.minimum(moved[:, 2], np.maximum(longest, -0.3))
        next_ = now.state(moved)
        better = next_.cost <= here.cost
        _write(state, live[better], next_, better)
        damping[live] = np.where(better, damping[live] * 0.2, damping[live] * 6)
        gained = here.cost - next_.cost
        done = (better & (gained < 1e-4 * (1 + 1e-3 * here.cost))) | (damping[live] > 1e4)
        live = live[~done]
    return _outcome(problem, state, start)


def _rows(state: _State, rows: NDArray[np.intp]) -> _State:
    return _State(
        state.p[rows], state.basis[rows], state.linear[rows], state.rest[rows], state.cost[rows],
        tuple(part[rows] for part in state.parts),
    )  # fmt: skip


def _write(state: _State, rows: NDArray[np.intp], other: _State, kept: NDArray[np.bool_]) -> None:
    for name in ("p", "basis", "linear", "rest", "cost"):
        getattr(state, name)[rows] = getattr(other, name)[kept]
    for mine, new in zip(state.parts, other.parts, strict=True):
        mine[rows] = new[kept]


def _step(problem: _Problem, at: _State, damping: Floats) -> Floats:
    """Return the damped step of Gauss and Newton in the parameters that are not linear."""
    jacobian = problem.slopes(at)
    weighted = jacobian * problem.weight[:, None]
    matrix = weighted @ jacobian.transpose(0, 2, 1)
    slope = (weighted @ at.rest[:, :, None])[:, :, 0]
    linear = at.linear.shape[1]
    hold = 1 / problem.prior.spread**2
    known = np.arange(linear + 1, linear + 4)
    slope[:, known] -= hold * (at.p[:, 1:4] - problem.prior.mean)
    matrix[:, known, known] += hold
    n = matrix.shape[1]
    diagonal, more = np.arange(n), np.zeros((len(slope), n))
    more[:, linear:] = damping[:, None]
    matrix[:, diagonal, diagonal] *= 1 + 1e-9 + more
    matrix[:, diagonal, diagonal] += 1e-9
    step = np.nan_to_num(np.linalg.solve(matrix, slope[:, :, None])[:, linear:, 0])
    step[:, 1:] = np.clip(step[:, 1:], -_LARGEST_STEP, _LARGEST_STEP)
    rise, decay = np.exp(at.p[:, 1]), np.exp(at.p[:, 3])
    most = 0.5 * (rise * np.log1p(decay / rise) + np.exp(at.p[:, 2])) + 1.0
    step[:, 0] = np.clip(step[:, 0], -most, most)
    return np.asarray(step)


def _outcome(problem: _Problem, state: _State, start: Shapes) -> Fit:
    """Return shapes and standard errors."""
    logs = np.exp(state.p[:, 1:])
    made = {name: getattr(start, name).copy() for name in FIELDS}
    made["onset"], made["rise"], made["smooth"], made["decay"] = state.p[:, 0], *logs[:, :3].T
    made["offset"], made["size"] = state.linear[:, 0], state.linear[:, 1]
    made["second_size"] = np.zeros(len(logs))
    if problem.two:
        made["second"], made["second_size"] = logs[:, 3], state.linear[:, 2]
    jacobian = problem.slopes(state)
    matrix = (jacobian * problem.weight[:, None]) @ jacobian.transpose(0, 2, 1)
    n, linear = matrix.shape[1], state.linear.shape[1]
    scale = np.sqrt(np.maximum(matrix[:, np.arange(n), np.arange(n)], 1e-300))
    hold = 1 / (problem.prior.spread[:, 1] * scale[:, linear + 2]) ** 2
    scaled = matrix / scale[:, :, None] / scale[:, None, :] + 1e-9 * np.eye(n)
    scaled[:, linear + 2, linear + 2] += hold
    error = np.sqrt(np.maximum(np.linalg.inv(scaled)[:, np.arange(n), np.arange(n)], 0)) / scale
    pair = np.sqrt(np.maximum(np.linalg.inv(scaled[:, :2, :2])[:, 1, 1], 0)) / scale[:, 1]
    size_error = pair / np.maximum(np.abs(state.linear[:, 1:].sum(1)), 1e-9 * pair + 1e-300)
    return Fit(Shapes(**made), error[:, [linear, linear + 1, linear + 3]], size_error, state.rest)
