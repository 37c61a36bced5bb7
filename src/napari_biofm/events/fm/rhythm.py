"""Rhythm of an electrocardiogram clip: beats by the network, features, boosted trees kept as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import welch

from ...types import ModelError, RecordingError, Signal
from .decode import Candidates, sigmoid
from .words import RHYTHMS

if TYPE_CHECKING:
    from .model import PhysioFM

BANDS = ((0.1, 0.7), (0.7, 4), (4, 10), (10, 20), (20, 40), (40, 75))


def interval_features(rr: NDArray[np.float64]) -> list[float]:
    """Return how long and how irregular intervals between beats are (13 numbers)."""
    if len(rr) < 3:
        return [float(len(rr))] + [np.nan] * 12
    step = np.diff(rr)
    middle = np.median(rr)
    ratio = rr[1:] / rr[:-1]
    sure = np.abs(rr / middle - 1) < 0.35
    bins = np.histogram(step / middle, np.linspace(-0.6, 0.6, 13))[0] / len(step)
    entropy = -np.sum(bins[bins > 0] * np.log(bins[bins > 0]))
    autocorrelation = np.corrcoef(rr[:-1], rr[1:])[0, 1] if np.std(rr[:-1]) * np.std(rr[1:]) > 0 else 0.0
    return [
        float(len(rr)), float(middle), float(rr.std() / rr.mean()), float(np.sqrt(np.mean(step**2)) / middle),
        float(np.median(np.abs(step)) / middle), float(np.mean(np.abs(step) > 0.05)), float(entropy),
        float(autocorrelation), float(rr.min() / middle), float(rr.max() / middle), float(np.mean(~sure)),
        float(np.mean((ratio < 0.85) | (ratio > 1.18))),
        float(np.median(np.abs(np.diff(step))) / middle) if len(step) > 1 else np.nan,
    ]  # fmt: skip


def shape_features(x: NDArray[np.float64], beats: NDArray[np.int64], fs: float) -> list[float]:
    """Return what the average beat looks like and how alike the beats are (16 numbers)."""
    before, after = int(0.28 * fs), int(0.4 * fs)
    inside = beats[(beats >= before) & (beats + after < len(x))]
    if len(inside) < 3:
        return [np.nan] * 16
    cut = np.stack([x[b - before : b + after] for b in inside])
    cut = cut - np.median(cut, axis=1, keepdims=True)
    mean = np.median(cut, axis=0)
    size = np.ptp(mean) + 1e-9
    alike = [np.corrcoef(c, mean)[0, 1] for c in cut]
    p_zone = cut[:, : int(0.2 * fs)]
    p_mean = mean[: int(0.2 * fs)]
    p_alike = [np.corrcoef(c, p_mean)[0, 1] if c.std() > 0 and p_mean.std() > 0 else 0 for c in p_zone]
    t_zone = mean[before + int(0.12 * fs) :]
    wide = np.mean(np.abs(mean) > 0.5 * np.abs(mean).max())
    tall = cut[:, before]
    quiet = np.concatenate([c[: int(0.2 * fs)] - c[: int(0.2 * fs)].mean() for c in cut])
    f, power = welch(quiet, fs, nperseg=min(len(quiet), int(fs)))
    total = power[(f > 1) & (f < 40)].sum() + 1e-12
    return [
        float(np.mean(alike)), float(np.min(alike)), float(np.std(alike)), float(np.ptp(p_mean) / size),
        float(np.median(p_alike)), float(p_zone.std(0).mean() / size), float(p_mean.argmax() / len(p_mean)),
        float(np.ptp(t_zone) / size), float(t_zone.max() / size), float(t_zone.min() / size), float(wide),
        float(np.std(tall) / (np.abs(np.mean(tall)) + 1e-9)), float(mean[before] / size),
        float(power[(f >= 4) & (f <= 10)].sum() / total), float(power[(f >= 1) & (f < 4)].sum() / total),
        float(np.std(cut - mean) / size),
    ]  # fmt: skip


def features(model: PhysioFM, clip: NDArray[Any], fs: float) -> NDArray[np.float64]:
    """Return the features of one clip: intervals, shape, spectrum, noise, and the network's own mean
    vector.
    """
    x = np.nan_to_num(np.asarray(clip, np.float64))
    signal = Signal(x.astype(np.float32), fs, "other")
    found = [part for _, _, part in model.candidates(signal, "ecg")]
    joined = Candidates.join(found) if found else None
    p = sigmoid(joined.logit) if joined is not None else np.zeros(0)
    time_s = joined.time[p > 0.4] if joined is not None else np.zeros(0)
    beats = np.clip(np.round(time_s * fs).astype(int), 0, max(0, len(x) - 1))
    f, power = welch(x - np.median(x), fs, nperseg=min(len(x), int(4 * fs)))
    total = power[(f > 0.1) & (f < 75)].sum() + 1e-12
    bands = [float(np.log10(power[(f >= a) & (f < b)].sum() / total + 1e-6)) for a, b in BANDS]
    sure = p[p > 0.05]
    certainty = (
        [float(sure.mean()), float(np.mean(sure < 0.6)), float(np.mean(sure > 0.95))]
        if len(sure)
        else [np.nan] * 3
    )
    size = np.abs(x - np.median(x))
    extremes = [
        float(np.log10(size.max() + 1)),
        float(size.max() / (np.quantile(size, 0.95) + 1e-9)),
        float(np.mean(size < 1e-6)),
    ]
    vector = model.embed(signal, kind="ecg")[0]
    return np.concatenate(
        [interval_features(np.diff(time_s)), shape_features(x, beats, fs), bands, certainty, extremes, vector]
    ).astype(np.float64)


def trees_path(model: PhysioFM) -> Path:
    """Return where the trees of a model lie."""
    from . import weights

    stock = model.path or weights.STOCK
    return stock.with_name(stock.stem + "-rhythm.safetensors")


def tree_scores(tensors: Mapping[str, NDArray[Any]], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (n, classes) raw scores of boosted trees kept as arrays.

    Parameters
    ----------
    tensors : `first` (trees + 1,) first node of each tree, `feature`, `threshold`, `left`, `right`, `value`,
    `missing`
        (NaN goes left), `leaf` per node, `baseline` (classes,). Trees take turns over the classes.
    """
    first, classes = tensors["first"], len(tensors["baseline"])
    out = np.repeat(tensors["baseline"][None].astype(float), len(x), 0)
    rows = np.arange(len(x))
    for k in range(len(first) - 1):
        node = np.full(len(x), first[k])
        while True:
            inner = ~tensors["leaf"][node].astype(bool)
            if not inner.any():
                break
            v = x[rows, tensors["feature"][node]]
            goes_left = np.where(
                np.isnan(v), tensors["missing"][node].astype(bool), v <= tensors["threshold"][node]
            )
            node = np.where(
                inner, first[k] + np.where(goes_left, tensors["left"][node], tensors["right"][node]), node
            )
        out[:, k % classes] += tensors["value"][node]
    return out


