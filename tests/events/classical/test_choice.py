"""The kind of a signal is guessed, and what the amplifier made is told from what the cell made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.events.generators import FS, calcium, channel, extracellular, heart, synaptic

from napari_biofm.events.classical.choice import guess_kind
from napari_biofm.events.classical.commands import step_times
from napari_biofm.events.detect import detect_events
from napari_biofm.signals import read_recording
from napari_biofm.simulate import current_clamp, voltage_clamp
from napari_biofm.types import DetectionSettings, Trace, run_task


def _signal(kind: str) -> Trace:
    rng = np.random.default_rng(0)
    values, fs, unit = {
        "ap": lambda: (current_clamp(np.arange(0.5, 4, 0.2), 5).values, FS, "mV"),
        "psc": lambda: (synaptic(rng, 50, 5, 8)[0], FS, "pA"),
        "test pulses": lambda: (voltage_clamp(12).values, FS, "pA"),
        "channel": lambda: (channel(rng, 3)[0], FS, "pA"),
        "calcium": lambda: (calcium(rng, 20, 60, 30.0)[0], 30.0, "dF/F"),
        "spike": lambda: (extracellular(rng, 50, 3, 8)[0], FS, "uV"),
        "ecg": lambda: (heart(rng, 30, 300.0)[0], 300.0, "mV"),
        "unknown": lambda: (calcium(rng, 20, 60, 30.0)[0], 30.0, "?"),
    }[kind]()
    return Trace(values.astype(np.float32), fs, unit)


@pytest.mark.parametrize("kind", ["ap", "psc", "channel", "calcium", "spike", "ecg"])
def test_the_kind_is_guessed(kind: str) -> None:
    assert guess_kind(_signal(kind)) == kind


def test_test_pulses_are_no_channels_and_slow_signals_without_a_unit_are_calcium() -> None:
    assert guess_kind(_signal("test pulses")) == "psc"
    assert guess_kind(_signal("unknown")) == "calcium"
    assert guess_kind(Trace(np.zeros(0, np.float32), FS, "pA")) == "psc"


def test_a_membrane_is_no_heart_and_huge_steps_are_no_channels() -> None:
    slow = current_clamp(np.arange(0.5, 4, 0.2), 5, sampling_rate=1000.0).values
    assert guess_kind(Trace(slow.astype(np.float32), 1000.0, "mV")) == "ap"
    steps = channel(np.random.default_rng(0), 3, step=2.0)[0] * 500
    assert guess_kind(Trace(steps.astype(np.float32), FS, "pA")) == "psc"


def test_steps_of_a_command_are_found_once_each() -> None:
    command = np.full(10_000, -70.0, np.float32)
    command[2000:4000] = -80
    np.testing.assert_allclose(step_times(Trace(command, FS, "mV")), [0.1, 0.2], atol=3e-4)
    assert len(step_times(Trace(np.full(100, -70, np.float32), FS, "mV"))) == 0


@pytest.mark.shared_data
def test_capacitive_transients_are_artefacts(shared_data: Path) -> None:
    recording = read_recording(shared_data / "ephys" / "abf" / "171116sh_0011.abf")
    events = run_task(detect_events(recording, "deconvolution", DetectionSettings("psc"), sweeps=[0, 1, 2]))
    huge = np.abs(events["amplitude"]) > 400
    assert huge.sum() >= 6
    assert set(events["class"][huge]) == {"artefact"}
