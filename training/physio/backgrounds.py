"""Real backgrounds of currents and extracellular recordings, into which events of known time are put.

Currents: voltage-clamp sweeps of pyABF's files. Extracellular: three of four wires of the locust tetrode for
training; the fourth wire and the Purkinje cell (another animal, another rig, cell-attached) are kept back.
What stands out of a background may be a true event: it is marked, so that nothing is learnt from it.
Sources and licences: README of the data, and REPORT.md beside this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfiltfilt

from .simulators.crop import LENGTH

# files of the same cell or day share the beginning of their name
KEPT_BACK = ("171116sh", "19702", "2020_03_02", "DM1")
STANDS_OUT = 4.5  # robust standard deviations


@dataclass(frozen=True)
class Background:
    """Noise of a recording.

    Attributes
    ----------
    x : (n,) float32, of robust standard deviation one.
    sampling_rate : Hz.
    out : (n,) bool, samples that stand out and their surroundings: perhaps events of the recording itself.
    name : file it comes from.
    """

    x: NDArray[np.float32]
    sampling_rate: float
    out: NDArray[np.bool_]
    name: str

    def window(self, rng: np.random.Generator, pace: float = 1.0) -> tuple[NDArray[Any], list[Any]]:
        """Return (LENGTH,) noise of robust standard deviation one and the stretches that stand out.

        Parameters
        ----------
        pace : samples of the recording per sample of the window.
        """
        need = int(LENGTH * pace) + 2
        start = int(rng.integers(max(1, len(self.x) - need)))
        lacking = (0, max(0, need - len(self.x)))
        piece = np.pad(self.x[start : start + need], lacking, mode="symmetric")
        out = np.pad(self.out[start : start + need], lacking, mode="symmetric")
        grid = np.arange(LENGTH) * pace
        x = np.interp(grid, np.arange(need), piece)
        flag = out[grid.astype(int)]
        if rng.random() < 0.3:  # the same spectrum without any event
            spectrum = np.fft.rfft(np.where(flag, 0.0, x - np.median(x)))
            turn = np.exp(2j * np.pi * rng.random(len(spectrum)))
            x, flag = np.fft.irfft(spectrum * turn, LENGTH), np.zeros(LENGTH, bool)
        if rng.random() < 0.5:
            x, flag = x[::-1], flag[::-1]
        x = x - np.median(x)
        scale = 1.4826 * np.median(np.abs(x))
        return x / max(scale, 1e-9), stretches(flag)


def stretches(flag: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Return [first, last) of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flag.view(np.int8), [0]])))
    return [(float(a), float(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def background(x: NDArray[Any], fs: float, name: str, around_s: float) -> Background | None:
    """Return a background, None where a sweep stands still or most of it stands out."""
    x = np.asarray(x, float) - np.median(x)
    scale = 1.4826 * np.median(np.abs(x))
    if scale <= 0 or len(x) < LENGTH // 2:
        return None
    x = x / scale
    out = np.convolve(np.abs(x) > STANDS_OUT, np.ones(2 * int(around_s * fs) + 1), "same") > 0
    if out.mean() > 0.4:
        return None
    return Background(x.astype(np.float32), fs, out, name)


def currents(data: Path, split: str) -> list[Background]:
    """Return the event-poor stretches of voltage-clamp sweeps of one split, at 10 kHz."""
    import pyabf

    found = []
    for path in sorted((data / "abf").glob("*.abf")):
        if path.stem.startswith(KEPT_BACK) != (split == "val"):
            continue
        abf = pyabf.ABF(str(path))
        for channel in range(abf.channelCount):
            if abf.adcUnits[channel] != "pA" or abf.dataRate < 10_000:
                continue
            for sweep in range(0, abf.sweepCount, max(1, abf.sweepCount // 4)):
                abf.setSweep(sweep, channel=channel)
                found += calm(np.asarray(abf.sweepY[: 10 * abf.dataRate], float), abf.dataRate, path.stem)
    return found


def calm(y: NDArray[Any], fs: float, name: str) -> list[Background]:
    """Return the parts of a sweep between its steps and transients, at 10 kHz, slow drift removed."""
    down = max(1, round(fs / 10e3))
    noise = 1.4826 * np.median(np.abs(np.diff(y, n=2))) / np.sqrt(6)
    rough = np.abs(y - np.median(y[: len(y) // 10])) if noise <= 0 else np.abs(np.diff(y, prepend=y[0]))
    broken = np.convolve(rough > 15 * max(noise, 1e-6), np.ones(int(0.04 * fs) | 1), "same") > 0
    parts = []
    for a, b in stretches(~broken):
        if b - a < 0.1 * fs:
            continue
        piece = resample_poly(y[int(a) : int(b)] - y[int(a)], 1, down)
        line = np.polynomial.Polynomial.fit(np.arange(len(piece)), piece, 2)
        made = background(piece - line(np.arange(len(piece))), fs / down, name, 0.004)
        if made is not None:
            parts.append(made)
    return parts


def extracellular(data: Path, split: str) -> list[Background]:
    """Return the band of spikes (300 to 6,000 Hz) of extracellular recordings of one split."""
    found: list[Background | None] = []
    with np.load(data / "other/locust_tetrode_trial02.npz") as z:
        fs, x = float(z["fs"]), z["signal"].astype(float)
    for wire in (3,) if split == "val" else (0, 1, 2):
        found.append(background(band(x[:, wire], fs), fs, f"tetrode wire {wire}", 0.001))
    if split == "val":
        with np.load(data / "other/purkinje_cell_attached.npz") as z:
            fs, y = float(z["fs"]), z["signal"].astype(float)
        found.append(background(band(y, fs), fs, "Purkinje cell", 0.002))
    return [f for f in found if f is not None]


def band(x: NDArray[Any], fs: float) -> NDArray[np.float64]:
    """Return the band in which extracellular spikes are looked for."""
    sos = butter(2, [300, min(6000, 0.45 * fs)], "band", fs=fs, output="sos")
    return np.asarray(sosfiltfilt(sos, x - x.mean()))


class Backgrounds:
    """Windows of real backgrounds of one split."""

    def __init__(self, data: Path, split: str = "train") -> None:
        self.currents, self.spikes = currents(data, split), extracellular(data, split)

    def current(self, rng: np.random.Generator, sampling_rate: float) -> tuple[NDArray[Any], list[Any]]:
        """Return noise of a current at about a sampling rate, and the stretches that stand out."""
        one = self.currents[rng.integers(len(self.currents))]
        return one.window(rng, min(one.sampling_rate / sampling_rate, 4.0) if rng.random() < 0.5 else 1.0)

    def spike(self, rng: np.random.Generator, sampling_rate: float) -> tuple[NDArray[Any], list[Any]]:
        """Return the noise of an extracellular recording, and the stretches that stand out."""
        one = self.spikes[rng.integers(len(self.spikes))]
        return one.window(rng, one.sampling_rate / sampling_rate)
