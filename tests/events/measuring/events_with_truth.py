"""Synaptic events of known size and course, as a sampled and filtered recording shows them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import signal as sps

from napari_biofm.types import MEASURED_DTYPE, Events, Trace

_FINE = 10  # points computed per sample


@dataclass(frozen=True)
class Truth:
    """What was put into a trace: times s, sizes in the unit of the trace."""

    signal: Trace
    peak_s: np.ndarray
    amplitude: float
    rise_20_80_s: float
    rise_10_90_s: float
    half_width_s: float
    area: float


@dataclass(frozen=True)
class Wave:
    """Time constants in s; `slow` is the share of a second decay, `power` that of the rise."""

    rise: float
    decay: float
    slow: float = 0.0
    second: float = 1.0
    power: int = 1

    def at(self, t: np.ndarray) -> np.ndarray:
        fall = (1 - self.slow) * np.exp(-t / self.decay) + self.slow * np.exp(-t / self.second)
        return (1 - np.exp(-t / self.rise)) ** self.power * fall


@dataclass(frozen=True)
class Recorded:
    """How it is recorded."""

    sampling_rate: float = 20_000.0
    snr: float = 10.0
    filter_hz: float | None = None
    hum: float = 0.0
    level: float = -30.0
    n: int = 20
    unit: str = "pA"
    seed: int = 0
    gap_s: float = 0.0
    extra: dict[str, float] = field(default_factory=dict)


def recorded(wave: Wave, amplitude: float, how: Recorded) -> Truth:
    """Return a trace with `how.n` equal events far enough apart to end, and what is true of each."""
    fs, rng = how.sampling_rate, np.random.default_rng(how.seed)
    longest = max(wave.decay, wave.second if wave.slow else 0.0)
    length = 9 * longest + 6 * wave.rise
    gap = how.gap_s or length + 0.03
    fine = fs * _FINE
    course = wave.at(np.arange(round(length * fine)) / fine)
    noise_filter = None
    if how.filter_hz:
        course = sps.sosfilt(sps.bessel(4, how.filter_hz, fs=fine, output="sos", norm="mag"), course)
        noise_filter = sps.bessel(4, min(how.filter_hz, 0.45 * fs), fs=fs, output="sos", norm="mag")
    course /= course.max()
    n = round(((how.n + 1) * gap + length) * fs)
    values, onsets = np.zeros(n), []
    for k in range(how.n):
        onset = (k + 0.7) * gap + rng.uniform(0, 0.2 * gap)
        first = int(np.ceil(onset * fs))
        t = np.arange(first, min(n, first + round(length * fs))) / fs - onset
        values[first : first + len(t)] += amplitude * np.interp(t * fine, np.arange(len(course)), course)
        onsets.append(onset)
    noise = rng.normal(size=n)
    if noise_filter is not None:
        noise = sps.sosfilt(noise_filter, noise)
    values += abs(amplitude) / how.snr * noise / noise.std() + how.level
    values += how.hum * np.sin(2 * np.pi * 50 * np.arange(n) / fs + 1)
    top = int(np.argmax(course))
    up = [float(np.interp(q, course[: top + 1], np.arange(top + 1))) for q in (0.1, 0.2, 0.5, 0.8, 0.9)]
    down = top + float(np.interp(-0.5, -course[top:], np.arange(len(course) - top)))
    signal = Trace(values.astype(np.float32), fs, how.unit)
    return Truth(
        signal, np.array(onsets) + top / fine, amplitude, (up[3] - up[1]) / fine, (up[4] - up[0]) / fine,
        (down - up[2]) / fine, amplitude * float(course.sum()) / fine,
    )  # fmt: skip


def marked(truth: Truth, late_s: float = 0.0, amplitude: float | None = None) -> Events:
    """Return what a detector would say: the times, off by `late_s`, and sizes that it guessed."""
    events = np.zeros(len(truth.peak_s), MEASURED_DTYPE)
    events["time_s"], events["class"] = truth.peak_s + late_s, "PSC"
    events["unit"], events["score"] = truth.signal.unit, 0.9
    events["amplitude"] = 0.4 * truth.amplitude if amplitude is None else amplitude
    events["rise_s"] = events["decay_s"] = 0.026
    return events
