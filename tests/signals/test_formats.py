"""Every other format: what is in the file comes out, lazily, and what is missing is asked for."""

from __future__ import annotations

import os
import pickle
import shutil
import struct
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from napari_biofm.signals import Recording, read_part, read_recording
from napari_biofm.signals.curation import accepted_cells
from napari_biofm.signals.readers import optional
from napari_biofm.types import RecordingError

h5py = pytest.importorskip("h5py")
EPHYS = Path(__file__).parents[2].parent / "shared" / "data" / "ephys"
shared_data = pytest.mark.skipif(not EPHYS.exists(), reason="../shared/data/ephys is not here")


# --------------------------------------------------------------------------- HEKA


@pytest.mark.shared_data
@shared_data
def test_a_heka_bundle_gives_its_fifty_sweeps() -> None:
    recording = read_recording(EPHYS / "other" / "heka_firing_pattern.dat")
    assert (recording.format, recording.n_sweeps, recording.n_channels) == ("HEKA", 50, 1)
    assert recording.channels[0].unit == "mV" and recording.channels[0].sampling_rate == 25_000
    assert recording.n_samples(49) == 25_000 and recording.duration(0) == 1.0
    assert recording.t0 is not None and recording.t0.year == 2021
    assert recording.protocol == "cell 2 fp"
    assert (np.diff(recording.sweep_starts) > 1.0).all()
    rest = np.array([np.median(recording.values(i, 0, 0, 1000)) for i in range(50)])
    assert (rest > -80).all() and (rest < -40).all(), "a resting cell, in mV"
    peaks = np.array([recording.values(i, 0).max() for i in range(50)])
    assert peaks.max() > 0, "it fires"


@pytest.mark.shared_data
@shared_data
def test_a_heka_command_is_rebuilt_from_the_stimulus_tree() -> None:
    recording = read_recording(EPHYS / "other" / "heka_firing_pattern.dat")
    for sweep in (0, 5, 49):
        command = recording.command(sweep, 0)
        assert command is not None and command.unit == "pA" and len(command.values) == 25_000
        relative = command.values - command.values[0]
        np.testing.assert_allclose(relative[2500:17_500], -100 + 20 * sweep, atol=1e-3)
        assert not relative[:2500].any() and not relative[17_500:].any()
    assert recording.command(0, 0).values[0] == pytest.approx(-890.949, abs=1e-3)  # type: ignore[union-attr]
    # the cell follows: more current, higher voltage
    low, high = (float(np.median(recording.values(i, 0, 5000, 17_000))) for i in (0, 40))
    assert high > low + 10


@pytest.mark.shared_data
@shared_data
def test_a_series_that_is_not_there_is_named() -> None:
    with pytest.raises(RecordingError, match="series 3 of 1"):
        read_recording(EPHYS / "other" / "heka_firing_pattern.dat", series=3)


@pytest.mark.shared_data
@shared_data
def test_a_damaged_heka_bundle_is_refused(tmp_path: Path) -> None:
    content = (EPHYS / "other" / "heka_firing_pattern.dat").read_bytes()
    path = tmp_path / "bundle.dat"
    rng = np.random.default_rng(4)
    for cut in (4, 100, 2_000_000, 2_500_300, 2_546_000):
        path.write_bytes(content[:cut])
        with pytest.raises(RecordingError):
            read_recording(path)
    for _ in range(60):
        damaged = bytearray(content)
        for position in rng.integers(2_500_256, 2_502_000, 4):
            damaged[position] = rng.integers(256)
        struct.pack_into("<i", damaged, 64 + 16 * int(rng.integers(3)), int(rng.integers(0, 2**31)))
        path.write_bytes(damaged)
        with pytest.raises(RecordingError):
            read_recording(path)


# --------------------------------------------------------------------------- neo


