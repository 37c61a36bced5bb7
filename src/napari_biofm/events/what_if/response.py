"""The response to a command as sums of exponentials of a bent line, and after-effects of spikes; linear in its weights.

A static non-linearity before linear filters (Hammerstein model); with after-effects of spikes it is the subthreshold
part of a generalised integrate-and-fire neuron in its spike-response form (Gerstner & Kistler 2002; Pozzorini et al.
2015, PLoS Comput Biol 11:e1004275), fitted to the response itself by ridge regression.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.what_if.sweeps import Floats, Protocol, Sweep

VOLTAGE_TAUS = (0.0005, 0.002, 0.006, 0.015, 0.04, 0.12, 0.35)  # s
CURRENT_TAUS = (0.0, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
SPIKE_TAUS = (0.002, 0.006, 0.02, 0.06, 0.2)
SPIKE_BEFORE, SPIKE_AFTER = 0.001, 0.004  # s around a spike that are no subthreshold response
MOST_KNOTS = 5
RIDGES = (1e-6, 1e-4, 1e-2)


@dataclass(frozen=True)
class Basis:
    """What the response is a weighted sum of.

    Attributes
    ----------
    knots : where the line from command to drive may bend. centre, scale : of commands.
    taus : s, of the filters. spike_taus : s, of after-effects of spikes. rate : Hz.
    """

    knots: tuple[float, ...]
    centre: float
    scale: float
    taus: tuple[float, ...]
    spike_taus: tuple[float, ...]
    rate: float

    def columns(self, command: Floats, spikes: NDArray[np.int64]) -> Floats:
        """Return (n, features)."""
        x = (command - self.centre) / self.scale
        bent = [x, *(np.maximum(x - (k - self.centre) / self.scale, 0) for k in self.knots)]
        driven = [filtered(one, tau, self.rate) for one in bent for tau in self.taus]
        return np.stack([*driven, *self.after_spikes(len(x), spikes), np.ones(len(x))], 1)

    def after_spikes(self, n: int, spikes: NDArray[np.int64]) -> list[Floats]:
        """Return (n,) decaying traces that every spike adds one to."""
        hit = np.zeros(n)
        np.add.at(hit, spikes[spikes < n], 1.0)
        return [decayed(hit, tau, self.rate) for tau in self.spike_taus]


def filtered(x: Floats, tau: float, rate: float) -> Floats:
    """Return a trace through a low-pass of first order that has settled at its first value."""
    from scipy.signal import lfilter

    if tau <= 0:
        return x
    keep = np.exp(-1 / (tau * rate))
    return np.asarray(lfilter([1 - keep], [1, -keep], x, zi=[keep * x[0]])[0])


def decayed(hit: Floats, tau: float, rate: float) -> Floats:
    """Return what is left of unit steps after decaying."""
    from scipy.signal import lfilter

    return np.asarray(lfilter([1.0], [1, -np.exp(-1 / (tau * rate))], hit))


def make_basis(protocol: Protocol, *, bends: bool = True, taus: tuple[float, ...] | None = None) -> Basis:
    """Return the basis for a protocol: bends at levels that were held, none at the outer ones."""
    pooled = np.concatenate([one.command for one in protocol.sweeps])
    low, high = float(pooled.min()), float(pooled.max())
    levels = np.unique(np.round(np.concatenate([_held(one.command) for one in protocol.sweeps]), 3))
    inner = levels[(levels > low + 0.02 * (high - low)) & (levels < high - 0.02 * (high - low))]
    if len(inner) > MOST_KNOTS:
        inner = inner[np.linspace(0, len(inner) - 1, MOST_KNOTS + 2).astype(int)[1:-1]]
    if not bends:
        inner = inner[:0]
    chosen = taus or (VOLTAGE_TAUS if protocol.is_voltage else CURRENT_TAUS)
    spike_taus = SPIKE_TAUS if any(len(one.spikes) for one in protocol.sweeps) else ()
    scale = max(float(pooled.std()), 1e-9 * (abs(high) + 1), 1e-12)
    return Basis(tuple(inner.tolist()), float(np.median(pooled)), scale, chosen, spike_taus, protocol.rate)


def _held(command: Floats) -> Floats:
    """Return the levels that a command spends most of its time near."""
    counts, edges = np.histogram(command, 64)
    often = counts > 0.05 * len(command)
    return np.asarray(
        [
            np.median(command[(command >= a) & (command <= b)])
            for a, b in zip(edges[:-1][often], edges[1:][often], strict=True)
        ]
    )


def subthreshold(sweep: Sweep, rate: float) -> NDArray[np.bool_]:
    """Return (n,) samples that no spike stands in."""
    out = np.ones(len(sweep.response), bool)
    before, after = round(SPIKE_BEFORE * rate) + 1, round(SPIKE_AFTER * rate)
    for at in sweep.spikes:
        out[max(0, at - before) : at + after] = False
    return out


@dataclass(frozen=True)
class Fit:
    """A basis and its weights."""

    basis: Basis
    weights: Floats

    def predict(self, command: Floats, spikes: NDArray[np.int64]) -> Floats:
        """Return (n,) the response without spikes."""
        return np.asarray(self.basis.columns(command, spikes) @ self.weights)


def fit_response(sweeps: Sequence[Sweep], basis: Basis) -> Fit:
    """Return the ridge regression of responses; how much ridge is chosen on sweeps left out."""
    parts = [_moments(one, basis) for one in sweeps]
    folds = np.arange(len(parts)) % min(4, len(parts))
    errors = np.zeros(len(RIDGES))
    for fold in np.unique(folds):
        seen = [p for p, f in zip(parts, folds, strict=True) if f != fold]
        for i, ridge in enumerate(RIDGES):
            w = _solve(seen, ridge)
            errors[i] += sum(_error(p, w) for p, f in zip(parts, folds, strict=True) if f == fold)
    return Fit(basis, _solve(parts, RIDGES[int(np.argmin(errors))]))


def _moments(sweep: Sweep, basis: Basis) -> tuple[Floats, Floats, float]:
    keep = subthreshold(sweep, basis.rate)
    a, y = basis.columns(sweep.command, sweep.spikes)[keep], sweep.response[keep]
    return a.T @ a, a.T @ y, float(y @ y)


def _solve(parts: Sequence[tuple[Floats, Floats, float]], ridge: float) -> Floats:
    gram, right = np.sum([p[0] for p in parts], 0), np.sum([p[1] for p in parts], 0)
    price = ridge * np.trace(gram) / len(gram) * np.eye(len(gram))
    price[-1, -1] *= 1e-6  # the mean is free
    return np.asarray(np.linalg.solve(gram + price, right))


def _error(part: tuple[Floats, Floats, float], w: Floats) -> float:
    return float(part[2] - 2 * w @ part[1] + w @ part[0] @ w)
