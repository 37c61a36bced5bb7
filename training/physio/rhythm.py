"""Fit the trees that name a rhythm; score them on kept-back records, then fit the shipped ones on all.

`python training/physio/rhythm.py` needs the shipped weights; writes `physio-rhythm.safetensors` beside them.
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
from safetensors.numpy import save_file  # noqa: E402
from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: E402
from sklearn.metrics import f1_score  # noqa: E402
from sklearn.model_selection import StratifiedKFold, cross_val_predict  # noqa: E402

from napari_biofm.events.fm import PhysioFM  # noqa: E402
from napari_biofm.events.fm.rhythm import features, tree_scores, trees_path  # noqa: E402
from napari_biofm.models.checkpoints import sha256_of  # noqa: E402
from training.physio.real import Real  # noqa: E402


def as_arrays(trees: HistGradientBoostingClassifier) -> dict[str, Any]:
    """Return boosted trees as plain arrays for `tree_scores`."""
    flat = [tree.nodes for row in trees._predictors for tree in row]
    nodes = np.concatenate(flat)
    return {
        "first": np.cumsum([0, *map(len, flat)]).astype(np.int64),
        "feature": nodes["feature_idx"].astype(np.int64),
        "threshold": nodes["num_threshold"].astype(np.float64),
        "left": nodes["left"].astype(np.int64),
        "right": nodes["right"].astype(np.int64),
        "value": nodes["value"].astype(np.float64),
        "missing": nodes["missing_go_to_left"].astype(np.uint8),
        "leaf": nodes["is_leaf"].astype(np.uint8),
        "baseline": np.asarray(trees._baseline_prediction).ravel().astype(np.float64),
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
    sets = {}
    for split in ("train", "val"):
        real = Real(arguments.data, arguments.cache, split)
        x = np.stack([features(model, clip, 300.0) for clip, _ in real.clips])
        sets[split] = x, np.array([label for _, label in real.clips])
    x, y = sets["train"]
    options: dict[str, Any] = {
        "max_iter": 140,
        "learning_rate": 0.06,
        "max_leaf_nodes": 12,
        "l2_regularization": 3.0,
        "min_samples_leaf": 12,
        "max_features": 0.3,
        "class_weight": "balanced",
        "random_state": 0,
    }
    trees = HistGradientBoostingClassifier(**options).fit(x, y)
    everything = np.concatenate([x, sets["val"][0]]), np.concatenate([y, sets["val"][1]])
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    crossed = cross_val_predict(HistGradientBoostingClassifier(**options), *everything, cv=folds)
    said = trees.predict(sets["val"][0])
    report = {
        "kept_back_macro_f1": round(float(f1_score(sets["val"][1], said, average="macro")), 4),
        "kept_back_per_class": f1_score(sets["val"][1], said, average=None).round(3).tolist(),
        "n_kept_back": len(said),
        "five_fold_macro_f1_all_records": round(float(f1_score(everything[1], crossed, average="macro")), 4),
        "n": len(everything[1]),
    }
    shipped = HistGradientBoostingClassifier(**options).fit(*everything)
    tensors = as_arrays(shipped)
    assert np.array_equal(tree_scores(tensors, sets["val"][0]).argmax(1), shipped.predict(sets["val"][0]))
    path = trees_path(model)
    save_file(tensors, path)
    card_path = path.with_name("physio.json")
    card = json.loads(card_path.read_text())
    card["rhythm"] = {"sha256": sha256_of(path), "report": report}
    card_path.write_text(json.dumps(card, indent=1) + "\n")
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
