"""Single channels by half amplitude (Colquhoun & Sigworth 1995): levels from the histogram, then rounding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_biofm.events.classical.common import (
    Floats,
    Samples,
    baseline,
    clean,
    lowest_score,
    scores,
    table,
)
from napari_biofm.events.options import OptionValues, option_values
from napari_biofm.types import DetectionSettings, Events, Kind, Option, Progress, Task, Trace, no_events

_BINS = 240
_MOST_STEPS = 8
_EQUIVALENT = 3000.0  # independent samples a trace counts for when levels are counted


@dataclass(frozen=True)
class Idealised:
    """Open channels per sample.

    Attributes
    ----------
    n_open : (n_samples,) int8.
    step : current of one channel, unit of the trace, with its sign; 0 where no level but one is seen.
    closed : (n_samples,) float32 baseline.
    noise : standard deviation around the levels.
    """

    n_open: NDArray[np.int8]
    step: float
    closed: Samples
    noise: float

    @property
    def levels(self) -> Floats:
        """(n,) current of 0, 1, 2 ... open channels, at the mean baseline."""
        top = int(self.n_open.max(initial=0))
        return np.asarray(float(self.closed.mean()) + self.step * np.arange(max(top, 1) + 1))


OPTIONS = (
    Option("step", "the trace's unit", -math.inf, math.inf, None, "Current of one open channel, with its sign."),
    Option("closed", "the trace's unit", -math.inf, math.inf, None, "Level at which no channel is open."),
    Option("lowpass_s", "s", 0, 1, 0.0, "Width of the smoothing; 0 smooths only where noise is above 0.28 of a step."),
    Option("baseline_s", "s", 0, 1e5, 0.0, "Window that follows a drifting baseline; 0 does not follow."),
)  # fmt: skip


class HalfAmplitudeDetector:
    """Each sample goes to the nearest level; an opening lasts until the count of open channels falls.

    The levels come from the all-point histogram unless `step` and `closed` fix them.
    """

    name = "half-amplitude"
    kinds: Sequence[Kind] = ("channel",)
    options: Sequence[Option] = OPTIONS

    def detect(self, signal: Trace, settings: DetectionSettings) -> Task[Events]:
        """Return openings: `time_s` the opening, `amplitude` its mean step, `decay_s` how long it lasted."""
        option_values(self, settings)  # told before the work begins, also where there is nothing to find
        cleaned, words = clean(signal, 32)
        yield Progress(0, 2, words)
        if cleaned is None:
            return no_events()
        fs = signal.sampling_rate
        ideal = idealise(cleaned.values, fs, settings)
        yield Progress(
            1, 2, f"step {ideal.step:.3g} {signal.unit}, {int(ideal.n_open.max(initial=0))} channel(s)"
        )
        if ideal.step == 0:
            return no_events()
        change = np.diff(ideal.n_open, prepend=np.int8(0))
        change[0] = 0
        opening = np.flatnonzero(change > 0)
        opening = opening[cleaned.usable(opening, 1)]
        ends = np.flatnonzero(change < 0)
        where = np.searchsorted(ends, opening)
        closed = np.append(ends, len(change))[where]
        total = np.concatenate([[0.0], np.cumsum(cleaned.values - ideal.closed, dtype=np.float64)])
        mean = (total[closed] - total[opening]) / np.maximum(closed - opening, 1)
        below = ideal.step * ideal.n_open[np.maximum(opening - 1, 0)]
        size = mean - below
        criterion = np.clip(np.sign(ideal.step) * size, 0, None) / (0.5 * abs(ideal.step))
        score = scores(criterion * np.minimum(1.0, np.sqrt((closed - opening) / 2)), 1.0)
        keep = score >= lowest_score(settings)
        lasted = np.where(where < len(ends), (closed - opening) / fs, np.nan)
        found: Events = table(
            signal, opening[keep] / fs, "open", score[keep], size[keep], 1 / fs, lasted[keep]
        )
        return found


def idealise(values: Samples, sampling_rate: float, settings: DetectionSettings | None = None) -> Idealised:
    """Return how many channels are open at every sample.

    Parameters
    ----------
    values : (n_samples,) current without gaps.
    sampling_rate : Hz.
    settings : options as in `HalfAmplitudeDetector`.
    """
    given = {} if settings is None else settings.options
    chosen = OptionValues(HalfAmplitudeDetector.name, OPTIONS, given)
    width = round(chosen["lowpass_s"] * sampling_rate)
    follow = chosen["baseline_s"]
    drift = np.zeros(len(values), np.float32)
    if follow > 0:
        drift = baseline(values, max(10, round(follow * sampling_rate)))
        drift = drift - np.float32(np.median(drift))
    flat = values - drift
    while True:
        flat = scipy.ndimage.uniform_filter1d(flat, width | 1, mode="nearest") if width > 1 else flat
        closed, step, noise, most = levels_of(flat)
        if width > 1 or (step != 0 and noise < 0.28 * abs(step)):
            break
        width = _smoothing(noise, step)
    if "step" in chosen:
        step, most = chosen["step"], 100
    closed = chosen.given("closed", closed)
    base = np.asarray(drift + np.float32(closed), np.float32)
    if step == 0:
        return Idealised(np.zeros(len(values), np.int8), 0.0, base, noise)
    count = np.rint((flat - np.float32(closed)) / np.float32(step))
    return Idealised(np.clip(count, 0, most).astype(np.int8), float(step), base, noise)


def _smoothing(noise: float, step: float) -> int:
    """Return the boxcar that brings the noise to a fifth of a step, 3 to 9 samples; 5 without levels."""
    return 5 if step == 0 else int(np.clip(np.ceil((noise / (0.2 * abs(step))) ** 2), 3, 9))


def levels_of(flat: Samples) -> tuple[float, float, float, int]:
    """Return closed level, step (with sign), noise and number of steps of equally spaced levels.

    Gaussians of one width at equal distances are fitted to the all-point histogram by expectation
    maximisation, for 0 to 8 steps; the number of steps is that of the best score, in which each level
    costs as if the trace had 3,000 independent samples. Levels closer than 2 sd are not told apart, and
    a level less than 0.3 times as full as levels on both its sides is the filter's, not the channel's.

    Closed is the end of the row that is nearer to zero current, where zero lies outside the row or
    within half a step of an end; where it lies inside, openings are taken to go up.
    """
    sample = flat[:: max(1, len(flat) // 500_000)]
    low, high = np.quantile(sample, [0.0005, 0.9995])
    margin = 0.1 * (high - low) + 1e-12
    counts, edges = np.histogram(sample, _BINS, (low - margin, high + margin))
    centre, weight = 0.5 * (edges[1:] + edges[:-1]), counts / max(counts.sum(), 1)
    fits = [_spaced_gaussians(centre, weight, k, low, high) for k in range(_MOST_STEPS + 1)]
    level, step, noise, steps, _ = max(fits, key=lambda fit: fit[4])
    if steps == 0:
        return level, 0.0, noise, 0
    bottom, top = level, level + steps * step
    inside = bottom + 0.5 * step < 0 < top - 0.5 * step
    if inside or abs(bottom) <= abs(top):
        return bottom, step, noise, steps
    return top, -step, noise, steps


def _spaced_gaussians(
    x: Floats, weight: Floats, steps: int, low: float, high: float
) -> tuple[float, float, float, int, float]:
    """Fit `steps` + 1 equally spaced Gaussians to a histogram; return level, step, sd, steps, score."""
    order = np.arange(steps + 1)
    mean = float((x * weight).sum())
    sd0 = float(np.sqrt((weight * (x - mean) ** 2).sum())) + 1e-12
    step, sd = ((high - low) / (steps + 1), (high - low) / (4 * (steps + 1))) if steps else (0.0, sd0)
    level, share = (low + 0.5 * step if steps else mean), np.full(steps + 1, 1 / (steps + 1))
    likelihood = np.zeros(len(x))
    for _ in range(120 if steps else 1):
        before = level, step, sd
        apart = (x[:, None] - (level + step * order)) / sd
        joint = share * np.exp(-0.5 * apart**2) / (sd * np.sqrt(2 * np.pi)) + 1e-300
        likelihood = joint.sum(axis=1)
        part = weight[:, None] * joint / likelihood[:, None]
        share = np.maximum(part.sum(axis=0), 1e-6)
        if steps:
            k_mean = float((share * order).sum() / share.sum())
            spread = float((share * (order - k_mean) ** 2).sum())
            step = float((part * (order - k_mean) * (x[:, None] - mean)).sum() / max(spread, 1e-12))
            level = mean - step * k_mean
            sd = float(np.sqrt((part * (x[:, None] - level - step * order) ** 2).sum())) + 1e-9 * sd0
        if max(abs(a - b) for a, b in zip(before, (level, step, sd), strict=True)) < 1e-4 * sd:
            break
    score = _EQUIVALENT * float((weight * np.log(likelihood)).sum()) - 0.5 * (steps + 3) * np.log(_EQUIVALENT)
    if steps and (step < 2 * sd or not np.isfinite(score) or _has_ghosts(share)):
        score = -np.inf
    return level, step, sd, steps, score


def _has_ghosts(share: Floats) -> bool:
    """Say whether a level is made of samples on their way between two others, or of next to none."""
    left, right = np.maximum.accumulate(share), np.maximum.accumulate(share[::-1])[::-1]
    valley = share[1:-1] < 0.3 * np.minimum(left[:-2], right[2:])
    return bool(valley.any() or min(share[0], share[-1]) < 2e-4)
