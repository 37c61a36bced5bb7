"""APs are found by slope and by prominence; the latter also in noise, drift, hum and artefacts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import signal as sps
from tests.events.generators import detect, f1

from napari_biofm.signals import read_recording
from napari_biofm.simulate import current_clamp


@pytest.fixture(scope="module")
def firing() -> tuple[np.ndarray, np.ndarray, float]:
    spikes = np.sort(np.random.default_rng(0).choice(np.arange(0.2, 9.8, 0.03), 60, replace=False))
    trace = current_clamp(spikes, 10.0, seed=1)
    return trace.values, trace.event_times, trace.sampling_rate


@pytest.mark.parametrize("name", ["prominence", "dvdt", "threshold", "classical"])
def test_clean_action_potentials(name: str, firing: tuple[np.ndarray, np.ndarray, float]) -> None:
    values, times, fs = firing
    events = detect(name, values, fs, "mV", "ap")
    assert f1(times, events["time_s"], 1.5e-3) == 1.0
    assert set(events["class"]) == {"AP"}


@pytest.mark.parametrize("name", ["prominence", "dvdt"])
def test_units_of_voltage_are_understood(name: str, firing: tuple[np.ndarray, np.ndarray, float]) -> None:
    values, times, fs = firing
    events = detect(name, values * 1e-3, fs, "V", "ap")
    assert f1(times, events["time_s"], 1.5e-3) == 1.0
    assert 0.05 < np.median(events["amplitude"]) < 0.12


@pytest.mark.parametrize("fault", ["noise", "small", "drift", "artefacts"])
def test_prominence_holds_where_the_signal_is_poor(
    fault: str, firing: tuple[np.ndarray, np.ndarray, float]
) -> None:
    values, times, fs = firing
    rng = np.random.default_rng(2)
    t = np.arange(len(values)) / fs
    if fault == "noise":
        values = values + rng.normal(0, 4, len(values))
    elif fault == "small":
        values = 0.35 * values + rng.normal(0, 1, len(values)) + 2 * np.sin(2 * np.pi * 50 * t)
    elif fault == "drift":
        values = values + 25 * np.sin(2 * np.pi * 0.2 * t)
    else:
        values = values.copy()
        for start in rng.integers(0, len(values) - 4, 100):
            values[start : start + 4] += rng.choice([-80, 80])
    assert f1(times, detect("prominence", values, fs, "mV", "ap")["time_s"], 1.5e-3) >= 0.97


def test_synaptic_potentials_are_no_action_potentials() -> None:
    quiet = current_clamp(np.zeros(0), 10.0, seed=3)
    assert len(detect("prominence", quiet.values, quiet.sampling_rate, "mV", "ap")) == 0
    assert len(detect("dvdt", quiet.values, quiet.sampling_rate, "mV", "ap")) == 0


def test_amplitude_is_measured_from_the_onset(firing: tuple[np.ndarray, np.ndarray, float]) -> None:
    values, _, fs = firing
    events = detect("prominence", values, fs, "mV", "ap")
    assert 70 < np.median(events["amplitude"]) < 100
    assert 0.1e-3 < np.nanmedian(events["rise_s"]) < 0.5e-3
    assert 0.3e-3 < np.nanmedian(events["decay_s"]) < 2e-3


@pytest.mark.shared_data
@pytest.mark.parametrize("fault", ["clean", "noise", "small"])
def test_real_action_potentials(fault: str, shared_data: Path) -> None:
    recording = read_recording(shared_data / "ephys" / "abf" / "17o05028_ic_steps.abf")
    rng = np.random.default_rng(0)
    fs, scores = recording.channels[0].sampling_rate, []
    for sweep in range(recording.n_sweeps):
        values = recording.values(sweep, 0)
        truth = sps.find_peaks(values, height=-10, prominence=25, wlen=int(0.2 * fs))[0] / fs
        if fault == "noise":
            values = values + rng.normal(0, 4, len(values))
        elif fault == "small":
            values = 0.35 * values + rng.normal(0, 1, len(values))
        found = detect("prominence", values, fs, "mV", "ap")["time_s"]
        if len(truth) or len(found):
            scores.append(f1(truth, found, 1.5e-3))
    assert np.mean(scores) >= 0.97
