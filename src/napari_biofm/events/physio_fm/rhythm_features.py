"""What tells rhythms apart in a clip of one lead: numbers about intervals, shapes, atria and noise.

Every function returns (names, values) of fixed length; what cannot be said is NaN, which the trees know.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Named = dict[str, float]

RATE = 300.0  # Hz that clips are brought to
BEFORE_S, AFTER_S = 0.3, 0.45  # of a beat, around its R peak
SHAPE_POINTS = 25
BANDS = ((0.1, 0.5), (0.5, 1.5), (1.5, 4), (4, 7), (7, 10), (10, 15), (15, 20), (20, 30), (30, 45), (45, 75))
ALIKE = 0.85  # correlation from which two beats have one shape


def at_rate(x: NDArray[Any], sampling_rate: float) -> Floats:
    """Return a clip at 300 Hz, without NaN and without offset."""
    x = np.asarray(x, np.float64)
    finite = np.isfinite(x)
    x = np.where(finite, x, np.median(x[finite]) if finite.any() else 0.0)
    x = x - np.median(x)
    if abs(sampling_rate / RATE - 1) < 1e-3:
        return x
    up, down = round(RATE), round(sampling_rate)
    common = np.gcd(up, down)
    return np.asarray(scipy.signal.resample_poly(x, up // common, down // common))


def band(x: Floats, low: float, high: float) -> Floats:
    """Return a clip between two frequencies, without delay."""
    sos = scipy.signal.butter(2, [low, high], "bandpass", fs=RATE, output="sos")
    return np.asarray(scipy.signal.sosfiltfilt(sos, x, padlen=min(len(x) - 1, int(2 * RATE))))


def placed(x: Floats, beats: NDArray[np.int64]) -> tuple[NDArray[np.int64], float]:
    """Return beats moved to the extreme of the side that R waves point to within 60 ms, and that side."""
    if not len(beats):
        return beats, 1.0
    w = int(0.06 * RATE)
    cut = np.stack([x[np.clip(np.arange(b - w, b + w + 1), 0, len(x) - 1)] for b in beats])
    up, down = np.median(cut.max(1)), -np.median(cut.min(1))
    way = 1.0 if up >= 0.8 * down else -1.0
    at = np.unique(np.clip(beats - w + (way * cut).argmax(1), 0, len(x) - 1))
    return at, way


# ------------------------------------------------------------------ intervals
def intervals(rr: Floats, tag: str) -> Named:
    """Return rate, irregularity, entropies, Lorenz plot and ectopy of intervals (s) between beats.

    Coefficient of sample entropy: Lake & Moorman, Am J Physiol Heart 300:H319, 2011. Evidence of the Lorenz
    plot: Sarkar, Ritscher & Mehra, IEEE Trans Biomed Eng 55:1219, 2008. Turning points: Dash et al., Ann
    Biomed Eng 37:1701, 2009.
    """
    names = (
        "n", "median", "cv", "rmssd", "mad_step", "pnn20", "pnn50", "pnn_5%", "q05", "q25", "q75", "q95",
        "min", "max", "step_q50", "step_q90", "entropy_rr", "entropy_step", "cosen", "sampen2", "turning",
        "r1", "r2", "r3", "sd_ratio", "fast", "slow",
    )  # fmt: skip
    extra = (*_LORENZ, *_ECTOPY, *_LOCAL)
    if len(rr) < 4:
        return {f"{tag}_{k}": np.nan for k in (*names, *extra)} | {f"{tag}_n": float(len(rr))}
    step, middle = np.diff(rr), float(np.median(rr))
    size = np.abs(step)
    turns = (rr[1:-1] - rr[:-2]) * (rr[1:-1] - rr[2:]) > 0
    values = (
        len(rr), middle, rr.std() / rr.mean(), np.sqrt(np.mean(step**2)) / middle, np.median(size) / middle,
        np.mean(size > 0.02), np.mean(size > 0.05), np.mean(size > 0.05 * middle),
        *(np.quantile(rr, [0.05, 0.25, 0.75, 0.95]) / middle), rr.min() / middle, rr.max() / middle,
        np.median(np.abs(step - np.median(step))) / middle, np.quantile(size, 0.9) / middle,
        _entropy(rr / middle, 0.5, 1.5, 16), _entropy(step / middle, -0.6, 0.6, 13),
        _cosen(rr), _sample_entropy(rr / (rr.std() + 1e-9), 2, 0.25), np.mean(turns),
        *(_lagged(rr, k) for k in (1, 2, 3)),
        np.std(step) / (np.std(rr[1:] + rr[:-1]) + 1e-9), np.mean(rr < 0.6), np.mean(rr > 1.2),
    )  # fmt: skip
    out = dict(zip(names, map(float, values), strict=True))
    out |= _lorenz(step) | _ectopy(rr) | _local(rr)
    return {f"{tag}_{k}": v for k, v in out.items()}


_LORENZ = ("origin", "occupied", "density", "anisotropy", "pac")
_ECTOPY = ("premature", "pauses", "paired", "alternating", "runs", "rest_cv")
_LOCAL = ("calmest", "usual", "wildest", "calm_share", "drift")


def _entropy(x: Floats, low: float, high: float, bins: int) -> float:
    share = np.histogram(np.clip(x, low, high), np.linspace(low, high, bins + 1))[0] / len(x)
    share = share[share > 0]
    return float(-np.sum(share * np.log(share)))


def _matches(x: Floats, m: int, r: float) -> int:
    if len(x) <= m:
        return 0
    rows = np.lib.stride_tricks.sliding_window_view(x, m)
    near = np.abs(rows[:, None] - rows[None]).max(-1) <= r
    return int((near.sum() - len(rows)) // 2)


def _sample_entropy(x: Floats, m: int, r: float) -> float:
    longer, shorter = _matches(x, m + 1, r), _matches(x[:-1], m, r)
    return float(-np.log(max(longer, 0.5) / max(shorter, 1.0)))


def _cosen(rr: Floats) -> float:
    """Coefficient of sample entropy, m = 1; the tolerance grows until five pairs match."""
    for r in (0.03, 0.045, 0.07, 0.1, 0.15, 0.25):
        longer, shorter = _matches(rr, 2, r), _matches(rr[:-1], 1, r)
        if longer >= 5:
            break
    return float(-np.log(max(longer, 0.5) / max(shorter, 1.0)) + np.log(2 * r) - np.log(rr.mean()))


def _lagged(x: Floats, lag: int) -> float:
    a, b = x[:-lag], x[lag:]
    return float(np.corrcoef(a, b)[0, 1]) if len(a) > 2 and a.std() * b.std() > 1e-12 else 0.0


def _lorenz(step: Floats) -> Named:
    if len(step) < 3:
        return dict.fromkeys(_LORENZ, np.nan)
    a, b = step[1:], step[:-1]
    n = len(a)
    cell = np.round(np.stack([a, b]) / 0.08).clip(-8, 8).astype(int)
    away = (cell != 0).any(0)
    occupied = len(np.unique(cell[:, away], axis=1).T) if away.any() else 0
    sums = np.array([(a > 0.04).sum() - (a < -0.04).sum(), (b > 0.04).sum() - (b < -0.04).sum()])
    pac = ((b < -0.08) & (a > 0.08)).sum()
    return {
        "origin": 1 - away.mean(), "occupied": occupied / n, "density": (away.sum() - occupied) / n,
        "anisotropy": float(np.abs(sums).sum()) / n, "pac": pac / n,
    }  # fmt: skip


def _ectopy(rr: Floats) -> Named:
    padded = np.pad(rr, 3, mode="reflect" if len(rr) > 3 else "edge")
    usual = np.median(np.lib.stride_tricks.sliding_window_view(padded, 7), axis=1)
    ratio = rr / usual
    early, late = ratio < 0.85, ratio > 1.15
    rest = rr[~early & ~late & ~np.roll(early, 1)]
    signs = np.sign(np.where(np.abs(np.diff(rr)) > 0.05 * np.median(rr), np.diff(rr), 0))
    return {
        "premature": early.mean(), "pauses": late.mean(), "paired": np.mean(early[:-1] & (ratio[1:] > 1.05)),
        "alternating": np.mean(signs[1:] * signs[:-1] < 0) if len(signs) > 1 else np.nan,
        "runs": np.mean(early[:-1] & early[1:]),
        "rest_cv": rest.std() / rest.mean() if len(rest) > 3 else np.nan,
    }  # fmt: skip


def _local(rr: Floats) -> Named:
    width = min(8, len(rr))
    rows = np.lib.stride_tricks.sliding_window_view(rr, width)
    wild = np.sqrt(np.mean(np.diff(rows, axis=1) ** 2, axis=1)) / rows.mean(1)
    thirds = [np.median(p) for p in np.array_split(rr, 3)]
    return {
        "calmest": wild.min(), "usual": np.median(wild), "wildest": wild.max(),
        "calm_share": np.mean(wild < 0.06), "drift": np.ptp(thirds) / np.median(rr),
    }  # fmt: skip


# ------------------------------------------------------------------ shapes
_SHAPES = (
    "alike_mean", "alike_min", "alike_sd", "alike_q10", "groups", "largest_group", "second_group",
    "odd_early", "odd_wide", "tall_cv", "qrs_width", "t_size", "t_top", "t_low", "t_place", "st_level",
    "p_size", "p_top", "p_place", "p_alike", "p_sure", "p_share", "p_wild", "rest_sd", "way",
)  # fmt: skip


def shapes(x: Floats, beats: NDArray[np.int64], way: float) -> Named:
    """Return the averaged beat, how alike the beats are, their groups, and the P wave.

    Parameters
    ----------
    x : (n,) clip between 0.5 and 40 Hz. beats : (b,) R peaks. way : 1 or -1, where R waves point.
    """
    before, after = int(BEFORE_S * RATE), int(AFTER_S * RATE)
    points = [f"beat_{k}" for k in range(SHAPE_POINTS)]
    inside = beats[(beats >= before) & (beats + after < len(x))]
    if len(inside) < 4:
        return dict.fromkeys((*_SHAPES, *points), np.nan)
    cut = way * np.stack([x[b - before : b + after] for b in inside])
    cut = cut - np.median(cut, axis=1, keepdims=True)
    mean = np.median(cut, axis=0)
    size = float(np.ptp(mean)) + 1e-9
    unit = cut / (np.linalg.norm(cut, axis=1, keepdims=True) + 1e-9)
    alike = unit @ (mean / (np.linalg.norm(mean) + 1e-9))
    groups, first = _groups(unit[:, before - 45 : before + 75])
    share = np.sort(np.bincount(groups))[::-1] / len(groups)
    rr = np.diff(inside, prepend=inside[0] - int(np.median(np.diff(inside)))).astype(float)
    odd = groups != first
    wide = np.mean(np.abs(cut) > 0.4 * np.abs(cut).max(1, keepdims=True), axis=1)
    qrs = slice(before - 21, before + 22)
    out = {
        "alike_mean": alike.mean(), "alike_min": alike.min(), "alike_sd": alike.std(),
        "alike_q10": np.quantile(alike, 0.1), "groups": len(share), "largest_group": share[0],
        "second_group": share[1] if len(share) > 1 else 0.0,
        "odd_early": np.median(rr[odd]) / np.median(rr) if odd.any() else np.nan,
        "odd_wide": np.median(wide[odd]) / np.median(wide) if odd.any() else np.nan,
        "tall_cv": cut[:, before].std() / (abs(cut[:, before].mean()) + 1e-9),
        "qrs_width": np.mean(np.abs(mean[qrs]) > 0.3 * np.abs(mean[qrs]).max()),
        "rest_sd": np.std(cut - mean) / size, "way": way,
    }  # fmt: skip
    out |= _t_wave(mean, before, size) | _p_wave(cut, before, size)
    grid = np.linspace(0, len(mean) - 1, SHAPE_POINTS)
    smooth = np.convolve(mean, np.ones(5) / 5, "same")
    out |= dict(zip(points, np.interp(grid, np.arange(len(mean)), smooth) / size, strict=True))
    return {k: float(out[k]) for k in (*_SHAPES, *points)}


def _groups(unit: Floats) -> tuple[NDArray[np.int64], int]:
    """Return the group of each beat (followers of the first unlike leader) and the largest group."""
    centred = unit - unit.mean(1, keepdims=True)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True) + 1e-9
    near = centred @ centred.T >= ALIKE
    out = np.full(len(unit), -1)
    for k in range(len(unit)):
        free = out < 0
        if not free.any():
            break
        leader = int(np.argmax(np.where(free, near[:, free].sum(1), -1)))
        out[free & near[leader]] = k
        out[leader] = k
    return out, int(np.bincount(out).argmax())


def _t_wave(mean: Floats, before: int, size: float) -> Named:
    zone = mean[before + int(0.12 * RATE) :]
    return {
        "t_size": np.ptp(zone) / size, "t_top": zone.max() / size, "t_low": zone.min() / size,
        "t_place": np.abs(zone - np.median(zone)).argmax() / len(zone),
        "st_level": mean[before + int(0.08 * RATE)] / size,
    }  # fmt: skip


def _p_wave(cut: Floats, before: int, size: float) -> Named:
    """Return how large, how constant and how sure the P wave is, 240 to 60 ms before the R peak."""
    zone = slice(before - int(0.24 * RATE), before - int(0.06 * RATE))
    rows = cut[:, zone]
    line = np.linspace(0, 1, rows.shape[1])
    level = rows - (rows[:, :3].mean(1)[:, None] * (1 - line) + rows[:, -3:].mean(1)[:, None] * line)
    average = np.median(level, axis=0)
    error = 1.4826 * np.median(np.abs(level - average), axis=0).mean() / np.sqrt(len(level)) + 1e-9
    norm = np.linalg.norm(level, axis=1) * np.linalg.norm(average) + 1e-9
    alike = (level @ average) / norm
    return {
        "p_size": np.ptp(average) / size, "p_top": average[np.abs(average).argmax()] / size,
        "p_place": np.abs(average).argmax() / len(average), "p_alike": float(np.median(alike)),
        "p_sure": float(np.log10(np.abs(average).max() / error + 1e-3)), "p_share": np.mean(alike > 0.6),
        "p_wild": level.std(0).mean() / size,
    }  # fmt: skip


# ------------------------------------------------------------------ atria
_ATRIA = ("f_power", "f_peak", "f_sharp", "f_size", "f_slow", "f_regular")


def atria(x: Floats, beats: NDArray[np.int64]) -> Named:
    """Return the spectrum of what is left when the averaged beat is taken away: fibrillatory waves.

    Average beat subtraction: Slocum, Sahakian & Swiryn, J Electrocardiol 25:1, 1992.
    """
    before, after = int(0.25 * RATE), int(0.45 * RATE)
    inside = beats[(beats >= before) & (beats + after < len(x))]
    if len(inside) < 4:
        return dict.fromkeys(_ATRIA, np.nan)
    cut = np.stack([x[b - before : b + after] for b in inside])
    mean = np.median(cut, axis=0)
    rest = x.copy()
    quiet = np.ones(len(x), bool)
    for b, row in zip(inside, cut, strict=True):
        factor = float(np.clip(row @ mean / (mean @ mean + 1e-9), 0.3, 3.0))
        stop = min(b + after, int(inside[inside > b].min()) - before if (inside > b).any() else len(x))
        length = max(0, stop - (b - before))
        rest[b - before : b - before + length] -= factor * mean[:length]
        quiet[max(0, b - 18) : b + 18] = False
    rest = rest[inside[0] : inside[-1]] * quiet[inside[0] : inside[-1]]
    f, power = scipy.signal.welch(rest, RATE, nperseg=min(len(rest), 1024), nfft=2048)
    wide, atrial = (f > 1) & (f < 40), (f >= 4) & (f <= 10)
    total = power[wide].sum() + 1e-12
    top = f[atrial][power[atrial].argmax()]
    sharp = power[atrial & (np.abs(f - top) < 0.6)].sum() / (power[atrial].sum() + 1e-12)
    flow = np.fft.irfft(np.abs(np.fft.rfft(rest, 2 * len(rest))) ** 2)[: int(0.3 * RATE)]
    lags = slice(int(0.1 * RATE), int(0.25 * RATE))
    return {
        "f_power": float(power[atrial].sum() / total), "f_peak": float(top), "f_sharp": float(sharp),
        "f_size": float(np.std(rest) / (np.ptp(mean) + 1e-9)),
        "f_slow": float(power[(f > 1) & (f < 4)].sum() / total),
        "f_regular": float(flow[lags].max() / (flow[0] + 1e-9)),
    }  # fmt: skip


# ------------------------------------------------------------------ noise
def quality(raw: Floats, x: Floats) -> Named:
    """Return spectrum, outliers, restlessness and evenness of a clip: noise has no rhythm.

    Parameters
    ----------
    raw : (n,) clip as recorded. x : (n,) between 0.5 and 40 Hz.
    """
    f, power = scipy.signal.welch(raw, RATE, nperseg=min(len(raw), int(4 * RATE)))
    total = power[(f > 0.1) & (f < 75)].sum() + 1e-12
    bands = {f"band_{a:g}": float(np.log10(power[(f >= a) & (f < b)].sum() / total + 1e-6)) for a, b in BANDS}
    share = power[(f > 0.5) & (f < 40)] / (power[(f > 0.5) & (f < 40)].sum() + 1e-12)
    size = np.abs(raw)
    width = int(2 * RATE)
    rows = x[: max(1, len(x) // width) * width].reshape(-1, min(width, len(x)))
    range_ = np.ptp(rows, axis=1) + 1e-9
    fast = np.diff(raw)
    steps = np.std(np.diff(rows, axis=1), axis=1) / (rows.std(1) + 1e-9)
    z = (x - x.mean()) / (x.std() + 1e-9)
    flow = np.fft.irfft(np.abs(np.fft.rfft(np.abs(z), 2 * len(z))) ** 2)
    flow = flow[: int(1.6 * RATE)] / (flow[0] + 1e-9)
    return bands | {
        "length": len(raw) / RATE,
        "spectral_entropy": float(-np.sum(share * np.log(share + 1e-12))),
        "size": float(np.log10(np.quantile(size, 0.98) + 1)),
        "top": float(np.log10(size.max() / (np.quantile(size, 0.95) + 1e-9) + 1e-9)),
        "flat": float(np.mean(np.abs(fast) < 1e-6)),
        "kurtosis": float(np.log(np.mean(z**4))), "skew": float(abs(np.mean(z**3))),
        "range_cv": float(range_.std() / range_.mean()),
        "range_top": float(np.log(range_.max() / np.median(range_))),
        "range_low": float(np.log(range_.min() / np.median(range_))),
        "step_top": float(steps.max()), "step_mid": float(np.median(steps)),
        "mobility": float(fast.std() / (raw.std() + 1e-9)),
        "complexity": float(np.diff(fast).std() / (fast.std() + 1e-9)),
        "crossings": float(np.mean(np.diff(np.sign(z)) != 0)),
        "pulse": float(flow[int(0.3 * RATE) :].max()) if len(flow) > 0.35 * RATE else np.nan,
    }  # fmt: skip


def agreement(a: NDArray[np.int64], b: NDArray[np.int64]) -> Named:
    """Return how far two beat detectors agree within 100 ms (F1), worst fifth included, and their ratio.

    Li, Mark & Clifford, Physiol Meas 29:15, 2008.
    """
    if not len(a) or not len(b):
        return {"agree": 0.0, "agree_ratio": np.nan, "agree_worst": 0.0}
    near = np.abs(a[:, None] - b[None]) <= 0.1 * RATE
    hit_a, hit_b = near.any(1), near.any(0)
    last = max(int(a[-1]), int(b[-1])) + 1
    edges = np.linspace(0, last, 6)
    worst = 1.0
    for low, high in itertools.pairwise(edges):
        mine = np.concatenate([hit_a[(a >= low) & (a < high)], hit_b[(b >= low) & (b < high)]])
        worst = min(worst, float(mine.mean()) if len(mine) else 0.0)
    return {
        "agree": float((hit_a.sum() + hit_b.sum()) / (len(a) + len(b))),
        "agree_ratio": float(np.log(len(a) / len(b))),
        "agree_worst": worst,
    }


def rhythm_features(
    clip: NDArray[Any], sampling_rate: float, time_s: Floats, sure: Floats, second_s: Floats
) -> Named:
    """Return all of it for one clip.

    Parameters
    ----------
    clip : (n,) one lead, any gain. sampling_rate : Hz.
    time_s, sure : (b,) beats of the network (s) and the probability of each, weak candidates included.
    second_s : (k,) beats of a second detector.
    """
    raw = at_rate(clip, sampling_rate)
    x = band(raw, 0.5, 40.0)
    beats, way = placed(x, np.round(time_s[sure > 0.4] * RATE).astype(int))
    other, _ = placed(x, np.round(second_s * RATE).astype(int))
    weak = sure[sure > 0.05]
    doubt = np.full(3, np.nan)
    if len(weak):
        doubt = np.array([weak.mean(), np.mean(weak < 0.6), np.mean(weak > 0.95)])
    edges = np.concatenate([[0], beats, [len(raw)]])
    return (
        intervals(np.diff(beats) / RATE, "a")
        | intervals(np.diff(other) / RATE, "b")
        | shapes(x, beats, way)
        | atria(x, beats)
        | quality(raw, x)
        | agreement(beats, other)
        | dict(zip(("sure_mean", "sure_weak", "sure_strong"), doubt.tolist(), strict=True))
        | {"longest_gap": float(np.diff(edges).max() / RATE)}
    )
