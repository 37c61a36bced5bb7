"""Events find their cell, their second and their frame."""

import numpy as np

from napari_biofm.signals import Recording
from napari_biofm.timeline import (
    Clock,
    cell_centres,
    cell_events,
    class_colours,
    event_points,
    event_seconds,
    is_of_movie,
)
from napari_biofm.types import EVENT_DTYPE

CLOCK = Clock.from_rate(100, 10.0, offset=2.0, recording="patch")


def table(rows):
    events = np.zeros(len(rows), EVENT_DTYPE)
    for i, (sweep, channel, time, kind) in enumerate(rows):
        events[i]["sweep"], events[i]["channel"], events[i]["time_s"], events[i]["class"] = (
            sweep,
            channel,
            time,
            kind,
        )
    return events


PATCH = Recording.from_arrays(np.zeros((2, 1, 50_000)), 10_000.0, "mV", sweep_starts=[0.0, 6.0])
CALCIUM = Recording.from_arrays(np.zeros((3, 100)), 10.0, "dF/F", labels=[4, 7, 9])


def test_centres_are_centres_of_mass():
    labels = np.zeros((6, 8), int)
    labels[1:3, 2:6] = 3
    labels[5, 7] = 12
    assert cell_centres(labels) == {3: (1.5, 3.5), 12: (5.0, 7.0)}
    assert cell_centres(np.zeros((4, 4), int)) == {}


def test_sweeps_are_counted_from_their_start():
    np.testing.assert_allclose(
        event_seconds(table([(0, 0, 1.0, "AP"), (1, 0, 1.0, "AP")]), PATCH), [1.0, 7.0]
    )


def test_traces_of_the_movie_are_timed_by_its_clock():
    assert is_of_movie(CALCIUM, CLOCK)
    assert not is_of_movie(PATCH, CLOCK)
    np.testing.assert_allclose(event_seconds(table([(0, 0, 3.0, "calcium")]), CALCIUM, CLOCK), [5.0])


def test_events_of_all_recordings_meet_on_one_clock_in_order():
    found = {
        "patch": (PATCH, table([(0, 0, 4.5, "AP"), (1, 0, 0.5, "AP"), (0, 0, 1.0, "rejected")])),
        "calcium": (CALCIUM, table([(0, 1, 3.0, "calcium"), (0, 2, 0.0, "calcium")])),
    }
    joined = cell_events(found, {"patch": {0: 7}}, CLOCK)
    np.testing.assert_allclose(joined.seconds, [2.0, 4.5, 5.0, 6.5])
    assert joined.labels.tolist() == [9, 7, 7, 7]
    assert [joined.recordings[i] for i in joined.source] == ["calcium", "patch", "calcium", "patch"]
    assert joined.rows.tolist() == [1, 0, 0, 1]


def test_a_recording_of_another_hour_is_named_not_guessed():
    joined = cell_events({"later": (PATCH, table([(0, 0, 3.0, "PSC")]))}, {"later": {0: 7}}, CLOCK)
    assert len(joined) == 0
    assert joined.elsewhere == ("later",)


def test_unlinked_channels_show_nowhere():
    assert len(cell_events({"patch": (PATCH, table([(0, 0, 4.5, "AP")]))}, {}, CLOCK)) == 0


def test_points_start_in_the_frame_of_the_event_and_stay_as_long_as_asked():
    events = table([(0, 0, 3.04, "AP"), (0, 1, 3.0, "AP"), (0, 0, 99.0, "AP"), (0, 0, 4.0, "artefact")])
    points, rows = event_points(events, CLOCK, {0: (5.0, 6.0)}, hold_s=0.2)
    assert points.tolist() == [[10, 5, 6], [11, 5, 6], [12, 5, 6]]
    assert rows.tolist() == [0, 0, 0]


def test_classes_have_colours_of_their_own_and_unknown_ones_are_white():
    colours = class_colours(np.array(["AP", "EPSC", "something", "AP"]))
    assert colours.shape == (4, 4)
    assert (colours[0] == colours[3]).all() and (colours[0] != colours[1]).any()
    assert colours[2].tolist() == [1, 1, 1, 1]
