"""Features of simulated recordings are those that went into them."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from tests.events.generators import FS, calcium, channel, heart

from napari_biofm.events.detect import detect_events
from napari_biofm.events.features import definitions, features, to_csv
from napari_biofm.events.features.ap import AP_DEFINITIONS, ap_features, landmarks
from napari_biofm.events.features.channel import dwell_histogram, dwell_times, fit_dwells
from napari_biofm.events.features.hrv import HRV_DEFINITIONS, hrv_features
from napari_biofm.events.features.passive import current_step, step_features
from napari_biofm.events.features.single_channels import sweep_values
from napari_biofm.events.features.train import TRAIN_DEFINITIONS, train_features
from napari_biofm.signals import Recording
from napari_biofm.signals.quality import assess
from napari_biofm.simulate import current_clamp, voltage_clamp
from napari_biofm.types import DetectionSettings, Kind, Trace, no_events, run_task

Table = dict[str, np.ndarray]


def _described(recording: Recording, kind: Kind) -> Table:
    events = run_task(detect_events(recording, "classical", DetectionSettings(kind)))
    return run_task(features(recording, events))


# ------------------------------------------------------------------ action potentials


def test_a_triangle_has_the_width_and_slopes_it_was_drawn_with() -> None:
    volts = np.full(4000, -60.0)
    volts[1000:1021] = np.linspace(-60, 20, 21)
    volts[1020:1061] = np.linspace(20, -70, 41)
    volts[1060:2000] = np.linspace(-70, -60, 940)
    found = ap_features(volts, FS, landmarks(volts, FS, np.array([1020])))
    assert set(found) == set(AP_DEFINITIONS)
    assert found["peak_mV"][0] == 20
    assert found["amplitude_mV"][0] == pytest.approx(80, abs=4)
    assert found["max_rise_mV_per_ms"][0] == pytest.approx(80)
    assert found["max_fall_mV_per_ms"][0] == pytest.approx(-45)
    assert found["half_width_ms"][0] == pytest.approx(0.5 + 40 / 45, rel=0.02)
    assert found["ahp_mV"][0] == pytest.approx(-70)


def test_a_regular_train_does_not_adapt_and_a_slowing_one_does() -> None:
    regular = train_features(np.arange(1, 11) * 0.1, np.full(10, 20.0), 0.0, 1.05)
    assert set(regular) == set(TRAIN_DEFINITIONS)
    assert regular["n_aps"] == 10
    assert regular["mean_interval_ms"] == pytest.approx(100)
    assert regular["adaptation_index"] == pytest.approx(0)
    assert regular["n_bursts"] == 0
    slowing = train_features(np.cumsum(np.linspace(0.02, 0.1, 12)), np.full(12, 20.0), 0.0, 1.0)
    assert slowing["adaptation_index"] > 0.02
    assert slowing["interval_log_slope"] > 0


def test_bursts_are_counted() -> None:
    bursts = np.concatenate([start + np.arange(4) * 0.005 for start in (0.1, 0.3, 0.5, 0.7)])
    times = np.sort(np.concatenate([bursts, [1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4, 2.6, 2.8, 3.0]]))
    found = train_features(times, np.zeros(len(times)), 0.0, 3.0)
    assert (found["n_bursts"], found["aps_per_burst"]) == (4, 4)
    assert found["burst_rate_Hz"] == pytest.approx(200)


def test_no_action_potential_is_no_error() -> None:
    assert train_features(np.zeros(0), np.zeros(0), 0, 1)["n_aps"] == 0
    assert len(ap_features(np.zeros(100), FS, landmarks(np.zeros(100), FS, np.zeros(0, int)))["peak_mV"]) == 0


# ------------------------------------------------------------------ passive properties


def test_a_test_pulse_gives_back_the_cell() -> None:
    trace = voltage_clamp(12, noise_pa=1.0, rate=0.2, seed=1)  # 12 MOhm, 150 MOhm, 80 pF
    recording = Recording.from_arrays([[trace.values, trace.command]], trace.sampling_rate, ["pA", "mV"])
    table = run_task(features(recording, no_events()))
    assert table["channel"].tolist() == [0], "the second channel is the command, by its shape"
    assert table["test_access_MOhm"][0] == pytest.approx(
        12, rel=0.04
    )  # half a sample is 3 % of the transient
    assert table["test_membrane_MOhm"][0] == pytest.approx(150, rel=0.03)
    assert table["test_capacitance_pF"][0] == pytest.approx(80, rel=0.03)
    dock = assess(recording, 0, 0).access
    assert dock is not None
    assert dock.access_resistance * 1e-6 == table["test_access_MOhm"][0], "the dock shows what the table says"


@pytest.mark.parametrize("step", [-50.0, 30.0])
def test_a_current_step_gives_back_resistance_and_time_constant(step: float) -> None:
    t = np.arange(10_000) / FS
    volts = np.full(20_000, -70.0)
    volts[4000:14_000] += 0.15 * step * (1 - np.exp(-t / 0.02))
    volts[14_000:] += 0.15 * step * np.exp(-t[:6000] / 0.02)
    volts += np.random.default_rng(0).normal(0, 0.1, len(volts))
    found = current_step(volts, FS, 4000, 14_000, step)
    assert found["input_resistance_MOhm"] == pytest.approx(150, rel=0.02)
    assert found["tau_ms"] == pytest.approx(20, rel=0.1)
    assert found["capacitance_pF"] == pytest.approx(20e-3 / 150e6 * 1e12, rel=0.1)
    about = step_features(volts, FS, 4000, 14_000)
    assert about["tau_off_ms"] == pytest.approx(20, rel=0.1)
    assert about["baseline_mV"] == pytest.approx(-70, abs=0.1)


def _charging(step: float, sag: float, noise: float) -> np.ndarray:
    """20 kHz; rest at -70 mV, a step from 0.2 to 0.7 s through 150 MOhm and 20 ms, sag with 60 ms."""
    t = np.arange(10_000) / FS
    volts = np.full(20_000, -70.0)
    volts[4000:14_000] += 0.15 * step * ((1 - np.exp(-t / 0.02)) - sag * (1 - np.exp(-t / 0.06)))
    return volts + np.random.default_rng(0).normal(0, noise, len(volts))


def test_sag_is_measured_beside_the_noise_and_not_from_its_lowest_sample() -> None:
    clean, noisy = (step_features(_charging(-100, 0.3, noise), FS, 4000, 14_000) for noise in (0.0, 0.5))
    truth = (clean["steady_mV"] - clean["minimum_mV"]) / (clean["baseline_mV"] - clean["minimum_mV"])
    assert clean["sag_ratio"] == pytest.approx(truth, abs=0.005)
    assert noisy["sag_ratio"] == pytest.approx(truth, abs=0.015)
    flat = step_features(_charging(-100, 0.0, 0.5), FS, 4000, 14_000)
    assert flat["sag_ratio"] < 0.015


def test_the_steepest_rise_does_not_depend_on_the_sampling_rate() -> None:
    found = []
    for fs in (20_000.0, 200_000.0):
        t = np.arange(int(0.03 * fs)) / fs
        volts = (
            -65
            + 100 * np.exp(-(((t - 0.0151234) / 0.00025) ** 2))
            - 10 * np.exp(-(((t - 0.018) / 0.002) ** 2))
        )
        at = int(np.argmax(volts))
        found.append(ap_features(volts, fs, landmarks(volts, fs, np.array([at]))))
    truth = 100 * np.sqrt(2 / np.e) / 0.25
    assert found[1]["max_rise_mV_per_ms"][0] == pytest.approx(truth, rel=0.01)
    assert found[0]["max_rise_mV_per_ms"][0] == pytest.approx(truth, rel=0.02)
    assert found[0]["max_fall_mV_per_ms"][0] == pytest.approx(found[1]["max_fall_mV_per_ms"][0], rel=0.02)
    assert found[0]["max_rise_of_samples_mV_per_ms"][0] < 0.98 * truth


def test_without_a_step_the_rate_is_that_of_the_sweep() -> None:
    times, tops = np.array([0.5, 1.0]), np.zeros(2)
    assert train_features(times, tops, 0.0, 10.0, False)["mean_rate_Hz"] == pytest.approx(0.2)
    assert train_features(times, tops, 0.0, 10.0)["mean_rate_Hz"] == pytest.approx(2.0)


# ------------------------------------------------------------------ channels and heart


def test_dwell_times_are_those_of_the_channel() -> None:
    _, count = channel(np.random.default_rng(0), 60)
    is_open, closed = dwell_times(count, FS)
    fits = [fit_dwells(one, 1 / FS) for one in (is_open, closed)]
    assert fits[0] is not None and fits[1] is not None
    assert fits[0].tau_s[0] == pytest.approx(0.010, rel=0.1)
    assert fits[1].tau_s[0] == pytest.approx(0.025, rel=0.1)
    assert len(fits[0].tau_s) == 1
    edges, counts = dwell_histogram(is_open)
    assert counts.sum() == len(is_open)
    assert len(edges) == len(counts) + 1
    current, _ = channel(np.random.default_rng(0), 60)
    found = sweep_values(Trace(current.astype(np.float32), FS, "pA"))
    assert found["open_probability"] == pytest.approx(10 / 35, rel=0.1)


def test_two_time_constants_are_told_apart() -> None:
    rng = np.random.default_rng(1)
    dwell = np.concatenate([rng.exponential(0.001, 1500), rng.exponential(0.03, 1000)])
    fit = fit_dwells(dwell, 1e-5)
    assert fit is not None
    np.testing.assert_allclose(fit.tau_s, [0.001, 0.03], rtol=0.15)
    np.testing.assert_allclose(fit.share, [0.6, 0.4], atol=0.05)
    grid = np.geomspace(1e-6, 1, 4000)
    assert np.trapezoid(fit.density(grid), grid) == pytest.approx(1, abs=0.01)


def test_heart_rate_variability_of_a_known_rhythm() -> None:
    n = np.arange(300)
    interval = 0.8 + 0.05 * np.sin(2 * np.pi * 0.25 * 0.8 * n)  # breathing, 0.25 Hz
    found = hrv_features(np.cumsum(interval))
    assert set(found) == set(HRV_DEFINITIONS)
    assert found["mean_nn_ms"] == pytest.approx(800, rel=0.01)
    assert found["sdnn_ms"] == pytest.approx(50 / np.sqrt(2), rel=0.03)
    assert found["hf_ms2"] == pytest.approx(1250, rel=0.2)
    assert found["lf_over_hf"] < 0.1
    assert np.isnan(hrv_features(np.array([1.0]))["sdnn_ms"])


# ------------------------------------------------------------------ the table


def test_one_row_per_sweep_and_event_with_units_and_definitions() -> None:
    trace = current_clamp(np.arange(0.5, 4.5, 0.1), 5.0, seed=2)
    recording = Recording.from_arrays(np.stack([trace.values, np.full(len(trace.values), -68.0)]), FS, "mV")
    table = _described(recording, "ap")
    assert (table["row"] == "sweep").sum() == 2
    assert (table["row"] == "event").sum() == 40
    assert {len(column) for column in table.values()} == {42}
    events = table["row"] == "event"
    assert np.nanmedian(table["ap_half_width_ms"][events]) == pytest.approx(0.8, rel=0.3)
    assert table["ap_n_aps"][0] == 40
    assert np.isnan(table["ap_half_width_ms"][0])
    words = definitions(table)
    assert list(words) == list(table) and all(words.values())


@pytest.mark.parametrize(
    ("kind", "unit", "column", "least", "most"),
    [
        ("psc", "pA", "psc_decay_ms", 3, 6),
        ("calcium", "dF/F", "calcium_amplitude_dF/F", 0.2, 0.4),
        ("channel", "pA", "channel_amplitude_pA", 1.8, 2.2),
        ("ecg", "mV", "ecg_interval_ms", 800, 900),
        ("spike", "uV", "spike_interval_ms", 10, 10_000),
    ],
)
def test_every_kind_has_its_features(kind: Kind, unit: str, column: str, least: float, most: float) -> None:
    rng = np.random.default_rng(3)
    fs = {"calcium": 30.0, "ecg": 300.0}.get(kind, FS)
    if kind == "calcium":
        values = calcium(rng, 30, 90, fs)[0]
    elif kind == "ecg":
        values = heart(rng, 90, fs)[0]
    elif kind == "channel":
        values = channel(rng, 3)[0]
    else:
        values = voltage_clamp(10, inhibitory=0.0, rate=6, seed=4).values
    table = _described(Recording.from_arrays(values, fs, unit), kind)
    assert least <= np.nanmedian(table[column]) <= most
    assert all(definitions(table).values())


def test_the_text_of_the_table_has_empty_cells_for_what_is_not_there() -> None:
    recording = Recording.from_arrays(voltage_clamp(5, seed=5).values, FS, "pA")
    table = _described(recording, "psc")
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert len(rows) == len(table["row"])
    assert rows[0]["row"] == "sweep" and rows[0]["psc_decay_ms"] == ""
    assert float(rows[1]["psc_amplitude_pA"]) != 0


@pytest.mark.parametrize("values", [np.zeros(0), np.zeros(3), np.full(1000, np.nan), np.full(1000, 5.0)])
def test_recordings_without_anything_give_a_row_per_sweep(values: np.ndarray) -> None:
    table = run_task(features(Recording.from_arrays(values, FS, "pA"), no_events()))
    assert table["row"].tolist() == ["sweep"]
