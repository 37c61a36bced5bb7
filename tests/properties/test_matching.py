"""Matchers of masks: what the ids are does not matter, and masks that did not change keep theirs."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_biofm.cells.track.tracks import link_by_overlap
from napari_biofm.images.edit.labels_edit import ArrayTarget
from napari_biofm.images.edit.linking import link_array, relabel_edit
from napari_biofm.images.segment.match_ids import match_ids
from napari_biofm.images.tiling.stitching import stitch
from napari_biofm.types import run_task

SIDE = 20
places = st.tuples(st.integers(0, SIDE - 2), st.integers(0, SIDE - 2), st.integers(2, 7), st.integers(2, 7))


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    """A plane of up to eight boxes; later ones lie over earlier ones."""
    plane = np.zeros((SIDE, SIDE), np.int32)
    for number, (y, x, height, width) in enumerate(draw(st.lists(places, max_size=8)), 1):
        plane[y : y + height, x : x + width] = number
    return plane


@st.composite
def moved(draw: st.DrawFn, plane: np.ndarray) -> np.ndarray:
    """The same plane shifted a little, with some objects gone and a new one here and there."""
    shift = draw(st.tuples(st.integers(-2, 2), st.integers(-2, 2)))
    after = np.roll(plane, shift, (0, 1))
    gone = draw(st.sets(st.integers(1, 8), max_size=2))
    after = np.where(np.isin(after, list(gone)), 0, after)
    for number, (y, x, height, width) in enumerate(draw(st.lists(places, max_size=2)), 20):
        after[y : y + height, x : x + width] = number
    return after


@st.composite
def two_planes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    before = draw(masks())
    return before, draw(moved(before))


@st.composite
def movies(draw: st.DrawFn) -> np.ndarray:
    frames = [draw(masks())]
    for _ in range(draw(st.integers(1, 3))):
        frames.append(draw(moved(frames[-1])))
    return np.stack(frames)


def renamed(draw_from: np.random.Generator, plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a plane with other ids, up to 5000, and the table that gave them (0 stays 0)."""
    table = np.zeros(int(plane.max(initial=0)) + 1, np.int32)
    table[1:] = draw_from.choice(5000, len(table) - 1, replace=False) + 1
    return table[plane], table


def partition(labels: np.ndarray) -> np.ndarray:
    """Return labels numbered in the order in which they come, so that equal partitions are equal arrays."""
    ids, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.zeros(len(ids), np.int64)
    order = [i for i in np.argsort(first) if ids[i] != 0]
    rank[order] = np.arange(1, len(order) + 1)
    return rank[inverse].reshape(labels.shape)


seeds = st.integers(0, 2**31).map(np.random.default_rng)

# ------------------------------------------------------------------ masks made again


@given(masks(), seeds)
def test_masks_that_were_made_again_the_same_keep_their_ids(
    plane: np.ndarray, rng: np.random.Generator
) -> None:
    before, _ = renamed(rng, plane)
    after, _ = renamed(rng, plane)
    np.testing.assert_array_equal(match_ids(before, after), before)
    np.testing.assert_array_equal(match_ids(before, before), before)


