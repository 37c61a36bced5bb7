"""Gaps are filled with the noise beside them, and make no events at their edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.events.generators import detect, real

from napari_biofm.events.gaps import filled, runs


def test_runs_are_the_stretches_of_true() -> None:
    np.testing.assert_array_equal(runs(np.array([1, 1, 0, 1, 0, 1], bool)), [[0, 2], [3, 4], [5, 6]])
    assert len(runs(np.zeros(3, bool))) == len(runs(np.zeros(0, bool))) == 0


def test_a_filled_gap_has_the_noise_and_the_levels_beside_it() -> None:
    rng = np.random.default_rng(0)
    x = np.where(np.arange(6000) < 3000, 10.0, 30.0) + rng.normal(size=6000)
    gap = (np.arange(6000) >= 2000) & (np.arange(6000) < 4000)
    y = filled(np.where(gap, np.nan, x), gap)
    np.testing.assert_array_equal(y[~gap], x[~gap])
    assert np.std(np.diff(y[gap])) == pytest.approx(np.sqrt(2), rel=0.1)
    assert abs(np.mean(y[2000:2100]) - 10.5) < 1 and abs(np.mean(y[3900:4000]) - 29.5) < 1


@pytest.mark.parametrize("where", [slice(0, 5), slice(15, 20), slice(0, 20), slice(1, 20)])
def test_gaps_at_the_ends_and_gaps_that_are_all_there_is(where: slice) -> None:
    gap = np.zeros(20, bool)
    gap[where] = True
    y = filled(np.where(gap, np.nan, np.arange(20.0)), gap)
    assert np.isfinite(y).all()


@pytest.mark.parametrize(
    ("kind", "fs", "unit", "sd", "detectors"),
    [
        ("psc", 20e3, "pA", 3.0, ("physio-fm", "threshold", "template", "deconvolution")),
        ("ap", 20e3, "mV", 0.3, ("physio-fm", "threshold", "prominence", "dvdt")),
        ("spike", 30e3, "uV", 10.0, ("physio-fm", "threshold")),
        ("calcium", 30.0, "dF/F", 0.05, ("physio-fm", "threshold", "oasis")),
    ],
)
@pytest.mark.parametrize("jump", [0.0, 20.0], ids=["level", "jump"])
def test_no_detector_finds_events_beside_gaps(
    kind: Any, fs: float, unit: str, sd: float, detectors: tuple[str, ...], jump: float
) -> None:
    n = int(6 * fs) if fs > 1000 else int(200 * fs)
    x = sd * np.random.default_rng(3).normal(size=n) + jump * sd * (np.arange(n) > n // 2)
    for share in (0.1, 0.3, 0.49, 0.7, 0.9):
        x[int(share * n) : int((share + 0.03) * n)] = np.nan
    edge = np.flatnonzero(np.isnan(x)) / fs
    for name in detectors:
        found = real(detect(name, x, fs, unit, kind))
        near = [t for t in found["time_s"] if np.abs(edge - t).min() < 10 / fs]
        assert not near, name
