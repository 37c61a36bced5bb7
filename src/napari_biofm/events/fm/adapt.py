"""Teach the model a new event from a few marks, in seconds.

The network stays as it is. Candidates come from its heat and from a matched filter made of the average
marked event; a small logistic head weighs both together with the network's features. What is gained is
scored by leaving recordings out (or stretches of one recording), and what is forgotten is nothing by
construction: the stock head is not touched, only stood beside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...types import Progress, RecordingError, Task
from .decode import sigmoid
from .forgetting import built_in_probes, forgetting_probe
from .head import AdaptedHead
from .matching import Marks, gather, make_template
from .rungs import choose_rung

if TYPE_CHECKING:
    from .model import PhysioFM

__all__ = ["AdaptedHead", "Marks", "adapt"]

TOLERANCE = 5e-3  # s, a candidate this close to a mark is that event (or two fifths of the template)
PLAIN = 5  # hand-made features before the network's


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
    hold = np.r_[np.full(PLAIN, 0.02), np.full(x.shape[1] - PLAIN, 0.2)] * (50 / max(50, len(x)))
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
    """Return the best F1 and the threshold half-way to the next lower score."""
    order = np.argsort(-score)
    tp = np.cumsum(true[order])
    f = 2 * tp / (np.arange(1, len(tp) + 1) + max(n_true, 1))
    if not len(f):
        return 0.0, 0.5
    k = int(np.argmax(f))
    below = score[order][k + 1] if k + 1 < len(f) else 0.0
    return float(f[k]), float(0.5 * (score[order][k] + below))


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
    template, peak = make_template(model, marks, kind)
    rate = choose_rung(marks[0].signal.sampling_rate, kind).sampling_rate
    tolerance = float(
        np.clip(0.4 * len(template) / rate, 2 / rate, TOLERANCE if kind == "psc" else 10 * TOLERANCE)
    )
    x, y, g = yield from _look(model, marks, kind, classes, template, peak, tolerance)
    yield Progress(2, 4, "scoring on what was left out")
    held = np.zeros(len(x))
    for k in np.unique(g):
        others = g != k
        if (y[others] >= 0).any() and (y[others] < 0).any():
            mean, spread, w = fit_head(x[others], y[others], len(classes))
            part = AdaptedHead(kind, classes, template, peak, mean, spread, w, 0.5, "")
            held[~others] = part.probabilities(x[~others]).max(1)
    after, threshold = best_f1(held, y >= 0, n_marks)
    before, _ = best_f1(x[:, 3], y >= 0, n_marks)
    mean, spread, w = fit_head(x, y, len(classes))
    order = np.argsort(-held)
    precision = np.cumsum(y[order] >= 0) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(precision >= 0.95)
    threshold = float(np.clip(threshold, 0.05, 0.95))
    head = AdaptedHead(
        kind, classes, template, peak, mean, spread, w, threshold, model.card.get("sha256", ""), beside=beside
    )
    yield Progress(3, 4, "asking what was forgotten")
    probe = forgetting_probe(model, head, built_in_probes(kind))
    head.report = {
        "marks": n_marks, "candidates": len(x), "f1_stock": round(before, 4), "f1_adapted": round(after, 4),
        "precise_threshold": float(held[order][good[-1]]) if len(good) else 1.0,
        "left_out": "recordings" if len(marks) > 1 else "quarters of the recording",
        "stock_untouched": True, "forgetting": probe, "seconds": round(time.monotonic() - begun, 2),
    }  # fmt: skip
    return head


def _look(
    model: PhysioFM,
    marks: Sequence[Marks],
    kind: str,
    classes: list[str],
    template: NDArray[np.float64],
    peak: int,
    tolerance: float,
) -> Task[tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]]:
    """Return features, classes (-1 for no event) and groups to leave out, of every candidate that is known."""
    rows, kinds_, group = [], [], []
    for i, one in enumerate(marks):
        yield Progress(1, 4, f"recording {i + 1} of {len(marks)}")
        time_s, x, _ = gather(model, one.signal, kind, template, peak)
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