@given(two_planes(), seeds)
def test_carried_ids_do_not_depend_on_the_numbers_of_the_new_masks(
    planes: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> None:
    before, after = planes
    first, second = match_ids(before, after), match_ids(before, renamed(rng, after)[0])
    np.testing.assert_array_equal(partition(first), partition(after))
    np.testing.assert_array_equal(partition(second), partition(after))
    known = np.isin(first, before[before > 0])
    np.testing.assert_array_equal(
        np.where(known, first, 0), np.where(np.isin(second, before[before > 0]), second, 0)
    )


@given(two_planes(), seeds)
def test_carried_ids_do_not_depend_on_the_numbers_of_the_former_masks(
    planes: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> None:
    before, after = planes
    other, table = renamed(rng, before)
    first, second = match_ids(before, after), match_ids(other, after)
    known = np.isin(first, before[before > 0])
    np.testing.assert_array_equal(table[np.where(known, first, 0)], np.where(known, second, 0))
    assert not np.isin(second[(first > 0) & ~known], other[other > 0]).any(), "new objects get new ids"


# ------------------------------------------------------------------ planes of a stack


@given(masks(), st.integers(1, 4), seeds)
def test_an_unchanged_plane_is_one_set_of_objects(
    plane: np.ndarray, n: int, rng: np.random.Generator
) -> None:
    stack = np.stack([renamed(rng, plane)[0] for _ in range(n)])
    joined = stitch(stack)
    np.testing.assert_array_equal(partition(joined[0]), partition(plane))
    assert (joined == joined[0]).all()
    assert sorted(np.unique(joined[joined > 0])) == list(range(1, len(np.unique(plane[plane > 0])) + 1))


@given(movies(), seeds)
def test_joined_objects_do_not_depend_on_the_numbers_in_the_planes(
    stack: np.ndarray, rng: np.random.Generator
) -> None:
    other = np.stack([renamed(rng, plane)[0] for plane in stack])
    np.testing.assert_array_equal(partition(stitch(stack)), partition(stitch(other)))
    for plane, joined in zip(stack, stitch(stack), strict=True):
        np.testing.assert_array_equal(partition(plane), partition(joined))


# ------------------------------------------------------------------ cells over time


def tracked(labels: np.ndarray) -> np.ndarray:
    """Return labels with the ids of their tracks, linked as *Link over time* does."""
    target = ArrayTarget(labels.copy())
    tracking = run_task(link_array(labels))
    relabel_edit(target, tracking).write(target)
    assert len(tracking.data) == sum(len(np.unique(frame[frame > 0])) for frame in labels)
    return np.asarray(target.data)


@given(masks(), st.integers(1, 4), seeds)
def test_cells_that_stay_are_one_track_each_and_keep_their_ids(
    plane: np.ndarray, n: int, rng: np.random.Generator
) -> None:
    first, _ = renamed(rng, plane)
    np.testing.assert_array_equal(tracked(np.stack([first] * n)), np.stack([first] * n))
    others = np.stack([first, *(renamed(rng, plane)[0] for _ in range(n - 1))])
    np.testing.assert_array_equal(tracked(others), np.stack([first] * n))


@given(movies(), seeds)
def test_tracks_do_not_depend_on_the_numbers_of_the_cells(
    movie: np.ndarray, rng: np.random.Generator
) -> None:
    other = np.stack([renamed(rng, plane)[0] for plane in movie])
    np.testing.assert_array_equal(partition(tracked(movie)), partition(tracked(other)))
    for plane, ids in zip(movie, tracked(movie), strict=True):
        np.testing.assert_array_equal(partition(plane), partition(ids))


def by_track(labels: np.ndarray) -> np.ndarray:
    """Return labels with the tracks of the Cells table."""
    out = np.zeros_like(labels)
    for track, frame, label in run_task(link_by_overlap(labels)):
        out[frame][labels[frame] == label] = track
    return out


@given(masks(), st.integers(1, 4), seeds)
def test_cells_of_the_table_that_stay_are_one_track_each(
    plane: np.ndarray, n: int, rng: np.random.Generator
) -> None:
    tracks = by_track(np.stack([renamed(rng, plane)[0] for _ in range(n)]))
    assert (tracks == tracks[0]).all()
    np.testing.assert_array_equal(partition(tracks[0]), partition(plane))


@given(movies(), seeds)
def test_tracks_of_the_table_do_not_depend_on_the_numbers_of_the_cells(
    movie: np.ndarray, rng: np.random.Generator
) -> None:
    other = np.stack([renamed(rng, plane)[0] for plane in movie])
    np.testing.assert_array_equal(partition(by_track(movie)), partition(by_track(other)))


def test_a_movie_without_cells_has_no_tracks() -> None:
    nothing = np.zeros((3, 20, 20), np.int32)
    tracking = run_task(link_array(nothing))
    assert tracking.data.shape == (0, 4) and not tracking.graph
    assert tracking.renamed == [{}, {}, {}]
    assert run_task(link_by_overlap(nothing)).shape == (0, 3)
