"""SAM driven by us says what stock SamPredictor says."""

import numpy as np
import pytest

from napari_biofm.images.prompt import sam as module
from napari_biofm.images.prompt.sam import SAM, Prepared
from napari_biofm.images.prompt.sam_automatic import Candidate, merge, point_grid, select
from napari_biofm.types import (
    Embedder,
    ImageError,
    ModelError,
    Prompt,
    Promptable,
    SegmentationParameters,
    Segmenter,
    run_task,
)

NO_POINTS = (np.zeros((0, 2)), np.zeros(0, bool))


@pytest.fixture(scope="module")
def ours(sam_weights):
    return SAM(sam_weights, "cpu", dtype="float32")


@pytest.fixture(scope="module")
def picture():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:180, :240]
    grey = 60 + 120 * (((y - 80) ** 2 + (x - 90) ** 2) < 40**2) + rng.normal(0, 5, y.shape)
    return np.stack([grey, grey * 0.8, 255 - grey], -1).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def prepared(ours, picture):
    return run_task(ours.prepare(picture))


@pytest.fixture(scope="module")
def stock(small_sam, sam_weights, picture):
    import torch
    from segment_anything import SamPredictor

    network = small_sam()
    network.load_state_dict(torch.load(sam_weights, weights_only=True))
    predictor = SamPredictor(network.eval())
    predictor.set_image(picture)
    return predictor


def test_it_is_promptable_an_embedder_and_a_segmenter(ours):
    assert isinstance(ours, Promptable) and isinstance(ours, Embedder) and isinstance(ours, Segmenter)


def test_the_embedding_equals_stock(prepared, stock):
    expected = stock.get_image_embedding().numpy()[0]
    assert expected.std() > 0.1
    assert np.abs(prepared.tiles[0].features - expected).max() < 1e-4


@pytest.mark.parametrize(
    ("points", "positive", "box"),
    [
        ([(80, 90)], [True], None),
        ([(80, 90), (10, 200), (100, 60)], [True, False, True], None),
        ([], [], (35, 45, 125, 140)),
        ([(80, 90)], [True], (35, 45, 125, 140)),
    ],
)
def test_masks_alternatives_and_scores_equal_stock(ours, prepared, stock, points, positive, box):
    prompt = Prompt(np.array(points, float).reshape(-1, 2), np.array(positive, bool), box)
    masks, scores = ours.predict(prepared, prompt)
    at = {
        "point_coords": np.array(points, float)[:, ::-1] if points else None,
        "point_labels": np.array(positive, int) if points else None,
        "box": None if box is None else np.array(box)[[1, 0, 3, 2]],
    }
    many, many_scores, _ = stock.predict(**at, multimask_output=True)
    single, single_scores, _ = stock.predict(**at, multimask_output=False)
    order = np.argsort(-many_scores, kind="stable")
    expected, expected_scores = many[order], many_scores[order]
    if len(points) != 1 or box is not None:
        expected = np.concatenate([single, expected])
        expected_scores = np.concatenate([single_scores, expected_scores])
    assert masks.shape == expected.shape and masks.dtype == bool
    assert 0.01 < expected.mean() < 0.99
    assert np.abs(scores - expected_scores).max() < 1e-4
    assert (masks != expected).mean() < 1e-4


def test_logits_equal_stock(ours, prepared, stock):
    _, _, expected = stock.predict(np.array([[90.0, 80.0]]), np.array([1]), multimask_output=True)
    tile = prepared.tiles[0]
    logits, _ = ours._decode(tile, np.array([[[80.0, 90.0]]]), np.ones((1, 1), bool), None, None)
    assert np.abs(logits[0, 1:] - expected).max() < 1e-4


def test_a_mask_as_prompt_equals_stock_with_the_same_logits(ours, prepared, stock):
    mask = np.zeros((180, 240), bool)
    mask[50:110, 60:120] = True
    hint = ours._hint(mask, prepared.tiles[0])
    masks, scores = ours.predict(prepared, Prompt(*NO_POINTS, mask=mask))
    expected, expected_scores, _ = stock.predict(mask_input=hint[0], multimask_output=False)
    assert np.abs(scores[0] - expected_scores[0]).max() < 1e-4
    assert (masks[0] != expected[0]).mean() < 1e-4


def test_features_lie_where_the_image_is(ours, prepared, picture):
    features = run_task(ours.embed(picture))
    assert features.data.shape == (256, 48, 64)
    assert features.stride == pytest.approx(16 * 240 / 1024)
    np.testing.assert_allclose(features.data, prepared.tiles[0].features[:, :48], atol=2e-3, rtol=1e-3)


