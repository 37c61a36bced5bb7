"""Plate maps: every spelling of wells, columns and units; what is doubtful is refused with its row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_biofm.conditions.doses import Dose, plain_unit, read_dose
from napari_biofm.conditions.plates import read_plate_map
from napari_biofm.conditions.wells import plain_well, plate_shape, position, wells_in
from napari_biofm.types import ConditionsError


def written(folder: Path, text: str, name: str = "map.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_text(text, encoding=encoding)
    return path


@pytest.mark.parametrize(
    ("text", "well"),
    [
        ("A1", "A01"),
        ("a01", "A01"),
        ("H-12", "H12"),
        ("Well P24", "P24"),
        ("AF48", "AF48"),
        (" b_003 ", "B03"),
    ],
)
def test_wells_have_one_spelling(text: str, well: str) -> None:
    assert plain_well(text) == well
    assert plain_well(well) == well


@pytest.mark.parametrize("text", ["", "A0", "A49", "AG1", "12", "Q", "A1B", "Z99", "A1,5"])
def test_what_is_no_well_is_refused(text: str) -> None:
    with pytest.raises(ConditionsError, match="no well"):
        plain_well(text)


def test_plates_are_as_large_as_their_wells_need() -> None:
    assert plate_shape(["A01", "B03"]) == (2, 3)
    assert (
        plate_shape(["H12"]) == (8, 12)
        and plate_shape(["A13"]) == (16, 24)
        and plate_shape(["AF48"]) == (32, 48)
    )
    assert position("AA02") == (26, 1)


def test_wells_in_names_of_files() -> None:
    assert wells_in("plate1_B02_s1_w1.tif") == ["B02"]
    assert wells_in("r02c03f01p01-ch1sk1fk1fl1.tiff") == ["B03"]
    assert wells_in("A1_B2.tif") == ["A01", "B02"]
    assert wells_in("HeLa_day2.tif") == []


def test_a_map_with_other_words_and_a_unit_in_the_header(tmp_path: Path) -> None:
    text = "Well ID;Plate Barcode;Treatment;Concentration (µM);Control type\na1;P1;DMSO;0;neg\nA2;P1;taxol;0,5;\n"
    found = read_plate_map(written(tmp_path, text, encoding="cp1252"))
    assert list(found.table.columns) == ["plate", "well", "compound", "dose", "control", "dose_unit"]
    assert list(found.table["well"]) == ["A01", "A02"]
    assert list(found.table["dose"]) == [0, 0.5] and set(found.table["dose_unit"]) == {"uM"}
    assert list(found.table["control"]) == ["negative", ""]
    assert found.notes == ()


def test_mixed_units_are_converted_and_told(tmp_path: Path) -> None:
    text = "well,compound,dose,unit\nA1,x,250,nM\nA2,x,2,µM\nA3,x,1,mM\nA4,DMSO,0,\n"
    found = read_plate_map(written(tmp_path, text))
    assert list(found.table["dose"]) == [0.25, 2, 1000, 0]
    assert set(found.table["dose_unit"][:3]) == {"uM"}
    assert "doses in nM, uM, mM were all converted to uM" in found.notes


def test_units_that_cannot_be_converted_into_each_other_are_refused_within_a_compound(tmp_path: Path) -> None:
    two = "well,compound,dose,unit\nA1,x,1,uM\nA2,{},1,mg/mL\n"
    assert list(read_plate_map(written(tmp_path, two.format("y"))).table["dose_unit"]) == ["uM", "mg/mL"]
    with pytest.raises(ConditionsError, match="doses of x are in mg/mL and uM"):
        read_plate_map(written(tmp_path, two.format("x")))
    with pytest.raises(ConditionsError, match="1 doses have no unit, the first is 5"):
        read_plate_map(written(tmp_path, "well,dose\nA1,1 uM\nA2,5\n"))


def test_doses_and_units() -> None:
    assert read_dose("10 nM") == Dose(10, "nM") and read_dose("1e-3") == Dose(0.001, "")
    assert np.isnan(read_dose("").value) and read_dose(".5µmol/L") == Dose(0.5, "uM")
    assert plain_unit("mg/L") == "ug/mL" and plain_unit("[μM]") == "uM" and plain_unit("mM") == "mM"
    for bad in ("1,000", "-1", "high", "5 furlong", "inf"):
        with pytest.raises(ConditionsError):
            read_dose(bad)


def test_bad_rows_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConditionsError, match="map.csv, row 4: 'AG9' is no well"):
        read_plate_map(written(tmp_path, "well,dose\nA1,1\n\nAG9,1\n"))
    with pytest.raises(ConditionsError, match="row 3: 'much' is no dose"):
        read_plate_map(written(tmp_path, "well,dose\nA1,1\nA2,much\n"))
    with pytest.raises(ConditionsError, match="well A01 stands in rows 2, 4 with different compound"):
        read_plate_map(written(tmp_path, "well,compound\nA1,x\nA2,y\na01,z\n"))
    with pytest.raises(ConditionsError, match="no column well"):
        read_plate_map(written(tmp_path, "a,b\n1,2\n"))
    with pytest.raises(ConditionsError, match="row 2: 3 cells, but 2 columns"):
        read_plate_map(written(tmp_path, "well,compound\nA1,x,y\n"))
    with pytest.raises(ConditionsError, match="two columns mean well"):
        read_plate_map(written(tmp_path, "well,position\nA1,A1\n"))


def test_repeated_rows_are_left_out_and_told(tmp_path: Path) -> None:
    found = read_plate_map(written(tmp_path, "well,compound\nA1,x\nA01,x\nA2,y\n"))
    assert len(found.table) == 2
    assert any("1 rows repeat others" in note and note.endswith("3") for note in found.notes)


def test_a_grid_and_rows_with_columns(tmp_path: Path) -> None:
    grid = read_plate_map(written(tmp_path, ",1,2,3\nA,DMSO,x,y\nB,,x,\n"))
    assert dict(zip(grid.table["well"], grid.table["compound"])) == {
        "A01": "DMSO",
        "A02": "x",
        "A03": "y",
        "B02": "x",
    }
    assert any("no negative control" in note for note in grid.notes)
    controls = grid.with_negative("DMSO")
    assert list(controls.table["control"]) == ["negative", "", "", ""] and controls.notes == ()
    by_number = read_plate_map(written(tmp_path, "Row\tCol\tdrug\n2\t3\tx\nC\t4\ty\n", "m.tsv"))
    assert list(by_number.table["well"]) == ["B03", "C04"]
    with pytest.raises(ConditionsError, match="no well holds 'water'"):
        grid.with_negative("water")


def test_excel_gives_what_csv_gives(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    rows = [["Well", "Compound", "Dose (nM)"], ["A1", "x", 10], ["A2", "y", 2.5], [None, None, None]]
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.create_sheet("other")
    book.save(tmp_path / "map.xlsx")
    found = read_plate_map(tmp_path / "map.xlsx")
    text = read_plate_map(written(tmp_path, "Well,Compound,Dose (nM)\nA1,x,10\nA2,y,2.5\n"))
    assert found.table.equals(text.table)
    assert any("was read, not other" in note for note in found.notes)


def test_files_that_are_no_maps(tmp_path: Path) -> None:
    (tmp_path / "broken.xlsx").write_bytes(b"PK nothing")
    (tmp_path / "zero.csv").write_bytes(b"\0\1\2,\n")
    for name in ("broken.xlsx", "zero.csv", "absent.csv"):
        with pytest.raises(ConditionsError, match=name):
            read_plate_map(tmp_path / name)
    with pytest.raises(ConditionsError, match="no row below"):
        read_plate_map(written(tmp_path, "well,compound\n"))
