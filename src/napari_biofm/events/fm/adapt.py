"""Teach the model a new event from a few marks, in seconds.

The network stays as it is. The average marked event is slid along the trace, at the time scale and against the noise
with which it finds marks best that took no part in it; a small logistic head weighs its fit together with the
network's heat and features, as many of them as the marks bear. What is gained is scored by leaving recordings
out (or stretches of one recording), and what is forgotten is nothing by construction: the stock head is not
touched, only stood beside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...types import Progress, RecordingError, Task
from .decode import sigmoid
from .forgetting import built_in_probes, forgetting_probe
from .head import AdaptedHead
from .matching import FEATURES, Marks, Template, gather, make_template
from .rungs import choose_rung

if TYPE_CHECKING:
    from .model import PhysioFM

__all__ = ["AdaptedHead", "Marks", "adapt"]

TEMPLATE, PLAIN = 5, len(FEATURES)  # features of the template alone, and with the network's heat
GAIN = 0.01  # of F1 that more features must bring on what was left out
LOW = 0.35  # between the lowest and the highest threshold that do equally well
AROUND = 1 << 16  # samples read around the marks at least: the noise is known from there


def labels(
    time_s: NDArray[np.float64], one: Marks, classes: list[str], tolerance: float
) -> NDArray[np.int64]:
    """Return the class of each candidate, -1 for none, -2 where nothing is known."""
    out = np.full(len(time_s), -2)
    spans = (
        list(one.spans) or [(float(np.min(one.time_s)), float(np.max(one.time_s)))] if len(one.time_s) else []
    )
    for a, b in spans:
        out[(time_s >= a - tolerance) & (time_s <= b + tolerance)] = -1
    for t in one.open_s:
        out[np.abs(time_s - t) <= tolerance] = -2
    for t in one.rejected_s:
        out[np.abs(time_s - t) <= tolerance] = -1
    for i, t in enumerate(one.time_s):
        gap = np.abs(time_s - t)
        if len(gap) and gap.min() <= tolerance:
            out[gap <= tolerance] = np.where(out[gap <= tolerance] == -1, -2, out[gap <= tolerance])
            out[gap.argmin()] = classes.index(one.names[i]) if len(one.names) else 0
    return out


def fit_head(x: NDArray[np.float64], y: NDArray[np.int64], n_classes: int) -> tuple[Any, Any, Any]:
    """Return mean, spread and weights (classes, F + 1) of one-against-all logistic heads.

    The network's features are held back ten times as strongly as the template's: with few marks the template
    leads.
    """
    from scipy.optimize import minimize

    mean, spread = x.mean(0), x.std(0) + 1e-6
    z = np.clip((x - mean) / spread, -8, 8)
    hold = np.r_[np.full(min(PLAIN, x.shape[1]), 0.02), np.full(max(0, x.shape[1] - PLAIN), 0.2)] * (
        50 / max(50, len(x))
    )
    weights = np.zeros((n_classes, x.shape[1] + 1))
    for k in range(n_classes):
        target = (y == k).astype(float)
        balance = np.where(target > 0, 0.5 / max(target.mean(), 1e-3), 0.5 / max(1 - target.mean(), 1e-3))
        balance = np.sqrt(balance)

        def cost(w: NDArray[Any], target: Any = target, balance: Any = balance) -> tuple[float, NDArray[Any]]:
            s = z @ w[:-1] + w[-1]
            loss = np.mean(balance * (np.logaddexp(0, s) - target * s)) + 0.5 * np.sum(hold * w[:-1] ** 2)
            slope = balance * (sigmoid(s) - target) / len(s)
            return float(loss), np.r_[z.T @ slope + hold * w[:-1], slope.sum()]

        weights[k] = minimize(
            cost, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 200}
        ).x
    return mean, spread, weights


def best_f1(score: NDArray[Any], true: NDArray[np.bool_], n_true: int) -> tuple[float, float]:
    """Return the best F1 and a threshold: among those that reach it within a fiftieth, nearer to the lowest.

    Events that nobody marked tend to be smaller than those that were.
    """
    order = np.argsort(-score)
    tp = np.cumsum(true[order])
    f = 2 * tp / (np.arange(1, len(tp) + 1) + max(n_true, 1))
    if not len(f):
        return 0.0, 0.5
    good = np.flatnonzero(f >= f.max() - 0.02)
    below = score[order][good[-1] + 1] if good[-1] + 1 < len(f) else 0.0
    ends = np.clip([below, score[order][good[0]]], 1e-6, 1 - 1e-6)
    low, high = np.log(ends / (1 - ends))
    return float(f.max()), float(sigmoid(low + LOW * (high - low)))


def around(one: Marks) -> Marks:
    """Return the part of a recording that its marks can teach something about; times from its beginning."""
    fs, n = one.signal.sampling_rate, len(one.signal.values)
    said = np.concatenate([one.time_s, one.rejected_s, np.ravel(one.spans)])
    a, b = int(said.min() * fs), int(said.max() * fs)
    more = max(AROUND - (b - a), (b - a) // 5, 0) // 2
    a, b = max(0, a - more), min(n, b + more)
    if a == 0:
        b = min(n, max(b, AROUND))
    if b == n:
        a = max(0, min(a, n - AROUND))
    start = a / fs
    signal = replace(one.signal, values=one.signal.values[a:b])
    return Marks(
        signal, np.asarray(one.time_s) - start, one.names, [(x - start, y - start) for x, y in one.spans],
        np.asarray(one.rejected_s) - start, np.asarray(one.open_s) - start,
    )  # fmt: skip


def adapt(
    model: PhysioFM, marks: Sequence[Marks], kind: str = "psc", *, beside: bool = False
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
    import time

    begun = time.monotonic()
    n_marks = sum(len(m.time_s) for m in marks)
    if n_marks < 3:
        raise RecordingError(f"{n_marks} marked events: mark at least 3, better 10 to 50.")
    if kind == "auto":
        kind = model.recognise(marks[0].signal)[0]
    default = {"psc": "PSC", "ap": "AP", "spike": "spike", "ecg": "R", "calcium": "calcium"}.get(
        kind, "event"
    )
    classes = sorted({n for m in marks for n in m.names}) or [default]
    yield Progress(0, 4, "averaging the marked events")
    parts = [around(one) for one in marks if len(one.time_s) or len(one.rejected_s)]
    template = make_template([one for one in parts if len(one.time_s)], kind)
    rate = choose_rung(parts[0].signal.sampling_rate, kind, template.coarser).sampling_rate
    tolerance = max(2, len(template.wave) // 4) / rate
    x, y, g = yield from _look(model, parts, kind, classes, template, tolerance)
    yield Progress(2, 4, "scoring on what was left out")
    before = sum(_stock_f1(model, one, kind, tolerance) * len(one.time_s) for one in parts) / n_marks
    after, threshold, used, held = 0.0, 0.5, TEMPLATE, np.zeros(len(x))
    for n in (TEMPLATE, PLAIN, x.shape[1]):
        said = left_out(x[:, :n], y, g, len(classes))
        f1, at = best_f1(said, y >= 0, n_marks)
        if n == TEMPLATE or f1 > after + GAIN:
            after, threshold, used, held = f1, at, n, said
    mean, spread, w = fit_head(x[:, :used], y, len(classes))
    order = np.argsort(-held)
    precision = np.cumsum(y[order] >= 0) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(precision >= 0.95)
    threshold = float(np.clip(threshold, 0.02, 0.98))
    head = AdaptedHead(
        kind, classes, template.wave, template.mark, template.coarser, template.ridge, used, mean, spread, w,
        threshold, model.card.get("sha256", ""), beside=beside,
    )  # fmt: skip
    yield Progress(3, 4, "asking what was forgotten")
    probe = forgetting_probe(model, head, built_in_probes(kind))
    head.report = {
        "marks": n_marks, "candidates": len(x), "f1_stock": round(before, 4), "f1_adapted": round(after, 4),
        "precise_threshold": float(held[order][good[-1]]) if len(good) else 1.0,
        "features": used, "template_s": round(len(template.wave) / rate, 6),
        "left_out": "recordings" if len(parts) > 1 else "quarters of the recording",
        "stock_untouched": True, "forgetting": probe, "seconds": round(time.monotonic() - begun, 2),
    }  # fmt: skip
    return head


def left_out(
    x: NDArray[np.float64], y: NDArray[np.int64], group: NDArray[np.int64], n_classes: int
) -> NDArray[np.float64]:
    """Return the scores that candidates get from heads which have not seen their group."""
    held = np.zeros(len(x))
    for k in np.unique(group):
        others = group != k
        if (y[others] >= 0).any() and (y[others] < 0).any():
            mean, spread, w = fit_head(x[others], y[others], n_classes)
            z = np.clip((x[~others] - mean) / spread, -8, 8)
            held[~others] = sigmoid(z @ w[:, :-1].T + w[:, -1]).max(1)
    return held


def _stock_f1(model: PhysioFM, one: Marks, kind: str, tolerance: float) -> float:
    """Return the best F1 that the stock model's own scores reach on a marked stretch."""
    found = model.found(one.signal, kind)
    if found is None or not len(one.time_s):
        return 0.0
    y = labels(found.time, replace(one, names=()), [], tolerance)
    known = y > -2
    return best_f1(found.logit[known], y[known] >= 0, len(one.time_s))[0]


def _look(
    model: PhysioFM,
    marks: Sequence[Marks],
    kind: str,
    classes: list[str],
    template: Template,
    tolerance: float,
) -> Task[tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]]:
    """Return features, classes (-1 for no event) and groups to leave out, of every candidate that is known."""
    rows, kinds_, group = [], [], []
    for i, one in enumerate(marks):
        yield Progress(1, 4, f"recording {i + 1} of {len(marks)}")
        time_s, x, _ = gather(model, one.signal, kind, template)
        y = labels(time_s, one, classes, tolerance)
        known = y > -2
        stretch = np.zeros(int(known.sum()), int)
        if len(marks) == 1 and known.any():  # one recording: leave out stretches of it
            stretch = np.searchsorted(np.quantile(one.time_s, [0.25, 0.5, 0.75]), time_s[known])
        if known.any():
            rows.append(x[known])
            kinds_.append(y[known])
            group.append(stretch if len(marks) == 1 else np.full(int(known.sum()), i))
    if not any((y >= 0).any() for y in kinds_):
        raise RecordingError("none of the marks lies on a visible event; mark events at their peaks.")
    return np.concatenate(rows), np.concatenate(kinds_), np.concatenate(group)
