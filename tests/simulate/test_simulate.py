"""Simulated co-recordings are exact, and read back through the ordinary readers as they were made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_biofm.images.io.lazy import read_stack
from napari_biofm.signals import read_recording
from napari_biofm.simulate import (
    CalciumKinetics,
    CoRecording,
    calcium_traces,
    current_clamp,
    simulate_corecording,
    simulate_field,
    simulate_stack,
    spike_trains,
    voltage_clamp,
    write_abf,
    write_corecording,
)
from napari_biofm.timeline import find_triggers
from napari_biofm.types import RecordingError


@pytest.fixture(scope="module")
def small() -> CoRecording:
    return simulate_corecording((96, 96), n_cells=8, n_frames=80, sampling_rate=10_000, seed=5)


def test_the_same_seed_gives_the_same_bits(small: CoRecording) -> None:
    again = simulate_corecording((96, 96), n_cells=8, n_frames=80, sampling_rate=10_000, seed=5)
    np.testing.assert_array_equal(small.movie, again.movie)
    np.testing.assert_array_equal(small.current.values, again.current.values)
    other = simulate_corecording((96, 96), n_cells=8, n_frames=80, sampling_rate=10_000, seed=6)
    assert not np.array_equal(small.movie, other.movie)


def test_a_field_has_one_label_per_cell_and_three_kinds() -> None:
    field = simulate_field((200, 200), 30, seed=1)
    labels = np.unique(field.masks)
    assert labels.tolist() == list(range(len(field.centres) + 1))
    assert set(field.classes) == {"round", "elongated", "bright"}
    inside = field.image[field.masks > 0].mean()
    assert inside > 2 * field.image[field.masks == 0].mean()


def test_a_stack_has_cells_that_span_planes() -> None:
    stack = simulate_stack((8, 64, 64), n_cells=5, seed=2)
    spans = [np.ptp(np.nonzero(stack.masks == k)[0]) for k in range(1, stack.masks.max() + 1)]
    assert max(spans) >= 2
    assert stack.image.dtype == np.uint16


def test_calcium_follows_a_spike_with_the_indicator_s_kinetics() -> None:
    kinetics = CalciumKinetics()
    times = np.arange(200) / 100.0
    trace = calcium_traces([np.array([0.5])], times, kinetics)[0]
    assert np.abs(trace[times < 0.49]).max() == 0
    assert trace.max() == pytest.approx(
        kinetics.amplitude / (1 + kinetics.amplitude / kinetics.saturation), rel=0.03
    )
    peak = times[np.argmax(trace)]
    assert 0.55 < peak < 0.65


def test_spikes_keep_a_refractory_period() -> None:
    trains = spike_trains(5, 60.0, rate=2.0, seed=0)
    assert all(np.diff(t).min() > 0.002 for t in trains if len(t) > 1)


def test_action_potentials_peak_where_they_are_said_to() -> None:
    trace = current_clamp(np.array([0.2, 0.5, 0.9]), 1.2, seed=1)
    assert (trace.unit, trace.command_unit) == ("mV", "pA")
    for time, size in zip(trace.event_times, trace.amplitudes, strict=True):
        i = round(time * trace.sampling_rate)
        window = trace.values[i - 20 : i + 21]
        assert abs(int(np.argmax(window)) - 20) <= 1
        assert size > 60


def test_synaptic_currents_point_the_way_of_their_class() -> None:
    trace = voltage_clamp(10.0, rate=2.0, seed=3)
    signs = {"EPSC": -1, "IPSC": 1}
    assert all(np.sign(a) == signs[c] for a, c in zip(trace.amplitudes, trace.event_classes, strict=True))
    assert trace.command.min() == -80
    assert np.isfinite(trace.values).all()


def test_files_read_back_as_they_were_written(tmp_path: Path, small: CoRecording) -> None:
    paths = write_corecording(tmp_path, small)
    movie, is_stack = read_stack(paths["movie"])
    assert is_stack
    np.testing.assert_array_equal(movie, small.movie)
    with tifffile.TiffFile(paths["movie"]) as file:
        assert 'TimeIncrement="0.05"' in file.ome_metadata
    recording = read_recording(paths["current_clamp"])
    assert [(c.name, c.unit) for c in recording.channels] == [("Vm", "mV"), ("Icmd", "pA"), ("Frames", "V")]
    assert recording.channels[0].sampling_rate == 10_000
    step = 2 * np.abs(small.current.values).max() / 2**15
    np.testing.assert_allclose(recording.values(0, 0), small.current.values, atol=step)
    truth = json.loads(paths["truth"].read_text())
    assert truth["patched_cell"] == small.patched


def test_the_trigger_channel_holds_the_clock_of_the_movie(tmp_path: Path, small: CoRecording) -> None:
    recording = read_recording(write_corecording(tmp_path, small)["current_clamp"])
    report = find_triggers(recording.values(0, 2), recording.channels[2].sampling_rate)
    assert len(report.times) == len(small.frame_times)
    np.testing.assert_allclose(report.times, small.frame_times, atol=1.5e-4)


def test_sweeps_can_be_written_too(tmp_path: Path) -> None:
    sweeps = np.random.default_rng(0).normal(size=(3, 500))
    recording = read_recording(write_abf(tmp_path / "s.abf", [sweeps], ["Im"], ["pA"], 10_000))
    assert recording.n_sweeps == 3
    np.testing.assert_allclose(recording.values(2, 0), sweeps[2], atol=2e-4)


def test_what_abf_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="finite"):
        write_abf(tmp_path / "x.abf", [np.array([1.0, np.nan])], ["Im"], ["pA"], 1e4)
    with pytest.raises(RecordingError, match="16 channels"):
        write_abf(tmp_path / "x.abf", [np.zeros(4)] * 17, ["a"] * 17, ["V"] * 17, 1e4)
