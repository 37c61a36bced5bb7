"""Clicks, boxes and masks on drawn discs."""

from __future__ import annotations

import numpy as np
import pytest

from napari_biofm.images.segment.embedded.clicks import prompt_planes
from napari_biofm.images.segment.embedded.model import EmbeddedModel
from napari_biofm.types import ImageError, Prompt, run_task


def point(y: float, x: float, **more: object) -> Prompt:
    """One positive click."""
    return Prompt(np.array([[y, x]], float), np.array([True]), **more)  # type: ignore[arg-type]


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union."""
    return float((a & b).sum() / max(1, (a | b).sum()))


def test_a_click_in_a_disc_gives_the_disc(shipped: EmbeddedModel, discs) -> None:
    image, truth = discs
    prepared = run_task(shipped.prepare(image))
    scores = []
    for k in range(1, truth.max() + 1):
        y, x = np.argwhere(truth == k).mean(0)
        masks, quality = shipped.predict(prepared, point(y, x))
        assert masks.shape[1:] == image.shape and masks.dtype == bool
        assert len(quality) == len(masks) and (np.diff(quality) <= 0).all()
        scores.append(overlap(masks[0], truth == k))
    assert np.mean(scores) > 0.85


def test_a_box_gives_the_disc_in_it(shipped: EmbeddedModel, discs) -> None:
    image, truth = discs
    prepared = run_task(shipped.prepare(image))
    where = np.argwhere(truth == 6)
    box = (*where.min(0).astype(float), *(where.max(0) + 1).astype(float))
    masks, _ = shipped.predict(prepared, Prompt(np.zeros((0, 2)), np.zeros(0, bool), box=box))
    assert overlap(masks[0], truth == 6) > 0.75


def test_a_mask_can_be_handed_back_for_refinement(shipped: EmbeddedModel, discs) -> None:
    image, truth = discs
    prepared = run_task(shipped.prepare(image))
    masks, _ = shipped.predict(prepared, point(28, 26, mask=truth == 1))
    assert overlap(masks[0], truth == 1) > 0.75


def test_every_click_on_a_mask_is_kept_not_only_the_last(shipped: EmbeddedModel, discs) -> None:
    image, truth = discs
    prepared = run_task(shipped.prepare(image))
    joined = np.isin(truth, (1, 2, 3))
    centres = np.array([np.argwhere(truth == k).mean(0) for k in (2, 3)])
    masks, _ = shipped.predict(prepared, Prompt(centres, np.zeros(2, bool), mask=joined))
    for y, x in centres.astype(int):
        assert not masks[0][y, x]
    assert overlap(masks[0], truth == 1) > 0.5


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (Prompt(np.zeros((0, 2)), np.zeros(0, bool)), "no positive point"),
        (Prompt(np.array([[3.0, 3.0]]), np.array([False])), "no positive point"),
        (Prompt(np.array([[3.0, np.nan]]), np.array([True])), "not finite"),
        (Prompt(np.array([[3.0, 3.0]]), np.array([True, False])), "1 points but 2 signs"),
        (Prompt(np.zeros((0, 2)), np.zeros(0, bool), box=(5.0, 5.0, 5.0, 9.0)), "is empty"),
        (Prompt(np.zeros((0, 2)), np.zeros(0, bool), mask=np.ones((3, 3), bool)), "mask has shape"),
    ],
)
def test_prompts_that_say_nothing_are_refused(model: EmbeddedModel, discs, prompt: Prompt, said: str) -> None:
    prepared = run_task(model.prepare(discs[0]))
    with pytest.raises(ImageError, match=said):
        model.predict(prepared, prompt)


@pytest.mark.parametrize("spot", [(0, 0), (149, 199), (-40, 500)])
def test_clicks_at_and_beyond_the_edge_are_answered(model: EmbeddedModel, discs, spot) -> None:
    prepared = run_task(model.prepare(discs[0]))
    masks, scores = model.predict(prepared, point(*spot))
    assert masks.shape[1:] == discs[0].shape and np.isfinite(scores).all()


@pytest.mark.parametrize("image", [np.zeros((1, 1)), np.zeros((50, 3)), np.ones((200, 200), np.uint8)])
def test_clicks_on_odd_images_are_answered(model: EmbeddedModel, image: np.ndarray) -> None:
    prepared = run_task(model.prepare(image))
    masks, _ = model.predict(prepared, point(0, 0))
    assert masks.shape[1:] == image.shape


def test_the_same_click_gives_the_same_mask(model: EmbeddedModel, discs) -> None:
    prepared = run_task(model.prepare(discs[0]))
    first, second = (model.predict(prepared, point(30, 30))[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_planes_show_clicks_box_mask_and_basin() -> None:
    basins = np.zeros((16, 16), np.int32)
    basins[:8], basins[8:] = 1, 2
    mask = np.eye(16, dtype=np.float32)
    points, positive = np.array([[3.0, 4.0], [12.0, 5.0]]), np.array([True, False])
    planes = prompt_planes((16, 16), points, positive, np.array([2.0, 2.0, 6.0, 9.0]), mask, basins)
    assert planes[0].argmax() == 3 * 16 + 4 and planes[1].argmax() == 12 * 16 + 5
    assert planes[2].sum() == 4 * 7
    np.testing.assert_array_equal(planes[3], mask)
    np.testing.assert_array_equal(planes[4], basins == 1)
    assert (planes[5] == 1).all()
