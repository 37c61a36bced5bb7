"""Harder validation of physio-FM: real backgrounds of other cells and rigs, fast and slow indicators, silence.

Nothing of it is trained on: other files (`backgrounds.KEPT_BACK`), another animal, other seeds, other shapes of noise.
As in `sets.py`, even traces may choose thresholds, odd ones are told. SNR is the height of an event in robust
standard deviations of the band (extracellular: 300 to 6,000 Hz; currents: as recorded, at 10 kHz).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from napari_biofm.types import Trace

from .backgrounds import Background, Backgrounds
from .sets import Labelled, Sets
from .simulators.calcium import groups, spike_train
from .simulators.noise import hum
from .simulators.psc import waveform
from .simulators.spike import shape

# class of indicator: rise (s), decay (s), dF/F of one spike, Hill exponent, half saturation (spikes)
INDICATORS = {
    "GCaMP8s": (0.010, 0.35, 0.5, 1.6, 20.0),
    "GCaMP8m": (0.007, 0.14, 0.35, 1.5, 25.0),
    "GCaMP8f": (0.005, 0.08, 0.25, 1.5, 25.0),
    "jGCaMP7f": (0.020, 0.26, 0.2, 1.9, 20.0),
    "jGECO1a": (0.030, 0.50, 0.08, 1.4, 20.0),
    "GCaMP6s": (0.060, 1.00, 0.2, 2.0, 15.0),
    "OGB-1": (0.004, 0.80, 0.07, 1.0, 10.0),
}
NOISES = ("white", "smoothed", "1/f", "drift", "hum", "shot", "motion")


# --------------------------------------------------------------------------- silence
def noise(rng: np.random.Generator, name: str, fs: float, n: int) -> NDArray[np.float64]:
    """Return (n,) noise of one sort, standard deviation about one, without any event."""
    white = rng.normal(size=n)
    t = np.arange(n) / fs
    if name == "white":
        return white
    if name == "smoothed":
        x = gaussian_filter1d(white, 2.5)
        return np.asarray(x / x.std())
    if name == "1/f":
        f = np.maximum(np.arange(n // 2 + 1), 1.0)
        x = np.fft.irfft(np.fft.rfft(white) * f**-0.5, n)
        return np.asarray(x / x.std())
    if name == "drift":
        return white + 6 * np.sin(2 * np.pi * t / t[-1] * 1.7 + 1) + 4 * t / t[-1]
    if name == "hum":
        return white + 1.5 * hum(rng, fs, n)
    if name == "shot":
        return np.asarray((rng.poisson(6.0, n) - 6.0) / np.sqrt(6.0))
    dips = np.zeros(n)
    for at in rng.uniform(0, n, max(1, int(n / fs / 20))):
        width = rng.uniform(0.1, 1.0) * fs
        dips -= rng.uniform(2, 8) * np.exp(-0.5 * ((np.arange(n) - at) / max(width / 2.5, 0.5)) ** 2)
    return white + dips


RATES = {
    "calcium": (10.0, 30.0, 100.0),
    "psc": (5e3, 20e3, 200e3),
    "psp": (5e3, 20e3),
    "ap": (5e3, 20e3, 200e3),
    "spike": (15e3, 30e3),
    "loose": (10e3, 50e3),
    "ecg": (250.0, 1000.0),
}
SIGMA = {"calcium": 0.05, "psc": 3.0, "psp": 0.15, "ap": 0.3, "spike": 10.0, "loose": 4.0, "ecg": 0.05}
UNIT = {
    "calcium": "dF/F", "psc": "pA", "psp": "mV", "ap": "mV", "spike": "uV", "loose": "pA", "ecg": "mV",
}  # fmt: skip
REST = {"psc": -40.0, "psp": -65.0, "ap": -65.0}


def silent(kind: str, name: str, minutes: float, seed: int = 0) -> list[Trace]:
    """Return recordings of a kind that hold no event, one per sampling rate, `minutes` in all."""
    rates = RATES[kind]
    traces = []
    for i, fs in enumerate(rates):
        rng = np.random.default_rng((41, seed, NOISES.index(name), i, list(RATES).index(kind)))
        n = int(60 * minutes / len(rates) * fs)
        cells = max(1, round(minutes / len(rates) / 2)) if kind == "calcium" else 1  # of two minutes
        for _ in range(cells):
            x = SIGMA[kind] * noise(rng, name, fs, n // cells) + REST.get(kind, 0.0)
            traces.append(Trace(x.astype(np.float32), fs, UNIT[kind]))
    return traces


# --------------------------------------------------------------------------- events of known time
def spike_sets(behind: Backgrounds) -> Sets:
    """Return extracellular spikes of one unit in real backgrounds (the wire and the cell kept back)."""
    out: Sets = {}
    for snr in (3, 4, 5):
        for i in range(12):
            rng = np.random.default_rng((51, snr, i))
            one = behind.spikes[i // 2 % len(behind.spikes)]
            n = int(6 * one.sampling_rate)
            first = int(rng.integers(len(one.x) - n))
            x = one.x[first : first + n].astype(float)
            wave, trough = shape(rng, one.sampling_rate)
            often = float(np.exp(rng.uniform(np.log(4), np.log(30))))
            at = np.cumsum(
                rng.exponential(one.sampling_rate / often, 200) + 0.004 * one.sampling_rate
            ).astype(int)
            at = at[at + len(wave) < n]
            for a in at:
                x[a : a + len(wave)] += snr * wave
            own = np.flatnonzero(one.out[first : first + n])[::4] / one.sampling_rate
            out.setdefault(f"real background, SNR {snr}", []).append(
                Labelled(
                    Trace((x * 12).astype(np.float32), one.sampling_rate, "uV"),
                    (at + trough) / one.sampling_rate,
                    own,
                )
            )
    return out


def current_sets(behind: Backgrounds) -> Sets:
    """Return synaptic currents in the noise of voltage-clamp recordings of cells that were kept back.

    The noise has the spectrum of the recording and random phases, so that it holds no currents of its own.
    """
    long = [b for b in behind.currents if len(b.x) > 2.4 * b.sampling_rate]
    out: Sets = {}
    for snr in (2, 3, 4, 6):
        for i in range(16):
            rng = np.random.default_rng((52, snr, i))
            one = long[int(rng.integers(len(long)))]
            out.setdefault(f"real noise, SNR {snr}", []).append(with_currents(rng, one, snr, i % 4 == 3))
    return out


def with_currents(rng: np.random.Generator, one: Background, snr: float, slow: bool) -> Labelled:
    """Return 8 s of noise with currents of one kinetic family at about 4 Hz, either direction."""
    fs = one.sampling_rate
    n = int(8 * fs)
    power = np.abs(np.fft.rfft(one.x * np.hanning(len(one.x))))
    power = np.interp(
        np.linspace(0, 1, n // 2 + 1), np.linspace(0, 1, len(power)), gaussian_filter1d(power, 3)
    )
    power[: (8 * 2)] = 0  # what is slower than 2 Hz is baseline
    x = np.fft.irfft(power * np.exp(2j * np.pi * rng.random(len(power))), n)
    x /= gaussian_filter1d(x, fs / (2 * np.pi * 1000.0)).std()  # noise below 1 kHz is what hides a current
    rise, decay = rng.uniform(0.15e-3, 0.6e-3), rng.uniform(2e-3, 7e-3)
    if slow:
        rise, decay = rng.uniform(0.5e-3, 1e-3), rng.uniform(8e-3, 25e-3)
    way, truth = rng.choice([-1.0, 1.0], p=[0.7, 0.3]), []
    for s in np.cumsum(rng.exponential(fs / 4, int(5 * n / fs) + 5)):
        wave, peak = waveform(rise * np.exp(rng.normal() * 0.2), decay * np.exp(rng.normal() * 0.2), fs)
        if s + peak + 10 >= n:
            break
        a = int(s)
        stop = min(n, a + len(wave))
        x[a:stop] += way * snr * np.exp(rng.normal() * 0.25) * wave[: stop - a]
        truth.append((a + peak) / fs)
    return Labelled(Trace((x * 4).astype(np.float32), fs, "pA"), np.sort(truth))


def psp_sets() -> Sets:
    """Return synaptic potentials of 1.5 to 6 mV at rest, in noise of .1 to .5 mV."""
    out: Sets = {}
    for sigma in (0.1, 0.25, 0.5):
        for i in range(6):
            rng = np.random.default_rng((53, int(sigma * 100), i))
            fs = float(rng.choice([5e3, 10e3, 20e3]))
            n = int(10 * fs)
            x = noise(rng, "1/f" if i % 2 else "white", fs, n) * sigma - 65
            truth = []
            rise, decay = rng.uniform(0.5e-3, 3e-3), rng.uniform(8e-3, 40e-3)
            for s in np.cumsum(rng.exponential(fs / 3, 60) + 0.02 * fs):
                wave, peak = waveform(rise, decay, fs)
                if s + peak + 10 >= n:
                    break
                a, stop = int(s), min(n, int(s) + len(wave))
                x[a:stop] += rng.uniform(1.5, 6) * wave[: stop - a]
                truth.append((a + peak) / fs)
            out.setdefault(f"potentials, noise {sigma} mV", []).append(
                Labelled(Trace(x.astype(np.float32), fs, "mV"), np.array(truth))
            )
    return out


def indicator_cells(
    name: str, count: int = 8
) -> list[tuple[NDArray[np.float32], float, NDArray[np.float64]]]:
    """Return dF/F, frame rate and spikes of simulated cells of one class of indicator, two minutes each."""
    rise, decay, height, hill, half = INDICATORS[name]
    cells = []
    for i in range(count):
        rng = np.random.default_rng((54, list(INDICATORS).index(name), i))
        fs = float(rng.choice([15.0, 30.0, 60.0, 122.0]))
        n, fine = int(120 * fs), 8
        spikes = spike_train(rng, 120.0)
        while not 10 <= len(spikes) <= 600:
            spikes = spike_train(rng, 120.0)
        drive = np.bincount((spikes * fs * fine).astype(int), minlength=n * fine)[: n * fine].astype(float)
        a, b = np.exp(-1 / (decay * fs * fine)), np.exp(-1 / (rise * fs * fine))
        lone = lfilter([1.0], [1, -(a + b), a * b], np.eye(1, n * fine)[0])
        calcium = lfilter([1.0], [1, -(a + b), a * b], drive) / lone.max()
        rest = 0.5

        def bound(c: NDArray[Any]) -> NDArray[Any]:
            return np.asarray(c**hill / (c**hill + half**hill))

        y = (bound(calcium + rest) - bound(np.array(rest))) / (
            bound(np.array(1 + rest)) - bound(np.array(rest))
        )
        clean = height * np.exp(rng.normal() * 0.3) * y.reshape(n, fine).mean(1)
        sigma = rng.uniform(0.8, 3.0) * 0.01 * np.sqrt(fs)  # standardised noise of 0.8 to 3 % per root Hz
        walk = lfilter([1.0], [1, -np.exp(-1 / (2.0 * fs))], rng.normal(size=n))
        x = clean + sigma * rng.normal(size=n) + 0.3 * sigma * walk / walk.std()
        cells.append((x.astype(np.float32), fs, spikes))
    return cells


def calcium_sets() -> Sets:
    """Return the first spikes of groups of the simulated cells per class of indicator."""
    return {
        name: [Labelled(Trace(x, fs, "dF/F"), groups(spikes)) for x, fs, spikes in indicator_cells(name)]
        for name in INDICATORS
    }


def plateaus() -> list[Trace]:
    """Return slow indicators with one plateau of 30 s each: one or two events."""
    traces = []
    for i in range(6):
        rng = np.random.default_rng((55, i))
        fs = float(rng.choice([10.0, 20.0, 30.0]))
        n = int(90 * fs)
        t = np.arange(n) / fs - 30
        wave = (1 - np.exp(-np.maximum(t, 0) / 0.5)) * np.exp(-np.maximum(t - 30, 0) / 1.5)
        x = rng.uniform(0.6, 2.0) * wave + 0.05 * rng.normal(size=n)
        traces.append(Trace(x.astype(np.float32), fs, "dF/F"))
    return traces


def hard_sets(kind: str, behind: Backgrounds) -> Sets:
    """Return the harder sets of a kind; none where there are none."""
    if kind == "spike":
        return spike_sets(behind)
    if kind == "psc":
        return current_sets(behind)
    return {"psp": psp_sets, "calcium": calcium_sets}.get(kind, dict)()
