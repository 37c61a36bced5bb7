"""Masks and sessions become files of other programs; a session is described, checked and reported."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from tests.session.test_session_files import LAYERS, MASKS, session

import napari_biofm as biofm
from napari_biofm.api.export_files import FORMATS
from napari_biofm.api.export_names import distinct_names
from napari_biofm.images.io.exchange.formats import read_cells
from napari_biofm.session.parts import write_events
from napari_biofm.session.saving import INDEX, save_session
from napari_biofm.session.snapshot import snapshot
from napari_biofm.simulate import simulate_field

__all__ = ["session"]


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an image and its masks."""
    folder, made = tmp_path_factory.mktemp("field"), simulate_field((64, 80), 5, seed=3)
    tifffile.imwrite(folder / "field.tif", made.image)
    tifffile.imwrite(folder / "field_mask.tif", made.masks.astype(np.uint16))
    return folder


def test_masks_become_every_format_and_read_back(field: Path, tmp_path: Path) -> None:
    done = biofm.export(
        field / "field_mask.tif", tmp_path, list(FORMATS), images=[field / "field.tif"], classes={2: "round"}
    )
    names = {path.name for path in done.files}
    assert names == {
        "field_cells.csv", "field_cells.parquet", "field_cells.h5ad", "field.nwb", "field_rois.zip", "field.geojson",
        "field_coco.json", "field_seg.npy",
    }  # fmt: skip
    assert not done.failed and set(done.notes) == {"field_rois.zip", "field_seg.npy"}
    masks = tifffile.imread(field / "field_mask.tif")
    for name in ("field_rois.zip", "field.geojson", "field_coco.json", "field_seg.npy"):
        np.testing.assert_array_equal(read_cells(tmp_path / name, masks.shape).labels, masks)
    assert read_cells(tmp_path / "field.geojson").classes == {2: "round"}
    table = pd.read_csv(tmp_path / "field_cells.csv")
    assert table["label"].tolist() == np.unique(masks)[1:].tolist()
    assert table["object_id"][0] == "field:1" and table["class"][1] == "round"
    pd.testing.assert_frame_equal(
        table[["label", "area", "mean_intensity"]],
        pd.read_parquet(tmp_path / "field_cells.parquet")[["label", "area", "mean_intensity"]],
        check_exact=False,
    )
    again = biofm.open_session(tmp_path / "field.nwb")
    np.testing.assert_array_equal(again.labels("field_mask"), masks)


def test_cellpose_s_window_reads_what_is_written(field: Path, tmp_path: Path) -> None:
    biofm.export(field / "field_mask.tif", tmp_path, "cellpose", images=[field / "field.tif"])
    held = np.load(
        tmp_path / "field_seg.npy", allow_pickle=True
    ).item()  # as `cellpose.gui.io._load_seg` does
    assert held["masks"].dtype == np.uint16 and held["outlines"].shape == held["masks"].shape
    assert len(held["ismanual"]) == held["masks"].max() and Path(held["filename"]) == field / "field.tif"
    inside = held["masks"] > 0
    assert set(np.unique(held["outlines"][inside])) == {0, *np.unique(held["masks"][inside])}


def test_results_are_not_replaced_and_share_no_name(field: Path, tmp_path: Path) -> None:
    first = tmp_path / "a" / "field_mask.tif"
    second = tmp_path / "a" / "field_mask.npy"
    first.parent.mkdir()
    tifffile.imwrite(first, np.eye(8, dtype=np.uint8))
    np.save(second, np.eye(9, dtype=np.int32))
    done = biofm.export([first, second], tmp_path / "out", "geojson")
    assert {p.name for p in done.files} == {"field_mask.tif.geojson", "field_mask.npy.geojson"}
    with pytest.raises(biofm.BiofmError, match="exists; give --force"):
        biofm.export([first, second], tmp_path / "out", ["csv", "geojson"])
    assert len(list((tmp_path / "out").iterdir())) == 2, "nothing of a refused call is written"
    assert biofm.export([first, second], tmp_path / "out", "geojson", resume=True).files == ()
    (tmp_path / "b").mkdir()
    tifffile.imwrite(tmp_path / "b" / "field_mask.tif", np.eye(8, dtype=np.uint8))
    with pytest.raises(biofm.BiofmError, match="more than one file is called like"):
        biofm.export([first, tmp_path / "b" / "field_mask.tif"], tmp_path / "other", "csv")
    assert not (tmp_path / "other").exists()
    with pytest.raises(biofm.BiofmError, match="did you mean 'parquet'"):
        biofm.export(first, tmp_path / "out", "parkuet")


