"""Without a trigger, what the cell did says when the movie began, and how sure that is."""

import numpy as np
import pytest

from napari_biofm.simulate import calcium_traces, simulate_corecording, spike_trains
from napari_biofm.timeline.correlate import propose_offset
from napari_biofm.types import TimelineError, run_task

HALF_FRAME = 0.5 / 20


def test_the_patched_cell_of_a_movie_gives_the_offset_within_half_a_frame():
    truth = simulate_corecording((96, 96), 8, n_frames=600, offset=1.234, seed=5)
    cell = truth.field.masks == truth.patched
    trace = truth.movie[:, cell].mean(axis=1)  # as a user would measure it, noise and neuropil included
    found = run_task(propose_offset(trace, 20.0, truth.current.event_times))
    assert abs(found.offset - 1.234) < HALF_FRAME
    assert found.is_sure
    assert found.p_value < 0.02
    assert "confident" in found.in_words()


def test_spikes_of_another_cell_are_not_believed():
    times = 0.7 + np.arange(600) / 20
    trains = spike_trains(2, 31.0, seed=3)
    trace = calcium_traces([trains[0]], times)[0] + np.random.default_rng(0).normal(0, 0.05, 600)
    assert not run_task(propose_offset(trace, 20.0, trains[1])).is_sure


@pytest.mark.parametrize(
    ("trace", "spikes", "words"),
    [
        (np.random.default_rng(0).normal(size=100), [1.0, 2.0], "2 spikes are too few"),
        (np.zeros(100), np.arange(10.0), "flat"),
        (np.full(100, np.nan), np.arange(10.0), "flat"),
    ],
)
def test_too_little_to_go_by_is_said(trace, spikes, words):
    with pytest.raises(TimelineError, match=words):
        run_task(propose_offset(trace, 20.0, np.asarray(spikes)))


def test_an_empty_search_is_refused():
    with pytest.raises(TimelineError, match="No offset to try"):
        run_task(propose_offset(np.random.default_rng(0).normal(size=100), 20.0, np.arange(9.0), (5.0, 5.0)))
