"""Heads: small models, trained in seconds, that turn the vectors of cells into classes.

A head standardises its input, weighs classes alike, calibrates its probabilities on held-out folds, and its
weights are plain arrays, so that it can be saved without pickle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_biofm.cells.folds import make_folds
from napari_biofm.cells.logistic import Weights, balanced, best_temperature, softmax, solve
from napari_biofm.cells.scaling import Rotation, Scaler
from napari_biofm.cells.table import UNKNOWN, text, vectors_of
from napari_biofm.types import CellsError, Vectors

if TYPE_CHECKING:
    from anndata import AnnData

PENALTIES = (0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4)  # strongest first
FOLDS = 3
Probabilities = NDArray[np.float32]


@runtime_checkable
class Head(Protocol):
    """Vectors -> class probabilities. `classes` are the names of the columns, sorted."""

    name: str
    classes: tuple[str, ...]

    def fit(self, X: Vectors, y: ArrayLike, groups: Sequence[Any] | None = None) -> Self:
        """Train on vectors (n, d) and class names (n,); whole groups are left out where folds are made."""
        ...

    def predict_proba(self, X: Vectors) -> Probabilities:
        """Return (n, n_classes); rows with NaN vectors are NaN."""
        ...

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return arrays and JSON-able settings from which `restore` makes the same head."""
        ...

    @classmethod
    def restore(cls, arrays: dict[str, NDArray[Any]], settings: dict[str, Any]) -> Self:
        """Make a head from its state."""
        ...


def encode(
    X: Vectors,
    y: ArrayLike,
) -> tuple[Vectors, NDArray[np.int64], tuple[str, ...], NDArray[np.bool_]]:
    """Check training data and turn names into codes.

    Returns
    -------
    usable vectors, codes, class names (sorted), and which rows were usable (finite vectors).

    Raises
    ------
    CellsError
        With fewer than two classes, no finite vector, or only constant columns.
    """
    vectors = np.asarray(X, np.float32)
    names = np.asarray(y, object).astype(str)
    if vectors.ndim != 2 or len(vectors) != len(names):
        raise CellsError(f"Vectors of shape {vectors.shape} and {len(names)} labels do not go together.")
    usable: NDArray[np.bool_] = np.asarray(np.isfinite(vectors).all(1))
    if len(names) and not usable.any():
        raise CellsError(
            f"None of the {len(names)} labelled cells has finite vectors. Compute the vectors again, "
            "or choose others."
        )
    classes, codes = np.unique(names[usable], return_inverse=True)
    if len(classes) < 2:
        have = f"only '{classes[0]}'" if len(classes) else "none"
        raise CellsError(
            f"Two classes are needed to learn; labelled is {have}. Label a cell of another class."
        )
    if Scaler.fit(vectors[usable]).is_constant:
        raise CellsError(
            "All labelled cells have the same vector, so nothing can be learnt; choose other vectors."
        )
    return vectors[usable], codes.astype(np.int64), tuple(str(c) for c in classes), usable


