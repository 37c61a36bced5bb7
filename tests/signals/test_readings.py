"""What lies between two times of a trace."""

from __future__ import annotations

import numpy as np
import pytest

from napari_biofm.signals import Recording
from napari_biofm.signals.readings import read_between, readings


def test_cursors_measure_slope_mean_and_rms() -> None:
    times = np.arange(1001) / 1000
    reading = read_between(times, (3 * times + 2).astype(np.float32), "I", "pA")
    assert reading is not None
    assert (reading.slope, reading.mean) == (pytest.approx(3, rel=1e-4), pytest.approx(3.5, rel=1e-4))
    assert reading.rms == pytest.approx(3 / np.sqrt(12), rel=0.01)
    assert "dt 1000 ms" in reading.text
    assert read_between(times, np.full(1001, np.nan, np.float32), "I", "pA") is None


def test_channels_of_a_sweep_are_measured_between_two_times_ends_included() -> None:
    values = np.arange(100.0)
    recording = Recording.from_arrays(
        [[values, -values], [values + 1, values * np.nan]], 1000.0, ["pA", "mV"]
    )
    first, second = readings(recording, 0.01, 0.02)
    assert (first.t1, first.t2, first.v1, first.v2) == (0.01, 0.02, 10, 20)
    assert (second.unit, second.low, second.high) == ("mV", -20, -10)
    assert [r.v1 for r in readings(recording, 0.01, 0.02, sweep=1)] == [11], (
        "a channel of gaps has no reading"
    )
    assert [r.unit for r in readings(recording, 0.01, 0.02, channels=[1])] == ["mV"]
