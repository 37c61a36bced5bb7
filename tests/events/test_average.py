"""Averaged events and histograms."""

from __future__ import annotations

import numpy as np
import pytest
from tests.events.generators import FS, synaptic

from napari_biofm.events.average import (
    AveragedEvent,
    amplitude_histogram,
    average_event,
    events_of_class,
    histogram,
    interval_histogram,
)
from napari_biofm.events.detect import detect_events
from napari_biofm.signals import Recording
from napari_biofm.types import EVENT_DTYPE, DetectionSettings, Events, RecordingError, no_events, run_task


@pytest.fixture(scope="module")
def found() -> tuple[Recording, Events]:
    values, _ = synaptic(np.random.default_rng(0), 80, 10, snr=8)
    recording = Recording.from_arrays(values, FS, "pA")
    return recording, run_task(detect_events(recording, "deconvolution", DetectionSettings("psc")))


@pytest.mark.parametrize("align", ["peak", "rise"])
def test_the_average_is_the_event_without_its_noise(align: str, found: tuple[Recording, Events]) -> None:
    average = average_event(*found, align=align)  # type: ignore[arg-type]
    assert average.n == len(found[1])
    assert average.mean.min() == pytest.approx(-16, rel=0.15)  # the peak is the lowest of noisy samples
    assert abs(average.time_s[np.argmin(average.mean)]) < 2e-3
    assert np.abs(average.mean[:40]).max() < 1.0
    assert len(average.cuts) == min(average.n, 200)


def test_events_at_the_edge_or_in_a_gap_are_left_out(found: tuple[Recording, Events]) -> None:
    _, events = found
    values = found[0].values(0, 0)
    values[int(events["time_s"][5] * FS) + 20] = np.nan
    edge = events[:20].copy()
    edge["time_s"][0] = 0.001
    assert average_event(Recording.from_arrays(values, FS, "pA"), edge).n == 18


def test_no_events_make_an_empty_average(found: tuple[Recording, Events]) -> None:
    average = average_event(found[0], no_events())
    assert average.n == 0
    assert np.isnan(average.mean).all()


def test_two_channels_are_not_averaged_together(found: tuple[Recording, Events]) -> None:
    events = found[1].copy()
    events["channel"][0] = 1
    with pytest.raises(RecordingError, match="one channel at a time"):
        average_event(found[0], events)
    with pytest.raises(RecordingError, match="widen it"):
        average_event(*found, before_s=0, after_s=0)


def test_histograms_count_every_event_once(found: tuple[Recording, Events]) -> None:
    amplitude, interval = amplitude_histogram(found[1]), interval_histogram(found[1])
    assert amplitude.counts.sum() == len(found[1])
    assert amplitude.label == "amplitude (pA)"
    assert interval.counts.sum() == len(found[1]) - 1
    assert interval.cumulative[-1] == 1.0


def test_a_histogram_of_nothing_or_of_one_value() -> None:
    assert len(histogram(np.array([np.nan]), "x").counts) == 0
    assert histogram(np.full(10, 3.0), "x").counts.sum() == 10


def test_events_of_a_class_come_from_the_first_channel_that_has_any() -> None:
    events = np.zeros(5, EVENT_DTYPE)
    events["channel"], events["class"] = [0, 1, 1, 2, 2], ["rejected", "EPSC", "AP", "EPSC", "EPSC"]
    assert events_of_class(events, "EPSC")["channel"].tolist() == [1]
    assert events_of_class(events, "EPSC", [2, 1])["channel"].tolist() == [2, 2]
    assert events_of_class(events)["class"].tolist() == ["EPSC", "AP"]
    assert len(events_of_class(events, "IPSC")) == 0


def test_an_average_knows_its_peak_and_what_is_worth_drawing() -> None:
    average = AveragedEvent(
        np.arange(3.0), np.array([0.0, -4.0, 1.0]), np.zeros(3), np.array([[0, -5, 2]], np.float32), 1, "pA"
    )
    assert average.peak == -4
    low, high = average.value_range
    assert low <= -4.9 and 1 <= high <= 2
