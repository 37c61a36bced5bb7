"""Synaptic potentials and spikes of a loose patch are told from spikes and from synaptic currents by their shape."""

from __future__ import annotations

import numpy as np
import pytest
from tests.events.generators import detect, f1, real, synaptic

from napari_biofm.events.classical.choice import guess_kind
from napari_biofm.events.classical.small_signals import looks_cell_attached
from napari_biofm.events.detect import detect_events
from napari_biofm.events.physio_fm.model import PhysioFM
from napari_biofm.signals import Recording
from napari_biofm.types import Trace, run_task

FS = 10e3


def potentials(rng: np.random.Generator, noise: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """EPSPs of 1.5 to 6 mV: rise 2 ms, decay 20 ms."""
    t = np.arange(1500) / FS
    wave = (1 - np.exp(-t / 2e-3)) * np.exp(-t / 20e-3)
    wave /= wave.max()
    x = -65 + noise * rng.normal(size=60_000)
    starts = np.arange(2000, 57_000, 3700) + rng.integers(0, 900, 15)
    for a in starts:
        x[a : a + len(wave)] += rng.uniform(1.5, 6) * wave
    return x, (starts + np.argmax(wave)) / FS


def attached(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Biphasic currents of a cell-attached patch, 60 pA over 4 pA of noise."""
    t = np.arange(-30, 60) / 20.0  # ms at 20 kHz
    wave = -60 * np.exp(-0.5 * (t / 0.2) ** 2) + 25 * np.exp(-0.5 * ((t - 0.8) / 0.3) ** 2)
    x = 4 * rng.normal(size=100_000)
    starts = np.arange(1000, 98_000, 4100) + rng.integers(0, 900, 24)
    for a in starts:
        x[a : a + len(wave)] += wave
    return x, (starts + 30) / 20e3


@pytest.mark.parametrize("detector", ["physio-fm", "threshold", "deconvolution", "classical"])
def test_synaptic_potentials_are_found_and_named_without_being_told(detector: str) -> None:
    x, truth = potentials(np.random.default_rng(1))
    found = real(detect(detector, x, FS, "mV", "auto" if detector != "deconvolution" else "psp"))
    assert f1(truth, found["time_s"], 0.01) >= 0.9
    assert set(found["class"]) == {"PSP"} and np.mean(found["amplitude"] > 0) >= 0.9


@pytest.mark.parametrize(
    ("low", "high", "decay", "noise"), [(1, 6, 20e-3, 0.15), (-5, -1, 30e-3, 0.2), (3, 12, 15e-3, 0.3)]
)
def test_filtered_and_wandering_noise_does_not_hide_what_the_potentials_are(
    low: float, high: float, decay: float, noise: float
) -> None:
    """Noise spans twice its size from trough to peak; its many small wiggles outvoted twenty potentials."""
    rng = np.random.default_rng(7)
    n = round(40 * FS)
    white = np.convolve(rng.normal(size=n), np.hanning(7), "same")
    walk = np.fft.rfft(rng.normal(size=n)) / np.sqrt(np.maximum(np.fft.rfftfreq(n, 1 / FS), 0.05))
    wander = np.fft.irfft(walk, n)
    x = -68 + noise * white / white.std() + 0.1 * wander / wander.std()
    t = np.arange(round(0.4 * FS)) / FS
    wave = -np.expm1(-t / 2e-3) * np.exp(-t / decay)
    starts = (np.arange(1, 39, 1.9) * FS).astype(int)
    for a in starts:
        x[a : a + len(wave)] += rng.uniform(low, high) * wave / wave.max()
    found = real(detect("physio-fm", x, FS, "mV"))
    assert set(found["class"]) == {"PSP"}
    assert f1((starts + np.argmax(wave)) / FS, found["time_s"], 0.01) >= 0.9


def test_one_potential_in_each_sweep_is_seen_in_all_of_them() -> None:
    rng = np.random.default_rng(8)
    t = np.arange(0, 0.3, 1 / FS)
    wave = -np.expm1(-t / 2e-3) * np.exp(-t / 20e-3)
    for n_sweeps in (12, 3):
        sweeps = -70 + 0.2 * rng.normal(size=(n_sweeps, 8000))
        sweeps[:, 2000 : 2000 + len(t)] += 5 * wave / wave.max()
        made = run_task(detect_events(Recording.from_arrays(sweeps, FS, "mV")))
        assert set(made["class"]) == {"PSP"} and made["sweep"].tolist() == list(range(n_sweeps))
        np.testing.assert_allclose(made["amplitude"], 5, rtol=0.15)


def test_inhibitory_potentials_point_down() -> None:
    x, truth = potentials(np.random.default_rng(2))
    found = real(detect("physio-fm", -130 - x, FS, "mV"))
    assert f1(truth, found["time_s"], 0.01) >= 0.9
    assert set(found["class"]) == {"PSP"} and np.mean(found["amplitude"] < 0) >= 0.9


@pytest.mark.parametrize("detector", ["physio-fm", "classical"])
def test_spikes_of_a_loose_patch_are_spikes(detector: str) -> None:
    x, truth = attached(np.random.default_rng(3))
    assert guess_kind(Trace(x.astype(np.float32), 20e3, "pA")) == "loose"
    found = real(detect(detector, x, 20e3, "pA"))
    assert set(found["class"]) == {"spike"}
    assert f1(truth, found["time_s"], 1e-3) >= (
        0.95 if detector == "physio-fm" else 0.85
    )  # 4 sigma finds noise
    assert np.median(found["amplitude"]) == pytest.approx(-60, rel=0.25)


@pytest.mark.parametrize("gaps", [[20_000], [1000, 39_000]], ids=["once a second", "pairs"])
def test_artefacts_of_a_stimulator_are_no_spikes_of_a_loose_patch(gaps: list[int]) -> None:
    rng = np.random.default_rng(6)
    x, truth = synaptic(rng, 40, 20.0, 6.0, decay=5e-3)
    x = x.astype(np.float64)
    places = np.cumsum(np.tile(gaps, 20))
    places = places[places < len(x) - 100]
    for a in places:
        x[a : a + 8] += 600
        x[a + 8 : a + 16] -= 400
    assert guess_kind(Trace(x.astype(np.float32), 20e3, "pA")) == "psc"
    found = real(detect("physio-fm", x, 20e3, "pA"))
    assert set(found["class"]) <= {"PSC", "EPSC", "IPSC"}
    assert f1(truth, found["time_s"], 0.01) >= 0.9
    sweeps = [
        Trace(x[a - 3000 : a + 15_000].astype(np.float32), 20e3, "pA", i)
        for i, a in enumerate(places[1 : 6 : len(gaps)])
    ]
    assert not looks_cell_attached(*sweeps)


def test_synaptic_currents_and_action_potentials_stay_what_they_are() -> None:
    rng = np.random.default_rng(4)
    currents, _ = synaptic(rng, 40, 4.0, 12.0, decay=2e-3)
    assert guess_kind(Trace(currents.astype(np.float32), 20e3, "pA")) == "psc"
    x, _ = potentials(rng)
    x[5000:5020] += 80 * np.hanning(20)  # one spike among them
    assert guess_kind(Trace(x.astype(np.float32), FS, "mV")) == "ap"


def test_the_field_does_not_enter_the_amplitude_of_extracellular_spikes() -> None:
    rng = np.random.default_rng(5)
    t = np.arange(-30, 60) / 20.0
    wave = -80 * np.exp(-0.5 * (t / 0.15) ** 2) + 25 * np.exp(-0.5 * ((t - 0.6) / 0.25) ** 2)
    x = 8 * rng.normal(size=200_000) + 300 * np.sin(np.arange(200_000) / 20e3 * 2 * np.pi * 8)
    starts = np.arange(500, 199_000, 1300)
    for a in starts:
        x[a : a + len(wave)] += wave
    found = real(detect("physio-fm", x, 20e3, "uV", "spike"))
    assert f1((starts + 30) / 20e3, found["time_s"], 0.5e-3) > 0.97
    assert np.median(found["amplitude"]) == pytest.approx(-80, rel=0.15)
    assert np.std(found["amplitude"]) < 15


def slow(
    tau_rise: float, tau_decay: float, sizes: list[float], fs: float, noise: float
) -> tuple[np.ndarray, np.ndarray]:
    """Slow events of known sizes, eight decays apart, and the moments of their peaks."""
    rng = np.random.default_rng(7)
    apart = max(0.4, 8 * tau_decay)
    t = np.arange(round((len(sizes) * apart + 1) * fs)) / fs
    x = noise * rng.normal(size=len(t))
    starts = 0.5 + apart * np.arange(len(sizes))
    to_peak = tau_rise * np.log(1 + tau_decay / tau_rise)
    top = (1 - np.exp(-to_peak / tau_rise)) * np.exp(-to_peak / tau_decay)
    for start, size in zip(starts, sizes, strict=True):
        u = np.clip(t - start, 0, None)
        x += size / top * (1 - np.exp(-u / tau_rise)) * np.exp(-u / tau_decay)
    return x, starts + to_peak


@pytest.mark.parametrize(("rise", "decay"), [(4e-3, 60e-3), (4e-3, 80e-3), (8e-3, 120e-3), (8e-3, 200e-3)])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_slow_currents_are_found_and_measured(rise: float, decay: float, sign: float) -> None:
    sizes = [12.0, 15.0, 20.0, 30.0, 40.0, 60.0]
    x, truth = slow(rise, decay, [sign * size for size in sizes], 10e3, 3.0)
    made = run_task(detect_events(Recording.from_arrays([x], 10e3, "pA")))
    assert f1(truth, made["time_s"], 0.03) == 1.0
    np.testing.assert_allclose(made["amplitude"], sign * np.array(sizes), rtol=0.08)
    assert abs(np.median(made["decay_s"]) / decay - 1) < 0.05


@pytest.mark.parametrize("fs", [5e3, 25e3])
@pytest.mark.parametrize("decay", [20e-3, 100e-3, 200e-3])
def test_what_rests_at_minus_60_mv_is_a_membrane_potential(fs: float, decay: float) -> None:
    """No electrocardiogram rests there; slow potentials are potentials too."""
    x, _ = slow(decay / 12, decay, [2.0, 3.0, 4.0] * 3, fs, 0.1)
    model = PhysioFM(threads=1)
    for sign in (1, -1):
        signal = Trace((sign * x - 62).astype(np.float32), fs, "mV")
        assert guess_kind(signal) == "psp"
        assert model.recognise(signal)[0] == "psp"


def test_steps_of_the_command_are_no_potentials() -> None:
    t = np.arange(100_000) / FS
    x = -70 + 0.1 * np.random.default_rng(0).normal(size=len(t))
    for start in np.arange(0.5, 9.5, 1.0):  # charged and discharged with 20 ms, 0.2 s long
        x -= (
            8
            * (1 - np.exp(-np.clip(t - start, 0, 0.2) / 0.02))
            * np.exp(-np.clip(t - start - 0.2, 0, None) / 0.02)
        )
    assert guess_kind(Trace(x.astype(np.float32), FS, "mV")) == "ap"


@pytest.mark.parametrize(
    ("height", "noise", "unit"), [(200.0, 6.0, "pA"), (400.0, 8.0, "uV"), (80.0, 8.0, "uV")]
)
def test_what_a_large_spike_and_the_filter_leave_behind_is_no_spike(
    height: float, noise: float, unit: str
) -> None:
    """Troughs 2 ms beside spikes of 30 standard deviations were called spikes; the deepest sample holds the noise too."""
    rng = np.random.default_rng(11)
    t = np.arange(-100, 100) / 20.0
    wave = -np.exp(-0.5 * (t / 0.25) ** 2) + 0.35 * np.exp(-0.5 * ((t - 0.9) / 0.35) ** 2)
    x = noise * rng.normal(size=120_000)
    at = np.arange(2000, 118_000, 5800) + rng.integers(0, 900, 20)
    for k in at:
        x[k - 100 : k + 100] += height * wave
    made = run_task(detect_events(Recording.from_arrays([x], 20e3, unit)))
    made = real(made)
    assert len(made) == 20 and set(made["class"]) == {"spike"}
    assert np.abs(made["time_s"] - at / 20e3).max() < 3e-4
    assert np.median(made["amplitude"]) == pytest.approx(-height, rel=0.03)
