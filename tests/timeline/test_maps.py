"""Numbers per cell on the field, over time, and around events."""

import numpy as np
import pytest

from napari_biofm.timeline import Clock
from napari_biofm.timeline.cell_positions import CellEvents
from napari_biofm.timeline.maps import cell_map, event_rates, raster
from napari_biofm.timeline.peri_event import own_events_average, peri_event_movie
from napari_biofm.types import TimelineError, run_task

LABELS = np.array([[0, 4, 4], [9, 9, 0]])


def events(seconds, labels, classes=None):
    n = len(seconds)
    names = np.array(classes if classes is not None else ["AP"] * n, "U12")
    zeros = np.zeros(n, np.int64)
    return CellEvents(np.array(seconds, float), np.array(labels), names, np.ones(n, np.float32), zeros, zeros)


EVENTS = events([0.5, 1.5, 1.6, 3.5, 9.0], [4, 9, 4, 4, 77], ["AP", "EPSC", "AP", "AP", "AP"])


def test_a_map_gives_each_cell_its_value_whatever_the_order():
    image = cell_map(LABELS, np.array([9, 4]), np.array([2.0, 5.0]))
    np.testing.assert_array_equal(image, [[np.nan, 5, 5], [2, 2, np.nan]])
    assert np.isnan(cell_map(LABELS, np.array([1]), np.array([1.0]))).all()


def test_rates_count_events_per_second_in_a_span():
    np.testing.assert_allclose(event_rates(EVENTS, np.array([4, 5, 9]), 0.0, 4.0), [0.75, 0, 0.25])
    np.testing.assert_allclose(event_rates(EVENTS, np.array([4]), 1.0, 2.0), [1.0])
    np.testing.assert_allclose(event_rates(EVENTS, np.array([4]), 2.0, 2.0), [0.0])


def test_a_raster_has_each_event_in_its_row_and_bin():
    made = raster(EVENTS, np.array([9, 4]), 0.0, 4.0, n_bins=4)
    assert made.counts.tolist() == [[0, 1, 0, 0], [1, 1, 0, 1]]
    assert made.classes[made.kinds[0, 1]] == "EPSC"
    np.testing.assert_allclose(made.rate, [0.5, 1.0, 0.0, 0.5])
    assert raster(EVENTS, np.zeros(0, np.int64), 0, 1).counts.shape == (0, 1000)


def test_the_movie_around_events_shows_what_they_do_and_nothing_else():
    clock = Clock.from_rate(200, 10.0)
    movie = np.random.default_rng(0).normal(100, 1, (200, 5, 6)).astype(np.float32)
    frames = np.array([30, 80, 130, 170])
    for frame in frames:
        movie[frame : frame + 3, 2, 3] += 50
    seconds = np.concatenate([clock.times[frames] + 0.03, [0.1, 500.0]])
    mean, n = run_task(peri_event_movie(movie, clock, seconds, before=5, after=10))
    assert mean.shape == (15, 5, 6) and n == 4
    assert mean[5:8, 2, 3].min() > 45
    assert abs(np.delete(mean.reshape(15, -1), 2 * 6 + 3, axis=1)).max() < 4


def test_no_event_inside_the_movie_is_said():
    with pytest.raises(TimelineError, match="None of 1 events"):
        run_task(peri_event_movie(np.zeros((20, 2, 2)), Clock.from_rate(20, 10.0), np.array([0.0])))


def test_each_cell_is_averaged_around_its_own_events():
    clock = Clock.from_rate(400, 20.0, offset=3.0)
    traces = np.zeros((2, 400))
    own = [np.array([60, 200, 300]), np.array([100, 250])]
    for row, frames in enumerate(own):
        for frame in frames:
            traces[row, frame : frame + 5] = 1.0
    seconds = [clock.times[frames] for frames in own]
    lags, mean, error, n = own_events_average(traces, clock, seconds, 0.5, 1.0)
    assert n == 5 and lags[0] == pytest.approx(-0.5) and lags[-1] == pytest.approx(1.0)
    np.testing.assert_allclose(mean, (lags > -1e-9) & (lags < 0.24), atol=1e-9)
    assert error.max() < 1e-9
    traces[0, 60] = np.nan
    assert own_events_average(traces, clock, seconds, 0.5, 1.0)[1][10] == pytest.approx(1.0), (
        "gaps do not count"
    )
    assert own_events_average(traces, clock, [np.zeros(0)] * 2, 0.5, 1.0)[3] == 0
    with pytest.raises(TimelineError, match="they must fit"):
        own_events_average(traces, clock, seconds[:1], 0.5, 1.0)


def test_windows_over_a_pause_are_left_out_and_pauses_count_in_no_rate():
    times = np.concatenate([np.arange(100) / 10.0, 60 + np.arange(100) / 10.0])
    clock = Clock(times)
    assert clock.imaging_rate == pytest.approx(10) and clock.imaged_s == pytest.approx(20)
    assert clock.covers([5.0, 9.95, 30.0, 60.0, 69.95, 71.0]).tolist() == [
        True,
        True,
        False,
        True,
        True,
        False,
    ]
    traces = np.arange(200.0)[None]
    seconds = [np.array([5.0, 9.5, 30.0, 65.0])]
    _, mean, _, n = own_events_average(traces, clock, seconds, 1.0, 1.0)
    assert n == 2 and mean[10] == pytest.approx((50 + 150) / 2)
    movie = np.zeros((200, 4, 5), np.float32)
    assert run_task(peri_event_movie(movie, clock, seconds[0], before=10, after=10))[1] == 2
    found = CellEvents(
        np.array([1.0, 2.0, 61.0, 62.0]), np.array([3, 3, 3, 3]), np.array(["calcium"] * 4),
        np.ones(4, np.float32), np.zeros(4, np.int64), np.arange(4),
    )  # fmt: skip
    assert event_rates(found, np.array([3]), 0.0, 70.0, clock.imaged_s)[0] == pytest.approx(0.2)
