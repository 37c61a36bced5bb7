"""Formats of other programs: made by hand or by their libraries, and one real file of each where there is one."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from napari_biofm.signals import Recording, read_recording
from napari_biofm.types import RecordingError


def _described(recording: Recording) -> list[tuple[str, str, float]]:
    return [(c.name, c.unit, c.sampling_rate) for c in recording.channels]


# --------------------------------------------------------------------------- WaveSurfer


@pytest.fixture
def wavesurfer(tmp_path: Path) -> Path:
    """Two of three inputs active, a polynomial per active channel, two sweeps."""
    path = tmp_path / "ws.h5"
    with h5py.File(path, "w") as file:
        header = file.create_group("header")
        header["AcquisitionSampleRate"] = [[20_000.0]]
        header["AIChannelNames"] = np.array([b"Vm", b"off", b"Im"])
        header["AIChannelUnits"] = np.array([b"mV", b"V", b"pA"])
        header["AIChannelScales"] = [[0.01], [1.0], [0.001]]
        header["IsAIChannelActive"] = [[1.0], [0.0], [1.0]]
        header["AIScalingCoefficients"] = [[0.001, 3e-4, 1e-12, 0.0], [0.0, 3e-4, 0.0, 0.0]]
        header["VersionString"] = np.array([b"0.982"])
        header["ClockAtRunStart"] = [[2026.0], [3.0], [4.0], [5.0], [6.0], [7.5]]
        for sweep, at in ((1, 0.25), (2, 3.75)):
            group = file.create_group(f"sweep_{sweep:04d}")
            group["analogScans"] = np.stack([np.arange(100) * sweep, np.arange(100) - 50]).astype(np.int16)
            group["timestamp"] = [[at]]
    return path


def test_wavesurfer_counts_become_units_by_their_polynomial(wavesurfer: Path) -> None:
    recording = read_recording(wavesurfer)
    assert _described(recording) == [("Vm", "mV", 20_000.0), ("Im", "pA", 20_000.0)]
    assert recording.sweep_starts.tolist() == [0.0, 3.5]
    counts = np.arange(100) * 2.0
    np.testing.assert_allclose(
        recording.values(1, 0), (0.001 + 3e-4 * counts + 1e-12 * counts**2) / 0.01, rtol=1e-5
    )
    np.testing.assert_allclose(
        recording.values(0, 1, 10, 20), 3e-4 * (np.arange(10, 20) - 50) / 0.001, rtol=1e-5
    )
    assert recording.t0 is not None and recording.t0.year == 2026
    with pytest.raises(RecordingError, match="20000 Hz, but 1000"):
        read_recording(wavesurfer, sampling_rate=1000)


# --------------------------------------------------------------------------- text and binary files made by hand


def test_atf_has_its_signals_and_sweep_starts(tmp_path: Path) -> None:
    rows = "".join(f"{i * 1e-4:.4f}\t{i}\t{-i}\t{2 * i}\t{-2 * i}\n" for i in range(30))
    (tmp_path / "a.atf").write_text(
        'ATF\t1.0\n2\t5\n"SweepStartTimesMS=0.000,2000.000"\n"SignalsExported=Im,Vm"\n'
        '"Time (s)"\t"Trace #1 (pA)"\t"Trace #1 (mV)"\t"Trace #2 (pA)"\t"Trace #2 (mV)"\n' + rows
    )
    recording = read_recording(tmp_path / "a.atf")
    assert _described(recording) == [("Im", "pA", 10_000.0), ("Vm", "mV", 10_000.0)]
    assert recording.sweep_starts.tolist() == [0.0, 2.0]
    assert recording.values(1, 1)[:3].tolist() == [0, -2, -4]
    (tmp_path / "b.atf").write_text("ATF\t1.0\n2\t5\nshort\n")
    with pytest.raises(RecordingError, match="b.atf"):
        read_recording(tmp_path / "b.atf")


def _wcp(ranges: list[tuple[float, float]], times: list[float]) -> bytes:
    text = (
        f"VER=9\r\nNC=2\r\nNR={len(times)}\r\nNBH=2\r\nNBA=2\r\nNBD=1\r\nADCMAX=2047\r\nRTIME=21/11/2014 14:18:28\r\n"
        "YN0=Im\r\nYU0=pA\r\nYG0=0.01\r\nYO0=1\r\nYN1=Vm\r\nYU1=mV\r\nYG1=0,02\r\nYO1=0\r\n"
    )
    data = text.encode().ljust(1024, b"\0")
    for i, (time, pair) in enumerate(zip(times, ranges, strict=True)):
        record = b"ACCEPTEDTEST" + struct.pack("<fff2f", 1.0, time, 1e-3, *pair)
        counts = np.stack([np.arange(128) + i, -np.arange(128)], axis=1).astype("<i2")
        data += record.ljust(1024, b"\0") + counts.tobytes().ljust(512, b"\0")
    return data


def test_winwcp_records_have_times_and_ranges_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "a.wcp").write_bytes(_wcp([(10.0, 5.0), (5.0, 5.0)], [3.0, 4.25]))
    recording = read_recording(tmp_path / "a.wcp")
    assert _described(recording)[0][:2] == ("Im", "pA")
    assert recording.channels[0].sampling_rate == pytest.approx(1000)
    assert recording.sweep_starts.tolist() == [0.0, 1.25]
    np.testing.assert_allclose(recording.values(0, 0), -np.arange(128) * 10 / 2047 / 0.01, rtol=1e-5)
    np.testing.assert_allclose(recording.values(1, 0), -np.arange(128) * 5 / 2047 / 0.01, rtol=1e-5)
    np.testing.assert_allclose(recording.values(1, 1), (np.arange(128) + 1) * 5 / 2047 / 0.02, rtol=1e-5)
    (tmp_path / "b.wcp").write_bytes(_wcp([(10.0, 5.0)] * 3, [0.0, 1.0, 2.0])[:2000])
    with pytest.raises(RecordingError, match="cut off"):
        read_recording(tmp_path / "b.wcp")


# --------------------------------------------------------------------------- through libraries


@pytest.mark.parametrize("ending", ["edf", "bdf"])
def test_edf_channels_keep_their_own_rates(tmp_path: Path, ending: str) -> None:
    pyedflib = pytest.importorskip("pyedflib")
    path = tmp_path / f"a.{ending}"
    kind = pyedflib.FILETYPE_EDFPLUS if ending == "edf" else pyedflib.FILETYPE_BDFPLUS
    writer = pyedflib.EdfWriter(str(path), 2, file_type=kind)
    low, high = (-32768, 32767) if ending == "edf" else (-8388608, 8388607)
    for i, (name, unit, rate) in enumerate((("Vm", "mV", 500), ("EEG", "uV", 250))):
        writer.setSignalHeader(i, {
            "label": name, "dimension": unit, "sample_frequency": rate, "physical_max": 100.0, "physical_min": -100.0,
            "digital_max": high, "digital_min": low, "transducer": "", "prefilter": "",
        })  # fmt: skip
    values = [50 * np.sin(np.arange(1000) / 40), 20 * np.cos(np.arange(500) / 9)]
    writer.writeSamples(values)
    writer.writeAnnotation(0.5, -1, "stimulus")
    writer.close()
    recording = read_recording(path)
    assert _described(recording) == [("Vm", "mV", 500.0), ("EEG", "uV", 250.0)]
    np.testing.assert_allclose(recording.values(0, 0, 100, 300), values[0][100:300], atol=0.01)
    assert [(tag.time_s, tag.comment) for tag in recording.tags] == [(0.5, "stimulus")]
    (tmp_path / f"b.{ending}").write_bytes(path.read_bytes()[:300])
    with pytest.raises(RecordingError, match="pyedflib cannot read"):
        read_recording(tmp_path / f"b.{ending}")


def test_tdms_groups_are_parts(tmp_path: Path) -> None:
    nptdms = pytest.importorskip("nptdms")
    path = tmp_path / "a.tdms"
    about = {"wf_increment": 1e-4, "unit_string": "pA"}
    with nptdms.TdmsWriter(str(path)) as writer:
        writer.write_segment([nptdms.ChannelObject("run 1", "Im", np.arange(50.0), about)])
        writer.write_segment([nptdms.ChannelObject("run 2", "Im", np.arange(20.0), {})])
    recording = read_recording(path)
    assert _described(recording) == [("Im", "pA", 10_000.0)]
    assert recording.metadata["parts"] == ["run 1", "run 2"]
    with pytest.raises(RecordingError, match="does not say its rate"):
        read_recording(path, group=1)
    assert read_recording(path, group=1, sampling_rate=500, unit="mV").channels[0].sampling_rate == 500


# --------------------------------------------------------------------------- MATLAB


def _matlab_7_3(path: Path, content: dict[str, Any]) -> None:
    """Write what MATLAB writes with -v7.3: HDF5, arrays transposed, texts as numbers."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in content.items():
            target, items = (
                (file.create_group(name), value) if isinstance(value, dict) else (file, {name: value})
            )
            for key, one in items.items():
                data = (
                    np.array([ord(c) for c in one], np.uint16)[:, None]
                    if isinstance(one, str)
                    else np.atleast_2d(one).T
                )
                target[key] = data
                target[key].attrs["MATLAB_class"] = np.bytes_("char" if isinstance(one, str) else "double")
    raw = bytearray(path.read_bytes())
    raw[:128] = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    path.write_bytes(raw)


