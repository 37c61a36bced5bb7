"""Cells in time: masks linked by overlap, tracks read, classes over time, smoothed only when asked."""

import numpy as np
import pytest

from napari_biofm.cells.track.tracks import (
    Timeline,
    class_over_time,
    link,
    link_by_overlap,
    make_time_table,
    read_tracks,
    smooth,
    tracks_from_csv,
)
from napari_biofm.types import CellsError, run_task


def movie():
    """Return labels (5, 40, 60): two cells that move, relabelled in each frame; a third from frame 2 on."""
    labels = np.zeros((5, 40, 60), np.int32)
    for t in range(5):
        labels[t, 5:13, 5 + t : 13 + t] = 1 + t
        labels[t, 25:33, 30 - t : 38 - t] = 20 - t
        if t >= 2:
            labels[t, 5:13, 45:53] = 30
    return labels


def test_moving_cells_keep_their_track_whatever_their_labels():
    rows = run_task(link_by_overlap(movie()))
    track = {(t, v): k for k, t, v in rows.tolist()}
    assert {track[t, 1 + t] for t in range(5)} == {track[0, 1]}
    assert {track[t, 20 - t] for t in range(5)} == {track[0, 20]}
    assert track[2, 30] == track[4, 30] and len(set(track.values())) == 3


def test_a_jump_starts_a_new_track_and_a_daughter_too():
    labels = np.zeros((2, 20, 40), np.int32)
    labels[0, 5:15, 5:15] = 1
    labels[1, 5:10, 5:15] = 1
    labels[1, 11:15, 5:15] = 2
    rows = run_task(link_by_overlap(labels))
    assert sorted(rows[:, 0].tolist()) == [1, 1, 2]


def test_tracks_of_other_tools_are_put_on_the_masks():
    labels = movie()
    points = [[7, t, 9, 9 + t] for t in range(5)] + [[8, 0, 39, 59]]
    rows = read_tracks(points, labels)
    assert rows.tolist() == [[7, t, 1 + t] for t in range(5)]
    with pytest.raises(CellsError, match="None of the track points"):
        read_tracks([[1, 0, 39, 59]], labels)
    with pytest.raises(CellsError, match="do not fit"):
        read_tracks([[1, 0, 5]], labels)


def test_a_row_per_cell_and_frame_and_the_class_of_each_track_over_time():
    labels = movie()
    tracks = run_task(link_by_overlap(labels))
    table = run_task(make_time_table(labels, tracks, image=labels.astype(np.float32), layer="m"))
    assert table.n_obs == len(tracks) == 13
    assert table.obs_names[0] == "m:1@0" and table.obs_names.is_unique
    table.obs["predicted"] = ["late" if f >= 3 else "early" for f in table.obs["frame"]]
    timeline = class_over_time(table)
    assert timeline.classes == ["early", "late"]
    assert timeline.codes[0].tolist() == [0, 0, 0, 1, 1]
    assert sorted(timeline.codes[:, 0].tolist()) == [-1, 0, 0]
    assert timeline.counts[:, 4].tolist() == [0, 3]
    first = table.obs.sort_values(["track", "frame"]).iloc[0]
    assert first[["track", "frame", "centroid-0", "centroid-1"]].tolist() == [1, 0, 8.5, 8.5]


def test_smoothing_removes_a_flicker_and_keeps_gaps():
    codes = np.asarray([[0, 0, 1, 0, 0, -1, 1, 1]], np.int16)
    timeline = Timeline(np.asarray([1]), ["a", "b"], codes)
    assert smooth(timeline, 3).codes.tolist() == [[0, 0, 0, 0, 0, -1, 1, 1]]
    assert smooth(timeline, 1).codes.tolist() == codes.tolist()
    with pytest.raises(CellsError, match="odd"):
        smooth(timeline, 4)


def test_tracks_of_a_csv_and_of_labels_that_are_tracks(tmp_path):
    labels = movie()
    lines = [f"{t},7,{9 + t},9" for t in range(5)]
    (tmp_path / "btrack.csv").write_text("t,ID,x,y\n" + "\n".join(lines) + "\n")
    points = tracks_from_csv(tmp_path / "btrack.csv")
    np.testing.assert_array_equal(points[0], [7, 0, 9, 9])
    assert run_task(link(labels, points)).tolist() == [[7, t, 1 + t] for t in range(5)]
    same = np.stack([labels[0]] * 3)
    assert run_task(link(same, "labels")).tolist() == [[v, t, v] for t in range(3) for v in (1, 20)]
    (tmp_path / "bad.csv").write_text("t,ID,x\n0,1,2\n")
    with pytest.raises(CellsError, match=r"lacks the column 'y'.*it has: t, id, x"):
        tracks_from_csv(tmp_path / "bad.csv")
    (tmp_path / "bad.csv").write_text("t,ID,x,y\n0,1,2,far\n")
    with pytest.raises(CellsError, match="line 2 holds something that is no number"):
        tracks_from_csv(tmp_path / "bad.csv")
