"""What all classical detectors share: cleaning a trace, its noise, scores, and rows of the table.

The score of a classical detector is its own criterion c, brought to [0, 1] by
``c^4 / (c^4 + c0^4)``: 0.5 at the customary threshold c0, rising with c. The preset "balanced" keeps
scores from 0.5 on, "precise" from 0.75 on, which is a threshold of 1.32 c0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_biofm.events.gaps import filled
from napari_biofm.types import EVENT_DTYPE, DetectionSettings, Events, RecordingError, Trace, no_events

Floats = NDArray[np.float64]
Samples = NDArray[np.float32]
Indices = NDArray[np.intp]

PRESET_SCORES = {"balanced": 0.5, "precise": 0.75}
CANDIDATE_SCORE = 0.06  # what `all_scores` still shows: half the customary threshold
BLOCK = 1 << 19  # samples handled between two reports of progress
_SAMPLED = 1_000_000  # samples from which a quantile of a long trace is estimated


@dataclass(frozen=True)
class Cleaned:
    """A trace without gaps, and where they were.

    Attributes
    ----------
    values : (n_samples,) float32; gaps hold the noise beside them.
    bad : (n_samples,) bool, True inside gaps, or None where there are none.
    words : what the user should know about the trace, "" if nothing.
    """

    values: Samples
    bad: NDArray[np.bool_] | None
    words: str

    def usable(self, index: Indices, reach: int = 0) -> NDArray[np.bool_]:
        """Return for each index whether it lies more than `reach` samples from a gap."""
        if self.bad is None or not len(index):
            return np.ones(len(index), bool)
        total = np.concatenate([[0], np.cumsum(self.bad)])
        first = np.clip(index - reach, 0, len(self.bad))
        last = np.clip(index + reach + 1, 0, len(self.bad))
        return np.asarray(total[last] == total[first])


def clean(signal: Trace, min_samples: int = 8) -> tuple[Cleaned | None, str]:
    """Bridge gaps and say what is unusual about a trace.

    Parameters
    ----------
    signal : one channel of one sweep.
    min_samples : fewest samples the method can work with.

    Returns
    -------
    The cleaned trace, or None where there is nothing to detect, and words for the user.

    Raises
    ------
    RecordingError
        If the sampling rate is not a positive number or the values are not one-dimensional.
    """
    if not (np.isfinite(signal.sampling_rate) and signal.sampling_rate > 0):
        raise RecordingError(f"a sampling rate of {signal.sampling_rate} Hz: give a positive number")
    values = np.asarray(signal.values, np.float32)
    if values.ndim != 1:
        raise RecordingError(f"a trace of shape {values.shape}: give one channel of one sweep, (n_samples,)")
    if len(values) < min_samples:
        return None, f"{len(values)} samples are too few, {min_samples} are needed: no events"
    bad = ~np.isfinite(values)
    n_bad = int(bad.sum())
    if len(values) - n_bad < min_samples:
        return None, f"only {len(values) - n_bad} of {len(values)} samples are numbers: no events"
    low, high = (float(v) for v in _extremes(values, bad, n_bad))
    if high - low <= 1e-6 * max(abs(low), abs(high)):
        return None, f"the trace is constant ({low:g} {signal.unit}): no events"
    words = []
    if n_bad:
        values = filled(values, bad)
        words.append(f"{100 * n_bad / len(values):.3g} % of the trace is missing and was left out")
    words += _saturation(values, low, high, signal.unit)
    if signal.unit in ("", "?"):
        words.append("the unit is missing: amplitudes are the file's own numbers")
    message = "; ".join(words)
    return Cleaned(values, bad if n_bad else None, message), message


def _extremes(values: Samples, bad: NDArray[np.bool_], n_bad: int) -> tuple[Any, Any]:
    good = values[~bad] if n_bad else values
    return good.min(), good.max()


def _saturation(values: Samples, low: float, high: float, unit: str) -> list[str]:
    """Say at which value the trace sticks to its extremes for more than 1 % of the time."""
    words = []
    for edge in (low, high):
        stuck = float(np.mean(values == np.float32(edge)))
        if stuck > 0.01:
            words.append(f"{100 * stuck:.2g} % of the samples stick to {edge:g} {unit}: saturated?")
    return words


def noise_sd(values: NDArray[Any]) -> float:
    """Return the standard deviation of the noise as MAD / 0.6745 (Quiroga et al. 2004, eq. 3.1).

    Long traces are sampled at a regular stride; the result is the same at every call.
    """
    sample = values[:: max(1, len(values) // _SAMPLED)]
    return float(np.median(np.abs(sample - np.median(sample))) / 0.6745)


def baseline(values: Samples, window: int) -> Samples:
    """Return a slow baseline: medians of blocks, median-filtered over about `window` samples.

    Parameters
    ----------
    values : (n_samples,).
    window : samples; events much shorter than this leave the baseline alone.
    """
    n = len(values)
    block = max(1, min(n, window // 5))
    count = max(1, n // block)
    stride = max(1, block // 64)
    used = values[: count * block].reshape(count, block)[:, ::stride]
    medians = np.median(used, axis=1)
    padded = np.pad(medians, 2, mode="reflect" if count > 2 else "edge")
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
    centres = (np.arange(count) + 0.5) * block
    line = np.empty(n, np.float32)
    for start in range(0, n, BLOCK):  # in pieces: np.interp works in float64
        stop = min(start + BLOCK, n)
        line[start:stop] = np.interp(np.arange(start, stop), centres, smooth)
    return line


def scores(criterion: ArrayLike, customary: float) -> Floats:
    """Bring a criterion to [0, 1]: 0.5 at its customary threshold, rising, 0 for negative values."""
    ratio = np.clip(np.asarray(criterion, np.float64) / max(customary, 1e-300), 0, 1e6) ** 4
    return np.asarray(ratio / (1 + ratio))


def criterion_at(score: float, customary: float) -> float:
    """Return the criterion that has this score, the inverse of `scores`."""
    return float(customary * (score / (1 - score)) ** 0.25)


def lowest_score(settings: DetectionSettings) -> float:
    """Return the score from which events are wanted: the preset's, or that of a mere candidate."""
    return CANDIDATE_SCORE if settings.all_scores else PRESET_SCORES[settings.preset]


def table(
    signal: Trace,
    time_s: ArrayLike,
    names: str | ArrayLike,
    score: ArrayLike,
    amplitude: ArrayLike,
    rise_s: ArrayLike = np.nan,
    decay_s: ArrayLike = np.nan,
) -> Events:
    """Return rows of the event table, in order of time."""
    times = np.asarray(time_s, np.float64)
    if not len(times):
        return no_events()
    rows = np.zeros(len(times), EVENT_DTYPE)
    rows["sweep"], rows["channel"], rows["unit"] = signal.sweep, signal.channel, signal.unit
    rows["time_s"], rows["class"] = times, names
    rows["score"] = np.clip(score, 0, 1)
    rows["amplitude"], rows["rise_s"], rows["decay_s"] = amplitude, rise_s, decay_s
    return rows[np.argsort(times, kind="stable")]


def thin(index: Indices, height: Floats, distance: int) -> Indices:
    """Return positions into `index` (sorted) such that none is closer than `distance` to a higher one."""
    order = np.argsort(-height, kind="stable")
    keep = np.ones(len(index), bool)
    for i in order:
        if not keep[i]:
            continue
        j = i - 1
        while j >= 0 and index[i] - index[j] < distance:
            keep[j] = False
            j -= 1
        j = i + 1
        while j < len(index) and index[j] - index[i] < distance:
            keep[j] = False
            j += 1
    return np.flatnonzero(keep)
