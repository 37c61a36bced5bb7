"""What pulses mean for the frames: certain only where both agree, else named explanations to choose from."""

import pickle

import numpy as np
import pytest

from napari_biofm.simulate.triggers import NAMES, simulate_triggers
from napari_biofm.timeline.align import clock_from_triggers
from napari_biofm.timeline.explain import explain
from napari_biofm.timeline.explanations import ClockUnclearError
from napari_biofm.timeline.triggers import Pulses, find_triggers
from napari_biofm.types import TimelineError

P = 0.05
REGULAR = 0.3 + np.arange(80) * P


def pulses_of(case, seed=1):
    sweeps, starts = case.channel(np.random.default_rng(seed))
    return find_triggers(sweeps, 5000.0, starts)


def wrong_by(case, times):
    return float(np.abs(times - case.frames).max() / case.period)


CERTAIN = ["preview", "lost", "double", "glitch", "pause", "gated", "lines", "low", "open", "exposure"]
ASKED = ["late", "early", "ran_on"]


@pytest.mark.parametrize("name", CERTAIN)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_counts_alone_explain_gets_the_right_clock(name, seed):
    case = simulate_triggers([name], seed)
    found = clock_from_triggers(pulses_of(case), len(case.frames), case.rate)
    assert wrong_by(case, found.clock.times) < 0.1


@pytest.mark.parametrize("name", ["planes", "second"])
def test_several_pulses_a_frame_or_frames_a_pulse_are_told_by_the_rate(name):
    seen = 0
    for seed in range(6):
        case = simulate_triggers([name], seed)
        try:
            found = clock_from_triggers(pulses_of(case), len(case.frames), case.rate)
        except ClockUnclearError:
            continue
        seen += 1
        assert wrong_by(case, found.clock.times) < 0.1
    assert seen >= 2


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_counts_cannot_tell_is_asked_with_the_right_answer_first(name, seed):
    case = simulate_triggers([name], seed)
    pulses = pulses_of(case)
    with pytest.raises(ClockUnclearError, match="do not agree") as refusal:
        clock_from_triggers(pulses, len(case.frames), case.rate)
    first = refusal.value.explanations[0]
    assert wrong_by(case, first.times) < 0.1
    chosen = clock_from_triggers(pulses, len(case.frames), case.rate, choice=first.name)
    assert wrong_by(case, chosen.clock.times) < 0.1
    assert chosen.explanation == first.name in chosen.clock.source


@pytest.mark.parametrize("seed", range(60))
def test_mixtures_are_right_or_refused(seed):
    rng = np.random.default_rng(seed)
    names = [str(name) for name in rng.choice(NAMES, 2, replace=False)]
    if sum(name in ("gated", "planes", "lines", "second", "stimulus", "exposure") for name in names) > 1:
        names = names[:1]
    case = simulate_triggers(names, seed)
    try:
        found = clock_from_triggers(pulses_of(case), len(case.frames), case.rate if seed % 2 else None)
    except TimelineError:
        return
    assert wrong_by(case, found.clock.times) <= 0.5, names


def test_dropped_frames_are_asked_for_and_left_out():
    case = simulate_triggers(["dropped"], 4)
    pulses = pulses_of(case)
    with pytest.raises(ClockUnclearError, match="give their numbers"):
        clock_from_triggers(pulses, len(case.frames), case.rate)
    skipped = np.flatnonzero(np.abs(pulses.times[:, None] - case.frames).min(axis=1) > 0.01)
    found = clock_from_triggers(pulses, len(case.frames), case.rate, skipped=skipped.tolist())
    assert wrong_by(case, found.clock.times) < 0.1
    with pytest.raises(TimelineError, match="leave out"):
        clock_from_triggers(pulses, len(case.frames), case.rate, skipped=[*skipped[:-1].tolist(), 10**6])


def test_a_stimulus_channel_is_no_clock():
    for seed in range(5):
        case = simulate_triggers(["stimulus"], seed)
        with pytest.raises(TimelineError):
            clock_from_triggers(pulses_of(case), len(case.frames), case.rate)


def test_lost_pulses_are_put_in_only_where_the_count_then_agrees():
    lost = Pulses.at(np.delete(REGULAR, [10, 11, 40]))
    found = clock_from_triggers(lost, 80)
    np.testing.assert_allclose(found.clock.times, REGULAR, atol=1e-9)
    assert "3 pulses missing" in " ".join(found.notes)
    with pytest.raises(ClockUnclearError):
        clock_from_triggers(lost, 79)


def test_double_pulses_are_dropped_and_counted():
    doubled = Pulses.at(np.sort(np.concatenate([REGULAR, REGULAR[[5, 20]] + 0.006])))
    found = clock_from_triggers(doubled, 80)
    np.testing.assert_allclose(found.clock.times, REGULAR, atol=1e-9)
    assert "2 pulses too many" in " ".join(found.notes)


def test_every_pulse_doubled_is_no_other_frame_rate():
    found = clock_from_triggers(Pulses.at(np.sort(np.concatenate([REGULAR, REGULAR + 0.004]))), 80)
    np.testing.assert_allclose(found.clock.times, REGULAR)


def test_a_pause_of_the_camera_is_left_empty_and_told():
    paused = np.concatenate([REGULAR[:40], REGULAR[40:] + 1.0 + 0.0213])
    found = clock_from_triggers(Pulses.at(paused), 80)
    np.testing.assert_allclose(found.clock.times, paused)
    assert "paused 1 times" in " ".join(found.notes)


def test_a_file_whose_rate_is_another_by_a_whole_factor_is_asked_about():
    with pytest.raises(ClockUnclearError) as refusal:
        clock_from_triggers(Pulses.at(REGULAR), 80, 5.0)
    assert refusal.value.explanations[0].name == "all"


def test_random_pulses_are_no_frames():
    times = np.sort(np.random.default_rng(1).uniform(0.1, 4.8, 60))
    with pytest.raises(ClockUnclearError):
        clock_from_triggers(Pulses.at(times), 60)


def test_explanations_have_a_time_for_every_frame_and_names_of_their_own():
    for n_frames in (1, 2, 40, 79, 80, 81, 160, 1000):
        found = explain(Pulses.at(REGULAR), n_frames, 20.0)
        assert all(one.times.shape == (n_frames,) and (np.diff(one.times) > 0).all() for one in found)
        assert len({one.name for one in found}) == len(found) > 0


def test_a_refusal_travels_between_processes():
    with pytest.raises(ClockUnclearError) as refusal:
        clock_from_triggers(Pulses.at(REGULAR), 90)
    back = pickle.loads(pickle.dumps(refusal.value))
    assert [one.name for one in back.explanations] == [one.name for one in refusal.value.explanations]


def test_an_unknown_choice_names_those_there_are():
    with pytest.raises(TimelineError, match=r"no explanation 'frist'.*first"):
        clock_from_triggers(Pulses.at(REGULAR), 70, choice="frist")
