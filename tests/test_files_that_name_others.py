"""Heaps of HDF5 files that would never end, and files that name others outside their folder."""

from __future__ import annotations

import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from napari_biofm.hdf5_files import check_hdf5, check_texts
from napari_biofm.images.io.tiff import opened_tiff
from napari_biofm.signals import read_recording
from napari_biofm.types import ImageError, RecordingError

HEAD = b"GCOL\x01\x00\x00\x00" + struct.pack("<Q", 96)
SOUND = HEAD + struct.pack("<HHIQ8s", 1, 1, 0, 5, b"hello") + struct.pack("<HHIQ", 0, 0, 0, 56) + bytes(40)


def test_a_sound_heap_an_empty_file_and_one_that_is_not_there_pass(tmp_path: Path) -> None:
    for content in (b"", b"GCOL", SOUND, b"abc" + SOUND, HEAD):
        (tmp_path / "a.h5").write_bytes(content)
        check_hdf5(tmp_path / "a.h5")
    check_hdf5(tmp_path / "absent.h5")


def test_free_space_shorter_than_its_header_is_refused_wherever_the_heap_lies(tmp_path: Path) -> None:
    for length in (0, 8, 15):
        endless = SOUND.replace(struct.pack("<HHIQ", 0, 0, 0, 56), struct.pack("<HHIQ", 0, 0, 0, length))
        (tmp_path / "a.h5").write_bytes(SOUND + bytes(7) + endless)
        with pytest.raises(OSError, match=f"byte {len(SOUND) + 7} "):
            check_hdf5(tmp_path / "a.h5")


def test_texts_are_looked_at_in_a_process_that_may_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["name"], file["words"] = "a word", ["one", "two"]
    check_texts(path)
    check_texts(tmp_path / "absent.h5")
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(OSError, match="OSError"):
        check_texts(path)
    monkeypatch.setattr("napari_biofm.hdf5_files._LOOK", "import os; os.kill(os.getpid(), 11)")
    with pytest.raises(OSError, match="signal 11"):
        check_texts(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder beside which lies a file that nobody gave away."""
    (tmp_path / "given").mkdir()
    (tmp_path / "secret.dat").write_bytes(bytes(range(256)) * 8)
    for place in (tmp_path / "secret.h5", tmp_path / "given" / "beside.h5"):
        with h5py.File(place, "w") as file:
            file["x"] = np.arange(100.0)
    return tmp_path / "given"


def outside(kind: str, folder: Path, file: h5py.File) -> None:
    if kind in ("absolute link", "relative link", "link of a link"):
        secret = "../secret.h5" if kind == "relative link" else str(folder.parent / "secret.h5")
        if kind == "link of a link":
            with h5py.File(folder / "other.h5", "w") as other:
                other["x"] = h5py.ExternalLink(secret, "x")
            secret = "other.h5"
        file["group/x"] = h5py.ExternalLink(secret, "x")
    elif kind == "external storage":
        file.create_dataset("x", (1000,), "u1", external=[(str(folder.parent / "secret.dat"), 0, 1000)])
    else:
        layout = h5py.VirtualLayout((100,), "f8")
        layout[:] = h5py.VirtualSource("../secret.h5", "x", shape=(100,))
        file.create_virtual_dataset("x", layout)


@pytest.mark.parametrize(
    "kind", ["absolute link", "relative link", "link of a link", "external storage", "virtual dataset"]
)
def test_hdf5_that_leads_out_of_its_folder_is_refused(folder: Path, kind: str) -> None:
    with h5py.File(folder / "a.h5", "w") as file:
        outside(kind, folder, file)
    with pytest.raises(OSError, match=r"secret.*outside the folder of"):
        check_hdf5(folder / "a.h5")
    with pytest.raises(RecordingError, match=r"a\.h5.*outside the folder"):
        read_recording(folder / "a.h5", sampling_rate=100.0, unit="mV")


def test_hdf5_that_names_files_beside_it_itself_or_none_is_read(folder: Path) -> None:
    with h5py.File(folder / "a.h5", "w") as file:
        file["own"] = np.arange(5.0)
        file["near"] = h5py.ExternalLink("beside.h5", "x")
        file["gone"] = h5py.ExternalLink("/nowhere/at/all.h5", "x")
        layout = h5py.VirtualLayout((5,), "f8")
        layout[:] = h5py.VirtualSource(file["own"])
        file.create_virtual_dataset("again", layout)
    check_hdf5(folder / "a.h5")


def test_an_ome_tiff_opens_no_plane_outside_its_folder(folder: Path) -> None:
    tifffile.imwrite(folder.parent / "other.tif", np.ones((16, 16), np.uint16))
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels DimensionOrder="XYCZT" '
        'ID="Pixels:0" SizeC="2" SizeT="1" SizeX="16" SizeY="16" SizeZ="1" Type="uint16"><TiffData FirstC="1" IFD="0" '
        'PlaneCount="1"><UUID FileName="{}">urn:uuid:bbbbbbbb-0000-0000-0000-000000000000</UUID></TiffData></Pixels></Image></OME>'
    )
    for name, there in (("../other.tif", True), ("&#46;./other.tif", True), ("/nowhere/other.tif", False)):
        path = folder / "a.ome.tif"
        tifffile.imwrite(path, np.zeros((16, 16), np.uint16), description=xml.format(name), metadata=None)
        if there:
            with pytest.raises(ImageError, match=r"other\.tif, outside the folder"), opened_tiff(path):
                pass
        else:
            with opened_tiff(path):
                pass


def test_a_header_of_brainvision_reads_no_samples_outside_its_folder(folder: Path) -> None:
    lines = [
        "Brain Vision Data Exchange Header File Version 1.0", "[Common Infos]", "DataFile=../secret.dat", "MarkerFile=b.vmrk",
        "DataFormat=BINARY", "DataOrientation=MULTIPLEXED", "NumberOfChannels=1", "SamplingInterval=1000", "[Binary Infos]",
        "BinaryFormat=INT_16", "[Channel Infos]", "Ch1=Fp1,,0.5,uV",
    ]  # fmt: skip
    (folder / "b.vhdr").write_text("\n".join(lines))
    with pytest.raises(RecordingError, match=r"secret\.dat, outside the folder"):
        read_recording(folder / "b.vhdr")
