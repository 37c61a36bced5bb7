"""Continuous targets from vectors, e.g. expression of genes: ridge regression, scored against chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.folds import has_groups, make_folds
from napari_biofm.cells.scaling import Scaler
from napari_biofm.types import CellsError, Progress, Task, Vectors

STRENGTHS = tuple(float(s) for s in 10.0 ** np.arange(-2.0, 3.1, 0.5))
N_PERMUTATIONS = 20
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class RegressionScore:
    """What morphology tells of each target, on cells (or groups) left out.

    Attributes
    ----------
    targets : names. r2 : held-out R2 of each. chance : mean R2 with permuted targets. p : share of
        permutations that do as well. n_cells : with a measured value. left_out : "groups" or "random cells".
    """

    targets: list[str]
    r2: list[float]
    chance: list[float]
    p: list[float]
    n_cells: list[int]
    left_out: str

    @property
    def warnings(self) -> list[str]:
        """Targets that are not told better than by chance, in words."""
        return [
            f"'{name}' is not predicted better than by chance (R2 {r2:.2f}, permuted {chance:.2f}, "
            f"p {p:.2f}): "
            "do not use the predicted values."
            for name, r2, chance, p in zip(self.targets, self.r2, self.chance, self.p, strict=True)
            if p > 0.05 or r2 <= 0
        ]


class RegressionHead:
    """Ridge regression with a penalty per target, chosen on folds.

    Attributes
    ----------
    targets : names of the columns that `predict` returns.
    """

    name = "ridge"

    def __init__(self) -> None:
        self.targets: tuple[str, ...] = ()

    def fit(
        self, X: Vectors, Y: NDArray[np.floating], targets: Sequence[str], groups: Sequence[Any] | None = None
    ) -> RegressionHead:
        """Train on vectors (n, d) and targets (n, t); NaN marks cells that were not measured."""
        self.targets = tuple(targets)
        vectors, values = _checked(X, Y, targets)
        measured = np.isfinite(values).any(1) & np.isfinite(vectors).all(1)
        self.scaler = Scaler.fit(vectors[measured])
        weights, offsets = [], []
        for t in range(values.shape[1]):
            rows = measured & np.isfinite(values[:, t])
            kept = None if groups is None else list(np.asarray(groups, object)[rows])
            w, b = _ridge(self.scaler.apply(vectors[rows]).astype(float), values[rows, t], kept)
            weights.append(w)
            offsets.append(b)
        self.weights = np.stack(weights, 1).astype(np.float32)
        self.offsets = np.asarray(offsets, np.float32)
        return self

    def predict(self, X: Vectors) -> NDArray[np.float32]:
        """Return (n, t)."""
        if X.ndim != 2 or X.shape[1] != len(self.scaler.mean):
            raise CellsError(
                f"This head was trained on vectors of {len(self.scaler.mean)} columns; "
                f"these have shape {X.shape}."
            )
        return np.asarray(self.scaler.apply(X) @ self.weights + self.offsets)

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return arrays and settings, as classifying heads do."""
        arrays = {"mean": self.scaler.mean, "scale": self.scaler.scale}
        return {**arrays, "weights": self.weights, "offsets": self.offsets}, {"targets": list(self.targets)}

    @classmethod
    def restore(cls, arrays: dict[str, NDArray[Any]], settings: dict[str, Any]) -> RegressionHead:
        """Make a head from its state."""
        head = cls()
        head.targets = tuple(settings["targets"])
        head.scaler = Scaler(arrays["mean"], arrays["scale"])
        head.weights, head.offsets = arrays["weights"], arrays["offsets"]
        return head


