"""ABF files give what pyabf gives, lazily, and damaged ones are refused."""

from __future__ import annotations

import dataclasses
import pickle
import struct
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyabf
import pytest

from napari_biofm.signals import read_recording
from napari_biofm.signals.readers.abf_command import Epoch, _user_lists
from napari_biofm.signals.steps import epoch_rows
from napari_biofm.types import RecordingError

ABF = Path(__file__).parents[2].parent / "shared" / "data" / "ephys" / "abf"
FILES = sorted(ABF.glob("*.abf"))
FRACTIONAL_RATE = {"File_axon_7.abf"}  # 2480 us per sample; pyabf cuts 403.2258 Hz to 403
# headers of 2 kB: pyabf takes samples for the protocol there
NO_PROTOCOL = {"130618-1-12.abf", "invalidDate-abf1.abf"}
# user lists, which pyabf leaves out of the command; see test_user_lists_agree_with_what_was_recorded
USER_LISTS = {"2020_03_02_0000.abf", "user-list-durations.abf"}
# the synch array of these contradicts the interval that pyabf assumes
OWN_STARTS = {
    "05210017_vc_abf1.abf", "File_axon_3.abf", "File_axon_7.abf", "multichannelAbf1WithTags.abf",
    "190619B_0003.abf", "pclamp11_4ch_abf1.abf", "2020_06_16_0000.abf", "2020_06_16_0001.abf",
}  # fmt: skip

MODES = {
    1: "variable-length events", 2: "fixed-length events", 3: "gap-free", 4: "high-speed oscilloscope", 5: "episodic",
}  # fmt: skip
shared_data = pytest.mark.skipif(not FILES, reason="../shared/data/ephys/abf is not here")


