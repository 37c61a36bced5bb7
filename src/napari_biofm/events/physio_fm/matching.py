"""The average of marked events, slid along a trace: candidates and their features for a taught head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.physio_fm.input_encoding import PATCH, network_unit
from napari_biofm.events.physio_fm.marks import MOST, Marks, shortened
from napari_biofm.events.physio_fm.resampling import ResampledTrace, Resampling, choose_resampling
from napari_biofm.events.physio_fm.runner import NetworkRunner
from napari_biofm.events.physio_fm.streaming import pieces
from napari_biofm.types import RecordingError, Trace

SHORTEST = 16  # resampled samples; below that there is nothing to see
BLOCK = 1 << 18  # resampled samples read at a time
COARSEST = 10  # halvings of a kind's own rate that are tried
WINDOWS = ((32, 96), (64, 64))  # samples before and after the mark, at every time scale
SHORT = ((8, 24), (16, 48))  # at the finest one as well
# Of the noise's power: weighed by its spectrum, less so, and nearly as if it were white.
RIDGES = (0.02, 0.3, 10.0)
LOOSE = 0.08  # of the usual interval between marks: as far a found event may lie from its mark while choosing
SLACK = 0.1  # of a template's length: as far the user's click may lie from the place it belongs to
FOLDS = 4
APART = 0.05  # of the average precision, what a distance of one between events and others is worth
MEDIAN_OF = 1 << 14  # sizes tell how much they vary, while templates are compared
LEAST = 1.0  # sizes below so many standard deviations are no candidates
FEATURES = ("likeness", "criterion", "misfit", "size", "prominence", "heat", "artefact", "amplitude")


@dataclass(frozen=True)
class Template:
    """The average marked event and how it is laid on a trace.

    Attributes
    ----------
    wave : (L,) at the resampled rate, largest deflection one. mark : its sample where the user marks.
    coarser : halvings of the kind's own rate. ridge : see `RIDGES`.
    """

    wave: NDArray[np.float64]
    mark: int
    coarser: int
    ridge: float


def trace_of(signal: Trace, kind: str, coarser: int) -> ResampledTrace:
    """Return a resampled trace, in the network's unit."""
    return ResampledTrace(
        signal.values, choose_resampling(signal.sampling_rate, kind, coarser), network_unit(signal, kind)[1]
    )


