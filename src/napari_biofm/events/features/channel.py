"""Single channels: open probability, levels, dwell times and exponentials fitted to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.features.definitions import Columns
from napari_biofm.types import Events

Floats = NDArray[np.float64]

CHANNEL_DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "amplitude": "mean current of the opening over the level it started from, in the unit of the trace",
        "open_ms": "from the opening until a channel closes (nan if cut off)",
        "interval_ms": "from the opening before (nan for the first)",
    }
)
CHANNEL_SWEEP_DEFINITIONS: Mapping[str, str] = MappingProxyType(
    {
        "n_openings": "openings",
        "opening_rate_Hz": "openings per second",
        "n_channels": "most channels seen open at once",
        "open_probability": "mean open channels over channels (Po), with one channel corrected for missed events",
        "n_po": "mean number of open channels (N Po)",
        "step": "mean current of one channel, in the unit of the trace",
        "mean_open_ms": "mean open time of one channel, with one channel corrected for missed events",
        "mean_closed_ms": "mean closed time, likewise",
        "open_tau_ms": "time constant of the open dwells with the largest share, by maximum likelihood",
        "closed_tau_ms": "time constant of the closed dwells with the largest share, likewise",
    }
)


@dataclass(frozen=True)
class DwellFit:
    """A sum of exponentials for dwell times.

    Attributes
    ----------
    tau_s : (k,) time constants, shortest first.
    share : (k,) their weights, sum 1.
    log_likelihood : of all dwells.
    n : dwells fitted.
    """

    tau_s: Floats
    share: Floats
    log_likelihood: float
    n: int

    def density(self, t: Floats) -> Floats:
        """Return the probability density (1/s) at dwell times `t` in s."""
        return np.asarray((self.share / self.tau_s * np.exp(-np.asarray(t)[..., None] / self.tau_s)).sum(-1))


def dwell_times(n_open: NDArray[Any], sampling_rate: float) -> tuple[Floats, Floats]:
    """Return complete dwells (s): with any channel open, and with all closed.

    The first and the last dwell are cut off by the recording and left out.
    """
    is_open = np.asarray(n_open) > 0
    edges = np.flatnonzero(np.diff(is_open.astype(np.int8)))
    if len(edges) < 2:
        return np.zeros(0), np.zeros(0)
    length = np.diff(edges) / sampling_rate
    state = is_open[edges[:-1] + 1]
    return length[state], length[~state]


def dwell_histogram(dwell: Floats, bins_per_decade: int = 8) -> tuple[Floats, NDArray[np.int64]]:
    """Return edges (s) and counts of a histogram with logarithmic bins (Sigworth & Sine 1987).

    Drawn as the square root of counts against log time, each exponential peaks at its time constant.
    """
    if not len(dwell):
        return np.zeros(0), np.zeros(0, np.int64)
    low, high = np.log10(dwell.min()) - 1e-9, np.log10(dwell.max()) + 1e-9
    n = max(1, int(np.ceil((high - low) * bins_per_decade)))
    counts, edges = np.histogram(np.log10(dwell), n, (low, low + n / bins_per_decade))
    return np.asarray(10.0**edges), np.asarray(counts, np.int64)


def fit_dwells(dwell: Floats, shortest_s: float, most: int = 3) -> DwellFit | None:
    """Fit one to `most` exponentials by maximum likelihood (EM); BIC chooses how many.

    Dwells shorter than `shortest_s` (the sampling interval or the filter's dead time) cannot be seen:
    they are left out and the density is that of dwells beyond it (Colquhoun & Sigworth 1995).
    Returns None for fewer than 10 dwells.
    """
    seen = dwell[dwell >= shortest_s] - shortest_s
    if len(seen) < 10 or seen.max() <= 0:
        return None
    seen = seen + 0.5 * shortest_s  # a sampled dwell of k intervals lasted k to k + 1
    fits = []
    for k in range(1, most + 1):
        fit = _em(seen, k)
        cost = (2 * k - 1) * np.log(len(seen)) - 2 * fit.log_likelihood
        fits.append((cost, fit))
    tau, share = (best := min(fits, key=lambda one: one[0])[1]).tau_s, best.share
    share = share * np.exp(shortest_s / tau)  # as many as there were before the short ones were lost
    return DwellFit(tau, share / share.sum(), best.log_likelihood, len(seen))


def _em(x: Floats, k: int) -> DwellFit:
    tau = np.quantile(x, (np.arange(k) + 0.5) / k) * np.geomspace(0.7, 1.5, k) + 1e-12
    share = np.full(k, 1 / k)
    total = -np.inf
    for _ in range(300):
        density = share / tau * np.exp(-x[:, None] / tau) + 1e-300
        sum_density = density.sum(axis=1)
        now = float(np.log(sum_density).sum())
        part = density / sum_density[:, None]
        weight = part.sum(axis=0)
        share, tau = weight / len(x), (part * x[:, None]).sum(axis=0) / np.maximum(weight, 1e-12)
        tau = np.maximum(tau, 1e-12)
        if now - total < 1e-7 * abs(now):
            break
        total = now
    order = np.argsort(tau)
    return DwellFit(tau[order], share[order], now, len(x))


def channel_features(events: Events) -> Columns:
    """Return one value per opening and column of `CHANNEL_DEFINITIONS`, (n_events,) float64 each."""
    return {
        "amplitude": np.asarray(events["amplitude"], np.float64),
        "open_ms": events["decay_s"] * 1e3,
        "interval_ms": np.diff(events["time_s"], prepend=np.nan) * 1e3,
    }
