"""Channels are cells, commands, triggers or something else, by name, unit and shape."""

from __future__ import annotations

import numpy as np
import pytest

from napari_biofm.signals import Recording
from napari_biofm.signals.channels import signal_channels, skipped_channels

RATE = 10_000.0
N = 20_000


def _noise(sd: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sd, N)


def _firing() -> np.ndarray:
    """Membrane potential in mV with action potentials."""
    volts = -65 + _noise(0.2, 1)
    shape = 90 * np.exp(-(((np.arange(60) - 20) / 6.0) ** 2))
    for at in range(1500, N - 100, 2600):
        volts[at : at + 60] += shape
    return volts


def _synaptic(size: float = 40.0) -> np.ndarray:
    """Current in pA with synaptic currents."""
    current = 5 + _noise(3, 2)
    t = np.arange(600) / RATE
    for at in range(900, N - 700, 1700):
        current[at : at + 600] += size * (1 - np.exp(-t / 1e-3)) * np.exp(-t / 12e-3)
    return current


def _stepping(low: float, high: float, noise: float) -> np.ndarray:
    wave = low + _noise(noise, 3)
    wave[6000:12_000] += high - low
    return wave


def _roles(units: list[str], *values: np.ndarray, names: list[str] | None = None) -> list[str]:
    recording = Recording.from_arrays([list(values)], RATE, units, names=names)
    return [role.name for role in recording.roles]


def test_a_paired_recording_in_two_modes_is_two_cells() -> None:
    recording = Recording.from_arrays([[_firing(), _synaptic()]], RATE, ["mV", "pA"])
    assert signal_channels(recording) == [0, 1]
    assert recording.command_channel(0) is None and recording.command_channel(1) is None
    assert skipped_channels(recording) == []


def test_a_recorded_command_is_known_by_its_shape() -> None:
    recording = Recording.from_arrays([[_synaptic(), _stepping(-70, -75, 0.3)]], RATE, ["pA", "mV"])
    assert recording.command_channel(0) == 1 and signal_channels(recording) == [0]
    (said,) = skipped_channels(recording)
    assert "channel 1" in said and "not searched" in said and "command of channel 0" in said
    assert _roles(["mV", "pA"], _firing(), _stepping(0, 150, 2.0)) == ["signal", "command"]


def test_the_order_of_channels_does_not_matter() -> None:
    assert _roles(["mV", "pA"], _stepping(-70, -75, 0.3), _synaptic()) == ["command", "signal"]


def test_a_passive_response_is_no_command_of_the_current_that_makes_it() -> None:
    current = _stepping(0, -50, 0.5)
    volts = -70 + _noise(0.15, 4)
    t = np.arange(6000) / RATE
    volts[6000:12_000] -= 8 * (1 - np.exp(-t / 0.02))
    volts[12_000:18_000] -= 8 * np.exp(-t / 0.02)
    assert _roles(["mV", "pA"], volts, current) == ["signal", "command"]


def test_a_flat_second_channel_is_searched_and_doubted() -> None:
    recording = Recording.from_arrays([[_synaptic(), -70 + _noise(0.2, 5)]], RATE, ["pA", "mV"])
    assert signal_channels(recording) == [0, 1]
    (said,) = skipped_channels(recording)
    assert "is searched, though" in said and "may be the holding command" in said


@pytest.mark.parametrize("unit", ["mmHg", "dB", "um", "C", "Pa", "cmH2O", "N"])
def test_what_is_in_no_unit_of_a_cell_is_never_searched(unit: str) -> None:
    assert _roles(["pA", unit], _synaptic(), _synaptic()) == ["signal", "other"]


@pytest.mark.parametrize(
    ("name", "unit", "role"),
    [("TTL in", "V", "trigger"), ("LED", "V", "trigger"), ("piezo", "V", "other"), ("Pressure", "mV", "other"),
     ("Vcmd", "mV", "command"), ("AO #0", "mV", "command"), ("Vm 2", "mV", "signal")],
)  # fmt: skip
def test_names_tell_what_units_do_not(name: str, unit: str, role: str) -> None:
    assert _roles(["pA", unit], _synaptic(), _firing(), names=["Im", name])[1] == role


def test_two_levels_in_volts_are_a_trigger_in_any_unit_of_volts() -> None:
    pulses = np.zeros(N)
    pulses[5000:5200] = 5
    assert _roles(["pA", "V"], _synaptic(), pulses)[1] == "trigger"
    assert _roles(["pA", "mV"], _synaptic(), 1000 * pulses + _noise(3, 6))[1] == "trigger"


def test_a_recording_of_helpers_alone_still_gives_a_channel() -> None:
    recording = Recording.from_arrays([[_noise(1)]], RATE, ["mmHg"])
    assert signal_channels(recording) == [0]


def test_a_current_with_short_transients_is_no_command_of_the_voltage_that_makes_it() -> None:
    """At 0.15 ms, both the recorded command and the current look like levels with sharp edges."""
    rng = np.random.default_rng(2)
    t = np.arange(20_000) / 100e3
    on = (t >= 0.02) & (t < 0.07)
    volts = np.where(on, -0.065, -0.07) + 1e-4 * rng.normal(size=len(t))
    amperes = np.where(on, -0.065, -0.07) / 155e6 + 8e-12 * rng.normal(size=len(t))
    for start, sign in ((0.02, 1), (0.07, -1)):
        late = np.clip(t - start, 0, None)
        amperes += sign * (t >= start) * (5e-3 / 5e6 - 5e-3 / 155e6) * np.exp(-late / 0.145e-3)
    recording = Recording.from_arrays([[amperes, volts]], 100e3, ["A", "V"], names=["Primary", "Secondary"])
    assert [role.name for role in recording.roles] == ["signal", "command"]
    assert recording.command_channel(0) == 1
