"""What an image file holds beside intensities: alpha, palettes, thumbnails, axes, names of channels, NaN."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_biofm.api.images import chosen_channels, read_image, read_masks, segment
from napari_biofm.cli import main
from napari_biofm.images.io.lazy import open_described, open_lazily
from napari_biofm.types import ImageError

GREY = np.arange(30 * 40, dtype=np.uint16).reshape(30, 40) % 200


@pytest.fixture
def grey() -> Any:
    return GREY.astype(np.uint8)


def test_alpha_of_pictures_is_no_channel(tmp_path: Path, grey: Any) -> None:
    alpha = np.where(grey > 100, 255, 0).astype(np.uint8)
    Image.fromarray(np.dstack([grey, alpha]), "LA").save(tmp_path / "la.png")
    Image.fromarray(np.dstack([grey, grey // 2, grey // 3, alpha]), "RGBA").save(tmp_path / "rgba.png")
    assert np.array_equal(read_image(tmp_path / "la.png"), grey)
    assert np.array_equal(read_image(tmp_path / "rgba.png"), np.dstack([grey, grey // 2, grey // 3]))


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_alpha_of_a_tiff_is_no_channel(tmp_path: Path, grey: Any, compression: Any, planar: Any) -> None:
    samples = np.stack([grey, grey // 2, grey // 3, np.full_like(grey, 255)], -1 if planar == "contig" else 0)
    tifffile.imwrite(
        tmp_path / "a.tif",
        samples,
        photometric="rgb",
        planarconfig=planar,
        extrasamples=["unassalpha"],
        compression=compression,
    )
    lazy = open_lazily(tmp_path / "a.tif")
    assert lazy is not None and lazy.shape == (30, 40, 3)
    wanted = np.dstack([grey, grey // 2, grey // 3])
    assert np.array_equal(read_image(tmp_path / "a.tif"), wanted)
    assert np.array_equal(lazy[5:9, ::2], wanted[5:9, ::2])


def test_a_fourth_sample_that_is_no_alpha_stays(tmp_path: Path, grey: Any) -> None:
    samples = np.stack([grey, grey // 2, grey // 3, grey // 4], -1)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", extrasamples=["unspecified"])
    assert read_image(tmp_path / "a.tif").shape == (30, 40, 4)


def test_palettes_become_colours_and_labels_stay_numbers(tmp_path: Path, grey: Any) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (256, 3))
    table = (colours.T * 257).astype(np.uint16)
    tifffile.imwrite(tmp_path / "p.tif", grey, photometric="palette", colormap=table)
    picture = Image.fromarray(grey, "P")
    picture.putpalette(colours.astype(np.uint8).tobytes())
    picture.save(tmp_path / "p.png")
    for name in ("p.tif", "p.png"):
        assert np.array_equal(read_image(tmp_path / name), colours[grey]), name
        assert np.array_equal(read_masks(tmp_path / name), grey), name
    lazy = open_lazily(tmp_path / "p.tif")
    assert lazy is not None and np.array_equal(lazy[3:5, 7:9, 1], colours[grey][3:5, 7:9, 1])


def test_a_table_for_display_leaves_the_intensities(tmp_path: Path, grey: Any) -> None:
    ramp = np.arange(256)
    fire = np.stack([np.minimum(ramp * 2, 255), ramp, np.maximum(0, ramp * 2 - 256)]) * 257
    for name, table in (("fire", fire), ("inverted", fire[:, ::-1])):
        tifffile.imwrite(
            tmp_path / f"{name}.tif", grey, photometric="palette", colormap=table.astype(np.uint16)
        )
        assert np.array_equal(read_image(tmp_path / f"{name}.tif"), grey)


def test_the_largest_series_is_taken_and_said(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "t.tif") as file:
        file.write(np.zeros((4, 5), np.uint8))
        file.write(GREY, photometric="minisblack")
    opened = open_described(tmp_path / "t.tif")
    lazy = open_lazily(tmp_path / "t.tif")
    assert np.array_equal(opened.pixels[:], GREY) and lazy is not None and lazy.shape == GREY.shape
    assert "the largest, number 1 (30 x 40)" in opened.notes[0]


def test_what_bioformats2raw_writes_opens_at_its_largest_image(tmp_path: Path) -> None:
    import zarr

    root = zarr.open_group(tmp_path / "b.zarr", mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    for name, shape in (("0", (1, 2, 1, 6, 7)), ("1", (1, 2, 1, 30, 40)), ("OME", None)):
        group = root.create_group(name)
        if shape is None:
            continue
        group.attrs["multiscales"] = [
            {"axes": [{"name": a} for a in "tczyx"], "datasets": [{"path": "0"}], "version": "0.4"}
        ]
        group.attrs["omero"] = {"channels": [{"label": "DAPI"}, {"label": "actin"}]}
        group.create_array("0", data=np.arange(np.prod(shape), dtype=np.uint16).reshape(shape))
    opened = open_described(tmp_path / "b.zarr")
    assert opened.pixels.shape == (30, 40, 2) and opened.channels == ("DAPI", "actin")
    assert "the largest, '1'" in opened.notes[0]
    assert np.array_equal(
        open_described(tmp_path / "b.zarr", channels=["actin"]).pixels[:], opened.pixels[..., 1]
    )


def test_names_of_channels_are_kept(tmp_path: Path) -> None:
    planes = np.stack([GREY, GREY + 1, GREY + 2]).astype(np.uint16)
    tifffile.imwrite(
        tmp_path / "o.ome.tif",
        planes,
        metadata={"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP", "TxRed"]}},
    )
    tifffile.imwrite(
        tmp_path / "i.tif", planes, imagej=True, metadata={"axes": "CYX", "Labels": ["DAPI", "GFP", "TxRed"]}
    )
    for name in ("o.ome.tif", "i.tif"):
        opened = open_described(tmp_path / name)
        assert opened.channels == ("DAPI", "GFP", "TxRed") and opened.pixels.shape == (30, 40, 3)
        chosen = open_described(tmp_path / name, channels=["txred", 0])
        assert chosen.channels == ("TxRed", "DAPI")
        assert np.array_equal(chosen.pixels[:], np.dstack([planes[2], planes[0]]))


def test_channels_that_are_not_there_are_refused_by_name(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "i.tif", np.stack([GREY] * 3), imagej=True, metadata={"axes": "CYX"})
    with pytest.raises(ImageError, match=r"no channel 3; it has 0 \(channel 0\), 1"):
        open_described(tmp_path / "i.tif", channels=[3])
    with pytest.raises(ImageError, match="no channel 'DAPI'"):
        open_described(tmp_path / "i.tif", channels=["DAPI"])
    with pytest.raises(ImageError, match="asked for twice"):
        open_described(tmp_path / "i.tif", channels=[1, 1])
    with pytest.raises(ImageError, match="without a first"):
        chosen_channels(None, 1)


def test_a_guess_of_axes_is_told_and_can_be_corrected(tmp_path: Path) -> None:
    planes = np.stack([GREY + k for k in range(5)]).astype(np.uint16)
    with tifffile.TiffWriter(tmp_path / "plain.tif") as file:
        for plane in planes:
            file.write(plane, metadata=None, contiguous=False, photometric="minisblack")
    np.save(tmp_path / "plain.npy", planes)
    for name in ("plain.tif", "plain.npy"):
        guessed = open_described(tmp_path / name)
        assert guessed.is_stack and "read as ZYX" in guessed.notes[0]
        told = open_described(tmp_path / name, axes="CYX")
        assert not told.is_stack and told.pixels.shape == (30, 40, 5) and not told.notes
    with pytest.raises(ImageError, match="has 3 axes"):
        open_described(tmp_path / "plain.npy", axes="YX")
    with pytest.raises(ImageError, match="axes 'QYX'"):
        open_described(tmp_path / "plain.npy", axes="QYX")


def test_the_command_line_takes_axes_and_channel(tmp_path: Path, capsys: Any) -> None:
    spots = np.zeros((60, 70), np.uint16)
    spots[20:32, 20:32] = spots[40:50, 50:60] = 900
    rng = np.random.default_rng(0)
    planes = np.stack([rng.poisson(20, spots.shape), spots + rng.poisson(20, spots.shape)] * 3).astype(
        np.uint16
    )
    np.save(tmp_path / "a.npy", planes[:5])
    call = ["segment", str(tmp_path / "a.npy"), "--out", str(tmp_path / "o"), "--model", "classical"]
    assert main([*call, "--axes", "CYX", "--channel", "1"]) == 0
    masks = tifffile.imread(tmp_path / "o" / "a_mask.tif")
    assert masks.shape == (60, 70) and masks.max() == 2
    assert main([*call, "--channel", "1", "--axes", "CYXZ", "--force"]) == 1
    assert "name each" in capsys.readouterr().err
    assert json.loads((tmp_path / "o" / "report.json").read_text())["failed"]


@pytest.mark.parametrize("shape", [(20, 30), (4, 20, 30)])
def test_an_image_of_nan_is_refused(tmp_path: Path, shape: Any) -> None:
    axes = {"axes": "ZYX"[-len(shape) :]}
    empty = np.full(shape, np.nan, np.float32)
    tifffile.imwrite(tmp_path / "n.tif", empty, metadata=axes, photometric="minisblack")
    for model in ("classical", "biofm-image"):
        with pytest.raises(ImageError, match="no finite value"):
            segment(tmp_path / "n.tif", model=model)
    assert (
        main(["segment", str(tmp_path / "n.tif"), "--out", str(tmp_path / "o"), "--model", "classical"]) == 1
    )


def test_an_array_s_channel_is_chosen_by_number() -> None:
    spots = np.zeros((60, 70), np.uint16)
    spots[20:32, 20:32] = 900
    image = np.dstack([np.zeros_like(spots), spots])
    assert segment(image, model="classical", channel=1).masks.max() == 1
    assert segment(image, model="classical", channel=0).masks.max() == 0
