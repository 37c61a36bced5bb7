"""Validation sets of physio-FM, the scores on them, and classical peers where they are a few lines.

`python training/physio/measure.py --checkpoint runs/physio/stock/last.pt [--only psc ap ...]` prints a
table. Nothing in here is trained on: other cells, other files, other records, other seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from scipy.signal import fftconvolve, find_peaks  # noqa: E402

from napari_biofm.events.fm import PhysioFM  # noqa: E402
from napari_biofm.events.fm.table import scores  # noqa: E402
from napari_biofm.types import Signal  # noqa: E402
from training.physio.real import Real  # noqa: E402
from training.physio.simulators.calcium import groups  # noqa: E402
from training.physio.simulators.noise import coloured  # noqa: E402
from training.physio.simulators.psc import waveform  # noqa: E402
from training.physio.simulators.spike import shape  # noqa: E402

DEFAULT_CARD: dict[str, Any] = {
    "version": "0",
    "calibration": {},
    "presets": {},
    "rungs": {"psc": [0, 1], "ap": [1]},
}


def match(
    truth: NDArray[Any], found: NDArray[Any], score: NDArray[Any], tolerance: float
) -> NDArray[np.bool_]:
    """Return which found events are true: best score first, each truth taken once, the nearest free one."""
    free = np.ones(len(truth), bool)
    hit = np.zeros(len(found), bool)
    for i in np.argsort(-score, kind="stable"):
        a, b = np.searchsorted(truth, [found[i] - tolerance, found[i] + tolerance])
        options = [k for k in range(a, b) if free[k]]
        if options:
            k = min(options, key=lambda j: abs(truth[j] - found[i]))
            free[k], hit[i] = False, True
    return hit


class Scores:
    """Found events of many traces against their truth."""

    def __init__(self) -> None:
        self.rows: list[tuple[NDArray[Any], NDArray[Any]]] = []
        self.n = 0

    def add(self, truth: NDArray[Any], found: NDArray[Any], score: NDArray[Any], tolerance: float) -> None:
        """Add one trace."""
        self.n += len(truth)
        self.rows.append((score, match(np.sort(truth), found, score, tolerance)))

    def f1(self, threshold: float | None = None) -> tuple[float, float]:
        """Return F1 at a threshold (or the best one) and that threshold."""
        score = np.concatenate([r[0] for r in self.rows]) if self.rows else np.zeros(0)
        hit = np.concatenate([r[1] for r in self.rows]) if self.rows else np.zeros(0, bool)
        order = np.argsort(-score)
        tp = np.cumsum(hit[order])
        f = 2 * tp / (np.arange(1, len(tp) + 1) + self.n)
        if not len(f):
            return 0.0, 0.5
        if threshold is None:
            k = int(np.argmax(f))
            return float(f[k]), float(score[order][k])
        k = int((score >= threshold).sum())
        return (float(f[k - 1]) if k else 0.0), threshold


def found_by(model: PhysioFM, signal: Signal, kind: str) -> tuple[NDArray[Any], NDArray[Any], Any]:
    """Return times, calibrated scores and the candidates of a signal."""
    from napari_biofm.events.fm.decode import Candidates

    parts = [part for _, _, part in model.candidates(signal, kind)]
    if not parts:
        return np.zeros(0), np.zeros(0), None
    joined = Candidates.join(parts)
    score = scores(kind, joined.logit, model.card)
    score = np.where(joined.artefact > np.maximum(joined.logit, 0), 0, score)
    return joined.time, score, joined


# --------------------------------------------------------------------------- action potentials
def ap_sets(real: Real) -> dict[str, list[tuple[Signal, NDArray[Any]]]]:
    """Return kept-back action-potential recordings, clean and under four hardships."""
    out: dict[str, list[tuple[Signal, NDArray[Any]]]] = {}
    for i, (v, sure, _, fs, _) in enumerate(real.aps):
        rng = np.random.default_rng((11, i))
        n, t = len(v), np.arange(len(v)) / fs
        v = v.astype(float)
        pulses = np.zeros(n)
        for at in rng.integers(0, n - 8, rng.poisson(10 * n / fs)):
            if len(sure) == 0 or np.abs(sure - at).min() > 0.0015 * fs:
                pulses[at : at + max(1, int(0.0002 * fs))] += 80 * rng.choice([-1, 1])
        slow = np.interp(t, np.linspace(0, t[-1], 9), rng.uniform(-25, 25, 9))
        made = {
            "clean": v,
            "spikelets": 0.35 * v + rng.normal(size=n) + 1.0 * np.sin(2 * np.pi * 50 * t),
            "noise 4 mV": v + 4 * rng.normal(size=n),
            "drift": v + slow,
            "artefacts": v + pulses,
        }
        for name, x in made.items():
            out.setdefault(name, []).append((Signal(x.astype(np.float32), fs, "mV"), sure / fs))
    return out


def prominences(signal: Signal) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return peaks (s) and their prominence within 50 ms: the peer for action potentials."""
    k, p = find_peaks(signal.values, prominence=5, wlen=int(0.05 * signal.sampling_rate) | 1)
    return k / signal.sampling_rate, p["prominences"]


