"""What is measured against what is true, over simulated recordings, with eFEL, pyABF and IPFX beside ours.

`python benchmarks/measures.py [--quick] [--json]`. Synaptic events of 5 pA to 5 nA, rises of 0.1 to 10 ms and decays of 1 to
300 ms are recorded at 5 to 200 kHz, filtered and with hum, found by each detector and measured; action potentials, current
steps, test pulses, evoked pairs and single channels follow. Errors are medians over the events of a condition. eFEL and
IPFX are shown where BIOFM_PEERS names a Python that has them (benchmarks/peers.py). Beside each error of an event stands the
smallest that any unbiased measurement of one event can have (benchmarks/attainable.py). The last line is one JSON object with `worst_median_error` (over quantities and conditions
at a signal-to-noise ratio of 10 or more), `worst_beyond_attainable` (an error above both 3 % and what is attainable) and the tables.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import measured_analyses  # noqa: E402
import napari_biofm as biofm  # noqa: E402
from attainable import attainable  # noqa: E402
from measured_analyses import column as _column  # noqa: E402
from napari_biofm.engine.threads import wait_asleep  # noqa: E402
from napari_biofm.signals import Recording  # noqa: E402
from napari_biofm.simulate.synaptic import Recorded, SynapticTrace, Wave, synaptic_trace  # noqa: E402

SURE = 10.0  # signal-to-noise ratio from which errors count
QUANTITIES = ("amplitude", "rise_s", "decay_s", "half_width_s", "area")
DETECTORS = ("physio-fm", "threshold", "template", "deconvolution")
Table = dict[str, Any]


@dataclass(frozen=True)
class Condition:
    """One way to record events: `hum` is a multiple of the noise."""

    rate: float
    rise_ms: float
    decay_ms: float
    amplitude: float
    snr: float
    filter_hz: float | None = None
    hum: float = 0.0

    @property
    def name(self) -> str:
        """For the table."""
        extra = f", {self.filter_hz:g} Hz" if self.filter_hz else ""
        extra += f", hum {self.hum:g} sd" if self.hum else ""
        size = f"{self.amplitude:g} pA, {self.rise_ms:g} / {self.decay_ms:g} ms"
        return f"{size}, {self.rate / 1e3:g} kHz, SNR {self.snr:g}{extra}"

    def trace(self, n: int) -> SynapticTrace:
        """Return a recording of `n` events."""
        how = Recorded(
            self.rate, self.snr, self.filter_hz, self.hum * abs(self.amplitude) / self.snr, n=n, seed=1
        )
        return synaptic_trace(Wave(self.rise_ms * 1e-3, self.decay_ms * 1e-3), self.amplitude, how)


QUICK = (
    Condition(20e3, 0.5, 5, -20, 10),
    Condition(20e3, 0.5, 5, -20, 30),
    Condition(10e3, 2, 20, 50, 15, 2000.0),
    Condition(10e3, 6, 90, 40, 10),
    Condition(20e3, 0.5, 5, -1000, 3),
)
CONDITIONS = (
    *QUICK,
    Condition(5e3, 0.5, 5, -50, 10),
    Condition(5e3, 10, 300, 5, 10),
    Condition(20e3, 0.1, 1, -50, 30),
    Condition(50e3, 0.1, 1, -5, 15),
    Condition(50e3, 0.3, 3, -5000, 10),
    Condition(200e3, 0.2, 2, -500, 10),
    Condition(20e3, 0.5, 5, -20, 15, 2000.0, 1.0),
    Condition(20e3, 2, 30, -200, 10, 1000.0, 1.0),
    Condition(20e3, 1, 12, 20, 5),
)


def of_events(recording: Recording, truth: SynapticTrace, detector: str) -> tuple[np.ndarray, float]:
    """Return the found event next to each true one (those within 10 ms or half a width), and the share found."""
    options = (
        {"rise_s": truth.rise_20_80_s, "decay_s": truth.half_width_s} if detector in DETECTORS[2:] else {}
    )
    events = biofm.detect_events(recording, detector=detector, kind="psc", options=options)
    events = events[~np.isin(events["class"], ("artefact", "rejected"))]
    if not len(events):
        return events, 0.0
    near = [int(np.argmin(np.abs(events["time_s"] - t))) for t in truth.peak_s]
    reach = max(0.01, 0.5 * truth.half_width_s)
    hit = np.abs(events["time_s"][near] - truth.peak_s) < reach
    return events[np.array(near)[hit]], float(hit.mean())


def event_table(conditions: tuple[Condition, ...], n: int) -> tuple[list[Table], dict[str, float]]:
    """Return a row per condition and detector, and the slope of measured against true amplitude per detector."""
    rows: list[Table] = []
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in DETECTORS}
    for condition in conditions:
        truth = condition.trace(n)
        recording = Recording.from_arrays(truth.values, truth.sampling_rate, "pA")
        true = dict(
            zip(QUANTITIES, (truth.amplitude, truth.rise_20_80_s, condition.decay_ms * 1e-3, truth.half_width_s, truth.area), strict=True)
        )  # fmt: skip
        best = attainable(
            condition.rate,
            condition.rise_ms * 1e-3,
            condition.decay_ms * 1e-3,
            condition.snr,
            condition.filter_hz,
        )
        for detector in DETECTORS:
            found, share = of_events(recording, truth, detector)
            row: Table = {
                "condition": condition.name,
                "snr": condition.snr,
                "detector": detector,
                "found": round(share, 3),
                "attainable": {name: round(value, 4) for name, value in best.items()},
            }
            for name in QUANTITIES:
                errors = np.abs(found[name] / true[name] - 1) if len(found) else np.zeros(0)
                known = np.isfinite(errors)
                row[name] = round(float(np.median(errors[known])), 4) if known.sum() > 0.2 * n else None
                bias = found[name][known] / true[name] - 1
                row[f"{name} bias"] = round(float(np.median(bias)), 4) if known.sum() > 0.2 * n else None
            rows.append(row)
            if condition.snr >= SURE and len(found):
                pairs[detector].append((abs(truth.amplitude), float(np.abs(np.nanmean(found["amplitude"])))))
    slopes = {}
    for name, points in pairs.items():
        if len(points) > 2:  # in logarithms, so that 5 pA counts like 5 nA
            x, y = np.log(np.array(points)).T
            slopes[name] = round(float(np.polyfit(x, y, 1)[0]), 4)
    return rows, slopes


# --------------------------------------------------------------------------- cells


@dataclass(frozen=True)
class Number:
    """One quantity: what is true, what we measured, and what others did."""

    name: str
    true: float
    ours: float
    peers: dict[str, float]

    @property
    def row(self) -> Table:
        """For the table."""
        error = abs(self.ours / self.true - 1) if self.true else abs(self.ours)
        return {"quantity": self.name, "true": self.true, "ours": self.ours, "error": error, **self.peers}


def spike_wave(fs: float) -> tuple[np.ndarray, dict[str, float]]:
    """Return 1 s with 5 action potentials of a known threshold, height and half width (mV)."""
    t, rise_s, fall_s = np.arange(round(fs)) / fs, 0.25e-3, 0.5e-3
    volts = np.full(len(t), -70.0)
    for at in np.arange(0.1, 1.0, 0.2):
        late = t - at
        ramp = np.clip((late + 10e-3) / 10e-3, 0, 1)
        foot = np.where(late < 0, -70 + 20 * ramp, -70)
        up = -50 + 90 * np.sin(np.clip(late / rise_s, 0, 1) * np.pi / 2)
        down = -70 + 110 * np.exp(-np.clip(late - rise_s, 0, None) / fall_s)
        wave = np.where(late < 0, foot, np.where(late < rise_s, up, down))
        volts = np.where((late > -10e-3) & (late < 0.1), wave, volts)
    half = 2 / np.pi * np.arcsin(0.5) * rise_s
    width = rise_s - half + fall_s * np.log(110 / (110 - 45))
    return volts, {"threshold": -50.0, "amplitude": 90.0, "half width": width * 1e3}


def action_potentials() -> list[Number]:
    """Return threshold, amplitude and half width of action potentials at 50 kHz."""
    fs = 50e3
    volts, true = spike_wave(fs)
    noisy = volts + np.random.default_rng(0).normal(0, 0.05, len(volts))
    recording = Recording.from_arrays(noisy.astype(np.float32), fs, "mV")
    table = biofm.features(recording, biofm.detect_events(recording, detector="prominence", kind="ap"))
    peers = _peers(noisy, fs)
    ours = {"threshold": "ap_threshold_mV", "amplitude": "ap_amplitude_mV", "half width": "ap_half_width_ms"}
    return [Number(f"AP {key}", true[key], _column(table, ours[key]), peers.get(key, {})) for key in true]


def _peers(volts: np.ndarray, fs: float) -> dict[str, dict[str, float]]:
    """Return what eFEL and IPFX say, run by the Python that BIOFM_PEERS names; quantity -> peer -> value."""
    python = os.environ.get("BIOFM_PEERS", sys.executable)
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.npz"
        np.savez(trace, volts=volts, rate=fs)
        done = subprocess.run(
            [python, str(ROOT / "benchmarks" / "peers.py"), str(trace)],
            capture_output=True,
            text=True,
            check=False,
        )
    print(done.stderr, file=sys.stderr, end="")
    said = json.loads(done.stdout.strip().splitlines()[-1]) if done.returncode == 0 else {}
    out: dict[str, dict[str, float]] = {}
    for peer, values in said.items():
        for key, value in values.items():
            out.setdefault(key, {})[peer] = value
    return out


def current_steps() -> list[Number]:
    """Return input resistance, time constant, capacitance and sag of -50 pA steps of 500 ms."""
    fs, resistance, tau, sag, sag_tau = 20e3, 150e6, 18e-3, 0.15, 60e-3
    t = np.arange(round(0.5 * fs)) / fs
    steady = -50e-12 * resistance * 1e3
    plain = _stepped(fs, steady * (1 - np.exp(-t / tau)), steady, tau)
    peaked = steady / (1 - sag) * (1 - np.exp(-t / 8e-3)) * (1 - sag * (1 - np.exp(-t / sag_tau)))
    with_sag = _stepped(fs, peaked, float(peaked[-1]), tau)
    table, other = (_step_features(volts, fs) for volts in (plain, with_sag))
    deepest, end = float(peaked.min()), float(np.mean(peaked[-len(peaked) // 10 :]))
    return [
        Number("Rin (MOhm)", resistance / 1e6, _column(table, "step_input_resistance_MOhm"), {}),
        Number("tau (ms)", tau * 1e3, _column(table, "step_tau_ms"), {}),
        Number(
            "Cm of a current step (pF)", tau / resistance * 1e12, _column(table, "step_capacitance_pF"), {}
        ),
        Number("sag ratio", (deepest - end) / deepest, _column(other, "step_sag_ratio"), {}),
    ]


def _stepped(fs: float, during: np.ndarray, last: float, tau: float) -> np.ndarray:
    before, after = round(0.2 * fs), round(0.3 * fs)
    tail = last * np.exp(-np.arange(after) / fs / tau)
    return -65 + np.concatenate([np.zeros(before), during, tail])


def _step_features(volts: np.ndarray, fs: float) -> dict[str, Any]:
    command = np.zeros(len(volts))
    command[round(0.2 * fs) : round(0.7 * fs)] = -50.0
    rng = np.random.default_rng(2)
    sweeps = [[(volts + rng.normal(0, 0.1, len(volts))).astype(np.float32)] for _ in range(5)]
    recording = _with_command(sweeps, command, fs, "mV", "pA")
    return biofm.features(recording, biofm.detect_events(recording, detector="prominence", kind="ap"))


def _with_command(sweeps: list[Any], command: np.ndarray, fs: float, unit: str, other: str) -> Recording:
    arrays = [[one[0], command.astype(np.float32)] for one in sweeps]
    names = ["Vm", "Cmd"] if unit == "mV" else ["Im", "Cmd"]
    return Recording.from_arrays(arrays, fs, [unit, other], names=names)


def test_pulses() -> list[Number]:
    """Return series, membrane resistance and capacitance of 10 mV pulses behind a 10 kHz filter."""
    fs, series, membrane, capacitance, step = 50e3, 12e6, 150e6, 80e-12, -10e-3
    t = np.arange(round(0.05 * fs)) / fs
    tau = capacitance * series * membrane / (series + membrane)
    steady = step / (series + membrane)
    on = (steady + (step / series - steady) * np.exp(-t / tau)) * 1e12
    off = -(step / series - steady) * np.exp(-t / tau) * 1e12
    before = np.zeros(round(0.02 * fs))
    current = np.concatenate([before, on, off]) - 40
    command = np.concatenate([before, np.full(len(t), step * 1e3), np.zeros(len(t))]) - 70
    rng = np.random.default_rng(3)
    sweeps = [[(current + rng.normal(0, 3, len(current))).astype(np.float32)] for _ in range(8)]
    recording = _with_command(sweeps, command, fs, "pA", "mV")
    table = biofm.features(recording, biofm.detect_events(recording, detector="threshold", kind="psc"))
    peers = _memtest([one[0] for one in sweeps], command, fs)
    return [
        Number("Rs (MOhm)", 12.0, _column(table, "test_access_MOhm"), peers.get("Rs", {})),
        Number("Rm (MOhm)", 150.0, _column(table, "test_membrane_MOhm"), peers.get("Rm", {})),
        Number("Cm (pF)", 80.0, _column(table, "test_capacitance_pF"), peers.get("Cm", {})),
    ]


def _memtest(sweeps: list[np.ndarray], command: np.ndarray, fs: float) -> dict[str, dict[str, float]]:
    """Return what pyABF's memtest says of the same sweeps, where it accepts a file of ours."""
    from napari_biofm.simulate import write_abf

    try:
        import pyabf
        from pyabf.tools.memtest import Memtest

        with tempfile.TemporaryDirectory() as folder:
            path = write_abf(Path(folder) / "m.abf", [sweeps[0], command], ["Im", "Cmd"], ["pA", "mV"], fs)
            found = Memtest(pyabf.ABF(str(path)))
    except Exception as error:  # noqa: BLE001 - a peer that fails is shown as absent
        print(f"# pyABF memtest: {error!r}"[:160], file=sys.stderr)
        return {}
    values = {"Rs": found.Ra.values, "Rm": found.Rm.values, "Cm": found.CmStep.values}
    return {key: {"pyABF": float(np.median(v))} for key, v in values.items() if np.isfinite(v).all()}


