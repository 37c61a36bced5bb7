"""Which cells of a labels array changed since the last look."""

from __future__ import annotations

import numpy as np
import pytest

from napari_biofm.images.edit import ArrayTarget, LabelsEdit
from napari_biofm.images.edit.fingerprint import BLOCK, LabelsFingerprint


def cells(shape=(600, 700), n=60, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    for k in range(1, n + 1):
        at = tuple(int(rng.integers(0, side - 12)) for side in shape[-2:])
        plane = int(rng.integers(0, shape[0])) if len(shape) == 3 else None
        box = (slice(at[0], at[0] + 12), slice(at[1], at[1] + 12))
        labels[box if plane is None else (plane, *box)] = k
    return labels


def ids(changes):
    return {label for change in changes if change is not None for label in change.ids}


def truly_changed(before, after):
    where = before != after
    return (set(before[where].tolist()) | set(after[where].tolist())) - {0}


@pytest.mark.parametrize("shape", [(600, 700), (5, 300, 257), (40,)])
def test_the_ids_that_changed_are_found_exactly(shape):
    rng = np.random.default_rng(1)
    labels = cells(shape) if len(shape) > 1 else rng.integers(0, 4, shape).astype(np.int32)
    target = ArrayTarget(labels)
    fingerprint = LabelsFingerprint(target)
    assert ids(fingerprint.look()) == set() and fingerprint.is_complete
    for _ in range(20):
        before = labels.copy()
        at = tuple(slice(a, a + 9) for a in (int(rng.integers(0, n)) for n in shape))
        labels[at] = rng.integers(0, 70)
        assert ids(fingerprint.look()) == truly_changed(before, labels)
        assert ids(fingerprint.look()) == set(), "a change is told once"


def test_a_cell_that_moved_within_a_block_has_changed():
    labels = np.zeros((64, 64), np.uint8)
    labels[10:20, 10:20] = 7
    target = ArrayTarget(labels)
    fingerprint = LabelsFingerprint(target)
    list(fingerprint.look())
    target.data = np.roll(labels, 1, axis=0)
    (change,) = [c for c in fingerprint.look() if c is not None]
    assert change.ids == (7,) and (change.start, change.stop) == ((0, 0), (64, 64))


def test_what_was_accepted_is_not_told():
    labels = cells()
    target = ArrayTarget(labels)
    fingerprint = LabelsFingerprint(target)
    list(fingerprint.look())
    labels[0:20, 0:300] = 99
    fingerprint.accept(((0, 0), (20, 300)))
    labels[500:520, 600:620] = 98
    edit = LabelsEdit.between(target, "soon", [((250, 250), labels[250:260, 250:260], np.full((10, 10), 97))])
    fingerprint.accept(((250, 250), (260, 260)), edit.patches[0])
    edit.write(target)
    told = ids(fingerprint.look())
    assert 98 in told and not {97, 99} & told


def test_a_look_at_a_box_reads_only_the_blocks_it_touches():
    read = []

    class Counting(ArrayTarget):
        def read(self, region):
            read.append(region)
            return super().read(region)

    fingerprint = LabelsFingerprint(Counting(np.zeros((3, 1000, 1000), np.uint8)))
    assert not read
    list(fingerprint.look(((1, 250, 250), (2, 260, 260))))
    assert len(read) == 4 and all(region[0] == slice(1, 2) for region in read)
    assert not fingerprint.is_complete
    assert fingerprint.n_blocks((0, 0, 0), (3, BLOCK + 1, 1)) == 6


def test_labels_of_another_shape_are_looked_at_anew():
    target = ArrayTarget(cells((64, 64), 3))
    fingerprint = LabelsFingerprint(target)
    list(fingerprint.look())
    target.data = cells((32, 400), 3)
    assert ids(fingerprint.look()) == set() and fingerprint.is_complete
    target.data[0, 399] = 4
    assert ids(fingerprint.look()) == {4}
