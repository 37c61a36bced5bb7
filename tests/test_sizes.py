"""What a file claims is compared with what it stores before anything is read."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

import napari_biofm as biofm
from napari_biofm.cli import main
from napari_biofm.files import load_numpy, numpy_archive
from napari_biofm.types import BiofmError, SessionError


def header(shape: tuple[int, ...], descr: str = "<f8") -> bytes:
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def bomb(path: Path, size: int = 3_000_000_000) -> Path:
    """Write an .npz whose `signal` says to hold zeros of that many bytes, and stores next to none."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("signal.npy", header((size // 8,)) + bytes(1 << 20))
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", size + 128)  # the unpacked size in the list of parts
    path.write_bytes(content)
    return path


def test_an_archive_that_would_fill_the_memory_is_refused_unread(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match=r"claims 3\.0 GB and stores 0\.0 MB"),
        numpy_archive(bomb(tmp_path / "a.npz")),
    ):
        pass


@pytest.mark.parametrize("read", [biofm.read_recording, biofm.read_masks])
def test_readers_say_so_in_one_line(read: object, tmp_path: Path) -> None:
    with pytest.raises(BiofmError, match=r"a\.npz.*claims 3\.0 GB"):
        read(bomb(tmp_path / "a.npz"))  # type: ignore[operator]


def test_an_array_that_claims_more_than_follows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for shape in ((10**15,), (2**40, 2**40), (9,)):
        path.write_bytes(header(shape) + bytes(64))
        with pytest.raises(ValueError, match=r"a\.npy claims \d+ bytes of values and holds"):
            load_numpy(path)
        with pytest.raises(ValueError, match=r"a\.npy claims"):
            load_numpy(path, mapped=True)
    path.write_bytes(header((8,)) + bytes(64))
    assert load_numpy(path).shape == (8,)
    for shape in ((10**15,), (9,)):
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("signal.npy", header(shape) + bytes(64))
        with pytest.raises(ValueError, match="signal claims"), numpy_archive(tmp_path / "a.npz"):
            pass


def test_clips_and_waveforms_go_the_same_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = bomb(tmp_path / "clips.npz")
    assert main(["classify", str(clips), "--task", "af", "--out", str(tmp_path / "pred.csv")]) == 1
    assert "claims 3.0 GB" in capsys.readouterr().err


def test_what_is_packed_well_is_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", signal=np.zeros(20_000_000, np.int8))  # 1 : 1000
    with numpy_archive(tmp_path / "a.npz") as archive:
        assert archive["signal"].shape == (20_000_000,)


def test_text_in_a_table_of_a_session_claims_no_more_words_than_it_has_room_for(tmp_path: Path) -> None:
    import anndata
    import numcodecs
    import pandas as pd

    from napari_biofm.session.saving import read_table, write_table

    table = anndata.AnnData(
        np.zeros((3, 2), np.float32), obs=pd.DataFrame({"name": ["a", "b", "c"]}, index=list("xyz"))
    )
    write_table(tmp_path / "cells.zarr", table)
    assert list(read_table(tmp_path / "cells.zarr").obs_names) == ["x", "y", "z"]
    for about in (tmp_path / "cells.zarr").rglob(".zarray"):
        array = json.loads(about.read_text())
        if not any(one["id"] == "vlen-utf8" for one in array["filters"] or ()):
            continue
        piece = next(one for one in about.parent.iterdir() if not one.name.startswith("."))
        codec = numcodecs.get_codec(array["compressor"]) if array["compressor"] else None
        plain = bytes(codec.decode(piece.read_bytes())) if codec else piece.read_bytes()
        plain = struct.pack("<I", 400_000_000) + plain[4:]
        piece.write_bytes(bytes(codec.encode(plain)) if codec else plain)
    with pytest.raises(SessionError, match=r"claims 400000000 words and has room for"):
        read_table(tmp_path / "cells.zarr")
