"""WFDB records: every sample at its own rate, and records of several segments as one, with gaps."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from napari_biofm.signals import Recording, read_recording
from napari_biofm.signals.readers import wfdb_segments
from napari_biofm.signals.readers.wfdb_header import WfdbHeader
from napari_biofm.types import RecordingError

wfdb = pytest.importorskip("wfdb")
ECG = Path(__file__).parents[2].parent / "shared" / "data" / "ephys" / "ecg"
shared_data = pytest.mark.skipif(not ECG.exists(), reason="../shared/data/ephys is not here")


def _write(folder: Path, name: str, signals: dict[str, tuple[str, np.ndarray]], rate: float = 125.0) -> None:
    """Write one segment; `signals` maps names to unit and digital values."""
    wfdb.wrsamp(
        name,
        fs=rate,
        units=[unit for unit, _ in signals.values()],
        sig_name=list(signals),
        d_signal=np.stack([values for _, values in signals.values()], axis=1),
        fmt=["16"] * len(signals),
        adc_gain=[100.0] * len(signals),
        baseline=[0] * len(signals),
        write_dir=str(folder),
    )


def _counts(n: int, first: int = 0) -> np.ndarray:
    return np.arange(first, first + n, dtype=np.int64)


@pytest.fixture
def varying(tmp_path: Path) -> Path:
    """Return a record of varying layout: II and ABP, nothing, ABP alone in other units, V and II."""
    _write(tmp_path, "s_1", {"II": ("mV", _counts(300)), "ABP": ("mmHg", _counts(300, 5000))})
    _write(tmp_path, "s_2", {"ABP": ("mmHg", _counts(100, 7000))})
    _write(tmp_path, "s_3", {"V": ("mV", _counts(200, 900)), "II": ("uV", _counts(200, 100))})
    layout = [
        "s_layout 3 125 0",
        "~ 0 100/mV 0 0 0 0 0 II",
        "~ 0 100/mmHg 0 0 0 0 0 ABP",
        "~ 0 1/mV 0 0 0 0 0 V",
    ]
    (tmp_path / "s_layout.hea").write_text("\n".join(layout) + "\n")
    master = ["s/5 3 125 650 10:00:00 01/02/2020", "s_layout 0", "s_1 300", "~ 50", "s_2 100", "s_3 200"]
    (tmp_path / "s.hea").write_text("\n".join(master) + "\n# a stay\n")
    return tmp_path / "s.hea"


@pytest.mark.shared_data
@shared_data
@pytest.mark.parametrize("name", ["03700181", "a103l", "s0010_re", "test01_00s", "3000003_0003"])
def test_values_are_those_of_the_library_sample_by_sample(name: str) -> None:
    recording = read_recording(ECG / f"{name}.hea")
    peer = wfdb.rdrecord(str(ECG / name), return_res=32, smooth_frames=False)
    for channel, values in enumerate(peer.e_p_signal):
        rate = peer.fs * peer.samps_per_frame[channel]
        assert recording.channels[channel].sampling_rate == rate
        np.testing.assert_array_equal(recording.values(0, channel), values)
        for start, stop in ((0, 1), (101, 122), (len(values) - 7, len(values))):
            np.testing.assert_array_equal(recording.values(0, channel, start, stop), values[start:stop])


@pytest.mark.shared_data
@shared_data
def test_a_signal_with_four_samples_per_frame_is_not_averaged() -> None:
    recording = read_recording(ECG / "03700181.hea")
    assert [c.sampling_rate for c in recording.channels] == [500, 125, 125]
    assert [recording.n_samples(0, i) for i in range(3)] == [300_000, 75_000, 75_000]


@pytest.mark.shared_data
@shared_data
def test_a_header_without_its_samples_says_which_file_is_missing() -> None:
    with pytest.raises(RecordingError, match=r"1003\.dat"):
        read_recording(ECG / "1003.hea")


def test_differences_are_summed_from_the_start_wherever_one_looks(tmp_path: Path) -> None:
    steps = np.random.default_rng(0).integers(-90, 90, 1000).astype(np.int8)
    (tmp_path / "d.dat").write_bytes(steps.tobytes())
    (tmp_path / "d.hea").write_text("d 1 250 1000\nd.dat 8 1/mV 16 0 40 0 0 II\n")
    recording = read_recording(tmp_path / "d.hea")
    expected = 40 + np.cumsum(steps.astype(int))
    np.testing.assert_array_equal(recording.values(0, 0, 600, 650), expected[600:650])


def test_a_header_may_leave_length_unit_and_name_out(tmp_path: Path) -> None:
    (tmp_path / "bare.dat").write_bytes(np.arange(50, dtype="<i2").tobytes())
    (tmp_path / "bare.hea").write_text("bare 1 100\nbare.dat 16\n")
    recording = read_recording(tmp_path / "bare.hea")
    assert recording.n_samples() == 50 and recording.channels[0].unit == "mV"
    assert recording.channels[0].name == "channel 0"
    np.testing.assert_allclose(recording.values(0, 0), np.arange(50) / 200, rtol=1e-6)


def test_a_record_of_varying_layout_is_one_recording_with_gaps(varying: Path) -> None:
    recording = read_recording(varying)
    assert [(c.name, c.unit) for c in recording.channels] == [("II", "mV"), ("ABP", "mmHg"), ("V", "mV")]
    assert recording.n_samples() == 650 and recording.t0 is not None and recording.t0.year == 2020
    assert recording.comment == "a stay" and recording.metadata["segments"] == 4
    ii, abp, v = (recording.values(0, i) for i in range(3))
    np.testing.assert_allclose(ii[:300], np.arange(300) / 100)
    assert np.isnan(ii[300:450]).all()
    np.testing.assert_allclose(ii[450:], np.arange(100, 300) / 100 * 1e-3, rtol=1e-5), "uV as mV"
    np.testing.assert_allclose(abp[:300], np.arange(5000, 5300) / 100)
    assert np.isnan(abp[300:350]).all() and np.isnan(abp[450:]).all()
    np.testing.assert_allclose(abp[350:450], np.arange(7000, 7100) / 100)
    assert np.isnan(v[:450]).all() and v[450] == 9
    for start, stop in ((0, 0), (299, 301), (310, 340), (320, 460), (649, 650)):
        np.testing.assert_array_equal(recording.values(0, 0, start, stop), ii[start:stop])


def test_it_agrees_with_the_library_where_that_can_read_it(varying: Path) -> None:
    recording = read_recording(varying)
    peer = wfdb.rdrecord(str(varying.with_suffix("")), return_res=32, sampto=450)
    for i, name in enumerate(peer.sig_name):
        channel = [c.name for c in recording.channels].index(name)
        np.testing.assert_array_equal(recording.values(0, channel, 0, 450), peer.p_signal[:, i])


def test_only_the_segment_in_view_is_read(varying: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    recording = read_recording(varying)
    real = wfdb_segments.read_span

    def watched(header: WfdbHeader, *args: int) -> np.ndarray:
        read.append(Path(header.record).name)
        return real(header, *args)

    monkeypatch.setattr(wfdb_segments, "read_span", watched)
    recording.values(0, 1, 360, 370)
    recording.values(0, 0, 310, 340)
    assert read == ["s_2"], "nothing is read of a gap"


def test_invalid_samples_are_gaps_as_the_library_has_it(tmp_path: Path) -> None:
    stored = np.array([5, -32768, 7, 8, 9, -32768], "<i2")
    (tmp_path / "i.dat").write_bytes(b"\0" * 6 + stored.tobytes())
    (tmp_path / "i.hea").write_text("i 2 250 3\ni.dat 16+6 3(1)/mV\ni.dat 16+6 7/mV\n")
    recording = read_recording(tmp_path / "i.hea")
    peer = wfdb.rdrecord(str(tmp_path / "i"), return_res=32)
    for channel in (0, 1):
        np.testing.assert_array_equal(recording.values(0, channel), peer.p_signal[:, channel])
    assert np.isnan(recording.values(0, 1)).tolist() == [True, False, True]


def test_a_segmented_recording_travels_to_another_process(varying: Path) -> None:
    recording = read_recording(varying)
    other: Recording = pickle.loads(pickle.dumps(recording))  # our own object
    np.testing.assert_array_equal(other.values(0, 0), recording.values(0, 0))


def test_segments_of_fixed_layout_follow_each_other(tmp_path: Path) -> None:
    for number, first in (("f_1", 0), ("f_2", 40)):
        _write(tmp_path, number, {"a": ("mV", _counts(40, first)), "b": ("pA", _counts(40, -first))})
    (tmp_path / "f.hea").write_text("f/3 2 125 90\nf_1 40\n~ 10\nf_2 40\n")
    recording = read_recording(tmp_path / "f.hea")
    assert [c.unit for c in recording.channels] == ["mV", "pA"]
    whole = recording.values(0, 0)
    np.testing.assert_allclose(whole[:40], np.arange(40) / 100, rtol=1e-6)
    np.testing.assert_allclose(whole[50:], np.arange(40, 80) / 100, rtol=1e-6)
    assert np.isnan(whole[40:50]).all()


@pytest.mark.parametrize(
    ("master", "why"),
    [
        ("s/4 3 125 640\ns_layout 0\ns_1 300\n~ 50\ns_9 290", r"needs segment s_9\.hea"),
        ("s/3 3 125 350\ns_layout 0\ns_1 310\n~ 40", r"holds 300 samples at 125 Hz; s\.hea states 310"),
        ("s/3 3 250 350\ns_layout 0\ns_1 300\n~ 50", "at 250 Hz"),
        ("s/3 3 125 400\ns_layout 0\ns_1 300\n~ 50", "states 400 samples; its segments hold 350"),
        ("s/3 3 125 350\n~ 0\ns_1 300\n~ 50", "names its signals"),
        ("s/3 3 125 90000300\ns_layout 0\ns_1 300\n~ 90000000", "of which 300 were recorded"),
        ("s/9 3 125 350\ns_layout 0\ns_1 300\n~ 50", "lists 3 segments of 9"),
        ("s/2 3 125 650\ns_layout 0\ns 650", "has segments itself"),
    ],
)
def test_a_master_header_that_does_not_fit_is_refused(varying: Path, master: str, why: str) -> None:
    varying.write_text(master + "\n")
    with pytest.raises(RecordingError, match=why):
        read_recording(varying)
