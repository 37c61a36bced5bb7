"""Analyses of sweeps against known truth: cursors, evoked responses, leak, IV, excitability, sag, recordings combined."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_biofm as biofm
from napari_biofm.cli import main
from napari_biofm.signals import Recording
from napari_biofm.types import BiofmError

FS = 20_000.0


def _wave(rise: float, decay: float, seconds: float) -> np.ndarray:
    t = np.arange(round(seconds * FS)) / FS
    wave = (1 - np.exp(-t / rise)) * np.exp(-t / decay)
    return wave / wave.max()


def _clamped(sweeps: list[Any], units: tuple[str, str], names: tuple[str, str]) -> Recording:
    return Recording.from_arrays(sweeps, FS, list(units), names=list(names))


def test_cursors_read_peak_mean_and_shape_against_the_baseline() -> None:
    rng, wave = np.random.default_rng(0), _wave(0.5e-3, 8e-3, 0.1)
    sweeps = []
    for size in (-20.0, -50.0, -200.0):
        current = rng.normal(-30, 0.5, 6000)
        current[2000 : 2000 + len(wave)] += size * wave
        sweeps.append([current, np.full(6000, -70.0 - size / 10)])
    recording = _clamped(sweeps, ("pA", "mV"), ("Im", "Command"))
    where = {"baseline_from_s": 0.05, "baseline_to_s": 0.099, "peak_from_s": 0.1, "peak_to_s": 0.2}
    found = biofm.analyse("cursors", recording, **where, mean_ms=0.3, against="command")
    table = found.table
    np.testing.assert_allclose(table["peak_pA"], [-20, -50, -200], atol=1.0)
    np.testing.assert_allclose(table["baseline_pA"], -30, atol=0.1)
    np.testing.assert_allclose(table["area_pA_s"][2], -200 * wave.sum() / FS, rtol=0.01)
    fine = np.interp([0.1, 0.9], wave[: wave.argmax() + 1], np.arange(wave.argmax() + 1)) / FS
    np.testing.assert_allclose(table["rise_ms"][2], 1e3 * (fine[1] - fine[0]), rtol=0.1)
    assert table["command_mV"].tolist() == [-68, -65, -50] and found.plots[0].x_unit == "mV"
    up = biofm.analyse("cursors", recording, **where, polarity="up").table["peak_pA"]
    assert (np.abs(up) < 4).all(), "the other direction holds noise only"
    shape = biofm.analyse("cursors", recording, **where, plot="peak", against="half_width").plots[0]
    assert shape.x_unit == "ms" and shape.curves[0].style == "points", "one measure against another"
    began = dataclasses.replace(recording, t0=datetime(2026, 3, 2, 23, 30))
    clock = biofm.analyse("cursors", began, **where, against="clock")
    np.testing.assert_allclose(clock.table["clock_h"], 23.5 + recording.sweep_starts / 3600)
    assert (clock.plots[0].x_label, clock.plots[0].x_unit) == ("Time of day", "h")
    unknown = biofm.analyse("cursors", recording, **where, against="clock")
    assert "does not say when the recording began" in unknown.notes[0] and unknown.plots[0].x_label == "Sweep"
    with pytest.raises(BiofmError, match="two pairs of times"):
        biofm.analyse("cursors", recording)
    with pytest.raises(BiofmError, match="no sample of .* between 5 and 6 s"):
        biofm.analyse("cursors", recording, **{**where, "peak_from_s": 5, "peak_to_s": 6})


@pytest.mark.parametrize("decay", [6e-3, 30e-3])
def test_evoked_pairs_behind_artefacts(decay: float) -> None:
    rng, n, wave = np.random.default_rng(1), 60, _wave(0.5e-3, decay, 0.2)
    fails, jitter = rng.random(n) < 0.25, rng.normal(0, 0.3e-3, n)
    sweeps = []
    for fail, late in zip(fails, jitter, strict=True):
        values = rng.normal(0, 3, 8000)
        for at, size in ((0.1, 0.0 if fail else -100.0), (0.15, -140.0)):
            first = round((at + 0.002 + late) * FS)
            values[first : first + len(wave)] += size * wave[: 8000 - first]
            values[round(at * FS) :][:6] += [800, -600, 300, -100, 50, -20]
        sweeps.append(values)
    recording = Recording.from_arrays(sweeps, FS, "pA")
    by = biofm.analyse("evoked", recording, window_ms=40, rows="pulse").table
    assert by["ratio_to_first"][1] == pytest.approx(140 / (100 * (1 - fails.mean())), rel=0.02)
    assert by["failures"].tolist() == [pytest.approx(fails.mean()), 0]
    np.testing.assert_allclose(by["potency_pA"], [-100, -140], rtol=0.025)
    assert by["jitter_ms"][1] == pytest.approx(1e3 * jitter.std(ddof=1), rel=0.2)
    rows = biofm.analyse("evoked", recording, window_ms=40, normalise=20)
    assert rows.table["failure"][::2].astype(bool).tolist() == fails.tolist()
    np.testing.assert_allclose(rows.table["stimulus_s"][:2], [0.1, 0.15], atol=2e-4)
    first = rows.table["normalised_percent"][::2]
    assert first[:20].mean() == pytest.approx(100) and "no test pulse" in rows.notes[-1]
    assert rows.recordings == () and rows.plots[0].scale_bars


def test_where_stimuli_come_from_and_when_nobody_knows() -> None:
    rng = np.random.default_rng(2)
    values = [[rng.normal(0, 1, 4000), np.where((np.arange(4000) % 1000) < 20, 5.0, 0.0)] for _ in range(3)]
    for one in values:
        one[1][:20] = 0
    recording = _clamped(values, ("pA", "V"), ("Im", "trigger"))
    found = biofm.analyse("evoked", recording, stimuli="channel", stimulus_channel=1, window_ms=20)
    np.testing.assert_allclose(found.table["stimulus_s"][:3], [0.05, 0.1, 0.15])
    assert found.table["failure"].mean() > 0.9, "noise holds no responses"
    quiet = Recording.from_arrays([one[0] for one in values], FS, "pA")
    with pytest.raises(BiofmError, match="no artefacts of stimuli"):
        biofm.analyse("evoked", quiet)
    with pytest.raises(BiofmError, match="such as 0.1, 0.15"):
        biofm.analyse("evoked", quiet, times="at once")
    early = biofm.analyse("evoked", quiet, times="0.0101", baseline_ms=10, window_ms=20)
    assert any("cannot tell failures" in note for note in early.notes)


def test_responses_that_begin_at_once_have_no_latency() -> None:
    rng = np.random.default_rng(8)
    sweeps = [rng.normal(0, 1, 4000) + np.where(np.arange(4000) >= 2000, 80.0, 0.0) for _ in range(5)]
    found = biofm.analyse(
        "evoked",
        Recording.from_arrays(sweeps, FS, "pA"),
        times="0.1",
        rows="pulse",
        normalise=2,
        window_ms=20,
    )
    assert np.isnan(found.table["latency_ms"][0]) and np.isnan(found.table["jitter_ms"][0])
    assert found.table["amplitude_pA"][0] == pytest.approx(80, rel=0.02)


def _potassium() -> tuple[Recording, np.ndarray]:
    """Return steps to -85 ... 40 mV: leak of 2 nS, capacitance, and 20 nS that open at -20 mV and reverse at -80."""
    rng, n = np.random.default_rng(3), 6000
    t, sweeps, steady = np.arange(n) / FS, [], []
    for level in (-85, -80, -75, *range(-60, 41, 10)):
        command, on = np.full(n, -70.0), slice(2000, 5000)
        command[on] = level
        current = 2.0 * (command + 70) - 140
        for start, sign in ((2000, 1), (5000, -1)):
            current[start:] += sign * (level + 70) * 60 * np.exp(-(t[start:] - t[start]) / 3e-4)
        open_now = 20 / (1 + np.exp(-(level + 20) / 8)) * (level + 80)
        current[on] += open_now * (1 - np.exp(-(t[on] - t[2000]) / 5e-3))
        steady.append(open_now)
        sweeps.append([current + rng.normal(0, 2, n), command])
    return _clamped(sweeps, ("pA", "mV"), ("Im", "Command")), np.array(steady)


def test_leak_is_taken_out_and_activation_is_what_was_simulated() -> None:
    recording, steady = _potassium()
    found = biofm.analyse("leak", recording, small_mv=15, capacitance_pf=20)
    assert float(found.summary.split()[2]) == pytest.approx(2.0, rel=0.05)
    np.testing.assert_allclose(found.table["steady_pA"][4:], steady[4:], atol=10)
    np.testing.assert_allclose(
        found.table["steady_density_pA_per_pF"], found.table["steady_pA"] / 20, rtol=1e-12
    )
    (made,) = found.recordings
    transient = made.values(len(steady) - 1, 0, 2000, 2040)
    assert np.abs(transient).max() < 0.2 * np.abs(recording.values(len(steady) - 1, 0, 2000, 2040)).max()
    curve = biofm.analyse(
        "iv", made, measure="mean", from_s=0.2, to_s=0.248, reversal_mv=-80, subtract_holding=False
    )
    words = curve.summary
    assert float(words.split("half = ")[1].split()[0]) == pytest.approx(-20, abs=0.3)
    assert float(words.split("slope = ")[-1].split()[0]) == pytest.approx(8, abs=0.3)
    moved = biofm.analyse(
        "iv", made, measure="mean", from_s=0.2, to_s=0.248, reversal_mv=-80, junction_mv=10, series_mohm=10, compensation=70,
    )  # fmt: skip
    table = moved.table
    np.testing.assert_allclose(table["voltage_mV"], table["command_mV"] - 10 - 3e-3 * table["current_pA"])
    assert "10 mV" in moved.methods and "70 % of 10 MOhm" in moved.methods
    with pytest.raises(BiofmError, match="no leak sweeps: the steps of"):
        biofm.analyse("leak", recording, small_mv=1)


def test_a_passive_cell_has_a_reversal_and_no_activation() -> None:
    rng = np.random.default_rng(4)
    sweeps = []
    for level in range(-100, -30, 10):
        command = np.full(4000, -70.0)
        command[1000:3000] = level
        sweeps.append([3.0 * (command + 65) + rng.normal(0, 2, 4000), command])
    recording = _clamped(sweeps, ("pA", "mV"), ("Im", "Command"))
    found = biofm.analyse("iv", recording, measure="mean", subtract_holding=False)
    assert float(found.summary.split("reversal ")[1].split()[0]) == pytest.approx(-65, abs=0.5)
    assert any("cannot tell activation" in note for note in found.notes)
    np.testing.assert_allclose(found.table["conductance_nS"][[0, 1, 6]], 3, rtol=0.02)


SPIKE = np.r_[np.linspace(-55, 30, 8), np.linspace(30, -75, 20), np.linspace(-75, -70, 40)]


def _fires(current: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Return the potential of a leaky integrator (10 ms, 200 MOhm, 15 mV to threshold) and where it fires."""
    volts, above, at, spikes = np.full(len(current), -70.0), 0.0, 0, []
    while at < len(current):
        above += (-above + 0.2 * current[at]) / (0.01 * FS)
        if above < 15:
            volts[at] += above
            at += 1
            continue
        spikes.append(at)
        volts[at : at + len(SPIKE)] = SPIKE[: len(current) - at]
        at, above = at + len(SPIKE), 0.0
    return volts, spikes


