"""Idealisation: exact decoding, and levels found without a hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.signal import bessel, sosfilt

from napari_biofm.events.channels.idealization import idealize
from napari_biofm.events.channels.ladder import Ladder, decode, evidence, whitened
from napari_biofm.events.channels.openings import opening_events
from napari_biofm.events.channels.steps import Noise
from napari_biofm.types import Trace


def gating(rng: np.random.Generator, n: int, channels: int, stay: float = 50.0) -> np.ndarray:
    total = np.zeros(n, int)
    for _ in range(channels):
        switches = np.cumsum(rng.exponential(stay, int(2 * n / stay) + 10) + 1).astype(int)
        state = np.searchsorted(switches, np.arange(n), side="right") + rng.integers(2)
        total += state % 2
    return total


def ladder_of(rng: np.random.Generator, length: int) -> Ladder:
    kernel = rng.dirichlet(np.ones(length))
    move, share = rng.dirichlet(np.ones(3), 3), rng.dirichlet(np.ones(3))
    noise = Noise(np.array([0.3, -0.1, 0.05]), rng.uniform(0.3, 1))
    levels = np.r_[0.0, np.sort(rng.uniform(0.5, 3, 2))]
    return Ladder(levels, kernel, noise, noise.sigma, move, share, jumps=True)


def log_likelihood(path: tuple[int, ...], x: np.ndarray, ladder: Ladder) -> float:
    """Of a path whose first samples are the levels of the samples before the trace."""
    length, before = len(ladder.kernel), len(path) - len(x)
    scale = 1 - ladder.noise.ar.sum()
    z, sigma = whitened(x, ladder.noise.ar), ladder.noise.sigma / scale
    total = np.log(ladder.share[path[before]]) - 3.0 * (len(set(path[: before + 1])) > 1)
    for t in range(len(x)):
        recent = path[before + t - length + 1 : before + t + 1][::-1]
        total += -0.5 * ((z[t] - ladder.levels[list(recent)] @ ladder.kernel) / sigma) ** 2 - np.log(sigma)
        if t:
            total += np.log(ladder.move[path[before + t - 1], path[before + t]])
    return float(total - len(x) * np.log(scale))


@pytest.mark.parametrize("length", [1, 2])
def test_decoding_finds_the_best_of_all_paths(length: int) -> None:
    rng = np.random.default_rng(length)
    for _ in range(10):
        x, ladder = rng.normal(1, 1, 5), ladder_of(rng, length)
        restart = np.arange(5) == 0
        found = decode(x, restart, ladder, np.zeros(5))
        scored = {
            path: log_likelihood(path, x, ladder) for path in itertools.product(range(3), repeat=4 + length)
        }
        best = max(scored, key=scored.__getitem__)
        assert tuple(found.level) == best[length - 1 :]
        assert found.log_likelihood == pytest.approx(scored[best])
        whole = evidence(x, ladder, np.zeros(5)) + 0.5 * ladder.n_parameters * np.log(5)
        assert whole == pytest.approx(np.logaddexp.reduce(list(scored.values())))


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


def macro_f1(truth: np.ndarray, found: np.ndarray) -> float:
    each = [
        2 * np.sum((truth == k) & (found == k)) / (np.sum(truth == k) + np.sum(found == k))
        for k in np.unique(truth)
    ]
    return float(np.mean(each))


def one_channel(rng: np.random.Generator, n: int, po: float, rare: float) -> np.ndarray:
    """Of which the rarer state lasts `rare` samples on average."""
    opened, shut = (rare, rare * (1 - po) / po) if po <= 0.5 else (rare * po / (1 - po), rare)
    count = int(3 * n / (opened + shut)) + 20
    dwell = np.stack([rng.exponential(shut, count), rng.exponential(opened, count)], 1).ravel()
    return np.searchsorted(np.cumsum(dwell), np.arange(n), side="right") % 2


def amplified(rng: np.random.Generator, over: np.ndarray, noise: float, cut: float) -> np.ndarray:
    """Return current and noise through one causal Bessel filter, from 8 samples to one."""
    sos = bessel(4, cut / 8, output="sos", norm="mag")
    hiss = sosfilt(sos, rng.normal(size=len(over)))
    return (sosfilt(sos, over.astype(float)) + noise * hiss / hiss.std())[::8]


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("po", [0.01, 0.04, 0.5, 0.96, 0.99])
def test_levels_hold_at_any_open_probability(po: float, sign: int) -> None:
    rng = np.random.default_rng([round(100 * po), sign + 1])
    truth = one_channel(rng, 40_000, po, 80)
    x = sign * 2.0 * (truth + 0.42 * rng.normal(size=len(truth)))
    ideal = idealize(Trace(x.astype(np.float32), 10e3, "pA"))
    assert len(ideal.levels) == 2
    assert ideal.levels[1] == pytest.approx(sign * 2, rel=0.05)
    assert macro_f1(truth, ideal.n_open) > 0.95


@pytest.mark.parametrize(("rare", "cut", "noise"), [(80, 0.4, 0.1), (60, 0.4, 0.3), (100, 0.2, 0.1)])
def test_noise_of_the_filters_own_spectrum_is_no_level(rare: float, cut: float, noise: float) -> None:
    rng = np.random.default_rng(round(100 * cut) + round(rare))
    over = one_channel(rng, 320_000, 0.36, 8 * rare)
    x = 3.0 * amplified(rng, over, noise, cut)
    ideal = idealize(Trace(x.astype(np.float32), 10e3, "pA"))
    assert len(ideal.levels) == 2
    assert ideal.levels[1] == pytest.approx(3, rel=0.04)
    assert macro_f1(over[::8], ideal.n_open) > 0.98  # the delay of the filter is taken off
    assert ideal.delay_s == pytest.approx(0.329 / (cut * 5000), rel=0.35)


def test_what_cannot_be_told_is_said() -> None:
    rng = np.random.default_rng(0)
    truth = one_channel(rng, 40_000, 0.4, 80)
    shifted = 2.0 * truth - 0.8 + 0.3 * rng.normal(size=len(truth))
    ideal = idealize(Trace(shifted.astype(np.float32), 10e3, "pA"))
    assert any("upwards or downwards" in note for note in ideal.notes)
    assert ideal.probability < 0.9
    told = idealize(Trace(shifted.astype(np.float32), 10e3, "pA", holding=-0.08))
    assert told.levels[1] < 0
    quiet = idealize(Trace(rng.normal(size=20_000).astype(np.float32), 10e3, "pA"))
    assert any("one level only" in note for note in quiet.notes)


def test_a_drifting_baseline_is_followed() -> None:
    rng = np.random.default_rng(9)
    truth = gating(rng, 60_000, 2)
    drift = 6 * np.sin(np.linspace(0, 5, len(truth)))
    x = 2.0 * truth + drift + 0.4 * rng.normal(size=len(truth))
    ideal = idealize(Trace(x.astype(np.float32), 10e3, "pA"))
    assert np.mean(ideal.n_open == truth) > 0.97
    assert np.abs(ideal.baseline - drift).mean() < 0.2


@pytest.mark.parametrize(("sign", "leak"), [(-1, -20.0), (1, 20.0), (-1, -45.0)])
def test_a_leak_flows_the_way_the_channels_do(sign: int, leak: float) -> None:
    truth = gating(np.random.default_rng(6), 60_000, 1)
    x = leak + sign * 3.0 * truth + 0.4 * np.random.default_rng(7).normal(size=len(truth))
    ideal = idealize(Trace(x.astype(np.float32), 10e3, "pA"))
    assert np.mean(ideal.n_open == truth) > 0.98


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


@pytest.mark.parametrize("kind", ["white", "drift", "hum", "filtered", "1/f"])
def test_noise_alone_is_one_level(kind: str) -> None:
    x = np.random.default_rng(0).normal(size=20_000)
    t = np.arange(len(x)) / 10e3
    if kind == "1/f":
        x = np.fft.irfft(np.fft.rfft(x) / np.sqrt(np.maximum(np.arange(len(x) // 2 + 1), 5)), len(x))
    elif kind == "filtered":
        x = sosfilt(bessel(4, 0.2, output="sos", norm="mag"), x)
    x = x + {"drift": 5 * np.sin(3 * t), "hum": np.sin(2 * np.pi * 50 * t)}.get(kind, 0.0)
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


@pytest.mark.parametrize("seed", [1, 2])
def test_rare_openings_of_a_millisecond_are_openings_of_one_channel(seed: int) -> None:
    """Their flanks, filtered at 2 kHz, were taken for a level at half of the current."""
    rng = np.random.default_rng(seed)
    state = np.zeros(200_000)
    at = 0
    while (at := at + 1 + int(rng.exponential(500))) < len(state):
        open_for = 1 + int(rng.exponential(10))
        state[at : at + open_for] = 1
        at += open_for
    sos = bessel(4, 0.4, output="sos")
    noise = sosfilt(sos, rng.normal(size=len(state)))
    x = sosfilt(sos, 3.0 * state) + 0.3 * noise / noise.std() + 0.5
    ideal = idealize(Trace(x.astype(np.float32), 10e3, "pA"))
    assert len(ideal.levels) == 2
    assert abs(ideal.levels[1]) == pytest.approx(3, rel=0.1)
    assert np.mean(ideal.n_open == state) > 0.985
