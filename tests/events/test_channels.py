"""Idealisation: exact decoding, and levels found without a hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.signal import bessel, sosfilt

from napari_biofm.events.channels.idealization import idealize, opening_events
from napari_biofm.events.channels.viterbi import viterbi
from napari_biofm.types import Trace


def gating(rng: np.random.Generator, n: int, channels: int, stay: float = 50.0) -> np.ndarray:
    total = np.zeros(n, int)
    for _ in range(channels):
        switches = np.cumsum(rng.exponential(stay, int(2 * n / stay) + 10) + 1).astype(int)
        state = np.searchsorted(switches, np.arange(n), side="right") + rng.integers(2)
        total += state % 2
    return total


def log_likelihood(path: tuple[int, ...], x: np.ndarray, model: tuple[np.ndarray, ...]) -> float:
    levels, sigma, move, start = model
    steps = sum(np.log(move[a, b]) for a, b in itertools.pairwise(path))
    k = np.array(path)
    seen = np.sum(0.5 * ((x - levels[k]) / sigma[k]) ** 2 + np.log(sigma[k]))
    return float(np.log(start[path[0]]) + steps - seen)


def test_viterbi_finds_the_best_of_all_paths() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        s, n = 3, 6
        levels, sigma = np.sort(rng.normal(size=s)), rng.uniform(0.3, 1, s)
        move, start = rng.dirichlet(np.ones(s), s), rng.dirichlet(np.ones(s))
        x, model = rng.normal(size=n), (levels, sigma, move, start)
        scored = {path: log_likelihood(path, x, model) for path in itertools.product(range(s), repeat=n)}
        found = viterbi(x, levels, sigma, np.log(move), np.log(start))
        assert tuple(found) == max(scored, key=scored.__getitem__)


@pytest.mark.parametrize(("channels", "noise", "least"), [(1, 0.2, 0.99), (3, 0.25, 0.97), (5, 0.2, 0.97)])
def test_levels_are_found_without_a_hand(channels: int, noise: float, least: float) -> None:
    rng = np.random.default_rng(channels)
    truth = gating(rng, 40_000, channels)
    x = 4.0 * truth - 3.0 + 4.0 * noise * rng.normal(size=len(truth))
    ideal = idealize(Trace(x.astype(np.float32), 10e3, "pA"))
    assert len(ideal.levels) == channels + 1
    assert np.mean(ideal.n_open == truth) > least
    assert np.diff(ideal.levels) == pytest.approx(4.0, abs=0.1)


@pytest.mark.parametrize(
    ("channels", "stay", "noise", "cut", "drift", "least"),
    [
        (1, 40, 0.12, 0.37, 0, 0.95),
        (1, 12, 0.11, 0.58, 3, 0.90),
        (2, 20, 0.30, 0.80, 0, 0.85),
        (3, 80, 0.12, 0.76, 8, 0.95),
        (5, 30, 0.15, 0.50, 3, 0.80),
    ],
)
def test_flanks_of_filtered_steps_are_not_levels(
    channels: int, stay: float, noise: float, cut: float, drift: float, least: float
) -> None:
    rng = np.random.default_rng(channels)
    truth = gating(rng, 40_000, channels, stay)
    padded = np.concatenate([np.full(64, float(truth[0])), truth])
    filtered = sosfilt(bessel(4, cut, output="sos", norm="mag"), padded)[64:]
    wander = drift * np.sin(np.linspace(0, 6, len(truth)))
    x = 2.5 * (filtered + wander + noise * rng.normal(size=len(truth)))
    ideal = idealize(Trace(x.astype(np.float32), 10e3, "pA"))
    assert len(ideal.levels) == channels + 1
    assert np.diff(ideal.levels) == pytest.approx(2.5, rel=0.08)
    assert np.mean(ideal.n_open == truth) > least


def test_a_drifting_baseline_is_followed() -> None:
    rng = np.random.default_rng(9)
    truth = gating(rng, 60_000, 2)
    drift = 6 * np.sin(np.linspace(0, 5, len(truth)))
    x = 2.0 * truth + drift + 0.4 * rng.normal(size=len(truth))
    ideal = idealize(Trace(x.astype(np.float32), 10e3, "pA"))
    assert np.mean(ideal.n_open == truth) > 0.97
    assert np.abs(ideal.baseline - drift).mean() < 0.2


def test_inward_openings_from_zero_are_downward() -> None:
    rng = np.random.default_rng(4)
    truth = gating(rng, 30_000, 1)
    x = -5.0 * truth + 0.6 * rng.normal(size=len(truth))
    ideal = idealize(Trace(x.astype(np.float32), 10e3, "pA"))
    assert ideal.levels[1] == pytest.approx(-5, abs=0.2)
    assert np.mean(ideal.n_open == truth) > 0.99


@pytest.mark.parametrize("x", [np.zeros(0), np.ones(3), np.ones(5000), np.full(5000, np.nan)])
def test_where_nothing_opens_nothing_is_open(x: np.ndarray) -> None:
    signal = Trace(x.astype(np.float32), 10e3, "pA")
    ideal = idealize(signal)
    assert ideal.n_open.shape == x.shape
    assert not ideal.n_open.any()
    assert len(opening_events(signal)) == 0


def test_noise_alone_is_one_level() -> None:
    x = np.random.default_rng(0).normal(size=20_000)
    assert not idealize(Trace(x.astype(np.float32), 10e3, "pA")).n_open.any()


def test_openings_are_events_with_times_and_sizes() -> None:
    x = np.zeros(20_000)
    for a in range(500, 19_000, 700):
        x[a : a + 200] = 8.0
    x += 0.5 * np.random.default_rng(1).normal(size=len(x))
    table = opening_events(Trace(x.astype(np.float32), 10e3, "pA"))
    assert len(table) == len(range(500, 19_000, 700))
    assert table["time_s"][0] == pytest.approx(0.05, abs=2e-4)
    assert table["amplitude"] == pytest.approx(8.0, abs=0.2)
    assert table["decay_s"] == pytest.approx(0.02, abs=3e-4)
