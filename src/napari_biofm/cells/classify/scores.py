"""Honest scores: whole groups left out, an interval, a learning curve, and baselines beside the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.cells.classify.heads import Head, LogisticHead, Probabilities
from napari_biofm.cells.classify.threads import beside_each_other
from napari_biofm.cells.table.folds import Fold, has_groups, make_folds
from napari_biofm.types import CellsError, Progress, Task, Vectors

N_FOLDS = 5
N_BOOTSTRAP = 300
SHARES = (0.1, 0.25, 0.5)  # of the training cells, beside all of them, in the learning curve
OPTIMISTIC = (
    "Optimistic: the cells were split at random, because they all belong to one group. Cells of one image "
    "look alike; leave whole images, wells or plates out to learn how well this works on new ones."
)
HeadFactory = Callable[[], Head]


@dataclass(frozen=True)
class Score:
    """Cross-validated score of one set of vectors.

    Attributes
    ----------
    macro_f1 : mean over classes of F1, over all held-out cells. low, high : 95 % bootstrap interval (whole
        groups drawn where there are any).
    accuracy : share of right cells. calibration_error : mean |confidence - accuracy| over ten bins.
    confusion : [truth][predicted] counts. f1 : of each class. support : cells of each class.
    n_folds, left_out : "groups" or "random cells".
    """

    macro_f1: float
    low: float
    high: float
    accuracy: float
    calibration_error: float
    classes: list[str]
    f1: list[float]
    support: list[int]
    confusion: list[list[int]]
    n_cells: int
    n_groups: int
    n_folds: int
    left_out: str

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON-able copy."""
        return asdict(self)


