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


def test_from_cells_to_hits_and_ec50(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from napari_biofm.simulate.plate import simulate_plate

    plate = simulate_plate(0, n_cells=60, n_replicates=2, n_dead=0)
    plate.cells.drop(columns=[f"f{i}" for i in range(2, 12)]).to_csv(tmp_path / "cells.csv", index=False)
    plate.plate_map.drop(columns="control").to_csv(tmp_path / "map.csv", index=False)
    joined = ["--map", str(tmp_path / "map.csv"), "--negative", "DMSO"]
    asked = ["--hits", str(tmp_path / "hits.csv"), "--activity", str(tmp_path / "activity.csv")]
    asked += ["--fractions", str(tmp_path / "fractions.csv"), "--edges", str(tmp_path / "edges.csv")]
    call = ["profiles", str(tmp_path / "cells.csv"), *joined, "--classes", "predicted", *asked]
    assert main([*call, "--out", str(tmp_path / "wells.csv")]) == 0
    wells = pd.read_csv(tmp_path / "wells.csv", keep_default_na=False)
    cells, _ = biofm.join_conditions(
        pd.read_csv(tmp_path / "cells.csv"), biofm.read_plate_map(tmp_path / "map.csv", "DMSO")
    )
    expected = biofm.profiles(cells, classes="predicted").table
    assert list(wells["event_rate_z"].astype(float)) == pytest.approx(list(expected["event_rate_z"]))
    hits = pd.read_csv(tmp_path / "hits.csv")
    assert hits["hit"].any() and len(pd.read_csv(tmp_path / "activity.csv")) == 24
    assert set(pd.read_csv(tmp_path / "fractions.csv")["unit"]) == {"well"}
    assert "f0" in set(pd.read_csv(tmp_path / "edges.csv")["value"])
    capsys.readouterr()
    call = [
        "dose",
        str(tmp_path / "wells.csv"),
        "--value",
        "event_rate",
        "--svg",
        str(tmp_path / "plots"),
        "--json",
    ]
    assert main([*call, "--out", str(tmp_path / "dose.csv")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["compound"] for row in told] == [f"compound {i}" for i in (1, 2, 3, 4)]
    same, _ = biofm.dose_response(expected, ["event_rate"])
    assert told[1]["ec50"] == pytest.approx(same["ec50"][1], rel=1e-6) and 0.25 < told[1]["ec50"] < 1
    assert told[3]["ec50"] is None and told[3]["reason"]
    assert len(list((tmp_path / "plots").glob("*.svg"))) == 4
    assert (
        main(["dose", str(tmp_path / "wells.csv"), "--value", "nothing", "--out", str(tmp_path / "d.csv")])
        == 1
    )
    assert "no column nothing" in capsys.readouterr().err
