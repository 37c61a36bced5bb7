"""Files are whole or not there."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from napari_biofm.files import atomic_write, write_text


def test_a_file_takes_its_place_when_it_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    with atomic_write(path) as part:
        assert part.suffix == ".csv" and part.parent == path.parent
        part.write_text("a")
        assert not path.exists()
    assert path.read_text() == "a"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_what_was_there_stays_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_text(path, "before\r\n")

    def fail_half_way() -> None:
        with atomic_write(path) as part:
            part.write_text("half")
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        fail_half_way()
    assert path.read_bytes() == b"before\r\n"
    assert list(tmp_path.iterdir()) == [path]