@dataclass
class Report:
    """Model beside baselines.

    Attributes
    ----------
    model : score of the vectors in use. baselines : by name. warnings : in words.
    learning_curve : rows of `n_labels`, `macro_f1`.
    """

    model: Score
    baselines: dict[str, Score] = field(default_factory=dict)
    learning_curve: list[dict[str, float]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON-able copy, with the figures of `model` at the top."""
        return {
            "macro_f1": self.model.macro_f1,
            "interval": [self.model.low, self.model.high],
            "model": self.model.as_dict(),
            "baselines": {name: score.as_dict() for name, score in self.baselines.items()},
            "learning_curve": self.learning_curve,
            "warnings": self.warnings,
        }


def macro_f1(confusion: NDArray[np.integer]) -> float:
    """Return the mean F1 of the classes that occur, from counts [truth, predicted]."""
    return float(_f1(confusion)[confusion.sum(1) > 0].mean()) if confusion.sum() else 0.0


def cross_validate(
    X: Vectors,
    y: Sequence[str] | NDArray[Any],
    groups: Sequence[Any] | None = None,
    make_head: HeadFactory = LogisticHead,
    *,
    n_folds: int = N_FOLDS,
    seed: int = 0,
) -> Task[tuple[Score, NDArray[np.object_]]]:
    """Score a head on cells that were left out, whole groups at a time where there are any.

    Returns
    -------
    the score, and the held-out prediction of each cell ("" where it could not be left out).

    Raises
    ------
    CellsError
        If fewer than two classes have two cells.
    """
    names = np.asarray(y, object).astype(str)
    usable = np.isfinite(X).all(1)
    classes, codes = np.unique(names, return_inverse=True)
    counts = np.bincount(codes[usable], minlength=len(classes))
    if (counts >= 2).sum() < 2:
        raise CellsError(
            "A score needs two classes with two labelled cells each; there are "
            + (", ".join(f"{c}: {n}" for c, n in zip(classes, counts, strict=True)) or "none")
            + "."
        )
    kept = list(np.asarray(groups, object)[usable]) if has_groups(groups) and groups is not None else None
    rows = np.flatnonzero(usable)
    folds = make_folds(codes[rows], kept, n_folds, seed)
    folds = [(a, b) for a, b in folds if len(np.unique(codes[rows][a])) > 1]
    if not folds:
        raise CellsError("No group can be left out so that two classes remain; label cells in more groups.")
    predicted = np.full(len(names), "", object)
    confidence = np.full(len(names), np.nan)

    def left_out(fold: Fold) -> tuple[NDArray[np.int64], NDArray[np.object_], Probabilities]:
        train, test = fold
        head = make_head().fit(
            X[rows[train]], names[rows[train]], None if kept is None else [kept[j] for j in train]
        )
        return rows[test], np.asarray(head.classes, object), head.predict_proba(X[rows[test]])

    yield Progress(0, len(folds), f"fold 1 of {len(folds)}")
    for i, (at, known, found) in enumerate(beside_each_other(left_out, folds)):
        predicted[at] = known[found.argmax(1)]
        confidence[at] = found.max(1)
        yield Progress(i + 1, len(folds), f"fold {i + 1} of {len(folds)}")
    of_groups = None if kept is None else np.asarray(kept, object).astype(str)
    score = _score(names[rows], predicted[rows], confidence[rows], classes, of_groups, len(folds), seed)
    return score, predicted


def learning_curve(
    X: Vectors,
    y: Sequence[str] | NDArray[Any],
    groups: Sequence[Any] | None = None,
    make_head: HeadFactory = LogisticHead,
    *,
    shares: Sequence[float] = SHARES,
    n_folds: int = 3,
    seed: int = 0,
) -> Task[list[dict[str, float]]]:
    """Score against number of labels: shares of the training cells (drawn per class), same held-out cells."""
    names = np.asarray(y, object).astype(str)
    classes, codes = np.unique(names, return_inverse=True)
    kept = list(groups) if has_groups(groups) and groups is not None else None
    folds = make_folds(codes, kept, n_folds, seed)
    rng = np.random.default_rng(seed)
    drawn: list[tuple[int, NDArray[np.int64], NDArray[np.int64]]] = []
    for s, share in enumerate(shares):
        for train, test in folds:
            part = _share(train, codes, share, rng)
            if len(np.unique(codes[part])) > 1:
                drawn.append((s, part, test))

    def left_out(one: tuple[int, NDArray[np.int64], NDArray[np.int64]]) -> NDArray[Any]:
        _, part, test = one
        head = make_head().fit(X[part], names[part], None if kept is None else [kept[j] for j in part])
        return np.asarray(head.classes)[head.predict_proba(X[test]).argmax(1)]

    confusions = np.zeros((len(shares), len(classes), len(classes)), np.int64)
    sizes: list[list[int]] = [[] for _ in shares]
    if drawn:
        yield Progress(0, len(drawn), f"learning curve: {shares[0]:.0%} of the labels")
    for i, ((s, part, test), found) in enumerate(zip(drawn, beside_each_other(left_out, drawn), strict=True)):
        np.add.at(confusions[s], (codes[test], np.searchsorted(classes, found)), 1)
        sizes[s].append(len(part))
        yield Progress(i + 1, len(drawn), f"learning curve: {shares[s]:.0%} of the labels")
    curve = [
        {"n_labels": float(np.mean(some)), "macro_f1": macro_f1(confusion)}
        for some, confusion in zip(sizes, confusions, strict=True)
        if some
    ]
    return curve


def make_report(
    model: Vectors,
    y: Sequence[str] | NDArray[Any],
    groups: Sequence[Any] | None = None,
    baselines: Mapping[str, Vectors] | None = None,
    make_head: HeadFactory = LogisticHead,
    *,
    curve: bool = True,
    name: str = "the model",
    make_baseline: HeadFactory | None = None,
    seed: int = 0,
) -> Task[Report]:
    """Score the model and the baselines on the same folds, and say in words what that means.

    Parameters
    ----------
    make_head, make_baseline : make untrained heads; the latter where baselines have other parts.
    """
    score, _ = yield from cross_validate(model, y, groups, make_head, seed=seed)
    report = Report(score)
    for label, vectors in (baselines or {}).items():
        report.baselines[label], _ = yield from cross_validate(
            vectors, y, groups, make_baseline or make_head, seed=seed
        )
    if curve:
        report.learning_curve = yield from learning_curve(model, y, groups, make_head, seed=seed)
        n_all = score.n_cells * (score.n_folds - 1) / score.n_folds
        report.learning_curve.append({"n_labels": n_all, "macro_f1": score.macro_f1})
    report.warnings = warnings_of(report, name)
    return report


def warnings_of(report: Report, name: str = "the model") -> list[str]:
    """Say what a reader of the score must know."""
    model, found = report.model, []
    if model.left_out != "groups":
        found.append(OPTIMISTIC)
    for label, score in report.baselines.items():
        if score is model:
            continue
        if model.macro_f1 == score.macro_f1 == 1.0:
            found.append(
                f"Vectors of {name} and the baseline '{label}' both make no mistake: cells this easy to tell "
                "apart do not show what vectors are worth. Label harder ones."
            )
        elif model.macro_f1 <= score.macro_f1:
            found.append(
                f"Vectors of {name} do not beat the baseline '{label}' (macro-F1 {model.macro_f1:.3f} "
                f"against {score.macro_f1:.3f}): use '{label}', or other vectors."
            )
        elif model.low <= score.macro_f1:
            found.append(
                f"Vectors of {name} are not clearly better than the baseline '{label}' (macro-F1 "
                f"{model.macro_f1:.3f}, interval {model.low:.3f} to {model.high:.3f}, against "
                f"{score.macro_f1:.3f})."
            )
    for label, count in zip(model.classes, model.support, strict=True):
        if count < 10:
            found.append(f"Class '{label}' has {count} labelled cells: its score says little.")
    return found


# ------------------------------------------------------------------ parts


def _f1(confusion: NDArray[np.integer]) -> NDArray[np.float64]:
    hit = np.diag(confusion)
    return np.asarray(2 * hit / np.maximum(confusion.sum(0) + confusion.sum(1), 1))


def _score(
    truth: NDArray[Any],
    predicted: NDArray[np.object_],
    confidence: NDArray[np.float64],
    classes: NDArray[Any],
    groups: NDArray[Any] | None,
    n_folds: int,
    seed: int,
) -> Score:
    done = predicted != ""
    a = np.searchsorted(classes, truth[done].astype(str))
    b = np.searchsorted(classes, predicted[done].astype(str))
    confusion = _count(a, b, len(classes))
    unit = np.arange(len(a)) if groups is None else np.unique(groups[done], return_inverse=True)[1]
    low, high = _interval(a, b, unit, len(classes), seed)
    return Score(
        macro_f1=macro_f1(confusion),
        low=low,
        high=high,
        accuracy=float((a == b).mean()),
        calibration_error=_calibration_error(confidence[done], a == b),
        classes=[str(c) for c in classes],
        f1=[float(v) for v in _f1(confusion)],
        support=[int(v) for v in confusion.sum(1)],
        confusion=confusion.tolist(),
        n_cells=len(a),
        n_groups=0 if groups is None else len(np.unique(groups)),
        n_folds=n_folds,
        left_out="random cells" if groups is None else "groups",
    )


def _count(a: NDArray[np.int64], b: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    return np.bincount(a * k + b, minlength=k * k).reshape(k, k)


def _interval(
    a: NDArray[np.int64], b: NDArray[np.int64], unit: NDArray[np.int64], k: int, seed: int
) -> tuple[float, float]:
    """Bootstrap over units: draw groups (or cells) with replacement."""
    n_units = int(unit.max()) + 1
    table = np.zeros((n_units, k * k), np.int64)
    np.add.at(table, (unit, a * k + b), 1)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, n_units, (N_BOOTSTRAP, n_units))
    found = [macro_f1(table[rows].sum(0).reshape(k, k)) for rows in drawn]
    low, high = np.percentile(found, (2.5, 97.5))
    return float(low), float(high)


def _calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    of_bin = np.minimum((confidence * 10).astype(np.int64), 9)
    total = 0.0
    for i in np.unique(of_bin):
        inside = of_bin == i
        total += inside.sum() * abs(float(confidence[inside].mean()) - float(right[inside].mean()))
    return total / max(len(confidence), 1)


def _share(
    train: NDArray[np.int64], codes: NDArray[np.int64], share: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    parts = []
    for c in np.unique(codes[train]):
        mine = train[codes[train] == c]
        parts.append(rng.choice(mine, max(1, round(share * len(mine))), replace=False))
    return np.sort(np.concatenate(parts))
