"""Fit the trees that name a rhythm; score them on kept-back records, then fit the shipped ones on all.

`python training/physio/rhythm.py` needs the shipped weights; writes `physio-rhythm.safetensors` beside them.

The features are the beats of the network and of Pan & Tompkins, shapes, spectra and noise: none of them has
seen a rhythm label, so that five folds over all records are honest. The network's own vectors have (its
rhythm head was trained on the training part) and are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier  # noqa: E402
from sklearn.metrics import f1_score  # noqa: E402
from sklearn.model_selection import StratifiedKFold  # noqa: E402

from napari_biofm.events.physio_fm import PhysioFM  # noqa: E402
from napari_biofm.events.physio_fm.rhythm import features, probabilities, trees_path  # noqa: E402
from napari_biofm.models.checkpoints import sha256_of  # noqa: E402
from training.physio.real import Real  # noqa: E402

BOOST: dict[str, Any] = {
    "max_iter": 120,
    "learning_rate": 0.08,
    "max_leaf_nodes": 10,
    "l2_regularization": 3.0,
    "min_samples_leaf": 12,
    "max_features": 0.2,
    "class_weight": "balanced",
    "random_state": 0,
}
FOREST: dict[str, Any] = {
    "n_estimators": 150,
    "min_samples_leaf": 2,
    "max_features": 0.25,
    "class_weight": "balanced",
    "random_state": 0,
}


def fit(x: NDArray[Any], y: NDArray[Any]) -> dict[str, Any]:
    """Return both kinds of trees as plain arrays for `rhythm.probabilities`."""
    boosted = HistGradientBoostingClassifier(**BOOST).fit(x, y)
    fill = np.nan_to_num(np.nanmedian(x, axis=0)).astype(np.float32)
    full = np.where(np.isnan(x), fill, x)
    forest = ExtraTreesClassifier(**FOREST).fit(full, y)
    return boost_arrays(boosted) | forest_arrays(forest) | {"forest_fill": fill}


def boost_arrays(trees: HistGradientBoostingClassifier) -> dict[str, Any]:
    """Return boosted trees as plain arrays."""
    flat = [tree.nodes for row in trees._predictors for tree in row]
    first = np.cumsum([0, *map(len, flat)])[:-1]
    nodes = np.concatenate(flat)
    shift = np.repeat(first, [len(f) for f in flat])
    here, leaf = np.arange(len(nodes)), nodes["is_leaf"].astype(bool)
    return {
        "boost_first": first.astype(np.int32),
        "boost_feature": nodes["feature_idx"].astype(np.int16),
        "boost_threshold": nodes["num_threshold"].astype(np.float64),
        "boost_left": np.where(leaf, here, nodes["left"] + shift).astype(np.int32),
        "boost_right": np.where(leaf, here, nodes["right"] + shift).astype(np.int32),
        "boost_missing": nodes["missing_go_to_left"].astype(np.uint8),
        "boost_value": nodes["value"].astype(np.float32),
        "boost_baseline": np.asarray(trees._baseline_prediction).ravel().astype(np.float64),
    }


def forest_arrays(forest: ExtraTreesClassifier) -> dict[str, Any]:
    """Return a forest as plain arrays."""
    trees = [one.tree_ for one in forest.estimators_]
    count = [tree.node_count for tree in trees]
    first = np.cumsum([0, *count])[:-1]
    shift, here = np.repeat(first, count), np.arange(sum(count))
    left, right, feature, threshold = (
        np.concatenate([getattr(tree, k) for tree in trees])
        for k in ("children_left", "children_right", "feature", "threshold")
    )
    leaf = left < 0
    value = np.concatenate([tree.value[:, 0] for tree in trees])
    return {
        "forest_first": first.astype(np.int32),
        "forest_feature": np.where(leaf, 0, feature).astype(np.int16),
        "forest_threshold": threshold.astype(np.float32),
        "forest_left": np.where(leaf, here, left + shift).astype(np.int32),
        "forest_right": np.where(leaf, here, right + shift).astype(np.int32),
        "forest_missing": np.zeros(len(here), np.uint8),
        "forest_value": (value / value.sum(1, keepdims=True)).astype(np.float16),
    }


def scores(truth: NDArray[Any], said: NDArray[Any]) -> dict[str, Any]:
    """Return F1 per class, their mean, and the challenge's own mean of N, A and O."""
    each = f1_score(truth, said, average=None)
    return {
        "macro_f1": round(float(each.mean()), 4),
        "n_a_o_f1": round(float(each[:3].mean()), 4),
        "per_class": each.round(3).tolist(),
        "n": len(truth),
    }


def main() -> None:
    """Fit, score, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data/ephys")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs/physio/cache")
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    model = PhysioFM()
    clips = {split: Real(arguments.data, arguments.cache, split).clips for split in ("train", "val")}
    rows, y = {}, {}
    for split, some in clips.items():
        rows[split] = np.stack([list(features(model, clip, 300.0).values()) for clip, _ in some])
        y[split] = np.array([label for _, label in some])
    kept_back = scores(y["val"], probabilities(fit(rows["train"], y["train"]), rows["val"]).argmax(1))
    x, labels = np.concatenate(list(rows.values())), np.concatenate(list(y.values()))
    crossed = np.zeros((len(labels), len(np.unique(labels))))
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(x, labels):
        crossed[test] = probabilities(fit(x[train], labels[train]), x[test])
    report = {
        "kept_back_records": kept_back,
        "five_folds_all_records": scores(labels, crossed.argmax(1)),
        "features": x.shape[1],
    }
    path = trees_path(model)
    save_file({k: np.ascontiguousarray(v) for k, v in fit(x, labels).items()}, path)
    card_path = path.with_name("physio.json")
    card = json.loads(card_path.read_text())
    card["rhythm"] = {"sha256": sha256_of(path), "report": report}
    card_path.write_text(json.dumps(card, indent=1) + "\n")
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
