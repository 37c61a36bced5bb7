"""Pulses become a clock: too many, too few, every second one, two clocks that drift."""

import numpy as np
import pytest

from napari_biofm.signals import Recording
from napari_biofm.simulate import simulate_corecording, write_corecording
from napari_biofm.timeline import Clock, clock_from_triggers, find_triggers, fit_drift
from napari_biofm.timeline.align import align_to_channel, likely_trigger
from napari_biofm.timeline.cell_positions import cell_events
from napari_biofm.timeline.cell_traces import measure_cells
from napari_biofm.timeline.explanations import ClockUnclearError
from napari_biofm.timeline.triggers import Pulses
from napari_biofm.types import TimelineError, run_task

TIMES = 0.5 + 1.00004 * np.arange(200) / 20


def test_offset_and_drift_of_the_simulated_rig_are_found_from_its_files(tmp_path):
    from napari_biofm.signals import read_recording

    truth = simulate_corecording((96, 96), 6, n_frames=300, offset=0.4321, drift=7e-5, seed=3)
    recording = read_recording(write_corecording(tmp_path, truth)["current_clamp"])
    channel = likely_trigger(recording)
    assert recording.channels[channel].name == "Frames"
    found = align_to_channel(recording, channel, 300, 20.0, "cc")
    half_frame = 0.5 / 20
    assert np.abs(found.clock.times - truth.frame_times).max() < 0.01 * half_frame
    assert found.fit.offset == pytest.approx(0.4321, abs=1e-4)
    assert found.fit.drift == pytest.approx(7e-5, abs=2e-6)
    assert found.clock.recording == "cc"


def test_the_calcium_events_of_the_patched_cell_match_its_spikes():
    """Aligned by the pulses alone, and measured from the movie alone."""
    truth = simulate_corecording((96, 96), 6, n_frames=400, seed=3)
    traces, events, _ = run_task(measure_cells(truth.movie, truth.field.masks, truth.frame_rate, "movie"))
    pulses = find_triggers(truth.trigger, truth.current.sampling_rate)
    clock = clock_from_triggers(pulses, len(truth.movie), truth.frame_rate, "patch").clock
    found = cell_events({"movie": (traces, events)}, {}, clock)
    calcium = found.seconds[found.labels == truth.patched]
    spikes = truth.current.event_times
    spikes = spikes[clock.covers(spikes)]
    first = spikes[np.diff(spikes, prepend=-10) > 0.5]  # of each group: what an indicator can tell apart
    matched = np.abs(calcium[:, None] - spikes).min(axis=1) < 0.15
    seen = np.abs(first[:, None] - calcium).min(axis=1) < 0.15
    assert len(first) >= 5 and matched.mean() > 0.8 and seen.mean() > 0.8


def test_more_pulses_than_frames_are_asked_about():
    with pytest.raises(ClockUnclearError, match="200 pulses and 150 frames do not agree"):
        clock_from_triggers(Pulses.at(TIMES), 150, 20.0)
    found = clock_from_triggers(Pulses.at(TIMES), 150, 20.0, choice="first")
    np.testing.assert_allclose(found.clock.times, TIMES[:150])
    assert "first 150 of 200 pulses" in " ".join(found.notes)


def test_a_recording_that_ended_early_is_continued_when_chosen_and_told():
    found = clock_from_triggers(Pulses.at(TIMES[:120]), 200, 20.0, choice="ended-early")
    np.testing.assert_allclose(found.clock.times, TIMES, atol=1e-4)
    assert "80 frames have no pulse" in " ".join(found.notes)


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["Vm", "Frames"], 1),
        (["Vm", "Stim TTL", "Camera TTL"], 2),
        (["Vm", "TTL"], 1),
        (["Vm", "Stim TTL"], None),
        (["Vm", "TTL 1", "TTL 2"], None),
        (["Vm", "LED trigger", "Sync"], 2),
        (["Vm", "Im"], None),
    ],
)
def test_only_a_channel_named_after_frames_is_chosen_by_itself(names, wanted):
    recording = Recording.from_arrays([[np.zeros(10)] * len(names)], 1000.0, "V", names=names)
    assert likely_trigger(recording) == wanted


def test_a_pulse_for_every_second_frame_is_told_by_the_frame_rate():
    found = clock_from_triggers(Pulses.at(TIMES[::2]), 200, 20.0)
    np.testing.assert_allclose(found.clock.times, TIMES, atol=1e-4)
    assert "One pulse for 2 frames" in " ".join(found.notes)


def test_a_stated_rate_that_does_not_fit_is_told_and_the_pulses_count():
    found = clock_from_triggers(Pulses.at(TIMES), 200, 13.0)
    np.testing.assert_allclose(found.clock.times, TIMES)
    assert "the movie says 13 Hz" in " ".join(found.notes)


def test_drift_is_fitted_without_its_outliers():
    times = TIMES.copy()
    times[50] += 0.02
    fit = fit_drift(times, 20.0)
    assert fit.drift == pytest.approx(4e-5, abs=1e-8)
    assert fit.offset == pytest.approx(0.5, abs=1e-7)


def test_a_clock_answers_both_ways_and_beyond_its_ends():
    clock = Clock.from_rate(10, 10.0, offset=1.0)
    assert [clock.frame_at(t) for t in (0.0, 1.0, 1.05, 1.1, 5.0)] == [0, 0, 0, 1, 9]
    np.testing.assert_allclose(clock.at_frames([-1, 0, 0.5, 9, 10]), [0.9, 1.0, 1.05, 1.9, 2.0])
    assert clock.covers([0.99, 1.0, 1.95, 2.01]).tolist() == [False, True, True, False]


def test_a_clock_keeps_its_own_copy_of_the_times():
    times = np.arange(3.0)
    Clock(times)
    times[0] = -1  # still the caller's to write


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Clock(np.array([0.0, 1.0, 0.5])), "Time runs back after frame 1"),
        (lambda: Clock(np.array([0.0, np.nan])), "finite"),
        (lambda: Clock(np.zeros(0)), "one time per frame"),
        (lambda: Clock.from_rate(5, 0.0), "positive number of Hz"),
        (lambda: Clock.from_rate(5, 10.0, float("inf")), "finite"),
        (lambda: fit_drift(np.array([1.0])), "at least two"),
        (lambda: clock_from_triggers(Pulses.at(TIMES), 0), "no frames"),
        (lambda: find_triggers(np.zeros(1), 1.0), "at least two pulses"),
    ],
)
def test_impossible_clocks_are_refused_in_words(make, words):
    with pytest.raises(TimelineError, match=words):
        make()
