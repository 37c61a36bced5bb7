"""The head behind the dock: prepared once per table, refitted at every click.

Standardising and rotating all vectors is done once (`prepare`, in the background). After that a click costs a
few steps of the solver from the former weights, and one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.classify.heads import BALANCE, LogisticHead
from napari_biofm.cells.classify.logistic import Weights, balanced, best_temperature, softmax, solve
from napari_biofm.cells.embed.scaling import Rotation, Scaler
from napari_biofm.cells.table.folds import make_folds
from napari_biofm.types import CellsError, Vectors

DEFAULT_L2 = 0.03
TUNED = (0.3, 0.1, 0.03, 0.01, 0.003)
SAMPLE = 20_000  # rows that axes are measured on
CHUNK = 8192  # rows predicted at a time, so that other threads get their turn
WIDTH = 256  # axes kept


@dataclass(frozen=True)
class Prepared:
    """All vectors of a table, standardised and along their principal axes.

    Attributes
    ----------
    features : (n, r) float32; rows that are not finite are zero.
    finite : (n,) whether a row can be predicted.
    """

    features: NDArray[np.float32]
    finite: NDArray[np.bool_]
    scaler: Scaler
    rotation: Rotation


def prepare(vectors: Vectors, seed: int = 0) -> Prepared:
    """Standardise and rotate the vectors (n, d) of a table.

    Raises
    ------
    CellsError
        If no row is finite, or all rows are alike.
    """
    finite = np.asarray(np.isfinite(vectors).all(1))
    rows = np.flatnonzero(finite)
    if not len(rows):
        raise CellsError("No cell has finite vectors yet; compute the vectors first, or choose others.")
    if len(rows) > SAMPLE:
        rows = np.sort(np.random.default_rng(seed).choice(rows, SAMPLE, replace=False))
    sample = np.asarray(vectors[rows], np.float32)
    scaler = Scaler.fit(sample)
    if scaler.is_constant and len(rows) > 1:
        raise CellsError(
            "All cells have the same vector, so nothing can be told apart; choose other vectors."
        )
    rotation = Rotation.fit(scaler.apply(sample), limit=WIDTH)
    features = np.empty((len(vectors), len(rotation.variances)), np.float32)
    for start in range(0, len(vectors), CHUNK):
        part = np.nan_to_num(scaler.apply(vectors[start : start + CHUNK]))
        np.matmul(part, rotation.axes, out=features[start : start + CHUNK])
    features[~finite] = 0
    return Prepared(features, finite, scaler, rotation)


@dataclass(frozen=True)
class Prediction:
    """What the head says about every cell.

    Attributes
    ----------
    code : (n,) int16 class, -1 where nothing can be said.
    probability : (n,) float32 of that class.
    probabilities : (n, k) float32.
    classes : codes of the columns.
    """

    code: NDArray[np.int16]
    probability: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    classes: tuple[int, ...]


class LiveHead:
    """Logistic regression that remembers its weights between clicks.

    Parameters
    ----------
    prepared : the table's vectors.
    """

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self.l2, self.temperature = DEFAULT_L2, 1.0
        self.classes: tuple[int, ...] = ()
        self.weights: Weights | None = None

    def refit(self, codes: NDArray[np.integer]) -> Prediction | None:
        """Fit on the labelled cells and predict all; None while there are fewer than two classes.

        Parameters
        ----------
        codes : (n,) class of each cell, -1 where it is not labelled.
        """
        rows, local, classes = self._labelled(codes)
        if len(classes) < 2:
            self.weights, self.classes = None, ()
            return None
        start = self.weights if classes == self.classes else None
        self.weights = solve(
            self.prepared.features[rows],
            local,
            len(classes),
            l2=self.l2,
            sample_weight=balanced(local, len(classes), BALANCE),
            variances=self.prepared.rotation.variances,
            start=start,
            tolerance=1e-3,
            max_iter=40,
        )
        self.classes = classes
        return self._predict()

    def tune(self, codes: NDArray[np.integer], groups: NDArray[np.object_] | None = None) -> None:
        """Choose penalty and temperature on folds; the next `refit` uses them."""
        rows, local, classes = self._labelled(codes)
        if len(classes) < 2 or np.bincount(local).min() < 3:
            return
        features, n_classes = self.prepared.features[rows], len(classes)
        kept = None if groups is None else list(groups[rows])
        folds = [f for f in make_folds(local, kept, 4) if len(np.unique(local[f[0]])) > 1]
        if not folds:
            return
        seen = np.concatenate([test for _, test in folds])
        weight = balanced(local, n_classes, BALANCE)
        best = np.inf
        starts: list[Weights | None] = [None] * len(folds)
        for l2 in TUNED:
            held = np.zeros((len(local), n_classes), np.float32)
            for i, (train, test) in enumerate(folds):
                starts[i] = solve(
                    features[train],
                    local[train],
                    n_classes,
                    l2=l2,
                    sample_weight=weight[train],
                    variances=self.prepared.rotation.variances,
                    start=starts[i],
                    tolerance=3e-3,
                    max_iter=40,
                )
                held[test] = starts[i].logits(features[test])  # type: ignore[union-attr]
            temperature = best_temperature(held[seen], local[seen])
            likely = softmax(held[seen], temperature)[np.arange(len(seen)), local[seen]]
            loss = -float((weight[seen] * np.log(np.maximum(likely, 1e-9))).mean())
            if loss < best:
                best, self.l2, self.temperature = loss, l2, temperature

    def _labelled(
        self, codes: NDArray[np.integer]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[int, ...]]:
        rows = np.flatnonzero((codes >= 0) & self.prepared.finite)
        classes, local = np.unique(codes[rows], return_inverse=True)
        return rows, local.astype(np.int64), tuple(int(c) for c in classes)

    def _predict(self) -> Prediction:
        assert self.weights is not None
        n, k = len(self.prepared.features), len(self.classes)
        probabilities = np.empty((n, k), np.float32)
        for start in range(0, n, CHUNK):
            logits = self.weights.logits(self.prepared.features[start : start + CHUNK])
            probabilities[start : start + CHUNK] = softmax(logits, self.temperature)
        probabilities[~self.prepared.finite] = np.nan
        best = np.where(self.prepared.finite, probabilities.argmax(1), -1)
        code = np.asarray([*self.classes, -1], np.int16)[best]
        return Prediction(code, probabilities.max(1), probabilities, self.classes)

    def as_head(self, names: list[str]) -> LogisticHead:
        """Return the same model as a head on plain vectors; `names` of all codes."""
        if self.weights is None:
            raise CellsError("Nothing was learnt yet; label cells of two classes first.")
        head = LogisticHead(l2=self.l2)
        order = sorted(range(len(self.classes)), key=lambda i: names[self.classes[i]])
        head.classes = tuple(names[self.classes[i]] for i in order)
        head.scaler, head.temperature = self.prepared.scaler, self.temperature
        head.chosen_l2, head.shares = (self.l2,), (1.0,)
        coefficients = self.prepared.rotation.axes @ self.weights.coefficients
        head.weights = Weights(
            np.ascontiguousarray(coefficients[:, order]), np.ascontiguousarray(self.weights.intercept[order])
        )
        return head
