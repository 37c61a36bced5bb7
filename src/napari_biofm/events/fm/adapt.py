"""Teach the model a new event from a few marks, in seconds.

The network stays as it is. Candidates come from its heat and from a matched filter made of the average
marked event; a small logistic head weighs both together with the network's features. What is gained is
scored by leaving recordings out (or stretches of one recording), and what is forgotten is nothing by
construction: the stock head is not touched, only stood beside.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ...types import (
    EVENT_DTYPE,
    DetectionSettings,
    Events,
    ModelError,
    Progress,
    RecordingError,
    Signal,
    Task,
    no_events,
)
from .decode import Candidates, peaks, sigmoid
from .rungs import Trace, choose_rung
from .words import known_unit

if TYPE_CHECKING:
    from .model import PhysioFM

BLOCK = 1 << 18  # rung samples of the matched filter at a time
TOLERANCE = 5e-3  # s, a candidate this close to a mark is that event (or two fifths of the template)
PLAIN = 5  # hand-made features before the network's


@dataclass(frozen=True)
class Marks:
    """What the user said about one recording.

    Attributes
    ----------
    signal : the recording.
    time_s : (n,) peaks of the events.
    names : class per event; one word for all where empty.
    spans : (k, 2) s, stretches in which every event is marked; empty: from the first mark to the last.
    rejected_s : (m,) places that are no event.
    """

    signal: Signal
    time_s: NDArray[np.float64]
    names: Sequence[str] = ()
    spans: Sequence[tuple[float, float]] = ()
    rejected_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


@dataclass
class AdaptedHead:
    """A head the user has taught; plain arrays and words.

    Attributes
    ----------
    kind : kind whose rung is used. classes : names, one logistic row each.
    template : (L,) average event of unit peak, `peak` its reference sample.
    mean, spread : (F,) of the features. weights : (classes, F + 1), bias last.
    threshold : score from which an event counts. stock_sha256 : weights it stands on. report : scores before
    and after.
    """

    kind: str
    classes: list[str]
    template: NDArray[np.float64]
    peak: int
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    weights: NDArray[np.float64]
    threshold: float
    stock_sha256: str
    report: dict[str, Any] = field(default_factory=dict)

    def probabilities(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, classes) probabilities of candidates with features x (n, F)."""
        z = (x - self.mean) / self.spread
        return sigmoid(np.clip(z, -8, 8) @ self.weights[:, :-1].T + self.weights[:, -1])

    def save(self, path: Path) -> None:
        """Write safetensors and, beside it, JSON."""
        from safetensors.numpy import save_file

        from ...models.checkpoints import sha256_of

        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {
            k: np.ascontiguousarray(getattr(self, k), np.float32)
            for k in ("template", "mean", "spread", "weights")
        }
        save_file(arrays, path)
        card = {
            k: getattr(self, k) for k in ("kind", "classes", "peak", "threshold", "stock_sha256", "report")
        }
        path.with_suffix(".json").write_text(json.dumps(card | {"sha256": sha256_of(path)}, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path, stock: PhysioFM | None = None) -> AdaptedHead:
        """Read a head.

        Raises
        ------
        ModelError : the file was changed, or it was made for other stock weights than `stock`.
        """
        from safetensors.numpy import load_file

        from .weights import read_card

        card = read_card(path)
        if stock is not None and card["stock_sha256"] != stock.card["sha256"]:
            raise ModelError(f"{path.name} was taught on other stock weights; teach it again on these.")
        words = {k: card[k] for k in ("kind", "classes", "peak", "threshold", "stock_sha256", "report")}
        return cls(**words, **{k: v.astype(np.float64) for k, v in load_file(path).items()})

    def detect(self, model: PhysioFM, signal: Signal, settings: DetectionSettings) -> Task[Events]:
        """Find the taught events; see `PhysioFM.detect`."""
        yield Progress(0, 1, "reading")
        time_s, x, amplitude = gather(model, signal, self.kind, self.template, self.peak)
        if not len(time_s):
            return no_events()
        p = self.probabilities(x)
        best = p.max(1)
        least = float(settings.options.get("threshold", self.threshold))
        if settings.preset == "precise":
            least = max(least, float(self.report.get("precise_threshold", least)))
        keep = np.ones(len(best), bool) if settings.all_scores else best >= least
        table = np.zeros(int(keep.sum()), EVENT_DTYPE)
        table["sweep"], table["channel"], table["unit"] = signal.sweep, signal.channel, signal.unit[:8]
        table["time_s"], table["score"] = time_s[keep], best[keep]
        table["class"] = np.array(self.classes, "U12")[p.argmax(1)[keep]]
        table["amplitude"] = amplitude[keep] / known_unit(signal.unit)[1]
        table["rise_s"] = table["decay_s"] = np.nan
        yield Progress(1, 1, f"{len(table)} events", table)
        return cast("Events", table)


def matched(trace: Trace, template: NDArray[np.float64]) -> Iterator[tuple[int, NDArray[Any], NDArray[Any]]]:
    """Yield (first rung sample, correlation -1 to 1, fitted amplitude) of a template slid along a trace,
    block by block.
    """
    from scipy.signal import fftconvolve

    n = len(template)
    centred = template - template.mean()
    energy = float(np.sum(centred**2))
    for first in range(0, max(1, trace.length - n + 1), BLOCK):
        last = min(first + BLOCK, max(1, trace.length - n + 1))
        x = trace.read(first, last + n - 1)[0].astype(np.float64)
        x = x - x.mean()
        dot = fftconvolve(x, centred[::-1], "valid")
        sums, squares = (fftconvolve(v, np.ones(n), "valid") for v in (x, x * x))
        spread = np.sqrt(np.maximum(squares - sums**2 / n, 1e-12 * max(1.0, float(np.max(squares)))))
        yield first, dot / np.sqrt(energy) / spread, dot / energy


def gather(
    model: PhysioFM, signal: Signal, kind: str, template: NDArray[np.float64], peak: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return candidates of a signal: times (s), features (n, F), fitted amplitudes (network's unit).

    Candidates are the peaks of the matched filter and of the network's heat.
    """
    _, factor = known_unit(signal.unit)
    rung = choose_rung(signal.sampling_rate, kind)
    trace, rate = Trace(signal.values, rung, factor), rung.sampling_rate
    if trace.length < len(template) + 2:
        return np.zeros(0), np.zeros((0, 0)), np.zeros(0)
    parts = list(matched(trace, template))
    like = np.concatenate([p[1] for p in parts])
    size = np.concatenate([p[2] for p in parts])
    noise = 1.4826 * float(np.median(np.abs(size - np.median(size)))) or 1.0
    strength = like * np.sqrt(np.abs(size) / noise)
    reach = max(2, len(template) // 5)
    at = peaks(strength.astype(np.float32) * 4, reach, 0.7)
    found = [part for _, _, part in model.candidates(signal, kind)]
    heat = Candidates.join(found) if found else None
    times = (at + peak) / rate
    if heat is not None and len(heat.time):
        near = np.searchsorted(times, heat.time)
        gap = np.full(len(heat.time), np.inf)
        for side in (near - 1, near):
            ok = (side >= 0) & (side < len(times))
            gap[ok] = np.minimum(gap[ok], np.abs(times[side[ok]] - heat.time[ok]))
        extra = heat.time[gap > reach / rate]
        times = np.sort(np.concatenate([times, extra]))
    place = np.clip(np.round(times * rate).astype(int) - peak, 0, len(like) - 1)
    window = np.clip(place[:, None] + np.arange(-reach // 2, reach // 2 + 1), 0, len(like) - 1)
    top = window[np.arange(len(place)), strength[window].argmax(1)]
    logit, score_gap = np.full(len(times), -6.0), np.zeros(len(times))
    if heat is not None and len(heat.time) and len(times):
        j = np.clip(np.searchsorted(heat.time, times), 0, len(heat.time) - 1)
        for side in (np.maximum(j - 1, 0), j):
            close = np.abs(heat.time[side] - times) <= reach / rate
            logit[close] = np.maximum(logit[close], heat.logit[side[close]])
            score_gap[close] = np.maximum(score_gap[close], heat.artefact[side[close]])
    vectors = model.embed(signal, times, kind) if len(times) else np.zeros((0, 1), np.float32)
    plain = np.stack(
        [like[top], strength[top], np.arcsinh(size[top] / noise), logit, np.log(np.abs(size[top]) + 1e-9)], 1
    )
    return times, np.concatenate([plain, vectors], 1).astype(np.float64), size[top]


def make_template(model: PhysioFM, marks: Sequence[Marks], kind: str) -> tuple[NDArray[np.float64], int]:
    """Return the aligned average of the marked events at the rung, unit peak, and the sample of its peak.

    Its length is chosen by where the average leaves the noise, 12 to 400 samples.
    """
    cuts = []
    reach = 400
    for one in marks:
        _, factor = known_unit(one.signal.unit)
        trace = Trace(one.signal.values, choose_rung(one.signal.sampling_rate, kind), factor)
        for t in one.time_s:
            k = round(float(t) * trace.rung.sampling_rate)
            if 0 <= k < trace.length:
                x = trace.read(k - reach, k + reach)[0].astype(np.float64)
                cuts.append(x - np.median(x[reach - 60 : reach - 10]))
    if not cuts:
        raise RecordingError("no mark lies inside its recording; mark events at their peaks.")
    table = np.stack(cuts)
    mean = np.median(table, 0) if len(table) > 4 else table.mean(0)
    for _ in range(2):  # align by the best lag within 12 samples
        core = mean[reach - 40 : reach + 80]
        shifted = np.lib.stride_tricks.sliding_window_view(table[:, reach - 52 : reach + 92], 120, axis=1)
        lags = (shifted @ core).argmax(1) - 12
        table = np.stack([np.roll(c, -s) for c, s in zip(table, lags, strict=True)])
        mean = table.mean(0)
    error = table.std(0).mean() / np.sqrt(len(table)) + 1e-12
    strong = np.abs(mean) > max(0.12 * np.abs(mean[reach - 5 : reach + 6]).max(), 2.0 * error)
    a, b = reach, reach
    while a > 10 and strong[a - 8 : a].any():
        a -= 4
    while b < 2 * reach - 10 and strong[b : b + 10].any():
        b += 5
    a, b = max(0, min(a, reach - 6) - 4), min(2 * reach, max(b, reach + 6))
    template = mean[a:b] - mean[a : a + 3].mean()
    return template / max(np.abs(template).max(), 1e-12), reach - a


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


def adapt(model: PhysioFM, marks: Sequence[Marks], kind: str = "psc") -> Task[AdaptedHead]:
    """Teach a head from 5 to 50 marked events.

    Parameters
    ----------
    model : the stock model.
    marks : recordings with their marks.
    kind : kind whose time scale fits the events; "auto" asks the model.

    Returns
    -------
    AdaptedHead with `report`: events, F1 of the stock model and of the head on stretches left out, seconds.

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
    yield Progress(0, 3, "averaging the marked events")
    template, peak = make_template(model, marks, kind)
    rate = choose_rung(marks[0].signal.sampling_rate, kind).sampling_rate
    tolerance = float(
        np.clip(0.4 * len(template) / rate, 2 / rate, TOLERANCE if kind == "psc" else 10 * TOLERANCE)
    )
    rows, kinds_, group = [], [], []
    for i, one in enumerate(marks):
        yield Progress(1, 3, f"recording {i + 1} of {len(marks)}")
        time_s, x, _ = gather(model, one.signal, kind, template, peak)
        y = labels(time_s, one, classes, tolerance)
        known = y > -2
        stretch = np.zeros(int(known.sum()), int)
        if len(marks) == 1 and known.any():  # one recording: leave out stretches of it
            stretch = np.searchsorted(np.quantile(one.time_s, [0.25, 0.5, 0.75]), time_s[known])
        rows.append(x[known])
        kinds_.append(y[known])
        group.append(stretch if len(marks) == 1 else np.full(int(known.sum()), i))
    x, y, g = np.concatenate(rows), np.concatenate(kinds_), np.concatenate(group)
    if not (y >= 0).any():
        raise RecordingError("none of the marks lies on a visible event; mark events at their peaks.")
    yield Progress(2, 3, "scoring on what was left out")
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
    report = {
        "marks": n_marks, "candidates": len(x), "f1_stock": round(before, 4), "f1_adapted": round(after, 4),
        "precise_threshold": float(held[order][good[-1]]) if len(good) else 1.0,
        "left_out": "recordings" if len(marks) > 1 else "quarters of the recording",
        "stock_untouched": True, "seconds": round(time.monotonic() - begun, 2),
    }  # fmt: skip
    threshold = float(np.clip(threshold, 0.05, 0.95))
    return AdaptedHead(
        kind, classes, template, peak, mean, spread, w, threshold, model.card.get("sha256", ""), report
    )


def forgetting_probe(
    model: PhysioFM, head: AdaptedHead, probes: Sequence[tuple[Signal, NDArray[np.float64]]]
) -> dict[str, float]:
    """Return how the head does on probes with known events of its kind, beside the stock model.

    Parameters
    ----------
    probes : signals and the times of their events; simulated ones come from `simulate` or `training`.

    Returns
    -------
    `stock` and `adapted` recall at the balanced preset, `forgotten` their difference (0 or more).
    """
    from ...types import run_task

    hits, n = {"stock": 0, "adapted": 0}, 0
    for signal, truth in probes:
        n += len(truth)
        settings = DetectionSettings(kind=cast("Any", head.kind))
        tables = {
            "stock": run_task(model.detect(signal, settings)),
            "adapted": run_task(head.detect(model, signal, settings)),
        }
        for name, table in tables.items():
            if len(table) and len(truth):
                hits[name] += int((np.abs(truth[:, None] - table["time_s"][None]).min(1) <= TOLERANCE).sum())
    stock, adapted = hits["stock"] / max(n, 1), hits["adapted"] / max(n, 1)
    return {"stock": stock, "adapted": adapted, "forgotten": max(0.0, stock - adapted)}
