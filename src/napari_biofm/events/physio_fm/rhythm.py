"""Rhythm of an electrocardiogram clip: beats by the network, numbers about them, trees kept as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.classical.ecg import PanTompkinsDetector
from napari_biofm.events.physio_fm.decode import Candidates, sigmoid
from napari_biofm.events.physio_fm.input_encoding import RHYTHMS
from napari_biofm.events.physio_fm.rhythm_features import rhythm_features
from napari_biofm.events.physio_fm.runner import NetworkRunner
from napari_biofm.events.physio_fm.stock import candidates
from napari_biofm.types import DetectionSettings, ModelError, RecordingError, Trace, run_task

TOGETHER = 256  # clips brought through the trees at a time


def features(runner: NetworkRunner, clip: NDArray[Any], fs: float) -> dict[str, float]:
    """Return the named features of one clip: beats by the network and by Pan & Tompkins, see
    `rhythm_features`.
    """
    x = np.nan_to_num(np.asarray(clip, np.float32))
    signal = Trace(x, fs, "other")
    found = [part for _, _, part in candidates(runner, signal, "ecg")]
    joined = Candidates.join(found) if found else None
    time_s = joined.time if joined is not None else np.zeros(0)
    sure = sigmoid(joined.logit) if joined is not None else np.zeros(0)
    second = run_task(PanTompkinsDetector().detect(signal, DetectionSettings(kind="ecg")))
    return rhythm_features(x, fs, time_s, sure, np.asarray(second["time_s"]))


def trees_path(runner: NetworkRunner) -> Path:
    """Return where the trees of a model lie."""
    from napari_biofm.events.physio_fm import weights

    stock = runner.path or weights.STOCK
    return stock.with_name(stock.stem + "-rhythm.safetensors")


def leaves(tensors: Mapping[str, NDArray[Any]], prefix: str, x: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the leaf (n, trees) that each row of features x (n, F) ends in, in every tree.

    Parameters
    ----------
    tensors : with `prefix` before them: `first` (trees,) root of each tree, and per node `feature`,
        `threshold`, `left`, `right` (indices of nodes; a leaf is its own left), `missing` (NaN goes left).
    """
    feature, threshold, left, right, missing = (
        tensors[f"{prefix}_{k}"] for k in ("feature", "threshold", "left", "right", "missing")
    )
    node = np.repeat(tensors[f"{prefix}_first"][None].astype(np.int64), len(x), 0)
    rows = np.arange(len(x))[:, None]
    while True:
        v = x[rows, feature[node]]
        goes_left = np.where(np.isnan(v), missing[node].astype(bool), v <= threshold[node])
        below = np.where(goes_left, left[node], right[node])
        if np.array_equal(below, node):
            return node
        node = below


def probabilities(tensors: Mapping[str, NDArray[Any]], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (n, classes): the mean of boosted trees (`boost`) and of extremely randomised ones (`forest`).

    Boosted trees take turns over the classes and add to `boost_baseline`; every leaf of the forest holds a
    probability per class (`forest_value`), features it cannot miss are filled in from `forest_fill`.
    """
    baseline = tensors["boost_baseline"].astype(float)
    out = np.empty((len(x), len(baseline)))
    for a in range(0, len(x), TOGETHER):
        part = x[a : a + TOGETHER]
        value = tensors["boost_value"][leaves(tensors, "boost", part)].astype(float)
        raw = baseline + value.reshape(len(part), -1, len(baseline)).sum(1)
        boosted = np.exp(raw - np.logaddexp.reduce(raw, axis=1)[:, None])
        full = np.where(np.isnan(part), tensors["forest_fill"].astype(float), part)
        forest = tensors["forest_value"][leaves(tensors, "forest", full)].astype(float).mean(1)
        out[a : a + TOGETHER] = 0.5 * (boosted + forest)
    return out


def classify(
    runner: NetworkRunner, clips: Mapping[str, NDArray[Any]], sampling_rate: float
) -> list[tuple[str, str, float]]:
    """Return (record, label, probability) of each clip.

    Parameters
    ----------
    clips : record -> (n,) one lead, any gain.

    Raises
    ------
    RecordingError : a clip is shorter than two seconds. ModelError : the trees are missing or changed.
    """
    from napari_biofm.models.checkpoints import read_arrays, sha256_of

    path = trees_path(runner)
    if not path.exists() or sha256_of(path) != runner.card.get("rhythm", {}).get("sha256"):
        raise ModelError(
            f"{path.name} is missing or not what the model's JSON expects; reinstall napari-biofm."
        )
    for name, clip in clips.items():
        if len(clip) < 2 * sampling_rate:
            raise RecordingError(f"clip {name} lasts {len(clip) / sampling_rate:.1f} s; give at least 2 s.")
    if not clips:
        return []
    x = np.stack([list(features(runner, clip, sampling_rate).values()) for clip in clips.values()])
    p = probabilities(read_arrays(path), x)
    best = p.argmax(1)
    return [(name, RHYTHMS[k], float(row[k])) for name, k, row in zip(clips, best, p, strict=True)]
