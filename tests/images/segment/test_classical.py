"""The classical segmenter, image checks, and stacks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_biofm.images.io.checks import check_image
from napari_biofm.images.io.files import read_image
from napari_biofm.images.io.lazy import read_stack
from napari_biofm.images.segment.catalogue import FAMILIES, make_model
from napari_biofm.images.segment.classical import ClassicalSegmenter
from napari_biofm.images.segment.jobs import segment_job
from napari_biofm.images.segment.stacks import segment_stack
from napari_biofm.images.tiling.stitching import stitch
from napari_biofm.simulate import simulate_field, simulate_stack
from napari_biofm.types import ImageError, ModelError, SegmentationParameters, run_task

DEFAULT = SegmentationParameters()


def matched(masks: np.ndarray, truth: np.ndarray) -> float:
    """Fraction of true objects met by an object with IoU above one half."""
    found = 0
    for label in range(1, truth.max() + 1):
        inside = truth == label
        others = np.unique(masks[inside])
        found += any(
            np.sum(inside & (masks == o)) / np.sum(inside | (masks == o)) > 0.5 for o in others[others > 0]
        )
    return found / truth.max()


def test_separate_nuclei_are_found() -> None:
    field = simulate_field((200, 200), 25, crowding=-0.5, seed=0)
    result = run_task(segment_job(field.image, "classical", DEFAULT))
    assert matched(result.masks, field.masks) > 0.9
    assert result.diameter == pytest.approx(17, abs=4)
    assert result.features is not None
    assert result.features.data.shape == (12, 100, 100)
    assert result.provenance["model"] == "classical"


def test_dark_cells_on_a_bright_ground_are_found_too() -> None:
    field = simulate_field((200, 200), 25, crowding=-0.5, seed=0)
    result = run_task(segment_job(4095 - field.image, "classical", DEFAULT))
    assert matched(result.masks, field.masks) > 0.9


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 64), np.uint8),
        np.full((50, 40), 65535, np.uint16),
        np.ones((1, 1), np.float32),
        np.random.default_rng(0).normal(100, 5, (128, 128)),
        np.zeros((2, 300)),
        np.zeros((64, 64, 16), np.uint8),
    ],
    ids=["blank", "saturated", "1 x 1", "noise", "a line", "16 channels"],
)
def test_where_there_are_no_cells_there_are_no_masks(image: np.ndarray) -> None:
    result = run_task(segment_job(image, "classical", DEFAULT))
    assert result.masks.shape == image.shape[:2]
    assert result.masks.max() == 0


def test_bad_pixels_do_not_spoil_the_good_ones() -> None:
    field = simulate_field((200, 200), 25, crowding=-0.5, seed=0)
    image = field.image.astype(np.float32)
    image[:3, :3], image[5, 5] = np.nan, np.inf
    assert matched(run_task(segment_job(image, "classical", DEFAULT)).masks, field.masks) > 0.9


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((0, 10)), "is empty"),
        (np.full((8, 8), np.nan), "no finite value"),
        (np.zeros((8, 8), complex), "real numbers"),
        (np.zeros(8), "give \\(Y, X\\)"),
    ],
)
def test_an_image_that_cannot_be_used_says_why(image: np.ndarray, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        check_image(image, "cells.tif")


def test_files_that_are_no_images_are_named(tmp_path: Path) -> None:
    empty, text, cut = (tmp_path / n for n in ("empty.tif", "text.tif", "cut.tif"))
    empty.touch()
    text.write_text("not an image")
    tifffile.imwrite(cut, np.random.default_rng(0).integers(0, 99, (300, 300), np.uint16), compression="zlib")
    cut.write_bytes(cut.read_bytes()[:2000])
    for path in (empty, text, cut, tmp_path / "absent.tif"):
        with pytest.raises(ImageError, match=path.name):
            read_image(path)


def test_axes_are_read_from_the_file_or_told_by_size(tmp_path: Path) -> None:
    cases = {
        "zyx.ome.tif": (np.zeros((5, 30, 40), np.uint8), {"axes": "ZYX"}, (5, 30, 40), True),
        "cyx.ome.tif": (np.zeros((2, 30, 40), np.uint8), {"axes": "CYX"}, (30, 40, 2), False),
        "tyx.ome.tif": (np.zeros((3, 30, 40), np.uint8), {"axes": "TYX"}, (3, 30, 40), True),
    }
    for name, (array, metadata, shape, is_stack) in cases.items():
        tifffile.imwrite(tmp_path / name, array, ome=True, metadata=metadata, photometric="minisblack")
        image, stack = read_stack(tmp_path / name)
        assert (image.shape, stack) == (shape, is_stack), name
    for name, shape, wanted, is_stack in (
        ("rgb.npy", (30, 40, 3), (30, 40, 3), False),
        ("few.npy", (3, 30, 40), (30, 40, 3), False),
        ("many.npy", (12, 30, 40), (12, 30, 40), True),
    ):
        np.save(tmp_path / name, np.zeros(shape, np.uint8))
        image, stack = read_stack(tmp_path / name)
        assert (image.shape, stack) == (wanted, is_stack), name


def test_objects_of_neighbouring_planes_are_joined() -> None:
    planes = np.zeros((3, 20, 20), np.int32)
    planes[0, 2:8, 2:8], planes[1, 3:9, 2:8], planes[2, 3:9, 3:9] = 1, 2, 1
    planes[1, 12:16, 12:16] = 1
    joined = stitch(planes)
    assert joined.max() == 2
    assert len({joined[0, 4, 4], joined[1, 5, 4], joined[2, 5, 5]}) == 1
    assert joined[1, 13, 13] not in (0, joined[0, 4, 4])


def test_a_stack_is_segmented_with_one_label_per_nucleus() -> None:
    stack = simulate_stack((10, 96, 96), n_cells=8, seed=1)
    result = run_task(segment_stack(ClassicalSegmenter(), stack.image, SegmentationParameters()))
    assert result.masks.shape == stack.masks.shape
    assert 0.6 * stack.masks.max() <= result.masks.max() <= 2 * stack.masks.max()


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match="no model is called 'magic'"):
        make_model("magic")
    assert all(family.good_for for family in FAMILIES.values())
