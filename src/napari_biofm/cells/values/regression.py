"""Continuous targets from vectors, e.g. expression of genes: ridge regression, scored against chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.embed.scaling import Scaler
from napari_biofm.cells.table.folds import has_groups, make_folds
from napari_biofm.types import CellsError, Progress, Task, Vectors

STRENGTHS = tuple(float(s) for s in 10.0 ** np.arange(-2.0, 3.1, 0.5))
N_PERMUTATIONS = 20
Matrix = NDArray[np.float64]
Rows = NDArray[np.int64]


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

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON-able copy, with the warnings."""
        return {**asdict(self), "warnings": self.warnings}

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
        usable: NDArray[np.bool_] = np.asarray(np.isfinite(vectors).all(1), bool)
        self.scaler = Scaler.fit(vectors[usable & np.isfinite(values).any(1)])
        self.weights = np.zeros((vectors.shape[1], values.shape[1]), np.float32)
        self.offsets = np.zeros(values.shape[1], np.float32)
        for rows, columns in _patterns(values, usable):
            x = self.scaler.apply(vectors[rows]).astype(float)
            y = values[np.ix_(rows, columns)]
            kept = None if groups is None else [groups[i] for i in rows]
            self.weights[:, columns], self.offsets[columns] = _ridge(x, y, kept)
        return self

    def predict(self, X: Vectors) -> NDArray[np.float32]:
        """Return (n, t); rows with NaN vectors are NaN."""
        if not self.targets:
            raise CellsError("This head is not trained yet; give it targets first.")
        if X.ndim != 2 or X.shape[1] != len(self.scaler.mean):
            raise CellsError(
                f"This head was trained on vectors of {len(self.scaler.mean)} columns; "
                f"these have shape {X.shape}."
            )
        return np.asarray(self.scaler.apply(X) @ self.weights + self.offsets)

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return arrays and settings, as classifying heads do."""
        if not self.targets:
            raise CellsError("This head is not trained yet; there is nothing to save.")
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
    """Cross-validate, and do the same with targets permuted (whole groups, where a group has one value).

    Raises
    ------
    CellsError
        If a target was measured in fewer than ten cells, or in one group only, or is constant.
    """
    vectors, values = _checked(X, Y, targets)
    usable: NDArray[np.bool_] = np.asarray(np.isfinite(vectors).all(1), bool)
    grouped = has_groups(groups)
    rng = np.random.default_rng(seed)
    n_targets = len(targets)
    r2, chance, p = np.zeros(n_targets), np.zeros(n_targets), np.zeros(n_targets)
    n_cells = np.zeros(n_targets, np.int64)
    for rows, columns in _patterns(values, usable):
        yield Progress(int(columns[0]), n_targets, f"scoring '{targets[columns[0]]}'")
        kept = [groups[i] for i in rows] if grouped and groups is not None else None
        folds = make_folds(np.zeros(len(rows), np.int64), kept, n_folds, seed)
        names = ", ".join(f"'{targets[c]}'" for c in columns[:3])
        if len(rows) < 10 or not folds:
            raise CellsError(
                f"{names}: measured in {len(rows)} cells; ten (in two groups) are needed at least."
            )
        y = values[np.ix_(rows, columns)]
        flat = np.ptp(y, axis=0) <= 0
        if flat.any():
            raise CellsError(f"'{targets[columns[int(flat.argmax())]]}' has the same value in every cell.")
        permuted = [_permute(y[:, c], kept, rng) for c in range(len(columns)) for _ in range(N_PERMUTATIONS)]
        found = _held_out_r2(vectors[rows], np.column_stack([y, *permuted]), folds, kept)
        by_chance = found[len(columns) :].reshape(len(columns), N_PERMUTATIONS)
        r2[columns], chance[columns] = found[: len(columns)], by_chance.mean(1)
        p[columns] = (1 + (by_chance >= r2[columns, None]).sum(1)) / (1 + N_PERMUTATIONS)
        n_cells[columns] = len(rows)
    return RegressionScore(
        list(targets), r2.tolist(), chance.tolist(), p.tolist(), n_cells.tolist(),
        "groups" if grouped else "random cells",
    )  # fmt: skip


def _patterns(values: Matrix, usable: NDArray[np.bool_]) -> list[tuple[Rows, Rows]]:
    """Group targets that were measured in the same cells: rows and columns of each group.

    Such targets share the decomposition of the vectors, which is what costs time.
    """
    measured = np.isfinite(values) & usable[:, None]
    by_pattern: dict[bytes, list[int]] = {}
    for column in range(values.shape[1]):
        by_pattern.setdefault(np.packbits(measured[:, column]).tobytes(), []).append(column)
    return [(np.flatnonzero(measured[:, c[0]]), np.asarray(c)) for c in by_pattern.values()]


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


def held_out(
    X: Vectors,
    Y: NDArray[np.floating],
    groups: Sequence[Any] | None = None,
    *,
    n_folds: int = 5,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Return what is predicted for each row while it, with its whole group, is left out: what `score_regression` scores.

    Parameters
    ----------
    X : (n, d) vectors. Y : (n, t) targets; NaN where not measured.
    groups : (n,) left out as wholes where there are two at least.
    n_folds, seed : of the folds.

    Returns
    -------
    (n, t); NaN for rows without a vector or a value.
    """
    vectors, values = _checked(X, Y, [str(i) for i in range(Y.shape[1])])
    usable: NDArray[np.bool_] = np.asarray(np.isfinite(vectors).all(1), bool)
    grouped = has_groups(groups)
    out = np.full(values.shape, np.nan, np.float32)
    for rows, columns in _patterns(values, usable):
        kept = [groups[i] for i in rows] if grouped and groups is not None else None
        folds = make_folds(np.zeros(len(rows), np.int64), kept, n_folds, seed)
        out[np.ix_(rows, columns)] = _held_out(vectors[rows], values[np.ix_(rows, columns)], folds, kept)
    return out