# --------------------------------------------------------------------------- synaptic currents
def psc_trace(
    rng: np.random.Generator, fs: float, snr: float, noise: NDArray[Any], inhibitory: bool
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Return currents of one kinetic family in given noise, and the times of their peaks."""
    n = len(noise)
    rise = rng.uniform(0.5e-3, 1e-3) if inhibitory else rng.uniform(0.15e-3, 0.5e-3)
    decay = rng.uniform(8e-3, 20e-3) if inhibitory else rng.uniform(2e-3, 7e-3)
    x = noise / noise.std()
    truth = []
    for s in np.cumsum(rng.exponential(fs / 4.0, int(4.5 * n / fs) + 4)):
        wave, peak = waveform(rise * np.exp(rng.normal() * 0.2), decay * np.exp(rng.normal() * 0.2), fs)
        if s + peak + 10 >= n:
            break
        a = int(s)
        stop = min(n, a + len(wave))
        x[a:stop] -= snr * np.exp(rng.normal() * 0.25) * wave[: stop - a]
        truth.append((a + peak) / fs)
    return (x * 4).astype(np.float32), np.array(truth)


def psc_sets(real: Real) -> dict[str, list[tuple[Signal, NDArray[Any]]]]:
    """Return semi-synthetic currents over measured noise spectra, four kinetics per signal-to-noise ratio."""
    out: dict[str, list[tuple[Signal, NDArray[Any]]]] = {}
    for snr in (2, 3, 4, 6, 10):
        for i in range(8):
            rng = np.random.default_rng((5, snr, i))
            fs = float(rng.choice([10e3, 20e3, 20e3, 50e3]))
            row = real.spectra[rng.integers(len(real.spectra))]
            n = int(8 * fs)
            f = np.linspace(0, 1, n // 2 + 1)
            shape_ = np.interp(f * fs / 20e3, np.linspace(0, 1, len(row)), row)
            z = rng.normal(size=(2, len(f)))
            noise = np.fft.irfft((z[0] + 1j * z[1]) * shape_, n)
            x, truth = psc_trace(rng, fs, snr, noise, i % 4 == 3)
            out.setdefault(f"SNR {snr}", []).append((Signal(x, fs, "pA"), truth))
    return out


def template_matches(x: NDArray[Any], fs: float, rise: float, decay: float) -> NDArray[Any]:
    """Return the detection criterion of Clements & Bekkers 1997 for a downward current."""
    wave, _ = waveform(rise, decay, fs)
    wave = -wave[: int(5 * decay * fs)]
    n = len(wave)
    kernel = wave[::-1]
    sums, squares = (fftconvolve(v, np.ones(n), "valid") for v in (x, x**2))
    dot = fftconvolve(x, kernel, "valid")
    scale = (dot - wave.sum() * sums / n) / (np.sum(wave**2) - wave.sum() ** 2 / n)
    offset = (sums - scale * wave.sum()) / n
    sse = squares + scale**2 * np.sum(wave**2) + n * offset**2
    sse = sse - 2 * (scale * dot + offset * sums - scale * offset * wave.sum())
    return np.asarray(scale / np.sqrt(np.maximum(sse, 1e-9) / (n - 1)))


def template_peaks(signal: Signal) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return peaks (s) of the criterion of Clements & Bekkers for downward currents of 0.4 / 5 ms: the
    peer.
    """
    thin = max(1, round(signal.sampling_rate / 10e3))
    x = signal.values.astype(float)
    x = x[: len(x) // thin * thin].reshape(-1, thin).mean(1)
    fs = signal.sampling_rate / thin
    k, p = find_peaks(template_matches(x, fs, 0.4e-3, 5e-3), height=0.5, distance=int(0.003 * fs))
    return (k + 0.001 * fs) / fs, p["peak_heights"]


def measure_windows(model: PhysioFM, data: Path) -> dict[str, Any]:
    """Return the AUC of accept against reject on scored mini windows (600 samples at 50 kHz), zero-shot."""
    import h5py
    from sklearn.metrics import roc_auc_score

    with h5py.File(data / "minis/granule_cell_scored_windows.h5") as handle:
        events, label = np.asarray(handle["events"]), np.asarray(handle["scores"])
    keep = label < 2
    best = []
    for x in events[keep]:
        unit = x.astype(np.float32)
        _, score, _ = found_by(model, Signal(unit, 50e3, "pA"), "psc")
        best.append((score.max() if len(score) else 0.0, np.ptp(np.convolve(x, np.ones(15) / 15, "valid"))))
    table = np.array(best)
    return {
        "n": int(keep.sum()),
        "AUC": float(roc_auc_score(label[keep], table[:, 0])),
        "amplitude alone": float(roc_auc_score(label[keep], table[:, 1])),
        "range pA": [float(np.median(table[:, 1]))],
    }


# --------------------------------------------------------------------------- extracellular, ECG
def spike_sets() -> dict[str, list[tuple[Signal, NDArray[Any]]]]:
    """Return extracellular spikes of one unit at three signal-to-noise ratios."""
    out: dict[str, list[tuple[Signal, NDArray[Any]]]] = {}
    for snr in (3, 4, 5):
        for i in range(6):
            rng = np.random.default_rng((3, snr, i))
            fs = float(rng.choice([20e3, 24e3, 30e3]))
            n = int(5 * fs)
            x = np.concatenate([coloured(rng, fs) for _ in range(n // 2048 + 1)])[:n]
            wave, trough = shape(rng, fs)
            at = np.cumsum(rng.exponential(fs / 15, 150) + 0.003 * fs).astype(int)
            at = at[at + len(wave) < n]
            for a in at:
                x[a : a + len(wave)] += snr * wave
            signal = Signal((x * 12).astype(np.float32), fs, "uV")
            out.setdefault(f"SNR {snr}", []).append((signal, (at + trough) / fs))
    return out


def sigmas(signal: Signal) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return troughs (s) and their depth in robust standard deviations: the peer for spikes."""
    x = signal.values.astype(float)
    noise = np.median(np.abs(x)) / 0.6745
    k, p = find_peaks(-x, height=2 * noise, distance=int(0.0008 * signal.sampling_rate))
    return k / signal.sampling_rate, p["peak_heights"] / noise


def ecg_sets(real: Real, most: int = 60) -> dict[str, list[tuple[Signal, NDArray[Any]]]]:
    """Return kept-back electrocardiograms as they are and with coloured noise of 0.3 and 0.6 R waves
    added.
    """
    out: dict[str, list[tuple[Signal, NDArray[Any]]]] = {}
    for name, level in (("clean", 0.0), ("noise 0.3", 0.3), ("noise 0.6", 0.6)):
        for i, (x, peaks, _) in enumerate(real.beats[:most]):
            rng = np.random.default_rng((2, i))
            size = np.median(np.abs(x[peaks].astype(float)))
            y = (
                x
                + level
                * size
                * np.concatenate([coloured(rng, 300.0) for _ in range(len(x) // 2048 + 1)])[: len(x)]
            )
            out.setdefault(name, []).append((Signal(y.astype(np.float32), 300.0, "other"), peaks / 300.0))
    return out


# --------------------------------------------------------------------------- calcium
def smooth(rate: NDArray[Any], fs: float, sigma: float = 0.05) -> NDArray[Any]:
    """Smooth with a Gaussian of `sigma` seconds."""
    from scipy.ndimage import gaussian_filter1d

    return np.asarray(gaussian_filter1d(rate.astype(float), max(sigma * fs, 0.3)))


def ar1_deconvolved(x: NDArray[Any], fs: float) -> NDArray[Any]:
    """Return non-negative steps of a plain AR(1) deconvolution: a peer of a few lines, decay by
    autocovariance.
    """
    y = x - np.quantile(x, 0.2)
    c = [np.mean(y[: len(y) - k] * y[k:]) for k in (1, 2, 3)]
    g = float(np.clip(c[1] / max(c[0], 1e-12), 0.3, 0.999))
    return np.maximum(np.diff(y, prepend=y[0]) + (1 - g) * np.concatenate([[0], y[:-1]]), 0)


def calcium_sets(real: Real) -> dict[str, list[tuple[Signal, NDArray[Any]]]]:
    """Return kept-back cells and the first spikes of their groups."""
    out: dict[str, list[tuple[Signal, NDArray[Any]]]] = {}
    for dff, fs, spikes, name in real.cells:
        if len(spikes) >= 3 and len(dff) >= 100:
            out.setdefault(name, []).append((Signal(dff, fs, "dF/F"), groups(spikes)))
    return out


def measure_rate(model: PhysioFM, real: Real) -> dict[str, Any]:
    """Return the median r of rates smoothed with 50 ms per set, beside AR(1) deconvolution; coverage of the
    band.
    """
    sets: dict[str, Any] = {}
    for dff, fs, spikes, name in real.cells:
        if len(spikes) < 3 or len(dff) < 100:
            continue
        row = sets.setdefault(name, {"r": [], "peer": [], "ratio": [], "covered": []})
        rate, low, high = model.rate(dff[None], fs)
        truth = np.bincount(np.clip((spikes * fs).astype(int), 0, len(dff) - 1), minlength=len(dff)) * fs
        target = smooth(truth, fs)
        row["r"].append(np.corrcoef(smooth(rate[0], fs), target)[0, 1])
        row["ratio"].append(rate.mean() / max(truth.mean(), 1e-9))
        row["peer"].append(np.corrcoef(smooth(ar1_deconvolved(dff, fs), fs), target)[0, 1])
        row["covered"].append(np.mean((target >= low[0] - 1e-3) & (target <= high[0] + 1e-3)))
    return {
        k: {
            "cells": len(v["r"]), "r": float(np.nanmedian(v["r"])), "r AR1": float(np.nanmedian(v["peer"])),
            "rate ratio": float(np.median(v["ratio"])), "coverage": float(np.mean(v["covered"])),
        }
        for k, v in sorted(sets.items())
    }  # fmt: skip


TOLERANCE = {"ap": 1.5e-3, "psc": 5e-3, "spike": 0.5e-3, "ecg": 0.1, "calcium": 0.15}
PEER = {"ap": prominences, "psc": template_peaks, "spike": sigmas}


def labelled_sets(kind: str, real: Real) -> dict[str, list[tuple[Signal, NDArray[Any]]]]:
    """Return the labelled traces of a kind per set."""
    makers: dict[str, Callable[[], Any]] = {
        "ap": lambda: ap_sets(real),
        "psc": lambda: psc_sets(real),
        "spike": spike_sets,
        "ecg": lambda: ecg_sets(real),
        "calcium": lambda: calcium_sets(real),
    }
    made: dict[str, list[tuple[Signal, NDArray[Any]]]] = makers[kind]()
    return made


def measure_events(model: PhysioFM, real: Real, kind: str, part: slice = slice(None)) -> dict[str, Any]:
    """Return per set: n, F1 at the balanced preset, best F1 and its threshold, and the peer's best
    (oracle).
    """
    out = {}
    balanced = model.card["presets"].get(kind, {"balanced": 0.5})["balanced"]
    for name, traces in labelled_sets(kind, real).items():
        ours, peer = Scores(), Scores()
        for signal, truth in traces[part]:
            time_s, score, _ = found_by(model, signal, kind)
            ours.add(truth, time_s, score, TOLERANCE[kind])
            if kind in PEER:
                peer.add(truth, *PEER[kind](signal), TOLERANCE[kind])
        best, at = ours.f1()
        out[name] = {"n": ours.n, "f1": ours.f1(balanced)[0], "best": best, "at": at}
        if kind in PEER:
            out[name]["peer oracle"] = peer.f1()[0]
    return out


def model_of(checkpoint: Path, card: dict[str, Any] | None = None) -> PhysioFM:
    """Return a model with the averaged weights of a training checkpoint."""
    import torch

    from napari_biofm.events.fm.network import PhysioNet

    state = torch.load(checkpoint, weights_only=True)["average"]
    import tomllib

    config = tomllib.loads((Path(__file__).parent / "config.toml").read_text())["model"]
    model = PhysioFM()
    net = PhysioNet(**config)
    net.load_state_dict(state)
    model._net, model._card = net.eval(), card or DEFAULT_CARD
    return model


def main() -> None:
    """Print the validation table as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data/ephys")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs/physio/cache")
    parser.add_argument("--only", nargs="*")
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    real = Real(arguments.data, arguments.cache, "val")
    model = model_of(arguments.checkpoint) if arguments.checkpoint else PhysioFM()
    suites: dict[str, Callable[[], dict[str, Any]]] = {
        kind: (lambda kind=kind: measure_events(model, real, kind)) for kind in TOLERANCE
    }
    suites["windows"] = lambda: {"granule cells": measure_windows(model, arguments.data)}
    suites["rate"] = lambda: measure_rate(model, real)
    for name, suite in suites.items():
        if arguments.only and name not in arguments.only:
            continue
        start = time.monotonic()
        for key, row in suite().items():
            sys.stdout.write(
                json.dumps({"set": f"{name} / {key}", "is": row}, default=lambda v: round(v, 4)) + "\n"
            )
        sys.stdout.write(f"# {name}: {time.monotonic() - start:.1f} s\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
