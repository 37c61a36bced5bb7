"""Compiled kernels of a hidden Markov model with Gaussian levels on a moving baseline.

Rabiner 1989 (Proc IEEE 77:257) for the recursions; Qin 2004 (Biophys J 86:1488) for their use on single
channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, fastmath=True)  # type: ignore[untyped-decorator]
def posterior(
    x: NDArray[Any], levels: NDArray[Any], sigma: NDArray[Any], move: NDArray[Any], start: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], float]:
    """Return p(level | trace) (T, S), expected transitions (S, S) and the log likelihood.

    Parameters
    ----------
    x : (T,) trace minus baseline. levels, sigma : (S,). move : (S, S) row-stochastic. start : (S,).
    """
    n, s = len(x), len(levels)
    forward = np.empty((n, s), np.float32)
    scale = np.empty(n)
    likely = np.empty((n, s), np.float32)
    total = 0.0
    for t in range(n):
        best = -1e300
        for k in range(s):
            z = (x[t] - levels[k]) / sigma[k]
            v = -0.5 * z * z - np.log(sigma[k])
            likely[t, k] = v
            best = max(best, v)
        for k in range(s):
            likely[t, k] = np.exp(likely[t, k] - best)
        total += best
        norm = 0.0
        for k in range(s):
            if t == 0:
                a = start[k]
            else:
                a = 0.0
                for j in range(s):
                    a += forward[t - 1, j] * move[j, k]
            a = a * likely[t, k] + 1e-30
            forward[t, k] = a
            norm += a
        for k in range(s):
            forward[t, k] /= norm
        scale[t] = norm
        total += np.log(norm)
    moves = np.zeros((s, s))
    back = np.ones(s)
    fresh = np.empty(s)
    for t in range(n - 1, 0, -1):
        for k in range(s):
            fresh[k] = back[k] * likely[t, k] / scale[t]
        norm = 0.0
        for j in range(s):
            b = 0.0
            for k in range(s):
                joint = move[j, k] * fresh[k]
                moves[j, k] += forward[t - 1, j] * joint
                b += joint
            back[j] = b
        for k in range(s):  # forward[t] is not needed any more: it becomes the posterior
            forward[t, k] = forward[t, k] * fresh[k] * scale[t] / max(likely[t, k], 1e-30)
            norm += forward[t, k]
        for k in range(s):
            forward[t, k] /= norm
    norm = 0.0
    for k in range(s):
        forward[0, k] *= back[k]
        norm += forward[0, k]
    for k in range(s):
        forward[0, k] /= norm
    return forward, moves, total


@njit(cache=True, fastmath=True)  # type: ignore[untyped-decorator]
def follow(
    x: NDArray[Any], levels: NDArray[Any], sigma: float, move: NDArray[Any], baseline: float, gain: float
) -> NDArray[Any]:
    """Return the baseline (T,) followed forward in time: a filter that moves it by `gain` of each
    surprise.
    """
    n, s = len(x), len(levels)
    p = np.full(s, 1.0 / s)
    q = np.empty(s)
    out = np.empty(n)
    b = baseline
    for t in range(n):
        norm = 0.0
        best = -1e300
        for k in range(s):
            z = (x[t] - b - levels[k]) / sigma
            q[k] = -0.5 * z * z
            best = max(best, q[k])
        for k in range(s):
            a = 1e-6
            for j in range(s):
                a += p[j] * move[j, k]
            q[k] = a * np.exp(q[k] - best)
            norm += q[k]
        expected = 0.0
        for k in range(s):
            p[k] = q[k] / norm
            expected += p[k] * levels[k]
        error = x[t] - b - expected
        if error > 2.5 * sigma:
            error = 2.5 * sigma
        elif error < -2.5 * sigma:
            error = -2.5 * sigma
        b += gain * error
        out[t] = b
    return out


@njit(cache=True, fastmath=True)  # type: ignore[untyped-decorator]
def viterbi(
    x: NDArray[Any],
    levels: NDArray[Any],
    sigma: NDArray[Any],
    log_move: NDArray[Any],
    log_start: NDArray[Any],
) -> NDArray[Any]:
    """Return the most likely path (T,) int8; exact.

    Parameters
    ----------
    x : (T,) trace minus baseline. levels, sigma, log_start : (S,). log_move : (S, S), from row to column.
    """
    n, s = len(x), len(levels)
    path = np.zeros(n, np.int8)
    if n == 0:
        return path
    came = np.zeros((n, s), np.uint8)
    score, fresh = np.empty(s), np.empty(s)
    half, offset = np.empty(s), np.empty(s)
    for k in range(s):
        half[k] = 0.5 / (sigma[k] * sigma[k])
        offset[k] = -np.log(sigma[k])
        d = x[0] - levels[k]
        score[k] = log_start[k] - half[k] * d * d + offset[k]
    for t in range(1, n):
        for k in range(s):
            best, which = score[0] + log_move[0, k], 0
            for j in range(1, s):
                v = score[j] + log_move[j, k]
                if v > best:
                    best, which = v, j
            d = x[t] - levels[k]
            fresh[k] = best - half[k] * d * d + offset[k]
            came[t, k] = which
        top = fresh[0]
        for k in range(1, s):
            top = max(top, fresh[k])
        for k in range(s):
            score[k] = fresh[k] - top
    state = 0
    for k in range(1, s):
        if score[k] > score[state]:
            state = k
    for t in range(n - 1, -1, -1):
        path[t] = state
        state = came[t, state]
    return path
