"""Images larger than memory: opened lazily, worked through in parts, labels on disk, stopped and gone on."""

import json

import numpy as np
import pytest
import tifffile
import zarr
from scipy import ndimage

from napari_biofm.images.io import lazy
from napari_biofm.images.io.lazy import LazyImage, open_lazily
from napari_biofm.images.protocols import StackOptions
from napari_biofm.images.tiling import large_images
from napari_biofm.images.tiling.large_images import segment_large
from napari_biofm.images.tiling.pass_store import PassStore
from napari_biofm.types import (
    Capabilities,
    ImageError,
    ModelError,
    Progress,
    Segmentation,
    SegmentationParameters,
    run_task,
)

DEFAULT = SegmentationParameters()
MADE = {"weights_sha256": "abc", "versions": {"torch": "2"}}


class Threshold:
    """Finds what is brighter than 0.5; counts its calls and the largest part it saw."""

    weights_sha256 = ""
    capabilities = Capabilities(segments=True)

    def __init__(self, name="threshold"):
        self.name, self.calls, self.largest = name, 0, 0

    def segment(self, image, parameters):
        self.calls += 1
        self.largest = max(self.largest, image.shape[0] * image.shape[1])
        yield Progress(1, 1, "looking")
        return Segmentation(ndimage.label(image > 0.5)[0].astype(np.int32), diameter=18.0, provenance=MADE)


@pytest.fixture
def discs(monkeypatch):
    """Discs on a grid, and blocks small enough that they are many."""
    monkeypatch.setattr(large_images, "BLOCK", 128)
    monkeypatch.setattr(large_images, "LARGE", 200 * 200)
    monkeypatch.setattr(large_images, "MARGIN", 32)
    y, x = np.mgrid[:300, :410]
    image = np.zeros(y.shape, np.float32)
    for cy in range(12, 300, 24):
        for cx in range(14, 410, 24):
            image[(y - cy) ** 2 + (x - cx) ** 2 < 9**2] = 1
    return image


def same_objects(labels, expected):
    return np.array_equal(labels > 0, expected > 0) and (
        len(np.unique(np.stack([labels.ravel(), expected.ravel()]), axis=1)[0]) == expected.max() + 1
    )


def test_an_ome_zarr_goes_in_parts_and_its_labels_stay_on_disk(discs, tmp_path):
    group = zarr.open_group(str(tmp_path / "plate.ome.zarr"), mode="w")
    pixels = group.create_array("0", shape=(1, 2, 1, 300, 410), chunks=(1, 1, 1, 64, 64), dtype="f4")
    pixels[0, 0, 0] = pixels[0, 1, 0] = discs
    group.attrs["multiscales"] = [
        {"axes": [{"name": n} for n in "tczyx"], "datasets": [{"path": "0"}], "version": "0.4"}
    ]
    image = open_lazily(tmp_path / "plate.ome.zarr")
    assert image.shape == (300, 410, 2) and not image.is_stack
    np.testing.assert_array_equal(image[10:20, 30:50][..., 1], discs[10:20, 30:50])

    class First(Threshold):
        def segment(self, image, parameters):
            result = yield from super().segment(image[..., 0], parameters)
            return result

    model = First()
    result = run_task(segment_large(model, image, DEFAULT, store=PassStore(tmp_path / "cache")))
    assert isinstance(result.labels(), np.memmap) and model.largest < 200 * 200
    assert same_objects(result.labels(), ndimage.label(discs > 0.5)[0])
    assert result.objects == result.labels().max() and result.diameter == 18.0
    assert result.provenance["versions"] == {"torch": "2"} and result.provenance["parts"] == 12


def test_a_killed_run_goes_on_with_the_blocks_that_are_missing(discs, tmp_path):
    store, image = PassStore(tmp_path), LazyImage(discs, "YX")
    whole = run_task(segment_large(Threshold(), image, DEFAULT, store=PassStore(tmp_path / "other")))
    first = Threshold()
    task = segment_large(first, image, DEFAULT, store=store)
    while first.calls < 4:
        next(task)
    task.close()  # in the middle of the fourth block
    again = Threshold()
    result = run_task(segment_large(again, image, DEFAULT, store=store))
    assert again.calls == 12 - 3
    np.testing.assert_array_equal(result.labels(), whole.labels())
    done = Threshold()
    run_task(segment_large(done, image, DEFAULT, store=store))
    assert done.calls == 0


def test_labels_of_another_image_model_or_setting_are_not_used(discs, tmp_path):
    store = PassStore(tmp_path)
    run_task(segment_large(Threshold(), LazyImage(discs, "YX"), DEFAULT, store=store))
    other = discs.copy()
    other[-1, -1] = 0.4
    for model, image, parameters in (
        (Threshold(), other, DEFAULT),
        (Threshold("another"), discs, DEFAULT),
        (Threshold(), discs, SegmentationParameters(min_size=3)),
    ):
        run_task(segment_large(model, LazyImage(image, "YX"), parameters, store=store))
        assert model.calls == 12


