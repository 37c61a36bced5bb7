"""What if: the sweep for a command that was not given is that of the cell it was learned from."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import napari_biofm as biofm
from napari_biofm.events.what_if.model import learn, predict
from napari_biofm.events.what_if.sweeps import read_protocol
from napari_biofm.signals import Recording
from napari_biofm.types import RecordingError

RATE = 10_000.0


def step(level: float, n: int = 8000) -> np.ndarray:
    command = np.zeros(n)
    command[2000:6000] = level
    return command


def neuron(command: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An adapting integrate-and-fire cell: 150 MOhm, 15 ms, mV and pA, with pasted spikes."""
    v, w, wait, out = -70.0, 0.0, 0, np.empty(len(command))
    spike = np.r_[np.linspace(-40, 30, 6), np.linspace(30, -60, 10)]
    at = 0
    while at < len(command):
        if wait:
            out[at : at + wait] = spike[: len(command) - at]
            at, wait, v = at + wait, 0, -60.0
            continue
        v += (-(v + 70) + 0.150 * command[at] - w) * 1e-4 / 0.015 + 0.02 * rng.normal()
        w -= w * 1e-4 / 0.08
        out[at] = v
        if v > -50:
            w, wait = w + 2.5, 16
        at += 1
    return out + 0.1 * rng.normal(size=len(command))


def protocol(levels: np.ndarray, respond: object, unit: str, command_unit: str) -> Recording:
    rng = np.random.default_rng(1)
    sweeps = [[respond(step(one), rng), step(one)] for one in levels]  # type: ignore[operator]
    return Recording.from_arrays(sweeps, RATE, [unit, command_unit], names=["response", "command"])


@pytest.fixture(scope="module")
def cell() -> Recording:
    return protocol(np.arange(-100, 301, 50.0), neuron, "mV", "pA")


@pytest.mark.parametrize(("level", "spikes"), [(-75.0, False), (75.0, False), (225.0, True), (350.0, True)])
def test_a_step_that_was_not_given_is_predicted(cell: Recording, level: float, spikes: bool) -> None:
    truth = neuron(step(level), np.random.default_rng(9))
    said = biofm.what_if(cell, step=level)
    quiet = np.interp(np.arange(len(truth)) / RATE, said.time_s, said.mean)
    crossings = np.sum((truth[:-1] < 0) & (truth[1:] >= 0))
    if spikes:
        assert np.median(said.counts) == pytest.approx(crossings, abs=max(1.5, 0.2 * crossings))
        assert len(said.spikes_s) and said.spikes_s.min() > 0.2 and said.spikes_s.max() < 0.62
    else:
        assert crossings == 0 and np.median(said.counts) == 0
        assert np.sqrt(np.mean((quiet - truth) ** 2)) < 1.0
    assert (said.beyond > 0) == (level > 300)


def test_a_ramp_and_a_waveform_are_predicted_from_steps(cell: Recording) -> None:
    ramp = np.zeros(8000)
    ramp[2000:6000] = np.linspace(-100, 100, 4000)
    truth = neuron(ramp, np.random.default_rng(9))
    by_ramp = biofm.what_if(cell, ramp=(-100.0, 100.0))
    by_wave = biofm.what_if(cell, ramp)
    assert by_wave.mean == pytest.approx(by_ramp.mean, abs=0.5)
    at = np.interp(by_ramp.time_s * RATE, np.arange(8000), truth)
    assert np.sqrt(np.mean((by_ramp.mean - at) ** 2)) < 1.5
    assert np.mean((at >= by_ramp.low) & (at <= by_ramp.high)) > 0.85


def test_currents_of_a_voltage_step_are_predicted() -> None:
    def current(command: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        slow, out, v = 0.0, np.empty(len(command)), command - 60
        for i, one in enumerate(v):
            slow += (1 / (1 + np.exp(-(one + 80) / -8)) - slow) * 1e-4 / 0.05  # opens below -80 mV
            out[i] = 2.0 * (one + 65) + 10 * slow * (one + 30)
        return out + 3 * rng.normal(size=len(command))

    cell = protocol(np.arange(-60, 21, 10.0), current, "pA", "mV")
    truth = current(step(-35.0), np.random.default_rng(5))
    said = biofm.what_if(cell, step=-35.0)
    at = np.interp(said.time_s * RATE, np.arange(8000), truth)
    nearest = cell.values(said.nearest_sweep, 0)
    error, by_nearest = np.sqrt(np.mean((said.mean - at) ** 2)), np.sqrt(np.mean((nearest - truth) ** 2))
    assert error < 0.5 * by_nearest
    assert not said.counts.any() and said.unit == "pA" and said.command_unit == "mV"


def test_the_band_covers_sweeps_that_were_left_out(cell: Recording) -> None:
    known = read_protocol(cell, 0)
    covered = []
    for out in range(1, 6):
        rest = tuple(one for one in known.sweeps if one.number != out)
        said = predict(learn(dataclasses.replace(known, sweeps=rest)), known.sweeps[out].command)
        truth = known.sweeps[out].response
        covered.append(np.mean((truth >= said.low) & (truth <= said.high)))
    assert np.mean(covered) > 0.82


def test_what_cannot_be_learned_is_told(cell: Recording) -> None:
    one = Recording.from_arrays(np.zeros(4000, np.float32), RATE, "mV")
    with pytest.raises(RecordingError, match="neither recorded nor in the file's protocol"):
        biofm.what_if(one, step=10.0)
    same = protocol(np.full(4, 50.0), neuron, "mV", "pA")
    with pytest.raises(RecordingError, match="different commands"):
        biofm.what_if(same, step=10.0)
    with pytest.raises(RecordingError, match="exactly one"):
        biofm.what_if(cell)
    with pytest.raises(RecordingError, match="inside them"):
        biofm.what_if(cell, step=10.0, start_s=0.1, stop_s=9.0)
