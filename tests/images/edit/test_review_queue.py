"""The review queue, propagation through planes, linking over time, and series."""

from __future__ import annotations

import numpy as np
import pytest

from napari_biofm.images.edit import Piece
from napari_biofm.images.edit.labels_edit import ArrayTarget
from napari_biofm.images.edit.linking import link, relabel_edit
from napari_biofm.images.edit.review_queue import review_items
from napari_biofm.images.io.series import Series
from napari_biofm.images.prompt.level_sets import LevelSets
from napari_biofm.images.prompt.propagate import Limits, propagate, propagate_basins
from napari_biofm.types import ImageError, run_task


def disc(shape, centre, radius):
    y, x = np.indices(shape)
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


def field():
    labels = np.zeros((200, 200), np.int32)
    k = 0
    for y in range(25, 180, 30):
        for x in range(25, 180, 30):
            k += 1
            labels[disc(labels.shape, (y, x), 9 + k % 3)] = k
    return labels


def test_the_guide_names_odd_cells_first_with_the_reason():
    labels = field()
    labels[disc(labels.shape, (25, 25), 20)] = 1
    labels[labels == 8] = 0
    labels[disc(labels.shape, (55, 55), 2)] = 8
    labels[83:87, 83:87] = 0  # a hole
    prob = np.full(labels.shape, 6.0, np.float32)
    prob[labels == 20] = -1
    listed = {d.label: d for d in review_items(labels, prob)}
    assert "large" in listed[1].reasons[0]
    assert any("small" in r for r in listed[8].reasons)
    assert any("confidence" in r for r in listed[20].reasons)
    assert any("holes" in r for r in listed[15].reasons)
    assert all(labels[tuple(round(c) for c in d.centre)] == d.label for d in listed.values())


def test_the_guide_names_cells_cut_by_the_border_in_pieces_and_disagreements():
    labels = field()
    labels[0:9, 100:109] = 90
    labels[150:153, 195:198] = 36
    other = labels.copy()
    other[labels == 11] = 0
    other[2:10, 40:50] = 77
    found = review_items(labels, other=other, offset=(1000, 0))
    reasons = {d.label: " ".join(d.reasons) for d in found}
    assert "border" in reasons[90] and "pieces" in reasons[36] and "no such cell" in reasons[11]
    missed = next(d for d in found if d.label == 0)
    assert missed.centre[0] == pytest.approx(1005.5, abs=1)
    with pytest.raises(ImageError, match="must be equal"):
        review_items(labels, other=other[:5])


def stack(jump=2, planes=9, lost=None):
    rng = np.random.default_rng(0)
    volume = np.zeros((planes, 90, 90), np.float32)
    for z in range(planes):
        if z != lost:
            volume[z][disc((90, 90), (30 + jump * z, 30 + jump * z), 11)] = 100
    return volume + rng.normal(0, 3, volume.shape)


def level_sets_on(volume):
    tool = LevelSets()

    def answer(index, prompt, moved):
        found = tool.answer(run_task(tool.prepare(volume[index])), prompt)
        return (found.pieces[0], found.scores[0]) if found.pieces else (Piece.of(np.zeros((1, 1), bool)), 0.0)

    return answer


def test_a_cell_is_carried_through_planes_along_its_motion():
    volume = stack()
    first = Piece.of(disc((90, 90), (30, 30), 11))
    done = run_task(propagate(lambda z: volume[z], level_sets_on(volume), first, 0, range(1, 9)))
    assert done.stopped_at is None and [s.index for s in done.steps] == list(range(1, 9))
    assert done.steps[-1].piece.overlap(Piece.of(disc((90, 90), (46, 46), 11))) > 0.75


def test_it_stops_and_says_why_where_the_cell_is_lost_or_changes_too_much():
    volume = stack(lost=4)
    first = Piece.of(disc((90, 90), (30, 30), 11))
    done = run_task(propagate(lambda z: volume[z], level_sets_on(volume), first, 0, range(1, 9)))
    assert done.stopped_at == 4 and done.reason and [s.index for s in done.steps] == [1, 2, 3]
    strict = Limits(least_score=1.1)
    done = run_task(propagate(lambda z: volume[z], level_sets_on(volume), first, 0, range(1, 9), strict))
    assert done.stopped_at == 1 and "score" in done.reason


