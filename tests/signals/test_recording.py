"""A recording answers for sweeps, channels, cells and their clocks, and refuses what is not there."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from napari_biofm.signals import Recording, read_recording
from napari_biofm.signals.units import clean_unit, same_quantity, si_unit
from napari_biofm.types import RecordingError


def test_a_plain_array_is_one_sweep_of_one_channel() -> None:
    recording = Recording.from_arrays(np.arange(100.0), 1000, "pA")
    assert (recording.n_sweeps, recording.n_channels, recording.n_samples()) == (1, 1, 100)
    signal = recording.sweep(0, 0)
    assert (signal.unit, signal.sampling_rate, signal.values.dtype) == ("pA", 1000.0, np.float32)
    np.testing.assert_array_equal(recording.values(0, 0, 10, 13), [10, 11, 12])


def test_sweeps_follow_each_other_unless_told_otherwise() -> None:
    recording = Recording.from_arrays(np.zeros((3, 50)), 100, "mV")
    np.testing.assert_allclose(recording.sweep_starts, [0, 0.5, 1.0])
    assert recording.total_duration == pytest.approx(1.5)
    assert recording.times(2, 0, absolute=True)[0] == 1.0


def test_traces_of_cells_are_channels_with_labels() -> None:
    recording = Recording.from_arrays(np.ones((4, 20)), 30, "dF/F", labels=[3, 5, 8, 9])
    assert recording.is_cells and recording.n_sweeps == 1
    assert recording.labels.tolist() == [3, 5, 8, 9]
    assert recording.channels[2].name == "cell 8"


def test_sweeps_may_differ_in_length() -> None:
    recording = Recording.from_arrays([np.zeros(10), np.zeros(25)], 10, "pA")
    assert [recording.n_samples(i) for i in range(2)] == [10, 25]
    assert recording.sweep_starts.tolist() == [0.0, 1.0]


def test_channels_may_differ_in_unit_and_the_recorded_command_is_found() -> None:
    sweeps = [[np.full(10, s), np.full(10, 7.0)] for s in (1.0, 2.0)]
    recording = Recording.from_arrays(sweeps, 10, ["pA", "mV"], names=["I", "V command"])
    assert recording.command_channel(0) == 1
    stimulus = recording.stimulus(1, 0)
    assert stimulus is not None and stimulus.unit == "mV" and stimulus.values[0] == 7.0
    assert recording.command(0, 0) is None


def test_a_wrong_unit_is_corrected_without_touching_the_numbers() -> None:
    recording = Recording.from_arrays(np.full(5, -70.0), 10, "pA")
    corrected = recording.with_channel(0, unit="mV")
    assert corrected.channels[0].unit == "mV" and recording.channels[0].unit == "pA"
    assert corrected.values(0, 0, si=True)[0] == pytest.approx(-0.07)


@pytest.mark.parametrize(("sweep", "channel", "start", "stop"), [(1, 0, 0, 1), (0, 1, 0, 1), (0, 0, 3, 99)])
def test_what_does_not_exist_is_named(sweep: int, channel: int, start: int, stop: int) -> None:
    recording = Recording.from_arrays(np.zeros(10), 10, "pA")
    with pytest.raises(RecordingError, match="asked for in"):
        recording.values(sweep, channel, start, stop)


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_sampling_rate_must_be_positive(rate: float) -> None:
    with pytest.raises(RecordingError, match="sampling rate"):
        Recording.from_arrays(np.zeros(10), rate, "pA")


def test_units_are_cleaned_and_taken_to_si() -> None:
    assert clean_unit("\N{MICRO SIGN}V\x00") == clean_unit("\N{GREEK SMALL LETTER MU}V") == "uV"
    assert clean_unit("  ") == "?"
    assert clean_unit("\N{GREEK CAPITAL LETTER DELTA}F/F") == "dF/F"
    assert si_unit("pA") == ("A", 1e-12) and si_unit("deg C") == ("deg C", 1.0)
    assert si_unit("m") == ("m", 1.0) and si_unit("ms") == ("s", 1e-3)
    assert same_quantity("mV", "V") and not same_quantity("mV", "pA")


def test_npz_of_the_command_line_contract_is_read(tmp_path: Path) -> None:
    path = tmp_path / "clip.npz"
    np.savez(path, signal=np.arange(12.0).reshape(2, 6), sampling_rate=250, unit="pA")
    recording = read_recording(path)
    assert (recording.n_sweeps, recording.channels[0].unit, recording.channels[0].sampling_rate) == (
        2,
        "pA",
        250,
    )
    assert recording.sha256 is not None and len(recording.sha256) == 64


def test_traces_of_the_command_line_contract_are_read_as_cells(tmp_path: Path) -> None:
    path = tmp_path / "traces.npz"
    np.savez(path, labels=[2, 7], dff=np.zeros((2, 30)), raw=np.ones((2, 30)), frame_rate=15.0)
    recording = read_recording(path)
    assert recording.is_cells and recording.labels.tolist() == [2, 7]


def test_a_bare_array_asks_for_rate_and_unit_and_stays_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "bare.npy"
    np.save(path, np.arange(1000, dtype=np.int16))
    with pytest.raises(RecordingError, match="ever guessed"):
        read_recording(path)
    recording = read_recording(path, sampling_rate=1e4, unit="mV")
    assert isinstance(recording.samples.arrays[0][0], np.memmap)  # type: ignore[attr-defined]
    assert recording.values(0, 0, 5, 7).tolist() == [5.0, 6.0]


def test_rows_of_a_mapped_array_travel_as_addresses(tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    np.save(path, np.arange(20_000, dtype=np.float32).reshape(4, 5000))
    recording = read_recording(path, sampling_rate=100, unit="pA")
    parcel = pickle.dumps(recording)
    assert len(parcel) < 5_000
    np.testing.assert_array_equal(pickle.loads(parcel).values(2, 0, 7, 9), recording.values(2, 0, 7, 9))


def test_objects_in_an_npz_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.npz"
    np.savez(path, signal=np.array([{"a": 1}], dtype=object), sampling_rate=1.0, unit="pA")
    with pytest.raises(RecordingError, match=r"evil\.npz"):
        read_recording(path)


def test_an_unknown_format_lists_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "notes.docx"
    path.write_text("hello")
    with pytest.raises(RecordingError, match=r"\.abf"):
        read_recording(path)
    with pytest.raises(RecordingError, match="does not exist"):
        read_recording(tmp_path / "gone.abf")
