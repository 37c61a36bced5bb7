"""What comes next: quantiles of the coming samples, from an ensemble weighed on the recording's own past.

Members are a mean, the last value, linear prediction of several orders, analogues (what followed the moments
most like now), and direct regressions on slow and fast averages of the past, one per horizon: what decays, as
calcium does, is told better from averages than from the last samples. Their weights per horizon and the spread of the errors are measured on earlier
moments of the same trace, so that the band is calibrated by what was missed before. An autoregression's own quantiles have a
share in some kinds, and the width of the band is calibrated per kind on training recordings. The network takes no part
in it: it sees the future too.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.signals.units import si_unit

QUANTILES = np.array([0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95])
ORDERS = (4, 32, 96)
HISTORY = 60_000  # samples looked back at most
ORIGINS = 240  # earlier moments the ensemble is weighed on
PATTERN = 48  # samples that an analogue has to resemble
ANALOGUES = 24
SLOW = 2000.0  # Hz; voltages sampled more slowly are electrocardiograms
LOCAL = (16, 64)  # samples whose mean may go on
PACES = (1.0, 3.0, 8.0, 20.0, 50.0, 120.0)  # samples, of the averages of the past
BEYOND = 0.25  # of the range of the past, by which a member may leave it
INFLATE = 1.06  # makes the 90 % band cover 90 % on training recordings, mean over kinds
AUTOREGRESSION = {"voltage": 0.15, "calcium": 0.15}  # share of an autoregression's quantiles, by kind
WIDER = {
    "current": 0.96,
    "voltage": 0.85,
    "ecg": 0.94,
}  # of the band, by kind: covers 90 % on training recordings


def kind_of(unit: str, sampling_rate: float) -> str:
    """Return what a forecast takes a signal for: "current", "voltage", "ecg", "calcium", or "" where unknown."""
    quantity = si_unit(unit)[0]
    if quantity == "A":
        return "current"
    if quantity == "V":
        return "ecg" if sampling_rate < SLOW else "voltage"
    return "calcium" if "df" in unit.lower().replace("/", "").replace("δ", "d").replace("Δ", "d") else ""


def linear_weights(x: NDArray[np.float64], order: int) -> NDArray[np.float64]:
    """Return AR coefficients (order,), newest sample first, by least squares with a little ridge."""
    rows = np.lib.stride_tricks.sliding_window_view(x[:-1], order)[:, ::-1]
    thin = max(1, len(rows) // 20_000)
    a, b = rows[::thin], x[order:][::thin]
    gram = a.T @ a
    ridge = 1e-4 * np.trace(gram) / order
    return np.asarray(np.linalg.solve(gram + ridge * np.eye(order), a.T @ b))


def run_linear(
    x: NDArray[np.float64], origins: NDArray[np.int64], w: NDArray[np.float64], n: int
) -> NDArray[Any]:
    """Return (origins, n) linear predictions from the samples before each origin."""
    order = len(w)
    state = np.stack([x[o - order : o][::-1] for o in origins])
    out = np.empty((len(origins), n))
    for h in range(n):
        out[:, h] = state @ w
        state = np.concatenate([out[:, h : h + 1], state[:, :-1]], 1)
    return out


def run_analogues(x: NDArray[np.float64], origins: NDArray[np.int64], n: int) -> NDArray[Any]:
    """Return (origins, n) means of what followed the moments most like each origin, all of them earlier or
    apart.
    """
    step = max(1, len(x) // 6000)
    ends = np.arange(PATTERN, len(x) - n, step)
    if len(ends) < 4 * ANALOGUES:
        return np.zeros((len(origins), n))
    library = np.stack([x[e - PATTERN : e] for e in ends])
    now = np.stack([x[o - PATTERN : o] for o in origins])
    weight = np.linspace(0.3, 1.0, PATTERN)
    a, b = library * weight, now * weight
    distance = (a**2).sum(1)[None] - 2 * b @ a.T + (b**2).sum(1)[:, None]
    near_future = np.abs(ends[None] - origins[:, None]) < n + PATTERN
    distance = np.where(near_future, np.inf, distance)
    best = np.argpartition(distance, ANALOGUES, axis=1)[:, :ANALOGUES]
    futures = np.stack([x[e : e + n] for e in ends])
    shift = now[:, -1:, None] - library[best][:, :, -1].reshape(len(origins), -1, 1).transpose(0, 2, 1)
    decay = np.exp(-np.arange(n) / 4.0)
    return np.asarray(futures[best].mean(1) + shift.mean(2) * decay)


def paces(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (n, features): exponential averages of the past at each sample, and rises out of them."""
    from scipy.signal import lfilter

    slow = [lfilter([1 - np.exp(-1 / k)], [1, -np.exp(-1 / k)], x) for k in PACES]
    rises = [np.maximum(slow[a] - slow[b], 0) for a, b in ((0, 2), (1, 3), (2, 4))]
    return np.stack([*slow, *rises, np.ones(len(x))], 1)