def whole(trace: ResampledTrace) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return all samples of a trace at its resampling, from their median, and where gaps were bridged."""
    parts = [trace.read(k, min(k + BLOCK, trace.length)) for k in range(0, trace.length, BLOCK)]
    x = np.concatenate([p[0] for p in parts]).astype(np.float64)
    return x - np.median(x), np.concatenate([p[1] for p in parts])


def covariance(x: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return the autocovariance at lags 0 to n - 1 of what is usual in x: by the median of its spectra.

    Half overlapping stretches, straight lines taken off, Hann window (Welch 1967); any unit.
    """
    size = min(len(x), 4 * n)
    cut = np.lib.stride_tricks.sliding_window_view(x, size)[:: max(1, size // 2)]
    line = np.linspace(-1, 1, size)
    cut = cut - cut.mean(1, keepdims=True)
    cut = cut - (cut @ line / (line @ line))[:, None] * line
    power = np.median(np.abs(np.fft.rfft(cut * np.hanning(size + 1)[:-1], axis=1)) ** 2, 0)
    r = np.fft.irfft(power, size)
    return np.pad(r, (0, max(0, n - len(r))))[:n]


def kernel(wave: NDArray[np.float64], r: NDArray[np.float64], ridge: float) -> NDArray[np.float64]:
    """Return the filter whose product with a stretch is the generalised least-squares size of `wave` in it.

    An offset is fitted beside it. `r` is the autocovariance of the noise (Aitken 1935; the matched filter
    for coloured noise).
    """
    from scipy.linalg import solve_toeplitz

    first = r / max(r[0], 1e-300)
    first[0] += ridge
    both = solve_toeplitz(first, np.stack([wave, np.ones(len(wave))], 1))
    free = both[:, 0] - both[:, 1] * (both[:, 0].sum() / max(both[:, 1].sum(), 1e-12))
    return np.asarray(free / max(float(free @ wave), 1e-12))


def sizes(x: NDArray[np.float64], filter_: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the size of the template at every first sample."""
    from scipy.signal import oaconvolve

    return np.asarray(oaconvolve(x, filter_[::-1], "valid"))


def spread(size: NDArray[np.float64]) -> float:
    """Return the robust standard deviation."""
    return 1.4826 * float(np.median(np.abs(size - np.median(size)))) or float(size.std()) or 1.0


def summits(z: NDArray[np.float64], reach: int, least: float) -> NDArray[np.int64]:
    """Return the samples that are the highest within `reach` on both sides and above `least`."""
    from scipy.ndimage import maximum_filter1d

    at = np.flatnonzero((z >= least) & (z >= maximum_filter1d(z, 2 * reach + 1, mode="nearest")))
    return at[np.diff(at, prepend=-(10**9)) > reach] if len(at) else at


def network_says(
    runner: NetworkRunner, signal: Trace, trace: ResampledTrace, kind: str, at: NDArray[np.int64], reach: int
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return the highest heat and artefact heat within `reach` of resampled samples (n, 2), and features (n, F)."""
    unit, _ = network_unit(signal, kind)
    heat = np.full((trace.length, 2), -20.0, np.float32)
    vectors: NDArray[np.float32] | None = None
    for group in pieces(runner, trace, unit, kind):
        for piece in group:
            w = piece.window
            heat[w.first : w.last] = piece.sample[w.first - w.start : w.last - w.start, :2]
            if vectors is None:
                vectors = np.zeros((len(at), piece.features.shape[1]), np.float32)
            inside = np.flatnonzero((at >= w.first) & (at < w.last))
            vectors[inside] = piece.features[(at[inside] - w.start) // PATCH]
    near = np.clip(at[:, None] + np.arange(-reach, reach + 1), 0, trace.length - 1)
    assert vectors is not None
    return heat[near].max(1).astype(np.float64), vectors


def gather(
    runner: NetworkRunner, signal: Trace, kind: str, templates: Sequence[Template]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]:
    """Return candidates of a signal: times (s), features (n, F), sizes (network's unit), for each template.

    Candidates are the peaks of the template's size in view of the noise of this very recording; the first
    `FEATURES` are of the template and the network's heat, the others the network's vector.

    Parameters
    ----------
    templates : of one time scale and length; the network looks once for all.
    """
    trace = trace_of(signal, kind, templates[0].coarser)
    n = len(templates[0].wave)
    nothing = np.zeros(0), np.zeros((0, 0)), np.zeros(0)
    if trace.length < max(SHORTEST, n // 2):
        return [nothing] * len(templates)
    x, gap = whole(trace)
    padded = np.pad(x, n, mode="reflect")  # events at the ends are seen in part
    noise = covariance(x, n)
    found = [_peaks(padded, gap, noise, template) for template in templates]
    places = np.unique(np.concatenate([place for place, _, _ in found]))
    if not len(places):
        return [nothing] * len(templates)
    heat, vectors = network_says(runner, signal, trace, kind, places, max(2, n // 8))
    out = []
    for place, plain, size in found:
        row = np.searchsorted(places, place)
        features = [plain, heat[row], np.log(size)[:, None], vectors[row]]
        out.append(
            (place / trace.resampling.sampling_rate, np.concatenate(features, 1).astype(np.float64), size)
        )
    return out


def _peaks(
    padded: NDArray[np.float64], gap: NDArray[np.bool_], noise: NDArray[np.float64], template: Template
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the samples of candidates, the features of the template alone (n, 5), and sizes."""
    n = len(template.wave)
    size = sizes(padded, kernel(template.wave, noise, template.ridge))
    z = size / spread(size)
    at = summits(z, max(2, n // 5), LEAST)
    place = at - n + template.mark
    inside = (place >= 0) & (place < len(gap))
    inside[inside] = ~gap[place[inside]]
    at, place = at[inside], place[inside]
    plain = [*_shape(padded, template.wave, at), *_stature(z, at, n)]
    return place, np.stack(plain, 1), size[at]


def _shape(x: NDArray[Any], wave: NDArray[Any], at: NDArray[np.int64]) -> tuple[Any, Any, Any]:
    """Return correlation, log criterion of Clements & Bekkers, and log of the misfit in view of the usual one."""
    views = np.lib.stride_tricks.sliding_window_view(x, len(wave))
    cut = views[at] - views[at].mean(1, keepdims=True)
    centred = wave - wave.mean()
    scale = cut @ centred / np.sum(centred**2)
    rest = np.sqrt(np.mean((cut - scale[:, None] * centred) ** 2, 1)) + 1e-12
    like = cut @ centred / np.sqrt(np.sum(centred**2) * np.maximum(np.sum(cut**2, 1), 1e-24))
    usual = np.median(np.std(views[:: max(1, len(views) // 500)], 1)) + 1e-12
    return like, np.arcsinh(3 * scale / rest), np.log(rest / usual)


def _stature(z: NDArray[Any], at: NDArray[np.int64], n: int) -> tuple[Any, Any]:
    """Return the size in standard deviations (asinh), and how much it stands above others nearby."""
    around = np.clip(at[:, None] + np.r_[-n : -n // 4, n // 4 + 1 : n + 1], 0, len(z) - 1)
    return np.arcsinh(z[at]), np.arcsinh(z[at]) - np.arcsinh(np.maximum(z[around].max(1), 0))


# --------------------------------------------------------------------------- from marks to a template
def average(
    x: Sequence[NDArray[np.float64]], places: Sequence[NDArray[np.int64]], before: int, after: int
) -> tuple[NDArray[np.float64], int] | None:
    """Return the aligned average of stretches around marks, largest deflection one, and where its mark is."""
    slack = max(1, round(SLACK * (before + after)))
    cuts = [
        trace[p - before - slack : p + after + slack]
        for trace, some in zip(x, places, strict=True)
        for p in some
        if p >= before + slack and p + after + slack <= len(trace)
    ]
    if not cuts:
        return None
    table = np.stack(cuts)
    table = table - np.median(table, 1, keepdims=True)
    views = np.lib.stride_tricks.sliding_window_view(table, before + after, axis=1)
    lag = np.full(len(table), slack)
    for _ in range(3):
        mean = views[np.arange(len(table)), lag].mean(0)
        mean = mean - mean.mean()
        lag = (views @ mean).argmax(1)
    wave = views[np.arange(len(table)), lag].mean(0)
    wave = wave - wave.mean()
    return wave / max(float(np.abs(wave).max()), 1e-12), before + slack - round(float(lag.mean()))


def make_template(marks: Sequence[Marks], kind: str) -> Template:
    """Return the template that finds marked events best that took no part in its average.

    Time scales (powers of two), stretches around the mark and weights of the noise are tried; every time
    the average of three quarters of the marks looks for the fourth.

    Raises
    ------
    RecordingError : no mark lies inside its recording.
    """
    best: tuple[float, Template] | None = None
    tried: set[Resampling] = set()
    gaps = np.concatenate([np.diff(np.sort(one.time_s)) for one in marks])
    loose = LOOSE * float(np.median(gaps)) if len(gaps) else np.inf
    all_marks = marks
    for coarser in range(COARSEST + 1):
        resampling = choose_resampling(all_marks[0].signal.sampling_rate, kind, coarser)
        if resampling in tried or loose * resampling.sampling_rate < 2:
            continue
        shapes = WINDOWS if tried else SHORT + WINDOWS
        tried.add(resampling)
        marks = [shortened(one, resampling.sampling_rate, MOST // len(all_marks)) for one in all_marks]
        traces = [trace_of(one.signal, kind, coarser) for one in marks]
        x, rates = [whole(t)[0] for t in traces], [t.resampling.sampling_rate for t in traces]
        places = [
            np.round(np.asarray(m.time_s) * r).astype(np.int64) for m, r in zip(marks, rates, strict=True)
        ]
        for before, after in shapes:
            if min(map(len, x)) < 4 * (before + after):
                continue
            noise = [covariance(one, before + after) for one in x]
            got = average(x, places, before, after)
            if got is None:
                continue
            folds = [
                _found(x, places, noise, marks, rates, loose, before, after, fold) for fold in range(FOLDS)
            ]
            for ridge, gain in zip(RIDGES, np.mean(folds, 0), strict=True):
                if best is None or gain > best[0] + 0.005:
                    best = float(gain), Template(*got, coarser, ridge)
    if best is None:
        raise RecordingError("no mark lies well inside its recording; mark events at their peaks.")
    return best[1]


def without(
    template: Template, x: Sequence[NDArray[np.float64]], places: Sequence[NDArray[np.int64]]
) -> Template:
    """Return a template with the average of other marks, laid in the same way; itself where there are none."""
    got = average(x, places, template.mark, len(template.wave) - template.mark)
    return template if got is None else Template(*got, template.coarser, template.ridge)


def _found(
    x: Sequence[NDArray[np.float64]],
    places: Sequence[NDArray[np.int64]],
    noise: Sequence[NDArray[np.float64]],
    marks: Sequence[Marks],
    rates: Sequence[float],
    loose: float,
    before: int,
    after: int,
    fold: int,
) -> NDArray[np.float64]:
    """Return with which average precision the average of the other marks finds every `FOLDS`-th, per ridge.

    Candidates are ranked by size and by likeness, the better counts: the head weighs both.
    """
    length, none = before + after, np.zeros(len(RIDGES))
    got = average(x, [p[np.arange(len(p)) % FOLDS != fold] for p in places], before, after)
    n = sum(len(p[fold::FOLDS]) for p in places)
    if got is None or not n:
        return none
    wave, mark = got
    rows: list[list[NDArray[Any]]] = [[] for _ in RIDGES]
    for trace, own, r, one, rate in zip(x, places, noise, marks, rates, strict=True):
        tolerance = min(loose * rate, max(2, length // 4))
        if not len(own):
            continue
        spans = np.array(one.complete) * rate
        first = max(0, round(spans.min()) - 2 * length)
        stretch = trace[first : round(spans.max()) + 3 * length]
        if len(stretch) < 4 * length:
            continue
        for ridge, row in zip(RIDGES, rows, strict=True):
            size = sizes(stretch, kernel(wave, r, ridge))
            z = size / spread(size[:: 1 + len(size) // MEDIAN_OF])
            at = summits(z, max(2, length // 5), LEAST)
            where = at + mark + first
            inside = np.zeros(len(at), bool)
            for a, b in spans:
                inside |= (where >= a - tolerance) & (where <= b + tolerance)
            hit = np.zeros(len(at), bool)
            for k, p in enumerate(own):  # the strongest near a mark is its event, the rest does not count
                near = np.flatnonzero(np.abs(where - p) <= tolerance)
                inside[near] = False
                if len(near) and k % FOLDS == fold:
                    top = near[size[at[near]].argmax()]
                    hit[top] = inside[top] = True
            row.append(np.stack([z[at], _shape(stretch, wave, at)[0], hit], 1)[inside])
    if not rows[0]:
        return none
    joined = [np.concatenate(row) for row in rows]
    return np.array(
        [max(_told_apart(v, t[:, 2] > 0, n) for v in (np.arcsinh(t[:, 0]), 2 * t[:, 1])) for t in joined]
    )


def _told_apart(score: NDArray[Any], hit: NDArray[np.bool_], n: int) -> float:
    """Return the average precision of n events, those not found counting 0, and a little for their distance.

    The distance, from the highest twentieth of the others to the median event, decides between templates
    that find all.
    """
    ranks = np.flatnonzero(hit[np.argsort(-score)])
    found = float(np.sum(np.arange(1, len(ranks) + 1) / (ranks + 1)) / n)
    if not len(ranks) or hit.all():
        return found
    return found + APART * float(np.median(score[hit]) - np.quantile(score[~hit], 0.95))
