"""What detectors of synaptic events share: from a criterion trace to rows of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.classical.common import (
    Cleaned,
    Floats,
    Indices,
    Samples,
    baseline,
    clean,
    criterion_at,
    lowest_score,
    noise_sd,
    scores,
    table,
)
from napari_biofm.events.classical.filters import find_peaks
from napari_biofm.events.classical.kinetics import highest, measure, windows
from napari_biofm.events.classical.shape import Shape, choose_shapes, low_passed
from napari_biofm.events.options import option_values
from napari_biofm.types import DetectionSettings, Events, Kind, Option, Progress, Task, Trace, no_events

_MIN_GAP_S = 1.5e-3  # events closer than this are one


@dataclass(frozen=True)
class Found:
    """Onsets of one direction with their criterion."""

    onset: Indices
    criterion: Floats
    shape: Shape


class PscDetector:
    """Synaptic events through a criterion that peaks at their onsets.

    The shape of the event is learned from the trace unless `rise_s` and `decay_s` are given.
    """

    name = "psc"
    kinds: Sequence[Kind] = ("auto", "psc", "psp")
    options: Sequence[Option] = (
        Option("threshold", "", 0.1, 1000, 4.0, "Criterion that an event reaches, in standard deviations."),
        Option(
            "sign", "", -1, 1, 0.0, "Direction to look in, +1 up or -1 down; 0 takes what the trace shows."
        ),
        Option("rise_s", "s", 1e-6, 10, None, "Rise time constant of the event looked for."),
        Option("decay_s", "s", 1e-6, 100, None, "Decay time constant of the event looked for."),
        Option("baseline_s", "s", 1e-3, 1e5, 0.5, "Window of the running baseline."),
    )

    def detect(self, signal: Trace, settings: DetectionSettings) -> Task[Events]:
        """Return synaptic events; `time_s` is the peak of each.

        Yields Progress with words about the trace; where nothing can be found it says why.
        """
        chosen = option_values(self, settings)
        cleaned, words = clean(signal, 32)
        yield Progress(0, 1, words)
        if cleaned is None:
            return no_events()
        fs = signal.sampling_rate
        window = max(10, round(chosen["baseline_s"] * fs))
        flat = cleaned.values - baseline(cleaned.values, window)
        threshold = chosen["threshold"]
        floor = criterion_at(lowest_score(settings), threshold)
        found = []
        for shape in choose_shapes(flat, fs, chosen):
            criterion, delay = yield from self.criterion(flat, fs, shape)
            found.append((yield from _peaks(criterion, floor, delay, shape, fs)))
        return _rows(signal, cleaned, flat, _without_echoes(found, fs), threshold)

    def criterion(self, flat: Samples, sampling_rate: float, shape: Shape) -> Task[tuple[Samples, int]]:
        """Return the criterion (n_samples,) and how many samples an onset lies behind its peak."""
        raise NotImplementedError


def _peaks(criterion: Samples, floor: float, delay: int, shape: Shape, fs: float) -> Task[Found]:
    """Return the peaks of a criterion that stand out by `floor`, also from the plateau of a step."""
    reach = 2 * max(2, round((shape.time_to_peak() + 2 * shape.decay) * fs)) + 1
    distance = max(1, round(_MIN_GAP_S * fs))
    peaks, height, prominence = yield from find_peaks(criterion, floor, distance, reach)
    return Found(peaks + delay, np.minimum(height, prominence), shape)


def _without_echoes(found: list[Found], fs: float) -> list[Found]:
    """Drop events of the rarer direction beside a stronger one of the other: undershoots of the filter."""
    if len(found) < 2 or not len(found[0].onset):
        return found
    main, rare = found
    reach = round((main.shape.time_to_peak() + 2 * main.shape.decay + _MIN_GAP_S) * fs)
    keep = np.ones(len(rare.onset), bool)
    for i, (at, height) in enumerate(zip(rare.onset, rare.criterion, strict=True)):
        near = slice(*np.searchsorted(main.onset, [at - reach, at + reach]))
        keep[i] = not (main.criterion[near] > height).any()
    return [main, Found(rare.onset[keep], rare.criterion[keep], rare.shape)]


def _rows(
    signal: Trace,
    cleaned: Cleaned,
    flat: Samples,
    found: list[Found],
    threshold: float,
) -> Events:
    """Measure the events of all directions and make one table of them."""
    fs = signal.sampling_rate
    onset = np.concatenate([one.onset for one in found])
    order = np.argsort(onset, kind="stable")
    onset = np.clip(onset[order], 0, len(flat) - 1)
    criterion = np.concatenate([one.criterion for one in found])[order]
    sign = np.concatenate([np.full(len(one.onset), one.shape.sign) for one in found])[order]
    shape = found[0].shape
    smooth = low_passed(flat, fs, min(0.5e-3, 0.5 * shape.time_to_peak()))
    to_peak = shape.time_to_peak()
    start = np.maximum(onset - round(0.2 * to_peak * fs), 0)
    peak = highest(smooth, start, round((2.2 * to_peak + 0.5e-3) * fs) + 2, sign)
    keep = cleaned.usable(peak, max(2, round(max(2e-3, to_peak + 0.5 * shape.decay) * fs)))
    onset, peak, criterion, sign = (a[keep] for a in (onset, peak, criterion, sign))
    onset = np.minimum(onset, peak)
    before = max(3, round(max(1e-3, 0.5 * to_peak) * fs))
    after = max(8, round(min(6 * shape.decay, 0.2) * fs))
    shapes = measure(smooth, onset, peak, sign, fs, before=before, after=after)
    words = np.where(sign > 0, *class_words(signal.unit)).astype("U12")
    size, sure = np.abs(shapes.amplitude), criterion >= threshold
    usual = float(np.median(size[sure])) if sure.any() else np.inf
    huge = size > min(10 * usual, 60 * noise_sd(smooth))
    words[_misshapen(flat, onset, sign, huge, shape, fs)] = "artefact"
    return table(
        signal,
        peak / fs,
        words,
        scores(criterion, threshold),
        shapes.amplitude,
        shapes.rise_s,
        shapes.decay_s,
    )


def _misshapen(
    flat: Samples, onset: Indices, sign: NDArray[Any], huge: NDArray[np.bool_], shape: Shape, fs: float
) -> NDArray[np.bool_]:
    """Return which huge events are not of the shape: test pulses, switching, stimulation.

    The shape is judged by the correlation of the trace with the event that was looked for, or one that
    decays up to four times slower (< 0.8).
    """
    huge = huge.copy()
    length = shape.time_to_peak() + 2 * shape.decay
    waves = [Shape(shape.rise, k * shape.decay, 1.0).wave(fs, length) for k in (1, 2, 4)]
    for i in np.flatnonzero(huge):
        cut = windows(flat, onset[i : i + 1], len(waves[0]))[0] * sign[i]
        huge[i] = cut.std() == 0 or max(np.corrcoef(cut, wave)[0, 1] for wave in waves) < 0.8
    return huge


def class_words(unit: str) -> tuple[str, str]:
    """Return the classes of upward and downward events in this unit.

    Whether a current excites depends on potentials that a trace does not show: see `measuring.naming`.
    """
    if unit.endswith("V"):
        return "PSP", "PSP"
    return "PSC", "PSC"
