"""One picture of a movie or stack, without a viewer."""

from __future__ import annotations

import numpy as np

from napari_biofm.images.io.projections import CORRELATION, MEAN, PEAK_NOISE, SPREAD, projection


def movie(shape=(40, 96, 96), seed=3):
    rng = np.random.default_rng(seed)
    data = rng.normal(100, 2, shape).astype(np.float32)
    data[..., 40:52, 40:52] += rng.normal(0, 20, shape[:-2])[..., None, None].astype(np.float32)
    return data


def test_the_mean_is_taken_over_all_axes_in_front():
    data = movie((6, 3, 20, 24))
    np.testing.assert_allclose(projection(data, MEAN, 2), data.mean(axis=(0, 1)), rtol=1e-5)
    colours = np.stack([data] * 3, axis=-1)
    assert projection(colours, MEAN, 3).shape == (20, 24, 3)


def test_what_flickers_stands_out_of_a_floor_of_zero():
    picture = projection(movie(), SPREAD, 2)
    assert picture.shape == (96, 96) and picture.dtype == np.float32
    assert picture[42:50, 42:50].min() > 10 * np.median(picture)
    assert (picture >= 0).all()


def test_a_movie_is_read_some_planes_at_a_time():
    asked = []

    class Lazy:
        def __init__(self, data):
            self.data, self.shape, self.ndim = data, data.shape, data.ndim

        def __getitem__(self, key):
            asked.append(key)
            return self.data[key]

    data = movie((150, 16, 16))
    np.testing.assert_allclose(projection(Lazy(data), MEAN, 2), data.mean(axis=0), rtol=1e-5)
    assert len(asked) == 3


def test_pictures_of_activity_show_cells_that_flicker_and_no_bright_or_moving_light():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:60, :60]
    active, still = (y - 20) ** 2 + (x - 20) ** 2 <= 16, (y - 40) ** 2 + (x - 40) ** 2 <= 16
    trace = np.convolve(rng.random(300) < 0.03, np.exp(-np.arange(20) / 4))[:300]
    data = np.full((300, 60, 60), 100.0)
    data[:, still] += 300
    data += 60 * trace[:, None, None] * active
    data += rng.normal(0, 10, data.shape) + (20 * np.sin(np.arange(300) / 9))[:, None, None]
    data[5, :3] = np.nan
    for what in (CORRELATION, PEAK_NOISE):
        picture = projection(data.astype(np.float32), what, 2)
        assert picture.shape == (60, 60) and np.isfinite(picture).all()
        ground = picture[~active & ~still]
        assert picture[active].min() > ground.max(), what
        assert picture[still].mean() < 0.25 * picture[active].mean(), what
