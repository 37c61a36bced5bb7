"""Heads beside the default: neighbours, discriminants, trees, and a small network.

scikit-learn and torch are imported where a head is trained, in the worker; predicting needs NumPy alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.classify.ensemble import EnsembleHead
from napari_biofm.cells.classify.heads import Head, LogisticHead, PartFits
from napari_biofm.cells.classify.logistic import balanced
from napari_biofm.cells.classify.scaled_head import Parameters, ScaledHead
from napari_biofm.cells.classify.trees import (
    bins_of,
    cuts_between_bins,
    flatten_boosting,
    flatten_forest,
    sum_of_leaves,
)
from napari_biofm.types import CellsError, Vectors

SEED = 0
Features = NDArray[np.float32]
Codes = NDArray[np.int64]


class NeighboursHead(ScaledHead):
    """Classes of the k nearest labelled cells, each class weighed by its frequency."""

    name = "neighbours"
    k = 15

    def train(self, features: Features, codes: Codes, n_classes: int) -> Parameters:
        return {"features": features, "codes": codes, "weight": balanced(codes, n_classes, 0.5)}

    def scores(self, parameters: Parameters, features: Features, n_classes: int) -> Vectors:
        known = parameters["features"]
        k = min(self.k, len(known))
        out = np.empty((len(features), n_classes), np.float32)
        for start in range(0, len(features), 2048):
            part = features[start : start + 2048]
            squared = (part**2).sum(1)[:, None] - 2 * part @ known.T + (known**2).sum(1)
            near = np.argpartition(squared, k - 1, 1)[:, :k]
            distance = np.take_along_axis(squared, near, 1)
            closeness = np.exp(-distance / np.maximum(distance.mean(1, keepdims=True), 1e-9))
            votes = np.zeros((len(part), n_classes))
            rows = np.repeat(np.arange(len(part)), k)
            np.add.at(
                votes,
                (rows, parameters["codes"][near].ravel()),
                (closeness * parameters["weight"][near]).ravel(),
            )
            out[start : start + 2048] = np.log(votes / votes.sum(1, keepdims=True) + 0.5 / k)
        return out


class DiscriminantHead(ScaledHead):
    """Linear discriminant analysis with shrunken covariance (Ledoit and Wolf 2004), equal priors."""

    name = "discriminant"

    def train(self, features: Features, codes: Codes, n_classes: int) -> Parameters:
        from sklearn.covariance import ledoit_wolf

        means = np.zeros((n_classes, features.shape[1]))
        present = np.bincount(codes, minlength=n_classes) > 0
        for c in np.flatnonzero(present):
            means[c] = features[codes == c].mean(0)
        covariance = ledoit_wolf(features - means[codes], assume_centered=True)[0]
        ridge = 1e-6 * max(float(np.trace(covariance)) / len(covariance), 1e-6)
        weights = np.linalg.solve(covariance + ridge * np.eye(len(covariance)), means.T)
        intercept = np.where(present, -0.5 * (means.T * weights).sum(0), -1e3)
        return {"weights": weights.astype(np.float32), "intercept": intercept.astype(np.float32)}

    def scores(self, parameters: Parameters, features: Features, n_classes: int) -> Vectors:
        return np.asarray(features @ parameters["weights"] + parameters["intercept"])


class ForestHead(ScaledHead):
    """Random forest, classes weighed alike."""

    name = "forest"
    n_trees = 200

    def train(self, features: Features, codes: Codes, n_classes: int) -> Parameters:
        from sklearn.ensemble import RandomForestClassifier

        forest = RandomForestClassifier(
            self.n_trees, class_weight="balanced_subsample", min_samples_leaf=2, random_state=SEED, n_jobs=1
        )
        return flatten_forest(forest.fit(features, codes), n_classes)

    def scores(self, parameters: Parameters, features: Features, n_classes: int) -> Vectors:
        share = sum_of_leaves(parameters, features) / len(parameters["roots"])
        return np.log(np.maximum(share, 0) + 1e-2).astype(np.float32)


class BoostingHead(ScaledHead):
    """Gradient-boosted trees on histograms, classes weighed alike."""

    name = "boosting"

    def train(self, features: Features, codes: Codes, n_classes: int) -> Parameters:
        from sklearn.ensemble import HistGradientBoostingClassifier

        boosting = HistGradientBoostingClassifier(
            max_iter=100,
            learning_rate=0.1,
            max_leaf_nodes=15,
            min_samples_leaf=max(2, min(20, len(codes) // 50)),
            l2_regularization=1.0,
            early_stopping=False,
            random_state=SEED,
        )
        weight = balanced(codes, n_classes)
        cuts = cuts_between_bins(features, weight)
        boosting.fit(bins_of(features, cuts), codes, sample_weight=weight)
        return flatten_boosting(boosting, n_classes, cuts)

    def scores(self, parameters: Parameters, features: Features, n_classes: int) -> Vectors:
        return (sum_of_leaves(parameters, features) + parameters["baseline"]).astype(np.float32)


class NetworkHead(ScaledHead):
    """One hidden layer, trained with torch in the worker; its weights are plain arrays."""

    name = "network"
    hidden = 128
    epochs = 150

    def train(self, features: Features, codes: Codes, n_classes: int) -> Parameters:
        import torch
        from torch import nn

        generator = torch.Generator().manual_seed(SEED)
        layers = [nn.Linear(features.shape[1], self.hidden), nn.Linear(self.hidden, n_classes)]
        for layer in layers:
            bound = 1 / np.sqrt(layer.in_features)
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.zeros_(layer.bias)
        weight = torch.from_numpy(balanced(codes, n_classes).astype(np.float32))
        x, y = torch.from_numpy(np.ascontiguousarray(features)), torch.from_numpy(codes)
        parameters = [p for layer in layers for p in layer.parameters()]
        optimiser = torch.optim.AdamW(parameters, lr=3e-3, weight_decay=0.1)
        with torch.enable_grad():
            for _ in range(self.epochs):
                for part in torch.randperm(len(x), generator=generator).split(256):
                    keep = (torch.rand(len(part), self.hidden, generator=generator) > 0.3).float() / 0.7
                    logits = layers[1](torch.relu(layers[0](x[part])) * keep)
                    loss = nn.functional.cross_entropy(logits, y[part], reduction="none") * weight[part]
                    optimiser.zero_grad()
                    loss.mean().backward()
                    optimiser.step()
        names = ("w0", "b0", "w1", "b1")
        arrays = [p.detach().numpy() for p in parameters]
        return {name: np.ascontiguousarray(a.T) for name, a in zip(names, arrays, strict=True)}

    def scores(self, parameters: Parameters, features: Features, n_classes: int) -> Vectors:
        hidden = np.maximum(features @ parameters["w0"] + parameters["b0"], 0)
        return np.asarray(hidden @ parameters["w1"] + parameters["b1"])


HEADS: dict[str, type[Head]] = {
    head.name: head
    for head in (
        LogisticHead,
        EnsembleHead,
        NeighboursHead,
        DiscriminantHead,
        ForestHead,
        BoostingHead,
        NetworkHead,
    )
}


def make_head(
    name: str = "logistic",
    *,
    l2: float | Sequence[float] | None = None,
    parts: Sequence[int] | None = None,
    fits: PartFits | None = None,
) -> Head:
    """Return an untrained head by name.

    Parameters
    ----------
    l2, parts, fits : of the logistic head and the ensemble, see `LogisticHead`; others have no use for them.

    Raises
    ------
    CellsError
        If there is no such head.
    """
    if name not in HEADS:
        raise CellsError(f"There is no head '{name}'; there are: {', '.join(HEADS)}.")
    if name == LogisticHead.name:
        return LogisticHead(l2, parts=parts, fits=fits)
    if name == EnsembleHead.name:
        return EnsembleHead(l2, parts=parts, fits=fits)
    return HEADS[name]()
