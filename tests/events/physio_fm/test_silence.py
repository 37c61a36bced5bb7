"""Where nothing happens nothing is found; weak events of active cells and units still are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from napari_biofm.events.evaluation import match_events
from napari_biofm.events.physio_fm.evidence import calcium_evidence
from napari_biofm.events.physio_fm.judge import judged, products
from napari_biofm.events.physio_fm.model import PhysioFM
from napari_biofm.types import DetectionSettings, Events, Preset, Trace, run_task


@pytest.fixture(scope="module")
def stock() -> PhysioFM:
    return PhysioFM(threads=1)


def events(model: PhysioFM, signal: Trace, kind: Any, preset: Preset = "balanced") -> Events:
    found = run_task(model.detect(signal, DetectionSettings(kind=kind, preset=preset)))
    return found[~np.isin(found["class"], ["artefact", "rejected"])]


def noise(name: str, n: int, fs: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    white, t = rng.normal(size=n), np.arange(n) / fs
    if name == "smoothed":
        x = gaussian_filter1d(white, 2.0)
        return x / x.std()
    if name == "drift":
        return white + 5 * np.sin(2 * np.pi * 1.3 * t / t[-1])
    if name == "hum":
        return white + 1.5 * np.sin(2 * np.pi * 50 * t)
    if name == "shot":
        return (rng.poisson(4.0, n) - 4.0) / 2
    if name == "motion":
        dips = np.zeros(n)
        for at in rng.integers(0, n, max(1, int(n / fs / 20))):
            dips -= rng.uniform(2, 8) * np.exp(-0.5 * ((np.arange(n) - at) / (0.2 * fs)) ** 2)
        return white + dips
    return white


@pytest.mark.parametrize("name", ["white", "smoothed", "drift", "hum", "shot", "motion"])
@pytest.mark.parametrize("preset", ["balanced", "precise"])
def test_silent_cells_stay_silent(stock: PhysioFM, name: str, preset: Preset) -> None:
    found = 0
    for seed, fs in enumerate((10.0, 30.0, 60.0)):
        x = 0.05 * noise(name, round(120 * fs), fs, 100 + seed)
        found += len(events(stock, Trace(x.astype(np.float32), fs, "dF/F"), "calcium", preset))
    assert found / 6 <= 0.2  # per minute


@pytest.mark.parametrize(
    ("kind", "unit", "fs", "sigma", "rest"),
    [
        ("psc", "pA", 20e3, 3.0, -40.0), ("ap", "mV", 20e3, 0.3, -65.0), ("spike", "uV", 24e3, 10.0, 0.0),
        ("loose", "pA", 20e3, 4.0, 0.0), ("psp", "mV", 10e3, 0.15, -65.0), ("ecg", "mV", 250.0, 0.1, 0.0),
    ],
)  # fmt: skip
def test_noise_alone_holds_no_events_of_any_kind(
    stock: PhysioFM, kind: Any, unit: str, fs: float, sigma: float, rest: float
) -> None:
    found, seconds = 0, 30.0 if kind == "ecg" else 6.0
    for name in ("white", "smoothed", "drift", "hum", "shot"):
        x = rest + sigma * noise(name, round(seconds * fs), fs, 7)
        found += len(events(stock, Trace(x.astype(np.float32), fs, unit), kind))
    assert found <= 1  # in half a minute or more: 2 per minute at most


def test_an_active_cell_keeps_its_events(stock: PhysioFM) -> None:
    fs, rng = 30.0, np.random.default_rng(3)
    spikes = np.sort(rng.choice(np.arange(60, 3500, 45), 40, replace=False))
    drive = np.zeros(3600)
    drive[spikes] = 0.25
    x = lfilter([1.0], [1, -np.exp(-1 / (0.5 * fs))], drive) + 0.05 * noise("white", 3600, fs, 5)
    found = events(stock, Trace(x.astype(np.float32), fs, "dF/F"), "calcium")
    hit = match_events(spikes / fs, found["time_s"], found["score"], 0.15)
    assert 2 * hit.sum() / (len(found) + 40) >= 0.85


def test_weak_spikes_over_noise_are_found_by_their_common_shape(stock: PhysioFM) -> None:
    rng, fs = np.random.default_rng(8), 24e3
    t = np.arange(-30, 60) / 24.0
    wave = -np.exp(-0.5 * (t / 0.15) ** 2) + 0.35 * np.exp(-0.5 * ((t - 0.6) / 0.25) ** 2)
    x = rng.normal(size=240_000)
    starts = np.cumsum(rng.integers(400, 2400, 160))
    starts = starts[starts < 239_000]
    for a in starts:
        x[a : a + len(wave)] += 4 * wave
    found = events(stock, Trace((12 * x).astype(np.float32), fs, "uV"), "spike")
    hit = match_events((starts + 30) / fs, found["time_s"], found["score"], 0.5e-3)
    assert 2 * hit.sum() / (len(found) + len(starts)) >= 0.93


def test_reading_a_trace_backwards_takes_its_asymmetry_away(stock: PhysioFM) -> None:
    fs = 30.0
    drive = np.zeros(3600)
    drive[100:3500:170] = 1.0
    x = lfilter([1.0], [1, -np.exp(-1 / (0.6 * fs))], drive) + 0.1 * np.random.default_rng(1).normal(
        size=3600
    )

    def asymmetry(values: np.ndarray) -> float:
        signal = Trace(values.astype(np.float32), fs, "dF/F")
        found = stock.found(signal, "calcium")
        assert found is not None
        return float(calcium_evidence(signal, found, np.zeros(len(found.time)))[0, 3])

    assert asymmetry(x) > 1 > asymmetry(x[::-1])
    assert (
        asymmetry(np.maximum(np.random.default_rng(2).normal(size=3600), 0)) < 0.5
    )  # skewed, but not in time


def test_a_judge_is_a_logistic_regression_on_columns_and_their_products() -> None:
    columns = np.array([[1.0, 2.0], [3.0, -1.0]])
    np.testing.assert_array_equal(products(columns)[0], [1, 2, 1, 2, 4])
    judge = {"middle": [0, 0], "spread": [1, 1], "weights": [1, 0, 0, 0, 0.5], "bias": -1.0}
    np.testing.assert_allclose(judged(columns, judge), 1 / (1 + np.exp(-np.array([2.0, 2.5]))), rtol=1e-5)


def test_a_plateau_is_one_event_or_two_and_a_burst_on_it_stays_one(stock: PhysioFM) -> None:
    fs, rng = 20.0, np.random.default_rng(6)
    t = np.arange(1800) / fs - 30
    wave = (1 - np.exp(-np.maximum(t, 0) / 0.5)) * np.exp(-np.maximum(t - 30, 0) / 1.5)
    x = 1.2 * wave + 0.05 * rng.normal(size=1800)
    found = events(stock, Trace(x.astype(np.float32), fs, "dF/F"), "calcium")
    assert 1 <= len(found) <= 2 and np.abs(found["time_s"] - 30).min() < 0.5
    late = np.where(t > 15, np.exp(-(t - 15) / 0.8), 0.0)
    found = events(stock, Trace((x + 1.5 * late).astype(np.float32), fs, "dF/F"), "calcium")
    assert np.abs(found["time_s"] - 45).min() < 0.3


def test_rates_are_scaled_to_counted_spikes_and_keep_their_course(stock: PhysioFM) -> None:
    fs, rng = 30.0, np.random.default_rng(2)
    drive = (rng.random(3600) < 0.02) * 0.25
    x = (lfilter([1.0], [1, -np.exp(-1 / (0.4 * fs))], drive) + 0.04 * rng.normal(size=3600)).astype(
        np.float32
    )
    rate, low, high = stock.rate(x[None], fs)
    plain = PhysioFM(threads=1)
    plain.use(stock.network(), {k: v for k, v in stock.card.items() if k != "rate_gain"})
    unscaled = plain.rate(x[None], fs)[0]
    gain = rate.sum() / unscaled.sum()
    np.testing.assert_allclose(rate, gain * unscaled, rtol=1e-4)
    assert 0.3 < gain < 1.2 and (low <= high).all()


def test_a_quiet_cell_in_percent_is_not_read_as_fractions(stock: PhysioFM) -> None:
    from napari_biofm.events.physio_fm.input_encoding import in_percent

    rng, fs = np.random.default_rng(4), 30.0
    drive = np.zeros(3600)
    drive[np.arange(80, 3500, 140)] = 0.06
    x = lfilter([1.0], [1, -np.exp(-1 / (0.5 * fs))], drive) + 0.006 * rng.normal(size=3600)  # 0.6 %
    fraction, percent = (Trace((k * x).astype(np.float32), fs, "dF/F") for k in (1, 100))
    assert not in_percent(fraction) and in_percent(percent)
    a, b = (events(stock, signal, "calcium") for signal in (fraction, percent))
    np.testing.assert_allclose(a["time_s"], b["time_s"], atol=0.02)
    np.testing.assert_allclose(100 * a["amplitude"], b["amplitude"], rtol=0.05)