def analyses() -> list[Number]:
    """Return the numbers of `measured_analyses`."""
    return [Number(name, true, ours, {}) for part in measured_analyses.PARTS for name, true, ours in part()]


PARTS: tuple[Callable[[], list[Number]], ...] = (
    action_potentials, current_steps, test_pulses, analyses,
)  # fmt: skip


def _shown(rows: list[Table], slopes: dict[str, float], numbers: list[Table]) -> None:
    print(f"{'median error of':52s} {'detector':14s} found " + " ".join(f"{q:>12s}" for q in QUANTITIES))
    for row in rows:
        cells = " ".join(f"{'-' if row[q] is None else f'{100 * row[q]:.1f} %':>12s}" for q in QUANTITIES)
        print(f"{row['condition']:52s} {row['detector']:14s} {row['found']:5.2f} {cells}")
        if row["detector"] == DETECTORS[-1]:
            best = (
                f"{100 * row['attainable'][q]:.1f} %" if q in row["attainable"] else "" for q in QUANTITIES
            )
            print(f"{'':52s} {'attainable':14s}       " + " ".join(f"{text:>12s}" for text in best))
    print(
        "exponent of measured against true amplitude: " + ", ".join(f"{k} {v:.3f}" for k, v in slopes.items())
    )
    for row in numbers:
        peers = ", ".join(f"{k} {row[k]:.4g}" for k in ("eFEL", "IPFX", "pyABF") if k in row)
        print(
            f"{row['quantity']:28s} true {row['true']:9.4g} ours {row['ours']:9.4g} ({100 * row['error']:.1f} %) {peers}"
        )


def main() -> None:
    wait_asleep()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="the JSON line alone")
    parser.add_argument("--quick", action="store_true", help="fewer conditions, under a minute")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rows, slopes = event_table(QUICK if arguments.quick else CONDITIONS, 12 if arguments.quick else 40)
    numbers = [replace(one).row for part in PARTS for one in part()]
    sure = [row[q] for row in rows if row["snr"] >= SURE for q in QUANTITIES if row[q] is not None]
    worst = max([*sure, *(row["error"] for row in numbers)])
    beyond = [
        row[q] - max(best, 0.03) for row in rows for q, best in row["attainable"].items()
        if row["snr"] >= SURE and row[q] is not None
    ]  # fmt: skip
    if not arguments.json:
        _shown(rows, slopes, numbers)
    print(
        json.dumps(
            {
                "worst_median_error": round(float(worst), 4),
                "worst_beyond_attainable": round(max(beyond), 4),
                "slope": slopes,
                "events": rows,
                "cells": numbers,
            }
        )
    )


if __name__ == "__main__":
    main()
