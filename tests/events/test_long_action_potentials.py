"""Action potentials of heart and pacemaker cells: found by the default detector, measured over their whole course."""

from __future__ import annotations

import numpy as np
import pytest

from napari_biofm.events import make_detector
from napari_biofm.events.classical.long_action_potentials import long_action_potentials
from napari_biofm.events.features.ap import ap_features, landmarks
from napari_biofm.events.measuring.measure import measure_events
from napari_biofm.types import DetectionSettings, Trace, run_task

FS, EVERY = 10_000, 0.8
TIMES = np.arange(0.5, 9.0, EVERY)
KINDS = ("ventricular", "atrial", "nodal")


def course(kind: str, u: np.ndarray) -> np.ndarray:
    """mV above rest; u in s from the middle of the upstroke."""
    late = np.maximum(u, 0)
    up = 1 / (1 + np.exp(np.clip(-u / (0.006 if kind == "nodal" else 0.0006), -60, 60)))
    if kind == "ventricular":
        plateau = 105 - 15 * (1 - np.exp(-late / 0.01)) - 20 * np.minimum(late, 0.3) / 0.3
        return up * plateau / (1 + np.exp(np.clip((u - 0.28) / 0.02, -60, 60)))
    if kind == "atrial":
        return 100 * up * np.exp(-late / 0.07)
    return 80 * up / (1 + np.exp(np.clip((u - 0.18) / 0.03, -60, 60)))


def trace(kind: str, fs: float = FS, noise: float = 0.3) -> Trace:
    t = np.arange(int(10 * fs)) / fs
    y = -78 + np.random.default_rng(3).normal(0, noise, len(t))
    for at in TIMES:
        y += course(kind, t - at)
    return Trace(y.astype(np.float32), fs, "mV")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fs", [1000, 10_000, 50_000])
@pytest.mark.parametrize("noise", [0.0, 1.5])
def test_each_is_told_at_any_rate(kind: str, fs: float, noise: float) -> None:
    found = long_action_potentials(trace(kind, fs, noise))
    assert len(found) == len(TIMES)
    late = np.array([one.peak for one in found]) / fs - TIMES
    assert (late > -0.002).all()
    assert (late < (0.06 if kind == "nodal" else 0.006)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_detector_finds_and_measures_them(kind: str) -> None:
    signal = trace(kind)
    detector = make_detector("physio-fm")
    events = run_task(detector.detect(signal, DetectionSettings(kind="ap")))
    events = measure_events(signal, events)
    assert len(events) == len(TIMES)
    assert (events["class"] == "AP").all()
    assert (events["score"] > 0.9).all()
    fine = np.arange(-0.2, 0.5, 1e-5)
    truth = course(kind, fine)
    half = np.flatnonzero(truth > 0.5 * truth.max())
    assert np.median(events["half_width_s"]) == pytest.approx((half[-1] - half[0]) * 1e-5, rel=0.12)
    assert np.median(events["amplitude"]) == pytest.approx(truth.max(), rel=0.1)
    assert np.isnan(events["decay_s"]).all()


def passive(size: float, up_s: float, down_s: float) -> np.ndarray:
    t = np.arange(5 * FS) / FS
    on = size * (1 - np.exp(-np.clip((t - 1) / up_s, 0, 60)))
    y = np.where(t < 1, 0, np.where(t < 1.5, on, size * np.exp(-np.clip((t - 1.5) / down_s, 0, 60))))
    return -70 + y


NONE = {
    "passive step": passive(50, 0.02, 0.02),
    "fast passive step": passive(60, 0.002, 0.002),
    "rectifying membrane": passive(60, 0.02, 0.04),
    "jump of the amplifier": passive(80, 1e-7, 1e-7),
    "slow wave": -45 + 45 * np.sin(np.arange(5 * FS) / FS * np.pi),
    "ramp": np.where(np.arange(5 * FS) < 2 * FS, -70 + 40 * np.arange(5 * FS) / FS, -70.0),
}


@pytest.mark.parametrize("name", NONE)
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_what_is_none_is_not_told(name: str, noise: float) -> None:
    y = NONE[name] + np.random.default_rng(1).normal(0, noise, 5 * FS)
    assert long_action_potentials(Trace(y.astype(np.float32), FS, "mV")) == []


def test_gaps_and_the_end_of_the_sweep_leave_none_half_measured() -> None:
    signal = trace("ventricular")
    values = signal.values.copy()
    values[int(0.6 * FS) : int(0.7 * FS)] = np.nan  # in the plateau of the first
    cut = Trace(values[: int((TIMES[-1] + 0.1) * FS)], FS, "mV")  # amid the last
    assert len(long_action_potentials(cut)) == len(TIMES) - 2


def test_landmarks_span_the_whole_course() -> None:
    signal = trace("nodal")
    volts = signal.values.astype(np.float64)
    found = long_action_potentials(signal)
    marks = landmarks(volts, FS, np.array([one.peak for one in found]))
    columns = {name: float(np.nanmedian(values)) for name, values in ap_features(volts, FS, marks).items()}
    fine = np.arange(-0.2, 0.5, 1e-5)
    truth = course("nodal", fine)
    steepest, peak = fine[np.argmax(np.gradient(truth))], np.argmax(truth)
    ninety = fine[peak + np.argmax(truth[peak:] < 0.1 * truth.max())] - steepest
    assert columns["apd_90_ms"] == pytest.approx(ninety * 1e3, rel=0.05)
    assert columns["max_rise_mV_per_ms"] == pytest.approx(np.gradient(truth, 1e-5).max() / 1e3, rel=0.05)
    assert columns["max_fall_mV_per_ms"] == pytest.approx(np.gradient(truth, 1e-5).min() / 1e3, rel=0.15)
    assert columns["ahp_mV"] == pytest.approx(-78, abs=0.5)
    assert columns["amplitude_mV"] == pytest.approx(78, abs=3)
