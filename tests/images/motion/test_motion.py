"""Motion is measured to a fifth of a pixel, taken back lazily, and written with its border told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage

import napari_biofm as biofm
from napari_biofm.cli import main
from napari_biofm.images.motion.apply import CorrectedMovie, field_of, moved_back
from napari_biofm.images.motion.estimate import estimate_motion
from napari_biofm.images.motion.settings import MotionSettings
from napari_biofm.shifts import ShiftFinder
from napari_biofm.types import ImageError, run_task


def field(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:height, :width]
    picture = np.full((height, width), 0.3)
    for _ in range(height * width // 500):
        at, size = rng.uniform(0, (height, width)), rng.uniform(2, 4)
        picture += rng.uniform(0.5, 2) * np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / size**2)
    return picture


def moving(
    n: int = 50, far: float = 6.0, photons: float = 15.0, bend: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return a movie (n, 96, 112) of photons and the shifts (n, 2) put into it; `bend` moves columns unlike each other."""
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(0, 1, (n, 2)), axis=0)
    walk = far * (walk - walk.mean(axis=0)) / np.abs(walk - walk.mean(axis=0)).max()
    large, movie = field(136, 152), np.empty((n, 96, 112), np.float32)
    for i, shift in enumerate(walk):
        frame = ndimage.shift(large, shift, order=3, mode="nearest")[20:116, 20:132]
        if bend:
            at = np.indices(frame.shape).astype(float)
            at[0] -= bend * np.sin(i / 8) * np.linspace(-1, 1, 112)
            frame = ndimage.map_coordinates(frame, at, order=3, mode="nearest")
        movie[i] = rng.poisson(np.maximum(frame, 0) * photons)
    return movie, walk


def residual(found: np.ndarray, true: np.ndarray) -> float:
    left = found - true
    return float(np.sqrt(np.mean((left - np.median(left, axis=0)) ** 2)))


def test_a_shift_is_found_to_a_twentieth_of_a_pixel() -> None:
    picture = field(80, 90)
    for shift in ((0.0, 0.0), (3.3, -5.7), (-8.45, 0.2)):
        moved = ndimage.shift(field(120, 130), shift, order=3)[20:100, 20:110]
        finder = ShiftFinder(field(120, 130)[20:100, 20:110])
        np.testing.assert_allclose(finder.find_finely(moved), shift, atol=0.05)
        np.testing.assert_allclose(finder.find(moved), shift, atol=0.7)
    assert ShiftFinder(picture, most=2).find(np.roll(picture, 7, axis=0))[0] <= 2.5


def test_rigid_motion_is_measured_and_taken_back() -> None:
    movie, walk = moving()
    motion = run_task(estimate_motion(movie))
    assert residual(motion.shifts, walk) < 0.1
    assert motion.correlation[1] > motion.correlation[0] + 0.1 and motion.crispness[1] > motion.crispness[0]
    corrected = CorrectedMovie(movie, motion)
    top, bottom, left, right = motion.border
    assert 4 <= max(motion.border) <= 8
    inside = corrected[:][:, top : 96 - bottom, left : 112 - right]
    assert np.isfinite(inside).all(), "the border says what is valid in all frames"
    assert np.isnan(corrected[int(np.argmax(np.abs(walk[:, 0])))]).any()
    still = run_task(estimate_motion(np.nan_to_num(inside, nan=0.0)))
    assert np.abs(still.shifts).max() < 0.3


def test_dim_movies_and_frames_without_numbers_do_no_harm() -> None:
    movie, walk = moving(photons=3)
    movie[7] = np.nan
    movie[:, :3] = np.nan
    motion = run_task(estimate_motion(movie))
    good = np.arange(len(walk)) != 7
    assert residual(motion.shifts[good], walk[good]) < 0.2
    assert np.isnan(CorrectedMovie(movie, motion)[7]).all()


def test_blocks_follow_a_field_that_bends() -> None:
    movie, _ = moving(n=30, far=3, bend=2.0, photons=40)
    rigid = run_task(estimate_motion(movie))
    motion = run_task(estimate_motion(movie, MotionSettings(mode="piecewise", block=48)))
    assert motion.blocks is not None and motion.blocks.shape[1:] == (3, 4, 2)
    assert motion.correlation[1] > rigid.correlation[1] + 0.005
    ends = np.array([field_of(motion, i)[0, 48, [14, 98]] for i in range(30)])
    true = 2.0 * np.sin(np.arange(30) / 8) * (98 - 14) / 111 * 2
    assert np.corrcoef(ends[:, 1] - ends[:, 0], true)[0, 1] > 0.95
    left = ends[:, 1] - ends[:, 0] - true  # the template is bent as the mean of the movie is
    assert np.abs(left - np.median(left)).mean() < 0.5
    assert CorrectedMovie(movie, motion)[3:5, 40].shape == (2, 112)


def test_cells_do_not_flicker_as_the_field_moves_between_pixels() -> None:
    yy, xx = np.mgrid[:64, :64]
    edge = 2.5 - np.hypot(yy - 31.3, xx - 32.2)  # a small cell with an edge of a pixel
    cell = 40 + 100 / (1 + np.exp(-4 * edge))
    spectrum, fy, fx = np.fft.rfft2(cell), np.fft.fftfreq(64)[:, None], np.fft.rfftfreq(64)[None]
    light = []
    for part in np.linspace(0, 1, 9):
        shift = np.array([part, 0.5 * part])
        moved = np.fft.irfft2(spectrum * np.exp(-2j * np.pi * (fy * shift[0] + fx * shift[1])), (64, 64))
        light.append(float(moved_back(moved.astype(np.float32), shift)[edge > 0].mean()))
    assert np.ptp(light) < 0.003 * (np.mean(light) - 40)  # cubic splines: .012


def test_a_frame_moved_back_keeps_its_light_and_marks_what_was_not_seen() -> None:
    frame = field(40, 50).astype(np.float32)
    back = moved_back(np.roll(frame, (2, -3), (0, 1)), np.array([2.0, -3.0]))
    np.testing.assert_allclose(back[:38, 3:], frame[:38, 3:], atol=1e-4)
    assert np.isnan(back[38:]).all() and np.isnan(back[:, :3]).all()


def test_the_verb_writes_movie_shifts_and_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    movie, walk = moving(n=24)
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, movie.astype(np.uint16), imagej=True, metadata={"axes": "TYX", "finterval": 0.1})
    assert main(["motion", str(path), "--out", str(tmp_path / "still.tif"), "--json"]) == 0
    said = capsys.readouterr()
    assert "The field moved by up to" in said.err and '"correlation_after"' in said.out
    with np.load(tmp_path / "still_motion.npz") as stored:
        assert residual(stored["shifts"], walk) < 0.2
    found = biofm.correct_motion(tmp_path / "still.tif")
    assert found.frame_rate == pytest.approx(10) and np.abs(found.motion.shifts).max() < 0.3
    assert main(["motion", str(path), "--out", str(tmp_path / "still.mp4")]) != 0
    with pytest.raises(ImageError, match="choose one of rigid, piecewise"):
        biofm.correct_motion(path, mode="affine")  # type: ignore[arg-type]
