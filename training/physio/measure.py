"""What physio-FM and classical peers of a few lines score on the validation sets.

`python training/physio/measure.py --checkpoint runs/physio/stock/last.pt [--only psc ap ...] [--rungs 0 2]`
prints a table. Nothing in here is trained on: other cells, other files, other records, other seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from scipy.signal import fftconvolve, find_peaks  # noqa: E402

from napari_biofm.events.physio_fm import PhysioFM  # noqa: E402
from napari_biofm.events.physio_fm.table import scores  # noqa: E402
from napari_biofm.types import Trace  # noqa: E402
from training.physio.real import Real  # noqa: E402
from training.physio.sets import TOLERANCE, Scores, labelled_sets  # noqa: E402
from training.physio.simulators.psc import waveform  # noqa: E402

DEFAULT_CARD: dict[str, Any] = {
    "version": "0",
    "calibration": {},
    "presets": {},
    "rungs": {"psc": [0, 2], "ap": [1]},
}


def found_by(model: PhysioFM, signal: Trace, kind: str) -> tuple[NDArray[Any], NDArray[Any], Any]:
    """Return times, calibrated scores and the candidates of a signal."""
    joined = model.found(signal, kind)
    if joined is None:
        return np.zeros(0), np.zeros(0), None
    score = scores(kind, joined.logit, model.card)
    score = np.where(joined.is_artefact, 0, score)
    return joined.time, score, joined


def prominences(signal: Trace) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return peaks (s) and their prominence within 50 ms: the peer for action potentials."""
    k, p = find_peaks(signal.values, prominence=5, wlen=int(0.05 * signal.sampling_rate) | 1)
    return k / signal.sampling_rate, p["prominences"]


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


def template_peaks(signal: Trace) -> tuple[NDArray[Any], NDArray[Any]]:
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
        _, score, _ = found_by(model, Trace(unit, 50e3, "pA"), "psc")
        best.append((score.max() if len(score) else 0.0, np.ptp(np.convolve(x, np.ones(15) / 15, "valid"))))
    table = np.array(best)
    return {
        "n": int(keep.sum()),
        "AUC": float(roc_auc_score(label[keep], table[:, 0])),
        "amplitude alone": float(roc_auc_score(label[keep], table[:, 1])),
        "range pA": [float(np.median(table[:, 1]))],
    }


def sigmas(signal: Trace) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return troughs (s) and their depth in robust standard deviations: the peer for spikes."""
    x = signal.values.astype(float)
    noise = np.median(np.abs(x)) / 0.6745
    k, p = find_peaks(-x, height=2 * noise, distance=int(0.0008 * signal.sampling_rate))
    return k / signal.sampling_rate, p["peak_heights"] / noise


# --------------------------------------------------------------------------- calcium
def smooth(rate: NDArray[Any], fs: float, sigma: float = 0.05) -> NDArray[Any]:
    """Smooth with a Gaussian of `sigma` seconds."""
    from scipy.ndimage import gaussian_filter1d

    return np.asarray(gaussian_filter1d(rate.astype(float), max(sigma * fs, 0.3)))


def ar1_deconvolved(x: NDArray[Any]) -> NDArray[Any]:
    """Return non-negative steps of a plain AR(1) deconvolution: a peer of a few lines, decay by
    autocovariance.
    """
    y = x - np.quantile(x, 0.2)
    c = [np.mean(y[: len(y) - k] * y[k:]) for k in (1, 2, 3)]
    g = float(np.clip(c[1] / max(c[0], 1e-12), 0.3, 0.999))
    return np.maximum(np.diff(y, prepend=y[0]) + (1 - g) * np.concatenate([[0], y[:-1]]), 0)


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
        row["peer"].append(np.corrcoef(smooth(ar1_deconvolved(dff), fs), target)[0, 1])
        row["covered"].append(np.mean((target >= low[0] - 1e-3) & (target <= high[0] + 1e-3)))
    return {
        k: {
            "cells": len(v["r"]), "r": float(np.nanmedian(v["r"])), "r AR1": float(np.nanmedian(v["peer"])),
            "rate ratio": float(np.median(v["ratio"])), "coverage": float(np.mean(v["covered"])),
        }
        for k, v in sorted(sets.items())
    }  # fmt: skip


PEER = {"ap": prominences, "psc": template_peaks, "spike": sigmas}


def measure_events(model: PhysioFM, real: Real, kind: str, part: slice = slice(None)) -> dict[str, Any]:
    """Return per set: n, F1 at the balanced preset, best F1 and its threshold, and the peer's best
    (oracle).
    """
    out = {}
    balanced = model.card["presets"].get(kind, {"balanced": 0.5})["balanced"]
    for name, traces in labelled_sets(kind, real).items():
        ours, peer = Scores(), Scores()
        for trace in traces[part]:
            time_s, score, _ = found_by(model, trace.signal, kind)
            ours.add(trace, time_s, score, TOLERANCE[kind])
            if kind in PEER:
                peer.add(trace, *PEER[kind](trace.signal), TOLERANCE[kind])
        best, at = ours.f1()
        out[name] = {"n": ours.n, "f1": ours.f1(balanced)[0], "best": best, "at": at}
        if kind in PEER:
            out[name]["peer oracle"] = peer.f1()[0]
    return out


def model_of(checkpoint: Path, card: dict[str, Any] | None = None) -> PhysioFM:
    """Return a model with the averaged weights of a training checkpoint, or with shipped weights."""
    import tomllib

    import torch
    from safetensors.torch import load_file

    from napari_biofm.events.physio_fm.network import PhysioNetwork

    if checkpoint.suffix == ".safetensors":
        state = {k: v.float() for k, v in load_file(checkpoint).items()}
    else:
        state = torch.load(checkpoint, weights_only=True)["average"]
    config = tomllib.loads((Path(__file__).parent / "config.toml").read_text())["model"]
    model = PhysioFM()
    net = PhysioNetwork(**config)
    net.load_state_dict(state)
    model.use(net.eval(), card or DEFAULT_CARD)
    return model


def main() -> None:
    """Print the validation table as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data/ephys")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs/physio/cache")
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--rungs", nargs="+", type=int, help="halvings of the kind's own rate, averaged")
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    real = Real(arguments.data, arguments.cache, "val")
    model = model_of(arguments.checkpoint) if arguments.checkpoint else PhysioFM()
    if arguments.rungs is not None:
        model.use(model.network(), {**model.card, "rungs": dict.fromkeys(TOLERANCE, arguments.rungs)})
    suites: dict[str, Callable[[], dict[str, Any]]] = {
        kind: partial(measure_events, model, real, kind) for kind in TOLERANCE
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
