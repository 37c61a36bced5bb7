"""Filters keep phase, edges and gaps, and are never applied behind the user's back."""

from __future__ import annotations

import numpy as np
import pytest

from napari_biofm.signals import Recording
from napari_biofm.signals.filters import (
    FilterSettings,
    apply,
    baseline,
    filtered,
    highpass,
    lowpass,
    notch,
    running_percentile,
)
from napari_biofm.types import RecordingError

RATE = 10_000.0
TIME = np.arange(20_000) / RATE


def _sine(frequency: float, amplitude: float = 1.0) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * frequency * TIME)).astype(np.float32)


def _amplitude(values: np.ndarray) -> float:
    return float(np.sqrt(2) * values[4000:-4000].std())


def test_the_cutoff_is_where_3_db_are_lost() -> None:
    assert _amplitude(lowpass(_sine(500), RATE, 500)) == pytest.approx(np.sqrt(0.5), rel=0.01)
    assert _amplitude(highpass(_sine(100), RATE, 100)) == pytest.approx(np.sqrt(0.5), rel=0.01)


def test_a_peak_stays_where_it_is() -> None:
    pulse = np.exp(-0.5 * ((TIME - 1.0) / 0.002) ** 2).astype(np.float32)
    assert abs(int(np.argmax(lowpass(pulse, RATE, 200))) - int(np.argmax(pulse))) <= 1


def test_hum_goes_and_the_rest_stays() -> None:
    slow = _sine(7)
    cleaned = notch(slow + _sine(50, 0.5) + _sine(150, 0.2), RATE, 50)
    assert np.abs(cleaned - slow)[4000:-4000].max() < 0.02


def test_a_constant_is_not_bent_at_the_edges() -> None:
    np.testing.assert_allclose(lowpass(np.full(5000, -70, np.float32), RATE, 100), -70, rtol=1e-5)


def test_gaps_stay_gaps_and_their_neighbours_stay_finite() -> None:
    values = _sine(5)
    values[7000:7100] = np.nan
    result = lowpass(values, RATE, 300)
    assert np.isnan(result[7000:7100]).all() and np.isfinite(result[:7000]).all()
    assert np.abs(result[6990:7000] - values[6990:7000]).max() < 0.05


@pytest.mark.parametrize("n", [1, 2, 5])
def test_very_short_traces_come_back(n: int) -> None:
    assert len(lowpass(np.ones(n, np.float32), RATE, 100)) == n


@pytest.mark.parametrize("cutoff", [0, -5, 5000, 9000])
def test_an_impossible_cutoff_is_named_with_the_limit(cutoff: float) -> None:
    with pytest.raises(RecordingError, match="between 0 and 5000 Hz"):
        lowpass(_sine(5), RATE, cutoff)


def test_a_running_baseline_follows_drift_and_ignores_events() -> None:
    drift = np.linspace(0, 10, 20_000).astype(np.float32)
    events = np.zeros(20_000, np.float32)
    events[::1000] = 50
    found = baseline(drift + events, RATE, "running median", 0.2)
    assert np.abs(found - drift)[1000:-1000].max() < 0.1


def test_a_low_percentile_is_the_floor() -> None:
    noise = np.random.default_rng(0).normal(0, 1, 3000).astype(np.float32)
    assert running_percentile(noise, 60, 10.0).mean() == pytest.approx(-1.28, abs=0.15)


def test_a_processed_copy_says_so_and_leaves_the_source_alone() -> None:
    source = Recording.from_arrays([[_sine(5), _sine(800)]], RATE, "pA")
    copy = filtered(source, FilterSettings(lowpass=100), [1])
    assert _amplitude(copy.values(0, 1)) < 0.01 and _amplitude(source.values(0, 1)) > 0.99
    np.testing.assert_array_equal(copy.values(0, 0), source.values(0, 0))
    assert copy.metadata["processing"]["lowpass"] == 100
    assert filtered(source, FilterSettings()) is source


def test_long_traces_are_filtered_in_blocks_without_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(0, 1, 60_000).astype(np.float32)
    settings = FilterSettings(lowpass=400, highpass=20, notch=50)
    whole = apply(values, RATE, settings)
    monkeypatch.setattr("napari_biofm.signals.filters._BLOCK", 20_000)
    pieces = filtered(Recording.from_arrays(values, RATE, "pA"), settings).values(0, 0)
    assert np.abs(pieces - whole).max() < 0.02


def test_what_was_done_is_said_in_words() -> None:
    text = FilterSettings(lowpass=1000, notch=50, baseline="running median").sentences()
    assert (
        "low-pass filtered at 1000 Hz" in text
        and "notch filtered at 50 Hz" in text
        and "running median" in text
    )
    assert FilterSettings().sentences() == ""
