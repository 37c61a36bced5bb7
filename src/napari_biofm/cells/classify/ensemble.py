"""Logistic regression on every part of the vectors beside boosted trees on the narrow ones: the CLI's head.

What a network learned is best read linearly; plain facts such as DNA content call for thresholds. Both are
fitted, and weighed by what they say about rows left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_biofm.cells.classify.heads import BALANCE, FOLDS, LogisticHead, PartFits, Probabilities, encode
from napari_biofm.cells.classify.logistic import balanced, best_temperature, softmax, weigh
from napari_biofm.cells.classify.trees import bins_of, cuts_between_bins, flatten_boosting, sum_of_leaves
from napari_biofm.cells.table.folds import make_folds
from napari_biofm.types import CellsError, Vectors

NARROW = 200  # columns; wider parts are left to the regression
FLOOR = 12.0  # a class is at most this much less likely than the likeliest, in logits
SEED = 0


class EnsembleHead:
    """Parts-wise logistic regression and histogram gradient boosting.

    Parameters
    ----------
    l2, parts : see `LogisticHead`.
    shares : how much regression and trees count; None finds out on folds.
    temperature : of the probabilities, where `shares` are given.
    fits : see `LogisticHead`.
    """

    name = "ensemble"

    def __init__(
        self,
        l2: float | Sequence[float] | None = None,
        parts: Sequence[int] | None = None,
        shares: Sequence[float] | None = None,
        temperature: float = 1.0,
        fits: PartFits | None = None,
    ) -> None:
        self.linear = LogisticHead(l2, parts=parts, fits=fits)
        self.given_shares, self.temperature = shares, temperature
        self.classes: tuple[str, ...] = ()
        self.shares: tuple[float, ...] = ()
        self.columns: NDArray[np.int64] = np.zeros(0, np.int64)
        self.trees: dict[str, NDArray[Any]] = {}

    def again(self) -> EnsembleHead:
        """Return an untrained head with what was chosen here: penalties, shares and temperature."""
        linear = self.linear
        return EnsembleHead(linear.chosen_l2, linear.parts, self.shares, self.temperature, linear.fits)

    def fit(self, X: Vectors, y: ArrayLike, groups: Sequence[Any] | None = None) -> Self:
        vectors, codes, self.classes, usable = encode(X, y)
        kept = None if groups is None else list(np.asarray(groups, object)[usable])
        self.linear.fit(vectors, np.asarray(self.classes, object)[codes], kept)
        self.columns = self._narrow(vectors.shape[1])
        features = vectors[:, self.columns]
        if not len(self.columns) or len(codes) < 4 * len(self.classes):
            self.shares, self.trees = (1.0, 0.0), {}
            self.temperature = self.linear.temperature
            return self
        n_classes = len(self.classes)
        weight = balanced(codes, n_classes, BALANCE)
        if self.given_shares is None:
            self._weigh(features, codes, weight, kept)
        else:
            self.shares = tuple(self.given_shares)
        self.trees = _boost(features, codes, weight, n_classes) if self.shares[1] else {}
        return self

    def _weigh(
        self,
        features: Vectors,
        codes: NDArray[np.int64],
        weight: NDArray[np.float64],
        groups: Sequence[Any] | None,
    ) -> None:
        """Find shares and temperature on the folds the regression was tuned on.

        Trees that add nothing on the first fold are grown no further: with many classes they take long.
        """
        n_classes = len(self.classes)
        folds = [f for f in make_folds(codes, groups, FOLDS) if len(np.unique(codes[f[0]])) > 1]
        self.shares, self.temperature = (1.0, 0.0), self.linear.temperature
        held: list[NDArray[np.float32]] = []
        for i, (train, test) in enumerate(folds):
            fitted = _boost(features[train], codes[train], weight[train], n_classes)
            held.append(_logits(fitted, features[test]))
            if i == 0 and not _shares(self.linear.held[test], held[0], codes[test], weight[test])[1]:
                return
        if not folds:
            return
        seen = np.concatenate([test for _, test in folds])
        said, also = self.linear.held[seen], np.concatenate(held)
        self.shares = _shares(said, also, codes[seen], weight[seen])
        together = self.shares[0] * said + self.shares[1] * also
        self.temperature = best_temperature(together, codes[seen])

    def _narrow(self, width: int) -> NDArray[np.int64]:
        """Columns of the parts that trees can be grown on."""
        edges = np.cumsum((0, *(self.linear.parts or (width,)))).tolist()
        narrow = [np.arange(a, b) for a, b in itertools.pairwise(edges) if b - a <= NARROW]
        return np.concatenate([np.zeros(0, np.int64), *narrow])

    def logits(self, X: Vectors) -> NDArray[np.float32]:
        """Return (n, n_classes), not yet calibrated."""
        total = self.shares[0] * self.linear.logits(X)
        if self.trees:
            narrow = np.asarray(X, np.float32)[:, self.columns]
            finite = np.isfinite(narrow).all(1)
            total[finite] += np.float32(self.shares[1]) * _logits(self.trees, narrow[finite])
        return np.asarray(total, np.float32)

    def predict_proba(self, X: Vectors) -> Probabilities:
        if not self.classes:
            raise CellsError("This head is not trained yet; label cells of two classes first.")
        return softmax(self.logits(X), self.temperature)

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays, settings = self.linear.state()
        trees = {f"trees.{name}": array for name, array in self.trees.items()}
        return {**arrays, **trees, "columns": self.columns}, {
            "classes": list(self.classes),
            "linear": settings,
            "shares": list(self.shares),
            "temperature": self.temperature,
        }

    @classmethod
    def restore(cls, arrays: dict[str, NDArray[Any]], settings: dict[str, Any]) -> Self:
        head = cls(shares=settings["shares"], temperature=float(settings["temperature"]))
        head.linear = LogisticHead.restore(arrays, settings["linear"])
        head.classes, head.shares = tuple(settings["classes"]), tuple(settings["shares"])
        head.columns = np.asarray(arrays["columns"], np.int64)
        head.trees = {k.removeprefix("trees."): v for k, v in arrays.items() if k.startswith("trees.")}
        return head


def _shares(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    codes: NDArray[np.int64],
    weight: NDArray[np.float64],
) -> tuple[float, float]:
    """Weigh two experts; less than a hundredth of the other is nothing."""
    found = weigh([first, second], codes, weight)
    found[found < 1e-2 * found.max()] = 0.0
    return float(found[0]), float(found[1])


def _boost(
    features: Vectors, codes: NDArray[np.int64], weight: NDArray[np.float64], n_classes: int
) -> dict[str, NDArray[Any]]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    boosting = HistGradientBoostingClassifier(
        max_iter=40,
        learning_rate=0.15,
        max_leaf_nodes=8,
        min_samples_leaf=max(2, min(10, len(codes) // 50)),
        max_features=0.3,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=SEED,
    )
    cuts = cuts_between_bins(features, weight)
    return flatten_boosting(
        boosting.fit(bins_of(features, cuts), codes, sample_weight=weight), n_classes, cuts
    )


def _logits(trees: dict[str, NDArray[Any]], features: Vectors) -> NDArray[np.float32]:
    found = sum_of_leaves(trees, features) + trees["baseline"]
    return np.maximum(found, found.max(1, keepdims=True) - FLOOR).astype(np.float32)
