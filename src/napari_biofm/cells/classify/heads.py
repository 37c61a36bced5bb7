"""Heads: small models, trained in seconds, that turn the vectors of cells into classes.

A head standardises its input, weighs classes alike, calibrates its probabilities on held-out folds, and its
weights are plain arrays, so that it can be saved without pickle.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_biofm.cells.classify.logistic import Weights, balanced, best_temperature, softmax, solve, weigh
from napari_biofm.cells.embed.scaling import Rotation, Scaler
from napari_biofm.cells.table.cell_table import UNKNOWN
from napari_biofm.cells.table.folds import Fold, make_folds
from napari_biofm.types import CellsError, Vectors

if TYPE_CHECKING:
    from anndata import AnnData

PENALTIES = (0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4)  # strongest first
FOLDS = 3
BALANCE = 0.6  # see `LogisticHead`
KEEP, AXES = 0.9995, 320  # share of variance and number of axes a part is described by
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

    def again(self) -> Head:
        """Return an untrained head of this kind, with what this one chose for itself in training."""
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


@dataclass(frozen=True)
class PartFit:
    """A regression on one part: penalty, logits of rows left out (n, k), weights on standardised columns."""

    l2: float
    held: NDArray[np.float32]
    weights: Weights


class PartFits:
    """Regressions on parts that were fitted before, by what they were fitted on.

    Vectors side by side are compared with each of them alone, on the same rows: every part would be fitted anew
    in each company, with the same result.
    """

    def __init__(self) -> None:
        self._fits: dict[bytes, PartFit] = {}

    def get(self, make: Callable[[], PartFit], part: Vectors, *rest: Any) -> PartFit:
        """Return the fit on this part (n, d) and the rest of what decides it; `make` it the first time."""
        digest = blake2b(part.tobytes(), digest_size=20)
        for one in rest:
            digest.update(one.tobytes() if isinstance(one, np.ndarray) else repr(one).encode())
        key = digest.digest()
        if key not in self._fits:
            self._fits[key] = make()
        return self._fits[key]


class LogisticHead:
    """Multinomial logistic regression, the default head.

    Where the columns come in parts (learned maps, texture, size and brightness, measures), a regression is
    fitted to each, with a penalty of its own, and their logits are weighed by what they say about rows left
    out. A few plain facts are then not drowned by a thousand learned columns. A sum of linear models is
    linear, so what is stored is one matrix.

    Parameters
    ----------
    l2 : penalty per sample, one for all parts or one each; None chooses it on folds (whole groups left out)
        by weighted log loss.
    balance : 1 weighs classes alike, 0 cells alike; in between, rare classes are found without being
        found everywhere.
    parts : widths of the parts, in the order of the columns; all columns are one part when not given.
    fits : where regressions on parts are kept for other heads on the same rows.
    """

    name = "logistic"

    def __init__(
        self,
        l2: float | Sequence[float] | None = None,
        balance: float = BALANCE,
        parts: Sequence[int] | None = None,
        fits: PartFits | None = None,
    ) -> None:
        self.l2 = l2
        self.fits = fits
        self.balance = balance
        self.parts = None if parts is None else tuple(int(width) for width in parts)
        self.classes: tuple[str, ...] = ()
        self.temperature = 1.0
        self.weights: Weights | None = None
        self.chosen_l2: tuple[float, ...] = ()
        self.shares: tuple[float, ...] = ()
        self.held: NDArray[np.float32] = np.zeros((0, 0), np.float32)  # logits of usable rows while left out

    def again(self) -> LogisticHead:
        """Return an untrained head with the penalties that were chosen here."""
        return LogisticHead(self.chosen_l2 or self.l2, self.balance, self.parts, self.fits)

    def fit(self, X: Vectors, y: ArrayLike, groups: Sequence[Any] | None = None) -> Self:
        vectors, codes, classes, usable = encode(X, y)
        bounds = self._bounds(vectors.shape[1])
        former = self.weights if classes == self.classes and len(bounds) == 1 else None
        self.classes = classes
        self.scaler = Scaler.fit(vectors)
        standardised = self.scaler.apply(vectors)
        kept = None if groups is None else list(np.asarray(groups, object)[usable])
        folds = [f for f in make_folds(codes, kept, FOLDS) if len(np.unique(codes[f[0]])) > 1]
        weight = balanced(codes, len(classes), self.balance)
        coefficients = np.zeros((vectors.shape[1], len(classes)), np.float32)
        intercepts, held, chosen = [], [], []
        for i, (start, stop) in enumerate(bounds):
            found = self._fit_part(standardised[:, start:stop], codes, folds, weight, self._given(i), former)
            coefficients[start:stop] = found.weights.coefficients
            intercepts.append(found.weights.intercept)
            held.append(found.held)
            chosen.append(found.l2)
        seen = np.concatenate([test for _, test in folds]) if folds else np.zeros(0, np.int64)
        shares = np.full(len(bounds), 1.0 / len(bounds))
        if len(seen) and len(bounds) > 1:
            shares = weigh([one[seen] for one in held], codes[seen], weight[seen])
        for (start, stop), share in zip(bounds, shares, strict=True):
            coefficients[start:stop] *= np.float32(share)
        self.held = together = np.tensordot(shares, np.stack(held), 1)
        self.temperature = best_temperature(together[seen], codes[seen]) if len(seen) else 1.0
        self.weights = Weights(coefficients, np.asarray(np.tensordot(shares, intercepts, 1), np.float32))
        self.chosen_l2, self.shares = tuple(chosen), tuple(float(s) for s in shares)
        return self

    def _fit_part(
        self,
        part: Vectors,
        codes: NDArray[np.int64],
        folds: Sequence[Fold],
        weight: NDArray[np.float64],
        given: float | None,
        former: Weights | None,
    ) -> PartFit:
        def make() -> PartFit:
            rotation = Rotation.fit(part, KEEP, AXES)
            features = rotation.apply(part)
            l2, said = self._tune(features, rotation.variances, codes, folds, weight, given)
            found = solve(
                features,
                codes,
                len(self.classes),
                l2=l2,
                sample_weight=weight,
                variances=rotation.variances,
                start=None if former is None else _rotated(former, rotation.axes.T),
            )
            return PartFit(l2, said, Weights(rotation.axes @ found.coefficients, found.intercept))

        if self.fits is None or former is not None:
            return make()
        tests = [test for _, test in folds]
        return self.fits.get(make, part, part.shape, codes, weight, given, len(tests), *tests)

    def _bounds(self, width: int) -> list[tuple[int, int]]:
        """First and last column of each part that says anything."""
        if self.parts is None:
            return [(0, width)]
        if sum(self.parts) != width:
            raise CellsError(
                f"The head was told of parts of {self.parts} columns, which do not make up vectors of {width}."
            )
        edges = np.cumsum((0, *self.parts)).tolist()
        return [(a, b) for a, b in itertools.pairwise(edges) if b > a]

    def _given(self, part: int) -> float | None:
        if self.l2 is None or isinstance(self.l2, int | float):
            return self.l2
        return float(self.l2[min(part, len(self.l2) - 1)])

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
        folds: Sequence[Fold],
        weight: NDArray[np.float64],
        given: float | None,
    ) -> tuple[float, NDArray[np.float32]]:
        """Choose the penalty of one part; return it and the logits of the rows left out, (n, k)."""
        n_classes = len(self.classes)
        nothing = np.zeros((len(codes), n_classes), np.float32)
        if not folds:
            return given or 1e-2, nothing
        seen = np.concatenate([test for _, test in folds])
        starts: list[Weights | None] = [None] * len(folds)
        best: tuple[float, float, NDArray[np.float32]] = (np.inf, given or 1e-2, nothing)
        for l2 in PENALTIES if given is None else (given,):
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
            if loss < best[0]:
                best = (loss, l2, held)
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
        settings = {
            "l2": list(self.chosen_l2),
            "balance": self.balance,
            "temperature": self.temperature,
            "parts": None if self.parts is None else list(self.parts),
            "shares": list(self.shares),
        }
        return arrays, {**settings, "classes": list(self.classes)}

    @classmethod
    def restore(cls, arrays: dict[str, NDArray[Any]], settings: dict[str, Any]) -> Self:
        head = cls(settings["l2"], settings["balance"], settings["parts"])
        head.chosen_l2, head.shares = tuple(settings["l2"]), tuple(settings["shares"])
        head.temperature = settings["temperature"]
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


def write_predictions(table: AnnData, head: Head, vectors: Vectors, min_probability: float = 0.5) -> None:
    """Fill `predicted` and `probability` of the table from a trained head."""
    probabilities = head.predict_proba(vectors)
    table.obs["predicted"] = decide(probabilities, head.classes, min_probability)
    table.obs["probability"] = probabilities.max(1).astype(np.float64) if len(probabilities) else np.zeros(0)
