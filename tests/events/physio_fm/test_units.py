"""The same recording in another unit gives the same events."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from napari_biofm.events.physio_fm import PhysioFM
from napari_biofm.events.physio_fm.describe import describe
from napari_biofm.events.physio_fm.input_encoding import network_unit
from napari_biofm.types import DetectionSettings, Trace, run_task


def spikes() -> np.ndarray:
    """Return a membrane potential in mV at 20 kHz with ten action potentials of 80 mV."""
    rng = np.random.default_rng(0)
    t = np.arange(-100, 100) / 20.0
    v = -65 + 0.3 * rng.normal(size=40_000)
    for at in np.arange(2000, 40_000, 3800):
        v[at - 100 : at + 100] += 80 * np.exp(-0.5 * (t / 0.4) ** 2)
    return v


def transients() -> np.ndarray:
    """Return dF/F at 30 Hz with transients of 0.4 and noise of 0.03."""
    rng = np.random.default_rng(1)
    drive = np.zeros(2400)
    drive[60::200] = 0.4
    return lfilter([1.0], [1, -np.exp(-1 / 18)], drive) + 0.03 * rng.normal(size=2400)


def currents() -> np.ndarray:
    """Return a current in pA at 20 kHz with twenty inward events of 25 pA."""
    rng = np.random.default_rng(2)
    x = 2.0 * rng.normal(size=60_000)
    t = np.arange(1000) / 20.0
    for at in np.arange(2000, 58_000, 2800):
        x[at : at + 1000] -= 25 * (1 - np.exp(-t / 0.4)) * np.exp(-t / 4)
    return x


CASES = [
    (spikes, "ap", "mV", 20e3, [("V", 1e-3), ("uV", 1e3), ("", 1.0)]),
    (transients, "calcium", "dF/F", 30.0, [("%", 100.0), ("dF/F", 100.0), ("%dF/F", 100.0)]),
    (currents, "psc", "pA", 20e3, [("A", 1e-12), ("nA", 1e-3), ("", 1e-12)]),
]


@pytest.mark.parametrize(("made", "kind", "unit", "rate", "others"), CASES)
def test_events_do_not_depend_on_the_unit(made, kind, unit, rate, others) -> None:  # type: ignore[no-untyped-def]
    x, model = made(), PhysioFM()
    settings = DetectionSettings(kind=kind)
    usual = run_task(model.detect(Trace(x.astype(np.float32), rate, unit), settings))
    assert len(usual) >= 10
    for other, factor in others:
        found = run_task(model.detect(Trace((x * factor).astype(np.float32), rate, other), settings))
        assert len(found) == pytest.approx(len(usual), abs=1), other
        np.testing.assert_allclose(
            np.median(found["amplitude"]), factor * np.median(usual["amplitude"]), rtol=0.05, err_msg=other
        )


def test_wide_microvolts_are_a_membrane_potential() -> None:
    signal, model = Trace((1e3 * spikes()).astype(np.float32), 20e3, "uV"), PhysioFM()
    assert model.recognise(signal)[0] == "ap"
    assert "membrane potential" in " ".join(describe(model, signal)["messages"])
    small = Trace((0.05 * spikes()).astype(np.float32), 20e3, "uV")
    assert network_unit(small, "spike") == ("uV", 1.0)


def test_percent_that_does_not_say_so_is_told() -> None:
    told = describe(PhysioFM(), Trace((100 * transients()).astype(np.float32), 30.0, "dF/F"))
    assert told["proposed_unit"] == "%dF/F"
    assert "percent" in " ".join(told["messages"])
