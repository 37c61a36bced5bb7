"""Frame pulses are found as they were recorded, whichever edge begins them, and refused where they are none."""

import numpy as np
import pytest

from napari_biofm.signals import Recording
from napari_biofm.timeline import find_triggers
from napari_biofm.timeline.triggers import Pulses, triggers_of
from napari_biofm.types import TimelineError

RATE = 10_000.0


def pulses(times, seconds=5.0, high=5.0, width=0.002, noise=0.0, seed=0):
    trace = np.random.default_rng(seed).normal(0, noise, int(seconds * RATE)) if noise else np.zeros(50_000)
    for time in times:
        start = round(time * RATE)
        trace[start : start + int(width * RATE)] += high
    return trace


REGULAR = 0.3 + np.arange(80) * 0.05


def test_times_are_those_of_the_rising_edges():
    found = find_triggers(pulses(REGULAR), RATE)
    np.testing.assert_allclose(found.times, REGULAR, atol=1 / RATE)
    np.testing.assert_allclose(found.widths, 0.002, atol=1 / RATE)
    assert found.edge == "rising" and found.edge_is_clear
    assert found.period == pytest.approx(0.05)


def test_noise_of_a_tenth_of_the_step_moves_nothing():
    np.testing.assert_allclose(find_triggers(pulses(REGULAR, noise=0.2), RATE).times, REGULAR, atol=2 / RATE)


def test_a_square_wave_and_a_long_exposure_pulse_give_their_rising_edges():
    for width in (0.025, 0.045):
        np.testing.assert_allclose(
            find_triggers(pulses(REGULAR, width=width), RATE).times, REGULAR, atol=1e-4
        )


def test_a_channel_that_is_high_between_pulses_begins_frames_where_it_falls():
    for width in (0.002, 0.03):
        found = find_triggers(5.0 - pulses(REGULAR, width=width), RATE)
        np.testing.assert_allclose(found.times, REGULAR, atol=1e-4)
        assert found.edge == "falling" and found.edge_is_clear


def test_the_edge_can_be_given():
    found = find_triggers(pulses(REGULAR, width=0.02), RATE, edge="falling")
    np.testing.assert_allclose(found.times, REGULAR + 0.02, atol=1e-4)


def test_without_a_level_between_pulses_the_edge_is_said_to_be_unclear():
    wave = pulses(np.arange(100) * 0.05, width=0.025)
    assert not find_triggers(wave, RATE).edge_is_clear


def test_a_pulse_under_way_at_the_first_sample_is_noted():
    found = find_triggers(pulses(REGULAR, width=0.02)[3050:], RATE)
    assert found.open_at_start.tolist() == [True]
    assert len(found.times) == len(REGULAR) - 1


@pytest.mark.parametrize("high", [24.0, -20.0])
def test_a_glitch_beyond_the_levels_hides_no_pulse(high):
    trace = pulses(REGULAR, noise=0.02)
    trace[20_003:20_006] = high
    found = find_triggers(trace, RATE).times
    assert all(np.abs(found - time).min() <= 2 / RATE for time in REGULAR)
    assert len(found) <= len(REGULAR) + 1


def test_sweeps_count_from_their_start():
    sweeps = [pulses(0.01 + np.arange(20) * 0.05, 1.0)[:10_000] for _ in range(3)]
    found = find_triggers(sweeps, RATE, [0.0, 1.0, 2.0])
    np.testing.assert_allclose(found.times, 0.01 + np.arange(60) * 0.05, atol=1 / RATE)
    assert np.bincount(found.sweeps).tolist() == [20, 20, 20]


def test_reading_in_pieces_changes_nothing(monkeypatch):
    trace = pulses(REGULAR, noise=0.05)
    whole = find_triggers(trace, RATE)
    monkeypatch.setattr("napari_biofm.timeline.triggers.PIECE", 733)
    pieces = triggers_of(Recording.from_arrays(trace, RATE, "V"), 0)
    np.testing.assert_allclose(pieces.times, whole.times, atol=1e-7)
    np.testing.assert_allclose(pieces.widths, whole.widths, atol=1e-7)


@pytest.mark.parametrize(
    ("trace", "words"),
    [
        (np.zeros(1000), "stays on one level"),
        (np.random.default_rng(0).normal(0, 1, 5000), "stays on one level"),
        (pulses([1.0]), "Only 1 pulse"),
        (np.zeros(2), "holds 2 samples"),
    ],
)
def test_a_channel_without_frame_pulses_is_refused_in_words(trace, words):
    with pytest.raises(TimelineError, match=words):
        find_triggers(trace, RATE)


def test_time_running_back_is_refused():
    with pytest.raises(TimelineError, match="Time runs back"):
        Pulses.at(np.array([0.0, 0.1, 0.05, 0.2]))