@pytest.mark.shared_data
@shared_data
def test_neo_reads_the_same_values() -> None:
    pytest.importorskip("neo")
    from napari_biofm.signals.readers.neo import read_neo

    path = EPHYS / "abf" / "17o05028_ic_steps.abf"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        through_neo, ours = read_neo(path), read_recording(path)
        assert through_neo.n_sweeps == ours.n_sweeps
        for sweep in (0, 7, 15):
            np.testing.assert_allclose(through_neo.values(sweep, 0), ours.values(sweep, 0), atol=1e-4)
        arrived = pickle.loads(pickle.dumps(through_neo))
        np.testing.assert_array_equal(arrived.values(2, 0, 5, 9), through_neo.values(2, 0, 5, 9))


# --------------------------------------------------------------------------- NWB


@pytest.fixture
def nwb_file():
    pynwb = pytest.importorskip("pynwb")
    start = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
    return pynwb, pynwb.NWBFile(
        session_description="three steps", identifier="id-1", session_start_time=start
    )


def test_nwb_sweeps_come_with_their_stimuli(nwb_file, tmp_path: Path) -> None:
    pynwb, nwb = nwb_file
    icephys = pynwb.icephys
    electrode = nwb.create_icephys_electrode(
        name="E1", description="a pipette", device=nwb.create_device(name="amplifier")
    )
    data = np.arange(600, dtype=np.int16).reshape(3, 200)
    common = {"electrode": electrode, "gain": 1.0, "rate": 10_000.0}
    for i, sweep in enumerate(data):
        response = icephys.VoltageClampSeries(
            name=f"r{i}", data=sweep, conversion=1e-12, starting_time=2.0 * i, **common
        )
        stimulus = icephys.VoltageClampStimulusSeries(
            name=f"s{i}", data=np.full(200, -70.0 + i), conversion=1e-3, starting_time=2.0 * i, **common
        )
        nwb.add_intracellular_recording(electrode=electrode, response=response, stimulus=stimulus)
    path = tmp_path / "steps.nwb"
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)
    recording = read_recording(path)
    assert (recording.format, recording.n_sweeps, recording.channels[0].unit) == ("NWB", 3, "pA")
    assert recording.sweep_starts.tolist() == [0, 2, 4] and recording.t0 == datetime(2024, 5, 1, 12, 0)
    np.testing.assert_allclose(recording.values(1, 0), data[1], rtol=1e-6)
    command = recording.command(2, 0)
    assert command is not None and command.unit == "mV" and command.values[0] == pytest.approx(-68)
    np.testing.assert_allclose(pickle.loads(pickle.dumps(recording)).values(1, 0), data[1], rtol=1e-6)


def test_nwb_roi_responses_are_cells_with_masks(nwb_file, tmp_path: Path) -> None:
    pynwb, nwb = nwb_file
    ophys = pynwb.ophys
    device = nwb.create_device(name="microscope")
    channel = ophys.OpticalChannel(name="green", description="GCaMP", emission_lambda=510.0)
    plane = nwb.create_imaging_plane(
        name="plane", optical_channel=channel, description="d", device=device,
        excitation_lambda=920.0, indicator="GCaMP6f", location="V1", imaging_rate=30.0,
    )  # fmt: skip
    segmentation = ophys.PlaneSegmentation(name="cells", description="cells", imaging_plane=plane)
    for i in range(2):
        mask = np.zeros((8, 8))
        mask[2 * i : 2 * i + 2, 3] = 1
        segmentation.add_roi(image_mask=mask)
    module = nwb.create_processing_module(name="ophys", description="traces")
    module.add(ophys.ImageSegmentation(name="seg", plane_segmentations=[segmentation]))
    region = segmentation.create_roi_table_region(description="all", region=[0, 1])
    traces = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    series = ophys.RoiResponseSeries(name="dff", data=traces, rois=region, unit="n.a.", rate=30.0)
    container = ophys.DfOverF()
    module.add(container)
    container.add_roi_response_series(series)
    path = tmp_path / "cells.nwb"
    with pynwb.NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)
    recording = read_recording(path)
    assert recording.is_cells and recording.labels.tolist() == [1, 2]
    assert recording.channels[0].unit == "dF/F"
    np.testing.assert_array_equal(recording.values(0, 1), traces[:, 1])
    assert recording.rois is not None and recording.rois[3, 2] == 2 and recording.rois[3, 0] == 1, "(x, y)"