def score_regression(
    X: Vectors,
    Y: NDArray[np.floating],
    targets: Sequence[str],
    groups: Sequence[Any] | None = None,
    *,
    n_folds: int = 5,
    seed: int = 0,
) -> Task[RegressionScore]:
    """Cross-validate, and do the same with targets permuted (whole groups, where a group has one value)."""
    vectors, values = _checked(X, Y, targets)
    grouped = has_groups(groups)
    rng = np.random.default_rng(seed)
    r2, chance, p, n_cells = [], [], [], []
    for t, name in enumerate(targets):
        yield Progress(t, len(targets), f"scoring '{name}'")
        rows = np.flatnonzero(np.isfinite(values[:, t]) & np.isfinite(vectors).all(1))
        kept = list(np.asarray(groups, object)[rows]) if grouped and groups is not None else None
        x, y = vectors[rows], values[rows, t]
        folds = make_folds(np.zeros(len(rows), np.int64), kept, n_folds, seed)
        if len(rows) < 10 or not folds:
            raise CellsError(
                f"'{name}' was measured in {len(rows)} cells; ten (in two groups) are needed at least."
            )
        found = _held_out_r2(x, y, folds, kept)
        permuted = [_held_out_r2(x, _permute(y, kept, rng), folds, kept) for _ in range(N_PERMUTATIONS)]
        r2.append(found)
        chance.append(float(np.mean(permuted)))
        p.append((1 + sum(v >= found for v in permuted)) / (1 + N_PERMUTATIONS))
        n_cells.append(len(rows))
    return RegressionScore(list(targets), r2, chance, p, n_cells, "groups" if grouped else "random cells")


def _checked(X: Vectors, Y: NDArray[np.floating], targets: Sequence[str]) -> tuple[Vectors, Matrix]:
    vectors, values = np.asarray(X, np.float32), np.asarray(Y, np.float64)
    values = values[:, None] if values.ndim == 1 else values
    if vectors.ndim != 2 or len(vectors) != len(values) or values.shape[1] != len(targets):
        raise CellsError(
            f"Vectors {vectors.shape}, targets {values.shape} and {len(targets)} names do not go together."
        )
    if np.isfinite(values).sum() == 0:
        raise CellsError("No cell has a measured value; check the column and the ids of the file.")
    return vectors, values


def _held_out_r2(x: Vectors, y: Matrix, folds: Sequence[Any], groups: list[Any] | None) -> float:
    found = np.full(len(y), np.nan)
    for train, test in folds:
        scaler = Scaler.fit(x[train])
        kept = None if groups is None else [groups[i] for i in train]
        w, b = _ridge(scaler.apply(x[train]).astype(float), y[train], kept)
        found[test] = scaler.apply(x[test]) @ w + b
    done = np.isfinite(found)
    rest = ((y[done] - found[done]) ** 2).sum()
    return float(1 - rest / max(((y[done] - y[done].mean()) ** 2).sum(), 1e-12))


def _ridge(x: Matrix, y: Matrix, groups: Sequence[Any] | None) -> tuple[Matrix, float]:
    """Solve ridge regression, the penalty chosen on folds, all penalties from one decomposition each."""
    folds = make_folds(np.zeros(len(y), np.int64), groups, 3)
    loss = np.zeros(len(STRENGTHS))
    for train, test in folds:
        paths, offset = _paths(x[train], y[train])
        loss += ((x[test] @ paths + offset - y[test][:, None]) ** 2).sum(0)
    paths, offset = _paths(x, y)
    best = int(loss.argmin()) if folds else len(STRENGTHS) // 2
    return paths[:, best], float(offset[best])


def _paths(x: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
    mean, level = x.mean(0), float(y.mean())
    u, s, vt = np.linalg.svd(x - mean, full_matrices=False)
    along = u.T @ (y - level)
    shrunk = (s / (s**2 + len(y) * np.asarray(STRENGTHS)[:, None])) * along
    weights = vt.T @ shrunk.T
    return weights, level - mean @ weights


def _permute(y: Matrix, groups: list[Any] | None, rng: np.random.Generator) -> Matrix:
    if groups is None:
        return rng.permutation(y)
    _, unit = np.unique(np.asarray(groups, object).astype(str), return_inverse=True)
    first = y[np.unique(unit, return_index=True)[1]]
    if np.array_equal(first[unit], y):  # measured per well: wells change places, not their cells
        return rng.permutation(first)[unit]
    return rng.permutation(y)
