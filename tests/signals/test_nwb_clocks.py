"""NWB: time stamps instead of a rate, parts that were not recorded together, gains that change."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_biofm.signals import Recording, read_recording
from napari_biofm.signals.export import write_nwb
from napari_biofm.signals.readers.stamps import clock_of
from napari_biofm.types import RecordingError, Trace

pynwb = pytest.importorskip("pynwb")
RNG = np.random.default_rng(0)


def _file(path: Path, *series: Any) -> Path:
    nwb = pynwb.NWBFile(
        session_description="s", identifier="i", session_start_time=datetime(2024, 5, 1, tzinfo=UTC)
    )
    for one in series:
        nwb.add_acquisition(one)
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)
    return path


def _stamped(stamps: np.ndarray, name: str = "lick", data: np.ndarray | None = None) -> Any:
    values = np.arange(len(stamps), dtype=np.float64) if data is None else data
    return pynwb.TimeSeries(name=name, data=values, unit="V", timestamps=stamps)


def test_stamps_with_little_jitter_are_a_rate_and_values_stay(tmp_path: Path) -> None:
    stamps = 3.0 + np.arange(500) / 30 + RNG.uniform(-0.002, 0.002, 500)
    recording = read_recording(_file(tmp_path / "a.nwb", _stamped(stamps)))
    assert recording.channels[0].sampling_rate == pytest.approx(30, rel=1e-3)
    assert recording.sweep_starts[0] == pytest.approx(stamps[0])
    np.testing.assert_array_equal(recording.values(0, 0), 1e3 * np.arange(500, dtype=np.float32))
    assert "timestamps" not in recording.metadata and len(recording.metadata["parts"]) == 1


def test_pauses_between_steady_stretches_make_sweeps(tmp_path: Path) -> None:
    stamps = np.concatenate([np.arange(100) / 50, 10 + np.arange(60) / 50])
    recording = read_recording(_file(tmp_path / "a.nwb", _stamped(stamps)))
    assert recording.n_sweeps == 2 and recording.sweep_starts.tolist() == [0, 10]
    assert recording.channels[0].sampling_rate == 50
    np.testing.assert_array_equal(recording.values(1, 0), 1e3 * np.arange(100, 160, dtype=np.float32))
    assert "each stretch is a sweep" in recording.comment
    again = pickle.loads(pickle.dumps(recording))
    np.testing.assert_array_equal(again.values(1, 0, 5, 9), recording.values(1, 0, 5, 9))


def test_uneven_stamps_are_interpolated_and_said_so_and_gaps_stay_gaps(tmp_path: Path) -> None:
    steps = RNG.uniform(0.05, 0.2, 400)
    steps[200] = 5.0
    stamps = np.cumsum(steps)
    recording = read_recording(_file(tmp_path / "a.nwb", _stamped(stamps, data=2 * stamps)))
    values, times = recording.values(0, 0), recording.times() + recording.sweep_starts[0]
    there = np.isfinite(values)
    np.testing.assert_allclose(values[there], 2e3 * times[there], rtol=1e-5)
    inside = (times > stamps[199]) & (times < stamps[200])
    assert not there[inside].any() and there[~inside].mean() > 0.99
    assert "interpolated linearly" in recording.metadata["timestamps"]
    np.testing.assert_array_equal(recording.values(0, 0, 37, 61), values[37:61])


@pytest.mark.parametrize("stamps", [np.array([0.0, 1.0, 1.0, 2.0]), np.array([0.0, np.nan, 2.0])])
def test_stamps_that_do_not_increase_are_refused_by_name(stamps: np.ndarray) -> None:
    with pytest.raises(RecordingError, match="time stamps of lick do not increase"):
        clock_of(stamps, "lick")


def test_series_of_other_clocks_are_other_parts(tmp_path: Path) -> None:
    fast = pynwb.TimeSeries(name="fast", data=np.arange(90.0), unit="V", rate=90.0)
    slow = pynwb.TimeSeries(name="slow", data=np.arange(9.0), unit="V", rate=9.0)
    twin = pynwb.TimeSeries(name="twin", data=np.arange(90.0) + 1, unit="V", rate=90.0)
    path = _file(tmp_path / "a.nwb", fast, slow, twin)
    recording = read_recording(path)
    assert [c.name for c in recording.channels] == ["fast", "twin"]
    assert len(recording.metadata["parts"]) == 2
    assert read_recording(path, series=1).channels[0].name == "slow"
    with pytest.raises(RecordingError, match="part 2 of 2"):
        read_recording(path, series=2)


def test_clamp_modes_are_parts_and_a_changed_gain_is_kept_right(tmp_path: Path) -> None:
    nwb = pynwb.NWBFile(
        session_description="s", identifier="i", session_start_time=datetime(2024, 5, 1, tzinfo=UTC)
    )
    device = nwb.create_device(name="amplifier")
    electrode = nwb.create_icephys_electrode(name="E1", description="pipette", device=device)
    for i, conversion in enumerate((1e-12, 2e-12, 1e-12)):
        series = pynwb.icephys.VoltageClampSeries(
            name=f"vc{i}", data=np.arange(50, dtype=np.int16), conversion=conversion, electrode=electrode,
            gain=1.0, rate=1000.0, starting_time=float(i), sweep_number=np.uint64(i),
        )  # fmt: skip
        nwb.add_acquisition(series)
    cc = pynwb.icephys.CurrentClampSeries(
        name="cc", data=np.full(50, -0.07), electrode=electrode, gain=1.0, rate=1000.0,
        starting_time=9.0, sweep_number=np.uint64(9),
    )  # fmt: skip
    nwb.add_acquisition(cc)
    path = tmp_path / "a.nwb"
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)
    recording = read_recording(path)
    assert recording.metadata["parts"] == ["E1 (pA), 3 sweeps", "E1 (mV), 1 sweep"]
    assert recording.n_sweeps == 3, "no sweep is dropped because the other mode has fewer"
    for sweep, gain in enumerate((1, 2, 1)):
        np.testing.assert_allclose(recording.values(sweep, 0), gain * np.arange(50), rtol=1e-6)
    np.testing.assert_allclose(read_recording(path, series=1).values(0, 0), -70, rtol=1e-6)


def test_our_own_export_keeps_the_commands(tmp_path: Path) -> None:
    steps = [Trace(np.where(np.arange(40) < 20, -70.0, level).astype(np.float32), 1000.0, "mV")
             for level in (-60.0, -40.0)]  # fmt: skip
    recording = Recording.from_arrays(
        RNG.normal(size=(2, 40)).astype(np.float32), 1000.0, "pA",
        command_source=lambda sweep, channel: steps[sweep],
    )  # fmt: skip
    write_nwb(tmp_path / "out.nwb", recording)
    assert not pynwb.validate(path=str(tmp_path / "out.nwb"))
    back = read_recording(tmp_path / "out.nwb")
    assert back.metadata["parts"] == ["sweeps"]
    for sweep in (0, 1):
        command = back.command(sweep, 0)
        assert command is not None and command.unit == "mV"
        np.testing.assert_allclose(command.values, steps[sweep].values, rtol=1e-6)


def test_our_own_export_comes_back_as_it_was(tmp_path: Path) -> None:
    sweeps = RNG.normal(size=(3, 2, 40)).astype(np.float32)
    recording = Recording.from_arrays(
        sweeps, 1000.0, ["pA", "mV"], names=["Im", "Vm"], sweep_starts=[0, 2, 5]
    )
    write_nwb(tmp_path / "out.nwb", recording)
    back = read_recording(tmp_path / "out.nwb")
    assert (back.n_sweeps, [c.name for c in back.channels]) == (3, ["Im", "Vm"])
    assert [c.unit for c in back.channels] == ["pA", "mV"] and back.sweep_starts.tolist() == [0, 2, 5]
    for sweep in range(3):
        for channel in range(2):
            np.testing.assert_allclose(
                back.values(sweep, channel), recording.values(sweep, channel), rtol=1e-5
            )
