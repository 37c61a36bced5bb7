"""What heads other than the default share: scaling, folds for calibration, and a state of plain arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_biofm.cells.classify.heads import FOLDS, Probabilities, check_width, encode
from napari_biofm.cells.classify.logistic import best_temperature, softmax
from napari_biofm.cells.embed.scaling import Scaler
from napari_biofm.cells.table.folds import make_folds
from napari_biofm.types import CellsError, Vectors

Parameters = dict[str, NDArray[Any]]


class ScaledHead(ABC):
    """A head made of two functions: training into plain arrays, and logits from them."""

    name: str

    def __init__(self) -> None:
        self.classes: tuple[str, ...] = ()
        self.temperature = 1.0
        self.scaler: Scaler | None = None
        self.parameters: Parameters = {}

    @abstractmethod
    def train(self, features: NDArray[np.float32], codes: NDArray[np.int64], n_classes: int) -> Parameters:
        """Return the arrays that make a trained model; a class may be absent from `codes`."""

    @abstractmethod
    def scores(self, parameters: Parameters, features: NDArray[np.float32], n_classes: int) -> Vectors:
        """Return logits (n, n_classes)."""

    def fit(self, X: Vectors, y: ArrayLike, groups: Sequence[Any] | None = None) -> Self:
        vectors, codes, self.classes, usable = encode(X, y)
        n_classes = len(self.classes)
        self.scaler = Scaler.fit(vectors)
        features = self.scaler.apply(vectors)
        held = np.zeros((len(codes), n_classes), np.float32)
        seen = np.zeros(len(codes), bool)
        kept = None if groups is None else list(np.asarray(groups, object)[usable])
        for train, test in make_folds(codes, kept, FOLDS):
            if len(np.unique(codes[train])) > 1:
                fitted = self.train(features[train], codes[train], n_classes)
                held[test] = self.scores(fitted, features[test], n_classes)
                seen[test] = True
        self.temperature = best_temperature(held[seen], codes[seen]) if seen.any() else 1.0
        self.parameters = self.train(features, codes, n_classes)
        return self

    def again(self) -> Self:
        """Return an untrained head of this kind; nothing is chosen in training."""
        return type(self)()

    def predict_proba(self, X: Vectors) -> Probabilities:
        if self.scaler is None:
            raise CellsError("This head is not trained yet; label cells of two classes first.")
        check_width(self.name, X, len(self.scaler.mean))
        features = self.scaler.apply(X)
        finite = np.asarray(np.isfinite(features).all(1))
        out = np.full((len(features), len(self.classes)), np.nan, np.float32)
        if finite.any():
            logits = self.scores(self.parameters, features[finite], len(self.classes))
            out[finite] = softmax(logits, self.temperature)
        return out

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        if self.scaler is None:
            raise CellsError("This head is not trained yet; there is nothing to save.")
        arrays = {"mean": self.scaler.mean, "scale": self.scaler.scale, **self.parameters}
        return arrays, {"classes": list(self.classes), "temperature": self.temperature}

    @classmethod
    def restore(cls, arrays: dict[str, NDArray[Any]], settings: dict[str, Any]) -> Self:
        head = cls()
        head.classes, head.temperature = tuple(settings["classes"]), float(settings["temperature"])
        rest = dict(arrays)
        head.scaler = Scaler(rest.pop("mean"), rest.pop("scale"))
        head.parameters = rest
        return head
