"""Files are whole or not there."""

from __future__ import annotations

import csv
import io
import re
import stat
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

import napari_biofm
from napari_biofm.analyses.tables import read_table
from napari_biofm.cells.table.export import read_anndata
from napari_biofm.cells.table.files import read_label_rows
from napari_biofm.cells.track.tracks import tracks_from_csv
from napari_biofm.cells.values.targets import read_targets
from napari_biofm.cli import main
from napari_biofm.events.table import from_csv, to_csv
from napari_biofm.files import CsvWriter, atomic_write, read_cell, write_text
from napari_biofm.images.io.exchange.formats import read_cells, write_cells
from napari_biofm.types import EVENT_DTYPE, BiofmError, CellsError, ImageError


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


FORMULAS = ("=1+1", "+SUM(A1)", "-2+3", "@cmd", "\tx", "=cmd|' /C calc'!A0")


def test_words_that_a_spreadsheet_would_calculate_get_an_apostrophe_and_numbers_do_not() -> None:
    out = io.StringIO()
    writer = CsvWriter(out)
    writer.writerow([*FORMULAS, "plain", "a=b"])
    writer.writerow(["-2.5", "+1e-3", "-inf", -7, 2.5, None])
    first, second = list(csv.reader(io.StringIO(out.getvalue())))
    assert first == [*(f"'{one}" for one in FORMULAS), "plain", "a=b"]
    assert [read_cell(one) for one in first] == [*FORMULAS, "plain", "a=b"]
    assert second == ["-2.5", "+1e-3", "-inf", "-7", "2.5", ""]


def test_classes_of_events_come_back_from_their_table(tmp_path: Path) -> None:
    events = np.zeros(len(FORMULAS), EVENT_DTYPE)
    events["class"], events["unit"] = FORMULAS, "=pA"
    write_text(tmp_path / "events.csv", to_csv(events))
    rows = list(csv.DictReader(io.StringIO((tmp_path / "events.csv").read_text())))
    assert all(row["class"].startswith("'") and row["unit"] == "'=pA" for row in rows)
    assert from_csv(tmp_path / "events.csv")["class"].tolist() == events["class"].tolist()


def test_names_of_files_and_columns_are_no_formulas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("=a.npz", "@b.npz"):
        np.savez(name, signal=np.zeros(4000), sampling_rate=1000.0, unit="pA")
    assert main(["events", "=a.npz", "@b.npz", "--detector", "threshold", "--kind", "psc", "--out", "o"]) == 0
    cells = [
        cell for row in csv.reader(io.StringIO((tmp_path / "o/summary.csv").read_text())) for cell in row
    ]
    assert "'=a.npz" in cells and "'@b.npz" in cells and not [c for c in cells if c.startswith(("=", "@"))]


def test_every_table_goes_through_the_writer_that_knows_formulas() -> None:
    source = Path(napari_biofm.__file__).parent
    known = {
        "files.py", "cells/table/export.py", "batch/table_steps.py",  # with `plain_cell`
        "signals/calcium/tables.py", "simulate/sample_files.py",  # numbers of ours only
    }  # fmt: skip
    found = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if re.search(r"csv\.writer\(|DictWriter\(|\.to_csv\(", path.read_text(encoding="utf-8"))
    }
    assert found == known
