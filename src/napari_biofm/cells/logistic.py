"""Multinomial logistic regression on NumPy alone: quick enough to be refitted at every click.

The objective is the weighted mean cross entropy plus `l2 / 2` times the squared weights (the intercept is
free), minimised with L-BFGS from wherever the last fit ended. On decorrelated features (`scaling.Rotation`)
the variances of the columns tell the curvature beforehand, and some ten steps do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Codes = NDArray[np.int64]


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
    from scipy.optimize import minimize

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
    first /= pace
    options = {"maxiter": max_iter, "gtol": tolerance, "ftol": tolerance / 50, "maxcor": 12}
    found = minimize(objective, first.ravel(), jac=True, method="L-BFGS-B", options=options).x.reshape(shape)
    found *= pace
    return Weights(found[:-1].astype(np.float32), found[-1].astype(np.float32))


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
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(codes))

    def loss(log_temperature: float) -> float:
        chosen = softmax(logits, float(np.exp(log_temperature)))[rows, codes]
        return float(-np.log(np.maximum(chosen, 1e-12)).mean())

    found = minimize_scalar(loss, bounds=(np.log(0.2), np.log(10.0)), method="bounded")
    return float(np.exp(found.x))