def test_large_images_are_cut_and_prompts_find_their_tile(ours, monkeypatch):
    monkeypatch.setattr(module, "_TILED_ABOVE", 1100)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (300, 1500), np.uint8)
    seen = []
    real = ours._encode
    monkeypatch.setattr(ours, "_encode", lambda pixels: seen.append(pixels.shape) or real(pixels))
    prepared = run_task(ours.prepare(image, viewport=(0, 1400, 300, 1500)))
    assert seen == [(300, 1024, 3)] * 2
    assert [tile.box for tile in prepared.tiles] == [(0, 0, 300, 1024), (0, 476, 300, 1500)]
    masks, _ = ours.predict(prepared, Prompt(np.array([[100.0, 1450.0]]), np.array([True])))
    assert masks.shape == (3, 300, 1500) and not masks[:, :, :476].any() and masks.any()
    features = module.feature_map(prepared)
    assert features.data.shape == (256, 19, 94)


def test_grey_16_bit_images_are_stretched(ours, picture):
    grey = picture[..., 0].astype(np.uint16) * 100
    assert isinstance(run_task(ours.prepare(grey)), Prepared)


def test_time_and_memory_are_told_before_the_start(ours):
    estimate = ours.estimate((3000, 1000), SegmentationParameters(), planes=2)
    assert estimate.tiles == 2 * 4
    assert estimate.seconds > 0 and "8 tiles" in estimate.describe()


def test_an_empty_prompt_is_refused(ours, prepared):
    with pytest.raises(ImageError, match="empty prompt"):
        ours.predict(prepared, Prompt(*NO_POINTS))


def test_all_objects_can_be_asked_for_and_the_asking_stopped(ours, picture, monkeypatch):
    def decode(tile, points, positive, box, mask):
        """Answer every point with the disc of the picture, or with nothing."""
        y, x = np.mgrid[:256, :256] * (240 / 256)
        disc = np.where((y - 80) ** 2 + (x - 90) ** 2 < 40**2, 20.0, -20.0).astype(np.float32)
        on = ((points[:, 0] - (80, 90)) ** 2).sum(1) < 40**2
        logits = np.where(on[:, None, None, None], disc, -20.0).astype(np.float32)
        return np.repeat(logits, 4, 1), np.full((len(points), 4), 0.95, np.float32)

    monkeypatch.setattr(ours, "_decode", decode)
    parameters = SegmentationParameters(diameter=60)
    steps = list(ours.segment(picture, parameters))
    assert len(steps) > 1
    result = run_task(ours.segment(picture, parameters))
    assert result.masks.max() == 1
    assert (result.masks > 0).sum() == pytest.approx(np.pi * 40**2, rel=0.05)
    assert result.features is not None and result.provenance["model"] == "tiny_sam"


def test_points_lie_two_per_diameter():
    points = point_grid((0, 100, 200, 300), 40.0)
    assert len(points) == 100
    assert points.min(0).tolist() == [10, 110] and points.max(0).tolist() == [190, 290]


def test_unsure_and_unstable_masks_are_passed_over():
    logits = np.full((3, 3, 8, 8), -20, np.float32)
    logits[0, 0, 2:5, 2:5] = 20
    logits[1, 0, 2:5, 2:5] = 20
    logits[2, 0, 2:5, 2:5] = 0.5
    scores = np.zeros((3, 3), np.float32)
    scores[:, 0] = 0.9, 0.5, 0.9
    assert len(list(select(logits, scores))) == 1


def test_doubles_go_and_the_surer_mask_lies_on_top():
    def square(y, x, size, score):
        mask = np.zeros((40, 40), bool)
        mask[y : y + size, x : x + size] = True
        return Candidate.cut(mask, score, (0, 0))

    found = [square(0, 0, 10, 0.9), square(0, 1, 10, 0.95), square(5, 8, 10, 0.97), square(30, 30, 2, 0.99)]
    labels = merge(found, (40, 40), 5)
    assert labels.max() == 2
    assert labels[8, 9] == labels[14, 17] == 1
    assert labels[0, 1] == 2 and labels[0, 0] == 0
    assert merge([], (4, 4), 5).max() == 0


def test_weights_that_do_not_fit_are_refused(sam_weights, tmp_path):
    import torch

    state = torch.load(sam_weights, weights_only=True)
    del state["mask_decoder.iou_prediction_head.layers.0.weight"]
    torch.save(state, tmp_path / "odd.pth")
    with pytest.raises(ModelError, match="does not fit"):
        SAM(tmp_path / "odd.pth", "cpu").plan  # noqa: B018


def test_a_cellpose_file_is_not_taken_for_sam(cpsam_weights):
    with pytest.raises(ModelError, match="cellpose-sam"):
        SAM(cpsam_weights, "cpu").plan  # noqa: B018
