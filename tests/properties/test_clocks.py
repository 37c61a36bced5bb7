"""Clocks for any frame times: frames and seconds go to and fro, time never runs back, offset and drift are found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_biofm.timeline import Clock
from napari_biofm.timeline.align import clock_from_triggers, fit_drift
from napari_biofm.timeline.explain import explain
from napari_biofm.timeline.triggers import Pulses, find_triggers

seconds = st.floats(-1e4, 1e4)
rates = st.floats(0.01, 5000.0)
offsets = st.floats(-1000.0, 1000.0)
drifts = st.floats(-0.02, 0.02)


@st.composite
def clocks(draw: st.DrawFn, least: int = 1) -> Clock:
    """Frame times with intervals that differ by up to a hundred thousand times."""
    intervals = draw(st.lists(st.floats(1e-4, 10.0), min_size=least - 1, max_size=40))
    return Clock(draw(seconds) + np.concatenate([[0.0], np.cumsum(intervals)]))


@given(clocks())
def test_the_second_a_frame_began_is_in_that_frame(clock: Clock) -> None:
    frames = np.arange(clock.n_frames)
    np.testing.assert_array_equal(clock.frames_at(clock.times), frames)
    assert [clock.frame_at(clock.time_of(int(frame))) for frame in frames] == frames.tolist()
    assert clock.covers(clock.times).all()


@given(clocks(), st.lists(seconds, min_size=1, max_size=20))
def test_the_frame_of_a_second_is_the_last_that_had_begun(clock: Clock, wanted: list[float]) -> None:
    for second, frame in zip(wanted, clock.frames_at(wanted), strict=True):
        begun = np.flatnonzero(clock.times <= second)
        assert frame == (begun[-1] if len(begun) else 0)


@given(clocks(least=2), st.lists(st.floats(-50.0, 100.0), min_size=1, max_size=20))
def test_fractional_frames_and_seconds_go_to_and_fro(clock: Clock, wanted: list[float]) -> None:
    there = clock.at_frames(wanted)
    resolution = np.spacing(np.abs(there).max() + np.abs(clock.times).max()) / np.diff(clock.times).min()
    np.testing.assert_allclose(clock.fractional_frames(there), wanted, rtol=1e-9, atol=1e-9 + 8 * resolution)
    whole = np.arange(clock.n_frames)
    np.testing.assert_array_equal(clock.at_frames(whole), clock.times)


@given(clocks(), st.lists(seconds, min_size=2, max_size=30))
def test_later_seconds_are_never_in_earlier_frames(clock: Clock, wanted: list[float]) -> None:
    later = np.sort(wanted)
    assert (np.diff(clock.frames_at(later)) >= 0).all()
    assert (np.diff(clock.fractional_frames(later)) >= 0).all()


@given(st.integers(2, 400), rates, offsets, drifts)
def test_offset_and_drift_of_a_clock_are_found_in_its_times(
    n_frames: int, rate: float, offset: float, drift: float
) -> None:
    clock = Clock.from_rate(n_frames, rate, offset, drift)
    assert clock.frame_rate == pytest.approx(rate / (1 + drift), rel=1e-6)
    fit = fit_drift(clock.times, rate)
    resolution = np.spacing(np.abs(clock.times).max()) * rate
    assert fit.offset == pytest.approx(offset, abs=1e-9 + 1e-9 * n_frames / rate)
    assert fit.drift == pytest.approx(drift, abs=1e-9 + 8 * resolution)
    assert fit.jitter <= 1e-9 + 1e-9 * n_frames / rate


@given(st.integers(30, 200), st.floats(1.0, 200.0), offsets, drifts, st.integers(0, 2**31))
def test_a_few_late_frames_do_not_move_offset_and_drift(
    n_frames: int, rate: float, offset: float, drift: float, seed: int
) -> None:
    times = np.array(Clock.from_rate(n_frames, rate, offset, drift).times)
    rng = np.random.default_rng(seed)
    times += rng.uniform(-1e-3, 1e-3, n_frames) / rate
    times[rng.choice(n_frames, n_frames // 20, replace=False)] += 0.4 / rate
    fit = fit_drift(times, rate)
    assert fit.offset == pytest.approx(offset, abs=5e-3 / rate)
    assert fit.drift == pytest.approx(drift, abs=5e-3 / n_frames)


@st.composite
def pulses(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Times of all frames, the pulses a channel holds, and how many are missing and double."""
    n, period = draw(st.integers(20, 80)), 1 / draw(st.floats(1.0, 100.0))
    times = draw(st.floats(0, 100.0)) + period * np.arange(n)
    gone = draw(st.sets(st.integers(1, n - 2), max_size=n // 6))
    twice = draw(st.sets(st.integers(0, n - 1), max_size=3)) - gone
    kept = np.delete(times, sorted(gone))
    found = np.sort(np.concatenate([kept, times[sorted(twice)] + 0.1 * period]))
    return times, found, len(gone), len(twice)


@given(pulses())
def test_lost_pulses_are_put_in_and_double_ones_dropped(
    drawn: tuple[np.ndarray, np.ndarray, int, int],
) -> None:
    times, found, n_gone, n_twice = drawn
    alignment = clock_from_triggers(Pulses.at(found), len(times))
    period = times[1] - times[0]
    np.testing.assert_allclose(alignment.clock.times, times, atol=1e-6 * period)
    notes = " ".join(alignment.notes)
    assert ("missing" in notes) == (n_gone > 0)
    assert ("too many" in notes) == (n_twice > 0)


@given(st.integers(5, 60), st.floats(5.0, 100.0), st.floats(0.01, 0.5), st.integers(-3, 8))
def test_the_clock_of_a_trigger_channel_is_right_to_a_sample(
    n_frames: int, rate: float, offset: float, more: int
) -> None:
    sampling_rate = 5000.0
    time_s = np.arange(round((offset + (n_frames + more) / rate + 0.1) * sampling_rate)) / sampling_rate
    phase = (time_s - offset) * rate
    channel = np.where((phase >= 0) & (phase < n_frames + more) & (phase % 1 < 0.3), 5.0, 0.0)
    found = find_triggers(channel, sampling_rate)
    choice = "auto" if more == 0 else "first" if more > 0 else "ended-early"
    alignment = clock_from_triggers(found, n_frames, rate, choice=choice)
    assert alignment.clock.n_frames == n_frames
    truth = offset + np.arange(n_frames) / rate
    np.testing.assert_allclose(alignment.clock.times, truth, atol=1.01 / sampling_rate * max(1, -2 * more))


@given(st.integers(2, 100), st.integers(1, 100), rates, offsets)
def test_every_frame_gets_a_time_however_many_pulses_there_are(
    n_pulses: int, n_frames: int, rate: float, offset: float
) -> None:
    times = offset + np.arange(n_pulses) / rate
    found = explain(Pulses.at(times), n_frames)
    truth = offset + np.arange(n_frames) / rate
    assert any(np.allclose(one.times, truth, rtol=1e-9, atol=1e-6 / rate) for one in found)
