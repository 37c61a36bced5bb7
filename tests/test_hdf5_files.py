"""Heaps of HDF5 files that would never end."""

from __future__ import annotations

import struct
from pathlib import Path

import h5py
import pytest

from napari_biofm.hdf5_files import check_hdf5, check_texts

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
