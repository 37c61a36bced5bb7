"""Quality numbers agree with what was put in, and with a model cell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_biofm.signals import Recording, read_recording
from napari_biofm.signals.access import MEAN_OF_ALL, recording_access, recording_pulses
from napari_biofm.signals.plausible import unit_hint
from napari_biofm.signals.quality import (
    assess,
    drift,
    find_flags,
    hum,
    noise_rms,
    spectrum,
)

ABF = Path(__file__).parents[2].parent / "shared" / "data" / "ephys" / "abf"
shared_data = pytest.mark.skipif(not ABF.exists(), reason="../shared/data/ephys/abf is not here")
RATE = 20_000.0
TIME = np.arange(60_000) / RATE


def _noise(sigma: float) -> np.ndarray:
    return np.random.default_rng(2).normal(0, sigma, len(TIME)).astype(np.float32)


def test_noise_is_measured_between_events() -> None:
    values = _noise(2.0)
    values[10_000:12_000] += 80
    assert noise_rms(values, RATE) == pytest.approx(2.0, rel=0.06)


def test_hum_is_found_at_its_frequency() -> None:
    values = _noise(1.0) + (1.5 * np.sin(2 * np.pi * 60 * TIME)).astype(np.float32)
    found = hum(values, RATE)
    assert found.frequency == 60 and found.rms == pytest.approx(1.5 / np.sqrt(2), rel=0.1)
    assert hum(_noise(1.0), RATE).rms < 0.05


def test_drift_is_a_slope_per_second_whatever_the_events() -> None:
    values = _noise(1.0) + (3 * TIME).astype(np.float32)
    values[::5000] += 100
    assert drift(values, RATE) == pytest.approx(3.0, rel=0.03)


def test_the_spectrum_holds_the_variance() -> None:
    frequencies, power = spectrum(_noise(2.0), RATE)
    assert np.trapezoid(power, frequencies) == pytest.approx(4.0, rel=0.1)


def test_clipped_and_dead_stretches_are_flagged() -> None:
    raw = (np.random.default_rng(0).normal(0, 500, 60_000)).astype(np.int16)
    raw[1000:1010] = 32767
    raw[40_000:42_000] = 17
    flags = find_flags(raw, RATE)
    assert flags.saturated.tolist() == [[1000, 1010]]
    assert len(flags.dropouts) == 1 and abs(int(flags.dropouts[0, 0]) - 40_000) <= 1
    values = raw.astype(np.float32)
    values[50_000:50_050] = np.nan
    assert [50_000, 50_050] in find_flags(values, RATE).dropouts.tolist()


def _clamped(current: np.ndarray, volts: np.ndarray) -> Recording:
    """A recording in pA whose command in mV was recorded, too (arguments in A and V)."""
    return Recording.from_arrays([[current * 1e12, volts * 1e3]], RATE, ["pA", "mV"], names=["Im", "Vcmd"])


def test_the_test_pulse_is_a_choice_and_equal_ones_can_be_averaged() -> None:
    ra, rm, cm = 10e6, 300e6, 30e-12
    tau = cm * ra * rm / (ra + rm)
    volts, current = np.full(60_000, -0.07), np.zeros(60_000)
    time = np.arange(5_000) / RATE
    for start, step in ((5_000, -0.005), (20_000, 0.02), (35_000, -0.005), (50_000, 0.1)):
        volts[start : start + 5_000] += step
        steady = step / (ra + rm)
        current[start : start + 5_000] = steady + (step / ra - steady) * np.exp(-time / tau)
    noisy = current + np.random.default_rng(0).normal(0, 15e-12, 60_000)
    recording = _clamped(noisy, volts)
    pulses = recording_pulses(recording, 0, 0)
    assert [round(p.size, 4) for p in pulses] == [-5, 20, -5], (
        "the large step and the steps back are no test pulses"
    )
    found = recording_access(recording, 0, 0, 1)
    assert found is not None and found.step == pytest.approx(0.02, rel=1e-3)
    assert found.access_resistance == pytest.approx(ra, rel=0.05)
    mean = recording_access(recording, 0, 0, MEAN_OF_ALL)
    assert mean is not None and mean.step == pytest.approx(-0.005, rel=1e-3)
    assert mean.input_resistance == pytest.approx(ra + rm, rel=0.05)
    assert recording_access(recording, 0, 0, 99) is None
    large = recording_access(recording, 0, 0, epoch="G")
    assert large is not None and large.step == pytest.approx(0.1, rel=1e-3), "unless it is asked for"


def test_no_step_gives_no_access_resistance() -> None:
    assert recording_access(_clamped(np.zeros(5000), np.zeros(5000)), 0, 0) is None


@pytest.mark.shared_data
@shared_data
def test_a_model_cell_has_the_resistances_printed_on_it() -> None:
    quality = assess(read_recording(ABF / "model_vc_step.abf"), 0, 0)  # 10 MOhm, 500 MOhm, 33 pF
    assert quality.access is not None
    assert quality.access.access_resistance == pytest.approx(10e6, rel=0.2)
    assert quality.access.input_resistance == pytest.approx(510e6, rel=0.1)
    assert quality.access.capacitance == pytest.approx(33e-12, rel=0.2)


@pytest.mark.shared_data
@shared_data
def test_a_wrong_unit_is_noticed_and_a_right_one_is_not() -> None:
    hint = unit_hint(read_recording(ABF / "opto_aps_bad_units.abf"), 0)
    assert hint is not None and hint.proposal == "mV" and "commanded" in hint.reason
    good = read_recording(ABF / "opto_aps_good_units.abf")
    assert unit_hint(good, 0) is None
    bad = read_recording(ABF / "opto_aps_bad_units.abf")
    mended = bad.with_channel(0, unit=hint.proposal, factor=hint.factor)
    rest = [float(np.median(one.values(0, 0, 0, 50_000))) for one in (mended, good)]
    assert mended.channels[0].unit == "mV" and rest[0] == pytest.approx(rest[1], rel=0.15)


def test_amperes_by_the_score_are_noticed() -> None:
    hint = unit_hint(Recording.from_arrays(np.linspace(-40, 40, 500), RATE, "A"), 0)
    assert hint is not None and hint.proposal == "pA"
