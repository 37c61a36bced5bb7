"""Results of suite2p and CaImAn that are not all as they should be: opened, told, or refused in one line."""

from __future__ import annotations

import struct
import tarfile
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from napari_biofm.signals import read_part, read_recording
from napari_biofm.signals.readers.footprints import labels_of
from napari_biofm.signals.recorded import NOTES
from napari_biofm.types import RecordingError

N, FRAMES = 3, 50


def disc(y: int, x: int, radius: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    yy, xx = np.mgrid[y - radius : y + radius + 1, x - radius : x + radius + 1]
    inside = (yy - y) ** 2 + (xx - x) ** 2 <= radius**2
    return yy[inside], xx[inside], np.ones(int(inside.sum()), np.float32)


def plane(folder: Path, fs: float = 20.0, n: int = N, prints: Any = None) -> Path:
    """Write a plane as suite2p does with save_mat."""
    folder.mkdir(parents=True)
    traces = np.arange(n * FRAMES, dtype=np.float32).reshape(n, FRAMES)
    for k, key in enumerate(("F", "Fneu", "spks")):
        np.save(folder / f"{key}.npy", traces + 1000 * k)
    np.save(folder / "iscell.npy", np.column_stack([np.arange(n) != 1, np.full(n, 0.5)]))
    prints = prints or [disc(10 + 12 * i, 20, 4) for i in range(n)]
    stat = np.array([{"ypix": y, "xpix": x, "lam": w} for y, x, w in prints], dtype=object)
    savemat(folder / "Fall.mat", {"F": traces, "stat": stat, "ops": {"fs": fs, "Ly": 48, "Lx": 40}})
    return folder


def test_the_folder_of_all_planes_opens_with_every_plane_as_a_part(tmp_path: Path) -> None:
    for k in (0, 1, 10):
        plane(tmp_path / "suite2p" / f"plane{k}", fs=5.0 + k)
    found = read_recording(tmp_path / "suite2p")
    names = found.metadata["parts"]
    assert names[0] == "plane0: fluorescence (F)" and names[3].startswith("plane1: ") and len(names) == 9
    assert found.name == "plane0" and found.channels[0].sampling_rate == 5.0 and found.metadata["part"] == 0
    assert found.metadata["accepted"] == [1, 3]
    other = read_part(found, 7)
    assert other.name == "plane10" and other.channels[0].sampling_rate == 15.0
    assert other.values(0, 0)[0] == 1000, "its neuropil"
    alone = read_recording(tmp_path / "suite2p" / "plane1" / "F.npy")
    assert alone.metadata["part"] == 3 and alone.channels[0].sampling_rate == 6.0
    assert read_recording(other.path, part=7).values(0, 1)[0] == other.values(0, 1)[0], (
        "a session opens it again"
    )


def test_the_users_rate_goes_before_suite2ps_default(tmp_path: Path) -> None:
    folder = plane(tmp_path / "plane0", fs=10.0)
    assert any("10 Hz is what suite2p writes" in one for one in read_recording(folder).metadata[NOTES])
    typed = read_recording(folder, sampling_rate=31.0)
    assert typed.channels[0].sampling_rate == 31.0 and typed.metadata[NOTES] == []


def test_a_damaged_fall_mat_costs_masks_and_rate_but_no_traces(tmp_path: Path) -> None:
    folder = plane(tmp_path / "plane0")
    whole = (folder / "Fall.mat").read_bytes()
    (folder / "Fall.mat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RecordingError, match="give sampling_rate"):
        read_recording(folder)
    found = read_recording(folder, sampling_rate=20.0)
    assert found.n_channels == N and found.rois is None
    assert any("Fall.mat of plane0 cannot be read" in one for one in found.metadata[NOTES])
    (folder / "F.npy").unlink()
    with pytest.raises(RecordingError, match="no readable MATLAB file"):
        read_recording(folder / "Fall.mat", sampling_rate=20.0)


def test_fall_mat_of_version_7_3_is_read(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    folder = plane(tmp_path / "plane0")
    expected = read_recording(folder)
    with h5py.File(folder / "Fall.mat", "w", userblock_size=512) as file:
        file["F"] = np.load(folder / "F.npy").T
        for key, value in (("fs", 20.0), ("Ly", 48.0), ("Lx", 40.0)):
            file[f"ops/{key}"] = np.array([[value]])
        for i in range(N):
            for key, values in zip(("ypix", "xpix", "lam"), disc(10 + 12 * i, 20, 4), strict=True):
                file[f"#refs#/{i}/{key}"] = np.asarray(values, float)[None]
        file.create_dataset("stat", (N, 1), h5py.ref_dtype)
        for i in range(N):
            file["stat"][i, 0] = file[f"#refs#/{i}"].ref
    with (folder / "Fall.mat").open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(128))
    found = read_recording(folder)
    assert found.channels[0].sampling_rate == 20.0
    np.testing.assert_array_equal(found.rois, expected.rois)


def test_no_cell_at_all_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "plane0"
    folder.mkdir()
    for key in ("F", "Fneu", "spks"):
        np.save(folder / f"{key}.npy", np.zeros(0, np.float32))
    with pytest.raises(RecordingError, match="suite2p found no cell in plane0"):
        read_recording(folder)


def test_cells_beyond_the_field_are_cut_and_covered_ones_keep_their_core() -> None:
    big, small, out = disc(20, 20, 8), disc(20, 20, 3), disc(2, 2, 4)
    big = (*big[:2], big[2] * 5)
    labels, notes = labels_of([big, small, out, disc(200, 200, 2)], [4, 7, 9, 11], (40, 40))
    assert set(np.unique(labels)) == {0, 4, 7, 9}
    assert labels[20, 20] == 7 and labels[20, 27] == 4 and labels[2, 2] == 9
    assert any("Cells 9, 11 beyond the field" in one for one in notes)
    assert any("Cell 7 covered" in one for one in notes)
    assert any("Cell 11 without a pixel" in one for one in notes)
    twins, _ = labels_of([small, small], [1, 2], (40, 40))
    assert set(np.unique(twins)) == {0, 1, 2}, "of two on the same pixels both are left"


@pytest.mark.shared_data
def test_cases_of_others_are_opened_told_or_refused(shared_cases: Path, tmp_path: Path) -> None:
    folder = shared_cases / "calcium"
    for name in ("plain", "out", "cover", "zero"):
        with tarfile.open(folder / f"suite2p_{name}.tgz") as archive:
            archive.extractall(tmp_path / name, filter="data")
    for name in ("plain", "out", "cover"):
        found = read_recording(tmp_path / name / "suite2p")
        assert set(np.unique(found.rois)) >= set(range(1, found.n_channels + 1)), name
    assert any(
        "beyond the field" in one for one in read_recording(tmp_path / "out" / "suite2p").metadata[NOTES]
    )
    with pytest.raises(RecordingError, match="found no cell"):
        read_recording(tmp_path / "zero" / "suite2p")
    for name, words in (("dims_NoneType", "did not keep the size"), ("volumetric", "a volume")):
        found = read_recording(folder / f"caiman_{name}.hdf5")
        assert found.rois is None and found.n_channels == 6 and words in found.metadata[NOTES][0]
    assert (
        read_recording(folder / "caiman_volumetric.hdf5", sampling_rate=12.0).channels[0].sampling_rate == 12
    )


def packed(name: bytes, claimed: int, extra: bytes = b"") -> bytes:
    """Return a packed variable of doubles that says to hold `claimed` bytes and holds `extra`."""
    flags = struct.pack("<IIII", 6, 8, 6, 0)
    dims = struct.pack("<IIii", 5, 8, 1, claimed // 8)
    title = struct.pack("<II", 1, len(name)) + name.ljust(-(-len(name) // 8) * 8, b"\0")
    inner = flags + dims + title + struct.pack("<II", 9, claimed) + extra
    plain = struct.pack("<II", 14, len(inner) - len(extra) + claimed) + inner
    content = zlib.compress(plain)
    return struct.pack("<II", 15, len(content)) + content


def test_what_fall_mat_claims_is_compared_with_what_it_stores(tmp_path: Path) -> None:
    folder = plane(tmp_path / "plane0")
    whole = (folder / "Fall.mat").read_bytes()
    (folder / "Fall.mat").write_bytes(whole + packed(b"secret", 3_000_000_000))
    found = read_recording(folder)  # what is not asked for is passed over
    assert found.rois is not None and found.metadata[NOTES] == []
    (folder / "Fall.mat").write_bytes(whole + packed(b"Fneu", 3_000_000_000))
    assert any("claims 3.0 GB" in one for one in read_recording(folder, sampling_rate=5.0).metadata[NOTES])
    for key in ("F", "Fneu", "spks"):
        (folder / f"{key}.npy").unlink()
    with pytest.raises(RecordingError, match=r"Fall\.mat .*claims 3\.0 GB and stores .*fill the memory"):
        read_recording(folder / "Fall.mat", sampling_rate=5.0)
    (folder / "Fall.mat").write_bytes(whole + packed(b"Fneu", 800, bytes(80)))
    with pytest.raises(RecordingError, match="an element of"):
        read_recording(folder / "Fall.mat", sampling_rate=5.0)


def test_a_single_cell_of_fall_mat_alone_opens(tmp_path: Path) -> None:
    folder = plane(tmp_path / "plane0", n=1)
    for key in ("F", "Fneu", "spks"):
        (folder / f"{key}.npy").unlink()
    found = read_recording(folder / "Fall.mat")
    assert found.values(0, 0).tolist() == list(range(FRAMES)) and found.channels[0].sampling_rate == 20.0
    assert found.rois is not None and found.rois.max() == 1


def test_an_hdf5_of_version_7_3_that_claims_more_than_it_stores_is_refused(tmp_path: Path) -> None:
    folder = plane(tmp_path / "plane0")
    for key in ("F", "Fneu", "spks"):
        (folder / f"{key}.npy").unlink()
    with h5py.File(folder / "Fall.mat", "w", userblock_size=512) as file:
        file.create_dataset("F", shape=(400_000, 2000), dtype="f4", chunks=(1000, 100))
    with (folder / "Fall.mat").open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file")
    with pytest.raises(RecordingError, match=r"claims 3\.2 GB and stores 0\.0 MB"):
        read_recording(folder / "Fall.mat", sampling_rate=5.0)