def movie():
    """Two cells that move; the second divides at frame 3; labels are shuffled in every frame."""
    frames = np.zeros((6, 80, 120), np.int32)
    rng = np.random.default_rng(1)
    truth = []
    for t in range(6):
        cells = {"a": disc((80, 120), (20 + 2 * t, 20 + 3 * t), 8)}
        if t < 3:
            cells["b"] = disc((80, 120), (50, 80), 12)
        else:
            cells["c"] = disc((80, 120), (50, 71 - t), 7)
            cells["d"] = disc((80, 120), (50, 89 + t), 7)
        names = rng.permutation(np.arange(1, 9))[: len(cells)]
        for name, mask in zip(names, cells.values(), strict=True):
            frames[t][mask] = name
        truth.append(cells)
    return frames, truth


def test_cells_are_linked_over_time_and_a_division_gives_two_daughters():
    frames, truth = movie()
    target = ArrayTarget(frames)
    tracking = run_task(link(target))
    edit = relabel_edit(target, tracking)
    edit.write(target)
    ids = [{n: int(frames[t][m].max()) for n, m in cells.items()} for t, cells in enumerate(truth)]
    assert len({i["a"] for i in ids}) == 1
    mother = ids[0]["b"]
    assert {ids[t]["b"] for t in range(3)} == {mother}
    daughters = {ids[3]["c"], ids[3]["d"]}
    assert {ids[5]["c"], ids[5]["d"]} == daughters and mother not in daughters
    assert tracking.graph == {d: [mother] for d in daughters}
    assert set(np.unique(tracking.data[:, 0]).astype(int)) == {ids[0]["a"], mother, *daughters}
    for track, t, y, x in tracking.data:
        assert frames[int(t), round(y), round(x)] == track, "track ids equal label ids"
    edit.inverse().write(target)
    assert np.array_equal(frames, movie()[0])


def test_linking_needs_time_and_bears_empty_frames():
    with pytest.raises(ImageError, match="over time"):
        run_task(link(ArrayTarget(np.zeros((5, 5), int))))
    frames = np.zeros((4, 30, 30), np.int32)
    frames[1][5:9, 5:9] = 4
    frames[3][5:9, 5:9] = 4
    tracking = run_task(link(ArrayTarget(frames)))
    assert len(tracking.data) == 2 and len(np.unique(tracking.data[:, 0])) == 2


def test_a_series_keeps_its_progress(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    for name in ("a", "b", "c", "a_mask"):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.zeros((8, 8), np.uint8))
    series = Series(tmp_path)
    assert [p.stem for p in series.paths] == ["a", "b", "c"]
    series.save_labels(1, np.ones((8, 8), np.int32))
    again = Series(tmp_path)
    assert again.n_done == 1 and again.next_open(0) == 2 and again.next_open(2) == 0
    assert again.load_labels(1).max() == 1 and again.load_labels(0) is None
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="no images"):
        Series(tmp_path / "empty")


def flows_of_stack(labels):
    from napari_biofm.images.segment.ideal_flows import flows_from_masks

    flows = np.stack([flows_from_masks(plane) for plane in labels], axis=1)
    return flows, np.where(labels > 0, 4.0, -4.0).astype(np.float32)


def test_a_cell_is_carried_through_planes_by_its_flow_basins_beside_its_neighbour():
    labels = np.zeros((6, 80, 90), np.int32)
    for z in range(6):
        labels[z][disc((80, 90), (30 + 2 * z, 30), 10)] = 1
        labels[z][disc((80, 90), (30 + 2 * z, 50), 10)] = 2
    picture = (labels > 0) * 100.0  # the picture does not tell the two apart, the flows do
    flows, prob = flows_of_stack(labels)
    first = Piece.of(labels[0] == 1)
    done = run_task(propagate_basins(picture, flows, prob, first))
    assert (done.reason, len(done.steps)) == ("", 5)
    for step in done.steps:
        assert step.piece.overlap(Piece.of(labels[step.index] == 1)) > 0.9
    prob[4] = -4.0
    stopped = run_task(propagate_basins(picture, flows, prob, first))
    assert (stopped.stopped_at, len(stopped.steps)) == (4, 3)
    assert "no mask" in stopped.reason


def test_a_cell_that_a_pass_saw_in_two_parts_is_followed_whole():
    labels = np.zeros((2, 60, 80), np.int32)
    labels[:, 20:40, 20:36] = 1
    labels[1, 20:40, 36:52] = 2
    labels[0, 20:40, 36:52] = 1
    flows, prob = flows_of_stack(labels)
    done = run_task(propagate_basins((labels > 0) * 100.0, flows, prob, Piece.of(labels[0] == 1)))
    assert done.steps[0].piece.overlap(Piece.of(labels[1] > 0)) > 0.9
