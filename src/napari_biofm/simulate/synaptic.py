"""Synaptic events of known size and course, as a sampled and filtered recording shows them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_FINE = 10  # points computed per sample


@dataclass(frozen=True)
class Wave:
    """The course of an event, ``(1 - exp(-t / rise))^power`` times one or two exponentials.

    Attributes
    ----------
    rise, decay : time constants, s.
    slow : share of the second decay. second : its time constant, s.
    power : of the rise.
    """

    rise: float
    decay: float
    slow: float = 0.0
    second: float = 1.0
    power: int = 1

    def at(self, t: Floats) -> Floats:
        """Return the unscaled event `t` seconds after its onset."""
        fall = (1 - self.slow) * np.exp(-t / self.decay) + self.slow * np.exp(-t / self.second)
        return np.asarray((1 - np.exp(-t / self.rise)) ** self.power * fall)


@dataclass(frozen=True)
class Recorded:
    """How events are recorded.

    Attributes
    ----------
    sampling_rate : Hz.
    snr : amplitude over the standard deviation of the noise.
    filter_hz : of a Bessel filter of order 4 on events and noise; None for none.
    hum : amplitude of 50 Hz, in the unit of the trace.
    level : baseline, in the unit of the trace.
    n : events. seed : of places and noise.
    """

    sampling_rate: float = 20_000.0
    snr: float = 10.0
    filter_hz: float | None = None
    hum: float = 0.0
    level: float = -30.0
    n: int = 20
    seed: int = 0


@dataclass(frozen=True)
class SynapticTrace:
    """A trace and what is true of its events, all equal.

    Attributes
    ----------
    values : (n_samples,) float32. sampling_rate : Hz.
    peak_s : (n_events,) seconds. amplitude : in the unit of the trace.
    rise_20_80_s, rise_10_90_s, half_width_s, area : of the event as it is recorded, without noise.
    """

    values: NDArray[np.float32]
    sampling_rate: float
    peak_s: Floats
    amplitude: float
    rise_20_80_s: float
    rise_10_90_s: float
    half_width_s: float
    area: float


def synaptic_trace(wave: Wave, amplitude: float, how: Recorded) -> SynapticTrace:
    """Return a trace with `how.n` equal events that are far enough apart to end.

    Parameters
    ----------
    wave : their course.
    amplitude : with its sign.
    how : they are recorded.
    """
    fs, rng = how.sampling_rate, np.random.default_rng(how.seed)
    longest = max(wave.decay, wave.second if wave.slow else 0.0)
    length = 9 * longest + 6 * wave.rise
    gap, fine = length + 0.03, fs * _FINE
    course, noise_filter = wave.at(np.arange(round(length * fine)) / fine), None
    if how.filter_hz:
        course = scipy.signal.sosfilt(
            scipy.signal.bessel(4, how.filter_hz, fs=fine, output="sos", norm="mag"), course
        )
        noise_filter = scipy.signal.bessel(4, min(how.filter_hz, 0.45 * fs), fs=fs, output="sos", norm="mag")
    course = course / course.max()
    n = round(((how.n + 1) * gap + length) * fs)
    values, onsets = np.zeros(n), []
    for k in range(how.n):
        onset = (k + 0.7) * gap + rng.uniform(0, 0.2 * gap)
        first = int(np.ceil(onset * fs))
        t = np.arange(first, min(n, first + round(length * fs))) / fs - onset
        values[first : first + len(t)] += amplitude * np.interp(t * fine, np.arange(len(course)), course)
        onsets.append(onset)
    noise = rng.normal(size=n)
    noise = noise if noise_filter is None else scipy.signal.sosfilt(noise_filter, noise)
    values += abs(amplitude) / how.snr * noise / noise.std() + how.level
    values += how.hum * np.sin(2 * np.pi * 50 * np.arange(n) / fs + 1)
    top = int(np.argmax(course))
    up = [float(np.interp(q, course[: top + 1], np.arange(top + 1))) for q in (0.1, 0.2, 0.5, 0.8, 0.9)]
    down = top + float(np.interp(-0.5, -course[top:], np.arange(len(course) - top)))
    return SynapticTrace(
        values.astype(np.float32), fs, np.array(onsets) + top / fine, amplitude, (up[3] - up[1]) / fine,
        (up[4] - up[0]) / fine, (down - up[2]) / fine, amplitude * float(course.sum()) / fine,
    )  # fmt: skip
