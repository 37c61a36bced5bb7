"""k-sigma threshold on the baseline-subtracted trace: the plainest detector there is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_biofm.events.classical.choice import guess_kind
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
from napari_biofm.events.classical.filters import boxcar, find_peaks
from napari_biofm.events.classical.kinetics import measure
from napari_biofm.events.classical.psc import class_words
from napari_biofm.events.kinds import KINDS
from napari_biofm.events.options import option_values
from napari_biofm.signals.units import si_unit
from napari_biofm.types import DetectionSettings, Events, Kind, Option, Progress, Task, Trace, no_events

SMALLEST_AP_V = 0.015  # V; smaller deflections are spikelets or synaptic potentials
CUSTOMARY_SIGMA = 5.0


class ThresholdDetector:
    """Peaks that leave the noise by k sigma.

    The baseline is a running median over 25 event lengths; sigma is MAD / 0.6745 of what is left after
    smoothing by an eighth of an event. The criterion is the prominence in sigma, by custom 5.
    """

    name = "threshold"
    kinds: Sequence[Kind] = ("auto", "psc", "ap", "calcium", "spike", "ecg", "channel", "psp", "loose")
    options: Sequence[Option] = (
        Option("sigma", "", 0.1, 1000, CUSTOMARY_SIGMA, "How many standard deviations of the noise an event leaves it by."),
        Option(
            "sign", "", -1, 1, None,
            "Direction to look in, +1 up or -1 down; 0 takes the side that leaves the noise more.",
        ),
    )  # fmt: skip

    def detect(self, signal: Trace, settings: DetectionSettings) -> Task[Events]:
        """Return the events of one sweep; `time_s` is the peak (calcium: the foot) of each."""
        chosen = option_values(self, settings)
        kind = guess_kind(signal) if settings.kind == "auto" else settings.kind
        spec = KINDS[kind]
        cleaned, words = clean(signal)
        yield Progress(0, 2, words)
        if cleaned is None:
            return no_events()
        length = spec.event_s * signal.sampling_rate
        rest = _flattened(cleaned.values, length)
        sigma = noise_sd(rest)
        yield Progress(1, 2, f"{kind}: noise of {sigma:.3g} {signal.unit}")
        sigma = sigma or 1e-6 * float(np.ptp(rest))
        k = chosen["sigma"]
        if kind == "ap":  # synaptic potentials are no spikes, however quiet the baseline
            k = max(k, SMALLEST_AP_V / _volts(signal.unit) / sigma)
        floor = criterion_at(lowest_score(settings), k)
        direction = float(np.sign(chosen.given("sign", spec.direction)))
        found = []
        for sign in _signs(rest, sigma, direction, kind):
            found.append((yield from _peaks(rest, sign, sigma, floor, length)))
        return _rows(signal, cleaned, rest, found, kind, k, length)


def _volts(unit: str) -> float:
    base, factor = si_unit(unit)
    return factor if base == "V" else 1e-3


def _flattened(values: Samples, length: float) -> Samples:
    window = max(5, min(round(25 * length), len(values)))
    rest = values - baseline(values, window)
    return boxcar(rest, round(0.25 * length) | 1)


def _signs(rest: Samples, sigma: float, direction: float, kind: str) -> list[float]:
    """Return the directions to look in."""
    if direction:
        return [direction]
    up, down = (float(np.clip(s * rest / sigma - CUSTOMARY_SIGMA, 0, 30).sum()) for s in (1, -1))
    first = 1.0 if up >= down else -1.0
    both = kind in ("psc", "psp") and min(up, down) > 0.2 * max(up, down) > 0
    return [first, -first] if both else [first]


def _peaks(
    rest: Samples, sign: float, sigma: float, floor: float, length: float
) -> Task[tuple[Indices, Floats, Floats]]:
    """Return peaks of one direction, their criterion and their direction."""
    upright = rest if sign > 0 else -rest
    distance, reach = max(1, round(0.5 * length)), round(50 * length)
    peaks, _, prominence = yield from find_peaks(upright, floor * sigma, distance, reach)
    return peaks, prominence / sigma, np.full(len(peaks), sign)


def _rows(
    signal: Trace,
    cleaned: Cleaned,
    rest: Samples,
    found: list[tuple[Indices, Floats, Floats]],
    kind: str,
    k: float,
    length: float,
) -> Events:
    fs = signal.sampling_rate
    peaks, criterion, sign = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(peaks, kind="stable")
    order = order[cleaned.usable(peaks[order], max(1, round(0.2 * length)))]
    peaks, criterion, sign = peaks[order], criterion[order], sign[order]
    onset = np.maximum(peaks - max(1, round(0.3 * length)), 0)
    before, after = max(2, round(0.2 * length)), max(8, round(4 * length))
    shape = measure(rest, onset, peaks, sign, fs, before=before, after=after)
    sole = KINDS[kind].sole_class
    words = np.where(sign > 0, *class_words(signal.unit)) if sole is None else sole
    amplitude = np.asarray(rest[peaks], np.float64)
    at = onset if kind == "calcium" else peaks
    return table(signal, at / fs, words, scores(criterion, k), amplitude, shape.rise_s, shape.decay_s)
