"""Multinomial logistic regression on NumPy alone: quick enough to be refitted at every click.

The objective is the weighted mean cross entropy plus `l2 / 2` times the squared weights (the intercept is
free), minimised with L-BFGS from wherever the last fit ended. On decorrelated features (`scaling.Rotation`)
the variances of the columns tell the curvature beforehand, and some ten steps do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Codes = NDArray[np.int64]
Column = NDArray[np.float64]
MEMORY = 12  # moves remembered


@dataclass(frozen=True)
class Weights:
    """coefficients : (d, k) float32; intercept : (k,) float32."""

    coefficients: Matrix
    intercept: Matrix

    def logits(self, features: Matrix) -> Matrix:
        """Return (n, k) float32 for features (n, d)."""
        return np.asarray(features @ self.coefficients + self.intercept)


def solve(
    features: Matrix,
    codes: Codes,
    n_classes: int,
    *,
    l2: float,
    sample_weight: NDArray[np.float64] | None = None,
    variances: NDArray[np.floating] | None = None,
    start: Weights | None = None,
    tolerance: float = 1e-4,
    max_iter: int = 200,
) -> Weights:
    """Fit the weights.

    Parameters
    ----------
    features : (n, d) float32, standardised.
    codes : (n,) class of each row, 0 .. n_classes - 1.
    l2 : strength of the penalty, per sample.
    sample_weight : (n,), scaled to mean 1 here.
    variances : (d,) mean squares of decorrelated columns: the preconditioner.
    start : weights to start from.
    """
    n, d = features.shape
    weight = np.ones(n) if sample_weight is None else np.asarray(sample_weight, np.float64)
    weight = (weight / weight.sum()).astype(np.float32)
    rows = np.arange(n)
    shape = (d + 1, n_classes)
    pace = _pace(d, n_classes, l2, variances)

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        theta = flat.reshape(shape) * pace
        logits = features @ theta[:-1].astype(np.float32)
        logits += theta[-1].astype(np.float32)
        logits -= logits.max(1, keepdims=True)
        expected = np.exp(logits)
        total = expected.sum(1)
        loss = float(np.dot(weight, np.log(total) - logits[rows, codes]))
        expected *= (weight / total)[:, None]
        expected[rows, codes] -= weight
        gradient = np.empty(shape)
        gradient[:-1] = features.T @ expected + l2 * theta[:-1]
        gradient[-1] = expected.sum(0)
        gradient *= pace
        return loss + 0.5 * l2 * float((theta[:-1] ** 2).sum()), gradient.ravel()

    first = np.zeros(shape)
    if start is not None and start.coefficients.shape == (d, n_classes):
        first[:-1], first[-1] = start.coefficients, start.intercept
    found = lbfgs(objective, (first / pace).ravel(), tolerance, max_iter).reshape(shape) * pace
    return Weights(found[:-1].astype(np.float32), found[-1].astype(np.float32))


def lbfgs(
    objective: Callable[[Column], tuple[float, Column]], start: Column, tolerance: float, max_iter: int
) -> Column:
    """Minimise a smooth convex function (L-BFGS; Nocedal and Wright 2006, algorithm 7.4, with backtracking).

    Written out here because scipy's goes through threaded BLAS at every step, which on a busy machine costs
    more than the step, and takes a second to import.
    """
    x = start
    loss, gradient = objective(x)
    pairs: deque[tuple[Column, Column, float]] = deque(maxlen=MEMORY)
    for _ in range(max_iter):
        if np.abs(gradient).max() < tolerance:
            break
        direction = _towards(gradient, pairs)
        slope = float(gradient @ direction)
        if slope >= 0:  # rounding: start afresh, downhill
            pairs.clear()
            direction, slope = -gradient, -float(gradient @ gradient)
        step = 1.0
        while True:
            trial = x + step * direction
            new_loss, new_gradient = objective(trial)
            if new_loss <= loss + 1e-4 * step * slope or step < 1e-6:
                break
            step *= 0.4
        moved, turned = trial - x, new_gradient - gradient
        gain = loss - new_loss
        bend = float(moved @ turned)
        if bend > 1e-12:
            pairs.append((moved, turned, 1.0 / bend))
        x, loss, gradient = trial, new_loss, new_gradient
        if gain <= tolerance / 50 * max(abs(loss), 1e-3):
            break
    return x


def _towards(gradient: Column, pairs: Sequence[tuple[Column, Column, float]]) -> Column:
    """Return the quasi-Newton direction from the last moves and turns."""
    q = gradient.copy()
    shares = []
    for moved, turned, rho in reversed(pairs):
        share = rho * float(moved @ q)
        shares.append(share)
        q -= share * turned
    if pairs:
        moved, turned, rho = pairs[-1]
        q /= rho * float(turned @ turned)
    for (moved, turned, rho), share in zip(pairs, reversed(shares), strict=True):
        q += (share - rho * float(turned @ q)) * moved
    return -q


def _pace(d: int, n_classes: int, l2: float, variances: NDArray[np.floating] | None) -> NDArray[np.float64]:
    """Step length of each row of the weights, (d + 1, 1): one over the root of its curvature."""
    if variances is None:
        return np.ones((d + 1, 1))
    bend = 0.5 * (1 - 1 / n_classes) * 2 / n_classes  # of the softmax where it is undecided
    curvature = np.append(bend * np.asarray(variances, np.float64), bend) + l2
    return (1.0 / np.sqrt(curvature))[:, None]


def softmax(logits: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float32]:
    """Return probabilities (n, k) float32 of logits divided by `temperature`."""
    scaled = np.asarray(logits, np.float32) / np.float32(temperature)
    scaled -= scaled.max(1, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(1, keepdims=True)
    return scaled


def balanced(codes: Codes, n_classes: int, power: float = 1.0) -> NDArray[np.float64]:
    """Return a weight per row that makes all classes count alike (`power` 1), or as they come (0)."""
    counts = np.bincount(codes, minlength=n_classes).astype(float)
    return np.asarray((len(codes) / (n_classes * np.maximum(counts, 1.0))) ** power)[codes]


def best_temperature(logits: NDArray[np.floating], codes: Codes) -> float:
    """Return the temperature that makes held-out logits most likely (Guo et al. 2017), in 0.2 .. 10."""
    rows = np.arange(len(codes))

    def loss(log_temperature: float) -> float:
        chosen = softmax(logits, float(np.exp(log_temperature)))[rows, codes]
        return float(-np.log(np.maximum(chosen, 1e-12)).mean())

    grid = np.linspace(np.log(0.2), np.log(10.0), 14)
    at = int(np.argmin([loss(t) for t in grid]))
    low, high = grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)]
    fine = np.linspace(low, high, 13)
    return float(np.exp(fine[int(np.argmin([loss(t) for t in fine]))]))


def weigh(
    logits: Sequence[NDArray[np.floating]], codes: Codes, sample_weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how much each expert counts, (e,), from what they said about rows left out.

    The sum of the weighed logits is made most likely (stacking: Wolpert, Neural Networks 5:241, 1992; in
    logits, hence a product of experts). Weights are not negative, and an expert that says nothing new gets
    next to none.

    Parameters
    ----------
    logits : of each expert, (n, k). codes : (n,). sample_weight : (n,).
    """
    stack = np.stack([np.asarray(one, np.float64) for one in logits])
    stack -= stack.mean(2, keepdims=True)
    rows = np.arange(len(codes))
    weight = sample_weight / sample_weight.sum()
    own = stack[:, rows, codes]

    def objective(flat: Column) -> tuple[float, Column]:
        share = np.exp(np.clip(flat, -12, 4))
        total = np.tensordot(share, stack, 1)
        total -= total.max(1, keepdims=True)
        likely = np.exp(total)
        likely /= likely.sum(1, keepdims=True)
        loss = -float(weight @ np.log(np.maximum(likely[rows, codes], 1e-300)))
        pull = (stack * likely).sum(2) - own
        return loss, np.asarray((pull @ weight) * share)

    start = np.array([-np.log(best_temperature(one, codes) * len(stack)) for one in logits])
    return np.asarray(np.exp(np.clip(lbfgs(objective, start, 1e-6, 60), -12, 4)))
