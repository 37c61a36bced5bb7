"""A damaged ABF file ends in a RecordingError: no crash, no hang, no allocation beyond its size."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyabf.abfWriter
import pytest
from tests.signals.fuzzing import ABSURD, open_everything

from napari_biofm.signals.readers.abf_check import _SECTIONS

ABF = Path(__file__).parents[2].parent / "shared" / "data" / "ephys" / "abf"
ABF2 = ABF / "2018_12_09_pCLAMP11_0001.abf"
REAL_ABF1 = ABF / "pclamp11_4ch_abf1.abf"
OURS = Path(__file__).parents[1] / "fixtures" / "recordings"
shared_data = pytest.mark.skipif(not ABF2.exists(), reason="../shared/data/ephys/abf is not here")


def _real(path: Path) -> Any:
    return pytest.param(path, marks=[pytest.mark.shared_data, shared_data], id=path.name)


abf2_files = pytest.mark.parametrize(
    "abf2",
    [pytest.param(OURS / f"{name}.abf", id=name) for name in ("steps", "gapfree", "events")] + [_real(ABF2)],
)


@pytest.fixture(scope="module")
def abf1(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return an ABF1 file of three short sweeps."""
    path = tmp_path_factory.mktemp("abf") / "small.abf"
    sweeps = np.random.default_rng(0).normal(0, 20, (3, 500))
    pyabf.abfWriter.writeABF1(sweeps, str(path), 10_000, units="pA")
    return path.read_bytes()


def _try(content: bytes, folder: Path) -> str:
    path = folder / "damaged.abf"
    path.write_bytes(content)
    return open_everything(path)


def _flips(content: bytes, folder: Path, header: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(n):
        damaged = bytearray(content)
        for position in rng.integers(4, header, rng.integers(1, 12)):
            damaged[position] = rng.integers(256)
        _try(bytes(damaged), folder)


def test_abf1_cut_off_anywhere_is_refused(abf1: bytes, tmp_path: Path) -> None:
    assert _try(abf1, tmp_path) == "read"
    last_sample = 2048 + 3 * 500 * 2
    for cut in (0, 3, 4, 40, 120, 511, 2047, 2048, 2049, 4000, last_sample - 1):
        assert _try(abf1[:cut], tmp_path) == "refused", f"cut at {cut}"


def test_abf1_with_flipped_header_bytes_never_crashes(abf1: bytes, tmp_path: Path) -> None:
    _flips(abf1, tmp_path, 2048, 150, seed=1)


@pytest.mark.parametrize("offset", [10, 16, 40, 44, 48, 92, 96, 138, 252])
def test_abf1_with_absurd_counts_never_crashes(abf1: bytes, tmp_path: Path, offset: int) -> None:
    for value in ABSURD:
        damaged = bytearray(abf1)
        struct.pack_into("<i", damaged, offset, value)
        _try(bytes(damaged), tmp_path)


@abf2_files
def test_abf2_cut_off_at_every_section_is_refused(abf2: Path, tmp_path: Path) -> None:
    content = abf2.read_bytes()
    assert _try(content, tmp_path) == "read"
    cuts = {0, 3, 4, 76, 300, 511, 512}
    for offset, _, _ in _SECTIONS.values():
        block, width, count = struct.unpack_from("<IIi", content, offset)
        if count > 0:
            cuts |= {block * 512 - 1, block * 512 + 1, block * 512 + width * count - 1}
    for cut in sorted(cut for cut in cuts if cut < len(content)):
        assert _try(content[: max(cut, 0)], tmp_path) == "refused", f"cut at {cut}"


@abf2_files
def test_abf2_with_absurd_counts_never_crashes(abf2: Path, tmp_path: Path) -> None:
    content = abf2.read_bytes()
    for offset, _, _ in _SECTIONS.values():
        for field in (0, 4, 8):
            for value in ABSURD:
                damaged = bytearray(content)
                struct.pack_into("<i", damaged, offset + field, value)
                _try(bytes(damaged), tmp_path)


@pytest.mark.parametrize(
    "path",
    [_real(ABF2), _real(REAL_ABF1), *(pytest.param(OURS / f"{n}.abf", id=n) for n in ("steps", "gapfree"))],
)
def test_files_with_flipped_header_bytes_never_crash(path: Path, tmp_path: Path) -> None:
    _flips(path.read_bytes(), tmp_path, 6144, 150, seed=2)
