"""What levels of current mean: which one is shut, how many channels there are, and how sure that is.

A row of equal levels does not say by itself whether channels open upwards or downwards, nor whether some channels
were open all the time. What tells it is weighed: the law of equal channels, zero current, the sign of the holding
potential, and that open channels are noisier.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.channels.steps import Floats

MOST_CHANNELS = 6
SURE = 0.9
NEAR_ZERO = 0.08  # of the unit: spread of the shut level around zero current, in recordings without leak
LEAK = 16.0  # units: range of the shut level in recordings with leak

WITH_CURRENT = 0.8  # how often a leak flows the way the channels do: the same potential drives both


@dataclass(frozen=True)
class Meaning:
    """How levels, lowest current first, are read.

    Attributes
    ----------
    downward : whether channels open towards lower current.
    hidden : channels open all the time; levels that were never left for lower counts.
    probability : of this reading among all that were weighed.
    notes : what cannot be told, in words.
    """

    downward: bool
    hidden: int
    probability: float
    notes: tuple[str, ...]


def read_levels(
    share: Floats,
    lowest: float | None,
    noise: Floats,
    noise_error: Floats,
    visits: int,
    holding: float | None,
) -> Meaning:
    """Return the likeliest reading of a row of levels.

    Parameters
    ----------
    share : (k,) of time at each level, lowest current first.
    lowest : current of the lowest level in units of one channel; None where the baseline drifts.
    noise, noise_error : (k,) standard deviation at each level and its own standard error; NaN where unknown.
    visits : dwells that the shares come from.
    holding : holding potential in V, or None.
    """
    readings: list[tuple[float, bool, int]] = []
    seen = len(share) - 1
    for downward in (False, True):
        open_share = share[::-1] if downward else share
        for hidden in range(max(MOST_CHANNELS - seen, 0) + 1):
            score = _law(open_share, seen + hidden, hidden, visits)
            if lowest is not None:
                shut = lowest + seen + hidden if downward else lowest - hidden
                near = np.exp(-0.5 * (shut / NEAR_ZERO) ** 2) / (NEAR_ZERO * np.sqrt(2 * np.pi))
                leak = WITH_CURRENT if (shut <= 0) == downward else 1 - WITH_CURRENT
                score += float(np.log(0.6 * near + 0.4 * leak / (LEAK / 2)))
            score += -1.3 * downward - 1.5 * hidden
            if holding is not None and abs(holding) > 1e-4:
                score += 2.5 if (holding < 0) == downward else -2.5
            score += _quieter(
                noise[::-1] if downward else noise, noise_error[::-1] if downward else noise_error
            )
            readings.append((score, downward, hidden))
    best = max(readings)
    weight = np.exp(np.array([score for score, _, _ in readings]) - best[0])
    probability = float(1 / weight.sum())
    notes = []
    same = sum(w for w, (_, d, _) in zip(weight, readings, strict=True) if d == best[1]) / weight.sum()
    if same < SURE:
        notes.append("cannot tell whether channels open upwards or downwards; give the holding potential")
    if probability < SURE * same:
        notes.append(
            "cannot tell whether some channels are open all the time: the shut level may not be in view"
        )
    elif best[2]:
        notes.append(
            f"{best[2]} channel(s) open all the time, told by the distance of the lowest level from zero current"
        )
    return Meaning(best[1], best[2], probability, tuple(notes))


def _law(share: Floats, channels: int, hidden: int, visits: int) -> float:
    """Return the log likelihood of shares under equal, independent channels, at the best open probability."""
    from scipy.stats import binom

    k = np.arange(hidden, hidden + len(share))
    p = float(np.clip((share * k).sum() / max(channels, 1), 1e-4, 1 - 1e-4))
    law = binom.pmf(k, channels, p)
    return float(min(visits, 200) * np.sum(share * np.log(np.maximum(law, 1e-9) / np.maximum(share, 1e-9))))


def _quieter(noise: Floats, error: Floats) -> float:
    """Return what it says for a reading that its shut level is quieter than its most open one."""
    if not np.isfinite([noise[0], noise[-1], error[0], error[-1]]).all() or len(noise) < 2:
        return 0.0
    apart = (noise[-1] - noise[0]) / np.hypot(error[0], error[-1])
    ratio = abs(np.log(noise[-1] / noise[0]))
    return float(np.clip(apart, -4, 4)) / 2 if ratio > 0.08 and abs(apart) > 3 else 0.0


def could_be_more(share: Floats, channels: int, samples: int, dwell: float) -> bool:
    """Tell whether one channel more than seen might well have stayed unnoticed.

    Parameters
    ----------
    share : (k,) of time with 0, 1, ... open. dwell : mean samples that a channel stays open.
    """
    mean = float((share * np.arange(len(share))).sum())
    together = (mean / (channels + 1)) ** (channels + 1) * samples / max(dwell / (channels + 1), 1.0)
    return bool(together < 3)


def steady(level: NDArray[np.integer], reach: int) -> NDArray[np.bool_]:
    """Return (n,) samples whose level is that of all within `reach` samples."""
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    size = 2 * reach + 1
    return np.asarray(minimum_filter1d(level, size) == maximum_filter1d(level, size))
