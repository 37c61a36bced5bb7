"""Numbers of analyses against simulated truth, for measures.py: evoked pairs, leak, IV, excitability, sag, noise, membrane over time."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import napari_biofm as biofm
from napari_biofm.signals import Recording
from napari_biofm.simulate.synaptic import Wave
from napari_biofm.types import EVENT_DTYPE

FS = 20e3
Row = tuple[str, float, float]  # quantity, true, ours


def column(table: dict[str, Any], name: str) -> float:
    values = np.asarray(table.get(name, np.array([np.nan])), float)
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else float("nan")


def _recording(sweeps: list[Any], units: tuple[str, str]) -> Recording:
    names = ["Im", "Command"] if units[0] == "pA" else ["Vm", "Command"]
    return Recording.from_arrays(sweeps, FS, list(units), names=names)


def evoked() -> list[Row]:
    rng, n = np.random.default_rng(11), 80
    t = np.arange(round(0.2 * FS)) / FS
    wave = (1 - np.exp(-t / 0.5e-3)) * np.exp(-t / 20e-3)
    wave /= wave.max()
    fails, jitter, sweeps = rng.random(n) < 0.3, rng.normal(0, 0.3e-3, n), []
    for fail, late in zip(fails, jitter, strict=True):
        values = rng.normal(0, 4, 8000)
        for at, size in ((0.1, 0.0 if fail else -60.0), (0.15, -90.0)):
            first = round((at + 0.002 + late) * FS)
            values[first : first + len(wave)] += size * wave[: 8000 - first]
        sweeps.append(values)
    found = biofm.analyse(
        "evoked", Recording.from_arrays(sweeps, FS, "pA"), times="0.1, 0.15", window_ms=40, rows="pulse"
    ).table
    return [
        ("evoked PPR", 90 / (60 * (1 - fails.mean())), float(found["ratio_to_first"][1])),
        ("evoked failures", float(fails.mean()), float(found["failures"][0])),
        ("evoked potency (pA)", -60.0, float(found["potency_pA"][0])),
    ]


def evoked_pairs() -> list[Row]:
    """Return paired-pulse ratio and failures of 60 sweeps, from the measured events at 100 and 150 ms."""
    rng, fs, n = np.random.default_rng(4), 20e3, 60
    wave = Wave(0.5e-3, 6e-3).at(np.arange(round(0.08 * fs)) / fs)
    wave /= wave.max()
    fails = rng.random(n) < 0.25
    sweeps = []
    for fail in fails:
        values = rng.normal(0, 3, round(0.4 * fs))
        for at, size in ((0.1, 0.0 if fail else -100.0), (0.15, -140.0)):
            values[round(at * fs) : round(at * fs) + len(wave)] += size * wave
        sweeps.append([values.astype(np.float32)])
    recording = Recording.from_arrays(sweeps, fs, ["pA"])
    events = biofm.detect_events(recording, detector="deconvolution", kind="psc")
    first, second = (
        [events[(events["sweep"] == k) & (np.abs(events["time_s"] - at) < 6e-3)] for k in range(n)]
        for at in (0.1, 0.15)
    )
    one = [float(rows["amplitude"][0]) for rows in first if len(rows)]
    two = [float(rows["amplitude"][0]) for rows in second if len(rows)]
    failed = float(np.mean([len(rows) == 0 for rows in first]))
    return [
        ("PPR", 1.4, float(np.mean(two) / np.mean(one))),
        ("failures", float(fails.mean()), failed),
    ]


def single_channels() -> list[Row]:
    """Return open probability and mean open time of 60 s of one channel, 3 pA at a noise of 0.3 pA."""
    rng, fs, seconds = np.random.default_rng(5), 10e3, 60.0
    dwell = np.stack([rng.exponential(0.02, 4000), rng.exponential(0.012, 4000)], 1).ravel()
    switches = np.cumsum(dwell)
    t = np.arange(round(seconds * fs)) / fs
    state = np.searchsorted(switches, t, side="right") % 2
    values = 3.0 * state + rng.normal(0, 0.3, len(t))
    recording = Recording.from_arrays(values.astype(np.float32), fs, "pA")
    table = biofm.features(
        recording, biofm.detect_events(recording, detector="half-amplitude", kind="channel")
    )
    edges = np.flatnonzero(np.diff(state)) + 1
    opened = [b - a for a, b in itertools.pairwise(edges) if state[a]]
    n_open = biofm.idealize(recording).n_open[0]
    return [
        ("Po", float(state.mean()), column(table, "channel_open_probability")),
        ("Po of idealize", float(state.mean()), float((n_open > 0).mean())),
        (
            "mean open time (ms)",
            float(np.mean(opened)) / fs * 1e3,
            column(table, "channel_mean_open_ms"),
        ),
    ]


def voltage_steps() -> list[Row]:
    rng, n, sweeps = np.random.default_rng(12), 6000, []
    t = np.arange(n) / FS
    for level in (-95, -90, -85, *range(-60, 41, 10)):
        command, on = np.full(n, -70.0), slice(2000, 5000)
        command[on] = level
        current = 2.0 * (command + 70) - 140
        for start, sign in ((2000, 1), (5000, -1)):
            current[start:] += sign * (level + 70) * 60 * np.exp(-(t[start:] - t[start]) / 3e-4)
        current[on] += (
            20 / (1 + np.exp(-(level + 20) / 8)) * (level + 80) * (1 - np.exp(-(t[on] - t[2000]) / 5e-3))
        )
        sweeps.append([current + rng.normal(0, 3, n), command])
    leak = biofm.analyse("leak", _recording(sweeps, ("pA", "mV")), leak_sweeps="0-2")
    iv = biofm.analyse(
        "iv",
        leak.recordings[0],
        measure="mean",
        from_s=0.2,
        to_s=0.248,
        reversal_mv=-80,
        subtract_holding=False,
    )
    words = iv.summary
    half, slope, top = (
        float(words.split(f"{name} = ")[-1].split()[0].rstrip(",;")) for name in ("half", "slope", "top")
    )
    return [
        ("leak (nS)", 2.0, float(leak.summary.split()[2])), ("V half (mV)", -20.0, half), ("V slope (mV)", 8.0, slope),
        ("largest conductance (nS)", 20.0, top),
    ]  # fmt: skip


def sag() -> list[Row]:
    rng, sweeps = np.random.default_rng(13), []

    def course(late: np.ndarray) -> np.ndarray:
        return np.asarray(0.15 * (1 - np.exp(-late / 0.02)) - 0.05 * (1 - np.exp(-late / 0.12)))

    for size in (-50.0, -100.0, -150.0):
        current, volts = np.zeros(24_000), np.full(24_000, -65.0)
        current[4000:18_000] = size
        volts[4000:] += size * course(np.arange(20_000) / FS)
        volts[18_000:] -= size * course(np.arange(6000) / FS)
        sweeps.append([volts + rng.normal(0, 0.3, 24_000), current])
    found = biofm.analyse("sag", _recording(sweeps, ("mV", "pA"))).table
    unit = course(np.arange(14_000) / FS)
    return [
        (
            "sag ratio, fitted",
            float((unit.max() - unit[-1]) / unit.max()),
            float(np.mean(found["sag_ratio"])),
        ),
        ("tau of the sag (ms)", 120.0, float(np.mean(found["tau_sag_ms"]))),
    ]


def noise_analysis() -> list[Row]:
    rng, length, start, n = np.random.default_rng(14), 1400, 300, 3000
    x, late = rng.normal(0, 1, n * length), np.arange(length - start) / FS
    for k in range(n):
        open_for = rng.exponential(6e-3, rng.binomial(60, 0.7))
        x[k * length + start : (k + 1) * length] -= 1.7 * (open_for[:, None] > late).sum(0)
    events = np.zeros(n, EVENT_DTYPE)
    events["time_s"] = (np.arange(n) * length + start + 2) / FS
    events["class"], events["amplitude"] = "EPSC", -70
    recording = Recording.from_arrays(x.astype(np.float32), FS, "pA")
    found = biofm.analyse("noise-analysis", recording, events=events, after_ms=30)
    return [("current of a channel (pA)", 1.7, float(found.summary.split("channel ")[1].split()[0]))]


PARTS = (evoked_pairs, single_channels, evoked, voltage_steps, sag, noise_analysis)
