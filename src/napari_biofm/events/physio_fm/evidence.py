"""How strongly the raw trace itself speaks for a candidate, whatever the network believes.

The network sees a trace in units of its own noise, so that mere noise can look like events. What is measured here is
absolute: the size of a step in units of the same statistic elsewhere in the trace, where noise of any spectrum
has its own spread, and whether the trace as a whole rises faster than it falls, which noise does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.classical.common import baseline, clean
from napari_biofm.events.classical.oasis import spectral_noise
from napari_biofm.events.physio_fm.decode import Candidates
from napari_biofm.events.physio_fm.judge import judged
from napari_biofm.types import Trace

Floats = NDArray[np.float64]

STEPS_S = (0.06, 0.15, 0.4, 1.0)  # widths over which a calcium transient is averaged
BASELINE_S = 30.0
SILENT_SHARE = 0.09  # of its scores at most, that a cell keeps which looks silent as a whole
AROUND_S = (0.08, 0.12)  # before and after a candidate
NAMES = {
    "calcium": ("logit", "step", "height", "asymmetry", "tails", "busy", "lift"),
    "spike": ("logit", "depth", "matched", "excess", "busy"),
}


@dataclass(frozen=True)
class _Step:
    """A trace of differences between what follows a moment and what precedes it.

    Attributes
    ----------
    rise : (n,) mean after minus mean before, in robust standard deviations of its lower side.
    height : (n,) mean after above the running baseline, in the same way.
    even : (m,) differences of means over equally long stretches. Reading a trace backwards turns their sign: noise has as many
        up as down whatever its distribution, calcium rises faster than it falls.
    error : standard error of a difference, were there but the white part of the noise, in units of `rise`.
    """

    rise: Floats
    height: Floats
    even: Floats
    error: float


def lower_spread(x: Floats) -> tuple[float, float]:
    """Return the median and the distance from it to the 16 % quantile: the noise where events point up."""
    middle, low = np.quantile(x, [0.5, 0.1587])
    return float(middle), max(float(middle - low), 1e-12)


def _step(x: Floats, base: Floats, sums: Floats, width: int, before: int, white: float) -> _Step:
    n, at = len(x), np.arange(len(x))
    stop, start = np.minimum(at + width, n), np.maximum(at - before, 0)
    after = (sums[stop] - sums[at]) / (stop - at)
    earlier = (sums[at] - sums[start]) / np.maximum(at - start, 1)
    difference = after - earlier
    difference[0] = 0.0
    inner = difference[before : n - width]
    middle, spread = lower_spread(inner)
    height = after - base
    level, reach = lower_spread(height)
    whole = sums[width:] - sums[:-width]
    even = (whole[width:] - whole[:-width]) / width
    error = white * float(np.sqrt(1 / width + 1 / before)) / spread
    return _Step((difference - middle) / spread, (height - level) / reach, even - np.median(even), error)


def calcium_evidence(signal: Trace, found: Candidates, score: NDArray[Any]) -> Floats:
    """Return what a fluorescence trace says about its candidates.

    Parameters
    ----------
    signal : dF/F of one cell; NaN marks gaps. found : candidates. score : (n,) of the network, calibrated.

    Returns
    -------
    (n, 7) columns as in `NAMES`: the network's logit; the logarithm of the largest step within -0.08 to 0.12 s, over
    0.06 to 1 s, in spreads of all steps of the trace; the height above the running baseline then, in spreads;
    the skewness of the steps of the trace; the ratio of its extreme steps up and down; expected candidates per s.
    """
    n, fs = len(found.time), signal.sampling_rate
    out = np.zeros((n, len(NAMES["calcium"])))
    cleaned, _ = clean(signal, 16)
    if cleaned is None or not n:
        return out
    x = cleaned.values.astype(np.float64)
    base = baseline(cleaned.values, int(min(len(x), BASELINE_S * fs))).astype(np.float64)
    sums = np.concatenate([[0.0], np.cumsum(x)])
    first = np.clip((found.time * fs).astype(np.intp), 0, len(x) - 1)
    reach = np.arange(-max(1, int(AROUND_S[0] * fs)), max(2, int(AROUND_S[1] * fs) + 1))
    near = np.clip(first[:, None] + reach, 0, len(x) - 1)
    rise, height, lift, asymmetry, tails = np.full(n, -9.0), np.full(n, -9.0), np.zeros(n), -0.5, 0.8
    white = spectral_noise(x)
    for seconds in STEPS_S:
        width, before = max(1, round(seconds * fs)), max(2, round(max(seconds, 0.2) * fs))
        if 2 * max(width, before) + 20 > len(x):
            continue
        step = _step(x, base, sums, width, before, white)
        best = step.rise[near].argmax(1)
        chosen = near[np.arange(n), best]
        higher = step.rise[chosen] > rise
        lift = np.maximum(lift, step.rise[chosen] / max(step.error, 1e-9))
        rise, height = (np.where(higher, a[chosen], b) for a, b in ((step.rise, rise), (step.height, height)))
        high, low = np.quantile(step.even, [0.999, 0.001])
        asymmetry = max(asymmetry, float(np.mean(step.even**3) / max(step.even.std(), 1e-12) ** 3))
        tails = max(tails, float(high / max(-low, 1e-12)))
    out[:, 0], out[:, 1] = found.logit, np.log1p(np.maximum(rise, 0))
    out[:, 2], out[:, 3] = np.clip(height, -3, 8), np.clip(asymmetry, 0, 2)
    out[:, 4], out[:, 5] = np.clip(tails, 0.8, 2.5), score.sum() * fs / max(len(x), fs)
    out[:, 6] = np.log1p(lift)
    return out


def summary(columns: Floats, score: NDArray[Any], judged_score: NDArray[Any]) -> Floats:
    """Return what a trace as a whole says about being active, (1, 8), from the evidence of its candidates.

    Parameters
    ----------
    columns : (n, 7) of `calcium_evidence`. score, judged_score : (n,) of the network and of the judge.
    """
    if not len(columns):
        return np.zeros((1, 8))
    steps, said = np.sort(columns[:, 1])[::-1], np.sort(score)[::-1]
    fifth = min(4, len(said) - 1)
    top = np.clip(float(judged_score.max()), 1e-6, 1 - 1e-6)
    asymmetry, tails, busy = columns[0, 3], columns[0, 4], columns[0, 5]
    return np.array(
        [[asymmetry, tails, steps[0], steps[fifth], np.log(top / (1 - top)), said[0], said[fifth], busy]]
    )


def in_calcium(columns: Floats, own: NDArray[Any], judge: Mapping[str, Any]) -> NDArray[np.float32]:
    """Return the probability of the candidates of one cell: the network's, where cell and trace speak for it.

    A candidate with little support in the trace keeps that fraction of the network's score; in a cell that hardly looks
    active as a whole all keep the fraction of that, and a tenth at most where it looks silent.

    Parameters
    ----------
    columns : (n, 7) of `calcium_evidence`. own : (n,) of the network.
    judge : numbers of the judge of candidates; `trace`, those of whole traces; `active`, the probability below which a
        trace is silent; `surely`, that from which it counts in full; `support`, the same of a candidate.
    """
    if not len(own):
        return np.zeros(0, np.float32)
    support = judged(columns, judge)
    active = float(judged(summary(columns, own, support), judge["trace"])[0])
    share = min(active / judge["surely"], 1.0)
    if active < judge["active"]:
        share *= SILENT_SHARE
    return np.asarray(share * own * np.minimum(support / max(judge["support"], 1e-6), 1.0), np.float32)