def test_a_stack_gives_the_plane_asked_for_and_says_so_otherwise(tmp_path: Path) -> None:
    stack = np.zeros((3, 8, 8), np.int32)
    stack[1, 2:5, 2:6] = 7
    np.save(tmp_path / "z.npy", stack)
    done = biofm.export(tmp_path / "z.npy", tmp_path / "out", ["geojson", "cellpose"])
    assert [p.name for p in done.files] == ["z_seg.npy"] and "--plane" in done.failed["z.geojson"]
    biofm.export(tmp_path / "z.npy", tmp_path / "out", "geojson", plane=1)
    assert np.unique(read_cells(tmp_path / "out" / "z.geojson", (8, 8)).labels).tolist() == [0, 7]


def test_names_that_differ_in_case_only_are_kept_apart() -> None:
    assert distinct_names(["cells", "Cells", "a/b", "..", "cells"]) == [
        "cells",
        "Cells_2",
        "a_b",
        "unnamed",
        "cells_3",
    ]


def test_a_session_becomes_tables_and_nwb(session, tmp_path: Path) -> None:
    folder = save_session(tmp_path / "day1.biofm", snapshot(session, LAYERS))
    done = biofm.export(folder, tmp_path / "out", ["csv", "geojson", "nwb"])
    assert {p.name for p in done.files} == {
        "day1_cells_cells.csv", "day1_cells.geojson", "day1_patch.abf_events.csv", "day1_traces_events.csv", "day1.nwb",
    }  # fmt: skip
    events = pd.read_csv(tmp_path / "out" / "day1_patch.abf_events.csv")
    assert events["time_s"].tolist() == [0.01, 0.05] and events["class"].tolist() == ["AP", "AP"]
    np.testing.assert_array_equal(
        read_cells(tmp_path / "out" / "day1_cells.geojson", MASKS.shape).labels, MASKS
    )
    assert biofm.describe_session(tmp_path / "out" / "day1.nwb")["links"] == 1


def test_a_session_is_described_and_reported(session, tmp_path: Path) -> None:
    folder = save_session(tmp_path / "day1", snapshot(session, LAYERS))
    about = biofm.describe_session(folder)
    assert json.loads(json.dumps(about)) == about
    assert [layer.get("cells") for layer in about["layers"]] == [None, 2]
    assert about["recordings"][0]["events"] == {"AP": 2} and about["links"] == about["clocks"] == 1
    page = biofm.session_report(folder, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "2 AP" in page and "data:image/png;base64," in page and "<script" not in page
    assert "/data/movie.tif" in page and "is gone" in page


def test_what_is_wrong_with_a_session_is_told(session, tmp_path: Path) -> None:
    image = tmp_path / "movie.npy"
    np.save(image, np.zeros((50, 30, 40), np.float32))
    layers = (dataclasses.replace(LAYERS[0], path=str(image)), LAYERS[1])
    folder = save_session(tmp_path / "day1", snapshot(session, layers))
    assert biofm.validate_session(folder) == []
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    index["links"] = [["nobody", 0, "labels-1", 9], ["patch.abf", 0, "labels-1", 77]]
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")
    (folder / "log.jsonl").write_text('{"kind": "from the future"}\n', encoding="utf-8")
    events = session.events("patch.abf")
    late = events.copy()
    late["time_s"] = 99.0
    write_events(folder / "events" / "000.parquet", late)
    image.unlink()
    told = " ".join(biofm.validate_session(folder))
    for words in (
        "channel 0 of 'nobody', which is not there", "cell 77, which is not there", "2 events of patch.abf lie outside",
        "movie.npy of the layer 'movie' is gone", "does not know",
    ):  # fmt: skip
        assert words in told
    (folder / INDEX).write_text("{", encoding="utf-8")
    assert "is damaged" in biofm.validate_session(folder)[0]
    with pytest.raises(biofm.SessionError, match="does not exist"):
        biofm.validate_session(tmp_path / "nowhere")
