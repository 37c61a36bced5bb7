"""The verbs of conditions: what they print and write is what the functions return."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import napari_biofm as biofm
from napari_biofm.cli import main


def test_files_and_cells_get_their_conditions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "map.csv").write_text("well,compound,dose\nA1,DMSO,0\nA2,=x,10 nM\nA3,y,1 uM\n")
    images = tmp_path / "images"
    images.mkdir()
    for name in ("A01_s1.tif", "A02_s1.tif", "D09_s1.tif"):
        (images / name).touch()
    out = tmp_path / "files.csv"
    assert main(["conditions", str(tmp_path / "map.csv"), str(images), "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "2 of 3 names" in said.out and "D09 is not in the map" in said.out and "A03" in said.out
    assert "converted to uM" in said.err
    assert "'=x" in out.read_text()
    pd.DataFrame({"image": ["A02_s1", "A01_s1"], "area": [3, 4]}).to_csv(tmp_path / "cells.csv", index=False)
    call = [
        "conditions",
        str(tmp_path / "map.csv"),
        "--cells",
        str(tmp_path / "cells.csv"),
        "--negative",
        "DMSO",
    ]
    assert main([*call, "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["matched"] == 2 and told["unused"] == [{"well": "A03", "compound": "y"}]
    rows = pd.read_csv(out)
    expected, _ = biofm.join_conditions(
        pd.read_csv(tmp_path / "cells.csv"), biofm.read_plate_map(tmp_path / "map.csv", "DMSO")
    )
    assert list(rows["dose"]) == list(expected["dose"]) == [0.01, 0]
    assert list(expected["control"]) == ["", "negative"]


def test_bad_maps_end_with_a_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "map.csv").write_text("well,compound\nA1,x\nA1,y\n")
    assert main(["conditions", str(tmp_path / "map.csv")]) == 1
    assert "well A01 stands in rows 2, 3 with different compound" in capsys.readouterr().err