def test_an_nwb_file_that_is_none_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pynwb")
    path = tmp_path / "no.nwb"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(RecordingError, match=r"no\.nwb"):
        read_recording(path)


# --------------------------------------------------------------------------- plain HDF5, CSV


def test_an_hdf5_dataset_needs_rate_and_unit_or_says_them(tmp_path: Path) -> None:
    path = tmp_path / "sweeps.h5"
    data = np.arange(40.0).reshape(4, 10)
    with h5py.File(path, "w") as file:
        file["windows"] = data
    with pytest.raises(RecordingError, match="ever guessed"):
        read_recording(path)
    recording = read_recording(path, sampling_rate=50_000, unit="pA")
    assert recording.n_sweeps == 4
    np.testing.assert_array_equal(recording.values(2, 0, 3, 5), data[2, 3:5])
    other = tmp_path / "said.h5"
    with h5py.File(other, "w") as file:
        file["v"] = data
        file["v"].attrs.update(sampling_rate=1000.0, unit="mV")
    assert read_recording(other).channels[0].unit == "mV"


def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "again.h5"
    for first, stamp in ((0, 1_000_000_000), (100, 2_000_000_000)):
        new = tmp_path / "new.h5"
        with h5py.File(new, "w") as file:
            file["v"] = np.arange(first, first + 20, dtype=np.float32)
        new.replace(path)
        os.utime(path, ns=(stamp, stamp))
        assert read_recording(path, sampling_rate=10, unit="mV").values(0, 0)[0] == first


def test_a_table_of_many_short_rows_must_say_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "tetrode.npz"
    values = np.arange(8000, dtype=np.int16).reshape(2000, 4)
    np.savez(path, signal=values, fs=15_000.0)
    with pytest.raises(RecordingError, match="2000 sweeps of 4 samples: give rows='samples'"):
        read_recording(path, unit="uV")
    recording = read_recording(path, unit="uV", rows="samples")
    assert (recording.n_sweeps, recording.n_channels) == (1, 4)
    np.testing.assert_array_equal(recording.values(0, 2), values[:, 2])
    assert read_recording(path, unit="uV", rows="sweeps").n_sweeps == 2000
    with pytest.raises(RecordingError, match="one of sweeps, channels, samples"):
        read_recording(path, unit="uV", rows="frames")


def test_several_datasets_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "two.h5"
    with h5py.File(path, "w") as file:
        file["a"], file["g/b"] = np.zeros(5), np.ones((2, 7))
    with pytest.raises(RecordingError, match="one of a, g/b"):
        read_recording(path, sampling_rate=1, unit="V")
    assert read_recording(path, sampling_rate=1, unit="V", dataset="g/b").n_sweeps == 2


