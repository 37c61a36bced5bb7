"""Files, images and rows of cells find their well; those that do not are told with the reason."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from napari_biofm.conditions.joins import join_names, with_conditions
from napari_biofm.conditions.plates import PlateMap, read_plate_map
from napari_biofm.types import ConditionsError


def made(folder: Path, text: str) -> PlateMap:
    (folder / "map.csv").write_text(text)
    return read_plate_map(folder / "map.csv")


ONE = "well,compound\nA1,x\nA2,y\nB3,z\n"
TWO = "plate,well,compound\nP1,A1,x\nP2,A1,y\nP10,A1,z\n"


def test_the_well_in_the_name(tmp_path: Path) -> None:
    join = join_names(
        made(tmp_path, ONE), ["s_A01_1.tif", "a-A2.tif", "r02c03f1.tif", "C05.tif", "none.tif", "A1_B3.tif"]
    )
    assert join.rows == (0, 1, 2, -1, -1, -1)
    assert "C05 is not in the map" in join.reasons[3]
    assert "no well stands" in join.reasons[4] and "several wells, A01 and B03" in join.reasons[5]
    assert join.unused == ()
    table = join.table()
    assert list(table["compound"]) == ["x", "y", "z", "", "", ""]
    assert "3 of 6 names" in join.preview() and "not matched: C05.tif" in join.preview()


def test_the_plate_in_the_file_or_its_folder(tmp_path: Path) -> None:
    plates = made(tmp_path, TWO)
    join = join_names(plates, ["P1/A01.tif", "data/P10_A1.tif", "A01.tif", "P3_A01.tif"])
    assert join.rows == (0, 2, -1, -1)
    assert "it may be of plate P1, P2, P10" in join.reasons[2]
    assert join.unused == (1,) and "P2 A01" in join.preview()


def test_a_pattern(tmp_path: Path) -> None:
    plates = made(tmp_path, TWO)
    join = join_names(plates, ["P2-A1-7.tif", "P9-A1-7.tif", "other.tif"], "{plate}-{well}-{site}")
    assert join.rows == (1, -1, -1)
    assert "of plate P9 is not in the map" in join.reasons[1] and "fit the pattern" in join.reasons[2]
    assert join_names(made(tmp_path, ONE), ["x2y3.tif"], "x{row}y{column}").rows == (2,)
    assert join_names(made(tmp_path, ONE), ["A1_B3.tif"], r"\w+_(?P<well>\w\d)").rows == (2,)
    for bad in ("{site}", "{wel}", "(?P<well>["):
        with pytest.raises(ConditionsError):
            join_names(plates, ["a"], bad)


def test_files_and_subjects(tmp_path: Path) -> None:
    join = join_names(
        made(tmp_path, "file,guide\nfield1.tif,g1\nfield2,g2\n"), ["b/field2.ome.tif", "field3.tif"]
    )
    assert join.rows == (1, -1)
    join = join_names(made(tmp_path, "subject,genotype\nm1,wt\nm2,ko\n"), ["m2_day1.abf", "m12_day1.abf"])
    assert join.rows == (1, -1)


def test_cells_get_the_columns_of_their_well(tmp_path: Path) -> None:
    cells = pd.DataFrame({"image": ["A1_f1", "A1_f1", "B03_f1", "D12"], "area": [1.0, 2, 3, 4]})
    out, join = with_conditions(cells, made(tmp_path, ONE))
    assert list(out["compound"]) == ["x", "x", "z", ""] and list(out["well"]) == ["A01", "A01", "B03", ""]
    assert list(out["area"]) == [1, 2, 3, 4] and join.unused == (1,)
    wells = pd.DataFrame({"plate": ["P1", "P2", "P7"], "well": ["a1", "A01", "A1"], "n": [1, 2, 3]})
    out, _ = with_conditions(wells, made(tmp_path, TWO))
    assert list(out["compound"]) == ["x", "y", ""] and list(out["plate"]) == ["P1", "P2", "P7"]
    with pytest.raises(ConditionsError, match="no column file or image"):
        with_conditions(pd.DataFrame({"a": [1]}), made(tmp_path, ONE))
    with pytest.raises(ConditionsError, match="Nothing fits"):
        with_conditions(pd.DataFrame({"image": ["q"]}), made(tmp_path, ONE))