def test_rheobase_rates_and_ramps_are_those_of_an_integrator() -> None:
    rng, sweeps, counts = np.random.default_rng(5), [], []
    currents = np.arange(-40, 201, 20.0)
    for size in currents:
        current = np.zeros(12_000)
        current[3000:10_000] = size
        volts, spikes = _fires(current)
        counts.append(len(spikes))
        sweeps.append([volts + rng.normal(0, 0.1, 12_000), current])
    recording = _clamped(sweeps, ("mV", "pA"), ("Vm", "Command"))
    found = biofm.analyse("excitability", recording)
    assert found.table["n_aps"].tolist() == counts
    assert "rheobase 80 pA (the step before was 60 pA)" in found.summary
    rate = np.array(counts) / 0.35
    rising = (rate > 0) & (np.arange(len(rate)) <= np.flatnonzero(rate >= 0.75 * rate.max())[0])
    gain = np.polyfit(currents[rising], rate[rising], 1)[0]
    assert float(found.summary.split("gain ")[1].split()[0]) == pytest.approx(gain, rel=1e-3)
    ramp = np.zeros(24_000)
    ramp[3000:23_000] = np.linspace(0, 200, 20_000)
    volts, spikes = _fires(ramp)
    one = _clamped([[volts + rng.normal(0, 0.1, 24_000), ramp]], ("mV", "pA"), ("Vm", "Command"))
    words = biofm.analyse("excitability", one).summary
    assert float(words.split("rheobase ")[1].split()[0]) == pytest.approx(ramp[spikes[0]], abs=0.5)
    phase = biofm.analyse("phase-plane", recording)
    np.testing.assert_allclose(phase.table["threshold_mV"], -55, atol=1.0)
    assert len(phase.table["peak_mV"]) == sum(counts) and len(phase.plots) == 2
    with pytest.raises(BiofmError, match="need a potential"):
        biofm.analyse("excitability", _potassium()[0])


