"""Damaged HEKA and WFDB files end in a RecordingError: no crash, no hang, no allocation beyond their size."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from tests.signals.fuzzing import ABSURD, open_everything
from tests.signals.heka_bundles import bundle, output, segment

NUMBERS = ("-1", "0", "1", "3", "999999999", "99999999999999999999", "1e308", "nan", "x", "")


# --------------------------------------------------------------------------- HEKA


def _bundle() -> bytes:
    """Return a small bundle with every kind of segment."""
    wave = output(wave={96: 0.02, 104: 0.01, 120: 2.0, 128: 80.0, 184: 0.02, 232: 0.01, 240: 0.02})
    parts = [segment(source=1), segment(1, 0.03), segment(3), segment(4), segment(5)]
    return bundle([np.arange(5000)] * 3, 10_000.0, [(wave, parts)])


def _try(content: bytes | bytearray, folder: Path) -> str:
    path = folder / "damaged.dat"
    path.write_bytes(content)
    return open_everything(path)


def test_a_bundle_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    content = _bundle()
    assert _try(content, tmp_path) == "read"
    sections = [struct.unpack_from("<ii", content, 64 + 16 * i) for i in range(3)]
    cuts = {4, 60, 255, 256} | {start + d for start, _ in sections for d in (-1, 0, 3, 8, 27)}
    cuts |= set(range(30_256, len(content), 211)) | {len(content) - 1}
    for cut in sorted(cut for cut in cuts if 4 <= cut < len(content)):
        assert _try(content[:cut], tmp_path) == "refused", f"cut at {cut}"


def test_a_bundle_with_flipped_bytes_never_crashes(tmp_path: Path) -> None:
    content, rng = _bundle(), np.random.default_rng(3)
    begin = struct.unpack_from("<i", content, 64 + 16)[0]
    outcomes = []
    for _ in range(250):
        damaged = bytearray(content)
        first, last = (4, 256) if rng.random() < 0.3 else (begin, len(content))
        for position in rng.integers(first, last, rng.integers(1, 12)):
            damaged[position] = rng.integers(256)
        outcomes.append(_try(damaged, tmp_path))
    assert {"read", "refused"} == set(outcomes)


def test_a_bundle_with_absurd_counts_never_crashes(tmp_path: Path) -> None:
    content = _bundle()
    fields = [64 + 16 * i + d for i in range(3) for d in (0, 4)]
    for i in (
        1,
        2,
    ):  # trees: levels, sizes of records, and every count of children or samples that can be met
        start, length = struct.unpack_from("<ii", content, 64 + 16 * i)
        fields += range(start + 4, start + 28, 4)
        fields += range(start + 28 + length % 4, start + length - 4, 52)
    for field in fields:
        for value in ABSURD:
            damaged = bytearray(content)
            struct.pack_into("<i", damaged, field, value)
            _try(damaged, tmp_path)


def test_absurd_numbers_of_a_trace_never_crash(tmp_path: Path) -> None:
    content = _bundle()
    trace = content.index(b"Imon") - 4
    for value in ABSURD:
        for field in (40, 44):
            damaged = bytearray(content)
            struct.pack_into("<i", damaged, trace + field, value)
            _try(damaged, tmp_path)
    for number in (0.0, -1.0, 1e300, 1e-300, float("nan"), float("inf")):
        for field in (72, 104):
            damaged = bytearray(content)
            struct.pack_into("<d", damaged, trace + field, number)
            _try(damaged, tmp_path)


# --------------------------------------------------------------------------- WFDB


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """Return a record of three segments, one of them empty, and its headers."""
    pytest.importorskip("wfdb")
    for name, n in (("r_1", 600), ("r_2", 400)):
        samples = np.arange(3 * n, dtype="<i2")
        (tmp_path / f"{name}.dat").write_bytes(samples.tobytes())
        lines = [
            f"{name} 2 250 {n}",
            f"{name}.dat 16x2 100(0)/mV 12 0 0 0 0 II",
            f"{name}.dat 16 10/mmHg 12 0 0 0 0 ABP",
        ]
        (tmp_path / f"{name}.hea").write_text("\n".join(lines) + "\n")
    (tmp_path / "r_0.hea").write_text("r_0 2 250 0\n~ 0x2 1/mV 0 0 0 0 0 II\n~ 0 1/mmHg 0 0 0 0 0 ABP\n")
    (tmp_path / "r.hea").write_text("r/4 2 250 1100\nr_0 0\nr_1 600\n~ 100\nr_2 400\n")
    return tmp_path / "r.hea"


def _size(record: Path) -> int:
    return sum(one.stat().st_size for one in record.parent.iterdir())


def _read(record: Path) -> str:
    return open_everything(record, _size(record))


def test_a_header_cut_off_anywhere_never_crashes(record: Path) -> None:
    assert _read(record) == "read"
    for name in ("r", "r_0", "r_1"):
        whole = record.with_name(f"{name}.hea").read_bytes()
        for cut in range(len(whole)):
            record.with_name(f"{name}.hea").write_bytes(whole[:cut])
            _read(record)
        record.with_name(f"{name}.hea").write_bytes(whole)
    assert _read(record) == "read"


def test_samples_that_were_cut_off_are_refused(record: Path) -> None:
    samples = record.with_name("r_2.dat")
    whole = samples.read_bytes()
    for cut in (0, 1, 7, 1000, len(whole) - 1):
        samples.write_bytes(whole[:cut])
        assert _read(record) == "refused"


@pytest.mark.parametrize("name", ["r", "r_0", "r_1"])
def test_a_header_with_absurd_numbers_never_crashes(record: Path, name: str) -> None:
    header = record.with_name(f"{name}.hea")
    lines = [line.split(" ") for line in header.read_text().splitlines()]
    for row, fields in enumerate(lines):
        for column in range(len(fields)):
            for number in NUMBERS:
                damaged = [list(line) for line in lines]
                damaged[row][column] = number
                header.write_text("\n".join(" ".join(line) for line in damaged) + "\n")
                _read(record)


@pytest.mark.parametrize(
    "fmt", ["8", "16x999999999", "16:999999999", "16+999999999", "212", "311", "516", "99"]
)
def test_absurd_formats_never_crash(record: Path, fmt: str) -> None:
    if int(fmt[:2]) == 51:  # FLAC: what the decoder's import takes is not the file's
        pytest.importorskip("soundfile")
    header = record.with_name("r_1.hea")
    header.write_text(header.read_text().replace("16x2", fmt).replace(".dat 16 ", f".dat {fmt} "))
    _read(header)


def test_headers_with_flipped_bytes_never_crash(record: Path) -> None:
    rng = np.random.default_rng(5)
    for name in ("r", "r_0", "r_1"):
        header = record.with_name(f"{name}.hea")
        whole = header.read_bytes()
        for _ in range(80):
            damaged = bytearray(whole)
            for position in rng.integers(0, len(whole), rng.integers(1, 6)):
                damaged[position] = rng.integers(256)
            header.write_bytes(damaged)
            _read(record)
        header.write_bytes(whole)
