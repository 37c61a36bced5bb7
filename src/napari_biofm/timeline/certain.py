"""Meanings of pulses under which every pulse and every frame, or whole trains of pulses, are accounted for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from napari_biofm.timeline.explanations import (
    Explanation,
    distinct,
    every_pulse,
    per_frame,
    per_pulse,
    regular,
)
from napari_biofm.timeline.repair import filled, lost_pulses, part_of, trains, with_open_pulses, without_stray
from napari_biofm.timeline.triggers import Pulses

RATE_FITS = 0.1  # relative difference of pulse rate and stated frame rate that is still one rate
SURE_FRAMES_PER_PULSE = 4  # up to so many frames for one pulse are believed when count and rate agree
MOST_PER_FRAME = 4096
MOST_TRAINS = 20  # beyond that many none of them is taken for the movie alone
LEAST_TRAIN = 3  # pulses in every train that is taken for the movie or a part of it


def certain(pulses: Pulses, n: int, rate: float | None) -> list[Explanation]:
    """Return the explanations under which pulses and frames agree, those of the first kind that has any."""
    whole = every_pulse(pulses, n)
    if whole is not None and whole.agrees and not _other_unit(whole, rate):
        return [whole]
    for readings in (_whole(pulses, n), _runs(pulses, n), _rates(pulses, n, rate)):
        found = distinct([one for one in readings if _rate_fits(one, rate)])
        if found:
            return found
    return []


def _rate_fits(one: Explanation, rate: float | None) -> bool:
    return rate is None or len(one.times) < 2 or abs(one.period * rate - 1) <= RATE_FITS


def _other_unit(one: Explanation, rate: float | None) -> bool:
    """Return whether pulses and stated rate differ by a whole factor: planes or lines, not frames."""
    if rate is None or len(one.times) < 2:
        return False
    ratio = one.period * rate
    ratio = max(ratio, 1 / ratio)
    return ratio > 1.5 and abs(ratio - round(ratio)) < 0.02 * ratio


def _whole(pulses: Pulses, n: int) -> Iterator[Explanation]:
    """Yield readings of all pulses as one train of frames, mended where counts then agree."""
    for opened in (False, True):
        start = with_open_pulses(pulses) if opened else pulses
        if opened and len(start.times) == len(pulses.times):
            continue
        for clean in (False, True):
            kept = without_stray(start) if clean else start
            if clean and len(kept.times) == len(start.times):
                continue
            yield from _mended(kept, pulses, n, "mended" if clean or opened else "filled")


def _mended(kept: Pulses, recorded: Pulses, n: int, name: str) -> Iterator[Explanation]:
    """Yield `kept` as it is and with lost pulses put in, where either gives a pulse for each frame."""
    if not regular(kept.times):
        return
    for reach in ("short", "sweep", "all"):
        times = filled(kept, reach)
        if len(times) == n > len(kept.times) and not kept.open_at_start.any():
            yield Explanation(name, _repairs(recorded, kept, times), times, True)
    if len(kept.times) == n and not _odd(kept):
        yield Explanation(name, _repairs(recorded, kept, kept.times), kept.times, True)


def _repairs(recorded: Pulses, kept: Pulses, times: NDArray[np.float64]) -> str:
    """Return in words what was mended."""
    before = int(np.sum(recorded.open_at_start)) if len(kept.times) else 0
    began = int(np.sum(~np.isin(kept.times, recorded.times)))
    dropped = len(recorded.times) - (len(kept.times) - began)
    parts = [f"One pulse for each of the {len(times)} frames"]
    if began and before:
        parts.append(f"{_count(began)} had begun before the first sample")
    if dropped:
        parts.append(f"{_count(dropped)} too many: dropped, out of step with the others")
    put_in = len(times) - len(kept.times)
    if put_in:
        parts.append(f"{_count(put_in)} missing: put in where a gap was a multiple of the period")
    return "; ".join(parts) + "."


def _odd(pulses: Pulses) -> bool:
    """Return whether a pulse may lack: a gap of two or three periods, or one before the first sample."""
    return bool(pulses.open_at_start.any() or lost_pulses(pulses.times, pulses.period))


def _count(n: int) -> str:
    return "1 pulse" if n == 1 else f"{n} pulses"


def _runs(pulses: Pulses, n: int) -> Iterator[Explanation]:
    """Yield whole trains of pulses between pauses that hold as many pulses as the movie has frames."""
    found = list(_matching_runs(pulses, n, mend=False))
    yield from found
    if not found:
        yield from _matching_runs(pulses, n, mend=True)


def _matching_runs(pulses: Pulses, n: int, *, mend: bool) -> Iterator[Explanation]:
    bounds = trains(pulses)
    if len(bounds) > MOST_TRAINS:
        return  # bursts of lines or gated sweeps, of which any number may add up by chance
    for first, last in combinations_with_replacement(range(len(bounds)), 2):
        start, stop = bounds[first][0], bounds[last][1]
        if min(b - a for a, b in bounds[first : last + 1]) < LEAST_TRAIN:
            continue
        m = stop - start
        if m == len(pulses.times) or (m != n and not mend) or not 0.7 * n <= m <= 1.3 * n:
            continue
        part = part_of(pulses, start, stop)
        which = f"train {first + 1}" if first == last else f"trains {first + 1} to {last + 1}"
        name = f"train-{first + 1}" if first == last else f"trains-{first + 1}-{last + 1}"
        text = f"Only {which} of {len(bounds)}, between pauses: {n} pulses for {n} frames."
        if not mend:
            if regular(part.times) and not _odd(part):
                yield Explanation(name, text, part.times, True)
            continue
        for one in _whole(part, n):
            yield replace(one, name=name, text=f"Only {which} of {len(bounds)}, between pauses. {one.text}")


def _rates(pulses: Pulses, n: int, rate: float | None) -> Iterator[Explanation]:
    """Yield several pulses for a frame (planes, lines) and several frames for a pulse."""
    for start in dict.fromkeys((pulses, with_open_pulses(pulses))):
        m = len(start.times)
        if m > n and m % n == 0 and m // n <= MOST_PER_FRAME:
            yield per_frame(start, n, m // n, agrees=rate is not None or _grouped(start, n, m // n))
        if rate is None:
            continue
        frames = round(start.period * rate)
        certain = 2 <= frames <= SURE_FRAMES_PER_PULSE and n == m * frames
        if certain and regular(start.times) and len(trains(start)) == 1 and not _odd(start):
            yield per_pulse(start, n, frames, agrees=True)


def _grouped(pulses: Pulses, n: int, k: int) -> bool:
    """Return whether the pulses lie in n groups of k with a wider gap after each."""
    intervals = np.diff(pulses.times)
    inside = np.ones(len(intervals), bool)
    inside[k - 1 :: k] = False
    between, within = intervals[~inside], intervals[inside]
    return bool(len(between) == n - 1 and len(within) and len(between) and between.min() > 1.2 * within.max())