def test_sag_and_rebound_are_fitted() -> None:
    rng, sweeps, t = np.random.default_rng(6), [], np.arange(14_000) / FS

    def course(late: np.ndarray) -> np.ndarray:
        return 0.15 * (1 - np.exp(-late / 0.02)) - 0.05 * (1 - np.exp(-late / 0.12))

    for size in (-50.0, -100.0, -150.0, 50.0):
        current, volts = np.zeros(24_000), np.full(24_000, -65.0)
        current[4000:18_000] = size
        volts[4000:] += size * course(np.arange(20_000) / FS)
        volts[18_000:] -= size * course(np.arange(6000) / FS)
        sweeps.append([volts + rng.normal(0, 0.3, 24_000), current])
    found = biofm.analyse("sag", _clamped(sweeps, ("mV", "pA"), ("Vm", "Command"))).table
    unit = course(t)
    assert found["sweep"].tolist() == [0, 1, 2]
    np.testing.assert_allclose(found["sag_ratio"], (unit.max() - unit[-1]) / unit.max(), rtol=0.03)
    np.testing.assert_allclose(found["tau_membrane_ms"], 20, rtol=0.05)
    np.testing.assert_allclose(found["tau_sag_ms"], 120, rtol=0.06)
    after = course(np.arange(20_000) / FS)[14_000:] - course(np.arange(6000) / FS)
    np.testing.assert_allclose(found["rebound_mV"][2], (-150 * after).max(), rtol=0.05)