@pytest.mark.parametrize("version", [5, 7.3])
@pytest.mark.parametrize(
    ("content", "described", "n_sweeps"),
    [
        ({"signal": np.arange(40.0), "fs": 1000.0, "unit": "pA"}, [("channel 0", "pA", 1000.0)], 1),
        ({"data": np.arange(120.0).reshape(40, 3), "dt": 1e-3, "units": "mV"}, [("channel 0", "mV", 1000.0)], 3),
        ({"d": np.arange(160.0).reshape(20, 2, 4), "si": 100.0, "unit": "mV"},
         [("channel 0", "mV", 10_000.0), ("channel 1", "mV", 10_000.0)], 4),
        ({"cell_Ch1": {"title": "Vm", "units": "mV", "interval": 1e-4, "start": -0.5, "values": np.arange(40.0)}},
         [("Vm", "mV", 10_000.0)], 1),
        ({f"Trace_1_2_{s}_1": np.stack([np.arange(30) * 1e-4, np.arange(30) * 1e-12], 1) for s in (1, 2)},
         [("trace 1", "A", 10_000.0)], 2),
    ],
)  # fmt: skip
def test_matlab_files_of_common_exporters(
    tmp_path: Path, version: float, content: dict[str, Any], described: list[Any], n_sweeps: int
) -> None:
    path = tmp_path / "a.mat"
    if version == 5:
        savemat(path, content)
    elif any(isinstance(v, np.ndarray) and v.ndim == 3 for v in content.values()):
        pytest.skip("the writer of this test does not transpose three axes")
    else:
        _matlab_7_3(path, content)
    recording = read_recording(path)
    found = [(n, u, pytest.approx(r, rel=1e-6)) for n, u, r in _described(recording)]
    assert found == described and recording.n_sweeps == n_sweeps
    if "cell_Ch1" in content:
        assert recording.sweep_starts.tolist() == [-0.5], "times before zero stay"


