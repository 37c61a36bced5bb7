"""Recordings with events that the stock model was never shown, for measuring what a few marks teach it.

Real backgrounds that took no part in training: current clamp of the validation files (with their action
potentials and steps), a gap-free current clamp at 1 kHz, an extracellular tetrode, calcium of the sets kept back,
electrocardiograms of the validation records. Voltage clamp: noise with measured spectra and common synaptic
currents of the training ranges. Into them go events of shapes outside of everything the simulators draw.
Half of the shapes (`split` "develop") may choose how `adapt` works; the other half ("report") is what is told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from napari_biofm.types import Trace

from .real import VALIDATION_SETS, build_cache
from .sets import Labelled
from .simulators.psc import waveform

Floats = NDArray[np.float64]
Shape = Callable[[np.random.Generator, Floats], Floats]

SPREAD = 0.25  # of the logarithm of amplitudes
PACE = (0.15, 0.08)  # of the logarithm of the time scale: between recordings, between events


@dataclass(frozen=True)
class Unfamiliar:
    """A kind of event.

    Attributes
    ----------
    kind, unit, rate : what the recording is; Hz.
    length : s, from the first to the last sample that matters.
    at : s from the start, where a user would mark it.
    shape : (rng, times in s) -> values of size about one.
    """

    name: str
    split: str
    kind: str
    unit: str
    rate: float
    length: float
    at: float
    background: str
    shape: Shape

    def wave(self, rng: np.random.Generator, pace: float) -> tuple[Floats, int]:
        """Return one event, largest deflection one, and the sample that a user would mark."""
        t = np.arange(max(4, round(self.length * pace * self.rate))) / self.rate / pace
        values = self.shape(rng, t)
        return values / np.abs(values).max(), round(self.at * pace * self.rate)


def bump(t: Floats, start: float, width: float) -> Floats:
    """Return a raised cosine from `start` on."""
    u = (t - start) / width
    return np.where((u >= 0) & (u <= 1), 0.5 - 0.5 * np.cos(2 * np.pi * u), 0.0)


def current(t: Floats, start: float, rise: float, decay: float) -> Floats:
    """Return a current of peak one from `start` on."""
    late = np.clip(t - start, 0, None)
    peak = rise * np.log1p(decay / rise)
    top = (1 - np.exp(-peak / rise)) * np.exp(-peak / decay)
    return np.asarray((1 - np.exp(-late / rise)) * np.exp(-late / decay) / top)


def _double_peak(rng: np.random.Generator, t: Floats) -> Floats:
    gap = 9e-3 * np.exp(0.1 * rng.normal())
    second = rng.uniform(0.65, 0.95)
    return -np.maximum(current(t, 0, 0.4e-3, 4e-3), second * current(t, gap, 0.4e-3, 5e-3))


def _twitch(rng: np.random.Generator, t: Floats) -> Floats:
    return np.sin(2 * np.pi * 180 * np.exp(0.05 * rng.normal()) * t) * np.exp(-t / 6e-3)


def _slow_biphasic(rng: np.random.Generator, t: Floats) -> Floats:
    return bump(t, 0, 0.06) - rng.uniform(0.5, 0.8) * bump(t, 0.05, 0.09)


def _spindle(rng: np.random.Generator, t: Floats) -> Floats:
    late = t - 0.3
    return np.cos(2 * np.pi * 13 * np.exp(0.03 * rng.normal()) * late) * np.exp(-0.5 * (late / 0.12) ** 2)


def _tailed_doublet(rng: np.random.Generator, t: Floats) -> Floats:
    spikes = bump(t, 0, 0.6e-3) - 0.5 * bump(t, 0.5e-3, 1e-3)
    gap = 3.5e-3 * np.exp(0.08 * rng.normal())
    later = bump(t, gap, 0.7e-3) - 0.5 * bump(t, gap + 0.6e-3, 1.2e-3)
    return -spikes - rng.uniform(0.6, 0.8) * later + 0.25 * current(t, 2e-3, 2e-3, 4e-3)


def _calcium_plateau(rng: np.random.Generator, t: Floats) -> Floats:
    last = 1.3 * np.exp(0.1 * rng.normal())
    return (1 - np.exp(-t / 0.08)) / (1 + np.exp((t - last) / 0.06))


def _saw_tooth(rng: np.random.Generator, t: Floats) -> Floats:
    last = 0.28 * np.exp(0.1 * rng.normal())
    return np.where(t < last, t / last, np.exp(-np.clip(t - last, 0, None) / 8e-3))


def _beating(rng: np.random.Generator, t: Floats) -> Floats:
    late = t - 0.08
    return np.cos(2 * np.pi * 40 * np.exp(0.08 * rng.normal()) * late) * np.exp(-0.5 * (late / 0.03) ** 2)


def _creeping(rng: np.random.Generator, t: Floats) -> Floats:
    last = 0.22 * np.exp(0.1 * rng.normal())
    u = np.clip(t / last, 0, 1)
    return u**2 * (1 - u)


def _chirp(rng: np.random.Generator, t: Floats) -> Floats:
    late = t - 0.1
    turns = np.exp(0.1 * rng.normal()) * (55 * late - 150 * late**2)
    return np.cos(2 * np.pi * turns) * np.exp(-0.5 * (late / 0.03) ** 2)


def _field_wave(rng: np.random.Generator, t: Floats) -> Floats:
    return -bump(t, 0, 9e-3) + rng.uniform(0.3, 0.5) * bump(t, 8e-3, 20e-3)


def _calcium_ramp(rng: np.random.Generator, t: Floats) -> Floats:
    last = 1.4 * np.exp(0.1 * rng.normal())
    return np.clip(t / last, 0, 1) / (1 + np.exp((t - last) / 0.1))


def _tremor(rng: np.random.Generator, t: Floats) -> Floats:
    late = t - 0.3
    return np.cos(2 * np.pi * 11 * np.exp(0.06 * rng.normal()) * late) * np.exp(-0.5 * (late / 0.11) ** 2)


def _slow_inward(rng: np.random.Generator, t: Floats) -> Floats:
    return -current(t, 0, 25e-3, 120e-3 * np.exp(0.1 * rng.normal()))


def _triphasic(rng: np.random.Generator, t: Floats) -> Floats:
    return (
        -rng.uniform(0.4, 0.6) * bump(t, 0, 2.5e-3)
        + bump(t, 2e-3, 4e-3)
        - rng.uniform(0.5, 0.7) * bump(t, 5.5e-3, 8e-3)
    )


def _plateau_potential(rng: np.random.Generator, t: Floats) -> Floats:
    last = 85e-3 * np.exp(0.1 * rng.normal())
    return (1 - np.exp(-t / 4e-3)) * (1 - t / 0.4) / (1 + np.exp((t - last) / 5e-3))


def _sharp_wave(rng: np.random.Generator, t: Floats) -> Floats:
    late = t - 0.06
    ripple = np.sin(2 * np.pi * (150 * late + rng.random())) * np.exp(-0.5 * (late / 0.018) ** 2)
    return -np.exp(-0.5 * (late / 0.022) ** 2) + 0.3 * ripple


def _spikelets(rng: np.random.Generator, t: Floats) -> Floats:
    out, start = 0.3 * current(t, 1e-3, 2e-3, 5e-3), 0.0
    for height, gap in ((1.0, 2.0e-3), (0.6, 2.6e-3), (0.5, 3.3e-3), (0.4, 4e-3)):
        out = out - height * bump(t, start, 0.8e-3) + 0.3 * height * bump(t, start + 0.7e-3, 1.2e-3)
        start += gap * np.exp(0.06 * rng.normal())
    return out


def _motion_dip(rng: np.random.Generator, t: Floats) -> Floats:
    return -bump(t, 0, 0.8) + rng.uniform(0.2, 0.4) * bump(t, 0.7, 0.7)


def _electrode_motion(rng: np.random.Generator, t: Floats) -> Floats:
    return bump(t, 0, 0.3) - rng.uniform(0.7, 0.9) * bump(t, 0.25, 0.4)


UNFAMILIAR = (
    Unfamiliar("double-peaked current", "develop", "psc", "pA", 10e3, 35e-3, 1.1e-3, "clamp", _double_peak),
    Unfamiliar("twitch", "develop", "psc", "pA", 10e3, 25e-3, 1.3e-3, "clamp", _twitch),
    Unfamiliar("slow biphasic potential", "develop", "ap", "mV", 10e3, 0.14, 0.03, "cells", _slow_biphasic),
    Unfamiliar("spindle", "develop", "ap", "mV", 1e3, 0.6, 0.3, "gap-free", _spindle),
    Unfamiliar("doublet with a tail", "develop", "spike", "uV", 15e3, 16e-3, 0.3e-3, "tetrode", _tailed_doublet),
    Unfamiliar("calcium plateau", "develop", "calcium", "dF/F", 0.0, 1.8, 0.4, "calcium", _calcium_plateau),
    Unfamiliar("saw-tooth current", "develop", "psc", "pA", 5e3, 0.33, 0.28, "clamp", _saw_tooth),
    Unfamiliar("beating current", "develop", "psc", "pA", 5e3, 0.16, 0.08, "clamp", _beating),
    Unfamiliar("creeping depolarisation", "develop", "ap", "mV", 10e3, 0.25, 0.147, "cells", _creeping),
    Unfamiliar("chirp", "develop", "ap", "mV", 1e3, 0.2, 0.1, "gap-free", _chirp),
    Unfamiliar("field wave", "develop", "spike", "uV", 15e3, 30e-3, 4.5e-3, "tetrode", _field_wave),
    Unfamiliar("calcium ramp", "develop", "calcium", "dF/F", 0.0, 1.9, 1.3, "calcium", _calcium_ramp),
    Unfamiliar("tremor", "develop", "ecg", "other", 300.0, 0.6, 0.3, "ecg", _tremor),
    Unfamiliar("slow inward current", "report", "psc", "pA", 5e3, 0.45, 44e-3, "clamp", _slow_inward),
    Unfamiliar("triphasic current", "report", "psc", "pA", 10e3, 14e-3, 4e-3, "clamp", _triphasic),
    Unfamiliar("plateau potential", "report", "ap", "mV", 10e3, 0.12, 0.012, "cells", _plateau_potential),
    Unfamiliar("sharp wave with ripple", "report", "ap", "mV", 1e3, 0.12, 0.06, "gap-free", _sharp_wave),
    Unfamiliar("burst of spikelets", "report", "spike", "uV", 15e3, 18e-3, 0.4e-3, "tetrode", _spikelets),
    Unfamiliar("motion dip", "report", "calcium", "dF/F", 0.0, 1.5, 0.4, "calcium", _motion_dip),
    Unfamiliar("electrode motion", "report", "ecg", "other", 300.0, 0.7, 0.15, "ecg", _electrode_motion),
)  # fmt: skip


def _joined(pieces: list[Any]) -> Floats:
    """Put pieces end to end without a jump between them."""
    out = [np.asarray(pieces[0], float)]
    for piece in pieces[1:]:
        out.append(piece - np.median(piece[:20]) + np.median(out[-1][-20:]))
    return np.concatenate(out)


def _abf(data: Path, stem: str, channel: int = 0) -> tuple[list[Floats], float]:
    import pyabf

    abf = pyabf.ABF(str(data / "abf" / f"{stem}.abf"))
    rows = []
    for sweep in range(abf.sweepCount):
        abf.setSweep(sweep, channel=channel)
        rows.append(abf.sweepY.astype(float))
    return rows, float(abf.dataRate)


def _thinned(x: Floats, thin: int) -> Floats:
    return x[: len(x) // thin * thin].reshape(-1, thin).mean(1)


def _clamp(rng: np.random.Generator, rate: float, seconds: float, cache: Path) -> Floats:
    """Return noise with a measured spectrum and common currents of 1.5 to 8 standard deviations, 1.5 per s."""
    with np.load(cache / "abf.npz") as stored:
        row = stored["spectra"][rng.integers(len(stored["spectra"]))]
    n = round(seconds * rate)
    f = np.linspace(0, 1, n // 2 + 1)
    shape = np.interp(f * rate / 20e3, np.linspace(0, 1, len(row)), row)
    z = rng.normal(size=(2, len(f)))
    x = np.fft.irfft((z[0] + 1j * z[1]) * shape, n)
    x = x / x.std()
    rise, decay = rng.uniform(0.2e-3, 0.6e-3), rng.uniform(2e-3, 9e-3)
    for start in rng.integers(0, n, round(1.5 * seconds)):
        wave, _ = waveform(rise, decay * np.exp(0.2 * rng.normal()), rate)
        stop = min(n, start + len(wave))
        x[start:stop] -= np.exp(rng.uniform(np.log(1.5), np.log(8))) * wave[: stop - start]
    return 4 * x


def background(
    one: Unfamiliar, which: int, rng: np.random.Generator, data: Path, cache: Path, seconds: float
) -> tuple[Floats, float]:
    """Return a recording without the events and its rate (Hz); `which` (0, 1) are different cells."""
    if one.background == "clamp":
        return _clamp(rng, one.rate, seconds, cache), one.rate
    if one.background == "cells":
        rows, fs = _abf(data, ("18713001", "17o05028_ic_steps")[which])
        rows = [rows[i] for i in rng.permutation(len(rows))]
        return _thinned(_joined(rows), round(fs / one.rate))[: round(seconds * one.rate)], one.rate
    if one.background == "gap-free":
        rows, fs = _abf(data, "File_axon_2")
        half = len(rows[0]) // 2
        start = which * half + rng.integers(max(1, half - round(seconds * fs)))
        return rows[0][start : start + round(seconds * fs)], fs
    if one.background == "tetrode":
        with np.load(data / "other/locust_tetrode_trial02.npz") as file:
            x, fs = file["signal"][:, 2 * which + rng.integers(2)].astype(float), float(file["fs"])
        n = round(seconds * fs)
        start = rng.integers(max(1, len(x) - n))
        return (x - np.median(x))[start : start + n], fs
    if one.background == "calcium":
        return _cells(rng, data, VALIDATION_SETS[(0, 2)[which]], seconds)
    with np.load(data / "ecg/physionet2017_train.npz") as file:  # the rule of training/physio/real.py
        names = sorted(file.files)[::5][which::2]
        picked = rng.permutation(len(names))[: int(seconds // 25) + 1]
        return _joined([file[names[i]] for i in picked])[: round(seconds * 300)], 300.0


def _cells(rng: np.random.Generator, data: Path, name: str, seconds: float) -> tuple[Floats, float]:
    """Return cells of one set and one frame rate, end to end."""
    with np.load(next((data / "calcium_spikes").glob(f"{name}*.npz"))) as file:
        keys = sorted(k[:-4] for k in file.files if k.endswith("_dff"))
        rates = [float(file[f"{k}_fs"]) for k in keys]
        usual = max(set(rates), key=rates.count)
        alike = [k for k, r in zip(keys, rates, strict=True) if abs(r / usual - 1) < 0.02]
        x = _joined([np.nan_to_num(file[f"{k}_dff"]) for k in rng.permutation(alike)])
    return x[: round(seconds * usual)], usual


def recording(
    one: Unfamiliar,
    which: int,
    seed: int,
    strength: float,
    data: Path,
    cache: Path,
    events: int = 100,
) -> tuple[Labelled, Floats]:
    """Return a recording with about `events` of them, and their mean true shape.

    Parameters
    ----------
    which : 0 is the recording that is marked, 1 another cell.
    strength : median amplitude over the robust standard deviation of the least-squares size of the true
        shape, slid along the recording without the events: what a matched filter sees.
    """
    if not (cache / "abf.npz").exists():
        build_cache(data, cache)
    rng = np.random.default_rng((seed, which, sum(map(ord, one.name))))
    gap = max(2.5 * one.length, 0.25)
    x, rate = background(one, which, rng, data, cache, events * gap)
    if not one.rate:
        one = Unfamiliar(**{**vars(one), "rate": rate})
    pace = float(np.exp(PACE[0] * rng.normal()))
    waves = [one.wave(rng, pace * np.exp(PACE[1] * rng.normal())) for _ in range(events + 60)]
    longest = max(len(w) for w, _ in waves)
    mean = np.mean([np.pad(w, (0, longest - len(w))) for w, _ in waves], 0)
    centred = mean - mean.mean()
    size = fftconvolve(x - np.median(x), centred[::-1], "valid") / np.sum(centred**2)
    noise = 1.4826 * float(np.median(np.abs(size - np.median(size))))
    at, truth = round(gap * rate), []
    for wave, mark in waves:
        if at + len(wave) + 2 >= len(x):
            break
        x[at : at + len(wave)] += strength * noise * np.exp(SPREAD * rng.normal()) * wave
        truth.append((at + mark) / rate)
        at += round(
            (1.1 * one.length * pace + rng.exponential(gap - 1.1 * one.length * min(pace, 1.5))) * rate
        )
    signal = Trace(x.astype(np.float32), rate, one.unit)
    return Labelled(signal, np.array(truth)), mean / np.abs(mean).max()
