"""One rule for names of results: no two images share one, and masks are found under the same names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_biofm.images.io.names import MaskNames, is_mask_name, kept_names, result_names, stem_of
from napari_biofm.images.io.series import Series
from napari_biofm.types import ImageError


def names_of(*files: str) -> list[str]:
    return list(result_names([Path(f) for f in files]).values())


def test_an_ending_of_two_parts_is_one_ending():
    assert [stem_of(Path(n)) for n in ("a.ome.tif", "a.OME.TIFF", "b.c.png", "z.ome.zarr")] == [
        "a",
        "a",
        "b.c",
        "z",
    ]


def test_twins_keep_their_endings_and_others_do_not():
    assert names_of("a.png", "b.png", "a.tif") == ["a.png", "b", "a.tif"]
    assert names_of("A.png", "a.tif") == ["A.png", "a.tif"]  # one file on disks that know no case
    assert names_of("a.png", "a.tif", "a.png.tif") == ["a.png", "a.tif", "a.png.tif"]


def test_two_files_of_one_name_are_refused():
    with pytest.raises(ImageError, match="different folders"):
        names_of("x/a.tif", "y/a.tif")


def test_a_name_given_before_stays_with_its_image():
    assert result_names([Path("a.png"), Path("a.tif")], {"a": "a.png"}) == {
        Path("a.png"): "a",
        Path("a.tif"): "a.tif",
    }


def test_a_picture_beside_an_image_is_no_mask_of_it(tmp_path: Path):
    for name in ("a.png", "a.tif", "b.png"):
        (tmp_path / name).touch()
    images = [tmp_path / n for n in ("a.png", "a.tif", "b.png")]
    assert MaskNames(tmp_path, images).of(images[0]) is None
    other = tmp_path / "masks"
    other.mkdir()
    (other / "b.tif").touch()
    assert MaskNames(other, images).of(images[2]) == other / "b.tif"
    (other / "a_mask.tif").touch()
    with pytest.raises(ImageError, match=r"a\.png or of a\.tif"):
        MaskNames(other, images).of(images[0])
    (other / "a.png_mask.tif").touch()
    assert MaskNames(other, images).of(images[0]) == other / "a.png_mask.tif"


def test_the_folder_of_results_says_whose_masks_it_holds(tmp_path: Path):
    (tmp_path / "report.json").write_text(
        json.dumps({"images": [{"image": "a.png", "mask": "../a_mask.tif"}]})
    )
    assert kept_names(tmp_path) == {"a.png": "a_mask.tif"}  # a path never leaves the folder
    (tmp_path / "a_mask.tif").touch()
    images = [tmp_path / "a.png", tmp_path / "a.tif"]
    assert MaskNames(tmp_path, images).of(images[0]) == tmp_path / "a_mask.tif"


def test_labels_of_twins_in_a_series_do_not_meet(tmp_path: Path):
    for name, value in (("a.tif", 1), ("b.tif", 2)):
        tifffile.imwrite(tmp_path / name, np.full((4, 5), value, np.uint8))
    series = Series(tmp_path)
    series.save_labels(0, np.full((4, 5), 7))
    np.save(tmp_path / "a.npy", np.ones((4, 5)))
    series = Series(tmp_path)  # a twin came later
    assert [p.name for p in series.paths] == ["a.npy", "a.tif", "b.tif"]
    assert series.load_labels(0) is None and series.entry(1).labels.name == "a_labels.tif"
    series.save_labels(0, np.full((4, 5), 9))
    again = Series(tmp_path)
    assert again.load_labels(0).max() == 9 and again.load_labels(1).max() == 7
    assert not is_mask_name(tmp_path / "a.tif") and is_mask_name(again.entry(0).labels)
