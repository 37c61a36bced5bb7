"""Events of one trace, measured on its samples: the one function that every table, dock, verb and export uses.

Which numbers are read how, by the class of an event:

- synaptic currents and potentials: from a fit in a window of the event's own length (`transients`, `sizes`);
- action potentials: from threshold to peak; extracellular spikes: from the line between before and after;
  heart beats: from the stretch before them (`spikes`);
- calcium transients and openings of channels: as their detectors measure them, by deconvolution and by levels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.events.kinds import kind_of_class
from napari_biofm.events.measuring import long_spikes, spikes
from napari_biofm.events.measuring.bins import Floats, Sums
from napari_biofm.events.measuring.mains import course_of, hum
from napari_biofm.events.measuring.naming import directions
from napari_biofm.events.measuring.shapes import unit_shape
from napari_biofm.events.measuring.sizes import Sizes, residual_mean, sizes
from napari_biofm.events.measuring.transients import Fitted, fit_events, sample_noise
from napari_biofm.events.table import as_dtype
from napari_biofm.signals.units import si_unit
from napari_biofm.types import MEASURED_DTYPE, Events, Trace

_CHUNK = 1 << 22  # samples handled together
_MOST = 4000  # events handled together
_CONTEXT = 12  # events before and after, which lend their tails
_FARTHEST_S = 12.0  # that a window reaches
_SYNAPTIC = ("psc", "psp")
_KEPT = ("calcium", "channel")  # measured by their detectors
_LEAST_STRENGTH = 2.0  # amplitude over its standard error
_LATE, _LATE_S = 0.7, 3e-3  # decay constants, and seconds, that a mark may lie behind its peak
_VAGUE = 0.5  # standard error of the logarithm of a time constant
DEFINITIONS: Mapping[str, str] = {
    "time_s": "peak of the event, seconds from the start of its sweep; of calcium the first spike",
    "amplitude": "peak minus baseline, with its sign, in the unit of the trace",
    "rise_s": "from 20 to 80 % of the amplitude",
    "decay_s": "time constant of one exponential; of an opening its length",
    "direction": "inward or outward of a current, up or down of anything else",
    "baseline": "value of the trace that the event begins from, in the unit of the trace",
    "baseline_from": '"before" the event, or the "former decay", extrapolated, where it begins on one',
    "amplitude_error": "standard error of the amplitude, in the unit of the trace",
    "rise_10_90_s": "from 10 to 90 % of the amplitude",
    "half_width_s": "from half the amplitude on the way up to half the amplitude on the way down",
    "area": "integral above the baseline from the onset on, in the unit of the trace times seconds",
    "decay_r2": "share of the variance after the peak that one exponential describes",
    "decay_fast_s": "the shorter of two time constants, where two describe the decay better (F > 15)",
    "decay_slow_s": "the longer of the two",
    "decay_fast_share": "part of the faster one in the size of the two",
    "reason": "why something is empty",
    "model_amplitude": "what the network believes, in the unit of the trace",
    "model_rise_s": "what the network believes, 10 to 90 %",
    "model_decay_s": "what the network believes",
}


def measure_events(signal: Trace, events: Events, *, model: bool = False, by_hand: bool = False) -> Events:
    """Measure the events of one channel of one sweep again.

    Parameters
    ----------
    signal : the trace; NaN marks gaps.
    events : of this sweep and channel, in any order; their times and signs are where the search begins.
    model : whether what they hold as amplitude, rise and decay is a network's belief; it is kept as `model_...`.

    by_hand : whether nobody has measured them yet: calcium transients and openings are measured, too.

    Returns
    -------
    (n,) of MEASURED_DTYPE, in the order of `events`; times are moved to the peaks.
    """
    table = as_dtype(events, MEASURED_DTYPE).copy()
    if not len(table):
        return table
    kinds = _kinds(table, signal.unit)
    if model:
        fluent = ~np.isin(kinds, _KEPT)
        for name in ("amplitude", "rise_s", "decay_s"):
            table[f"model_{name}"][fluent] = table[name][fluent]
    fs, n = signal.sampling_rate, len(signal.values)
    order = np.argsort(table["time_s"], kind="stable")
    for kind in np.unique(kinds):
        rows = order[kinds[order] == kind]
        rows = rows[(table["time_s"][rows] >= 0) & (table["time_s"][rows] * fs <= n)]
        if (kind in _KEPT and not by_hand) or n < 3 or not len(rows):
            continue
        if kind in (*_SYNAPTIC, *_KEPT):
            for part in _parts(table["time_s"][rows] * fs):
                _transients(signal, table, rows, part, moves=kind in _SYNAPTIC)
        else:
            _sharp(signal, table, rows, str(kind))
    table["direction"] = directions(table["amplitude"], signal.unit)
    return table


def is_measured(events: Events) -> bool:
    """Return whether every row of a table was measured by `measure_events`."""
    if "reason" not in (events.dtype.names or ()):
        return False
    return bool(((events["direction"] != "") | (events["reason"] != "")).all())


def _kinds(events: Events, unit: str) -> NDArray[np.str_]:
    """Return how each event is measured; words of no kind (artefact, taught ones) as the others, or by the unit."""
    words, inverse = np.unique(events["class"], return_inverse=True)
    known = [kind_of_class(str(word)) for word in words]
    counts = np.bincount(inverse, minlength=len(words))
    real = [(int(count), str(kind)) for count, kind in zip(counts, known, strict=True) if kind]
    base = si_unit(unit)[0]
    usual = max(real)[1] if real else "calcium" if base == "dF/F" else "psc"
    return np.array([kind or usual for kind in known], "U12")[inverse]


def _parts(at: Floats) -> list[tuple[int, int]]:
    """Return stretches of sorted events that are handled together."""
    parts, first = [], 0
    while first < len(at):
        last = int(np.searchsorted(at, at[first] + _CHUNK, side="right"))
        last = min(max(last, first + 1), first + _MOST)
        parts.append((first, last))
        first = last
    return parts


def _transients(
    signal: Trace, table: Events, rows: NDArray[np.intp], part: tuple[int, int], *, moves: bool
) -> None:
    """Measure synaptic events [first, last) of sorted rows; their times move to the peaks where that is wanted."""
    fs, n = signal.sampling_rate, len(signal.values)
    first, last = max(0, part[0] - _CONTEXT), min(len(rows), part[1] + _CONTEXT)
    here = rows[first:last]
    at = table["time_s"][here] * fs
    margin = round(_FARTHEST_S * fs)
    begin, end = max(0, int(at[0]) - margin), min(n, int(at[-1]) + margin)
    values = np.asarray(signal.values[begin:end])
    sums = Sums(values)
    sign = np.nan_to_num(np.sign(table["amplitude"][here]))
    fitted = fit_events(sums, at - begin, sign, fs, sample_noise(values))
    line = hum(values, fs, course_of(fitted.fit.shapes, len(values)))
    if line is not None:
        sums = Sums(values - line)
        fitted = fit_events(sums, at - begin, sign, fs, sample_noise(values))
    columns = _columns(sums, fitted, at - begin, fs)
    keep = slice(part[0] - first, part[1] - first)
    peak = columns.pop("time_s")[keep]
    for name, column in columns.items():
        table[name][rows[slice(*part)]] = column[keep]
    if moves:
        table["time_s"][rows[slice(*part)]] = peak + begin / fs


@dataclass
class _Reasons:
    """The first reason of each event."""

    words: NDArray[np.str_]

    def add(self, rows: NDArray[np.bool_], words: str) -> NDArray[np.bool_]:
        self.words[rows & (self.words == "")] = words
        return rows


def _columns(sums: Sums, fitted: Fitted, at: Floats, fs: float) -> dict[str, NDArray[Any]]:
    """Return the columns of fitted events, times in seconds; NaN with a reason where there is nothing to say."""
    made, one = sizes(sums, fitted), fitted.single.shapes
    shapes, error = fitted.fit.shapes, fitted.fit.error
    reasons = _Reasons(np.zeros(len(at), "U32"))
    strength = np.abs(made.amplitude) / np.maximum(made.error, 1e-300)
    gap = sums.missing(np.floor(made.peak - 1).astype(np.intp), np.ceil(made.peak + 2).astype(np.intp))
    gap |= sums.missing(np.floor(at).astype(np.intp), np.floor(at).astype(np.intp) + 1)
    none = reasons.add(gap, "gap in the trace")
    outside = (shapes.sign != 0) & ((made.peak < 0) | (made.peak > sums.n - 1))
    none |= reasons.add(outside, "cut off by the end")
    lost = (shapes.sign == 0) | ~(strength > _LEAST_STRENGTH) | (made.amplitude * shapes.sign <= 0)
    lost = reasons.add(lost & ~none, "hidden in the noise")
    lost |= reasons.add(~_ends(sums, fitted, made, at, fs) & ~none & ~lost, "no peak that ends again")
    another = at - made.peak > _LATE * one.length + _LATE_S * fs  # the tail of an event before it was fitted
    lost |= reasons.add(another & ~none & ~lost, "no peak near the mark")
    baseline, level = _plain(sums, fitted, at, fs)
    amplitude = np.where(none, np.nan, np.where(lost, level - baseline, made.amplitude))
    unclear = none | lost
    vague_rise = unclear | reasons.add(error[:, 1] > _VAGUE, "rise too small against noise")
    vague_rise |= reasons.add(made.rise_20_80 < 0.25, "rise faster than the samples")
    room = fitted.last - made.peak
    cut = reasons.add((room < 0.7 * one.decay) & (fitted.last >= sums.n - 1), "decay cut off by the end")
    cut |= reasons.add(room < 0.7 * one.decay, "decay cut off by the next event")
    vague_decay = (
        unclear | cut | reasons.add(fitted.single.error[:, 2] > _VAGUE, "decay too small against noise")
    )
    two = ~vague_decay & (shapes.second_size != 0)
    fast_first = shapes.decay <= shapes.second
    share = shapes.size / np.where(two, shapes.size + shapes.second_size, 1)

    def told(values: Floats, hidden: NDArray[np.bool_], scale: float = 1 / fs) -> Floats:
        return np.where(hidden, np.nan, values * scale)

    return {
        "time_s": np.where(unclear, at, made.peak) / fs,
        "amplitude": amplitude,
        "baseline": told(np.where(lost, baseline + sums.level, made.baseline), none, 1.0),
        "baseline_from": np.where(none, "", np.where(fitted.overlaps, "former decay", "before")),
        "amplitude_error": told(made.error, unclear, 1.0),
        "rise_s": told(made.rise_20_80, vague_rise),
        "rise_10_90_s": told(made.rise_10_90, vague_rise),
        "half_width_s": told(made.half_width, unclear),
        "area": told(made.area, unclear | cut),
        "decay_s": told(one.decay, vague_decay),
        "decay_r2": told(_r2(fitted), vague_decay, 1.0),
        "decay_fast_s": told(np.minimum(shapes.decay, shapes.second), ~two),
        "decay_slow_s": told(np.maximum(shapes.decay, shapes.second), ~two),
        "decay_fast_share": told(np.where(fast_first, share, 1 - share), ~two, 1.0),
        "reason": reasons.words,
    }


def _ends(sums: Sums, fitted: Fitted, made: Sizes, at: Floats, fs: float) -> NDArray[np.bool_]:
    """Return which events fall again: a time constant after the peak, the trace is well below it, and not far beyond.

    Where that is not seen, the peak must lie near the mark.
    """
    shapes = fitted.fit.shapes
    stop = np.minimum(made.peak + 1.3 * shapes.length, np.minimum(fitted.last, sums.n))
    left, _ = residual_mean(sums, fitted, made.peak + 0.7 * shapes.length, stop)
    u = made.peak + shapes.length - shapes.onset
    fitted_there = shapes.size * unit_shape(u, shapes.rise, shapes.decay)
    fitted_there += shapes.second_size * unit_shape(u, shapes.rise, shapes.second)
    after, tiny = fitted_there + left, 1e-6 * (np.abs(fitted_there) + np.abs(left)) + 1e-300
    share = after / np.where(np.abs(made.amplitude) > tiny, made.amplitude, np.inf)
    near = np.abs(made.peak - at) < 0.5 * shapes.to_peak + 2e-3 * fs + 1
    there = fitted.bins.count > 0
    highest = np.where(there, fitted.bins.y, -np.inf).max(1)
    lowest = np.where(there, fitted.bins.y, np.inf).min(1)
    near &= np.abs(made.amplitude) < 2 * (highest - lowest)  # no mere slope
    return np.where(stop < made.peak + shapes.length, near, (share < 0.9) & (share > -0.7))


def _plain(sums: Sums, fitted: Fitted, at: Floats, fs: float) -> tuple[Floats, Floats]:
    """Return the means of a stretch before and of one at the mark, above `sums.level`; the same for any noise."""
    shapes = fitted.fit.shapes
    half = np.clip(0.3 * shapes.to_peak, 1, max(1.0, 2e-3 * fs))
    edges = np.stack([at - 12 * half, at - 4 * half, at - half, at + half + 1], -1)
    means, counts = sums.means(np.rint(edges).astype(np.intp))
    before = np.where(counts[:, 0] > 0, means[:, 0], np.nan)
    return before, np.where(counts[:, 2] > 0, means[:, 2], np.nan)


def _r2(fitted: Fitted) -> Floats:
    """Return the share of the variance after the peak that one exponential describes."""
    bins, shapes = fitted.bins, fitted.single.shapes
    after = bins.centre >= (shapes.onset + shapes.to_peak)[:, None]
    weight = np.where(after, bins.count, 0.0)
    n = np.maximum(weight.sum(1), 1)
    total = (weight * bins.y**2).sum(1) - (weight * bins.y).sum(1) ** 2 / n
    left = (weight * fitted.single.residual**2).sum(1)
    enough = ((weight > 0).sum(1) >= 4) & (total > 0)
    return np.where(enough, 1 - left / np.where(enough, total, 1), np.nan)


def _sharp(signal: Trace, table: Events, rows: NDArray[np.intp], kind: str) -> None:
    """Measure action potentials, extracellular spikes or heart beats (sorted rows)."""
    fs, n = signal.sampling_rate, len(signal.values)
    for first, last in _parts(table["time_s"][rows] * fs):
        here = rows[first:last]
        at = np.rint(table["time_s"][here] * fs).astype(np.intp)
        margin = round((long_spikes.MARGIN_S if kind == "ap" else 0.5) * fs) + 16
        begin, end = max(0, int(at[0]) - margin), min(n, int(at[-1]) + margin)
        values = np.asarray(signal.values[begin:end])
        at = np.clip(at - begin, 0, len(values) - 1)
        sign = np.sign(table["amplitude"][here])
        if kind == "ap":
            made = spikes.action_potentials(values, fs, signal.unit, at)
            made = long_spikes.with_long_ones(values, fs, signal.unit, at, made)
        elif kind in ("spike", "loose"):
            made = spikes.extracellular(values, fs, at, np.where(sign > 0, 1.0, -1.0))
        else:
            made = spikes.heart_beats(values, fs, at, np.where(sign < 0, -1.0, 1.0))
        gap = ~np.isfinite(made.amplitude)
        table["reason"][here] = np.where(gap, "gap in the trace", "")
        table["time_s"][here] = np.where(gap, table["time_s"][here], (made.peak + begin) / fs)
        table["amplitude"][here], table["baseline"][here] = made.amplitude, made.baseline
        table["baseline_from"][here] = np.where(gap, "", "before")
        for name, values_ in (
            ("rise_s", made.rise_20_80), ("rise_10_90_s", made.rise_10_90),
            ("half_width_s", made.half_width), ("decay_s", made.decay),
        ):  # fmt: skip
            table[name][here] = values_ / fs
