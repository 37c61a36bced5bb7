"""What counts as a label image, and ids of any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_biofm.images.io.masks import as_labels, compact, looked_up, numbered, read_labels
from napari_biofm.types import ImageError


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.uint64, np.float32, np.float64])
def test_whole_numbers_of_any_type_are_labels(kind):
    labels = as_labels(np.array([[0, 1], [1, 0]], kind))
    assert labels.dtype == np.int32 and labels.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[0, 1.5]], "1.5 is no whole number"),
        ([[0, np.nan]], "NaN"),
        ([[0, -1]], "-1 is negative"),
        (np.array([[0, 2**63 + 5]], np.uint64), "too large"),
        (np.array([[0, 2**25]], np.float32), "cannot be told apart"),
        (np.array([[0, 1j]]), "complex"),
    ],
)
def test_other_values_are_refused_with_the_file_and_the_value(values, message):
    with pytest.raises(ImageError, match=message) as caught:
        as_labels(values, "m.tif")
    assert "m.tif" in str(caught.value)


def test_ids_above_the_range_of_int32_are_kept(tmp_path: Path):
    masks = np.zeros((4, 4), np.uint32)
    masks[1:3, 1:3] = 3_000_000_001
    tifffile.imwrite(tmp_path / "m.tif", masks)
    labels = read_labels(tmp_path / "m.tif", (4, 4))
    assert labels.dtype == np.int64 and labels.max() == 3_000_000_001


def test_numbers_stand_in_the_order_of_ids():
    labels = np.array([[0, 3_000_000_001], [7, 0]])
    ids, numbers = compact(labels)
    assert ids.tolist() == [0, 7, 3_000_000_001] and numbers.tolist() == [[0, 2], [1, 0]]
    assert numbered(labels).tolist() == numbers.tolist()
    assert compact(np.array([5, 5]))[1].tolist() == [1, 1]
    codes = looked_up(np.array([0, 10, 20]), ids[1:], np.array([[7, 8], [0, 3_000_000_001]]))
    assert codes.tolist() == [[10, 0], [0, 20]]
