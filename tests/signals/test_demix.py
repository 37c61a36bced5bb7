"""Overlapping cells are taken apart; a mean over the mask takes them for one."""

import numpy as np
import pytest
from scipy import ndimage

import napari_biofm as biofm
from napari_biofm.types import RecordingError


def overlapping(seed=0, n=800):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:40, :60]
    kernel = np.exp(-np.arange(40) / 8.0)
    courses = np.array([np.convolve(rng.random(n) < 0.015, kernel)[:n] for _ in range(3)])
    shapes = [
        np.clip(1.2 - ((y - cy) ** 2 + (x - cx) ** 2) / 49, 0, 1) for cy, cx in ((20, 15), (20, 21), (20, 48))
    ]
    ground = 30 * (1 + 0.3 * ndimage.gaussian_filter1d(rng.standard_normal(n), 8) * 4)
    movie = ground[:, None, None] + sum(
        100 * shape * (1 + 0.8 * course)[:, None, None] for shape, course in zip(shapes, courses, strict=True)
    )
    masks = np.zeros((40, 60), np.int32)
    strongest = np.argmax(shapes, axis=0)
    for k, shape in enumerate(shapes):
        masks[(shape > 0.3) & (strongest == k)] = k + 1
    return (movie + rng.normal(0, 6, movie.shape)).astype(np.float32), masks, courses, shapes


def test_courses_and_footprints_are_those_of_the_cells():
    movie, masks, courses, shapes = overlapping()
    movie[100] = np.nan
    found = biofm.demix(movie, masks, 20.0)
    good = np.isfinite(found.traces[0])
    assert not good[100] and good.sum() == 799
    plain = np.array([movie[:, masks == k + 1].mean(axis=1) for k in range(3)])
    for k in range(3):
        mine = np.corrcoef(found.traces[k][good], courses[k][good])[0, 1]
        assert mine > max(0.97, np.corrcoef(plain[k][good], courses[k][good])[0, 1] - 0.005), k
        assert np.corrcoef(found.weights[k].ravel(), shapes[k].ravel())[0, 1] > 0.93
    # the neighbour's events hardly show; in a mean over the mask they do
    cross = [np.corrcoef(one[good], courses[1][good])[0, 1] for one in (found.traces[0], plain[0])]
    own = np.corrcoef(courses[0], courses[1])[0, 1]
    assert abs(cross[0] - own) < 0.5 * abs(cross[1] - own)
    assert found.explained > 0.5 and found.recording().labels.tolist() == [1, 2, 3]
    assert np.nanpercentile(found.dff, 5) > -0.2


def test_what_does_not_fit_is_named():
    with pytest.raises(RecordingError, match="must be \\(T, Y, X\\)"):
        biofm.demix(np.zeros((20, 5, 5), np.float32), np.zeros((5, 5), int), 10.0)
