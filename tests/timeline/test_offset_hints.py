"""What helps to place a movie in time: its activity, the spikes of a linked cell, and what is not covered."""

import numpy as np
import pytest

from napari_biofm.signals import Recording
from napari_biofm.timeline import Clock
from napari_biofm.timeline.offset_hints import (
    activity_of_movie,
    cell_with_spikes,
    scaled_activity,
    spike_seconds,
    uncovered,
)
from napari_biofm.types import EVENT_DTYPE, TimelineError

TRACES = np.stack([np.arange(20.0), np.full(20, 4.0)]).astype(np.float32)
RECORDINGS = {
    "patch": Recording.from_arrays(np.zeros(1000), 1000.0, "mV"),
    "traces": Recording.from_arrays(TRACES, 10.0, "dF/F", labels=[3, 7]),
}


def spikes(times, kind="AP"):
    events = np.zeros(len(times), EVENT_DTYPE)
    events["time_s"], events["class"] = times, kind
    return events


def test_a_movie_does_what_its_linked_cell_does_or_what_all_do_on_average():
    np.testing.assert_array_equal(activity_of_movie(RECORDINGS, 20, [3]), TRACES[0])
    np.testing.assert_array_equal(activity_of_movie(RECORDINGS, 20), TRACES.mean(0))
    assert activity_of_movie(RECORDINGS, 21) is None


def test_artefacts_and_traces_of_cells_are_no_spikes():
    events = np.concatenate([spikes([0.1, 0.2]), spikes([0.3], "artefact"), spikes([0.4], "rejected")])
    assert spike_seconds(RECORDINGS["patch"], events).tolist() == [0.1, 0.2]
    assert len(spike_seconds(RECORDINGS["traces"], events)) == 0


def test_activity_is_scaled_whatever_its_unit_and_gaps_are_zero():
    scaled = scaled_activity(np.append(np.linspace(-300, 700, 1001), np.nan))
    assert scaled[-1] == 0 and scaled.min() >= -0.05 and scaled.max() <= 1.05
    assert scaled[500] == pytest.approx(0.5, abs=0.01)


def test_the_linked_cell_with_spikes_and_a_trace_is_found_and_what_is_missing_is_named():
    found = cell_with_spikes(RECORDINGS, spikes([0.1, 0.2]), "patch", {0: 7}, 20)
    assert (found.label, found.spikes.tolist()) == (7, [0.1, 0.2])
    np.testing.assert_array_equal(found.trace, TRACES[1])
    for events, cells, frames, message in (
        (spikes([0.1]), {}, 20, "Link a channel"),
        (spikes([]), {0: 7}, 20, "No spikes yet"),
        (spikes([0.1]), {0: 7}, 19, "no trace of cell 7"),
    ):
        with pytest.raises(TimelineError, match=message):
            cell_with_spikes(RECORDINGS, events, "patch", cells, frames)


def test_frames_outside_the_recording_are_counted():
    assert uncovered(Clock.from_rate(5, 10.0, 0.1, recording="patch"), RECORDINGS["patch"]) == ""
    told = uncovered(Clock.from_rate(15, 10.0, 0.0, recording="patch"), RECORDINGS["patch"])
    assert told == " patch runs from 0 to 1 s: 4 frames lie outside it and show no events of it."