@pytest.mark.shared_data
@shared_data
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_values_units_times_and_commands_equal_pyabf(path: Path) -> None:
    recording = read_recording(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = pyabf.ABF(str(path), stimulusFileFolder=str(path.parent))
        assert (recording.n_channels, recording.n_sweeps) == (peer.channelCount, peer.sweepCount)
        assert [c.unit for c in recording.channels] == peer.adcUnits
        if path.name not in FRACTIONAL_RATE:
            assert recording.channels[0].sampling_rate == peer.dataRate
        if path.name not in OWN_STARTS:
            np.testing.assert_array_equal(recording.sweep_starts, peer.sweepTimesSec)
        for sweep in peer.sweepList:
            for channel in peer.channelList:
                peer.setSweep(sweep, channel)
                np.testing.assert_array_equal(recording.values(sweep, channel), peer.sweepY)
                if path.name in NO_PROTOCOL:
                    assert recording.command(sweep, channel) is None
                elif sweep % 10 == 0 and path.name not in USER_LISTS:
                    _same_command(recording.command(sweep, channel), peer)


def _same_command(command, peer) -> None:
    try:
        expected = peer.sweepC
    except IndexError:  # pyabf has no waveform table for this channel
        assert command is None
        return
    np.testing.assert_array_equal(command.values, expected.astype(np.float32))


@pytest.mark.shared_data
@shared_data
@pytest.mark.parametrize("name", ["18702001-step.abf", "pclamp11_4ch_abf1.abf"])
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_acquisition_is_read(name: str, mode: int, tmp_path: Path) -> None:
    content = bytearray((ABF / name).read_bytes())
    at = struct.unpack_from("<I", content, 76)[0] * 512 if content[:4] == b"ABF2" else 8
    struct.pack_into("<h", content, at, mode)  # the same sweeps, said to be of another mode
    path = tmp_path / name
    path.write_bytes(content)
    recording = read_recording(path)
    assert recording.metadata["operation_mode"] == MODES[mode]
    peer = pyabf.ABF(str(path))
    assert recording.n_sweeps == peer.sweepCount
    for sweep in range(recording.n_sweeps):
        peer.setSweep(sweep)
        np.testing.assert_array_equal(recording.values(sweep, 0), peer.sweepY)


@pytest.mark.shared_data
@shared_data
def test_a_stimulus_file_that_is_not_there_is_named() -> None:
    recording = read_recording(ABF / "171116sh_0015-ATFwaveform.abf")
    assert "sine sweep magnitude 20.atf is not beside the recording" in recording.command_unknown
    assert read_recording(ABF / "171116sh_0015.abf").command_unknown == ""


@pytest.mark.shared_data
@shared_data
def test_a_sweep_that_does_not_exist_is_named() -> None:
    recording = read_recording(ABF / "17o05027_ic_ramp.abf")
    with pytest.raises(RecordingError, match=r"sweep 12 of 2 asked for in 17o05027_ic_ramp\.abf"):
        recording.values(12, 0)


@pytest.mark.shared_data
@shared_data
def test_si_values_and_holding_follow_the_units() -> None:
    recording = read_recording(ABF / "17o05028_ic_steps.abf")
    np.testing.assert_allclose(recording.values(3, 0, 0, 50, si=True), recording.values(3, 0, 0, 50) * 1e-3)
    voltage_clamp = read_recording(ABF / "17o05024_vc_steps.abf")
    assert voltage_clamp.channels[0].holding == pytest.approx(-0.07)


@pytest.mark.shared_data
@shared_data
def test_a_recording_travels_to_another_process_without_its_samples() -> None:
    recording = read_recording(ABF / "18425108.abf")
    parcel = pickle.dumps(recording)
    assert len(parcel) < 20_000
    arrived = pickle.loads(parcel)
    np.testing.assert_array_equal(arrived.values(0, 1), recording.values(0, 1))
    np.testing.assert_array_equal(arrived.command(0, 0).values, recording.command(0, 0).values)


def _header(major: int, minor: int, parameter: int, values: list[float], repeats: int = 0) -> Any:
    return SimpleNamespace(
        abfVersion={"major": major, "minor": minor}, userList=values, userListEnable=[1], userListParamToVary=[parameter],
        userListRepeat=[repeats],
    )  # fmt: skip


def test_a_user_list_takes_the_place_of_start_and_step_of_one_number() -> None:
    (level,) = _user_lists(_header(2, 9, 62, [-200.0, -150.0, 600.0])).values()
    assert (level.what, level.number) == ("level", 1), "fifty columns from ABF 2.9 on"
    (length,) = _user_lists(_header(2, 0, 35, [4000.0, 6000.0], repeats=1)).values()
    assert (length.what, length.number) == ("duration", 4), "ten columns before"
    assert [level.at(k) for k in (0, 2, 5)] == [-200, 600, 600]
    assert [length.at(k) for k in (0, 1, 2)] == [4000, 6000, 4000]
    epoch = Epoch(1, 10.0, 5.0, 100, 7, number=1)
    assert (epoch.at(2).level, epoch.at(2).duration) == (20, 114)
    listed = dataclasses.replace(epoch, user_list=level)
    assert (listed.at(2).level, listed.at(2).duration) == (600, 114)
    assert _user_lists(_header(2, 9, 7, [1.0])) == {}, "it varies the time between sweeps"
    assert _user_lists(_header(2, 9, 62, [])) == {}


@pytest.mark.shared_data
@shared_data
def test_user_lists_agree_with_what_was_recorded() -> None:
    steps = read_recording(
        ABF / "2020_03_02_0000.abf"
    )  # its table says 50 pA more per sweep, its list does not
    levels = [r["level"] for r in epoch_rows(steps, [0]) if r["epoch"] == "B"]
    assert levels == [-200, -150, -100, -50, 0, 25, 50, 100, 150, 200, 250, 300, 350, 400, 500, 600]
    volts = np.array(
        [
            np.median(steps.values(k, 0, 5500, 6200)) - np.median(steps.values(k, 0, 0, 1000))
            for k in range(16)
        ]
    )
    np.testing.assert_allclose(
        volts[np.array(levels) != 0] / np.array([x for x in levels if x]), 0.505, rtol=0.03
    )
    lengths = read_recording(ABF / "user-list-durations.abf")  # here the command was recorded, too
    rows = [r for r in epoch_rows(lengths, [0]) if r["epoch"] == "G"]
    assert [(r["start"], r["stop"], r["source"]) for r in rows] == [
        (10_006, 16_006, "protocol"), (12_006, 18_006, "protocol"), (12_006, 18_006, "protocol"),
    ]  # fmt: skip
    assert [float(np.median(lengths.values(r["sweep"], 1, r["start"] + 5, r["stop"] - 5))) for r in rows] == [
        0,
        0,
        0,
    ]
