"""Responses to stimuli of known times, measured on the trace: peaks, latencies, failures, the mean response."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_biofm.analyses.ephys.common import Floats, boxcar, extreme
from napari_biofm.events.crossings import crossing_before
from napari_biofm.events.features.passive import decay_to
from napari_biofm.signals.recording import Recording
from napari_biofm.types import RecordingError

_BEFORE_MS = 0.2  # of each stimulus, left out of the baseline: jitter of the trigger
_TAIL_SD = 3.0  # times the noise: smaller tails are not taken out
_LEAST_TAIL = 20  # samples that a tail is fitted to
_LEAST_TO_FAIL = 2  # sweeps beside the one that is judged
_SPANS = 40  # stretches without stimulus that the noise of amplitudes is measured in


@dataclass(frozen=True)
class Window:
    """Times around a stimulus, in ms, and what counts as a failure; see `EvokedParameters`."""

    baseline_ms: float
    blank_ms: float
    window_ms: float
    mean_ms: float
    failure_sd: float
    tail: bool


@dataclass(frozen=True, eq=False)
class Responses:
    """Responses in the order of sweeps and stimuli; each array (n,) but the traces.

    Attributes
    ----------
    sweep, pulse, stimulus_s : where. baseline, amplitude, latency_ms, peak_ms, rise_ms : measured.
    scaled : size of the mean response in each (least squares), no extreme of noise in it.
    failure : whether it is none.
    traces : (n_sweeps, n_times) from the baseline of the first stimulus on, artefacts blanked. trace_ms : (n_times,).
    unit : of amplitudes. notes : what could not be told.
    """

    sweep: NDArray[np.intp]
    pulse: NDArray[np.intp]
    stimulus_s: Floats
    baseline: Floats
    amplitude: Floats
    latency_ms: Floats
    peak_ms: Floats
    rise_ms: Floats
    scaled: Floats
    failure: NDArray[np.bool_]
    traces: Floats
    trace_ms: Floats
    unit: str
    notes: tuple[str, ...]

    @property
    def failures_known(self) -> bool:
        """Whether the noise was known that failures are told by."""
        return not any("cannot tell failures" in note for note in self.notes)

    @property
    def n(self) -> int:
        """Number of responses."""
        return len(self.sweep)


@dataclass(frozen=True, eq=False)
class _Cuts:
    """What lies after each stimulus, baseline (and tail) taken out; NaN in what is blanked and behind the next stimulus."""

    sweep: NDArray[np.intp]
    pulse: NDArray[np.intp]
    at: Floats
    baseline: Floats
    values: Floats  # (n, window)


def find_responses(
    recording: Recording, channel: int, sweeps: list[int], at: list[Floats], window: Window, sign: float
) -> Responses:
    """Measure the responses to stimuli.

    Parameters
    ----------
    recording, channel, sweeps : where.
    at : times of the stimuli of each sweep, s.
    window : what is looked at.
    sign : of responses; 0 takes that of the mean response.

    Raises
    ------
    RecordingError
        If no stimulus has room for its baseline and its window.
    """
    fs = recording.channels[channel].sampling_rate
    cuts, notes = _cut(recording, channel, sweeps, at, window)
    width = max(1, round(1e-3 * window.mean_ms * fs))
    first = cuts.pulse == cuts.pulse.min()
    template = _mean(cuts.values[first], width)
    sign = sign or float(np.sign(template[extreme(template, 0.0)])) or 1.0
    templates = {k: _mean(cuts.values[cuts.pulse == k], width) for k in np.unique(cuts.pulse)}
    noise = _noise(recording, channel, sweeps, at, window, sign * template)
    known = bool(np.isfinite(noise)) and min(np.bincount(cuts.pulse)) > _LEAST_TO_FAIL
    if not known:
        why = (
            "no stretch without stimulus to take the noise from"
            if len(cuts.sweep) > _LEAST_TO_FAIL
            else "too few sweeps"
        )
        notes += (f"cannot tell failures: {why}",)
    n = len(cuts.sweep)
    columns = {name: np.full(n, np.nan) for name in ("amplitude", "latency", "peak", "rise", "scaled")}
    failure = np.zeros(n, bool)
    for i in range(n):
        mean = sign * templates[cuts.pulse[i]]
        mean = mean if np.nanmax(mean) > 0 else sign * template
        up = sign * cuts.values[i]
        columns["scaled"][i] = sign * _size(up, mean)
        failure[i] = known and not _size(up, sign * _others(cuts, i, width)) > window.failure_sd * noise
        smooth = boxcar(up, width)
        if failure[i]:
            columns["amplitude"][i] = sign * smooth[int(np.nanargmax(mean))]
            continue
        for name, value in _kinetics(smooth, fs).items():
            columns[name][i] = sign * value if name == "amplitude" else value
    traces, trace_ms = _traces(recording, channel, sweeps, at, window)
    return Responses(
        cuts.sweep, cuts.pulse, cuts.at, cuts.baseline, columns["amplitude"], columns["latency"], columns["peak"],
        columns["rise"], columns["scaled"], failure, traces, trace_ms, recording.channels[channel].unit, notes,
    )  # fmt: skip


def _cut(
    recording: Recording, channel: int, sweeps: list[int], at: list[Floats], window: Window
) -> tuple[_Cuts, tuple[str, ...]]:
    fs = recording.channels[channel].sampling_rate
    length, blank = round(1e-3 * window.window_ms * fs), round(1e-3 * window.blank_ms * fs)
    rows, lost = [], 0
    for sweep, times in zip(sweeps, at, strict=True):
        values = recording.values(sweep, channel).astype(float)
        starts = np.round(times * fs).astype(int)
        for k, start in enumerate(starts):
            base = _baseline(values, start, fs, window)
            nearer = starts[k + 1] - round(1e-3 * _BEFORE_MS * fs) if k + 1 < len(starts) else len(values)
            stop = min(start + length, nearer, len(values))
            if not np.isfinite(base) or stop - start - blank < 3:
                lost += 1
                continue
            piece = np.full(length, np.nan)
            piece[blank : stop - start] = values[start + blank : stop] - base
            if window.tail and k:
                before = values[starts[k - 1] + blank : start] - _baseline(values, starts[0], fs, window)
                piece -= _tail(before, fs, length)
            rows.append((sweep, k, times[k], base, piece))
    if not rows:
        raise RecordingError(
            f"no stimulus of {recording.name} leaves room for a baseline of {window.baseline_ms:g} ms and a window"
        )
    sweep_, pulse, t, base_, pieces = zip(*rows, strict=True)
    notes = (f"{lost} stimuli left out: no room for baseline or window",) if lost else ()
    cuts = _Cuts(
        np.array(sweep_), np.array(pulse), np.array(t, float), np.array(base_, float), np.array(pieces)
    )
    return cuts, notes


def _baseline(values: Floats, start: int, fs: float, window: Window) -> float:
    a, b = start - round(1e-3 * window.baseline_ms * fs), start - round(1e-3 * _BEFORE_MS * fs)
    piece = values[max(a, 0) : max(b, 0)]
    return float(np.nanmean(piece)) if len(piece) and np.isfinite(piece).any() else float("nan")


def _tail(before: Floats, fs: float, length: int) -> Floats:
    """Return what goes on of the decay before a stimulus, from its value in the baseline window on; 0 where none is seen."""
    none = np.zeros(length)
    data = before[np.isfinite(before)]
    if len(data) < _LEAST_TAIL:
        return none
    smooth = boxcar(data, max(1, len(data) // 20))
    peak = extreme(smooth, 0.0)
    falling = data[peak + max(1, (len(data) - peak) // 10) :]
    noise = 1.4826 * float(np.median(np.abs(np.diff(data)))) / np.sqrt(2)
    if len(falling) < _LEAST_TAIL or abs(float(np.mean(falling[-_LEAST_TAIL // 2 :]))) < _TAIL_SD * noise / 3:
        return none
    tau = decay_to(falling, fs)
    if not np.isfinite(tau):
        return none
    falls = np.exp(-np.arange(len(falling)) / (fs * tau))
    size = float(falling @ falls / (falls @ falls))
    last = size * np.exp(-len(falling) / (fs * tau))
    later = last * np.exp(-np.arange(length) / (fs * tau))
    return np.asarray(later - _within(falls, size, fs), np.float64)


def _within(falls: Floats, size: float, fs: float) -> float:
    """Return the mean of the fitted tail over the last 10 ms before the stimulus: the baseline that was taken out already."""
    return float(size * np.mean(falls[-max(1, min(len(falls), round(0.01 * fs))) :]))


def _mean(values: Floats, width: int) -> Floats:
    seen = np.isfinite(values).sum(axis=0)
    mean = np.nansum(values, axis=0) / np.maximum(seen, 1)
    return boxcar(np.where(seen > 0, mean, np.nan), width)


def _others(cuts: _Cuts, i: int, width: int) -> Floats:
    """Return the mean of the same pulse in the other sweeps: a trace is not compared with its own noise."""
    same = cuts.pulse == cuts.pulse[i]
    same[i] = False
    return _mean(cuts.values[same], width)


def _size(up: Floats, mean: Floats) -> float:
    """Return the peak of the mean response, scaled to a trace by least squares."""
    good = np.isfinite(up) & np.isfinite(mean)
    power = float(mean[good] @ mean[good])
    return float(up[good] @ mean[good]) / power * float(np.nanmax(mean)) if power > 0 else float("nan")


def _noise(
    recording: Recording, channel: int, sweeps: list[int], at: list[Floats], window: Window, mean: Floats
) -> float:
    """Return the standard deviation of the size of the mean response where there is no stimulus."""
    fs = recording.channels[channel].sampling_rate
    rest, base = len(mean), max(1, round(1e-3 * window.baseline_ms * fs))
    sizes: list[float] = []
    for sweep, times in zip(sweeps, at, strict=True):
        first = round(float(times[0]) * fs) if len(times) else recording.n_samples(sweep, channel)
        values = recording.values(sweep, channel, 0, min(first, recording.n_samples(sweep, channel))).astype(
            float
        )
        length = min(rest, max(10, len(values) - base))
        for start in range(len(values) - length, base - 1, -max(length // 2, 1)):
            piece = values[start : start + length] - np.nanmean(values[start - base : start])
            sizes.append(_size(piece, mean[:length]) * 1.0)
            if len(sizes) >= _SPANS * 20:
                break
    known = np.array(sizes)[np.isfinite(sizes)]
    if len(known) < 5:
        return float("nan") if not len(known) else float(np.abs(known).max())
    return 1.4826 * float(np.median(np.abs(known - np.median(known))))


def _kinetics(up: Floats, fs: float) -> dict[str, float]:
    at = extreme(up, 1.0)
    if at < 0 or not up[at] > 0:
        return {}
    filled = np.where(np.isfinite(up), up, 0.0)
    low, high = (crossing_before(filled, at, share * up[at]) for share in (0.2, 0.8))
    if low < np.flatnonzero(np.isfinite(up))[0]:  # it began while the artefact was blanked
        low = float("nan")
    return {
        "amplitude": float(up[at]), "latency": 1e3 * low / fs, "peak": 1e3 * at / fs, "rise": 1e3 * (high - low) / fs,
    }  # fmt: skip


def _traces(
    recording: Recording, channel: int, sweeps: list[int], at: list[Floats], window: Window
) -> tuple[Floats, Floats]:
    """Return every sweep from the baseline of its first stimulus to the window of its last, artefacts blanked."""
    fs = recording.channels[channel].sampling_rate
    before, after = round(1e-3 * window.baseline_ms * fs), round(1e-3 * window.window_ms * fs)
    blank = round(1e-3 * window.blank_ms * fs)
    length = min(before + max(round((t[-1] - t[0]) * fs) for t in at if len(t)) + after, 200_000)
    rows = []
    for sweep, times in zip(sweeps, at, strict=True):
        if not len(times):
            continue
        starts = np.round(times * fs).astype(int)
        values = recording.values(sweep, channel).astype(float)
        for start in starts:
            values[max(0, start - round(1e-3 * _BEFORE_MS * fs)) : start + blank] = np.nan
        piece = np.full(length, np.nan)
        first = starts[0] - before
        seen = values[max(first, 0) : first + length]
        piece[max(-first, 0) : max(-first, 0) + len(seen)] = seen - _baseline(values, starts[0], fs, window)
        rows.append(piece)
    return np.array(rows), (np.arange(length) - before) * 1e3 / fs