class LogisticHead:
    """Multinomial logistic regression, the default head.

    Parameters
    ----------
    l2 : penalty per sample; None chooses it on folds (whole groups left out) by balanced log loss.
    balance : 1 weighs classes alike, 0 cells alike.
    """

    name = "logistic"

    def __init__(self, l2: float | None = None, balance: float = 1.0) -> None:
        self.l2 = l2
        self.balance = balance
        self.classes: tuple[str, ...] = ()
        self.temperature = 1.0
        self.weights: Weights | None = None

    def fit(self, X: Vectors, y: ArrayLike, groups: Sequence[Any] | None = None) -> Self:
        vectors, codes, classes, usable = encode(X, y)
        former = self.weights if classes == self.classes else None
        self.classes = classes
        self.scaler = Scaler.fit(vectors)
        standardised = self.scaler.apply(vectors)
        rotation = Rotation.fit(standardised)
        features = rotation.apply(standardised)
        kept = None if groups is None else list(np.asarray(groups, object)[usable])
        self.chosen_l2, self.temperature = self._tune(features, rotation.variances, codes, kept)
        start = None if former is None else _rotated(former, rotation.axes.T)
        weight = balanced(codes, len(classes), self.balance)
        found = solve(
            features,
            codes,
            len(classes),
            l2=self.chosen_l2,
            sample_weight=weight,
            variances=rotation.variances,
            start=start,
        )
        self.weights = _rotated(found, rotation.axes)
        return self

    def predict_proba(self, X: Vectors) -> Probabilities:
        return softmax(self.logits(X), self.temperature)

    def logits(self, X: Vectors) -> NDArray[np.float32]:
        if self.weights is None:
            raise CellsError("This head is not trained yet; label cells of two classes first.")
        check_width(self.name, X, len(self.scaler.mean))
        return self.weights.logits(self.scaler.apply(X))

    def _tune(
        self,
        features: Vectors,
        variances: NDArray[np.float32],
        codes: NDArray[np.int64],
        groups: Sequence[Any] | None,
    ) -> tuple[float, float]:
        """Choose penalty and temperature on logits of rows that were left out."""
        n_classes = len(self.classes)
        folds = [f for f in make_folds(codes, groups, FOLDS) if len(np.unique(codes[f[0]])) > 1]
        if not folds:
            return self.l2 or 1e-2, 1.0
        seen = np.concatenate([test for _, test in folds])
        weight = balanced(codes, n_classes, self.balance)
        starts: list[Weights | None] = [None] * len(folds)
        best = (np.inf, self.l2 or 1e-2, 1.0)
        for l2 in PENALTIES if self.l2 is None else (self.l2,):
            held = np.zeros((len(codes), n_classes), np.float32)
            for i, (train, test) in enumerate(folds):
                found = solve(
                    features[train],
                    codes[train],
                    n_classes,
                    l2=l2,
                    sample_weight=weight[train],
                    variances=variances,
                    start=starts[i],
                    tolerance=1e-3,
                )
                starts[i] = found
                held[test] = found.logits(features[test])
            temperature = best_temperature(held[seen], codes[seen])
            chosen = softmax(held[seen], temperature)[np.arange(len(seen)), codes[seen]]
            loss = -float((weight[seen] * np.log(np.maximum(chosen, 1e-12))).mean())
            if loss > 1.03 * best[0]:
                break  # the path goes from strong to weak: it gets worse from here on
            best = min(best, (loss, l2, temperature))
        return best[1], best[2]

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        if self.weights is None:
            raise CellsError("This head is not trained yet; there is nothing to save.")
        arrays = {
            "mean": self.scaler.mean,
            "scale": self.scaler.scale,
            "coefficients": self.weights.coefficients,
            "intercept": self.weights.intercept,
        }
        settings = {"l2": self.chosen_l2, "balance": self.balance, "temperature": self.temperature}
        return arrays, {**settings, "classes": list(self.classes)}

    @classmethod
    def restore(cls, arrays: dict[str, NDArray[Any]], settings: dict[str, Any]) -> Self:
        head = cls(l2=settings["l2"], balance=settings["balance"])
        head.chosen_l2, head.temperature = settings["l2"], settings["temperature"]
        head.classes = tuple(settings["classes"])
        head.scaler = Scaler(arrays["mean"], arrays["scale"])
        head.weights = Weights(arrays["coefficients"], arrays["intercept"])
        return head


def _rotated(weights: Weights, axes: NDArray[np.float32]) -> Weights:
    return Weights(np.asarray(axes @ weights.coefficients), weights.intercept)


def check_width(name: str, X: Vectors, width: int) -> None:
    """Raise where vectors are not as wide as those the head was trained on."""
    if X.ndim != 2 or X.shape[1] != width:
        raise CellsError(
            f"The head '{name}' was trained on vectors of {width} columns; these have shape {X.shape}. "
            "Use the encoder the head was trained with, or train a new head."
        )


def decide(
    probabilities: Probabilities, classes: Sequence[str], min_probability: float = 0.0
) -> NDArray[np.object_]:
    """Return the likeliest class per row, "unknown" below `min_probability`, "" for rows of NaN."""
    names = np.asarray([*classes, UNKNOWN, ""], object)
    if not len(probabilities):
        return np.zeros(0, object)
    valid = np.asarray(np.isfinite(probabilities).all(1))
    filled = np.where(valid[:, None], probabilities, 0.0)
    best = filled.argmax(1)
    best[filled.max(1) < min_probability] = len(classes)
    best[~valid] = len(classes) + 1
    return np.asarray(names[best], object)


def fit_predict(
    table: AnnData,
    min_probability: float = 0.5,
    *,
    head: Head | None = None,
    blocks: str | Sequence[str] | None = None,
) -> AnnData:
    """Train on the cells labelled by hand, predict all, and return the table with both columns filled.

    Parameters
    ----------
    table : as of `make_table`; `predicted` and `probability` are written into it.
    min_probability : below it a cell is predicted "unknown".
    head : the head to train; logistic regression when not given.
    blocks : names of the vectors to use, side by side; the block in use when not given.
    """
    head = head or LogisticHead()
    vectors = vectors_of(table, blocks)
    by_hand = text(table, "class_by_hand")
    labelled = by_hand != ""
    groups = text(table, "group")[labelled]
    head.fit(vectors[labelled], by_hand[labelled], list(groups))
    write_predictions(table, head, vectors, min_probability)
    return table


def write_predictions(table: AnnData, head: Head, vectors: Vectors, min_probability: float = 0.5) -> None:
    """Fill `predicted` and `probability` of the table from a trained head."""
    probabilities = head.predict_proba(vectors)
    table.obs["predicted"] = decide(probabilities, head.classes, min_probability)
    table.obs["probability"] = probabilities.max(1).astype(np.float64) if len(probabilities) else np.zeros(0)
