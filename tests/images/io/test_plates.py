"""A plate of OME-Zarr is its fields: each is segmented on its own and named by its well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from napari_biofm.cli import main
from napari_biofm.images.io.lazy import read_stack
from napari_biofm.images.io.names import stem_of
from napari_biofm.images.io.pixel_size import pixel_size_um
from napari_biofm.images.io.plates import fields_of
from napari_biofm.simulate import simulate_field
from napari_biofm.types import ImageError


@pytest.fixture(params=[2, 3])
def plate(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Write a plate of two wells and three fields, as OME-Zarr 0.4 and 0.5."""
    form, path = request.param, tmp_path / "plate.ome.zarr"

    def attrs(group: zarr.Group, about: dict) -> None:
        group.attrs.update({"ome": {"version": "0.5", **about}} if form == 3 else about)

    root = zarr.open_group(str(path), mode="w", zarr_format=form)
    attrs(root, {"plate": {"wells": [{"path": "A/1"}, {"path": "B/2"}]}})
    for well, fields in (("A/1", 2), ("B/2", 1)):
        group = root.create_group(well)
        attrs(group, {"well": {"images": [{"path": str(i)} for i in range(fields)]}})
        for i in range(fields):
            image = group.create_group(str(i))
            axes = [
                {"name": "y", "type": "space", "unit": "micrometer"},
                {"name": "x", "type": "space", "unit": "micrometer"},
            ]
            steps = [{"type": "scale", "scale": [0.5, 0.25]}]
            attrs(
                image,
                {
                    "multiscales": [
                        {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}]}
                    ]
                },
            )
            image.create_array("0", data=simulate_field((80, 90), 5, seed=i).image)
    return path


def test_every_field_is_an_image_with_its_pixel_size(plate: Path) -> None:
    fields = fields_of(plate)
    assert [stem_of(f) for f in fields] == ["plate_A_1_0", "plate_A_1_1", "plate_B_2_0"]
    image, is_stack = read_stack(fields[1])
    assert image.shape == (80, 90) and not is_stack
    assert pixel_size_um(fields[0], 2) == (0.5, 0.25)
    assert fields_of(fields[0]) == [fields[0]]


def test_segment_takes_a_plate_or_a_field(plate: Path, tmp_path: Path) -> None:
    assert main(["segment", str(plate), "--out", str(tmp_path / "o"), "--model", "classical"]) == 0
    names = sorted(p.name for p in (tmp_path / "o").glob("*.tif"))
    assert names == ["plate_A_1_0_mask.tif", "plate_A_1_1_mask.tif", "plate_B_2_0_mask.tif"]
    assert tifffile.imread(tmp_path / "o" / names[0]).shape == (80, 90)
    rest = ["segment", str(plate / "B" / "2" / "0"), "--out", str(tmp_path / "o"), "--model", "classical"]
    assert main(rest) == 1 and main([*rest, "--force"]) == 0  # the same field, by its path
    assert sorted(p.name for p in (tmp_path / "o").glob("*.tif")) == names
    one = ["segment", str(plate / "A" / "1" / "1"), "--out", str(tmp_path / "p"), "--model", "classical"]
    assert main(one) == 0
    again = tifffile.imread(tmp_path / "p" / "plate_A_1_1_mask.tif")
    np.testing.assert_array_equal(again, tifffile.imread(tmp_path / "o" / names[1]))


@pytest.mark.parametrize("name", ["../x", "/etc", "A/../..", "A/7", ""])
def test_a_plate_cannot_name_what_lies_outside(tmp_path: Path, name: str) -> None:
    root = zarr.open_group(str(tmp_path / "p.zarr"), mode="w", zarr_format=2)
    root.attrs["plate"] = {"wells": [{"path": name}]}
    with pytest.raises(ImageError, match=r"p\.zarr"):
        fields_of(tmp_path / "p.zarr")
