"""Several faults at once: the right meaning is offered, and a count that fits by chance says what it assumes."""

import numpy as np
import pytest

from napari_biofm.simulate.triggers import simulate_triggers
from napari_biofm.timeline.align import clock_from_triggers
from napari_biofm.timeline.explanations import ClockUnclearError
from napari_biofm.timeline.triggers import Pulses, find_triggers

P = 0.05
REGULAR = 1.0 + np.arange(80) * P


def in_recording(times, start, stop):
    times = np.asarray(times)
    return Pulses(
        times, np.full(len(times), 0.01), np.zeros(len(times), np.int64), np.array([start]), np.array([stop]),
        np.zeros(1, bool),
    )  # fmt: skip


def offered(pulses, n, rate=None):
    with pytest.raises(ClockUnclearError) as refusal:
        clock_from_triggers(pulses, n, rate)
    return refusal.value.explanations


MIXTURES = [
    ("preview", "late"), ("early", "lost"), ("ran_on", "lost"), ("preview", "planes"), ("lost", "planes"),
    ("late", "second"), ("double", "planes"), ("preview", "early"),
]  # fmt: skip


@pytest.mark.parametrize("what", MIXTURES, ids="+".join)
def test_the_right_meaning_of_two_faults_is_among_the_first(what):
    right = 0
    for seed in range(5):
        case = simulate_triggers(what, seed)
        sweeps, starts = case.channel(np.random.default_rng(seed))
        pulses, n = find_triggers(sweeps, 5000.0, starts), len(case.frames)
        try:
            first = [clock_from_triggers(pulses, n, case.rate).clock.times]
        except ClockUnclearError as unclear:
            first = [one.times for one in unclear.explanations[:3]]
        right += any(np.abs(one - case.frames).max() <= 0.5 * case.period for one in first)
    assert right >= 4


def test_lost_pulses_and_a_camera_that_ran_on_are_both_named():
    pulses = in_recording(np.delete(np.concatenate([REGULAR, REGULAR[-1] + P * np.arange(1, 6)]), [20]), 0, 8)
    (first, *_) = offered(pulses, 80, 20.0)
    np.testing.assert_allclose(first.times, REGULAR, atol=1e-9)
    assert "1 lost pulses put in" in first.text and "ran on" in first.text


def test_a_count_that_fits_beside_the_first_sample_says_what_it_assumes():
    found = clock_from_triggers(in_recording(REGULAR, REGULAR[0] - 0.6 * P, 8.0), 80, 20.0)
    assert found.assumed and "began with the first pulse" in " ".join(found.notes)
    whole = clock_from_triggers(in_recording(REGULAR, 0.0, 8.0), 80, 20.0)
    assert whole.assumed == ()


def test_a_train_beside_another_of_the_same_rate_says_that_it_may_be_a_pause():
    preview = 1.0 + P * np.arange(30)
    movie = preview[-1] + 1.0 + P * np.arange(80)
    found = clock_from_triggers(in_recording(np.concatenate([preview, movie]), 0.0, 9.0), 80, 20.0)
    np.testing.assert_allclose(found.clock.times, movie)
    assert "the movie with a pause" in " ".join(found.assumed)


def test_few_pulses_for_many_frames_may_be_stimuli():
    with pytest.raises(ClockUnclearError, match="they may be stimuli") as refusal:
        clock_from_triggers(in_recording(2.0 + 1.3 * np.arange(8), 0.0, 20.0), 200, 20.0)
    assert refusal.value.no_frames
