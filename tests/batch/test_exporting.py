"""The results of a run leave it as tables, outlines and NWB, whose names do not collide."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import tifffile
from tests.batch.test_run import project

import napari_biofm as biofm
from napari_biofm.batch.opened import OpenedRun, events_of_item
from napari_biofm.images.io.exchange.formats import read_cells

__all__ = ["project"]


def test_a_run_becomes_tables_outlines_and_nwb(project: Path, tmp_path: Path) -> None:
    pynwb = pytest.importorskip("pynwb")
    (project / "fields" / "f_A03.npy").write_bytes((project / "fields" / "broken_B01.tif").read_bytes())
    run = project / "out"
    biofm.run_recipe(project / "recipe.toml", run)
    done = biofm.export(run, tmp_path / "x", ["csv", "parquet", "anndata", "geojson", "nwb"])
    assert not done.failed
    names = {path.name for path in done.files}
    assert {
        "cells.csv",
        "cells.parquet",
        "cells.zarr",
        "events.csv",
        "s0.nwb",
        "f_A02.geojson",
        "f_A02.nwb",
    } <= names
    cells = pd.read_parquet(run / "cells.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "x" / "cells.parquet"), cells)
    assert len(pd.read_csv(tmp_path / "x" / "cells.csv")) == len(cells) == 15
    assert anndata.read_zarr(tmp_path / "x" / "cells.zarr").obs["label"].tolist() == cells["label"].tolist()
    masks = tifffile.imread(project / "masks" / "f_A05_mask.tif")
    found = read_cells(tmp_path / "x" / "f_A05.geojson", masks.shape)
    np.testing.assert_array_equal(found.labels, masks)
    key = next(one.key for one in OpenedRun.open(run).recordings if one.path.stem == "s0")
    events = events_of_item(run, key)
    with pynwb.NWBHDF5IO(str(tmp_path / "x" / "s0.nwb"), "r") as file:
        table = file.read().processing["events"]["events"].to_dataframe()
    np.testing.assert_array_equal(table["time_s"], events["time_s"])
    assert len(events) == 5
    again = biofm.export(run, tmp_path / "x", ["csv", "nwb", "coco"], resume=True)
    assert {path.suffix for path in again.files} == {".json"} and len(again.kept) > 5


def test_traces_of_a_movie_become_nwb_with_their_cells_and_events(tmp_path: Path) -> None:
    pynwb = pytest.importorskip("pynwb")
    rng = np.random.default_rng(0)
    masks = np.zeros((24, 24), np.uint16)
    masks[4:9, 4:9], masks[14:20, 12:18] = 3, 5
    movie = rng.normal(100, 1, (120, 24, 24)).astype(np.float32)
    for at in (30, 70):
        movie[at : at + 20, masks == 3] += 60 * np.exp(-np.arange(20) / 6)[:, None]
    (tmp_path / "movies").mkdir()
    (tmp_path / "masks").mkdir()
    tifffile.imwrite(tmp_path / "movies" / "m.tif", movie, photometric="minisblack")
    tifffile.imwrite(tmp_path / "masks" / "m_mask.tif", masks)
    recipe = {
        "input": {"images": [str(tmp_path / "movies" / "*.tif")], "masks": str(tmp_path / "masks")},
        "step": [
            {"do": "traces", "frame_rate": 10.0},
            {"do": "events", "detector": "threshold", "kind": "calcium"},
        ],
    }
    biofm.run_recipe(recipe, tmp_path / "run")
    done = biofm.export(tmp_path / "run", tmp_path / "x", "nwb")
    assert [path.name for path in done.files] == ["m.nwb"] and not done.failed
    with pynwb.NWBHDF5IO(str(tmp_path / "x" / "m.nwb"), "r") as file:
        nwb = file.read()
        assert list(nwb.processing["ophys"]["ImageSegmentation"]["PlaneSegmentation"]["label"].data) == [3, 5]
        assert nwb.processing["ophys"]["DfOverF"]["traces"].data.shape == (120, 2)
        assert nwb.processing["events"]["events"].to_dataframe()["cell"].tolist() == [3, 3]
