"""Clicks without a network, and clicks from a file."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_biofm.images.prompt.click import click, read_prompts, save_clicks
from napari_biofm.images.prompt.flow_basins import Basins, FlowBasins, lookup, region
from napari_biofm.images.prompt.level_sets import LevelSets
from napari_biofm.types import ImageError, Prompt, Promptable, Segmentation, run_task


def blobs(centres=((30, 30), (30, 62), (75, 50)), shape=(110, 100), radius=11):
    """A picture of round cells, and their labels."""
    y, x = np.indices(shape)
    image, labels = np.zeros(shape, np.float32), np.zeros(shape, np.int32)
    for k, (cy, cx) in enumerate(centres, 1):
        far = np.hypot(y - cy, x - cx)
        image += 100 / (1 + np.exp((far - radius) / 1.0))
        labels[far < radius] = k
    rng = np.random.default_rng(3)
    return image + 20 + rng.normal(0, 2, shape).astype(np.float32), labels


def prompt(*points, box=None, mask=None):
    """Points as (y, x, sign)."""
    array = np.array(points, float).reshape(-1, 3)
    return Prompt(array[:, :2], array[:, 2] == 1, box, mask)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.fixture(name="table")
def table_fixture():
    """Basins of two touching cells and a faint third."""
    y, x = np.indices((60, 90))
    distances = np.stack([np.hypot(y - 30, x - 25), np.hypot(y - 30, x - 47), np.hypot(y - 30, x - 75)])
    basins = np.where(distances.min(axis=0) < 14, distances.argmin(axis=0) + 1, 0)
    peak = np.array([8.0, 8.0, 0.5])[distances.argmin(axis=0)]
    return Basins.from_arrays(basins, (peak - 0.8 * distances.min(axis=0)).astype(np.float32))


def test_a_click_takes_its_basin_even_below_the_threshold(table):
    one = lookup(table, prompt((30, 25, 1)))
    assert one.pieces[0].overlap(region(table, 1, 0.0)) == 1
    assert len(one.pieces) == 3 and one.pieces[1].area < one.pieces[0].area < one.pieces[2].area
    faint = lookup(table, prompt((30, 79, 1)))
    assert faint.pieces and faint.pieces[0].within((30, 79), (1, 1)).mask.all()


def test_a_second_click_merges_basins_and_a_negative_one_splits_a_basin(table):
    both = lookup(table, prompt((30, 20, 1), (30, 52, 1))).pieces[0].within((0, 0), table.shape).mask
    parts = [region(table, k, 0.0).within((0, 0), table.shape).mask for k in (1, 2)]
    assert both[parts[0] | parts[1]].all()
    seam = both & ~parts[0] & ~parts[1]
    rows, columns = np.nonzero(seam)
    assert len(rows) < 0.1 * both.sum() and np.isin(table.basins[seam], (1, 2)).all()
    assert abs(columns - 36).max() <= 3, "what lies between them below the threshold is closed"
    half = lookup(table, prompt((30, 20, 1), (30, 31, 0)))
    assert 0.2 < half.pieces[0].area / region(table, 1, 0.0).area < 0.8


def test_a_box_takes_the_basins_it_holds_and_a_threshold_grows_the_cell(table):
    boxed = lookup(table, prompt(box=(15, 10, 45, 36)))
    assert boxed.pieces[0].overlap(region(table, 1, 0.0)) > 0.95
    assert region(table, 1, -3.0).area > region(table, 1, 0.0).area > region(table, 1, 3.0).area


def test_a_click_beside_every_basin_gives_nothing_and_a_segmentation_without_flows_is_refused(table):
    assert lookup(table, prompt((2, 2, 1))).pieces == ()
    tool = FlowBasins(Segmentation(np.zeros((5, 5), np.int32)))
    assert isinstance(tool, Promptable)
    with pytest.raises(ImageError, match="keeps no flows"):
        run_task(tool.prepare(np.zeros((5, 5))))


@pytest.mark.parametrize("turn", [lambda i: i, lambda i: 255 - i, lambda i: np.stack([i, i / 2, 0 * i], -1)])
def test_level_sets_find_bright_dark_and_coloured_blobs_from_one_click(turn):
    image, labels = blobs()
    tool = LevelSets()
    prepared = run_task(tool.prepare(turn(image)))
    for k, at in enumerate(((30, 30), (30, 62), (75, 50)), 1):
        masks, scores = tool.predict(prepared, prompt((*at, 1)))
        assert iou(masks[0], labels == k) > 0.8
        assert scores.min() >= 0 and scores.max() <= 1 and masks.shape[1:] == labels.shape


def test_level_sets_answer_boxes_and_corrections():
    image, labels = blobs(centres=((30, 30), (30, 49)))
    tool = LevelSets()
    prepared = run_task(tool.prepare(image))
    masks, _ = tool.predict(prepared, prompt(box=(18, 18, 42, 40)))
    assert iou(masks[0], labels == 1) > 0.6
    start = labels > 0
    masks, _ = tool.predict(prepared, prompt((30, 55, 0), mask=start))
    assert iou(masks[0], labels == 1) > 0.7
    masks, _ = tool.predict(prepared, prompt((30, 52, 1), mask=labels == 1))
    assert masks[0][30, 52] and masks[0][30, 30]


def test_level_sets_on_a_flat_or_tiny_image_give_an_empty_mask_without_an_error():
    tool = LevelSets()
    for image in (np.zeros((50, 50)), np.full((1, 1), 3.0), np.full((30, 4), np.nan)):
        masks, _ = tool.predict(run_task(tool.prepare(image)), prompt((0, 0, 1)))
        assert masks.shape[1:] == image.shape


def test_prompts_without_a_place_are_refused():
    tool = LevelSets()
    prepared = run_task(tool.prepare(blobs()[0]))
    with pytest.raises(ImageError, match="click inside"):
        tool.predict(prepared, prompt((3, 3, 0)))


def test_prompts_from_a_file_give_labels_where_later_objects_do_not_overwrite(tmp_path):
    image, _ = blobs()
    objects = [
        {"id": 7, "points": [[30, 30, 1]], "box": None},
        {"id": 3, "points": [], "box": [18, 18, 42, 75]},
    ]
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps(objects))
    done = run_task(click(image, read_prompts(path), model="level-sets"))
    assert set(np.unique(done.labels)) <= {0, 3, 7}
    assert np.array_equal(done.labels == 7, done.masks[7]), "the first object keeps its pixels"
    tif, npz = save_clicks(done, tmp_path / "out", "field")
    assert tif.name == "field_clicks.tif"
    with np.load(npz) as archive:
        assert set(archive.files) == {"7", "3"} and archive["7"].dtype == bool


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"id": 0, "points": [[1, 1, 1]]}, "between 1"),
        ({"id": "a", "points": [[1, 1, 1]]}, "wanted"),
        ({"id": 1, "points": [[1, 1]]}, "points are"),
        ({"id": 1, "points": [[1, 1, 2]]}, "third number"),
        ({"id": 1, "points": [[1, 1, 0]], "box": None}, "neither"),
        ({"id": 1, "points": [[float("nan"), 1, 1]]}, "finite"),
        ({"id": 1, "points": [], "box": [1, 2, 3]}, "a box is"),
        ("x", "wanted"),
    ],
)
def test_a_wrong_prompt_is_named_with_its_place_in_the_file(tmp_path, entry, words):
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps([{"id": 9, "points": [[1, 1, 1]]}, entry]))
    with pytest.raises(ImageError, match=words) as caught:
        read_prompts(path)
    assert "object 1" in str(caught.value)


def test_a_point_outside_of_the_image_and_an_id_given_twice_are_refused(tmp_path):
    path = tmp_path / "p.json"
    path.write_text(json.dumps([{"id": 1, "points": [[500, 1, 1]]}]))
    with pytest.raises(ImageError, match=r"point \(500, 1\) lies outside"):
        run_task(click(blobs()[0], read_prompts(path), model="level-sets"))
    path.write_text(json.dumps([{"id": 1, "points": [[5, 1, 1]]}] * 2))
    with pytest.raises(ImageError, match="more than one object"):
        read_prompts(path)