def test_labchart_blocks_are_sweeps(tmp_path: Path) -> None:
    data = np.concatenate([np.arange(10.0), 100 + np.arange(10.0), np.arange(6.0), 100 + np.arange(6.0)])
    savemat(tmp_path / "a.mat", {
        "data": data, "datastart": [[1.0, 21.0], [11.0, 27.0]], "dataend": [[10.0, 26.0], [20.0, 32.0]],
        "samplerate": [[1000.0, 1000.0], [1000.0, 1000.0]], "titles": ["ECG", "Resp"], "unittext": ["mV", "V"],
        "unittextmap": [[1.0, 1.0], [2.0, 2.0]],
    })  # fmt: skip
    recording = read_recording(tmp_path / "a.mat")
    assert _described(recording) == [("ECG", "mV", 1000.0), ("Resp", "V", 1000.0)]
    assert recording.values(1, 1).tolist() == [100, 101, 102, 103, 104, 105]


def test_a_matlab_file_that_says_nothing_asks(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"a": np.arange(40.0), "b": np.arange(30.0)})
    with pytest.raises(RecordingError, match="which variable"):
        read_recording(tmp_path / "a.mat")
    with pytest.raises(RecordingError, match="does not say"):
        read_recording(tmp_path / "a.mat", variable="a")
    assert read_recording(tmp_path / "a.mat", variable="b", sampling_rate=10, unit="pA").n_samples() == 30
    (tmp_path / "b.mat").write_bytes(b"MATLAB 5.0 MAT-file, broken".ljust(200, b"\1"))
    with pytest.raises(RecordingError, match=r"b\.mat"):
        read_recording(tmp_path / "b.mat")


