"""Frame pulses are found, mended, and refused where they are none."""

import numpy as np
import pytest

from napari_biofm.timeline import find_triggers
from napari_biofm.timeline.triggers import mend
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
    report = find_triggers(pulses(REGULAR), RATE)
    np.testing.assert_allclose(report.times, REGULAR, atol=1 / RATE)
    assert (report.missing, report.doubled, report.pauses) == (0, 0, 0)
    assert report.period == pytest.approx(0.05)


def test_noise_of_a_tenth_of_the_step_moves_nothing():
    report = find_triggers(pulses(REGULAR, noise=0.2), RATE)
    np.testing.assert_allclose(report.times, REGULAR, atol=2 / RATE)


def test_a_square_wave_and_a_long_exposure_pulse_give_their_rising_edges():
    for width in (0.025, 0.045):
        np.testing.assert_allclose(
            find_triggers(pulses(REGULAR, width=width), RATE).times, REGULAR, atol=1e-4
        )


def test_a_glitch_above_the_pulses_hides_none_of_them():
    trace = pulses(REGULAR)
    trace[20_003:20_006] = 24.0
    np.testing.assert_allclose(find_triggers(trace, RATE).times, REGULAR, atol=2 / RATE)


def test_missing_pulses_are_put_in_and_counted():
    lost = np.delete(REGULAR, [10, 11, 40])
    report = find_triggers(pulses(lost), RATE)
    np.testing.assert_allclose(report.times, REGULAR, atol=2 / RATE)
    assert report.missing == 3
    assert "3 pulses were missing" in " ".join(report.in_words())


def test_double_pulses_are_dropped_and_counted():
    doubled = np.sort(np.concatenate([REGULAR, REGULAR[[5, 20]] + 0.006]))
    report = find_triggers(pulses(doubled), RATE)
    np.testing.assert_allclose(report.times, REGULAR, atol=1 / RATE)
    assert report.doubled == 2


def test_every_pulse_doubled_is_no_other_frame_rate():
    report = mend(np.sort(np.concatenate([REGULAR, REGULAR + 0.004])))
    np.testing.assert_allclose(report.times, REGULAR)
    assert report.doubled == len(REGULAR)


def test_a_pause_of_the_camera_is_left_empty_and_told():
    paused = np.concatenate([REGULAR[:40], REGULAR[40:] + 1.0 + 0.0213])
    report = mend(paused)
    np.testing.assert_allclose(report.times, paused)
    assert report.pauses == 1
    assert "paused" in " ".join(report.in_words())


def test_sweeps_count_from_their_start():
    sweeps = [pulses(0.01 + np.arange(20) * 0.05, 1.0)[:10_000] for _ in range(3)]
    report = find_triggers(sweeps, RATE, [0.0, 1.0, 2.0])
    np.testing.assert_allclose(report.times, 0.01 + np.arange(60) * 0.05, atol=1 / RATE)


@pytest.mark.parametrize(
    ("trace", "words"),
    [
        (np.zeros(1000), "stays on one level"),
        (np.random.default_rng(0).normal(0, 1, 5000), "stays on one level"),
        (pulses([1.0]), "Only 1 pulse"),
        (np.zeros(2), "holds 2 samples"),
        (pulses(np.sort(np.random.default_rng(1).uniform(0.1, 4.8, 60))), "not regular"),
    ],
)
def test_a_channel_without_frame_pulses_is_refused_in_words(trace, words):
    with pytest.raises(TimelineError, match=words):
        find_triggers(trace, RATE)


def test_time_running_back_is_refused():
    with pytest.raises(TimelineError, match="Time runs back"):
        mend(np.array([0.0, 0.1, 0.05, 0.2]))
