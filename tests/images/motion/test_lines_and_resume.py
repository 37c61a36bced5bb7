"""Lines of scanners that go to and fro, and runs that were cut off."""

import numpy as np
import pytest
import tifffile
from scipy import ndimage

import napari_biofm as biofm
from napari_biofm.images.motion import unfinished
from napari_biofm.images.motion.line_phase import InPhase, line_phase
from napari_biofm.types import ImageError


def movie(n=40, seed=0, moved=True):
    rng = np.random.default_rng(seed)
    scene = 100 + 60 * ndimage.gaussian_filter(rng.standard_normal((96, 110)), 1.5) * 5
    shifts = np.round(3 * np.sin(np.arange(n) / 4)).astype(int) if moved else np.zeros(n, int)
    return np.array([np.roll(scene, s, 0) + rng.normal(0, 5, scene.shape) for s in shifts]).astype(np.float32)


@pytest.mark.parametrize("phase", [-4, -1, 0, 1, 3])
def test_the_shift_of_odd_lines_is_found_and_taken_back(phase):
    true = movie(moved=False)
    seen = true.copy()
    seen[:, 1::2] = np.roll(seen[:, 1::2], phase, axis=2)
    assert line_phase(seen) == phase
    back = InPhase(seen, phase)
    np.testing.assert_array_equal(back[3:5, :, 8:-8], true[3:5, :, 8:-8])
    np.testing.assert_array_equal(back[-1], back[39])
    assert back.shape == true.shape and back[2].shape == (96, 110)


def test_noise_has_no_phase_and_motion_tells_of_it():
    assert line_phase(np.random.default_rng(0).normal(0, 1, (30, 64, 64))) == 0
    seen = movie()
    seen[:, 1::2] = np.roll(seen[:, 1::2], 2, axis=2)
    found = biofm.correct_motion(seen, lines=True)
    assert found.line_phase == 2 and "2 pixels" in found.warnings[-1]
    assert biofm.correct_motion(seen).line_phase == 0


def test_a_run_that_was_cut_off_goes_on_where_it_stood(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "m.tif", movie(100), photometric="minisblack")
    out = tmp_path / "still.tif"
    whole = biofm.correct_motion(tmp_path / "m.tif")
    monkeypatch.setattr(unfinished, "EVERY_S", 0.0)

    class CutOffError(Exception):
        pass

    def cut(step):
        if "motion of frame 64" in step.message:
            raise CutOffError

    with pytest.raises(CutOffError):
        biofm.correct_motion(tmp_path / "m.tif", out, resume=True, progress=cut)
    partial = tmp_path / "still_motion.partial.npz"
    assert partial.is_file()
    seen = []
    again = biofm.correct_motion(
        tmp_path / "m.tif", out, resume=True, progress=lambda step: seen.append(step.message)
    )
    measured = [one for one in seen if one.startswith("motion of frame")]
    assert measured[0] == "motion of frame 96 of 100" and not any(one.startswith("template") for one in seen)
    np.testing.assert_array_equal(again.motion.shifts, whole.motion.shifts)
    assert out.is_file() and not partial.exists()


def test_what_another_movie_left_is_not_taken_and_a_damaged_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(unfinished, "EVERY_S", 0.0)
    out = tmp_path / "still.tif"
    partial = tmp_path / "still_motion.partial.npz"
    partial.write_bytes(b"PK nothing")
    with pytest.raises(ImageError, match=r"partial.npz cannot be read; remove it"):
        biofm.correct_motion(movie(), out, resume=True)
    np.savez(partial, key="other", done=40, template=np.zeros((96, 110)), shifts=np.full((40, 2), 99))
    found = biofm.correct_motion(movie(), out, resume=True)
    assert np.abs(found.motion.shifts).max() < 10
