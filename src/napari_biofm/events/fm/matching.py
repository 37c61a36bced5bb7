"""The average of marked events, slid along a trace: candidates and their features for a taught head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...types import RecordingError, Signal
from .decode import Candidates, peaks
from .rungs import Trace, choose_rung
from .words import known_unit

if TYPE_CHECKING:
    from .model import PhysioFM

BLOCK = 1 << 18  # rung samples of the matched filter at a time


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
    open_s : (k,) places nobody has judged; nothing is learnt from them.
    """

    signal: Signal
    time_s: NDArray[np.float64]
    names: Sequence[str] = ()
    spans: Sequence[tuple[float, float]] = ()
    rejected_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    open_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


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