@pytest.mark.parametrize("mode", ["time", "stitch"])
def test_stacks_go_plane_by_plane(discs, tmp_path, mode):
    stack = np.stack([discs[:80, :90]] * 3 + [np.zeros((80, 90), np.float32)])
    model, options = Threshold(), StackOptions(mode)
    task = segment_large(model, LazyImage(stack, "ZYX"), DEFAULT, options, PassStore(tmp_path))
    while model.calls < 2:
        next(task)
    task.close()
    result = run_task(segment_large(model, LazyImage(stack, "ZYX"), DEFAULT, options, PassStore(tmp_path)))
    assert model.calls == 1 + 1 + 3  # the second was not finished
    labels, count = result.labels(), ndimage.label(stack[0] > 0.5)[1]
    assert labels.shape == stack.shape and labels[3].max() == 0
    assert result.objects == (count if mode == "stitch" else 3 * count)
    assert np.array_equal(labels[0], labels[2]) == (mode == "stitch")


def test_3d_flows_go_in_blocks_of_all_planes(discs, tmp_path, monkeypatch):
    class Volume(Threshold):
        capabilities = Capabilities(segments=True, stacks=True)

        def segment_stack(self, stack, parameters, mode, anisotropy, stitch_threshold, limits=None):
            assert mode == "flows" and anisotropy == 2.0 and limits.shape == (1, 2)
            self.calls, self.largest = self.calls + 1, max(self.largest, stack.size)
            yield Progress(1, 1, "looking")
            return Segmentation(ndimage.label(stack > 0.5)[0].astype(np.int32))

    monkeypatch.setattr(large_images, "_LEAST_SIDE", 64)
    monkeypatch.setattr(large_images, "LARGE_STACK", 8 * 128 * 128)
    volume = np.zeros((4, *discs.shape), np.float32)
    volume[0], volume[2:] = discs, discs  # two objects above each other, everywhere
    model, image = Volume(), LazyImage(volume, "ZYX")
    result = run_task(
        segment_large(model, image, DEFAULT, StackOptions("flows", anisotropy=2.0), PassStore(tmp_path))
    )
    assert model.calls == large_images.parts_of(image, StackOptions("flows")).blocks > 4
    assert model.largest <= 4 * (64 + 64) ** 2
    assert same_objects(result.labels(), ndimage.label(volume > 0.5)[0])


def test_the_command_line_goes_in_parts_and_says_so(discs, tmp_path, monkeypatch, capsys):
    from napari_biofm.cli import main

    monkeypatch.setattr(lazy, "LARGE", 200 * 200)
    monkeypatch.setenv("NAPARI_BIOFM_CACHE", str(tmp_path / "cache"))
    model = Threshold()
    for module in ("cli", "api"):
        monkeypatch.setattr(f"napari_biofm.{module}.images.make_segmenter", lambda name, device: model)
    tifffile.imwrite(tmp_path / "slide.tif", (200 * discs).astype(np.uint8))
    assert main(["segment", str(tmp_path / "slide.tif"), "--out", str(tmp_path / "out")]) == 0
    assert "Large image: 12 blocks" in capsys.readouterr().err
    expected, count = ndimage.label(discs > 0.5)
    masks = tifffile.imread(tmp_path / "out" / "slide_mask.tif")
    assert masks.dtype == np.uint16 and same_objects(masks.astype(np.int32), expected)
    (row,) = json.loads((tmp_path / "out" / "report.json").read_text())["images"]
    assert row["objects"] == count and model.largest < 200 * 200


def test_what_cannot_be_done_in_parts_is_said(discs, tmp_path):
    with pytest.raises(ModelError, match="planes only"):
        run_task(
            segment_large(Threshold(), LazyImage(np.zeros((3, 9, 9)), "ZYX"), DEFAULT, StackOptions("flows"))
        )
    with pytest.raises(ImageError, match="time and z"):
        LazyImage(np.zeros((2, 2, 9, 9)), "TZYX")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiffs_are_opened_not_read(tmp_path, compression):
    data = np.arange(3 * 40 * 50, dtype=np.uint16).reshape(3, 40, 50)
    tifffile.imwrite(
        tmp_path / "z.tif", data, metadata={"axes": "ZYX"}, photometric="minisblack", compression=compression
    )
    image = open_lazily(tmp_path / "z.tif")
    assert image.is_stack and image.shape == (3, 40, 50)
    np.testing.assert_array_equal(image[1][5:9], data[1, 5:9])
    np.save(tmp_path / "c.npy", data)
    assert open_lazily(tmp_path / "c.npy").shape == (40, 50, 3)
    assert open_lazily(tmp_path / "photo.png") is None
