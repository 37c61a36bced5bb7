"""A few steps of training on synthetic scenes: it runs, it resumes exactly, and the pictures are what they
claim."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="module")
def training() -> Any:
    """Import modules of the training folder from the repository root."""
    sys.path.insert(0, str(ROOT))

    def load(name: str) -> ModuleType:
        return importlib.import_module(f"training.image.{name}")

    yield load
    sys.path.remove(str(ROOT))


CONFIG: dict[str, Any] = {
    "seed": 5,
    "architecture": {
        "planes": 3,
        "widths": [8, 8, 16, 16, 16],
        "blocks": [1, 1, 1, 1, 1],
        "vector": 12,
        "prompt": 8,
    },
    "data_set": {"canonical": 22.0, "odds": {"synthetic": 1.0}},
    "backbone": {
        "crop": 64,
        "batch": 2,
        "mosaics": 1,
        "steps": 4,
        "learning_rate": 1e-3,
        "warmup": 2,
        "decay_from": 2,
        "weight_decay": 0.01,
        "ema": 0.9,
        "wide": 0.3,
        "flow_weight": 4.0,
        "scale_weight": 0.3,
        "small": 6.0,
        "touching": 3.0,
        "state_weight": 0.3,
        "pair_weight": 0.1,
        "checkpoint_every": 2,
    },
    "prompt": {
        "pool": 4,
        "batch": 2,
        "rounds": 2,
        "steps": 2,
        "learning_rate": 1e-3,
        "warmup": 1,
        "decay_from": 1,
        "checkpoint_every": 1,
    },
}


def sampler(training: Any) -> Any:
    """Two synthetic scenes and eight drawn single cells of two classes."""
    data = training("data")
    pictures = []
    for seed in (1, 2):
        image, labels, _ = training("synthetic").scene(seed, 128)
        pictures.append(data.make_picture(image, labels, "synthetic", f"s{seed}", f"s{seed}", "train", 40.0))
    crops = np.random.default_rng(0).integers(0, 255, (8, 32, 32)).astype(np.uint8)
    states = data.States("drawn", crops, np.arange(8) % 2, ["a", "b"], np.arange(8), np.array(["train"] * 8))
    return training("train").Sampler(pictures, [states], CONFIG)


def test_three_steps_run_and_resume_exactly(training: Any, tmp_path: Path) -> None:
    import torch

    train, drawn = training("train"), sampler(training)
    straight = train.Backbone(CONFIG, {"drawn": 2})
    losses = [straight.update(drawn) for _ in range(3)]
    assert all(np.isfinite(list(row.values())).all() for row in losses)
    broken = train.Backbone(CONFIG, {"drawn": 2})
    broken.update(drawn)
    broken.update(drawn)
    train.save(tmp_path / "backbone.pt", broken.state())
    again = train.Backbone(CONFIG, {"drawn": 2})
    again.restore(torch.load(tmp_path / "backbone.pt", weights_only=True))
    assert again.update(drawn) == losses[2]
    for mine, theirs in zip(
        again.network.state_dict().values(), straight.network.state_dict().values(), strict=True
    ):
        assert torch.equal(mine, theirs)


def test_the_mask_decoder_learns_on_a_frozen_backbone(training: Any) -> None:
    backbone = training("train").Backbone(CONFIG, {"drawn": 2})
    clicks = training("clicks").Clicks(CONFIG, backbone.average.state_dict())
    before = {k: v.clone() for k, v in clicks.decoder.state_dict().items()}
    row = clicks.update(sampler(training))
    assert np.isfinite(row["loss"]) and 0 <= row["iou1"] <= 1
    assert any((before[k] != v).any() for k, v in clicks.decoder.state_dict().items())


def test_a_run_can_start_from_stored_weights(training: Any, tmp_path: Path) -> None:
    import torch

    from napari_biofm.images.segment.embedded import weights

    train = training("train")
    first = train.Backbone(CONFIG, {"drawn": 2})
    described = {"name": "first", "version": "0", "inference": training("export").INFERENCE}
    path = weights.write(tmp_path / "image.safetensors", first.network, described)
    second = train.Backbone({**CONFIG, "seed": 6, "start": str(path)}, {"drawn": 2})
    for mine, theirs in zip(second.network.parameters(), first.network.parameters(), strict=True):
        assert torch.equal(mine, theirs.half().float())


def test_small_and_touching_objects_weigh_more(training: Any) -> None:
    labels = np.zeros((40, 60), np.int32)
    labels[5:25, 2:22], labels[5:25, 22:42], labels[30:34, 50:54] = 1, 2, 3
    log_diameter = np.log2([1.0, 22.0, 22.0, 6.0])[labels] * (labels > 0)
    weight = training("losses").attention(labels, log_diameter, 22.0, 6.0, 3.0)
    assert weight[15, 10] == 1 and weight[15, 32] == 1 and weight[38, 5] == 1
    assert weight[15, 21] == weight[15, 22] == 3
    assert weight[31, 51] == pytest.approx((0.8 * 22 / 6) ** 1.5, rel=1e-3)
    assert weight[28, 51] == pytest.approx(weight[31, 51] / 2, rel=1e-3)  # the ground around a small object
    assert weight[26, 45] == 1
    assert (training("losses").attention(labels, log_diameter, 22.0, 1.0, 1.0) == 1).all()


def test_a_simulated_person_clicks_on_the_largest_mistake(training: Any) -> None:
    truth = np.zeros((20, 20), bool)
    truth[2:12, 2:12] = True
    answer = np.zeros_like(truth)
    assert training("clicks").next_click(truth, truth) is None
    y, x, positive = training("clicks").next_click(truth, answer)
    assert positive and truth[y, x] and 4 < y < 9 and 4 < x < 9
    answer[:, 12:] = True
    answer[truth] = True
    y, x, positive = training("clicks").next_click(truth, answer)
    assert not positive and answer[y, x] and not truth[y, x]


def test_scenes_are_the_same_for_a_seed_and_hold_whole_cells(training: Any) -> None:
    scene = training("synthetic").scene
    for seed in range(4):
        image, labels, kind = scene(seed, 96)
        again = scene(seed, 96)
        np.testing.assert_array_equal(image, again[0])
        assert "/" in kind and np.isfinite(image).all()
        assert set(np.unique(labels)) == set(range(labels.max() + 1))


def test_flows_of_a_turned_crop_still_lead_to_the_cells(training: Any) -> None:
    from napari_biofm.images.segment.flows import masks_from_flows

    image, labels, _ = training("synthetic").scene(7, 160)
    picture = training("data").make_picture(image, labels, "synthetic", "s", "s", "train", 40.0)
    crop = training("augment").crop_picture(picture, 96, 22.0, np.random.default_rng(2))
    found = masks_from_flows(crop.flow, np.where(crop.labels > 0, 5.0, -5.0))
    scores = training("metrics").average_precision(
        np.unique(crop.labels, return_inverse=True)[1].reshape(96, 96), found
    )
    assert scores[0] > 0.7


def test_groups_never_lie_on_both_sides_of_the_split(training: Any) -> None:
    import pandas as pd

    groups = pd.Series([f"g{i // 3}" for i in range(90)])
    parts = training("data")._parts(groups, 0.2)
    table = pd.DataFrame({"group": groups, "part": parts})
    assert (table.groupby("group").part.nunique() == 1).all()
    assert 0.1 < (table.part == "validation").mean() < 0.25


def test_average_precision_counts_as_it_should(training: Any) -> None:
    truth = np.zeros((20, 40), np.int32)
    truth[2:12, 2:12], truth[2:12, 20:30] = 1, 2
    ap = training("metrics").average_precision
    assert (ap(truth, truth) == 1).all()
    half = np.where(truth == 1, 1, 0)
    assert ap(truth, half)[0] == pytest.approx(0.5)
    assert ap(truth, np.zeros_like(truth))[0] == 0
    assert ap(np.zeros_like(truth), np.zeros_like(truth))[0] == 1
