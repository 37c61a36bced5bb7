"""Teach the model a new event from a few marks, in seconds.

The network stays as it is. The average marked event is slid along the trace, at the time scale and against the noise
with which it finds marks best that took no part in it; a small logistic head weighs its fit together with the
network's heat and vector, all held back so that few marks move them little. What is gained is scored by leaving
recordings out (or stretches of one recording), of the template as well; what is forgotten is nothing by
construction: the stock head is not touched, only stood beside.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.evaluation import best_f1
from napari_biofm.events.kinds import KINDS
from napari_biofm.events.physio_fm.decode import sigmoid
from napari_biofm.events.physio_fm.forgetting import forgetting_probe
from napari_biofm.events.physio_fm.head import AdaptedHead
from napari_biofm.events.physio_fm.inference import recognise
from napari_biofm.events.physio_fm.marks import MOST, Marks, around, labels, shortened
from napari_biofm.events.physio_fm.matching import (
    FEATURES,
    Template,
    gather,
    make_template,
    trace_of,
    whole,
    without,
)
from napari_biofm.events.physio_fm.probes import built_in_probes
from napari_biofm.events.physio_fm.resampling import choose_resampling
from napari_biofm.events.physio_fm.runner import NetworkRunner
from napari_biofm.events.physio_fm.stock import all_candidates
from napari_biofm.types import Progress, RecordingError, Task

__all__ = ["AdaptedHead", "Marks", "adapt"]

PLAIN = len(FEATURES)  # features of the template and the network's heat; behind them its vector
HOLD = (0.03, 0.1)  # how strongly the weights of the former and of the latter are held at zero
LARGE = FEATURES.index("size")
STRETCHES = 5  # of one recording, each left out in turn for the score
LOWEST = 0.2  # threshold
STEPS = 20  # of Newton's method at most
FARTHEST = 5.0  # logits that one of them may move


def fit_head(x: NDArray[np.float64], y: NDArray[np.int64], n_classes: int) -> tuple[Any, Any, Any]:
    """Return mean, spread and weights (classes, F + 1) of one-against-all logistic heads.

    All candidates say what is usual, those with y > -2 what is an event (its class) and what is none (-1). The
    network's vector is held back more than the template's fit: with few marks the template leads.
    Events and others count by the square root of how rare they are. Newton's method.
    """
    mean, spread = x.mean(0), x.std(0) + 1e-6
    known = y > -2
    z = np.c_[np.clip((x[known] - mean) / spread, -8, 8), np.ones(int(known.sum()))]
    vector = max(0, x.shape[1] - PLAIN)
    hold = np.r_[np.full(x.shape[1] - vector, HOLD[0]), np.full(vector, HOLD[1])] * min(1.0, 50 / len(z))
    hold = np.r_[hold, 1e-6]
    weights = np.zeros((n_classes, z.shape[1]))
    for k in range(n_classes):
        target = (y[known] == k).astype(float)
        share = max(float(target.mean()), 1e-3), max(1 - float(target.mean()), 1e-3)
        balance = np.sqrt(0.5 / np.where(target > 0, *share))
        balance /= balance.sum()
        w = weights[k]
        for _ in range(STEPS):
            p = sigmoid(z @ w)
            slope = z.T @ (balance * (p - target)) + hold * w
            bend = (z * (balance * p * (1 - p))[:, None]).T @ z + np.diag(hold)
            step = np.linalg.solve(bend, slope)
            largest = float(np.abs(z @ step).max())
            w = w - step * min(1.0, FARTHEST / max(largest, 1e-9))
            if largest < 1e-4:
                break
        weights[k] = w
    return mean, spread, weights


def adapt(
    runner: NetworkRunner, marks: Sequence[Marks], kind: str = "psc", *, beside: bool = False
) -> Task[AdaptedHead]:
    """Teach a head from 5 to 50 marked events.

    Parameters
    ----------
    model : the stock model.
    marks : recordings with their marks.
    kind : kind whose time scale fits the events; "auto" asks the model.
    beside : the head adds to what the stock model finds; False: it stands in its place.

    Returns
    -------
    AdaptedHead with `report`: marks, F1 of the stock model and of the head on what was left out, what the head
    forgot on the built-in probes, seconds.

    Raises
    ------
    RecordingError : fewer than 3 marks in all.
    """
    begun = time.monotonic()
    n_marks = sum(len(m.time_s) for m in marks)
    if n_marks < 3:
        raise RecordingError(f"{n_marks} marked events: mark at least 3, better 10 to 50.")
    if kind == "auto":
        kind = recognise(runner, marks[0].signal)[0]
    classes = sorted({n for m in marks for n in m.names}) or [KINDS[kind].taught_class]
    yield Progress(0, 4, "averaging the marked events")
    parts = [around(one) for one in marks if len(one.time_s) or len(one.rejected_s)]
    template = make_template([one for one in parts if len(one.time_s)], kind)
    rate = choose_resampling(parts[0].signal.sampling_rate, kind, template.coarser).sampling_rate
    tolerance = max(2, len(template.wave) // 4) / rate
    few = [shortened(one, rate, MOST // len(parts)) for one in parts]
    (x, y, _), *folds = yield from _look(runner, few, kind, classes, template, tolerance)
    if not (y == -1).any():
        raise RecordingError("nothing but marked events was seen: show a longer stretch of the recording.")
    yield Progress(2, 4, "scoring on what was left out")
    before = sum(_stock_f1(runner, one, kind, tolerance) * len(one.time_s) for one in parts) / n_marks
    held, true = left_out(folds, len(classes))
    n_seen = sum(len(one.time_s) for one in few)
    # The best threshold for F1 on probabilities is half of the best F1 (Lipton et al. 2014).
    threshold = float(np.clip(0.5 * best_f1(held, true, n_seen), LOWEST, 0.5))
    found = held >= threshold
    after = 2 * float(true[found].sum()) / (n_seen + float(found.sum()))
    order = np.argsort(-held)
    precision = np.cumsum(true[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(precision >= 0.95)
    head = AdaptedHead(
        kind, classes, template.wave, template.mark, template.coarser, template.ridge,
        *fit_head(x, y, len(classes)), threshold, runner.card.get("sha256", ""), beside=beside,
    )  # fmt: skip
    yield Progress(3, 4, "asking what was forgotten")
    probe = forgetting_probe(runner, head, built_in_probes(kind))
    head.report = {
        "marks": n_marks, "candidates": int((y > -2).sum()), "f1_stock": round(before, 4), "f1_adapted": round(after, 4),
        "precise_threshold": float(held[order][good[-1]]) if len(good) else 1.0,
        "features": x.shape[1], "template_s": round(len(template.wave) / rate, 6),
        "left_out": "recordings" if len(parts) > 1 else "stretches of the recording",
        "stock_untouched": True, "forgetting": probe, "seconds": round(time.monotonic() - begun, 2),
    }  # fmt: skip
    return head


Seen = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]


def left_out(folds: Sequence[Seen], n_classes: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the scores that candidates get from templates and heads which have not seen their group.

    Parameters
    ----------
    folds : features, classes and groups of candidates; those of the k-th by a template without group k.

    Returns
    -------
    score, true : (n,) of all candidates of which something is known.
    """
    scores, true = [np.zeros(0)], [np.zeros(0, bool)]
    for k, (x, y, group) in enumerate(folds):
        own, others = (group == k) & (y > -2), np.where(group == k, -2, y)
        if (others >= 0).any() and (others == -1).any():
            mean, spread, w = fit_head(x, others, n_classes)
            z = np.clip((x[own] - mean) / spread, -8, 8)
            scores.append(sigmoid(z @ w[:, :-1].T + w[:, -1]).max(1))
            true.append(y[own] >= 0)
    return np.concatenate(scores), np.concatenate(true)


