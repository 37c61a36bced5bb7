"""Meanings of pulses that a person may choose from where counting alone does not tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from napari_biofm.timeline.explanations import Explanation, at_pulses, every_pulse, per_frame, per_pulse
from napari_biofm.timeline.repair import part_of, trains, without_stray
from napari_biofm.timeline.triggers import Pulses

MOST_PER_PULSE, MOST_PER_FRAME = 50, 4096
NEAR = 1.2  # periods: a train that begins or ends so close to an end of the recording was cut there


def likely(pulses: Pulses, n: int, rate: float | None) -> list[Explanation]:
    """Return what a person may choose from, by the evidence of where the pulses begin and end."""
    whole = every_pulse(pulses, n)
    found = [] if whole is None else [replace(whole, agrees=False)]
    rated = _by_rate(pulses, n, rate)
    found += rated
    cleaned = without_stray(pulses)
    m = len(cleaned.times)
    period = cleaned.period
    at_start = bool(cleaned.times[0] - pulses.starts[0] < NEAR * period)
    at_end = bool(pulses.stops[-1] - cleaned.times[-1] < NEAR * period)
    if m > n:
        first, last = _first(cleaned, n), _last(cleaned, n)
        found += [last, first] if at_start and not at_end else [first, last]
    elif m < n:
        late, early = _late(cleaned, n), _early(cleaned, n)
        found += [late, early] if at_start and not at_end else [early, late]
    found += [replace(one, agrees=False) for one in _near_trains(pulses, n)]
    if not rated:
        found += _by_count(pulses, n)
    return found


def _by_rate(pulses: Pulses, n: int, rate: float | None) -> list[Explanation]:
    """Return what the stated frame rate says: several pulses for a frame or frames for a pulse."""
    if rate is None or not np.isfinite(pulses.period):
        return []
    ratio = pulses.period * rate
    if ratio > 1.5 and abs(ratio - round(ratio)) < 0.1 * ratio and round(ratio) <= MOST_PER_PULSE:
        return [per_pulse(pulses, n, round(ratio), agrees=False)]
    if ratio < 1 / 1.5 and len(pulses.times) > n:
        k = round(1 / ratio)
        nearest = round(len(pulses.times) / n)
        k = nearest if abs(nearest * ratio - 1) < 0.25 else k
        return [per_frame(pulses, n, k, agrees=False)] if k <= MOST_PER_FRAME else []
    return []


def _by_count(pulses: Pulses, n: int) -> list[Explanation]:
    """Return what whole ratios of the counts suggest, without a frame rate."""
    m = len(pulses.times)
    if m > n and round(m / n) >= 2 and abs(m - n * round(m / n)) <= 1:
        return [per_frame(pulses, n, round(m / n), agrees=False)]
    if m < n and round(n / m) >= 2 and -(-n // round(n / m)) == m and round(n / m) <= MOST_PER_PULSE:
        return [per_pulse(pulses, n, round(n / m), agrees=False)]
    return []


def _near_trains(pulses: Pulses, n: int) -> Iterator[Explanation]:
    """Yield trains that hold a few pulses more than the movie has frames."""
    for i, (start, stop) in enumerate(trains(pulses)):
        if stop - start < len(pulses.times) and n <= stop - start <= 1.05 * n + 2:
            times = part_of(pulses, start, stop).times[:n]
            yield Explanation(
                f"train-{i + 1}", f"The first {n} pulses of train {i + 1}, after a pause.", times
            )


def _first(pulses: Pulses, n: int) -> Explanation:
    text = f"The first {n} of {len(pulses.times)} pulses; the camera ran on after the movie."
    return Explanation("first", text, pulses.times[:n])


def _last(pulses: Pulses, n: int) -> Explanation:
    text = f"The last {n} of {len(pulses.times)} pulses; those before belong to no frame of the movie."
    return Explanation("last", text, pulses.times[-n:])


def _late(pulses: Pulses, n: int) -> Explanation:
    lacking = n - len(pulses.times)
    times = at_pulses(pulses.times, np.arange(n) - float(lacking))
    text = f"The recording began after the movie: frame {lacking} has the first pulse."
    return Explanation(f"from-frame-{lacking}", text, times, False, lacking)


def _early(pulses: Pulses, n: int) -> Explanation:
    lacking = n - len(pulses.times)
    text = f"The recording ended before the movie: the last {lacking} frames have no pulse."
    return Explanation("ended-early", text, at_pulses(pulses.times, np.arange(float(n))), False, lacking)
