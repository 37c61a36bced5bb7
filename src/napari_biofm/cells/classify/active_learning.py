"""Which cells are odd, which are like this one, and which should be labelled next.

All three work on standardised vectors along their principal axes (`live.Prepared.features`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_biofm.types import CellsError

Features = NDArray[np.float32]
NEIGHBOURS = 10
LANDMARKS = 2000  # cells others are compared with, when there are more
AXES = 32
EXAMPLES = 64  # chosen cells that others are compared with, at most


def outlier_scores(
    features: Features, finite: NDArray[np.bool_] | None = None, seed: int = 0
) -> NDArray[np.float64]:
    """Return how far each cell is from its nearest neighbours, as a rank 0 .. 1 (1 = oddest).

    Parameters
    ----------
    features : (n, r), largest variance first. finite : rows that count; others get NaN.
    """
    n = len(features)
    rows = np.arange(n) if finite is None else np.flatnonzero(finite)
    out = np.full(n, np.nan)
    if len(rows) < 3:
        out[rows] = 0.0
        return out
    x = _whitened(features[rows])
    rng = np.random.default_rng(seed)
    landmarks = x if len(x) <= LANDMARKS else x[rng.choice(len(x), LANDMARKS, replace=False)]
    k = min(NEIGHBOURS + 1, len(landmarks) - 1)  # a landmark finds itself
    distance = np.empty(len(x))
    for start in range(0, len(x), 4096):
        near = np.partition(_squared(x[start : start + 4096], landmarks), k, 1)[:, : k + 1]
        distance[start : start + 4096] = np.sqrt(np.maximum(near, 0)).sum(1)
    out[rows] = np.argsort(np.argsort(distance, kind="stable"), kind="stable") / (len(rows) - 1)
    return out


def find_similar(
    features: Features, chosen: Sequence[int] | NDArray[np.integer], n: int = 50
) -> NDArray[np.int64]:
    """Return the `n` cells likest to the chosen ones (cosine, best match of any), nearest first.

    Of more than `EXAMPLES` chosen cells, that many are compared, taken evenly.

    Raises
    ------
    CellsError
        If none is chosen.
    """
    rows = np.asarray(chosen, np.int64)
    if not len(rows):
        raise CellsError("Choose a cell first: click it in the image, the plot or the table.")
    x = np.ascontiguousarray(features[:, : AXES * 2])
    length = np.maximum(np.sqrt(np.einsum("ij,ij->i", x, x)), 1e-9)
    some = rows if len(rows) <= EXAMPLES else rows[np.linspace(0, len(rows) - 1, EXAMPLES).astype(np.int64)]
    likeness = np.empty(len(x), x.dtype)
    for start in range(0, len(x), 4096):
        part = slice(start, start + 4096)
        likeness[part] = ((x[part] @ x[some].T) / length[some]).max(1) / length[part]
    likeness[rows] = -np.inf
    n = min(n, len(x) - len(rows))
    best = np.argpartition(-likeness, max(n - 1, 0))[:n] if n > 0 else np.zeros(0, np.int64)
    return np.asarray(best[np.argsort(-likeness[best], kind="stable")], np.int64)


def label_next(
    features: Features,
    labelled: NDArray[np.bool_],
    probabilities: NDArray[np.float32] | None = None,
    outlier: NDArray[np.float64] | None = None,
    n: int = 20,
    weights: tuple[float, float, float] = (1.0, 0.5, 0.25),
    finite: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Return the cells whose label would teach most, best first.

    Uncertainty (small margin between the two likeliest classes) and rarity are weighed into one score;
    diversity comes from taking cells one by one, each far from those labelled and those taken before.

    Parameters
    ----------
    labelled : (n,) cells that have a label. probabilities : (n, k) or None before the first fit.
    outlier : (n,) 0 .. 1 or None. weights : of uncertainty, diversity and rarity.
    finite : (n,) cells whose features count, where that is known.
    """
    free = np.flatnonzero(~labelled & (np.isfinite(features).all(1) if finite is None else finite))
    if not len(free):
        return np.zeros(0, np.int64)
    worth = np.zeros(len(free))
    if probabilities is not None and probabilities.shape[1] > 1:
        top = np.partition(np.nan_to_num(probabilities[free]), -2, 1)
        worth += weights[0] * (1 - (top[:, -1] - top[:, -2]))
    if outlier is not None:
        worth += weights[2] * np.nan_to_num(outlier[free])
    pool = largest(worth, max(20 * n, 500)) if worth.any() else _spread_sample(len(free), n)
    candidates, worth = free[pool], worth[pool]
    taken_before = np.flatnonzero(labelled)[-LANDMARKS:]
    scale = _spread(features)
    x, before = features[candidates, :AXES] / scale, features[taken_before, :AXES] / scale
    far = np.full(len(candidates), np.inf)
    if len(taken_before):
        far = np.sqrt(np.maximum(_squared(x, before).min(1), 0))
    chosen: list[int] = []
    for _ in range(min(n, len(candidates))):
        reach = np.where(np.isfinite(far), far, 0) / max(float(far[np.isfinite(far)].max(initial=0)), 1e-9)
        score = worth + weights[1] * reach
        score[chosen] = -np.inf
        best = int(score.argmax())
        chosen.append(best)
        far = np.minimum(far, np.sqrt(np.maximum(_squared(x, x[[best]])[:, 0], 0)))
    return np.asarray(candidates[chosen], np.int64)


def _spread_sample(n_free: int, n: int) -> NDArray[np.int64]:
    size = min(n_free, max(20 * n, 500))
    return np.sort(np.random.default_rng(0).choice(n_free, size, replace=False))


def _whitened(features: Features) -> Features:
    return np.asarray(features[:, :AXES] / _spread(features))


def _spread(features: Features) -> NDArray[np.float32]:
    """What each of the first axes is divided by: the root of its spread, so that large ones still count more."""
    return np.asarray(np.maximum(np.sqrt((features[:, :AXES] ** 2).mean(0)), 1e-6) ** 0.5)


def largest(values: NDArray[np.floating], n: int) -> NDArray[np.int64]:
    """Return where the `n` largest values stand, largest first, equal ones in their order."""
    if n < len(values):
        pool = np.flatnonzero(values >= np.partition(values, len(values) - n)[len(values) - n])
    else:
        pool = np.arange(len(values))
    return np.asarray(pool[np.argsort(-values[pool], kind="stable")[:n]], np.int64)


def _squared(a: Features, b: Features) -> NDArray[np.float32]:
    return np.asarray((a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1))
