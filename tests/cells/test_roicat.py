"""ROICaT is called by its public pipeline and its clusters become pairs: with a stand-in of its interface (version 1.7)."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import napari_biofm as biofm
from napari_biofm.cli import main
from napari_biofm.images.io.masks import write_mask
from napari_biofm.types import CellsError


def field(shift: int, labels: tuple[int, ...]) -> np.ndarray:
    masks = np.zeros((40, 60), np.int32)
    for k, label in enumerate(labels):
        if label:
            masks[5 + shift : 13 + shift, 4 + 14 * k : 12 + 14 * k] = label
    return masks


class Data:
    """What is used of `roicat.data_importing.Data_roicat`."""

    def __init__(self, verbose: bool = True) -> None:
        self.said: dict[str, Any] = {}

    def set_spatialFootprints(self, spatialFootprints: list[Any], um_per_pixel: float) -> None:
        self.said |= {"footprints": spatialFootprints, "um": um_per_pixel}

    def set_FOV_images(self, FOV_images: list[np.ndarray]) -> None:
        self.said["images"] = FOV_images

    def transform_spatialFootprints_to_ROIImages(self, out_height_width: tuple[int, int]) -> None:
        self.said["size"] = out_height_width


@pytest.fixture
def roicat(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    asked: dict[str, Any] = {}

    def pipeline_tracking(params: dict[str, Any], custom_data: Data) -> tuple[dict[str, Any], dict, dict]:
        print("ROICaT tells much")
        asked.update(custom_data.said, params=params)
        if custom_data.said["um"] > 10:
            raise RuntimeError("no network")
        first, second = custom_data.said["footprints"]
        moved = np.roll(second.toarray().reshape(-1, 40, 60), -3, axis=1).reshape(second.shape)
        from scipy import sparse

        clusters = {"labels_bySession": [[0, -1, 2], [2, 0, -1]]}
        return {"clusters": clusters, "ROIs": {"ROIs_aligned": [first, sparse.csr_array(moved)]}}, {}, {}

    package = ModuleType("roicat")
    package.__spec__ = ModuleSpec("roicat", None)
    package.data_importing = SimpleNamespace(Data_roicat=Data)  # type: ignore[attr-defined]
    package.pipelines = SimpleNamespace(pipeline_tracking=pipeline_tracking)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "roicat", package)
    return asked


def test_its_clusters_are_pairs_with_overlap_after_its_alignment(
    roicat: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = field(0, (2, 5, 7, 0)), field(3, (9, 0, 1, 4))
    # rows are cells by label: first 2, 5, 7; second 1 (at 7's place), 4 (alone), 9 (at 2's place)
    found = biofm.match_cells(first, second, program="roicat", um_per_pixel=0.8)
    assert roicat["um"] == 0.8 and roicat["params"]["general"]["use_GPU"] is False
    assert [one.shape for one in roicat["footprints"]] == [(3, 2400), (3, 2400)]
    assert np.array_equal(roicat["footprints"][0].toarray()[1].reshape(40, 60) > 0, first == 5)
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == [(2, 4), (7, 1)]
    assert found.overlap.tolist() == [0.0, 1.0] and found.distance.tolist() == [42.0, 0.0]
    assert found.only_first.tolist() == [5] and found.only_second.tolist() == [9]
    assert found.transform[:, 2].tolist() == [-3.0, 0.0]
    assert "tells much" not in capsys.readouterr().out
    for name, one in (("a", first), ("b", second)):
        write_mask(tmp_path / f"{name}.tif", one)
    command = ["cells", "match", str(tmp_path / "a.tif"), str(tmp_path / "b.tif"), "--with", "roicat"]
    assert main([*command, "--out", str(tmp_path / "p.csv")]) == 0
    assert "2 pairs" in capsys.readouterr().err
    assert (tmp_path / "p.csv").read_text().splitlines()[1].startswith("2,4,")


def test_what_lacks_is_told(roicat: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    masks = field(0, (2, 5, 7, 0))
    with pytest.raises(CellsError, match="ROICaT failed: no network"):
        biofm.match_cells(masks, masks, program="roicat", um_per_pixel=20)
    with pytest.raises(CellsError, match="no program 'x'"):
        biofm.match_cells(masks, masks, program="x")
    monkeypatch.delitem(sys.modules, "roicat")
    with pytest.raises(CellsError, match="ROICaT is not installed here: pip install"):
        biofm.match_cells(masks, masks, program="roicat")
