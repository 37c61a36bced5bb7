"""Sweeps measured against their command: IV, FI and the like."""

from __future__ import annotations

import numpy as np
import pytest

from napari_biofm.events.features.step_curves import EVENT_RATE, step_curve
from napari_biofm.signals import Recording
from napari_biofm.types import EVENT_DTYPE, RecordingError


def test_steps_are_plotted_against_the_recorded_command() -> None:
    sweeps = [[np.full(100, 2.0 * v), np.full(100, float(v))] for v in (-80, -60, -40)]
    recording = Recording.from_arrays(sweeps, 1000, ["pA", "mV"], names=["I", "V command"])
    curve = step_curve(recording, 0, 0.02, 0.05)
    assert (curve.x.tolist(), curve.y.tolist(), curve.x_unit) == ([-80, -60, -40], [-160, -120, -80], "mV")
    alone = Recording.from_arrays(np.ones((2, 100)), 1000, "pA")
    assert step_curve(alone, 0, 0.02, 0.05).x.tolist() == [0, 1]


def _clamped() -> Recording:
    sweeps = [[np.full(1000, 2.0 * v), np.full(1000, float(v))] for v in (-80, -60, -40)]
    return Recording.from_arrays(sweeps, 1000, ["pA", "mV"], names=["I", "V command"])


def test_the_slope_of_an_iv_curve_is_a_conductance() -> None:
    curve = step_curve(_clamped(), 0, 0.2, 0.5)
    assert curve.slope == pytest.approx(2)
    assert curve.text == "3 sweeps. Slope 2 pA/mV. Conductance 2 nS."
    assert curve.table.splitlines()[:2] == ["Command (mV)\tMean of I (pA)", "-80\t-160"]
    assert step_curve(_clamped(), 0, 0.2, 0.5, sweeps=[0, 2]).slope is None, "two points are no line"


def test_events_are_counted_in_the_span_without_those_that_are_none() -> None:
    events = np.zeros(4, EVENT_DTYPE)
    events["sweep"], events["time_s"] = [0, 1, 1, 2], [0.2, 0.21, 0.25, 0.22]
    events["class"] = ["AP", "AP", "AP", "rejected"]
    curve = step_curve(_clamped(), 0, 0.1, 0.3, EVENT_RATE, events)
    assert curve.y.tolist() == pytest.approx([5, 10, 0]) and curve.labels == (
        "Command (mV)",
        "Events of I (Hz)",
    )


def test_a_measure_that_there_is_not_is_named_with_those_there_are() -> None:
    with pytest.raises(RecordingError, match="No measure 'Median'; there are: Mean, Peak"):
        step_curve(_clamped(), 0, 0.1, 0.3, "Median")
