"""Light that all cells share is no activity, and each cell's share of its surround can be read from it."""

import numpy as np
import pytest
from scipy import ndimage

from napari_biofm.signals.calcium import TraceSettings, extract_traces
from napari_biofm.signals.calcium.drift import common_drift
from napari_biofm.signals.calcium.neuropil import neuropil_share, other_shares
from napari_biofm.signals.calcium.settings import neuropil_choice
from napari_biofm.types import RecordingError, run_task

RATE = 10.0


def transients(rng, n, height):
    kernel = np.exp(-np.arange(30) / 5.0)
    train = (rng.random(n) < 0.015).astype(float)
    return height * np.convolve(train, kernel)[:n]


@pytest.mark.parametrize("period", [40.0, 90.0])
def test_a_lamp_that_wanders_within_the_window_of_f0_changes_no_gain(period):
    rng = np.random.default_rng(0)
    n = 1200
    labels = np.zeros((30, 40), np.int32)
    for k in range(12):
        labels[2 + 9 * (k // 4) : 7 + 9 * (k // 4), 2 + 10 * (k % 4) : 7 + 10 * (k % 4)] = k + 1
    dff = np.array([transients(rng, n, 0.5) for _ in range(12)])
    lamp = 1 + 0.25 * np.sin(2 * np.pi * np.arange(n) / RATE / period)
    movie = np.full((n, 30, 40), 40.0, np.float32)
    for k in range(12):
        movie[:, labels == k + 1] = (28 + 100 * (1 + dff[k]))[:, None]
    movie = movie * lamp[:, None, None] + rng.normal(0, 1, movie.shape) + 100
    settings = TraceSettings(dark_level=100.0, check_motion=False)
    found = run_task(extract_traces(movie.astype(np.float32), labels, RATE, settings))
    gains = [np.polyfit(true, mine, 1)[0] for true, mine in zip(dff, found.dff, strict=True)]
    assert abs(np.median(gains) - 1) < 0.03
    assert any("moves together" in one for one in found.warnings)


def test_activity_that_cells_share_is_no_drift():
    rng = np.random.default_rng(1)
    n = 1200
    wave = ndimage.gaussian_filter1d(rng.standard_normal(n), 60)
    wave = np.maximum(wave / wave.max(), 0)
    cells = 1 + rng.uniform(0.1, 1.2, 12)[:, None] * wave + rng.normal(0, 0.02, (12, n))
    assert common_drift(cells.astype(np.float32), RATE, TraceSettings()) is None
    steady = 1 + rng.normal(0, 0.02, (12, n))
    assert common_drift(steady.astype(np.float32), RATE, TraceSettings()) is None


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_the_share_of_the_neuropil_is_read_in_spite_of_activity(share):
    rng = np.random.default_rng(2)
    n = 2000
    around = 40 + 10 * ndimage.gaussian_filter1d(rng.standard_normal(n), 6) * 5
    cell = share * around + 80 * (1 + transients(rng, n, 0.6)) + rng.normal(0, 1, n)
    assert neuropil_share(cell, around + rng.normal(0, 0.3, n), RATE, 0.7) == pytest.approx(share, abs=0.06)
    still = 40 + rng.normal(0, 0.3, n)
    assert neuropil_share(cell, still, RATE, 0.7) == 0.7


@pytest.mark.parametrize("uneven", [True, False])
def test_a_factor_that_does_not_suit_the_cells_is_told(uneven):
    rng = np.random.default_rng(3)
    n, labels = 1200, np.zeros((24, 60), np.int32)
    for k in range(6):
        labels[9:14, 3 + 10 * k : 8 + 10 * k] = k + 1
    wave = 60 + 10 * ndimage.gaussian_filter1d(rng.standard_normal(n), 6) * 5
    light = (
        1 + 0.5 * (labels % 2 == 1) if uneven else np.ones(labels.shape)
    )  # every other cell lies in a brighter place
    movie = wave[:, None, None] * np.where(labels > 0, 0.7 * light, 1.0)
    for k in range(6):
        movie[:, labels == k + 1] += 100 * (1 + transients(rng, n, 0.5))[:, None]
    movie = (movie + rng.normal(0, 1, movie.shape) + 100).astype(np.float32)
    usual = TraceSettings(dark_level=100.0, check_motion=False, neuropil="factor")
    found = run_task(extract_traces(movie, labels, RATE, usual))
    np.testing.assert_allclose(found.neuropil_shares, 0.7)
    assert any("--neuropil regression" in one for one in found.warnings) == uneven
    read = TraceSettings(dark_level=100.0, check_motion=False, neuropil="regression")
    found = run_task(extract_traces(movie, labels, RATE, read))
    assert not any("--neuropil regression" in one for one in found.warnings)
    np.testing.assert_allclose(found.neuropil_shares, [1.05, 0.7] * 3 if uneven else 0.7, atol=0.06)
    auto = run_task(extract_traces(movie, labels, RATE, TraceSettings(dark_level=100.0, check_motion=False)))
    assert any("is read from each cell" in one for one in auto.warnings) == uneven
    if uneven:
        np.testing.assert_array_equal(auto.neuropil_shares, found.neuropil_shares)
    else:
        np.testing.assert_array_equal(auto.neuropil_shares, np.float32(0.7))


@pytest.mark.parametrize(("n", "seed"), [(300, 0), (450, 1), (450, 2), (900, 3)])
def test_a_factor_that_suits_stays_in_short_and_noisy_movies(n, seed):
    rng = np.random.default_rng(seed)
    around = 40 + 6 * ndimage.gaussian_filter1d(rng.standard_normal((1, n)), 6) * 5
    cells = 0.7 * around + 80 * np.array([1 + transients(rng, n, 0.8) for _ in range(12)])
    light = (cells + rng.normal(0, 3, (12, n))).astype(np.float32)
    surround = (around + rng.normal(0, 0.4, (12, n))).astype(np.float32)
    assert other_shares(light, surround, RATE, TraceSettings()) == (None, "")


@pytest.mark.parametrize(
    ("factor", "way", "taken"),
    [(None, None, (0.7, "auto")), (0.5, None, (0.5, "factor")), (0.5, "auto", (0.5, "auto"))],
)
def test_a_factor_that_is_given_alone_is_for_all_cells(factor, way, taken):
    assert neuropil_choice(factor, way) == taken


def test_an_unknown_way_with_neuropil_is_refused():
    with pytest.raises(RecordingError, match="factor, regression"):
        TraceSettings(neuropil="ica")
