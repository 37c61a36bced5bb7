"""Mean open times, open probability and histograms of single channels are those of the channel."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from scipy.signal import bessel, sosfilt

from napari_biofm.events.features.single_channels import corrected_means, resolved, summarize, to_tables
from napari_biofm.types import Trace


def patch(seed: int, open_ms: float, shut_ms: float, fs: float, cut: float, noise: float) -> Trace:
    """One channel of 2 pA over two minutes, through a filter (0 for none), noise a fraction of the unit."""
    rng = np.random.default_rng(seed)
    n = int(60 * fs)
    over = 8
    count = int(2 * n / fs / (open_ms + shut_ms) * 1e3) + 50
    dwell = np.stack([rng.exponential(shut_ms, count), rng.exponential(open_ms, count)], 1).ravel() * 1e-3
    state = np.searchsorted(np.cumsum(dwell), np.arange(n * over) / (fs * over), side="right") % 2
    current = state.astype(float)
    hiss = rng.normal(size=n)
    if cut:
        sos = bessel(4, cut / (fs * over / 2), output="sos", norm="mag")
        current = sosfilt(sos, current)
        hiss = sosfilt(sos, rng.normal(size=n * over))[::over]
        hiss /= hiss.std()
    return Trace((2.0 * (current[::over] + noise * hiss)).astype(np.float32), fs, "pA")


@pytest.mark.parametrize(
    ("open_ms", "shut_ms", "cut"),
    [(4.0, 6.0, 0.0), (2.0, 20.0, 0.0), (3.0, 4.0, 2000.0), (20.0, 1.5, 2000.0)],
)
def test_mean_open_time_and_open_probability_hold_at_high_signal_to_noise(
    open_ms: float, shut_ms: float, cut: float
) -> None:
    values = summarize(patch(7, open_ms, shut_ms, 10_000, cut, 0.08)).values
    tolerance = 0.03 + 2 / np.sqrt(60e3 / (open_ms + shut_ms))  # what chance adds to 3 %
    assert values["mean_open_ms"] == pytest.approx(open_ms, rel=tolerance)
    assert values["mean_shut_ms"] == pytest.approx(shut_ms, rel=tolerance)
    assert values["open_probability"] == pytest.approx(open_ms / (open_ms + shut_ms), rel=tolerance)
    assert values["unit_current"] == pytest.approx(2, rel=0.02)


def test_missed_events_are_corrected_for_as_simulated() -> None:
    rng = np.random.default_rng(3)
    opened, shut, dead = 1.0, 0.8, 0.3
    dwell = np.stack([rng.exponential(opened, 200_000), rng.exponential(shut, 200_000)], 1).ravel()
    fine = np.repeat(np.tile([1, 0], 200_000).astype(np.int8), np.rint(dwell * 100).astype(int))
    kept = resolved(fine, 30)
    edges = np.flatnonzero(np.diff(kept)) + 1
    length, state = np.diff(edges) / 100, kept[edges[:-1]]
    seen = float(length[state == 1].mean()), float(length[state == 0].mean())
    assert seen[0] > 1.4
    assert corrected_means(*seen, dead, 100.0) == pytest.approx((opened, shut), rel=0.02)


def test_histograms_hold_every_sample_and_dwell_and_their_fits_follow() -> None:
    signal = patch(1, 5.0, 10.0, 10_000, 0.0, 0.15)
    found = summarize(signal)
    assert found.amplitudes.counts.sum() == pytest.approx(len(signal.values), rel=0.002)
    assert found.amplitudes.mean == pytest.approx([0, 2], abs=0.03)
    assert found.amplitudes.sd == pytest.approx([0.3, 0.3], rel=0.05)
    assert np.abs(found.amplitudes.fitted - found.amplitudes.counts).sum() < 0.05 * len(signal.values)
    fit = found.open_dwells.fit
    assert fit is not None
    assert fit.tau_s == pytest.approx([5e-3], rel=0.08)
    assert found.open_dwells.fitted.sum() == pytest.approx(found.open_dwells.counts.sum(), rel=0.02)


def test_tables_are_written_for_every_sweep_and_for_silence() -> None:
    silent = Trace(np.random.default_rng(0).normal(size=5000).astype(np.float32), 10e3, "pA")
    tables = to_tables([summarize(patch(2, 5.0, 10.0, 5000, 0.0, 0.15)), summarize(silent)])
    rows = list(csv.DictReader(io.StringIO(tables["summary"])))
    assert [row["n_channels"] for row in rows] == ["1", "0"]
    assert rows[1]["open_probability"] == "" and "one level only" in rows[1]["notes"]
    dwells = list(csv.DictReader(io.StringIO(tables["dwells"])))
    assert sum(float(row["duration_s"]) for row in dwells if row["sweep"] == "0") == pytest.approx(60)
    assert {row["sweep"] for row in csv.DictReader(io.StringIO(tables["amplitudes"]))} == {"0", "1"}