def test_a_table_without_times_names_channels_and_units_but_not_its_rate(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("Vm (mV),Im (pA)\n-70,1\n-69,2\n-68,3\n")
    with pytest.raises(RecordingError, match="never guessed"):
        read_recording(path)
    recording = read_recording(path, sampling_rate=10)
    assert [(c.name, c.unit) for c in recording.channels] == [("Vm", "mV"), ("Im", "pA")]
    assert recording.values(0, 1).tolist() == [1, 2, 3]


def test_bare_columns_ask_for_a_unit(tmp_path: Path) -> None:
    path = tmp_path / "bare.tsv"
    path.write_text("1\t2\n3\t4\n")
    with pytest.raises(RecordingError, match="unit"):
        read_recording(path, sampling_rate=10)
    assert read_recording(path, sampling_rate=10, unit="pA").values(0, 1).tolist() == [2, 4]
    path.write_text("a\tb\n3\tfour\n")
    with pytest.raises(RecordingError, match="no table of numbers"):
        read_recording(path, sampling_rate=10, unit="pA")


# --------------------------------------------------------------------------- suite2p, CaImAn


def test_a_suite2p_folder_is_cells_with_neuropil_and_masks(tmp_path: Path) -> None:
    traces = np.random.default_rng(0).random((2, 30)).astype(np.float32)
    np.save(tmp_path / "F.npy", traces)
    np.save(tmp_path / "Fneu.npy", traces / 2)
    np.save(tmp_path / "iscell.npy", np.array([[1, 0.9], [0, 0.1]]))
    with pytest.raises(RecordingError, match="save_mat"):
        read_recording(tmp_path)
    assert read_recording(tmp_path, sampling_rate=15).metadata["accepted"] == [1]
    pixels = [
        {"ypix": [1, 1], "xpix": [2, 3], "lam": [1.0, 1.0]},
        {"ypix": [1, 5], "xpix": [3, 5], "lam": [3.0, 1.0]},
    ]
    savemat(
        tmp_path / "Fall.mat", {"F": traces, "ops": {"fs": 30.0, "Ly": 8, "Lx": 9}, "stat": np.array(pixels)}
    )
    recording = read_recording(tmp_path / "F.npy")
    assert recording.channels[0].sampling_rate == 30 and recording.is_cells
    np.testing.assert_array_equal(recording.values(0, 1), traces[1])
    assert recording.rois is not None and recording.rois.shape == (8, 9)
    assert (recording.rois[1, 2], recording.rois[1, 3], recording.rois[5, 5]) == (1, 2, 2)
    assert recording.metadata["parts"] == ["fluorescence (F)", "neuropil (Fneu)"]
    np.testing.assert_array_equal(read_part(recording, 1).values(0, 1), traces[1] / 2)
    with pytest.raises(RecordingError, match="part 2"):
        read_part(recording, 2)


def test_caiman_results_are_cells_with_masks(tmp_path: Path) -> None:
    path = tmp_path / "caiman.hdf5"
    traces = np.random.default_rng(0).random((2, 30)).astype(np.float32)
    with h5py.File(path, "w") as file:
        estimates = file.create_group("estimates")
        estimates["F_dff"], estimates["dims"], estimates["idx_components"] = traces, [4, 5], [1]
        estimates["S"] = traces * 3
        footprints = estimates.create_group("A")
        footprints["data"], footprints["indices"], footprints["indptr"] = (
            [1.0, 1.0, 2.0],
            [0, 4, 9],
            [0, 2, 3],
        )
        file["params/data/fr"] = 20.0
    recording = read_recording(path)
    assert (recording.format, recording.channels[1].unit, recording.channels[1].sampling_rate) == (
        "CaImAn",
        "dF/F",
        20,
    )
    np.testing.assert_array_equal(recording.values(0, 1, 3, 9), traces[1, 3:9])
    assert recording.metadata["accepted"] == [2]
    spikes = read_part(recording, 1)
    assert spikes.metadata["parts"][1] == "deconvolved (S)" and spikes.channels[0].unit == "a.u."
    np.testing.assert_array_equal(spikes.values(0, 0), traces[0] * 3)
    assert recording.rois is not None
    assert (
        recording.rois[0, 0] == 1 and recording.rois[0, 1] == 1 and recording.rois[1, 2] == 2
    )  # column by column
    other = Path(shutil.copy(path, tmp_path / "not_evaluated.hdf5"))
    with h5py.File(other, "a") as file:  # saved before its components were evaluated: nobody rejected any
        del file["estimates/idx_components"]
        file["estimates/idx_components"] = "NoneType"
    assert accepted_cells(read_recording(other)).all()


def test_a_missing_library_is_named_with_the_way_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(optional.importlib, "import_module", absent)
    with pytest.raises(RecordingError, match=r"needs pynwb.*pip install 'napari-biofm\[formats\]'"):
        optional.need("pynwb", tmp_path / "a.nwb")


def test_a_rate_for_a_format_that_carries_its_own_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.abf"
    path.write_bytes(b"ABF2" + bytes(600))
    with pytest.raises(RecordingError, match="leave it out"):
        read_recording(path, sampling_rate=5)


def test_every_recording_answers_the_same_questions() -> None:
    recording = Recording.from_arrays(np.zeros((2, 5)), 5, "pA")
    assert set(recording.summary()) >= {
        "name",
        "format",
        "n_sweeps",
        "channels",
        "protocol",
        "tags",
        "duration_s",
    }
