"""Segment Anything's decoder learns from corrected masks: prompts as a hand gives them, a frozen encoder, an honest score."""

import json
from functools import partial

import numpy as np
import pytest
import tifffile
import torch

from napari_biofm.images.prompt import sam as sam_module
from napari_biofm.images.prompt import sam_api
from napari_biofm.images.prompt.backends import backends, promptable
from napari_biofm.images.prompt.sam import SAM
from napari_biofm.images.prompt.sam_decoder import quicken
from napari_biofm.images.train import sam_training
from napari_biofm.images.train.examples import Example
from napari_biofm.images.train.sam_prompts import Click, box_of, first_click, next_click, overlap
from napari_biofm.images.train.sam_settings import SamSettings
from napari_biofm.images.train.sam_training import lessons_of
from napari_biofm.images.train.sam_tuning import SamTuned, tune_sam_job
from napari_biofm.models import store
from napari_biofm.models.checkpoints import open_checkpoint
from napari_biofm.types import EngineError, ImageError, ModelError, Prompt, run_task

SETTINGS = SamSettings(epochs=6, learning_rate=3e-3, patience=6)
SIDE, CHANNELS = 128, 32


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Random weights of the true architecture at 128 pixels and 32 channels: the smallest that loads."""
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    torch.manual_seed(0)
    grid = SIDE // 16
    encoder = ImageEncoderViT(
        img_size=SIDE, embed_dim=24, depth=2, num_heads=2, out_chans=CHANNELS, use_rel_pos=True, window_size=7,
        global_attn_indexes=(1,), norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
    )  # fmt: skip
    transformer = TwoWayTransformer(depth=2, embedding_dim=CHANNELS, mlp_dim=2048, num_heads=8)
    network = Sam(
        encoder,
        PromptEncoder(CHANNELS, (grid, grid), (SIDE, SIDE), mask_in_chans=16),
        MaskDecoder(transformer_dim=CHANNELS, transformer=transformer),
    )
    path = tmp_path_factory.mktemp("weights") / "little_sam.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_BIOFM_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("NAPARI_BIOFM_CACHE", str(tmp_path / "passes"))


@pytest.fixture(scope="module")
def examples():
    """Three pictures of four discs, (96, 96) uint8, with their masks."""
    y, x = np.mgrid[:96, :96]
    rng = np.random.default_rng(0)
    made = []
    for number in range(3):
        masks = np.zeros((96, 96), np.int32)
        for label, (cy, cx) in enumerate(((24, 24), (24, 70), (70, 24), (70, 70)), 1):
            masks[(y - cy) ** 2 + (x - cx - number) ** 2 < (9 + label) ** 2] = label
        grey = (masks > 0) * 120 + 60 + rng.normal(0, 5, masks.shape)
        made.append(Example(grey.clip(0, 255).astype(np.uint8), masks, f"field {number}"))
    return made


def disc(cy, cx, radius, shape=(60, 60)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (y - cy) ** 2 + (x - cx) ** 2 <= radius**2


# ---------------------------------------------------------------------- prompts


def test_the_first_click_lies_deepest_in_the_cell_and_a_drawn_one_somewhere_in_it():
    mask = disc(20, 31, 9)
    assert first_click(mask) == Click(20.0, 31.0, True)
    rng = np.random.default_rng(0)
    drawn = [first_click(mask, rng) for _ in range(20)]
    assert all(mask[int(c.y), int(c.x)] for c in drawn) and len({(c.y, c.x) for c in drawn}) > 10


def test_a_further_click_says_what_is_most_wrong():
    mask = disc(30, 30, 10)
    missed = next_click(mask, mask & (np.arange(60) < 30))
    assert missed.positive and missed.x > 30 and mask[int(missed.y), int(missed.x)]
    beyond = next_click(mask, mask | disc(10, 10, 6))
    assert beyond == Click(10.0, 10.0, False)
    assert next_click(mask, mask).positive  # nothing is wrong: once more in the cell
    # of two wrong parts the larger one
    assert next_click(mask, (mask & ~disc(30, 25, 2)) | disc(10, 10, 6)) == Click(10.0, 10.0, False)


def test_a_box_surrounds_the_cell_and_a_drawn_one_misses_it_by_a_tenth_or_so():
    mask = disc(30, 30, 10)
    assert box_of(mask) == (20, 20, 41, 41)
    rng = np.random.default_rng(0)
    misses = np.array([box_of(mask, rng) for _ in range(200)]) - (20, 20, 41, 41)
    assert 1.5 < misses.std() < 2.7 and np.abs(misses.mean()) < 0.5
    assert overlap(mask, mask) == 1 and overlap(mask, ~mask) == 0


# ---------------------------------------------------------------------- lessons


def test_cells_stand_on_the_grid_of_the_network(base, examples):
    prepared = run_task(SAM(base, "cpu", dtype="float32").prepare(examples[0].image))
    (lesson,) = lessons_of(prepared, examples[0].masks)
    assert lesson.features.shape == (CHANNELS, 8, 8) and lesson.labels.shape == (SIDE, SIDE)
    assert lesson.cells == (1, 2, 3, 4)
    share = np.bincount(lesson.labels.ravel())[1:] / np.bincount(examples[0].masks.ravel())[1:]
    np.testing.assert_allclose(share, (128 / 96) ** 2, rtol=0.05)


def test_cells_that_a_tile_cuts_or_that_are_specks_teach_nothing(base, monkeypatch):
    monkeypatch.setattr(sam_module, "_TILED_ABOVE", 1100)
    masks = np.zeros((300, 1500), np.int32)
    masks[100:140, 450:500], masks[100:140, 1005:1040], masks[200:240, 100:140] = 1, 2, 3
    masks[10, 10] = 4
    prepared = run_task(SAM(base, "cpu", dtype="float32").prepare(np.zeros((300, 1500), np.uint8)))
    first, second = lessons_of(prepared, masks)  # tiles 0:1024 and 476:1500
    assert first.cells == (1, 3) and second.cells == (2,)


def test_the_quick_decoder_has_the_gradients_of_the_stock_one(base):
    grads = []
    for quick in (False, True):
        torch.manual_seed(0)
        parts = sam_api.build_decoder(open_checkpoint(base), 8)
        prompt_encoder, decoder = parts["prompt_encoder"], parts["mask_decoder"]
        if quick:
            quicken(decoder, prompt_encoder)
        places = prompt_encoder.get_dense_pe().detach()
        sparse, dense = prompt_encoder(
            points=(torch.rand(3, 2, 2) * 90, torch.ones(3, 2)), boxes=None, masks=None
        )
        logits, scores = decoder.predict_masks(torch.randn(1, CHANNELS, 8, 8), places, sparse, dense)
        (logits.square().mean() + scores.sum()).backward()
        grads.append({k: p.grad for k, p in parts.named_parameters()})
    assert sum(g is not None for g in grads[0].values()) > 100
    for key, stock in grads[0].items():
        if stock is not None and not key.endswith("k_proj.bias"):  # a key's bias moves nothing: rounding only
            torch.testing.assert_close(grads[1][key], stock, rtol=2e-3, atol=1e-5)


# ---------------------------------------------------------------------- the job


@pytest.fixture(scope="module")
def tuned(base, examples, tmp_path_factory):
    """A taught model, its messages, and the folder it lies in."""
    folder = tmp_path_factory.mktemp("models")
    said = []
    task = tune_sam_job(examples, "mine", str(base), SETTINGS, "cpu", folder)
    model = run_task(task, lambda step: said.append(step.message))
    return model, " ".join(said), folder


def test_the_taught_model_learns_is_named_and_says_where_it_comes_from(tuned, base):
    model, said, folder = tuned
    assert "encoding image 3 of 3" in said and "score before" in said and "score after" in said
    own = store.imported_models(folder)["mine"]
    assert own.path == model.path == folder / "own" / "mine.safetensors" and own.family == "sam"
    record = json.loads(own.path.with_name("mine.safetensors.json").read_text())
    assert record["sha256"] == store.sha256_of(own.path) == own.sha256
    report = own.about
    assert report["base"] == "little_sam" and report["base_sha256"] == store.sha256_of(base)
    assert report["held_back"] == ["field 2"] and report["learnt_from"] == ["field 0", "field 1"]
    assert report["cells"] == 8 and report["before"]["cells"] == 4 and not report["same_image"]
    assert report["licence"] == "not known here" and report["settings"]["seed"] == 0
    assert report["loss"][-1] < 0.7 * report["loss"][0]
    assert len(report["loss"]) == len(report["watched_iou"]) == 6 and 0 <= report["best_epoch"] <= 6
    for when in ("before", "after"):
        assert all(0 <= report[when][key] <= 1 for key in ("iou_1_click", "iou_3_clicks", "iou_box"))
    assert "one click" in model.describe() and "held-back" in model.describe()


def test_only_the_decoder_changed(tuned, base):
    new, old = open_checkpoint(tuned[0].path).state, open_checkpoint(base).state
    assert set(new) == set(old) and all(new[k].dtype == old[k].dtype for k in old)
    changed = {k.split(".")[0] for k in old if not torch.equal(new[k], old[k])}
    assert changed <= {"mask_decoder"} and tuned[0].report["trained"] == ["mask_decoder"]


def test_the_same_seed_gives_the_same_weights_and_encodes_nothing_again(
    base, examples, monkeypatch, tmp_path
):
    runs, encoded = [], []
    real = SAM._encode
    monkeypatch.setattr(SAM, "_encode", lambda self, pixels: encoded.append(1) or real(self, pixels))
    short = SamSettings(epochs=1, prompt_encoder=True, learning_rate=1e-3)
    for name in ("one", "two"):
        runs.append(run_task(tune_sam_job(examples, name, str(base), short, "cpu")).report)
    assert len(encoded) == 3  # once an image, over both runs
    assert runs[0]["loss"] == runs[1]["loss"] and runs[0]["after"] == runs[1]["after"]
    assert runs[0]["trained"] == ["prompt_encoder", "mask_decoder"]


def test_it_ends_early_with_the_best_weights(base, examples, monkeypatch):
    watched = iter((0.1, 0.5, 0.4, 0.3, 0.2))
    kept = []
    monkeypatch.setattr(
        sam_training._Trainer, "_score", lambda self: kept.append(_weight(self)) or next(watched)
    )
    report = run_task(
        tune_sam_job(examples, "mine", str(base), SamSettings(epochs=50, patience=3, batch=8), "cpu")
    ).report
    assert report["best_epoch"] == 1 and report["watched_iou"] == [0.5, 0.4, 0.3, 0.2]
    new = open_checkpoint(store.imported_models()["mine"].path).state["mask_decoder.iou_token.weight"]
    assert torch.equal(new, kept[1]) and not torch.equal(new, kept[-1])


def _weight(trainer):
    return trainer.decoder.iou_token.weight.detach().clone()


def test_a_taught_model_answers_clicks_by_its_name(base, examples, tmp_path, capsys):
    from napari_biofm.cli import main

    folder = tmp_path / "fields"
    (folder / "labels").mkdir(parents=True)
    for number, example in enumerate(examples[:2]):
        tifffile.imwrite(folder / f"f{number}.tif", example.image)
        tifffile.imwrite(folder / "labels" / f"f{number}_labels.tif", example.masks.astype(np.uint16))
    call = [
        "train",
        "sam",
        str(folder),
        "--name",
        "clicks",
        "--base",
        str(base),
        "--epochs",
        "1",
        "--batch",
        "8",
    ]
    assert main([*call, "--device", "cpu", "--out", str(tmp_path / "r.json")]) == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["held_back"] == ["f1.tif"] and report["path"] == capsys.readouterr().out.strip()
    assert main([*call, "--device", "cpu"]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["models", "list"]) == 0
    assert "clicks" in capsys.readouterr().out
    # where clicks are answered
    assert [b.title for b in backends() if b.name == "clicks"] == ["clicks (your own)"]
    assert promptable("clicks", "cpu").weights_sha256 == store.imported_models()["clicks"].sha256
    (tmp_path / "p.json").write_text(json.dumps([{"id": 1, "box": [10, 10, 40, 40]}]))
    asked = ["click", str(folder / "f0.tif"), "--prompts", str(tmp_path / "p.json"), "--model", "clicks"]
    assert main([*asked, "--out", str(tmp_path / "out")]) == 0
    assert "objects by clicks" in capsys.readouterr().err
    direct = SAM(report["path"], "cpu")
    none = (np.zeros((0, 2)), np.zeros(0, bool))
    expected, _ = direct.predict(run_task(direct.prepare(examples[0].image)), Prompt(*none, (10, 10, 40, 40)))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / "f0_clicks.tif") > 0, expected[0])


def test_what_cannot_be_taught_is_said_before_any_work(base, examples, cpsam_weights, monkeypatch):
    with pytest.raises(ModelError, match="1 or more"):
        run_task(tune_sam_job(examples, "mine", str(base), SamSettings(epochs=0)))
    with pytest.raises(ModelError, match="name"):
        run_task(tune_sam_job(examples, "sam_vit_b", str(base)))
    with pytest.raises(ImageError, match="no example"):
        run_task(tune_sam_job([], "mine", str(base)))
    with pytest.raises(ModelError, match="cellpose-sam weights"):
        run_task(tune_sam_job(examples, "mine", str(cpsam_weights)))
    with pytest.raises(ModelError, match="is not on this machine"):
        run_task(tune_sam_job(examples, "mine", "sam_vit_h"))

    def none(*_):
        raise MemoryError

    monkeypatch.setattr(sam_training, "_loss", none)
    with pytest.raises(EngineError, match="smaller batch"):
        run_task(tune_sam_job(examples, "mine", str(base), SETTINGS, "cpu"))
    assert store.imported_models() == {}


def test_a_model_that_became_no_better_says_so(tmp_path):
    scores = {"iou_1_click": 0.5, "iou_3_clicks": 0.6, "iou_box": 0.7, "cells": 9}
    report = {"before": scores, "after": scores, "held_back": ["a"], "same_image": True}
    said = SamTuned("mine", tmp_path, report).describe()
    assert "no better" in said and "parts of images" in said
