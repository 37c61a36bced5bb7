"""The embedded model as segmenter, embedder and vector maker, on drawn pictures and bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, special

from napari_biofm.images.segment import jobs
from napari_biofm.images.segment.embedded import passes, tiled_inference
from napari_biofm.images.segment.embedded.input_planes import to_planes
from napari_biofm.images.segment.embedded.model import EmbeddedModel
from napari_biofm.types import (
    Embedder,
    ImageError,
    ModelError,
    Progress,
    Promptable,
    SegmentationParameters,
    Segmenter,
    run_task,
)


def test_it_speaks_the_words_of_the_house(model: EmbeddedModel) -> None:
    assert isinstance(model, Segmenter)
    assert isinstance(model, Embedder)
    assert isinstance(model, Promptable)
    assert model.name == "biofm-image"


def test_one_pass_gives_all_products_at_the_size_of_the_image(model: EmbeddedModel, discs) -> None:
    image, _ = discs
    found = run_task(model.segment(image, SegmentationParameters(diameter=22.0)))
    assert found.masks.shape == image.shape and found.masks.dtype == np.int32
    assert found.flows is not None and found.flows.shape == (2, *image.shape)
    assert found.cell_prob is not None and found.cell_prob.shape == image.shape
    assert found.features is not None and found.features.shape == image.shape
    assert found.diameter == 22.0
    assert found.provenance["weights_sha256"] == model.weights_sha256
    assert found.provenance["parameters"]["diameter_used"] == 22.0


def test_steps_are_told_while_it_works(model: EmbeddedModel, discs) -> None:
    steps = list(model.segment(discs[0], SegmentationParameters()))
    assert all(isinstance(step, Progress) for step in steps)
    assert any("diameter" in step.message for step in steps)


def test_the_same_image_gives_the_same_answer_twice(model: EmbeddedModel, discs) -> None:
    first, second = (run_task(model.segment(discs[0])) for _ in range(2))
    np.testing.assert_array_equal(first.masks, second.masks)
    np.testing.assert_array_equal(first.flows, second.flows)


def test_embedding_is_the_feature_map_of_segmenting(model: EmbeddedModel, discs) -> None:
    alone = run_task(model.embed(discs[0]))
    beside = run_task(model.segment(discs[0])).features
    assert beside is not None
    np.testing.assert_array_equal(alone.data, beside.data)
    assert alone.stride == beside.stride


def test_tiles_agree_with_the_whole(shipped: EmbeddedModel) -> None:
    rng = np.random.default_rng(0)
    coarse = rng.random((26, 28)) > 0.7
    image = np.kron(coarse, np.ones((14, 14))).astype(np.float32) + rng.normal(0, 0.1, (364, 392))
    planes = to_planes(image)
    whole = run_task(passes.run_pass(shipped.network, planes, 22.0, shipped.settings))
    parts = run_task(passes.run_pass(shipped.network, planes, 22.0, shipped.settings, core=128))
    assert len(tiled_inference.tiles(416, 448, 128, 128)) > 4
    assert np.abs(whole.flow - parts.flow).max() < 0.05
    assert np.mean((whole.cell_prob > 0) != (parts.cell_prob > 0)) < 5e-4


def test_level_by_level_is_the_whole_at_once(shipped: EmbeddedModel) -> None:
    import torch

    rng = np.random.default_rng(1)
    canvas = torch.from_numpy(rng.random((1, 1, 352, 416), np.float32))
    whole, *_ = tiled_inference.run_tiled(shipped.network, canvas, "cpu")
    pieces = [
        p for p in tiled_inference.run_tiled(shipped.network, canvas, "cpu", side=96) if p.window is not None
    ]
    assert whole.window == (slice(0, 352), slice(0, 416)) and len(pieces) > 12
    for name, stride in (("flow", 1), ("cell_prob", 1), ("decoded", 2), ("vector_map", 4)):
        wanted = getattr(whole, name)
        for piece in pieces:
            there = wanted[..., *tiled_inference.at(piece.window, stride)]
            assert (getattr(piece, name) - there).abs().max() < 2e-3 * wanted.abs().max()


@pytest.mark.parametrize("every", [1, 2])
def test_masks_made_again_from_kept_flows_are_the_same(shipped: EmbeddedModel, discs, every: int) -> None:
    image = discs[0][::every, ::every]
    found = run_task(shipped.segment(image, SegmentationParameters(diameter=22.0 / every)))
    again = jobs.masks_again(shipped, found, SegmentationParameters())
    assert found.masks.max() == 12
    np.testing.assert_array_equal(again, found.masks)


def test_small_cells_are_drawn_tighter_and_large_ones_wider(model: EmbeddedModel) -> None:
    asked = SegmentationParameters(cellprob_threshold=0.5)
    used = [model.calibrated(asked, d).cellprob_threshold for d in (8.0, 22.0, 80.0)]
    assert used == [0.75, 0.5, 0.25]


def test_cells_are_enlarged_for_masks_only_where_it_pays(model: EmbeddedModel) -> None:
    zooms = [passes.zoom_for(d, model.settings) for d in (None, 11.0, 20.0, 22.0, 44.0)]
    assert zooms == [1.0, 2.0, 1.0, 1.0, 0.5]
    assert passes.zoom_for(20.0, model.settings, fully=True) == pytest.approx(1.1)


def test_large_cells_are_seen_at_the_resolution_they_come_in(model: EmbeddedModel) -> None:
    native = {**model.settings, "working": [22.0, 48.0], "keep_native": True}
    assert [passes.zoom_for(d, native) for d in (11.0, 22.0, 37.0, 48.0, 96.0)] == [2.0, 1.0, 1.0, 1.0, 0.5]


@pytest.mark.parametrize("core", [96, 128, 2304])
def test_every_pixel_belongs_to_exactly_one_tile(core: int) -> None:
    count = np.zeros((2240, 3008), int)
    for (rows, columns), own in tiled_inference.tiles(2240, 3008, core, 128):
        count[own] += 1
        assert rows.start <= own[0].start and own[0].stop <= rows.stop <= 2240
        assert rows.start % 32 == columns.start % 32 == own[1].start % 32 == 0
        assert max(own[0].stop - own[0].start, own[1].stop - own[1].start) <= core
    assert (count == 1).all()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 64), np.uint8),
        np.full((40, 50), 65535, np.uint16),
        np.ones((1, 1), np.float32),
        np.zeros((1, 300), np.uint8),
        np.random.default_rng(0).integers(0, 4000, (48, 56, 16)).astype(np.uint16),
        np.full((32, 32), np.nan),
        np.where(np.eye(64) > 0, np.inf, 1.0),
        np.eye(64, dtype=bool),
        np.full((32, 32), 1e300),
        np.arange(64 * 64, dtype=np.int64).reshape(64, 64) - 2**40,
        np.zeros((32, 32, 4), np.uint8),
    ],
    ids=[
        "blank",
        "saturated",
        "pixel",
        "line",
        "16 channels",
        "NaN",
        "inf",
        "bool",
        "huge values",
        "int64",
        "RGBA",
    ],
)
def test_odd_images_give_masks_or_none_but_never_a_crash(model: EmbeddedModel, image: np.ndarray) -> None:
    found = run_task(model.segment(image))
    assert found.masks.shape == image.shape[:2]
    assert found.flows is not None and np.isfinite(found.flows).all()
    assert found.features is not None and np.isfinite(found.features.data).all()


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((0, 5)), "no pixels"),
        (np.zeros((3, 4, 5, 6)), "4 axes"),
        (np.zeros(7), "1 axes"),
        (np.zeros((4, 4), complex), "complex128"),
        (np.array([["a", "b"]]), "real numbers"),
    ],
)
def test_what_is_no_image_is_refused_with_its_shape_or_dtype(
    model: EmbeddedModel, image: np.ndarray, said: str
) -> None:
    with pytest.raises(ImageError, match=said):
        run_task(model.segment(image))


def test_an_image_too_large_for_memory_is_refused_before_it_is_touched(model: EmbeddedModel) -> None:
    image = np.broadcast_to(np.uint8(0), (30000, 30000))
    with pytest.raises(ImageError, match="900 million pixels"):
        run_task(model.segment(image))


@pytest.mark.parametrize("diameter", [0.0, -3.0, float("nan"), float("inf")])
def test_an_impossible_diameter_is_refused(model: EmbeddedModel, discs, diameter: float) -> None:
    with pytest.raises(ImageError, match="diameter"):
        run_task(model.segment(discs[0], SegmentationParameters(diameter=diameter)))


def test_impossible_devices_and_threads_are_refused(random_weights) -> None:
    with pytest.raises(ModelError, match="cpu"):
        EmbeddedModel(random_weights, device="cuda:99")
    with pytest.raises(ModelError, match="threads"):
        EmbeddedModel(random_weights, threads=0)


def test_polarity_bit_depth_and_offset_do_not_matter(shipped: EmbeddedModel, discs) -> None:
    image, truth = discs
    variants = [image, 255 - image, (np.clip(image, 0, None) * 200).astype(np.uint16), image / 7 - 1000]
    counts = [run_task(shipped.segment(v)).masks.max() for v in variants]
    assert counts == [truth.max()] * 4


def test_channels_may_come_in_any_number(shipped: EmbeddedModel, discs) -> None:
    image, truth = discs
    empty = np.zeros_like(image)
    for channels in ([image, empty], [empty, image, empty], [image] * 3, [empty] * 5 + [image]):
        found = run_task(shipped.segment(np.stack(channels, axis=-1)))
        assert abs(int(found.masks.max()) - int(truth.max())) <= 1


@pytest.mark.parametrize("size", [0.5, 1.0, 3.0])
def test_the_scale_is_found_from_the_image(shipped: EmbeddedModel, discs, size: float) -> None:
    from skimage.transform import resize

    image = resize(discs[0], [int(n * size) for n in discs[0].shape], anti_aliasing=size < 1)
    found = run_task(shipped.segment(image))
    assert found.diameter == pytest.approx(22 * size, rel=0.3)
    assert found.masks.max() == discs[1].max()


def _estimated(model: EmbeddedModel, image: np.ndarray) -> float | None:
    planes = passes.as_tensor(to_planes(image.astype(np.float32)))
    return passes.estimate_diameter(model.network, planes, model.settings["canonical"], "cpu")


def test_grain_within_large_cells_is_not_taken_for_small_cells(shipped: EmbeddedModel) -> None:
    rng = np.random.default_rng(0)
    y, x = np.ogrid[:1500, :1500]
    cells = np.zeros((1500, 1500))
    for cy in range(130, 1400, 230):
        for cx in range(130, 1400, 230):
            dy, dx, radius = rng.integers(-20, 21), rng.integers(-20, 21), 55 + rng.integers(-6, 7)
            out = np.hypot(y - cy - dy, x - cx - dx) - radius
            cells = np.maximum(cells, special.expit(-out / 2))
    grain = ndimage.gaussian_filter(rng.standard_normal(cells.shape), 2)
    image = rng.poisson(np.clip(100 + 800 * cells * (1 + 0.5 * grain / grain.std()), 0, None))
    assert _estimated(shipped, image) == pytest.approx(110, rel=0.15)


def test_specks_beside_large_cells_do_not_make_the_diameter(shipped: EmbeddedModel) -> None:
    rng = np.random.default_rng(0)
    y, x = np.ogrid[:560, :640]
    specks, cells = np.zeros((560, 640)), np.zeros((560, 640))
    for cy, cx in rng.uniform(0, 1, (30, 2)) * (560, 640):
        specks[np.hypot(y - cy, x - cx) < 3] = 120
    for cy, cx in ((140, 160), (160, 470), (400, 180), (420, 450)):
        cells[np.hypot(y - cy, x - cx) < 60] = 100
    image = np.maximum(ndimage.gaussian_filter(specks, 1), ndimage.gaussian_filter(cells, 4))
    found = run_task(shipped.segment((image + rng.normal(10, 3, image.shape)).astype(np.float32)))
    assert found.diameter == pytest.approx(120, rel=0.2)
    assert (np.bincount(found.masks.ravel())[1:] > 8000).sum() == 4


def test_the_typical_diameter_counts_cells_by_their_diameter() -> None:
    labels = np.zeros((40, 60), np.int32)
    for k in range(6):
        labels[2, 3 * k] = k + 1  # specks of one pixel
    labels[10:30, 5:25], labels[10:30, 30:50] = 7, 8
    assert passes.typical_diameter(labels) == pytest.approx(np.sqrt(400 * 4 / np.pi))
    assert passes.typical_diameter(np.zeros((4, 4), np.int32)) is None


def test_small_cells_in_a_large_picture_are_not_taken_for_their_clumps(shipped: EmbeddedModel) -> None:
    y, x = np.mgrid[:110, :110]
    cells = (np.hypot(y % 14 - 7, x % 14 - 7) < 6) & (y < 70) & (x < 70)  # 5 x 5 side by side, then a gap
    image = ndimage.gaussian_filter(200.0 * np.tile(cells, (17, 17)), 1)
    image += np.random.default_rng(0).normal(10, 4, image.shape)
    assert _estimated(shipped, image) == pytest.approx(12, rel=0.3)


def test_vectors_have_one_row_per_label_in_rising_order(model: EmbeddedModel, discs) -> None:
    image, truth = discs
    features = run_task(model.embed(image))
    vectors = model.vectors(features, truth)
    assert vectors.shape[0] == truth.max() and vectors.dtype == np.float32 and np.isfinite(vectors).all()
    alone = model.vectors(features, np.where(truth == 5, 70, 0).astype(np.int32))
    np.testing.assert_allclose(alone[0], vectors[4], rtol=1e-4, atol=1e-4)
    assert model.vectors(features, np.zeros_like(truth)).shape == (0, vectors.shape[1])
    with pytest.raises(ImageError, match="do not fit"):
        model.vectors(features, truth[:-1])


@pytest.mark.parametrize("shape", [(3, 64, 64), (2, 40, 40, 3), (2, 17, 90), (1, 1, 1), (2, 30, 30, 7)])
def test_crops_of_any_size_and_channels_give_vectors_of_one_length(model: EmbeddedModel, shape) -> None:
    crops = np.random.default_rng(1).integers(0, 255, shape).astype(np.uint8)
    vectors = model.crop_vectors(crops)
    assert vectors.shape == (shape[0], model.crop_vectors(np.zeros((1, 8, 8))).shape[1])
    assert np.isfinite(vectors).all()


def test_no_crops_give_no_vectors_and_wrong_stacks_are_refused(model: EmbeddedModel) -> None:
    assert len(model.crop_vectors(np.zeros((0, 20, 20)))) == 0
    with pytest.raises(ImageError, match="not \\(N, Y, X\\)"):
        model.crop_vectors(np.zeros((5, 5)))


def test_vectors_keep_how_bright_a_cell_is(model: EmbeddedModel, discs) -> None:
    crop = discs[0][17:40, 15:38]
    dim, bright = model.crop_vectors(np.stack([crop, 3 * crop]))
    assert np.abs(dim - bright).max() > 0.5
