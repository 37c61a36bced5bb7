"""Files are whole or not there."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_biofm.analyses.tables import read_table
from napari_biofm.cells.table.export import read_anndata
from napari_biofm.cells.table.files import read_label_rows
from napari_biofm.cells.track.tracks import tracks_from_csv
from napari_biofm.cells.values.targets import read_targets
from napari_biofm.events.table import from_csv
from napari_biofm.files import atomic_write, write_text
from napari_biofm.images.io.exchange.formats import read_cells, write_cells
from napari_biofm.types import BiofmError, CellsError, ImageError


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


@pytest.mark.parametrize("read", [read_label_rows, read_targets, from_csv, tracks_from_csv, read_table])
@pytest.mark.parametrize(
    "content", [b"object_id,label\n1,caf\xe9\n", b"object_id,label," + b"a" * 200_000 + b"\n1,2,3\n"]
)
def test_a_table_that_is_no_text_or_no_csv_names_file_and_remedy(
    read: Callable[[Path], object], content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "cells.csv"
    path.write_bytes(content)
    with pytest.raises(BiofmError, match=r"cells\.csv is no .*save it as CSV UTF-8"):
        read(path)


def test_an_archive_of_outlines_whose_bytes_are_damaged_is_refused(tmp_path: Path) -> None:
    labels = np.zeros((48, 64), np.int32)
    labels[5:15, 5:15] = 1
    path = tmp_path / "cells.zip"
    write_cells(path, labels)
    sound = path.read_bytes()
    ends = []
    for at in range(30, 120):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 0xFF]) + sound[at + 1 :])
        try:
            read_cells(path, (48, 64))
        except ImageError as error:
            ends.append(str(error))
    assert any("decompressing" in one for one in ends) and all("cells.zip" in one for one in ends)


def test_a_damaged_anndata_file_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "cells.h5ad"
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        file.create_group("obs").attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0"})
    with pytest.raises(CellsError, match=r"cells\.h5ad cannot be read as AnnData .*again") as caught:
        read_anndata(path)
    assert "\n" not in str(caught.value)
