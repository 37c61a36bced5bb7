"""Masks go to other programs and back without a changed pixel; files that want code run are refused."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_biofm.cli import main
from napari_biofm.images.io.exchange.cellpose_npy import plain_data, read_seg
from napari_biofm.images.io.exchange.coco import _unpacked
from napari_biofm.images.io.exchange.formats import read_cells, write_cells
from napari_biofm.images.io.exchange.polygons import filled, traced
from napari_biofm.simulate import simulate_field
from napari_biofm.types import ImageError


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    """Cells that touch, one with a hole, one of two parts, one at the edge, with ids that are not in a row."""
    labels = np.where(
        simulate_field((60, 70), 5, seed=3).masks > 0, simulate_field((60, 70), 5, seed=3).masks * 3, 0
    )
    labels[2:14, 2:14] = 41
    labels[5:9, 6:10] = 0
    labels[6, 7] = 42  # a cell in the hole of another
    labels[50:53, 0:4], labels[50:53, 60:64] = 43, 43
    labels[56:60, 66:70] = 44
    return labels.astype(np.int32)


@given(arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))))
def test_traced_edges_fill_the_same_pixels(mask: np.ndarray) -> None:
    again = np.zeros_like(mask)
    again[filled(traced(mask), mask.shape)] = True
    np.testing.assert_array_equal(again, mask)


@pytest.mark.parametrize("name", ["m.tif", "m.png", "m.npy", "m.npz", "m.geojson", "m.json"])
def test_every_format_gives_the_same_labels_back(tmp_path: Path, masks: np.ndarray, name: str) -> None:
    classes = {41: "big", 44: "=edge"}
    notes = write_cells(tmp_path / name, masks, classes)
    found = read_cells(tmp_path / name, masks.shape)
    assert notes == () and found.notes == ()
    np.testing.assert_array_equal(found.labels, masks)
    assert found.classes == (classes if name in ("m.geojson", "m.json") else {})


def test_imagej_rois_keep_parts_and_ids_and_tell_of_holes(tmp_path: Path, masks: np.ndarray) -> None:
    notes = write_cells(tmp_path / "m.zip", masks, {41: "big"})
    assert "1 cells have holes" in notes[0] and "classes are not part" in notes[1]
    found = read_cells(tmp_path / "m.zip", masks.shape)
    filled_hole = masks.copy()
    filled_hole[5:9, 6:10] = 41
    np.testing.assert_array_equal(np.where(masks == 42, 41, found.labels), filled_hole)


def test_rois_of_imagej_s_own_kinds(tmp_path: Path) -> None:
    import roifile

    kinds = roifile.ROI_TYPE
    with zipfile.ZipFile(tmp_path / "r.zip", "w") as archive:
        for name, kind in (("square", kinds.RECT), ("0007", kinds.OVAL), ("line", kinds.LINE)):
            at = 30 if kind == kinds.OVAL else 5
            roi = roifile.ImagejRoi(roitype=kind, top=5, left=at, bottom=15, right=at + 20, name=name)
            archive.writestr(f"{name}.roi", roi.tobytes())
    found = read_cells(tmp_path / "r.zip", (40, 60))
    assert sorted(np.unique(found.labels)) == [0, 1, 7]
    assert (found.labels == 1).sum() == 200 and abs((found.labels == 7).sum() - np.pi * 50) < 6
    assert "1 ROIs that are lines" in found.notes[0]


def test_coco_s_packed_run_lengths() -> None:
    packed = ""
    counts = [6, 1, 40, 4, 5, 4, 5, 4, 21]
    for i, count in enumerate(counts):
        value = count - (counts[i - 2] if i > 2 else 0)
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            packed += chr((bits | (0x20 if more else 0)) + 48)
    assert _unpacked(packed) == counts


def seg_file(path: Path, masks: np.ndarray, **more: Any) -> Path:
    held = {"outlines": masks * 0, "masks": masks, "chan_choose": [0, 0], "ismanual": np.zeros(3, bool),
            "filename": "f.tif", "flows": [np.zeros((2, 3), np.float32), None], "diameter": np.float64(12.5), **more}  # fmt: skip
    np.save(path, held)
    return path


@pytest.mark.parametrize("kind", [np.uint16, np.int32, ">i4"])
def test_a_seg_npy_of_cellpose_is_read_as_data(tmp_path: Path, masks: np.ndarray, kind: Any) -> None:
    found = read_cells(seg_file(tmp_path / "f_seg.npy", masks.astype(kind)), masks.shape)
    np.testing.assert_array_equal(found.labels, masks)
    held = read_seg(tmp_path / "f_seg.npy")
    assert held["filename"] == "f.tif" and held["diameter"] == 12.5 and held["flows"][1] is None


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
def test_nothing_in_a_seg_npy_is_run(tmp_path: Path, masks: np.ndarray, protocol: int) -> None:
    mark = tmp_path / "executed"
    path = seg_file(tmp_path / "f_seg.npy", masks, evil=Evil(mark))
    with pytest.raises(ImageError, match=r"was not done.*TIFF"):
        read_seg(path)
    for evil in (Evil(mark), [1, {"masks": Evil(mark)}]):
        with pytest.raises(ImageError):
            plain_data(pickle.dumps(evil, protocol))
    assert not mark.exists()


@pytest.mark.parametrize(
    "raw",
    [
        b"cnumpy\nload\n(S'x'\ntR.",  # another function of numpy
        b"cos\nsystem\n(S'x'\ntR.",
        b"\x80\x04]\x94(h\x00h\x00e.",  # a list that holds itself
        b"\x80\x04}\x94.",
        b"\x80\x04(]\x94(h",
        b"",
    ],
)
def test_damaged_and_hostile_pickles_end_in_one_message(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x_seg.npy"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    path.write_bytes(header.getvalue() + raw)
    with pytest.raises(ImageError, match=r"x_seg\.npy"):
        read_cells(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.geojson", "{"), ("a.geojson", '{"features": [{}]}'), ("a.json", '{"annotations": 3}'), ("a.zip", "PK"),
     ("a.json", json.dumps({"images": [{"id": 1, "height": 4, "width": 4}], "annotations": [
         {"id": 1, "image_id": 1, "segmentation": {"size": [4, 4], "counts": [1, 99]}}]})),
     ("a.geojson", json.dumps({"features": [{"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1e12, 0], [0, 1e12]]]}}]}))],
)  # fmt: skip
def test_damage_names_the_file(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ImageError):
        read_cells(tmp_path / name)


def test_a_zip_that_unpacks_to_too_much_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.roi", bytes(1 << 25))
    with pytest.raises(ImageError, match="unpacks to more"):
        read_cells(tmp_path / "bomb.zip", (10, 10))


def test_outlines_that_overlap_are_told(tmp_path: Path) -> None:
    square = {"type": "Polygon", "coordinates": [[[1, 1], [5, 1], [5, 5], [1, 5], [1, 1]]]}
    features = [{"geometry": square, "properties": {}}, {"geometry": square, "properties": {}}]
    (tmp_path / "o.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    found = read_cells(tmp_path / "o.geojson", (8, 8))
    assert (found.labels == 1).sum() == 16 and len(found.notes) == 2


def test_the_command_line_converts_with_classes(tmp_path: Path, masks: np.ndarray) -> None:
    def run(*args: Any) -> int:
        return main(["convert", *map(str, args)])

    np.save(tmp_path / "f.npy", masks)
    (tmp_path / "c.csv").write_text("object_id,label\nf:41,dead\n44,live\n")
    assert run(tmp_path / "f.npy", "--out", tmp_path / "f.geojson", "--classes", tmp_path / "c.csv") == 0
    assert run(tmp_path / "f.npy", "--out", tmp_path / "f.geojson") == 1  # it exists
    back = ("--image", tmp_path / "f.npy", "--classes-out", tmp_path / "back.csv")
    assert run(tmp_path / "f.geojson", "--out", tmp_path / "g.tif", *back) == 0
    np.testing.assert_array_equal(read_cells(tmp_path / "g.tif").labels, masks)
    assert (tmp_path / "back.csv").read_text().splitlines()[1:] == [
        "f:41,dead,1.000000",
        "f:44,live,1.000000",
    ]
    assert run(tmp_path / "f.npy", "--out", tmp_path / "f_seg.npy") == 0
    np.testing.assert_array_equal(read_cells(tmp_path / "f_seg.npy").labels, masks)
