"""When a neuron fires: chance per millisecond that grows with filtered current over a threshold that spikes raise.

Escape noise of a generalised integrate-and-fire neuron (Pozzorini et al. 2015, PLoS Comput Biol 11:e1004275), fitted
by maximum likelihood (Paninski 2004, Network 15:243): what a spike leaves behind can only make the next less likely,
so that no cell of the model runs away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.what_if.response import Basis, Fit, decayed, filtered
from napari_biofm.events.what_if.sweeps import Floats, Sweep

STEP = 0.001  # s
REFRACTORY = 2  # steps
DRIVE_TAUS = (0.002, 0.008, 0.02, 0.06, 0.2)  # s, of the current's filters
THRESHOLD_TAUS = (0.002, 0.005, 0.012, 0.03, 0.1, 0.4)  # s, of what a spike adds to the threshold
RUNS = 64


@dataclass(frozen=True)
class Firing:
    """Weights of the logistic chance of a spike per millisecond: of filtered command, spike history, and 1."""

    weights: Floats


def drives(command: Floats, basis: Basis) -> Floats:
    """Return (milliseconds, filters) of a command at the model's rate."""
    every = max(1, round(STEP * basis.rate))
    n = len(command) // every
    x = (command[: n * every].reshape(n, every).mean(1) - basis.centre) / basis.scale
    return np.stack([filtered(x, tau, 1 / STEP) for tau in DRIVE_TAUS], 1)


def fit_firing(sweeps: Sequence[Sweep], basis: Basis) -> Firing | None:
    """Return when neurons of these sweeps fire; None where next to none does."""
    from scipy.optimize import minimize

    every = max(1, round(STEP * basis.rate))
    rows, fired = [], []
    for one in sweeps:
        driven = drives(one.command, basis)
        hit = np.zeros(len(driven))
        np.add.at(hit, np.minimum(one.spikes // every, len(hit) - 1), 1.0)
        late = np.r_[0.0, hit[:-1]]
        history = np.stack([decayed(late, tau, 1 / STEP) for tau in THRESHOLD_TAUS], 1)
        free = np.ones(len(hit), bool)
        for at in np.flatnonzero(hit):
            free[at + 1 : at + 1 + REFRACTORY] = False
        rows.append(np.hstack([driven, history, np.ones((len(hit), 1))])[free])
        fired.append(np.minimum(hit[free], 1))
    a, y = np.concatenate(rows), np.concatenate(fired)
    if y.sum() < 3:
        return None

    def cost(w: Floats) -> tuple[float, Floats]:
        odds = a @ w
        p = 1 / (1 + np.exp(-np.clip(odds, -40, 40)))
        price = 1e-3 * w
        price[-1] = 0
        return float(np.sum(np.logaddexp(0, odds) - y * odds) + 0.5 * price @ w), a.T @ (p - y) + price

    start = np.zeros(a.shape[1])
    start[0], start[-1] = 1.0, np.log(y.mean() / (1 - y.mean()))
    bounds = [(None, None)] * len(DRIVE_TAUS) + [(None, 0.0)] * len(THRESHOLD_TAUS) + [(None, None)]
    found = minimize(cost, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500})
    return Firing(np.asarray(found.x))


def simulate(
    fit: Fit, firing: Firing, command: Floats, seed: int = 0, runs: int = RUNS
) -> tuple[list[NDArray[np.int64]], Floats]:
    """Return spikes (model samples) of several runs, and (runs, n) voltages without spikes.

    Parameters
    ----------
    command : (n,) at the model's rate.
    """
    basis = fit.basis
    every = max(1, round(STEP * basis.rate))
    alone = fit.predict(command, np.zeros(0, np.int64))
    drive = drives(command, basis) @ firing.weights[: len(DRIVE_TAUS)]
    n = len(drive)
    k = len(basis.spike_taus)
    effect = fit.weights[-1 - k : -1]
    keep_history = np.exp(-STEP / np.array(THRESHOLD_TAUS))
    rng = np.random.default_rng(seed)
    history = np.zeros((runs, len(THRESHOLD_TAUS)))
    waiting = np.zeros(runs, int)
    fired = np.zeros((runs, n), bool)
    left, rest = firing.weights[len(DRIVE_TAUS) : -1], firing.weights[-1]
    for t in range(n):
        odds = drive[t] + history @ left + rest
        now = (rng.random(runs) < 1 / (1 + np.exp(-np.clip(odds, -30, 30)))) & (waiting == 0)
        fired[:, t] = now
        waiting = np.where(now, REFRACTORY, np.maximum(waiting - 1, 0))
        history = history * keep_history + now[:, None]
    spikes = [np.flatnonzero(row) * every + every // 2 for row in fired]
    after = [
        np.stack(basis.after_spikes(len(alone), one), 1) @ effect if k else np.zeros(len(alone))
        for one in spikes
    ]
    return [np.asarray(one, np.int64) for one in spikes], alone + np.stack(after)
