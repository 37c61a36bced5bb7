"""Compiled kernels: the best path through levels on a moving baseline, and the best cut into constant pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, fastmath=True, nogil=True)  # type: ignore[untyped-decorator]
def best_path(
    z: NDArray[Any],
    restart: NDArray[Any],
    before: NDArray[Any],
    move: NDArray[Any],
    mean: NDArray[Any],
    sigma: NDArray[Any],
    start: NDArray[Any],
    free: bool,
    baseline: float,
    gain: float,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the most likely states (T,) int16 and the log likelihood of each stretch (Viterbi 1967).

    Every surviving path follows its own baseline, which moves by `gain` of each surprise, faster at first (per-survivor processing,
    Raheli, Polydoros & Tzou 1995, IEEE Trans Commun 43:354). With a gain of 0 and a known baseline the path is exact.

    Parameters
    ----------
    z : (T,) trace. restart : (T,) bool, True where a stretch begins; the first is True.
    before : (S, P) states that may come before each state, -1 where there are no more. move : (S, P) log probability.
    mean, sigma, start : (S,) mean and noise of each state, log probability to begin with it.
    free : whether any baseline will do at the beginning of a stretch; else it is `baseline`. gain : 0 to 1.
    """
    n, s_count, most = len(z), before.shape[0], before.shape[1]
    path = np.empty(n, np.int16)
    came = np.empty((n, s_count), np.uint8)
    score, fresh = np.zeros(s_count), np.zeros(s_count)
    base, fresh_base = np.zeros(s_count), np.zeros(s_count)
    half, offset = 0.5 / (sigma * sigma), -np.log(sigma)
    last, total = np.empty(np.sum(restart), np.int64), np.empty(np.sum(restart))
    piece, age = -1, 0
    for t in range(n):
        if restart[t]:
            if piece >= 0:
                last[piece] = np.argmax(score)
                total[piece] = score[last[piece]]
            piece, age = piece + 1, 0
            for s in range(s_count):
                d = 0.0 if free else z[t] - mean[s] - baseline
                base[s] = z[t] - mean[s] if free else baseline
                score[s] = start[s] + offset[s] - half[s] * d * d
            continue
        age += 1
        pull = max(gain, 1.0 / (age + 1)) if free else gain
        for s in range(s_count):
            d0 = z[t] - mean[s]
            best, slot, surprise = -1e300, 0, 0.0
            for p in range(most):
                q = before[s, p]
                if q < 0:
                    break
                d = d0 - base[q]
                v = score[q] + move[s, p] - half[s] * d * d
                if v > best:
                    best, slot, surprise = v, p, d
            fresh[s] = best + offset[s]
            fresh_base[s] = base[before[s, slot]] + pull * surprise
            came[t, s] = slot
        for s in range(s_count):
            score[s] = fresh[s]
            base[s] = fresh_base[s]
    last[piece] = np.argmax(score)
    total[piece] = score[last[piece]]
    state = last[piece]
    for t in range(n - 1, -1, -1):
        path[t] = state
        if restart[t]:
            piece -= 1
            if piece >= 0:
                state = last[piece]
        else:
            state = before[state, came[t, state]]
    return path, total


@njit(cache=True, fastmath=True, nogil=True)  # type: ignore[untyped-decorator]
def likelihood(
    z: NDArray[Any],
    before: NDArray[Any],
    move: NDArray[Any],
    mean: NDArray[Any],
    sigma: NDArray[Any],
    start: NDArray[Any],
) -> float:
    """Return the log likelihood of a trace over all paths (forward recursion; Rabiner 1989, Proc IEEE 77:257).

    Parameters
    ----------
    z : (T,) trace less its baseline. before, mean, sigma : as of `best_path`.
    move : (S, P) probability of each state after those before it. start : (S,) probability to begin with it.
    """
    n, s_count, most = len(z), before.shape[0], before.shape[1]
    half, height = 0.5 / (sigma * sigma), sigma.min() / sigma
    now, fresh = start.copy(), np.empty(s_count)
    total = -n * np.log(sigma.min())
    for t in range(n):
        closest = 1e300
        for s in range(s_count):
            d = z[t] - mean[s]
            closest = min(closest, half[s] * d * d)
        norm = 0.0
        for s in range(s_count):
            a = 0.0
            if t == 0:
                a = now[s]
            else:
                for p in range(most):
                    q = before[s, p]
                    if q < 0:
                        break
                    a += now[q] * move[s, p]
            d = z[t] - mean[s]
            a = a * height[s] * np.exp(closest - half[s] * d * d) + 1e-60
            fresh[s] = a
            norm += a
        for s in range(s_count):
            now[s] = fresh[s] / norm
        total += np.log(norm) - closest
    return total


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def constant_pieces(x: NDArray[Any], price: float, longest: int) -> NDArray[Any]:
    """Return where constant pieces begin, and the end: squares plus `price` per piece at their least.

    Killick, Fearnhead & Eckley 2012, J Am Stat Assoc 107:1590 (PELT). x : (T,). longest : samples of a piece at most.
    """
    n = len(x)
    total, squares = np.zeros(n + 1), np.zeros(n + 1)
    for i in range(n):
        total[i + 1] = total[i] + x[i]
        squares[i + 1] = squares[i] + x[i] * x[i]
    cost, last = np.empty(n + 1), np.zeros(n + 1, np.int64)
    cost[0] = -price
    open_starts, value, count = np.zeros(n + 1, np.int64), np.empty(n + 1), 1
    for t in range(1, n + 1):
        best, at = 1e300, 0
        for i in range(count):
            a = open_starts[i]
            d = total[t] - total[a]
            value[i] = cost[a] + squares[t] - squares[a] - d * d / (t - a)
            if value[i] + price < best:
                best, at = value[i] + price, a
        cost[t], last[t] = best, at
        kept = 0
        for i in range(count):
            if value[i] <= best and t - open_starts[i] < longest:
                open_starts[kept] = open_starts[i]
                kept += 1
        open_starts[kept] = t
        count = kept + 1
    out, k, t = np.empty(n + 1, np.int64), 0, n
    while t > 0:
        out[k] = t
        k += 1
        t = last[t]
    out[k] = 0
    return out[: k + 1][::-1].copy()
