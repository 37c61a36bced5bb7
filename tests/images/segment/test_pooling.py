"""One vector per cell, and only changed cells are pooled again."""

import numpy as np
import pytest

from napari_biofm.images.segment.pooling import POOLS, pool
from napari_biofm.types import FeatureMap, ImageError


def _map(shape=(64, 96), stride=8.0, channels=5, seed=0):
    rng = np.random.default_rng(seed)
    size = (channels, int(np.ceil(shape[0] / stride)), int(np.ceil(shape[1] / stride)))
    return FeatureMap(rng.normal(size=size).astype(np.float16), stride, shape, "test")


def _labels(shape=(64, 96)):
    labels = np.zeros(shape, np.int32)
    labels[3:20, 4:30] = 2
    labels[20:50, 30:60] = 7
    labels[52:55, 80:83] = 9
    return labels


def test_the_mean_weighs_positions_by_the_cells_pixels():
    features, labels = _map(), _labels()
    pooled = pool(features, labels)
    assert pooled.ids.tolist() == [2, 7, 9]
    y, x = np.nonzero(labels == 7)
    expected = features.data[:, y // 8, x // 8].astype(np.float32)
    np.testing.assert_allclose(pooled.vectors[1, :5], expected.mean(1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(pooled.vectors[1, 5:10], expected.std(1), rtol=1e-3, atol=1e-3)


def test_names_and_widths_agree():
    pooled = pool(_map(), _labels())
    assert pooled.vectors.shape == (3, len(POOLS) * 5) == (3, len(pooled.names))
    assert pooled.vectors.dtype == np.float32
    assert pooled.names[0] == "mean_0" and pooled.names[-1] == "core_4"


def test_rim_and_core_look_at_different_places():
    data = np.zeros((1, 8, 8), np.float32)
    data[0, 3:5, 3:5] = 1
    labels = np.zeros((64, 64), np.int32)
    labels[8:56, 8:56] = 1
    pooled = pool(FeatureMap(data, 8.0, (64, 64), "test"), labels)
    mean, _, rim, core = pooled.vectors[0]
    assert rim < mean < core


def test_only_changed_cells_are_pooled_again():
    features, before = _map(), _labels()
    after = before.copy()
    after[after == 9] = 0
    after[20:30, 30:40] = 0
    after[0:2, 90:96] = 12
    touched = np.unique(np.concatenate([before[before != after], after[before != after]]))
    assert touched.tolist() == [0, 7, 9, 12]
    again = pool(features, after, only=touched)  # 0 is no cell, 9 is gone
    fresh = pool(features, after)
    assert again.ids.tolist() == [7, 12] and fresh.ids.tolist() == [2, 7, 12]
    np.testing.assert_allclose(again.vectors, fresh.vectors[1:], atol=1e-5)


def test_no_cells_give_an_empty_table_of_the_right_width():
    pooled = pool(_map(), np.zeros((64, 96), np.int32))
    assert pooled.vectors.shape == (0, 20)


def test_a_stride_that_is_no_integer_is_followed():
    features = FeatureMap(np.arange(4, dtype=np.float32).reshape(1, 2, 2), 8.6, (17, 17), "test")
    labels = np.zeros((17, 17), np.int32)
    labels[8, 8], labels[9, 9] = 1, 2
    assert pool(features, labels, ("mean",)).vectors.ravel().tolist() == [0.0, 3.0]


def test_labels_of_another_image_are_refused():
    with pytest.raises(ImageError, match="do not fit"):
        pool(_map(), np.zeros((10, 10), np.int32))


def test_an_unknown_pool_is_refused():
    with pytest.raises(ImageError, match="median"):
        pool(_map(), _labels(), ("median",))