def test_sweeps_are_averaged_split_joined_and_subtracted(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    rows = rng.normal(0, 1, (6, 1000)).astype(np.float32)
    one, two = (Recording.from_arrays(rows + k, 1000.0, "pA", names=["Im"]) for k in (0, 5))
    mean = biofm.analyse("average-sweeps", one)
    np.testing.assert_allclose(mean.table["Im (pA)"], rows.mean(0), atol=1e-6)
    half = 2.570582 * rows.std(0, ddof=1) / np.sqrt(6)  # Student's t, 5 degrees of freedom
    np.testing.assert_allclose(mean.table["ci95 (pA)"], half, rtol=1e-4)
    pairs = biofm.analyse("average-sweeps", one, every=2).recordings[0]
    np.testing.assert_allclose(pairs.values(1, 0), rows[2:4].mean(0), atol=1e-6)
    assert pairs.sweep_starts.tolist() == [0, 2, 4]
    cut = biofm.analyse("split", one, sweeps="1-2", from_s=0.1, to_s=0.199, every_s=0.05).recordings[0]
    assert cut.n_sweeps == 4
    np.testing.assert_array_equal(cut.values(1, 0), rows[1, 150:200])
    joined = biofm.analyse("concatenate", [one, two])
    assert joined.recordings[0].n_sweeps == 12 and "without a clock" in joined.notes[0]
    np.testing.assert_allclose(joined.recordings[0].values(6, 0), rows[0] + 5)
    left = biofm.analyse("subtract", [two, one]).recordings[0]
    np.testing.assert_allclose(left.values(3, 0), 5, atol=1e-5)
    np.savez(tmp_path / "one.npz", signal=rows, sampling_rate=1000.0, unit="pA")
    assert main(["average-sweeps", str(tmp_path / "one.npz"), "--out", str(tmp_path / "mean.csv")]) == 0
    again = biofm.read_recording(tmp_path / "mean.csv")
    np.testing.assert_allclose(again.values(0, 0), rows.mean(0), atol=1e-5)
    assert again.channels[0].unit == "pA" and again.channels[0].sampling_rate == pytest.approx(1000)
    other = Recording.from_arrays(rows, 500.0, "mV")
    with pytest.raises(BiofmError, match="cannot be put together"):
        biofm.analyse("subtract", [one, other])
    with pytest.raises(BiofmError, match="give two or more"):
        biofm.analyse("concatenate", [one])
