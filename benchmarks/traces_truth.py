"""Traces, events and motion against simulated movies with a known truth: drift, bleaching, NaN, offsets, neuropil, motion.

    python benchmarks/traces_truth.py [--quick] [--json]

Each row is one movie of 20 cells, half of them active, at 30 Hz; dF/F is measured by `napari_biofm.traces` with its
defaults ("one factor": with `neuropil="factor"`), events by the default detector. `gain` and `r` are the slope and the correlation of dF/F against the truth over
active cells (medians; the last line gives the worst movie) whose peaks are 60 times the noise; `active_f1` counts an event within 0.15 s of the truth (spikes
closer than 0.3 s are one event) at peaks of three times the noise of a frame and more; `silent_events_per_min` is the mean over cells
without activity. `motion_residual_px` is the root mean square of shifts against the truth after the median is taken off,
with scikit-image's phase correlation (a tenth of a pixel) beside ours on the same frames and the same template. Memory is
what the process holds above the traces themselves for 2,000 and for 100,000 frames (`--quick`: 20,000).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

RATE, SIDE, N_CELLS = 30.0, 96, 20
NEAR_S, GROUP_S = 0.15, 0.3
BRIGHT, DIM = 60.0, 3.0  # peaks of transients over the noise of a frame: for gain and r, and for events


def scene(rng: np.random.Generator) -> np.ndarray:
    """Return (SIDE, SIDE) labels of discs on a grid."""
    labels = np.zeros((SIDE, SIDE), np.int32)
    y, x = np.mgrid[:SIDE, :SIDE]
    for k in range(N_CELLS):
        at = 10 + 19 * (k // 4) + rng.uniform(-1, 1), 12 + 24 * (k % 4) + rng.uniform(-2, 2)
        labels[(y - at[0]) ** 2 + (x - at[1]) ** 2 <= 20] = k + 1
    return labels


def movie(kind: str, n: int, seed: int, peak_snr: float) -> dict[str, Any]:
    """Return a movie (T, Y, X), its masks, the dF/F (n, T), the spikes and the shifts put into it."""
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    labels, t = scene(rng), np.arange(n) / RATE
    kernel = (1 - np.exp(-t / 0.05)) * np.exp(-t / 0.5)
    dff, spikes = np.zeros((N_CELLS, n)), []
    for k in range(N_CELLS // 2):
        times = np.cumsum(rng.gamma(2.0, 3.0, int(n / RATE / 3) + 4)) + 1.0
        times = times[times < n / RATE - 2]
        train = np.bincount((times * RATE).astype(int), minlength=n)[:n]
        dff[k] = np.convolve(train, kernel / kernel.max())[:n]
        spikes.append(times)
    base = rng.uniform(60, 140, N_CELLS)
    ground = 40 * (1 + 0.4 * ndimage.gaussian_filter1d(rng.standard_normal(n), 20) * 5)
    if kind in ("slow drift", "fast drift"):
        base_drift = 1 + 0.25 * np.sin(2 * np.pi * t / (180.0 if kind == "slow drift" else 60.0))
    else:
        base_drift = np.exp(-t / (2.5 * n / RATE)) if kind == "bleaching" else np.ones(n)
    pixels = np.array([(labels == k + 1).sum() for k in range(N_CELLS)])
    # noise of a cell's mean: shot noise of its light and of the neuropil in it; the transient is `peak_snr` times that
    gain = 2.0
    texture = np.ones((SIDE, SIDE))
    if kind == "motion":  # something to register on: light is uneven, cells and their neuropil alike
        texture = 1 + 0.3 * ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE)), 1.5) * 5
    uneven = np.array([texture[labels == k + 1].mean() for k in range(N_CELLS)])
    noise = np.sqrt(gain * (base + 0.7 * 40) / (uneven * pixels)) / base
    dff[: N_CELLS // 2] *= (peak_snr * noise[: N_CELLS // 2])[:, None]
    light = np.empty((n, SIDE, SIDE), np.float32)
    light[:] = ground[:, None, None]
    for k in range(N_CELLS):
        light[:, labels == k + 1] = (0.7 * ground + base[k] * (1 + dff[k]))[:, None]
    light *= base_drift[:, None, None]
    shifts = np.zeros((n, 2))
    if kind == "motion":
        light *= texture
        walk = ndimage.gaussian_filter1d(np.cumsum(rng.normal(0, 0.5, (n, 2)), axis=0), 2, axis=0)
        shifts = 4 * (walk - walk.mean(axis=0)) / np.abs(walk - walk.mean(axis=0)).max()
        for i in range(n):
            light[i] = ndimage.shift(light[i], shifts[i], order=3, mode="reflect")
    offset = {"offset 100": 100.0, "int16 offset -400": -400.0, "offset 32768": 32768.0}.get(kind, 0.0)
    data = gain * rng.poisson(np.maximum(light, 0) / gain) + rng.normal(0, 1, light.shape) + offset
    if kind == "NaN frames and border":
        data = data.astype(np.float32)
        data[rng.integers(0, n, 12)] = np.nan
        data[::2, :3] = np.nan
    elif kind == "int16 offset -400":
        data = np.round(data).astype(np.int16)
    else:
        data = np.clip(np.round(data), 0, 65535).astype(np.uint16)
    return {"movie": data, "labels": labels, "dff": dff, "spikes": spikes, "shifts": shifts, "noise": noise}


def grouped(times: np.ndarray) -> np.ndarray:
    """Return the first spike of each group of spikes closer than GROUP_S."""
    return times[np.concatenate([[True], np.diff(times) > GROUP_S])] if len(times) else times


def f1_of(found: list[np.ndarray], true: list[np.ndarray]) -> float:
    """Return F1 of events against groups of spikes, each used once."""
    hits = misses = false = 0
    for mine, theirs in zip(found, true, strict=True):
        free = list(np.sort(mine))
        for at in theirs:
            near = [one for one in free if abs(one - at) <= NEAR_S]
            if near:
                free.remove(near[int(np.argmin(np.abs(np.array(near) - at)))])
                hits += 1
            else:
                misses += 1
        false += len(free)
    return 2 * hits / max(2 * hits + misses + false, 1)


def measured(kind: str, n: int, seed: int, peak_snr: float) -> tuple[dict[str, Any], Any]:
    """Return a movie with its truth, and its traces."""
    import napari_biofm as biofm

    kind, _, how = kind.partition(", ")
    truth = movie(kind, n, seed, peak_snr)
    frames = biofm.correct_motion(truth["movie"]).frames if kind == "motion" else truth["movie"]
    return truth, biofm.traces(frames, truth["labels"], frame_rate=RATE, neuropil="factor" if how else None)


def gain_and_r(kind: str, n: int, seed: int) -> dict[str, float]:
    """Return slope and correlation of dF/F against the truth, medians over active cells."""
    truth, traces = measured(kind, n, seed, BRIGHT)
    slopes, rs = [], []
    for mine, true in zip(traces.dff[: N_CELLS // 2], truth["dff"], strict=False):
        there = np.isfinite(mine)
        if there.sum() > 100:  # else: no F0 to trust, which is said
            slopes.append(np.polyfit(true[there], mine[there], 1)[0])
            rs.append(np.corrcoef(true[there], mine[there])[0, 1])
    return {"gain": float(np.median(slopes)), "r": float(np.median(rs))}


def event_scores(kind: str, n: int, seed: int) -> dict[str, float]:
    """Return F1 of the active cells and events per minute of the silent ones."""
    import napari_biofm as biofm

    truth, traces = measured(kind, n, seed, DIM)
    events = biofm.detect_events(traces.recording(truth["labels"]), kind="calcium")
    real = ~np.isin(events["class"], ("artefact", "rejected"))
    per_cell = [events["time_s"][real & (events["channel"] == k)] for k in range(N_CELLS)]
    half = N_CELLS // 2
    return {
        "active_f1": f1_of(per_cell[:half], [grouped(s) for s in truth["spikes"]]),
        "silent_events_per_min": float(np.mean([len(one) for one in per_cell[half:]]) / (n / RATE / 60)),
    }


def residuals(n: int) -> tuple[float, float]:
    """Return the residual motion (pixels) of ours and of scikit-image on the same frames."""
    from skimage.registration import phase_cross_correlation

    import napari_biofm as biofm

    truth = movie("motion", n, 7, DIM)
    motion = biofm.correct_motion(truth["movie"]).motion
    theirs = np.array(
        [
            -phase_cross_correlation(motion.template, frame.astype(np.float32), upsample_factor=10)[0]
            for frame in truth["movie"]
        ]
    )

    def rms(found: np.ndarray) -> float:
        left = found - truth["shifts"]
        return float(np.sqrt(np.mean((left - np.median(left, axis=0)) ** 2)))

    return rms(motion.shifts), rms(theirs)


def memory(n: int) -> float:
    """Return MB held above the traces themselves while n frames stream by."""
    import psutil

    import napari_biofm as biofm

    labels = scene(np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "movie.npy"
        stored = np.lib.format.open_memmap(path, "w+", np.uint16, (n, SIDE, SIDE))
        block = np.random.default_rng(0).poisson(100, (200, SIDE, SIDE)).astype(np.uint16)
        for start in range(0, n, 200):
            stored[start : start + 200] = block[: min(200, n - start)]
        stored.flush()
        del stored
        process, peak = psutil.Process(), [0.0]
        before = process.memory_info().rss

        def look(_: object) -> None:
            peak[0] = max(peak[0], process.memory_info().rss - before)

        found = biofm.traces(path, labels, frame_rate=RATE, progress=look)
        held = sum(one.nbytes for one in (found.raw, found.neuropil, found.dff, found.zscore))
        return (peak[0] - held) / 1e6


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="30 s a movie and two movies instead of 90 s and all"
    )
    parser.add_argument(
        "--json", action="store_true", help="kept for the common call; JSON is always printed"
    )
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    kinds = ["offset 100", "NaN frames and border"]
    if not options.quick:
        kinds += [
            "plain",
            "bleaching",
            "int16 offset -400",
            "offset 32768",
            "slow drift",
            "fast drift",
            "motion",
            "motion, one factor",
        ]
    n = 900 if options.quick else 2700
    print(f"{'movie':24}{'gain':>8}{'r':>8}{'F1 active':>11}{'silent/min':>12}{'s':>8}")
    rows = []
    for i, kind in enumerate(kinds):
        start = time.perf_counter()
        seed = 10 + min(i, 8)  # both rows of motion see one movie
        rows.append(gain_and_r(kind, n, seed) | event_scores(kind, n, seed))
        one = rows[-1]
        spent = time.perf_counter() - start
        print(
            f"{kind:24}{one['gain']:8.3f}{one['r']:8.4f}{one['active_f1']:11.3f}{one['silent_events_per_min']:12.3f}{spent:8.1f}"
        )
    ours, theirs = residuals(300 if options.quick else 600)
    print(f"residual motion: {ours:.3f} px, scikit-image {theirs:.3f} px")
    few, many = memory(2000), memory(20_000 if options.quick else 100_000)
    print(
        f"memory above the traces: {few:.0f} MB for 2,000 frames, {many:.0f} MB for {20_000 if options.quick else 100_000:,}"
    )
    rows = [row for kind, row in zip(kinds, rows, strict=True) if not kind.endswith("one factor")]
    worst = max((row["gain"] for row in rows), key=lambda gain: abs(gain - 1))
    result = {
        "gain": worst, "r": min(row["r"] for row in rows), "active_f1": min(row["active_f1"] for row in rows),
        "silent_events_per_min": max(row["silent_events_per_min"] for row in rows), "motion_residual_px": ours,
        "motion_residual_skimage_px": theirs, "memory_2000_mb": few, "memory_long_mb": many,
    }  # fmt: skip
    print(json.dumps({key: round(value, 4) for key, value in result.items()}))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
