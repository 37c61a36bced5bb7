"""Real recordings as training windows: read once into a cache, split by file, cell or record.

Labels: spikes of the calcium sets are measured; action potentials are found by a rule on clean recordings and
then made hard to see; R peaks are found by XQRS (wfdb) on recordings that it and a plain energy detector
read alike. Sources and licences: README of the data, and REPORT.md beside this file.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks, welch

from napari_biofm.events.physio_fm.input_encoding import RHYTHMS

from .simulators.ap import AP, stimuli
from .simulators.calcium import RATES, at_rate
from .simulators.crop import LENGTH, Crop, log_uniform
from .simulators.ecg import R
from .simulators.noise import coloured, drift, faults, hum

VALIDATION_FILES = ("18713001", "17o05028_ic_steps", "18425108", "19702037")  # action potentials
VALIDATION_SETS = ("DS10", "DS16", "DS20")  # calcium sets never trained on
AP_FILES = (
    "171116sh_0016", "171116sh_0019", "17o05027_ic_ramp", "17o05028_ic_steps", "18425108", "18711001",
    "18713001",
    "190619B_0003", "19702037", "19702038", "2019_07_24_0051", "2019_07_24_0055_fsi", "File_axon_3",
    "File_axon_5", "opto_aps_good_units",
)  # fmt: skip


def rule_aps(v: NDArray[np.floating[Any]], fs: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return peaks that are action potentials in a clean trace (mV), and peaks that may be.

    An action potential rises at >= 10 mV/ms within 2 ms before its peak, stands out by >= 20 mV within 50 ms
    and is narrower than 5 ms at half of that.
    """
    peaks, p = find_peaks(v, prominence=4, wlen=int(0.05 * fs) | 1, width=0, rel_height=0.5)
    slope = np.gradient(v) * fs / 1000
    before = np.array([slope[max(0, k - int(0.002 * fs)) : k + 1].max() for k in peaks])
    sure = (
        (p["prominences"] >= 20) & (before >= 10) & (p["widths"] < 0.005 * fs)
        if len(peaks)
        else np.zeros(0, bool)
    )
    maybe = ~sure & (before >= 4) if len(peaks) else sure
    return one_each(v, peaks[sure], fs), one_each(v, peaks[maybe], fs)


def one_each(v: NDArray[np.floating[Any]], peaks: NDArray[np.int64], fs: float) -> NDArray[np.int64]:
    """Return the highest of peaks within a millisecond of each other: quantised tops have several."""
    keep: list[int] = []
    for k in peaks.tolist():
        if keep and k - keep[-1] < 0.001 * fs:
            keep[-1] = k if v[k] > v[keep[-1]] else keep[-1]
        else:
            keep.append(k)
    return np.array(keep, np.int64)