def _stock_f1(runner: NetworkRunner, one: Marks, kind: str, tolerance: float) -> float:
    """Return the best F1 that the stock model's own scores reach on a marked stretch."""
    one = shortened(one, choose_resampling(one.signal.sampling_rate, kind).sampling_rate)
    found = all_candidates(runner, one.signal, kind)
    if found is None or not len(one.time_s):
        return 0.0
    y = labels(found.time, replace(one, names=()), [], tolerance)
    known = y > -2
    return best_f1(found.logit[known], y[known] >= 0, len(one.time_s))


def _with_background(x: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the classes; where nothing but marks was seen between marks, what is smaller elsewhere is none.

    Where nothing is smaller than the smallest mark, the smaller half.
    """
    other, size = y == -2, x[:, LARGE]
    if (y == -1).any() or not other.any() or not (y >= 0).any():
        return y
    least = size[y >= 0].min()
    limit = least if (size[other] < least).any() else np.median(size[other])
    return np.where(other & (size <= limit), -1, y)


def _edges(one: Marks) -> NDArray[np.float64]:
    """Return the times (s) between stretches of a recording with equally many marks."""
    n = len(one.time_s)
    times, stretch = np.sort(one.time_s), np.arange(n) * min(n, STRETCHES) // max(n, 1)
    last = np.flatnonzero(np.diff(stretch))
    return np.asarray(0.5 * (times[last] + times[last + 1]))


def _look(
    runner: NetworkRunner,
    marks: Sequence[Marks],
    kind: str,
    classes: list[str],
    template: Template,
    tolerance: float,
) -> Task[list[Seen]]:
    """Return features, classes and groups of every candidate: of the template, and of those without a group each.

    Groups are recordings, or stretches of the only one. Classes are -1 for no event, -2 where nothing is known.
    """
    traces = [trace_of(one.signal, kind, template.coarser) for one in marks]
    rate = traces[0].resampling.sampling_rate
    x = [whole(trace)[0] for trace in traces]
    edges = _edges(marks[0])

    def group(i: int, times: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.full(len(times), i) if len(marks) > 1 else np.searchsorted(edges, times)

    n_groups = len(marks) if len(marks) > 1 else len(edges) + 1
    groups = [group(i, one.time_s) for i, one in enumerate(marks)]
    places = [np.round(one.time_s * rate).astype(np.int64) for one in marks]
    templates = [template]
    for k in range(n_groups):
        templates.append(without(template, x, [p[g != k] for p, g in zip(places, groups, strict=True)]))
    seen: list[list[Seen]] = [[] for _ in templates]
    for i, one in enumerate(marks):
        yield Progress(1, 4, f"recording {i + 1} of {len(marks)}")
        for rows, (time_s, features, _) in zip(
            seen, gather(runner, one.signal, kind, templates), strict=True
        ):
            if len(time_s):
                rows.append((features, labels(time_s, one, classes, tolerance), group(i, time_s)))
    if not any((y >= 0).any() for _, y, _ in seen[0]):
        raise RecordingError("none of the marks lies on a visible event; mark events at their peaks.")
    return [_together(rows) for rows in seen]


def _together(rows: Sequence[Seen]) -> Seen:
    if not rows:
        return np.zeros((0, PLAIN)), np.zeros(0, np.int64), np.zeros(0, np.int64)
    x, y, group = (np.concatenate([row[i] for row in rows]) for i in range(3))
    return x, _with_background(x, y), group
