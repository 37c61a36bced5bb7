"""Hidden events: the average of the found ones, scaled, and which share of them is found again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.gaps import runs
from napari_biofm.events.kinds import KindSpec
from napari_biofm.events.searched import SEED, Floats, SearchedSweep, times_found
from napari_biofm.types import DetectionSettings, Detector, Events, Task, relay

LEVELS = (0.15, 0.25, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0)  # of the average event
MORE = 4  # levels beyond them at most: down until half is missed, up until 95 % are found
HIDDEN = 60  # events per level, where the recording has room for as many
FEWEST = 3  # events that make an average
LENGTH = 8.0  # of the hidden event, in event lengths of the kind, at most


def next_level(share: dict[float, float]) -> float | None:
    """Return the level to try next: the usual ones, then smaller or larger ones until the limits lie between levels."""
    for level in LEVELS:
        if level not in share:
            return level
    low, high = min(share), max(share)
    if len(share) < len(LEVELS) + MORE and share[low] >= 0.5:
        return round(low / 1.6, 5)
    if len(share) < len(LEVELS) + MORE and share[high] < 0.95 and share[high] > 0:
        return high * 1.6
    return None


def average_wave(
    places: Sequence[SearchedSweep], spec: KindSpec, events: Events
) -> tuple[Floats | None, int, float]:
    """Return the average event without its baseline, the sample of its time, and its amplitude; None of too few.

    Events that another one follows or precedes closely are left out. The average is faded in and out.
    """
    fs = places[0].signal.sampling_rate
    before, after = _extent(spec, events, fs)
    cuts = []
    for place in places:
        times, x = np.sort(place.found_s), place.signal.values
        for i, t in enumerate(times):
            at = round(t * fs)
            alone = (i == 0 or times[i - 1] < t - before / fs) and (
                i + 1 == len(times) or times[i + 1] > t + 0.7 * after / fs
            )
            if alone and at - before >= 0 and at + after <= len(x):
                cut = x[at - before : at + after].astype(np.float64)
                if np.isfinite(cut).all():
                    cuts.append(cut - np.median(cut[: max(1, before // 2)]))
    if len(cuts) < FEWEST:
        return None, before, np.nan
    wave = np.mean(cuts, axis=0)
    edge = max(1, before // 2)
    wave[:edge] *= np.linspace(0, 1, edge)
    tail = max(1, after // 3)
    wave[-tail:] *= np.linspace(1, 0, tail)
    around = slice(max(0, before - round(spec.event_s * fs)), before + max(2, round(2 * spec.event_s * fs)))
    typical = float(wave[around][np.argmax(np.abs(wave[around]))])
    return wave, before, typical


def _extent(spec: KindSpec, events: Events, fs: float) -> tuple[int, int]:
    """Return samples before and after the time of an event that its average holds."""
    decay = events["decay_s"][np.isfinite(events["decay_s"])]
    length = np.clip(
        4 * float(np.median(decay)) if len(decay) else 3 * spec.event_s,
        2 * spec.event_s,
        LENGTH * spec.event_s,
    )
    return max(4, round(1.2 * spec.event_s * fs)), max(6, round(float(length) * fs))


def spots_for(
    places: Sequence[SearchedSweep], spec: KindSpec, size: int, peak: int
) -> list[NDArray[np.intp]]:
    """Return first samples of hidden events per sweep: on even terms, away from found events, gaps and each other."""
    fs = places[0].signal.sampling_rate
    room = size + round(4 * spec.event_s * fs)
    free = []
    for place in places:
        x = place.signal.values
        busy = ~np.isfinite(x)
        for t in place.found_s:
            at = round(t * fs)
            busy[max(0, at - peak) : at + size - peak] = True
        starts: list[int] = []
        for a, b in runs(~busy):
            starts += list(range(int(a), int(b) - size, room))
        free.append(np.array(starts, np.intp))
    total = sum(map(len, free))
    rng = np.random.default_rng(SEED)
    keep = np.zeros(total, bool)
    keep[rng.permutation(total)[:HIDDEN]] = True
    parts = np.split(keep, np.cumsum([len(f) for f in free])[:-1])
    jitter = [rng.integers(0, max(1, round(spec.event_s * fs)), len(f)) for f in free]
    return [(f + j)[k] for f, j, k in zip(free, jitter, parts, strict=True)]


def recall_of(
    places: Sequence[SearchedSweep],
    spots: Sequence[NDArray[np.intp]],
    wave: Floats,
    peak: int,
    finder: Detector,
    settings: DetectionSettings,
    spec: KindSpec,
) -> Task[float]:
    """Hide events of the shape `wave` at the samples `spots` of each sweep, and return which share is found.

    Parameters
    ----------
    places : the sweeps. spots : first samples per sweep, of `spots_for`.
    wave : (n,) in the unit of the trace. peak : sample of the time of the event in it.
    finder, settings : what looks for them. spec : kind of the events, whose tolerance decides what is found.
    """
    hits, total = 0, 0
    for i, (place, starts) in enumerate(zip(places, spots, strict=True)):
        if not len(starts):
            continue
        x = place.signal.values.astype(np.float32, copy=True)
        fs = place.signal.sampling_rate
        for a in starts:
            stop = min(len(x), a + len(wave))
            x[a:stop] += wave[: stop - a].astype(np.float32)
        times = yield from relay(
            times_found(finder, replace(place.signal, values=x), settings),
            i,
            len(places),
            f"sweep {place.signal.sweep}",
        )
        true = (starts + peak) / fs
        new = times[_apart(times, place.found_s, spec.tolerance_s)] if len(place.found_s) else times
        hits += sum(bool(len(new)) and float(np.abs(new - t).min()) <= spec.tolerance_s for t in true)
        total += len(true)
    return hits / max(total, 1)


def _apart(times: Floats, others: Floats, tolerance: float) -> NDArray[np.bool_]:
    return (
        np.asarray(np.abs(times[:, None] - others[None]).min(1) > tolerance)
        if len(times)
        else np.zeros(0, bool)
    )


def limit_of(amplitude: Floats, recall: Floats, share: float) -> float:
    """Return the amplitude from which a share of events is found, between levels by a line; NaN where none reaches it.

    Recall is made to rise with amplitude first: chance alone makes it fall between levels.
    """
    rising = np.maximum.accumulate(recall)
    reached = np.flatnonzero(rising >= share)
    if not len(reached):
        return float("nan")
    k = int(reached[0])
    if k == 0:
        return float(amplitude[0])
    low, high = rising[k - 1], rising[k]
    return float(amplitude[k - 1] + (share - low) / (high - low) * (amplitude[k] - amplitude[k - 1]))