def build_cache(data: Path, cache: Path) -> None:
    """Read the shared recordings into `cache` (npz of plain arrays)."""
    import pyabf

    warnings.filterwarnings("ignore")
    cache.mkdir(parents=True, exist_ok=True)
    out: dict[str, Any] = {}
    spectra, i = [], 0
    for path in sorted((data / "abf").glob("*.abf")):
        abf = pyabf.ABF(str(path))
        for channel in range(abf.channelCount):
            unit = abf.adcUnits[channel]
            is_ap = path.stem in AP_FILES and unit == "mV"
            if not is_ap and (unit != "pA" or abf.dataRate < 10000):
                continue
            for sweep in range(0, abf.sweepCount, 1 if is_ap else max(1, abf.sweepCount // 3)):
                abf.setSweep(sweep, channel=channel)
                y = abf.sweepY.astype(np.float32)
                if not is_ap:
                    if len(y) > 8192 and np.ptp(y) > 0:
                        quiet = min((y[k : k + 4096] for k in range(0, len(y) - 4096, 4096)), key=np.ptp)
                        power = np.sqrt(welch(quiet - quiet.mean(), nperseg=512)[1][1:])
                        spectra.append(power / np.median(power))
                        out[f"vc_{i}"] = y[: 20 * abf.dataRate]
                        out[f"vc_{i}_fs"] = np.float64(abf.dataRate)
                        i += 1
                    continue
                sure, maybe = rule_aps(y, abf.dataRate)
                split = "val" if path.stem in VALIDATION_FILES else "train"
                key = f"ap_{split}_{path.stem}_{channel}_{sweep}"
                out[key], out[key + "@t"], out[key + "@m"] = y, sure, maybe
                out[key + "@fs"] = np.float64(abf.dataRate)
    np.savez(cache / "abf.npz", spectra=np.array(spectra, np.float32), **out)


def r_peaks(x: NDArray[np.floating[Any]], fs: float) -> tuple[NDArray[np.int64], float]:
    """Return R peaks by XQRS and how well a plain energy detector agrees (F1 within 100 ms)."""
    from wfdb import processing

    peaks = processing.XQRS(sig=x.astype(float), fs=fs)
    peaks.detect(verbose=False)
    found = np.asarray(peaks.qrs_inds, np.int64)
    if len(found) < 4:
        return found, 0.0
    smooth = np.convolve(np.gradient(x.astype(float)) ** 2, np.ones(int(0.12 * fs)), "same")
    other, _ = find_peaks(smooth, distance=int(0.28 * fs), height=0.15 * np.quantile(smooth, 0.97))
    near = (
        np.abs(found[:, None] - other[None]).min(1) <= 0.1 * fs if len(other) else np.zeros(len(found), bool)
    )
    w = int(0.06 * fs)
    base = np.median(x)
    ways = []
    for way in (1.0, -1.0):  # one polarity per recording
        y = way * (x - base)
        at = np.array([max(0, k - w) + np.argmax(y[max(0, k - w) : k + w]) for k in found])
        ways.append((float(np.median(y[at])), at))
    placed = max(ways, key=lambda item: item[0])[1]
    return placed, 2 * near.sum() / (len(found) + len(other))


def build_ecg(data: Path, cache: Path) -> None:
    """Find R peaks in the single-lead recordings once."""
    import csv

    with (data / "ecg/physionet2017_train.csv").open() as handle:
        labels = {row["record"]: row["label"] for row in csv.DictReader(handle)}
    out: dict[str, Any] = {}
    with np.load(data / "ecg/physionet2017_train.npz") as records:
        for n, name in enumerate(sorted(labels)):
            x = records[name]
            peaks, agreement = (
                r_peaks(x, 300.0) if labels[name] != "~" and n % 3 != 1 else (np.zeros(0, int), 0.0)
            )
            split = "val" if n % 5 == 0 else "train"
            key = f"{split}_{name}"
            out[key], out[key + "@t"] = x, peaks
            out[key + "@q"] = np.array([agreement, RHYTHMS.index(labels[name])])
    np.savez(cache / "ecg.npz", **out)


class Real:
    """Windows of real recordings of one split."""

    def __init__(self, data: Path, cache: Path, split: str = "train") -> None:
        if not (cache / "abf.npz").exists():
            build_cache(data, cache)
        if not (cache / "ecg.npz").exists():
            build_ecg(data, cache)
        self.split = split
        with np.load(cache / "abf.npz") as z:
            self.spectra = z["spectra"]
            keys = [k for k in z if k.startswith(f"ap_{split}_") and "@" not in k]
            self.aps = [
                (
                    z[k],
                    one_each(z[k], z[k + "@t"], float(z[k + "@fs"])),
                    z[k + "@m"],
                    float(z[k + "@fs"]),
                    k.split("_", 2)[2],
                )
                for k in keys
            ]
            self.clamped = [(z[k], float(z[k + "_fs"])) for k in z if k.startswith("vc_") and "fs" not in k]
        self.beats: list[Any] = []
        self.clips: list[Any] = []
        with np.load(cache / "ecg.npz") as z:
            for k in z:
                if k.startswith(split) and "@" not in k:
                    self.clips.append((z[k], int(z[k + "@q"][1])))
                    if z[k + "@q"][0] > 0.97:
                        self.beats.append((z[k], z[k + "@t"], int(z[k + "@q"][1])))
        self.cells = list(self._cells(data / "calcium_spikes"))

    def _cells(self, folder: Path) -> Any:
        for path in sorted(folder.glob("DS*.npz")):
            kept_back = path.name.startswith(VALIDATION_SETS)
            with np.load(path) as z:
                for i, key in enumerate(sorted(k[:-4] for k in z if k.endswith("_dff"))):
                    if (kept_back or i % 5 == 0) == (self.split == "val"):
                        dff = z[key + "_dff"].astype(np.float32)
                        bad = ~np.isfinite(dff)
                        dff[bad] = 0
                        yield (
                            dff,
                            float(z[key + "_fs"]),
                            np.sort(z[key + "_spikes_s"]).astype(float),
                            path.stem,
                        )

    def ap(self, rng: np.random.Generator) -> Crop:
        """Draw a window around real action potentials and make them hard to see."""
        v, sure, maybe, fs, _ = self.aps[rng.integers(len(self.aps))]
        stretch = 1.0 if rng.random() < 0.6 else float(np.exp(rng.uniform(np.log(0.6), np.log(1.6))))
        need = int(LENGTH * stretch) + 2
        if len(v) <= need:
            stretch, need = 1.0, LENGTH
        centre = (
            rng.integers(len(v)) if rng.random() < 0.2 or not len(sure) else sure[rng.integers(len(sure))]
        )
        start = int(np.clip(centre - rng.integers(need), 0, max(0, len(v) - need)))
        grid = start + np.arange(LENGTH) * stretch
        x = np.interp(grid, np.arange(len(v)), v).astype(float)
        time = (sure - start) / stretch
        time = time[(time >= 0) & (time < LENGTH)]
        unsure = (maybe - start) / stretch
        unsure = unsure[(unsure >= 0) & (unsure < LENGTH)]
        ignore = np.stack([unsure - 12, unsure + 12], 1)
        clean = x - np.median(x)
        scale = 1.0
        if rng.random() < 0.35:
            scale = rng.uniform(0.15, 1.0)
            x = x * scale if rng.random() < 0.5 else np.median(x) + (x - np.median(x)) * scale
        rows = [(t, x[int(t)] - np.median(x), np.nan, np.nan, AP) for t in time]
        artefacts: list[float] = []
        if rng.random() < 0.35:
            x, artefacts = stimuli(rng, x, fs, rows)
        sigma = 0.1
        if rng.random() < 0.6:
            sigma = log_uniform(rng, 0.1, 6.0) * (0.25 + 0.75 * scale)
            noise = rng.normal(size=LENGTH) if rng.random() < 0.5 else coloured(rng)
            x = x + sigma * noise
        if rng.random() < 0.25:
            x = x + log_uniform(rng, 0.3, 6) * hum(rng, fs)
        if rng.random() < 0.3:
            x = x + rng.uniform(0, 40) * drift(rng)
        n = len(time)
        nan = np.full(n, np.nan)
        found: tuple[str, ...] | None = None
        if rng.random() < 0.08:
            x, clean, found = -x, -clean, ("inverted",)
            rows = [(t, -a, r, d, k) for t, a, r, d, k in rows]
        amplitude = np.array([r[1] for r in rows], float)
        return Crop(
            x.astype(np.float32), fs / stretch if rng.random() < 0.5 else fs, "mV", "ap", time, amplitude,
            nan, nan, np.full(n, AP), np.array(artefacts), ignore, (clean * scale).astype(np.float32),
            faults=found,
        )  # fmt: skip

    def calcium(self, rng: np.random.Generator) -> Crop:
        """Draw a window of a cell with known spikes, at some frame rate, gain and noise."""
        dff, fs, spikes, _ = self.cells[rng.integers(len(self.cells))]
        pace = 1.0 if rng.random() < 0.5 else rng.uniform(0.7, 1.5)
        thin = 1
        while fs * pace / thin > RATES[1] or (fs * pace / thin > 12 and rng.random() < 0.25):
            thin += 1
        rate = fs * pace / thin
        factor = 1
        while rate * factor < RATES[0] and factor < 16:
            factor *= 2
        n = LENGTH // factor
        start = int(rng.integers(max(1, len(dff) - n * thin)))
        piece = dff[start : start + n * thin]
        piece = piece[: len(piece) // thin * thin].reshape(-1, thin).mean(1).astype(float)
        length = len(piece)
        if length < n:
            piece = np.pad(piece, (0, n - length), mode="reflect" if n < 2 * length else "wrap")
        time = spikes - start / fs
        time = time[(time >= 0) & (time < length * thin / fs)] / pace
        if rng.random() < 0.5:
            piece = piece * log_uniform(rng, 0.4, 2.5)
        if rng.random() < 0.35:
            piece = piece + log_uniform(rng, 0.1, 1.5) * np.std(np.diff(piece)) * rng.normal(size=n)
        if rng.random() < 0.25:
            piece = piece + rng.uniform(0, 1) * np.std(piece) * drift(rng, n)
        crop = at_rate(piece, None, time - 0.5 * (thin - 1) / fs / pace, rate, factor)
        if length < n:
            crop.ignore = np.array([[length * factor, LENGTH]], float)
        return crop

    def ecg(self, rng: np.random.Generator) -> Crop:
        """Draw a window of a real electrocardiogram with noise added."""
        if rng.random() < 0.25 or not self.beats:
            x, rhythm = self.clips[rng.integers(len(self.clips))]
            begin = int(rng.integers(max(1, len(x) - LENGTH)))
            clip = np.pad(
                x[begin : begin + LENGTH].astype(np.float32), (0, max(0, LENGTH - len(x))), mode="reflect"
            )
            return Crop(clip, 300.0, "other", "ecg", labelled=False, faults=None, rhythm=rhythm)
        x, peaks, rhythm = self.beats[rng.integers(len(self.beats))]
        start = int(rng.integers(max(1, len(x) - LENGTH)))
        piece = x[start : start + LENGTH].astype(float)
        time = (peaks - start).astype(float)
        time = time[(time >= 0) & (time < LENGTH)]
        sigma = (
            np.median(np.abs(piece[np.clip(time.astype(int), 0, LENGTH - 1)])) if len(time) else piece.std()
        )
        amplitude = piece[time.astype(int)] - np.median(piece)
        if rng.random() < 0.6:
            piece = piece + log_uniform(rng, 0.02, 0.5) * sigma * coloured(rng)
            rhythm = -1
        piece, _ = faults(rng, piece, 300.0, 0.1 * sigma + 1e-3, 0.2)
        way = rng.choice([-1.0, 1.0], p=[0.25, 0.75])
        n = len(time)
        nan = np.full(n, np.nan)
        crop = Crop(
            (way * piece).astype(np.float32), 300.0, "other", "ecg", time, way * amplitude, nan, nan,
            np.full(n, R), faults=None, rhythm=rhythm,
        )  # fmt: skip
        if rng.random() < 0.4:
            crop.x, crop.unit, crop.amplitude = crop.x / np.float32(1000), "mV", crop.amplitude / 1000
        return crop

    def clamp(self, rng: np.random.Generator) -> Crop:
        """Draw a window of a real voltage-clamp recording without labels."""
        y, fs = self.clamped[rng.integers(len(self.clamped))]
        thin = int(rng.choice([1, 2]))
        start = int(rng.integers(max(1, len(y) - LENGTH * thin)))
        piece = y[start : start + LENGTH * thin : thin]
        piece = np.pad(
            piece, (0, LENGTH - len(piece)), mode="reflect" if len(piece) > LENGTH // 2 else "wrap"
        )
        return Crop(piece.astype(np.float32), fs / thin, "pA", "psc", labelled=False, faults=None)
