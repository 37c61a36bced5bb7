"""Overlays show in every frame what the traces and events say, and nothing else."""

import itertools

import numpy as np
import pytest

from napari_biofm.signals import Recording
from napari_biofm.timeline import Clock, class_colours
from napari_biofm.timeline.activity import CellLevels, cell_levels, dense_index
from napari_biofm.timeline.activity_overlay import ACTIVITY, ActivityOverlay
from napari_biofm.timeline.cell_positions import CellEvents
from napari_biofm.types import TimelineError, run_task

LABELS = np.zeros((8, 10), np.int32)
LABELS[1:3, 1:4], LABELS[5:8, 5:9], LABELS[0, 9] = 4, 70_000, 9
CLOCK = Clock.from_rate(50, 10.0)


def events(seconds, labels, classes):
    n = len(seconds)
    zeros = np.zeros(n, np.int64)
    return CellEvents(
        np.array(seconds, float),
        np.array(labels),
        np.array(classes, "U12"),
        np.ones(n, np.float32),
        zeros,
        zeros,
    )


def is_bright(overlay, value, kind):
    """Whether a value of the image is the full colour of a class of events."""
    return value > ACTIVITY and np.allclose(
        overlay.colours[value], class_colours(np.array([kind]))[0], atol=0.01
    )


def test_pixels_know_the_place_of_their_label():
    index = dense_index(LABELS, np.array([4, 70_000]))
    assert index.dtype == np.uint16
    assert (index[LABELS == 4] == 1).all() and (index[LABELS == 70_000] == 2).all()
    assert (index[(LABELS == 0) | (LABELS == 9)] == 0).all()


def levels_of(rng):
    table = rng.integers(1, 256, (50, 3)).astype(np.uint8)
    table[:, 0] = 0
    return CellLevels(np.array([4, 70_000]), table)


def test_each_cell_is_as_bright_as_its_trace_in_every_frame():
    levels = levels_of(np.random.default_rng(0))
    overlay = ActivityOverlay(LABELS, CLOCK, levels)
    for frame in (7, 0, 49, 8):
        overlay.show(frame)
        for column, label in ((1, 4), (2, 70_000)):
            expected = np.ceil(float(levels.levels[frame, column]) * ACTIVITY / 255)
            assert (overlay.image[label == LABELS] == expected).all()
        assert (overlay.image[(LABELS == 0) | (LABELS == 9)] == 0).all(), "no trace, no light"
    dark, bright = overlay.colours[1], overlay.colours[ACTIVITY]
    assert bright[:3].sum() > 2 > 0.1 > dark[:3].sum()


def test_a_flash_stands_while_it_is_brighter_than_the_activity():
    table = np.full((50, 2), 128, np.uint8)
    table[:, 0] = 0
    both = ActivityOverlay(LABELS, CLOCK, CellLevels(np.array([4]), table), events([1.04], [4], ["AP"]), 0.3)
    seen = []
    for frame in range(8, 30):
        both.show(frame)
        seen.append(int(both.image[1, 1]))
    half = int(np.ceil(128 * ACTIVITY / 255))
    assert seen[:2] == [half, half] and is_bright(both, seen[2], "AP")
    assert seen[-1] == half and all(value == half or value > ACTIVITY for value in seen)


def test_levels_run_between_the_percentiles_of_each_trace():
    traces = np.stack([np.linspace(0, 1, 50), np.full(50, 3.0), np.full(50, np.nan)]).astype(np.float32)
    found = run_task(cell_levels(Recording.from_arrays(traces, 10.0, "dF/F", labels=[9, 4, 5]), CLOCK))
    assert found.labels.tolist() == [4, 5, 9]
    assert found.levels.shape == (50, 4)
    assert (found.levels[:, :3] == [0, 1, 1]).all()
    assert (np.diff(found.levels[:, 3].astype(int)) >= 0).all() and found.levels[-1, 3] == 255


def test_traces_of_another_rate_are_taken_at_the_middle_of_each_frame():
    trace = np.linspace(0, 1, 500).astype(np.float32)[None]
    found = run_task(cell_levels(Recording.from_arrays(trace, 100.0, "dF/F", labels=[4]), CLOCK))
    assert found.levels.shape == (50, 2)
    assert found.levels[-1, 1] > found.levels[25, 1] > 1


def test_a_patch_recording_has_no_activity_image():
    with pytest.raises(TimelineError, match="no traces of cells"):
        run_task(cell_levels(Recording.from_arrays(np.zeros(100), 10.0, "mV"), CLOCK))


def test_an_event_lights_its_cell_in_its_frame_and_fades():
    flash = ActivityOverlay(LABELS, CLOCK, None, events([1.04], [4], ["AP"]), decay_s=0.3)
    seen = []
    for frame in range(30):
        flash.show(frame)
        inside = np.unique(flash.image[LABELS == 4])
        assert len(inside) == 1 and (flash.image[LABELS != 4] == 0).all()
        seen.append(int(inside[0]))
    assert seen[9] == 0 and is_bright(flash, seen[10], "AP")
    assert all(a >= b for a, b in itertools.pairwise(seen[10:])) and seen[-1] == 0


def test_scrubbing_back_gives_the_same_image_as_playing():
    rng = np.random.default_rng(1)
    many = events(
        np.sort(rng.uniform(0, 5, 60)), rng.choice([4, 9, 70_000], 60), rng.choice(["AP", "EPSC"], 60)
    )
    flash = ActivityOverlay(LABELS, CLOCK, levels_of(rng), many)
    played = []
    for frame in range(50):
        flash.show(frame)
        played.append(flash.image.copy())
    for frame in rng.permutation(50):
        flash.show(int(frame))
        np.testing.assert_array_equal(flash.image, played[frame])


def test_classes_have_their_colours_and_dark_is_black():
    flash = ActivityOverlay(
        LABELS, CLOCK, None, events([1.0, 1.0, 1.0], [4, 9, 70_000], ["AP", "EPSC", "mine"])
    )
    flash.show(10)
    for label, kind in ((4, "AP"), (9, "EPSC"), (70_000, "mine")):
        value = int(flash.image[label == LABELS][0])
        assert is_bright(flash, value, kind)
    assert (flash.colours[0, :3] == 0).all()


def test_nothing_is_written_when_nothing_changed():
    flash = ActivityOverlay(LABELS, CLOCK, None, events([1.0], [4], ["AP"]))
    assert flash.show(10)
    assert not flash.show(10)
    assert flash.show(0) and not flash.show(1)
    flash.set_events(None)
    assert not flash.show(10)
