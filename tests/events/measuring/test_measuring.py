"""Every number of an event against what was put into the trace."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.events.measuring.events_with_truth import marked, trace_of

from napari_biofm.events.detect import detect_events, distinct
from napari_biofm.events.measuring.mains import hum
from napari_biofm.events.measuring.measure import DEFINITIONS, measure_events
from napari_biofm.events.table import NOT_EVENTS
from napari_biofm.signals import Recording
from napari_biofm.simulate.synaptic import Recorded, SynapticTrace, Wave, synaptic_trace
from napari_biofm.types import EVENT_DTYPE, MEASURED_DTYPE, DetectionSettings, Trace, run_task


def off(found: np.ndarray, true: float) -> float:
    """Median error as a fraction."""
    return float(np.nanmedian(np.abs(found / true - 1)))


@pytest.mark.parametrize("rate", [5e3, 20e3, 200e3])
@pytest.mark.parametrize(("rise", "decay"), [(0.3e-3, 3e-3), (2e-3, 20e-3), (8e-3, 120e-3)])
@pytest.mark.parametrize("amplitude", [-5.0, -5000.0])
def test_size_course_and_time_are_those_of_the_trace(
    rate: float, rise: float, decay: float, amplitude: float
) -> None:
    n = 8 if rate * decay > 5e3 else 24
    truth = synaptic_trace(Wave(rise, decay), amplitude, Recorded(rate, snr=12, n=n))
    found = measure_events(trace_of(truth), marked(truth, -0.3 * rise), model=True)
    assert off(found["amplitude"], amplitude) < 0.03
    assert np.median(found["amplitude"]) / amplitude == pytest.approx(1, abs=0.02)
    assert off(found["decay_s"], decay) < 0.06
    assert np.nanmedian(found["decay_s"]) == pytest.approx(decay, rel=0.05)
    assert off(found["half_width_s"], truth.half_width_s) < 0.05
    assert off(found["area"], truth.area) < 0.05
    assert np.nanmedian(found["rise_s"]) == pytest.approx(truth.rise_20_80_s, rel=0.12)
    assert np.nanmedian(found["rise_10_90_s"]) == pytest.approx(truth.rise_10_90_s, rel=0.12)
    assert np.median(np.abs(found["time_s"] - truth.peak_s)) < 0.15 * rise + 0.5 / rate
    assert set(found["direction"]) == {"inward"} and set(found["baseline_from"]) == {"before"}
    assert found["model_decay_s"].tolist() == [0.026] * n  # what was believed is kept by its own name


def test_sizes_are_linear_from_5_pA_to_5_nA() -> None:
    true = np.repeat(-np.geomspace(5, 5000, 7), 12)
    found = []
    for k, amplitude in enumerate(np.unique(true)[::-1]):
        truth = synaptic_trace(Wave(0.5e-3, 5e-3), amplitude, Recorded(snr=10, n=12, seed=k))
        found.append(measure_events(trace_of(truth), marked(truth))["amplitude"])
    slope = np.polyfit(true, np.concatenate(found), 1)[0]
    assert slope == pytest.approx(1, abs=0.02)
    ratio = np.median(np.stack(found) / true.reshape(7, 12), axis=1)
    np.testing.assert_allclose(ratio, 1, atol=0.04)


@pytest.mark.parametrize(
    ("rate", "decay", "sizes"), [(50e3, 2e-3, 80.0), (5e3, 8e-3, 20.0), (20e3, 4e-3, 40.0)]
)
def test_a_trace_that_wanders_and_is_filtered_lends_no_event_its_drift(
    rate: float, decay: float, sizes: float
) -> None:
    """Filtered samples differ little from one to the next, and a drift of seconds then looks surer than an event."""
    rng = np.random.default_rng(5)
    n = int(20 * rate)
    t = np.arange(n) / rate
    filtered = np.convolve(rng.normal(size=n), np.hanning(round(rate / 2000) + 2), "same")
    values = filtered / filtered.std() * sizes / 10 - 250 + 0.6 * sizes * np.sin(2 * np.pi * t / 15)
    onsets, amplitudes = 1 + 2.2 * np.arange(8), -sizes * np.array([1, 1.5, 2, 3, 5, 8, 12, 20])
    rise = 0.3e-3
    for onset, amplitude in zip(onsets, amplitudes, strict=True):
        late = np.clip(t - onset, 0, None)
        course = -np.expm1(-late / rise) * np.exp(-late / decay)
        values += amplitude * course / course.max()
    events = np.zeros(8, MEASURED_DTYPE)
    events["time_s"], events["class"], events["amplitude"] = onsets + 0.6e-3, "PSC", 0.4 * amplitudes
    found = measure_events(Trace(values, rate, "pA"), events)
    np.testing.assert_allclose(found["amplitude"] / amplitudes, 1, atol=0.2)
    np.testing.assert_allclose(found["amplitude"][2:] / amplitudes[2:], 1, atol=0.08)
    np.testing.assert_allclose(found["time_s"], onsets + 0.8e-3, atol=1.5e-3)
    assert np.nanmedian(found["decay_s"]) == pytest.approx(decay, rel=0.06)


@pytest.mark.parametrize("seed", [0, 3, 7])
def test_a_mark_behind_an_event_is_not_moved_onto_it(seed: int) -> None:
    values = np.random.default_rng(seed).normal(0, 1, 5000)
    values[2100:2150] -= 40
    events = np.zeros(1, MEASURED_DTYPE)
    events["time_s"], events["class"] = 0.25, "EPSC"
    (found,) = measure_events(Trace(values, 1e4, "pA"), events)
    assert (
        found["time_s"] == 0.25 and found["reason"] == "no peak near the mark" and np.isnan(found["rise_s"])
    )


def test_noise_does_not_make_events_larger() -> None:
    truth = synaptic_trace(Wave(0.5e-3, 5e-3), -20.0, Recorded(snr=3, n=200, seed=3))
    found = measure_events(trace_of(truth), marked(truth))
    error = found["amplitude_error"]
    assert np.mean(found["amplitude"]) == pytest.approx(-20, rel=0.02)
    assert np.std(found["amplitude"]) == pytest.approx(np.median(error), rel=0.5)


@pytest.mark.parametrize(
    ("wave", "how"),
    [
        (Wave(0.2e-3, 2e-3), Recorded(20e3, 30, filter_hz=2000)),
        (Wave(0.5e-3, 5e-3, power=3), Recorded(20e3, 30)),
        (Wave(0.4e-3, 3e-3, slow=0.3, second=25e-3), Recorded(20e3, 30, n=10)),
        (Wave(6e-3, 90e-3, power=2), Recorded(10e3, 30, n=8)),
    ],
    ids=["filtered", "gentle rise", "two decays", "slow and gentle"],
)
def test_other_courses_than_the_fitted_one_are_measured_as_they_are(wave: Wave, how: Recorded) -> None:
    truth = synaptic_trace(wave, -80.0, how)
    found = measure_events(trace_of(truth), marked(truth))
    assert off(found["amplitude"], -80.0) < 0.025
    assert off(found["half_width_s"], truth.half_width_s) < 0.05
    assert off(found["area"], truth.area) < 0.04
    assert np.nanmedian(found["rise_10_90_s"]) == pytest.approx(truth.rise_10_90_s, rel=0.06)


def test_two_decays_are_told_where_there_are_two() -> None:
    truth = synaptic_trace(Wave(0.4e-3, 3e-3, slow=0.3, second=25e-3), -80.0, Recorded(snr=30, n=10))
    found = measure_events(trace_of(truth), marked(truth))
    assert np.nanmedian(found["decay_fast_s"]) == pytest.approx(3e-3, rel=0.12)
    assert np.nanmedian(found["decay_slow_s"]) == pytest.approx(25e-3, rel=0.12)
    assert np.nanmedian(found["decay_fast_share"]) == pytest.approx(0.7, abs=0.06)
    single = synaptic_trace(Wave(0.4e-3, 5e-3), -80.0, Recorded(snr=30, n=10))
    found = measure_events(trace_of(single), marked(single))
    assert np.isfinite(found["decay_fast_s"]).sum() <= 1
    assert np.nanmedian(found["decay_r2"]) > 0.99


def test_an_event_on_the_tail_of_another_is_measured_from_there() -> None:
    first, second = (
        synaptic_trace(Wave(0.5e-3, 12e-3), a, Recorded(snr=1e9, n=12, level=0.0)) for a in (-60.0, -30.0)
    )
    late = 9e-3
    shift = round(late * 20e3)
    values = np.asarray(first.values, float)
    values[shift:] += second.values[:-shift]
    values += np.random.default_rng(0).normal(0, 2, len(values)) + 50
    events = np.concatenate([marked(first), marked(second, shift / 20e3)])
    found = measure_events(replace(trace_of(first), values=values.astype(np.float32)), events)
    assert np.median(found["amplitude"][:12]) == pytest.approx(-60, rel=0.03)
    assert np.median(found["amplitude"][12:]) == pytest.approx(-30, rel=0.04)
    assert set(found["baseline_from"][12:]) == {"former decay"} and set(found["baseline_from"][:12]) == {
        "before"
    }


def test_slow_events_marked_early_are_moved_to_their_peaks() -> None:
    truth = synaptic_trace(Wave(6e-3, 90e-3), 40.0, Recorded(10e3, 15, n=8))
    found = measure_events(trace_of(truth), marked(truth, -17e-3))
    assert np.abs(found["time_s"] - truth.peak_s).max() < 2.5e-3
    assert off(found["decay_s"], 90e-3) < 0.05 and set(found["direction"]) == {"outward"}


def test_what_cannot_be_measured_is_empty_and_says_why() -> None:
    truth = synaptic_trace(Wave(0.5e-3, 20e-3), -50.0, Recorded(snr=20, n=5))
    values = truth.values.copy()
    peak = np.rint(truth.peak_s * 20e3).astype(int)
    values[peak[1] - 20 : peak[1] + 20] = np.nan
    stop = peak[4] + 60  # 3 ms after the last peak
    events = marked(truth)
    extra = events[:1].copy()
    extra["time_s"] = truth.peak_s[0] - 0.06  # nothing is there
    cut = replace(trace_of(truth), values=values[:stop])
    found = measure_events(cut, np.concatenate([events, extra]))
    assert found["reason"].tolist() == [
        "",
        "gap in the trace",
        "",
        "",
        "decay cut off by the end",
        "hidden in the noise",
    ]
    assert np.isnan(found["amplitude"][1]) and np.isfinite(found["amplitude"][4])
    assert np.isnan(found["decay_s"][[1, 4, 5]]).all() and abs(found["amplitude"][5]) < 5
    assert np.isfinite(found["decay_s"][[0, 2, 3]]).all()


def test_nothing_and_too_little_are_measured_without_a_fuss() -> None:
    assert (
        measure_events(Trace(np.zeros(0, np.float32), 1e4, "pA"), np.zeros(0, EVENT_DTYPE)).dtype
        == MEASURED_DTYPE
    )
    for n in (1, 3, 40):
        events = np.zeros(2, EVENT_DTYPE)
        events["class"], events["time_s"] = "PSC", [0, (n - 1) / 1e4]
        assert len(measure_events(Trace(np.zeros(n, np.float32), 1e4, "pA"), events)) == 2


def test_every_column_is_defined() -> None:
    said = {"sweep", "channel", "class", "score", "unit"}
    assert set(DEFINITIONS) | said == set(MEASURED_DTYPE.names or ())


def _of(detector: str, truth: SynapticTrace) -> np.ndarray:
    recording = Recording.from_arrays(truth.values, truth.sampling_rate, "pA")
    found = run_task(detect_events(recording, detector, DetectionSettings("psc")))
    found = found[~np.isin(found["class"], NOT_EVENTS)]
    return found[[int(np.argmin(np.abs(found["time_s"] - t))) for t in truth.peak_s]]


def test_all_detectors_give_the_same_numbers() -> None:
    truth = synaptic_trace(Wave(0.5e-3, 6e-3), -60.0, Recorded(snr=15, n=12))
    tables = [_of(name, truth) for name in ("physio-fm", "threshold", "template", "deconvolution")]
    for table in tables:
        assert off(table["amplitude"], -60.0) < 0.02 and set(table["class"]) == {"PSC"}
        for column in ("time_s", "amplitude", "rise_s", "decay_s"):
            np.testing.assert_allclose(table[column], tables[0][column], rtol=0.05, equal_nan=True)
    assert np.isfinite(tables[0]["model_amplitude"]).all() and np.isnan(tables[1]["model_amplitude"]).all()


def test_one_event_found_twice_stays_once() -> None:
    truth = synaptic_trace(Wave(0.5e-3, 6e-3), -60.0, Recorded(snr=15, n=4))
    measured = measure_events(trace_of(truth), marked(truth))
    twice = measured.copy()
    twice["time_s"] += 2e-5
    twice["score"] = [0.95, 0.5, 0.5, 0.5]
    once = distinct(np.concatenate([measured, twice]), 20e3)
    assert sorted(once["score"].tolist()) == pytest.approx([0.9, 0.9, 0.9, 0.95])


def test_action_potentials_are_measured_from_threshold_to_peak() -> None:
    fs, t = 50e3, np.arange(0, 0.1, 1 / 50e3)
    volts = -70 + 0 * t
    for at in (0.03, 0.07):
        ramp = np.clip((t - at + 8e-3) / 8e-3, 0, 1)
        volts = np.maximum(volts, np.where(t < at, -70 + 18 * ramp, -np.inf))
        u = t - at
        volts += np.where(u >= 0, 90 * np.exp(-(((u - 0.5e-3) / 0.22e-3) ** 2)), 0)
    events = np.zeros(2, EVENT_DTYPE)
    events["class"], events["time_s"] = "AP", [0.0305, 0.0704]
    found = measure_events(Trace(volts.astype(np.float32), fs, "mV"), events)
    np.testing.assert_allclose(found["time_s"], [0.0305, 0.0705], atol=3e-5)
    np.testing.assert_allclose(found["baseline"] + found["amplitude"], volts[[1525, 3525]], rtol=1e-4)
    assert (np.diff(found["baseline"]) == pytest.approx(0, abs=0.1)) and np.all(found["amplitude"] > 80)
    volted = measure_events(Trace((volts * 1e-3).astype(np.float32), fs, "V"), events)
    np.testing.assert_allclose(volted["amplitude"] * 1e3, found["amplitude"], rtol=1e-3)


def test_the_field_is_no_part_of_an_extracellular_spike() -> None:
    fs, rng = 24e3, np.random.default_rng(0)
    t = np.arange(0, 10, 1 / fs)
    values = rng.normal(0, 5, len(t)) + 100 * np.sin(2 * np.pi * 7 * t)
    at = np.arange(500, len(t) - 500, 3000)
    for k in at:
        u = (np.arange(-24, 60)) / fs * 1e3
        values[k - 24 : k + 60] += -80 * np.exp(-((u / 0.15) ** 2))
    events = np.zeros(len(at), EVENT_DTYPE)
    events["class"], events["time_s"], events["amplitude"] = (
        "spike",
        at / fs,
        -87 + 114 * rng.normal(size=len(at)),
    )
    events["amplitude"] = -np.abs(events["amplitude"])
    found = measure_events(Trace(values.astype(np.float32), fs, "uV"), events)
    assert np.median(found["amplitude"]) == pytest.approx(-80, rel=0.03)
    assert np.std(found["amplitude"]) < 8


@pytest.mark.parametrize(("rise", "decay", "size"), [(0.5e-3, 5e-3, -20.0), (2e-3, 30e-3, -200.0)])
def test_hum_is_no_part_of_an_event(rise: float, decay: float, size: float) -> None:
    how = Recorded(20e3, 15, filter_hz=2000, hum=abs(size) / 10, n=24)
    truth = synaptic_trace(Wave(rise, decay), size, how)
    found = measure_events(trace_of(truth), marked(truth))
    assert off(found["amplitude"], size) < 0.03 and off(found["decay_s"], decay) < 0.06
    plain = synaptic_trace(Wave(rise, decay), size, replace(how, hum=0.0))
    assert hum(trace_of(plain).values, 20e3) is None  # and none is seen where there is none


def test_marks_in_noise_do_not_shorten_the_events_beside_them() -> None:
    truth = synaptic_trace(Wave(2e-3, 40e-3), -50.0, Recorded(10e3, 20, n=6))
    events = marked(truth)
    beside = events.copy()
    beside["time_s"] += 0.2  # where nothing is left of the event
    found = measure_events(trace_of(truth), np.concatenate([events, beside]))
    assert off(found["decay_s"][:6], 40e-3) < 0.03 and off(found["amplitude"][:6], -50.0) < 0.02
    assert set(found["reason"][6:]) == {"hidden in the noise"}
