"""Meanings of pulses that a person may choose from where counting alone does not tell.

A meaning is put together from four parts: where the movie begins (with the first pulse, or after a pause), what was
mended (a pulse under way at the first sample, stray and lost pulses), how many pulses make a frame, and which end of the
movie the pulses belong to. Every part has a cost, lower for what the channel bears out; the cheapest come first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_biofm.timeline.explanations import Explanation, distinct, frame_period, placed
from napari_biofm.timeline.repair import (
    SHORT,
    filled,
    lost_pulses,
    part_of,
    trains,
    with_open_pulses,
    without_stray,
)
from napari_biofm.timeline.triggers import Pulses

MOST_PER_PULSE, MOST_PER_FRAME = 50, 4096
NEAR = 1.2  # periods: a train that begins or ends so close to an end of the recording was cut there
RATE_FITS = 0.1  # relative difference of pulse rate and stated frame rate that is still one rate
MOST_STARTS, MOST_TRAINS = 4, 20  # trains after which the movie may begin; with more trains none is a preview
OFFERED, WEIGHED = 12, 40  # explanations that are returned, and whose times are made
WIDE = 2.4  # usual intervals: a gap that parts groups of lines or planes


@dataclass(frozen=True, eq=False)
class _Reading:
    """Pulses as one train of units, how it came about, and what that costs."""

    pulses: Pulses
    names: tuple[str, ...]
    texts: tuple[str, ...]
    cost: float
    per_frame: float = 1.0  # pulses
    at_start: bool = False  # the recording may have cut the train there
    at_end: bool = False

    def but(self, pulses: Pulses, name: str, text: str, cost: float) -> _Reading:
        names = (*self.names, name) if name and name not in self.names else self.names
        texts = (*self.texts, text) if text else self.texts
        return replace(self, pulses=pulses, names=names, texts=texts, cost=self.cost + cost)


def likely(pulses: Pulses, n: int, rate: float | None) -> list[Explanation]:
    """Return what a person may choose from, the cheapest first.

    Parameters
    ----------
    pulses : as recorded.
    n : frames of the movie.
    rate : nominal frame rate, Hz, if known.
    """
    found: list[tuple[float, Explanation | None, _Reading, str, float]] = []
    for start in _starts(pulses):
        for mended in _mended(start):
            for unit in _units(mended, n, rate):
                found += [(cost, None, unit, place, offset) for cost, place, offset in _places(unit, n)]
    found.sort(key=lambda one: one[0])
    made = [_explanation(reading, place, offset, n) for _, _, reading, place, offset in found[:WEIGHED]]
    return distinct([one for one in made if (np.diff(one.times) > 0).all()])[:OFFERED]


def _starts(pulses: Pulses) -> Iterator[_Reading]:
    """Yield all pulses, and those from each of the first trains on."""
    bounds = trains(pulses)
    periods = [_period(pulses.times[a:b]) for a, b in bounds]
    mixed = len({round(float(np.log(p)), 1) for p in periods if np.isfinite(p)}) > 1
    stop = bool(pulses.stops[-1] - pulses.times[-1] < NEAR * pulses.period)
    begun = bool(pulses.times[0] - pulses.starts[0] < NEAR * pulses.period or pulses.open_at_start[0])
    many = len(bounds) > MOST_TRAINS
    yield _Reading(pulses, (), (), 1.2 if mixed and not many else 0.0, at_start=begun, at_end=stop)
    if many:
        return
    for i, (start, _) in enumerate(bounds[1 : MOST_STARTS + 1], 1):
        part = part_of(pulses, start, len(pulses.times))
        if len(part.times) < 3:
            break
        other = any(abs(p / periods[i] - 1) > 0.2 for p in periods[:i] if np.isfinite(p))
        text = f"The movie begins with train {i + 1} of {len(bounds)}, after a pause"
        yield _Reading(
            part, (f"train-{i + 1}",), (text,), (0.3 if other else 0.9) + 0.2 * (i - 1), at_end=stop
        )


def _period(times: NDArray[np.float64]) -> float:
    return float(np.median(np.diff(times))) if len(times) > 2 else float("nan")


def _mended(reading: _Reading) -> Iterator[_Reading]:
    """Yield the pulses as they are and mended, whatever is odd about them."""
    raw = reading.pulses
    opened = with_open_pulses(raw)
    bases = [reading.but(raw, "", "", 1.0 if len(opened.times) > len(raw.times) else 0.0)]
    if len(opened.times) > len(raw.times):
        bases.insert(0, reading.but(opened, "mended", "a pulse had begun before the first sample", 0.2))
    for base in bases:
        cleaned = without_stray(base.pulses)
        dropped = len(base.pulses.times) - len(cleaned.times)
        if dropped:
            clean = base.but(cleaned, "", f"{dropped} stray pulses dropped", 0.2)
            yield from _with_lost(clean)
        yield from _with_lost(base.but(base.pulses, "", "", 1.5 if dropped else 0.0))


def _with_lost(reading: _Reading) -> Iterator[_Reading]:
    """Yield a reading, and with lost pulses put in."""
    pulses = reading.pulses
    lost = lost_pulses(pulses.times, pulses.period) if len(pulses.times) > 1 else 0
    yield reading.but(pulses, "", "", 0.6 if lost else 0.0)
    former = len(pulses.times)
    for reach, cost in (("short", 0.3), ("sweep", 0.7)):
        times = filled(pulses, "short" if reach == "short" else "sweep")
        if len(times) > former:
            former = len(times)
            put_in = len(times) - len(pulses.times)
            more = replace(
                pulses, times=times, widths=np.full(len(times), np.nan),
                sweeps=np.clip(np.searchsorted(pulses.starts, times, "right") - 1, 0, None),
            )  # fmt: skip
            yield reading.but(more, "mended", f"{put_in} lost pulses put in", cost)


def _units(reading: _Reading, n: int, rate: float | None) -> Iterator[_Reading]:
    """Yield a reading with each number of pulses that a frame may have."""
    pulses = reading.pulses
    m, period = len(pulses.times), pulses.period
    if m < 2:
        return
    ratio = period * rate if rate is not None and np.isfinite(period) else None
    yield from _grouped(reading, n, rate)
    if ratio is not None and abs(ratio - 1) <= RATE_FITS:
        yield reading
        return
    yield replace(reading, cost=reading.cost + (1.5 if ratio is not None else 0.0))
    several, fewer = _by_rate(ratio, m, n) if ratio is not None else _by_count(m, n)
    if several:
        text = f"{several} pulses for each frame (planes or lines): every {several}th one begins a frame"
        cost = 0.2 if ratio is not None else 0.3 + 3 * abs(m / n - several) / several
        one = reading.but(pulses, f"per-frame-{several}", text, cost)
        yield replace(one, per_frame=float(several))
    if fewer:
        text = f"One pulse for {fewer} frames: the frames between were placed evenly"
        one = reading.but(pulses, f"per-pulse-{fewer}", text, 0.2 if ratio is not None else 0.4)
        yield replace(one, per_frame=1 / fewer)


def _by_rate(ratio: float, m: int, n: int) -> tuple[int, int]:
    """Return pulses per frame and frames per pulse that the stated rate says; 0 for none."""
    if ratio > 1.5 and abs(ratio - round(ratio)) < 0.1 * ratio and round(ratio) <= MOST_PER_PULSE:
        return 0, round(ratio)
    if ratio < 1 / 1.5:
        k, nearest = round(1 / ratio), max(round(m / n), 1)
        k = nearest if abs(nearest * ratio - 1) < 0.25 else k
        return (k if 1 < k <= MOST_PER_FRAME else 0), 0
    return 0, 0


def _by_count(m: int, n: int) -> tuple[int, int]:
    """Return pulses per frame and frames per pulse that the counts suggest; 0 for none."""
    k, q = round(m / n), round(n / m)
    if k >= 2 and k <= MOST_PER_FRAME and abs(m / n - k) <= 0.2:
        return k, 0
    if 2 <= q <= MOST_PER_PULSE and abs(n / m - q) <= 0.2:
        return 0, q
    return 0, 0


def _grouped(reading: _Reading, n: int, rate: float | None) -> Iterator[_Reading]:
    """Yield a reading whose units are groups of pulses with a wide gap after each: lines and their flyback."""
    times = reading.pulses.times
    intervals = np.diff(times)
    usual = float(np.median(intervals))
    breaks = np.flatnonzero(intervals > WIDE * usual) + 1
    if len(breaks) < 4:
        return
    edges = np.concatenate([[0], breaks, [len(times)]])
    sizes = np.diff(edges)
    k = int(np.median(sizes))
    first = 1 if reading.at_start and sizes[0] < k else 0  # its beginning was not recorded
    begins = edges[first:-1]
    starts = times[begins]
    fits = rate is not None and abs(frame_period(starts) * rate - 1) <= RATE_FITS
    alike = float((np.abs(sizes[1:-1] - k) <= max(1, 0.1 * k)).mean())
    if k < 3 or alike < 0.7 or not (fits or 0.7 < len(starts) / n < 1.4):
        return
    pulses = replace(
        reading.pulses, times=starts, widths=np.full(len(starts), np.nan), sweeps=reading.pulses.sweeps[begins],
        open_at_start=np.zeros_like(reading.pulses.open_at_start),
    )  # fmt: skip
    text = f"{k} pulses for each frame (lines), with a wider gap after each frame"
    yield from _with_lost(reading.but(pulses, f"per-frame-{k}", text, 0.2))


def _places(reading: _Reading, n: int) -> Iterator[tuple[float, str, float]]:
    """Yield costs, names and offsets (in pulses) of the ways in which the movie may lie among the pulses."""
    k, m = reading.per_frame, len(reading.pulses.times)
    units = int(np.ceil(m / k - 1e-9))
    spare = 0 if k >= 1 else round(1 / k) - 1  # frames that the last pulse may have without another one
    far = 1.5 if abs(units - n) > 0.5 * n else 0.0
    odd = 0.0 if (np.diff(reading.pulses.times) >= SHORT * reading.pulses.period).all() else 1.5
    cost = reading.cost + far + odd
    whole = m % k == 0 if k >= 1 else True
    if units - spare <= n <= units:
        yield cost - (1.5 if whole else 0.5), "", 0.0
        if whole:
            return
    end = float(m - np.ceil(n * k))
    start_seen = reading.at_start and not reading.at_end
    if n < units or not whole:
        yield cost + (1.5 if start_seen else 1.0), "first", 0.0
        yield cost + (1.0 if start_seen else 1.5), "last", end
    if n > units - spare:
        yield cost + (1.0 if reading.at_end else 3.0), "ended-early", 0.0
        yield cost + (1.05 if reading.at_start else 3.1), "late", end


def _explanation(reading: _Reading, place: str, offset: float, n: int) -> Explanation:
    """Make the explanation: its name, its sentence and its times."""
    m, k = len(reading.pulses.times), reading.per_frame
    times = placed(reading.pulses.times, k * np.arange(n) + offset)
    lacking = round(-offset / k) if place == "late" else 0
    what = f"{n} of {m} pulses" if k == 1 else f"{n} frames"
    ending = {
        "": "", "first": f"the first {what}; the camera ran on after the movie",
        "last": f"the last {what}; those before belong to no frame of the movie",
        "late": f"the recording began after the movie: frame {lacking} has the first pulse",
        "ended-early": "the recording ended before the movie: its last frames have no pulse",
    }[place]  # fmt: skip
    names = list(reading.names)
    if place and not (place == "first" and any(name.startswith("train-") for name in names)):
        names.append(f"from-frame-{lacking}" if place == "late" else place)
    if not names and reading.texts:
        names = ["mended"]
    texts = [*reading.texts, ending] if ending else list(reading.texts)
    said = "; ".join(texts) if texts else f"One pulse for each of the {n} frames"
    steps = k * np.arange(n) + offset
    outside = int(((steps < -0.5) | (steps > m - 1 + max(1 - k, 0.5))).sum())
    return Explanation(
        "+".join(names) or "all",
        said[0].upper() + said[1:] + ".",
        times,
        False,
        outside,
        max(k, 1.0) if k >= 1 else k,
    )