def classify(
    model: PhysioFM, clips: Mapping[str, NDArray[Any]], sampling_rate: float
) -> list[tuple[str, str, float]]:
    """Return (record, label, probability) of each clip.

    Parameters
    ----------
    clips : record -> (n,) one lead, any gain.

    Raises
    ------
    RecordingError : a clip is shorter than two seconds. ModelError : the trees are missing or changed.
    """
    from safetensors.numpy import load_file

    from ...models.checkpoints import sha256_of

    path = trees_path(model)
    if not path.exists() or sha256_of(path) != model.card.get("rhythm", {}).get("sha256"):
        raise ModelError(
            f"{path.name} is missing or not what the model's JSON expects; reinstall napari-biofm."
        )
    for name, clip in clips.items():
        if len(clip) < 2 * sampling_rate:
            raise RecordingError(f"clip {name} lasts {len(clip) / sampling_rate:.1f} s; give at least 2 s.")
    if not clips:
        return []
    x = np.stack([features(model, clip, sampling_rate) for clip in clips.values()])
    score = tree_scores(load_file(path), x)
    p = np.exp(score - np.logaddexp.reduce(score, axis=1)[:, None])
    best = p.argmax(1)
    return [(name, RHYTHMS[k], float(row[k])) for name, k, row in zip(clips, best, p, strict=True)]
