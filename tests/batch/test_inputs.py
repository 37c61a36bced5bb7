"""What a recipe works on: plates of OME-Zarr, tables of files; and that masks are looked up once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_biofm.batch.items import items_of
from napari_biofm.batch.recipe import Recipe
from napari_biofm.types import BatchError


def recipe(folder: Path, given: str) -> Recipe:
    path = folder / "recipe.toml"
    path.write_text(f'[input]\n{given}\n[[step]]\ndo = "segment"\n', encoding="utf-8")
    return Recipe.read(path)


def test_the_fields_of_a_plate_are_items_that_know_their_wells(tmp_path: Path) -> None:
    import zarr

    plate = zarr.open_group(str(tmp_path / "screen.zarr"), mode="w")
    wells = ["A/1", "B/12"]
    plate.attrs["ome"] = {"version": "0.5", "plate": {"wells": [{"path": one} for one in wells]}}
    for one in wells:
        well = plate.create_group(one)
        well.attrs["ome"] = {"version": "0.5", "well": {"images": [{"path": "0"}, {"path": "1"}]}}
        for field in ("0", "1"):
            image = well.create_group(field)
            image.create_array("0", data=np.zeros((8, 8), np.uint8))
    (tmp_path / "map.csv").write_text("well,compound\nA1,dmso\nB12,x\n")
    items = items_of(recipe(tmp_path, 'images = ["screen.zarr"]\nconditions = "map.csv"'))
    known = {(i.columns["well"], i.columns["field"], i.columns["compound"]) for i in items}
    assert known == {("A01", "0", "dmso"), ("A01", "1", "dmso"), ("B12", "0", "x"), ("B12", "1", "x")}


def test_a_table_of_files_is_read_like_a_plate_map(tmp_path: Path) -> None:
    (tmp_path / "files.csv").write_bytes('file;gène\n#1.tif;wild "type"\n'.encode("cp1252"))
    items = items_of(recipe(tmp_path, 'files = "files.csv"'))
    assert [(i.path.name, dict(i.columns)) for i in items] == [("#1.tif", {"gène": 'wild "type"'})]
    (tmp_path / "files.csv").write_text("file,x\na.tif,1,2\n")
    with pytest.raises(BatchError, match="files.csv, row 2: 3 cells, but 2 columns"):
        items_of(recipe(tmp_path, 'files = "files.csv"'))
    (tmp_path / "files.csv").write_text("name,x\na.tif,1\n")
    with pytest.raises(BatchError, match="no column 'file' .its columns: name, x"):
        items_of(recipe(tmp_path, 'files = "files.csv"'))


def test_masks_of_many_images_are_looked_up_in_one_look_at_the_folder(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "fields").mkdir()
    (tmp_path / "masks").mkdir()
    for i in range(300):
        (tmp_path / "fields" / f"f{i}.tif").touch()
        (tmp_path / "masks" / f"f{i}_mask.tif").touch()
    from napari_biofm.images.io import names

    looked: list[Path] = []
    stem_of = names.stem_of
    monkeypatch.setattr(names, "stem_of", lambda path: looked.append(path) or stem_of(path))
    items = items_of(recipe(tmp_path, 'images = ["fields"]\nmasks = "masks"'))
    assert all(item.masks is not None for item in items) and len(items) == 300
    assert len(looked) < 5 * 300, "the work grows with the number of images, not with its square"
