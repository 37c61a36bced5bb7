"""Damaged images end in one clear line, quickly: parts that are not there, pages that lead back, broken headers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_biofm.api.images import describe_image
from napari_biofm.api.signals import read_recording
from napari_biofm.files import load_numpy, numpy_archive
from napari_biofm.types import ImageError, RecordingError


def test_a_claimed_size_that_no_parts_hold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.zeros((24, 32), np.uint8), rowsperstrip=24)
    with tifffile.TiffFile(path) as file:
        place = file.pages.first.tags["ImageLength"].valueoffset
    raw = bytearray(path.read_bytes())
    raw[place : place + 4] = (8_000_000).to_bytes(4, "little")
    path.write_bytes(bytes(raw))
    with pytest.raises(ImageError, match=r"x\.tif.*8000000 x 32 pixels and lists 1 of"):
        describe_image(path)


def test_plain_pixels_that_are_fewer_than_claimed_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.zeros((24, 32), np.uint8), rowsperstrip=24)
    with tifffile.TiffFile(path) as file:
        place = file.pages.first.tags["StripByteCounts"].valueoffset
    raw = bytearray(path.read_bytes())
    raw[place : place + 2] = (100).to_bytes(2, "little")
    path.write_bytes(bytes(raw))
    with pytest.raises(ImageError, match=r"x\.tif.*claims 768 bytes of pixels and holds 100"):
        describe_image(path)


def test_pages_that_lead_back_to_a_former_one_end(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.zeros((2, 24, 32), np.uint8), metadata=None)
    with tifffile.TiffFile(path) as file:
        first, second = (page.offset for page in file.pages)
        entries = len(file.pages[1].tags)
    raw = bytearray(path.read_bytes())
    end = second + 2 + 12 * entries
    raw[end : end + 4] = first.to_bytes(4, "little")
    path.write_bytes(bytes(raw))
    assert {24, 32} <= set(describe_image(path).pixels.shape)


@pytest.mark.parametrize("header", [b"{'descr': '<f8', ", b"((((", b"\x00\xff"])
def test_a_broken_header_of_an_array_is_a_value_error(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(80))
    with pytest.raises(ValueError):
        load_numpy(path)
    with pytest.raises(RecordingError, match=r"x\.npy"):
        read_recording(path, sampling_rate=10.0, unit="pA")
    with pytest.raises(ImageError, match=r"x\.npy"):
        describe_image(path)


def test_a_damaged_archive_is_a_value_error_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, signal=np.arange(1000.0), sampling_rate=10.0, unit="pA")
    raw = bytearray(path.read_bytes())
    raw[60:90] = bytes(30)
    path.write_bytes(bytes(raw))
    with pytest.raises(ValueError):
        _all_of(path)
    with pytest.raises(RecordingError, match=r"x\.npz"):
        read_recording(path)


def _all_of(path: Path) -> list[np.ndarray]:
    with numpy_archive(path) as archive:
        return [archive[name] for name in archive.files]
