"""Learn the response of a cell from the sweeps of a protocol, and predict the sweep for another command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.what_if.firing import Firing, fit_firing, simulate
from napari_biofm.events.what_if.response import Fit, fit_response, make_basis, subthreshold
from napari_biofm.events.what_if.sweeps import Floats, Protocol, Sweep

FOLDS = 8  # sweeps left out, one by one, to learn how wide the band is
COVERS = 0.9


@dataclass(frozen=True)
class Learned:
    """A cell's response.

    Attributes
    ----------
    protocol : it was learned from. fit : response without spikes. firing : None where nothing fired.
    width : half width of the 90 % band, in the response's unit, at rest; it grows with the distance from rest.
    rest, spread : of the response.
    spike : (k,) mean action potential over the voltage without it; `before` of its samples lie before the peak.
    """

    protocol: Protocol
    fit: Fit
    firing: Firing | None
    width: float
    rest: float
    spread: float
    spike: Floats
    before: int


@dataclass(frozen=True)
class Predicted:
    """The sweep for a command.

    Attributes
    ----------
    command : (n,) at the model's rate. mean, low, high : (n,) the response and its 90 % band.
    spikes : (k,) samples of a typical run. counts : (runs,) spikes of each run.
    nearest : number of the recorded sweep whose command is most like it.
    beyond : how far the command lies outside what was given, as a fraction of its range.
    """

    command: Floats
    mean: Floats
    low: Floats
    high: Floats
    spikes: NDArray[np.int64]
    counts: NDArray[np.int64]
    nearest: int
    beyond: float


def learn(protocol: Protocol) -> Learned:
    """Return the response of a cell, learned from all sweeps of a protocol."""
    basis = make_basis(protocol)
    fit = fit_response(protocol.sweeps, basis)
    pooled = np.concatenate([one.response[subthreshold(one, protocol.rate)] for one in protocol.sweeps])
    rest, spread = float(np.median(pooled)), float(pooled.std()) + 1e-12
    chosen = np.unique(np.linspace(0, len(protocol.sweeps) - 1, FOLDS).astype(int))
    ratio = []
    for i in chosen:
        others = [one for j, one in enumerate(protocol.sweeps) if j != i]
        one = protocol.sweeps[i]
        said = fit_response(others, basis).predict(one.command, one.spikes)
        keep = subthreshold(one, protocol.rate)
        ratio.append((np.abs(one.response - said) / _reach(said, rest, spread))[keep])
    width = float(np.quantile(np.concatenate(ratio), COVERS))
    firing = fit_firing(protocol.sweeps, basis) if protocol.is_voltage else None
    shape, before = _spike_shape(protocol.sweeps, fit)
    return Learned(protocol, fit, firing, width, rest, spread, shape, before)


def _reach(said: Floats, rest: float, spread: float) -> Floats:
    return 1 + np.abs(said - rest) / spread


def _spike_shape(sweeps: Sequence[Sweep], fit: Fit) -> tuple[Floats, int]:
    """Return the mean of spikes over the voltage that is modelled without them."""
    before, after = round(0.0012 * fit.basis.rate) + 1, round(0.004 * fit.basis.rate)
    cuts = []
    for one in sweeps:
        said = fit.predict(one.command, one.spikes)
        inside = one.spikes[(one.spikes >= before) & (one.spikes + after <= len(said))]
        cuts += [(one.response - said)[at - before : at + after] for at in inside[:200]]
    return (np.mean(cuts, 0) if cuts else np.zeros(0)), before


def predict(learned: Learned, command: Floats, seed: int = 0) -> Predicted:
    """Return the sweep for a command at the model's rate.

    Parameters
    ----------
    command : (n,) in the command's unit.
    """
    none = np.zeros(0, np.int64)
    nearest, beyond = _place(learned.protocol, command)
    if learned.firing is None:
        mean = learned.fit.predict(command, none)
        half = learned.width * _reach(mean, learned.rest, learned.spread)
        return Predicted(
            command, mean, mean - half, mean + half, none, np.zeros(1, np.int64), nearest, beyond
        )
    runs, voltages = simulate(learned.fit, learned.firing, command, seed)
    counts = np.array([len(one) for one in runs])
    typical = int(np.argmin(np.abs(counts - np.median(counts))))
    mean = voltages[typical].copy()
    half = learned.width * _reach(mean, learned.rest, learned.spread)
    low, high = np.quantile(voltages, [0.05, 0.95], axis=0)
    for at in runs[typical]:
        a, b = at - learned.before, at - learned.before + len(learned.spike)
        if a >= 0 and b <= len(mean):
            mean[a:b] = voltages[typical][a:b] + learned.spike
    return Predicted(command, mean, low - half, high + half, runs[typical], counts, nearest, beyond)


def _place(protocol: Protocol, command: Floats) -> tuple[int, float]:
    """Return the sweep with the most similar command, and how far the command leaves the range of all."""
    apart = [
        float(np.sqrt(np.mean((one.command[: len(command)] - command[: len(one.command)]) ** 2)))
        for one in protocol.sweeps
    ]
    low = min(float(one.command.min()) for one in protocol.sweeps)
    high = max(float(one.command.max()) for one in protocol.sweeps)
    over = max(low - float(command.min()), float(command.max()) - high, 0.0)
    return protocol.sweeps[int(np.argmin(apart))].number, over / max(high - low, 1e-12)
