"""A cell keeps its id when its mask is made again."""

import numpy as np

from napari_biofm.images.segment.match_ids import match_ids


def test_ids_follow_the_largest_overlap_and_new_cells_get_new_ids():
    before = np.zeros((10, 20), np.int32)
    before[1:5, 1:5], before[1:5, 8:12], before[6:9, 1:5] = 7, 3, 12
    after = np.zeros_like(before)
    after[2:4, 2:4], after[1:5, 8:10], after[1:5, 10:12], after[7:9, 15:18] = 1, 2, 3, 4
    after[1, 10] = 2
    carried = match_ids(before, after)
    assert carried[3, 3] == 7
    assert carried[2, 8] == 3
    assert carried[2, 11] == 13 and carried[8, 16] == 14
    np.testing.assert_array_equal(carried > 0, after > 0)


def test_the_same_masks_keep_their_ids_and_none_is_no_problem():
    labels = np.array([[0, 5, 5], [2, 0, 9]], np.int32)
    np.testing.assert_array_equal(match_ids(labels, np.array([[0, 1, 1], [2, 0, 3]], np.int32)), labels)
    nothing = np.zeros_like(labels)
    assert match_ids(nothing, nothing).max() == 0
    np.testing.assert_array_equal(match_ids(nothing, labels), [[0, 2, 2], [1, 0, 3]])