# --------------------------------------------------------------------------- real files


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "first", "n_sweeps"),
    [
        ("gen.bdf", ("sine 5Hz", "uV", 1000.0), 1),
        ("subsecond.edf", ("Fp1", "uV", 128.0), 1),
        ("step.atf", ("IN 0", "pA", 20_000.0), 3),
        ("myokit_wcp-file.wcp", ("Im", "pA", 1000.0), 11),
        ("small-unicode.acq", ("EDA \N{EM DASH} filtered, differentiated", "uS", 2000.0), 1),
        ("ws_test2.h5", ("AI0", "V", 20_000.0), 3),
        ("ws_ws_0p74_data_0001.h5", ("V1", "V", 20_000.0), 1),
        ("ws_ws_v1p0p2_data.h5", ("AI0", "V", 20_000.0), 1),
        ("win-version5.ibw", ("version5", "pA", 1000.0), 1),
    ],
)
def test_a_real_file_of_each(
    shared_data: Path, name: str, first: tuple[str, str, float], n_sweeps: int
) -> None:
    given: dict[str, Any] = {"sampling_rate": 1000, "unit": "pA"} if name.endswith("ibw") else {}
    recording = read_recording(shared_data / "ephys" / "formats" / name, **given)
    about = recording.channels[0]
    assert (about.name, about.unit) == first[:2] and about.sampling_rate == pytest.approx(first[2], rel=1e-6)
    assert recording.n_sweeps == n_sweeps
    assert np.isfinite(recording.values(0, 0)).all()


@pytest.mark.shared_data
def test_winwcp_equals_neo_and_tells_when_sweeps_began(shared_data: Path) -> None:
    rawio = pytest.importorskip("neo.rawio")
    path = shared_data / "ephys" / "formats" / "myokit_wcp-file.wcp"
    recording, reference = read_recording(path), rawio.WinWcpRawIO(str(path))
    reference.parse_header()
    chunk = reference.rescale_signal_raw_to_float(
        reference.get_analogsignal_chunk(0, 4, stream_index=0), stream_index=0
    )
    np.testing.assert_allclose(recording.values(4, 1), chunk[:, 1], rtol=1e-5)
    assert np.diff(recording.sweep_starts).min() > 0.4


# --------------------------------------------------------------------------- damage


def _read_all(path: Path) -> None:
    """Open a file and read every sample; damage may be refused or pass as numbers, nothing else."""
    try:
        recording = read_recording(path)
        with np.errstate(all="ignore"):
            for sweep in range(min(recording.n_sweeps, 4)):
                for channel in range(recording.n_channels):
                    recording.values(sweep, channel)
    except RecordingError:
        return


@pytest.mark.parametrize("seed", range(6))
def test_flipped_bytes_and_cuts_never_crash(tmp_path: Path, wavesurfer: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    savemat(tmp_path / "m.mat", {"signal": np.arange(40.0), "fs": 1000.0, "unit": "pA"})
    rows = "".join(f"{i * 1e-4:.4f}\t{i}\n" for i in range(30))
    atf = f'ATF\t1.0\n1\t2\n"SweepStartTimesMS=0.000"\n"Time (s)"\t"Trace #1 (pA)"\n{rows}'.encode()
    for ending, whole in (
        ("wcp", _wcp([(10.0, 5.0), (5.0, 5.0)], [3.0, 4.25])), ("h5", wavesurfer.read_bytes()),
        ("mat", (tmp_path / "m.mat").read_bytes()), ("atf", atf),
    ):  # fmt: skip
        for number in range(12):
            data = bytearray(whole[: int(rng.integers(1, len(whole)))] if number % 4 == 0 else whole)
            for at in rng.integers(0, len(data), 5):
                data[at] = int(rng.integers(0, 256))
            path = tmp_path / f"{number}.{ending}"
            path.write_bytes(bytes(data))
            _read_all(path)
