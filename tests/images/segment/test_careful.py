"""No cell is invented: noise, empty fields, glow, specks; none is lost: faint, dense, textured; extremes are covered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import ndimage as ndi

from napari_biofm.api.images import segment
from napari_biofm.images.io.channels import useful_channels
from napari_biofm.images.io.extremes import without_extremes
from napari_biofm.images.left_out import describe, merged
from napari_biofm.images.segment.careful import Careful, careful, evidence_of
from napari_biofm.images.segment.evidence import measure_evidence, suppressed
from napari_biofm.images.segment.sizes import specks
from napari_biofm.simulate import simulate_field
from napari_biofm.types import Capabilities, Progress, Segmentation, SegmentationParameters, run_task

FIELD = simulate_field((160, 180), 16, crowding=-0.5, seed=0)


class Believer:
    """A segmenter that finds given masks whatever the image shows."""

    name, weights_sha256 = "believer", ""
    capabilities = Capabilities(segments=True, flows=True)

    def __init__(self, masks: Any) -> None:
        self.masks = masks

    def segment(self, image: Any, parameters: Any) -> Any:
        yield Progress(0, 1, "")
        cell_prob = np.where(self.masks > 0, 3.0, -3.0).astype(np.float32)
        return Segmentation(
            self.masks, np.zeros((2, *self.masks.shape), np.float32), cell_prob, diameter=12.0
        )


def noise(kind: str, shape: tuple[int, int], rng: np.random.Generator) -> Any:
    if kind == "photons":
        return rng.poisson(3, shape).astype(np.uint16)
    if kind == "blurred":
        return (1000 + 400 * ndi.gaussian_filter(rng.standard_normal(shape), 2)).astype(np.uint16)
    if kind == "colour":
        return np.clip(rng.normal(230, 4, (*shape, 3)), 0, 255).astype(np.uint8)
    return (100 + rng.normal(0, 3, shape) + rng.normal(0, 1, (1, shape[1]))).astype(np.float32)


@pytest.mark.parametrize("kind", ["photons", "blurred", "colour", "camera"])
def test_in_noise_there_is_no_cell_whoever_found_one(kind: str) -> None:
    image = noise(kind, FIELD.masks.shape, np.random.default_rng(3))
    grey = np.asarray(image, np.float64).reshape(*FIELD.masks.shape, -1).mean(-1)
    blurred = ndi.gaussian_filter(grey, 3)
    masks = ndi.label(blurred > np.quantile(blurred, 0.95))[0].astype(np.int32)  # the best that chance offers
    assert masks.max() > 5
    found = run_task(Careful(Believer(masks)).segment(image, SegmentationParameters(min_size=0)))
    assert not found.masks.any()
    assert found.provenance["left_out"]["without contrast"] == masks.max()
    assert found.cell_prob is not None and found.cell_prob.max() < -2  # at no threshold will there be one
    assert "least contrast 0 keeps them" in describe(found.provenance)[0]
    everything = SegmentationParameters(least_contrast=0, relative_size=0)
    assert run_task(Careful(Believer(masks)).segment(image, everything)).masks.max() == masks.max()


@pytest.mark.parametrize("model", ["classical", "biofm-image"])
def test_an_empty_field_is_an_ordinary_answer(model: str) -> None:
    image = np.random.default_rng(0).poisson(8, (96, 128)).astype(np.uint16)
    assert not segment(image, model=model).masks.any()
    stack = np.random.default_rng(1).poisson(8, (3, 64, 64)).astype(np.uint16)
    assert not segment(stack, model=model, is_stack=True).masks.any()


@pytest.mark.parametrize("change", ["bright", "faint", "dark on bright", "colour"])
def test_cells_that_are_there_stay(change: str) -> None:
    rng = np.random.default_rng(1)
    inside = ndi.gaussian_filter((FIELD.masks > 0).astype(float), 1)
    image = {
        "bright": lambda: rng.poisson(20 + 300 * inside),
        "faint": lambda: 200 + 15 * inside + rng.normal(0, 10, inside.shape),
        "dark on bright": lambda: rng.poisson(900 - 200 * inside),
        "colour": lambda: np.clip(
            230 - inside[..., None] * [120, 140, 30] + rng.normal(0, 5, (*inside.shape, 3)), 0, 255
        ),
    }[change]()
    evidence = measure_evidence(image, FIELD.masks)
    assert evidence.real(8.0)[1:].all(), evidence.contrast


def test_texture_is_evidence_where_the_mean_is_none() -> None:
    rng = np.random.default_rng(2)
    image = 500 + rng.normal(0, 10, FIELD.masks.shape)
    image[FIELD.masks > 0] += rng.normal(0, 40, int((FIELD.masks > 0).sum()))
    evidence = measure_evidence(image, FIELD.masks)
    assert (evidence.contrast[1:] < 8).any() and evidence.real(8.0)[1:].all()


def test_cells_inside_a_clump_have_the_evidence_of_the_clump() -> None:
    masks = np.zeros((120, 120), np.int32)
    for k in range(16):
        masks[30 + 12 * (k // 4) : 42 + 12 * (k // 4), 30 + 12 * (k % 4) : 42 + 12 * (k % 4)] = k + 1
    image = np.random.default_rng(0).normal(100, 5, masks.shape) + 30 * (masks > 0)
    assert measure_evidence(image, masks).real(8.0)[1:].all()


def test_light_from_out_of_focus_has_no_edge() -> None:
    y, x = np.mgrid[:300, :300]
    distance = np.hypot(y - 150, x - 150)
    masks = (distance < 50).astype(np.int32)
    noise_of = np.random.default_rng(0).normal(0, 2, masks.shape)
    glow, cell = 100 * np.exp(-(distance**2) / 2 / 60**2), 100.0 * ndi.gaussian_filter(masks.astype(float), 3)
    assert not measure_evidence(100 + glow + noise_of, masks).real(8.0)[1]
    assert measure_evidence(100 + cell + noise_of, masks).real(8.0)[1]


def test_shading_that_fills_a_field_is_no_cell() -> None:
    y, x = np.mgrid[:256, :256] / 256
    image = np.random.default_rng(0).poisson(400 + 300 * np.cos(2 * (y - 0.5)) * np.cos(2 * (x - 0.5)))
    masks = (np.hypot(y - 0.5, x - 0.5) < 0.52).astype(np.int32)
    assert not measure_evidence(image, masks).real(8.0)[1]


def test_a_stack_s_objects_are_judged_by_their_best_plane() -> None:
    masks = np.stack([FIELD.masks, FIELD.masks])
    rng = np.random.default_rng(0)
    image = rng.normal(100, 5, masks.shape)
    image[1] += 40 * (FIELD.masks > 0)
    assert evidence_of(image, masks).real(8.0)[1:].all()
    assert not evidence_of(image[:1].repeat(2, 0), masks).real(8.0)[1:].any()


def test_what_is_left_out_stays_out_and_cells_beside_it_stay_as_they_are() -> None:
    masks = np.zeros((40, 60), np.int32)
    masks[5:15, 5:15], masks[5:15, 18:28] = 1, 2
    cell_prob = np.full(masks.shape, 1.0, np.float32)
    kept = np.where(masks == 1, 1, 0).astype(np.int32)
    out = suppressed(cell_prob, masks, kept, 5)
    assert (out[masks == 2] < -9).all() and (out[masks == 1] == 1).all() and out[30, 50] == 1


def test_specks_are_far_smaller_than_the_usual_object() -> None:
    masks = np.zeros((200, 200), np.int32)
    for k in range(4):
        masks[40 * k + 5 : 40 * k + 35, 10:40] = k + 1
    for k in range(20):  # more specks than cells
        masks[6 * k : 6 * k + 4, 100:104] = 5 + k
    gone = specks(masks, 0.05)
    assert not gone[1:5].any() and gone[5:].all()
    assert not specks(masks, 0.0).any()
    dust = np.where(masks > 4, masks, 0)[:, 60:]
    assert not specks(dust, 0.05).any()  # many small things are cells of their own
    sparse = np.zeros((400, 400), np.int32)
    sparse[10:15, 10:15], sparse[300:304, 20:24] = 1, 2
    assert specks(sparse, 0.05)[1:].all() and not specks(sparse, 0.0).any()


def test_the_tip_of_a_cell_in_a_stack_is_no_speck() -> None:
    ball = np.zeros((9, 80, 80), np.float32)
    z, y, x = np.ogrid[-4:5, -20:60, -20:60]
    ball[(z * 4) ** 2 + y**2 + x**2 < 15**2] = 200
    ball[:, 60:62, 60:75] = 0
    image = np.random.default_rng(0).poisson(20 + ball).astype(np.uint16)
    masks = segment(image, model="classical", is_stack=True, min_size=1).masks
    assert len(np.unique(masks)) == 2 and (masks > 0).any((1, 2)).sum() >= 6


def test_hot_pixels_are_covered_and_the_rest_stays() -> None:
    rng = np.random.default_rng(0)
    image = rng.poisson(20 + 100 * ndi.gaussian_filter((FIELD.masks > 0).astype(float), 1)).astype(np.uint16)
    hot = rng.random(image.shape) < 0.004
    spoilt = np.where(hot, 4095, image).astype(np.uint16)
    cleaned, notes = without_extremes(spoilt)
    assert np.abs(cleaned.astype(int) - image)[hot].max() < 80
    assert np.array_equal(cleaned[~hot], image[~hot])
    assert "hot pixels" in notes[0] and f"{int(hot.sum())} " in notes[0]
    same, nothing = without_extremes(image)
    assert same is image and not nothing
    spots = ndi.gaussian_filter((rng.random(image.shape) < 0.003).astype(float), 1.0) * 3000 + rng.normal(
        50, 3, image.shape
    )
    assert not without_extremes(spots)[1]  # what a microscope shows is wider than a pixel


@pytest.mark.parametrize("colour", [(255, 255, 255), (255, 255, 0), None])
def test_a_scale_bar_is_covered(colour: Any) -> None:
    rng = np.random.default_rng(0)
    grey = np.clip(
        rng.poisson(20 + 60 * ndi.gaussian_filter((FIELD.masks > 0).astype(float), 1)), 0, 200
    ).astype(np.uint8)
    image = grey if colour is None else np.dstack([grey] * 3)
    drawn = image.copy()
    drawn[150:155, 120:170] = 255 if colour is None else colour
    cleaned, notes = without_extremes(drawn)
    assert "scale bar" in notes[0] and cleaned.max() < 200
    assert np.array_equal(cleaned[:140], image[:140])


def test_saturated_cells_are_no_bars() -> None:
    image = np.clip(400 * ndi.gaussian_filter((FIELD.masks > 0).astype(float), 1.5), 0, 255).astype(np.uint8)
    rods = np.zeros((120, 120), np.uint8)
    rods[20:26, 20:50] = 255
    rods = np.clip(2 * ndi.gaussian_filter(rods.astype(float), 1.2), 0, 255).astype(np.uint8)
    for saturated in (image, rods):
        assert not without_extremes(saturated)[1]


def test_channels_without_content_are_dropped_and_named() -> None:
    rng = np.random.default_rng(0)
    dna = FIELD.image
    phase = rng.normal(500, 20, dna.shape) + 150 * ndi.gaussian_laplace((FIELD.masks > 0).astype(float), 2)
    for other, why in (
        (np.full(dna.shape, 7.0), "empty"),
        (rng.poisson(40, dna.shape), "noise"),
        (ndi.gaussian_filter(rng.standard_normal(dna.shape), 1.5), "noise"),
    ):
        choice = useful_channels(np.dstack([other, dna]), ("junk", "DNA"))
        assert choice.kept == (1,) and choice.dropped == ((0, why),)
        assert choice.describe(("junk", "DNA")) == f"channel 0 (junk): {why}; left out, channel 1 (DNA) used"
    assert useful_channels(np.dstack([dna, dna[::-1]])).kept == (0, 1)
    assert useful_channels(np.dstack([dna, phase]), ("DNA", "DIC")).kept == (0,)
    assert useful_channels(np.dstack([phase, phase[::-1]]), ("BF", "DIC")).kept == (0, 1)
    assert useful_channels(np.zeros((20, 20, 2))).kept == (0,)


def test_a_noisy_second_channel_does_not_change_what_is_found() -> None:
    rng = np.random.default_rng(0)
    alone = segment(FIELD.image, model="classical")
    two = segment(np.dstack([FIELD.image, rng.poisson(900, FIELD.image.shape)]), model="classical")
    assert np.array_equal(alone.masks, two.masks)
    assert "channel 1: noise" in describe(two.provenance)[0]


def test_what_parts_left_out_adds_up() -> None:
    one, two = (
        {"left_out": {"specks": 2}, "notes": ["a"]},
        {"left_out": {"specks": 1, "without contrast": 3}, "notes": ["a"]},
    )
    together = merged(one, two)
    assert together["left_out"] == {"specks": 3, "without contrast": 3} and together["notes"] == ["a"]


def test_a_careful_segmenter_is_wrapped_once_and_keeps_what_the_model_can() -> None:
    model = Believer(FIELD.masks)
    wrapped = careful(model)
    assert (
        careful(wrapped) is wrapped
        and wrapped.capabilities == model.capabilities
        and wrapped.name == "believer"
    )
    found = run_task(wrapped.segment(FIELD.image, replace(SegmentationParameters(), min_size=0)))
    assert np.array_equal(found.masks > 0, FIELD.masks > 0)