def run_direct(
    x: NDArray[np.float64], origins: NDArray[np.int64], n: int, fit_on: NDArray[np.float64]
) -> NDArray[Any]:
    """Return (origins, n) predictions of every horizon by its own ridge regression on `paces`."""
    start = int(PACES[-2])
    ends = np.arange(start, len(fit_on) - n)
    ends = ends[:: max(1, len(ends) // 6000)]
    a = paces(fit_on)[ends - 1]
    if len(ends) < 20 * a.shape[1]:
        return np.zeros((len(origins), n))
    futures = np.lib.stride_tricks.sliding_window_view(fit_on, n)[ends]
    gram = a.T @ a
    ridge = 3e-3 * np.diag(np.diag(gram) + 1e-12)
    return np.asarray(paces(x)[origins - 1] @ np.linalg.solve(gram + ridge, a.T @ futures))


def members(
    x: NDArray[np.float64],
    origins: NDArray[np.int64],
    n: int,
    fit_on: NDArray[np.float64],
    local: Sequence[int] = LOCAL,
) -> NDArray[Any]:
    """Return (members, origins, n) predictions; coefficients come from `fit_on`, means of `local` samples go on."""
    total = np.r_[0.0, np.cumsum(x)]
    out = [np.zeros((len(origins), n)), np.repeat(x[origins - 1][:, None], n, 1)]
    out += [np.repeat(((total[origins] - total[origins - k]) / k)[:, None], n, 1) for k in local]
    for order in ORDERS:
        enough = len(fit_on) > 8 * order
        out.append(run_linear(x, origins, linear_weights(fit_on, order), n) if enough else out[0])
    out.append(run_analogues(x, origins, n))
    out.append(run_direct(x, origins, n, fit_on))
    low, high = fit_on.min(), fit_on.max()
    room = BEYOND * (high - low)  # what explodes is no forecast
    return np.nan_to_num(np.clip(np.stack(out), min(low - room, x.min()), max(high + room, x.max())))


def crossed(
    x: NDArray[np.float64], origins: NDArray[np.int64], n: int, local: Sequence[int] = LOCAL
) -> NDArray[Any]:
    """Return `members` of each half of the origins with coefficients of the other half of the trace.

    Errors of a fit on its own data are too small where events are rare; the band would be too narrow.
    """
    half = len(x) // 2
    early = origins < half
    parts = [
        members(x, origins[which], n, fit_on, local)
        for which, fit_on in ((early, x[half:]), (~early, x[:half]))
        if which.any()
    ]
    return np.concatenate(parts, axis=1)


def mix(predictions: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.float64]:
    """Return weights (members, n): ridge-stacked per band of horizons, non-negative, sum 1 at most.

    A larger sum would carry what lies outside everything seen further out still.
    """
    from scipy.optimize import nnls

    m, _, n = predictions.shape
    weights = np.zeros((m, n))
    edges = np.unique(np.r_[0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, n])
    edges = edges[edges <= n]
    scale = truth.std() + 1e-12
    for a, b in itertools.pairwise(edges):
        p = predictions[:, :, a:b].reshape(m, -1).T / scale
        y = truth[:, a:b].ravel() / scale
        pull = np.sqrt(0.02 * len(y) / m) * np.eye(m) * np.sqrt(np.mean(p**2) + 1e-6)
        found = nnls(np.concatenate([p, pull]), np.concatenate([y, np.zeros(m)]))[0]
        weights[:, a:b] = (found / max(found.sum(), 1.0))[:, None]
    return weights


def forecast_quantiles(x: NDArray[Any], horizon: int, kind: str = "") -> NDArray[np.float32]:
    """Return (len(QUANTILES), horizon) quantiles of what follows a trace.

    Parameters
    ----------
    x : (n,) the past, finite. With fewer than 64 samples the answer is the spread of the past itself.
    horizon : samples.
    kind : "current" (voltage clamp), "voltage" (current clamp), "ecg", "calcium", or "" where it is not known.
    """
    x = np.asarray(x[-HISTORY:], np.float64)
    if len(x) < 64 or np.ptp(x) == 0:
        spread = np.quantile(x, QUANTILES) if len(x) else np.zeros(len(QUANTILES))
        return np.repeat(spread[:, None], horizon, 1).astype(np.float32)
    middle = np.median(x)
    y = x - middle
    first = max(max(ORDERS), PATTERN) + 1
    room = len(y) - horizon - first
    if room < 8:
        return np.repeat(np.quantile(x, QUANTILES)[:, None], horizon, 1).astype(np.float32)
    origins = np.unique(np.linspace(first, len(y) - horizon, min(ORIGINS, room)).astype(int))
    local = () if kind == "calcium" else LOCAL  # what decays does not stay where it is
    predicted = crossed(y, origins, horizon, local)
    truth = np.stack([y[o : o + horizon] for o in origins])
    like = _likeness(y, origins)
    weights = mix(predicted, truth)
    past = np.einsum("moh,mh->oh", predicted, weights)
    now = np.einsum("moh,mh->oh", members(y, np.array([len(y)]), horizon, y, local), weights)[0]
    said = now + _spread(truth - past, like) + middle
    share = AUTOREGRESSION.get(kind, 0.0)
    if share:
        said = (1 - share) * said + share * autoregression(x, horizon)
    half = WIDER.get(kind, 1.0)
    centre = said[len(QUANTILES) // 2]
    return (centre + half * (said - centre)).astype(np.float32)


def _likeness(y: NDArray[np.float64], origins: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (origins,) how much each moment is like the last one: as restless, as far from the middle."""
    restless = np.array([np.abs(np.diff(y[o - PATTERN : o])).mean() for o in [*origins, len(y)]]) + 1e-12
    level = np.array([np.abs(y[o - 8 : o]).mean() for o in [*origins, len(y)]]) + 1e-12
    apart = np.abs(np.log(restless[:-1] / restless[-1])) + 0.5 * np.abs(np.log(level[:-1] / level[-1]))
    return np.asarray(0.1 + np.exp(-apart / max(0.3, np.quantile(apart, 0.25))))


def autoregression(x: NDArray[Any], n: int, order: int = 32) -> NDArray[np.float64]:
    """Return (q, n) quantiles by an autoregression with Gaussian innovations, fitted to the same past."""
    from scipy.special import ndtri

    y = np.asarray(x, np.float64) - np.mean(x)
    weights = linear_weights(y, order)
    rows = np.lib.stride_tricks.sliding_window_view(y[:-1], order)[:, ::-1]
    sd = float(np.std(y[order:] - rows @ weights))
    said = run_linear(y, np.array([len(y)]), weights, n)[0]
    impulse, response = np.zeros(order), np.empty(n)
    impulse[0] = response[0] = 1.0
    for h in range(1, n):
        response[h] = np.clip(impulse @ weights, -1e3, 1e3)
        impulse = np.r_[response[h], impulse[:-1]]
    return np.asarray(np.mean(x) + said + ndtri(QUANTILES)[:, None] * sd * np.sqrt(np.cumsum(response**2)))


def _spread(error: NDArray[Any], like: NDArray[Any]) -> NDArray[np.float64]:
    """Return weighted quantiles of errors per horizon, pooled with neighbouring horizons; (q, n)."""
    n = error.shape[1]
    out = np.empty((len(QUANTILES), n))
    for h in range(n):
        reach = int(0.25 * h)
        pool = error[:, max(0, h - reach) : min(n, h + reach + 1)]
        pool = pool[:, :: max(1, pool.shape[1] // 6)]
        values, weight = pool.ravel(), np.repeat(like, pool.shape[1])
        order = np.argsort(values)
        place = np.cumsum(weight[order]) - 0.5 * weight[order]
        out[:, h] = INFLATE * np.interp(QUANTILES, place / weight.sum(), values[order])
    return out