def _held_out_r2(x: Vectors, y: Matrix, folds: Sequence[Any], groups: list[Any] | None) -> Matrix:
    """Return R2 (t,) of predictions of the rows left out, over all folds together."""
    found = _held_out(x, y, folds, groups)
    done = np.isfinite(found).all(1)
    rest = ((y[done] - found[done]) ** 2).sum(0)
    total = ((y[done] - y[done].mean(0)) ** 2).sum(0)
    return np.asarray(1 - rest / np.maximum(total, 1e-12))


def _held_out(x: Vectors, y: Matrix, folds: Sequence[Any], groups: list[Any] | None) -> Matrix:
    """Return predictions (n, t) of the rows left out; NaN for rows in no fold."""
    found = np.full(y.shape, np.nan)
    for train, test in folds:
        scaler = Scaler.fit(x[train])
        kept = None if groups is None else [groups[i] for i in train]
        weights, offsets = _ridge(scaler.apply(x[train]).astype(float), y[train], kept)
        found[test] = scaler.apply(x[test]) @ weights + offsets
    return found


def _ridge(x: Matrix, y: Matrix, groups: Sequence[Any] | None) -> tuple[Matrix, Matrix]:
    """Solve ridge regression for all targets (n, t), the penalty of each chosen on folds.

    Returns
    -------
    weights (d, t) and offsets (t,).
    """
    folds = make_folds(np.zeros(len(y), np.int64), groups, 3)
    loss = np.zeros((len(STRENGTHS), y.shape[1]))
    for train, test in folds:
        axes = _Axes.of(x[train])
        along, level = axes.along(y[train]), y[train].mean(0)
        seen = (x[test] - axes.mean) @ axes.vt.T
        for k, strength in enumerate(STRENGTHS):
            loss[k] += ((seen @ (axes.shrink(strength)[:, None] * along) + level - y[test]) ** 2).sum(0)
    best = loss.argmin(0) if folds else np.full(y.shape[1], len(STRENGTHS) // 2)
    axes = _Axes.of(x)
    shrunk = np.stack([axes.shrink(s) for s in STRENGTHS], 1)[:, best] * axes.along(y)
    weights = axes.vt.T @ shrunk
    return weights, y.mean(0) - axes.mean @ weights


@dataclass(frozen=True)
class _Axes:
    """Singular value decomposition of centred vectors: every penalty and target is read off it."""

    mean: Matrix
    u: Matrix
    s: Matrix
    vt: Matrix

    @classmethod
    def of(cls, x: Matrix) -> _Axes:
        mean = x.mean(0)
        u, s, vt = np.linalg.svd(x - mean, full_matrices=False)
        kept = s > 1e-6 * max(float(s[0]), 1e-12)
        return cls(mean, u[:, kept], s[kept], vt[kept])

    def along(self, y: Matrix) -> Matrix:
        return np.asarray(self.u.T @ (y - y.mean(0)))

    def shrink(self, strength: float) -> Matrix:
        return np.asarray(self.s / (self.s**2 + len(self.u) * strength))


def _permute(y: Matrix, groups: list[Any] | None, rng: np.random.Generator) -> Matrix:
    if groups is None:
        return rng.permutation(y)
    _, unit = np.unique(np.asarray(groups, object).astype(str), return_inverse=True)
    first = y[np.unique(unit, return_index=True)[1]]
    if np.array_equal(first[unit], y):  # measured per well: wells change places, not their cells
        return rng.permutation(first)[unit]
    return rng.permutation(y)
