"""Pipette and cell come back from simulated currents, behind filters and in noise, or are not given at all."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import bessel, sosfilt

from napari_biofm.signals.membrane import membrane_test

STEP = -5e-3
_FINER = 20  # simulated at so many times the sampling rate


def _current(
    access: float, membrane: float, capacitance: float, rate: float, filtered: float, noise: float = 2e-12
) -> tuple[np.ndarray, int, int]:
    """Current (A) around a step of 100 ms from 50 ms on, through a Bessel filter of 4 poles."""
    fine = rate * _FINER
    n = [round(seconds * fine) for seconds in (0.05, 0.1, 0.05)]
    tau = capacitance * access * membrane / (access + membrane)
    steady = STEP / (access + membrane)
    size = STEP / access - steady
    current = np.zeros(sum(n))
    current[n[0] : n[0] + n[1]] = steady + size * np.exp(-np.arange(n[1]) / fine / tau)
    current[n[0] + n[1] :] = -size * np.exp(-np.arange(n[2]) / fine / tau)
    if filtered:
        current = sosfilt(bessel(4, filtered / (fine / 2), output="sos", norm="mag"), current)
    current = current[::_FINER] - 80e-12
    current += np.random.default_rng(3).normal(0, noise, len(current))
    return current, round(0.05 * rate), round(0.15 * rate)


@pytest.mark.parametrize("access", [5e6, 12e6, 30e6])
@pytest.mark.parametrize("membrane", [50e6, 300e6, 1e9])
@pytest.mark.parametrize(("capacitance", "rate", "filtered"), [
    (30e-12, 100e3, 10e3), (100e-12, 50e3, 5e3), (100e-12, 20e3, 4e3), (300e-12, 10e3, 3e3), (60e-12, 50e3, 0.0),
])  # fmt: skip
def test_the_cell_comes_back(
    access: float, membrane: float, capacitance: float, rate: float, filtered: float
) -> None:
    found = membrane_test(*_with_rate(_current(access, membrane, capacitance, rate, filtered), rate), STEP)
    assert found.is_whole
    assert found.access_resistance == pytest.approx(access, rel=0.03)
    assert found.membrane_resistance == pytest.approx(membrane, rel=0.08 if membrane > 5e8 else 0.03)
    assert found.capacitance == pytest.approx(capacitance, rel=0.03)
    assert found.tau == pytest.approx(capacitance * access * membrane / (access + membrane), rel=0.03)
    assert found.holding_current == pytest.approx(-80e-12, abs=1e-12)


def _with_rate(made: tuple[np.ndarray, int, int], rate: float) -> tuple[np.ndarray, float, int, int]:
    current, start, stop = made
    return current, rate, start, stop


def test_a_transient_that_the_filter_hides_gives_no_access_resistance() -> None:
    found = membrane_test(*_with_rate(_current(5e6, 500e6, 10e-12, 10e3, 1e3), 10e3), STEP)
    assert np.isnan(found.access_resistance) and "too fast" in found.reason
    assert found.capacitance == pytest.approx(10e-12, rel=0.2), "its charge is what it is"


def test_currents_without_a_transient_say_so() -> None:
    noise = np.random.default_rng(0).normal(0, 1e-12, 4000)
    found = membrane_test(noise, 20e3, 1000, 3000, STEP)
    assert np.isnan(found.access_resistance) and np.isnan(found.capacitance)
    assert "no capacitive transient" in found.reason
    assert "too short" in membrane_test(noise, 20e3, 1000, 1004, STEP).reason
    noise[2000] = np.nan
    assert "gaps" in membrane_test(noise, 20e3, 1000, 3000, STEP).reason
