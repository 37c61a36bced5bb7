"""NIfTI as a viewer shows it: axes turned, an atlas known as one, its names read, and back without a loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_biofm.images.io.lazy import open_saved_image
from napari_biofm.images.io.nifti import Volumes, canonical, region_series
from napari_biofm.images.io.volume_layers import from_shown, looks_like_labels, read_volumes_to_show, to_shown

nibabel = pytest.importorskip("nibabel")

LEFT = np.array([[-3.0, 0, 0, 20], [0, 3, 0, -30], [0, 0, 3.5, -10], [0, 0, 0, 1]])
SIDEWAYS = np.array([[0.0, 0, 3, -10], [-3, 0, 0, 20], [0, 4, 0, 5], [0, 0, 0, 1]])  # axes swapped and turned


def _atlas() -> np.ndarray:
    atlas = np.zeros((12, 14, 10), np.int16)
    atlas[1:4, 2:9], atlas[6:10, :8], atlas[6:, 10:] = 1, 4, 9
    return atlas


def _save(path: Path, values: np.ndarray, affine: np.ndarray = LEFT, tr: float = 1.5) -> Path:
    image: Any = nibabel.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm", "sec")
    if values.ndim == 4:
        image.header.set_zooms((*image.header.get_zooms()[:3], tr))
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("affine", [LEFT, SIDEWAYS])
def test_a_voxel_lies_in_the_viewer_where_its_affine_says(affine: np.ndarray) -> None:
    values = np.random.default_rng(0).normal(0, 1, (12, 14, 10, 5))
    shown, matrix = to_shown(canonical(Volumes(values, affine, 1.5, "bold.nii")))
    assert shown.shape[0] == 5 and matrix[0, 0] == 1.5
    for voxel in ((0, 0, 0), (3, 7, 2), (11, 13, 9)):
        millimetres = (affine @ [*voxel, 1])[:3]
        at = np.linalg.inv(matrix) @ [4 * 1.5, *millimetres[::-1], 1]
        t, z, y, x = (round(float(a)) for a in at[:4])
        np.testing.assert_allclose(at[:4], [t, z, y, x], atol=1e-9)
        assert shown[t, z, y, x] == values[(*voxel, 4)]
    np.testing.assert_allclose(
        matrix - np.diag(np.diag(matrix)), np.pad(matrix[:4, 4:], ((0, 1), (4, 0))) * (1 - np.eye(5))
    )


def test_there_and_back_changes_nothing() -> None:
    values = np.random.default_rng(1).normal(0, 1, (5, 6, 7, 4))
    shown, matrix = to_shown(Volumes(values, SIDEWAYS, 2.0, "b"))
    back = from_shown(shown, matrix, "b", 2.0)
    np.testing.assert_array_equal(back.values, values)
    np.testing.assert_allclose(back.affine, SIDEWAYS)


def test_an_atlas_of_the_same_space_in_another_order_of_axes_fits() -> None:
    values, atlas = np.random.default_rng(2).normal(100, 5, (12, 14, 10, 6)), _atlas()
    flipped = LEFT @ np.diag([-1.0, 1, 1, 1])
    flipped[:, 3] = LEFT @ [11, 0, 0, 1]
    theirs = Volumes(atlas[::-1], flipped, None, "atlas.nii")
    straight, _, _ = region_series(Volumes(values, LEFT, 2.0, "b"), Volumes(atlas, LEFT, None, "atlas.nii"))
    turned, _, numbers = region_series(Volumes(values, LEFT, 2.0, "b"), theirs)
    np.testing.assert_allclose(turned, straight, rtol=1e-12)
    assert numbers.tolist() == [1, 4, 9]


def test_files_say_what_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    bold = read_volumes_to_show(
        _save(tmp_path / "bold.nii.gz", rng.normal(100, 5, (12, 14, 10, 8)).astype(np.float32))
    )
    assert bold.repetition_time == 1.5 and not bold.is_labels and not bold.is_oblique
    assert bold.notes == ("bold.nii.gz is a series of 8 volumes, one every 1.5 s",)
    head = read_volumes_to_show(
        _save(tmp_path / "t1.nii", rng.integers(0, 900, (12, 14, 10)).astype(np.int16))
    )
    assert not head.is_labels and head.notes == ("t1.nii holds one volume, no series over time",)
    (tmp_path / "regions.txt").write_text("1 Precentral gyrus\n4 Insula\n")
    atlas = read_volumes_to_show(_save(tmp_path / "regions.nii.gz", _atlas()))
    assert (
        atlas.is_labels
        and atlas.values.dtype == np.int32
        and dict(atlas.names) == {1: "Precentral gyrus", 4: "Insula"}
    )
    assert "atlas of 3 regions, 2 of them named" in atlas.notes[0] and "no series over time" in atlas.notes[0]
    turned = LEFT.copy()
    turned[:3, :3] = np.array([[1, 0, 0], [0, 0.96, -0.28], [0, 0.28, 0.96]]) @ LEFT[:3, :3]
    slanted = read_volumes_to_show(_save(tmp_path / "slanted.nii", bold.values[0].T.copy(), turned))
    assert slanted.is_oblique and "at an angle" in slanted.notes[-1]


def test_labels_are_told_from_pictures() -> None:
    atlas = Volumes(_atlas(), LEFT, None, "x.nii")
    assert looks_like_labels(atlas)
    noise = np.random.default_rng(0).integers(0, 300, (12, 14, 10))
    assert not looks_like_labels(Volumes(noise, LEFT, None, "x.nii"))
    assert looks_like_labels(Volumes(noise, LEFT, None, "sub-1_space-MNI_dseg.nii.gz"))
    assert not looks_like_labels(Volumes(_atlas() - 1, LEFT, None, "atlas.nii"))
    assert not looks_like_labels(Volumes(_atlas() + 0.25, LEFT, None, "atlas.nii"))


def test_a_session_opens_volumes_again(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(100, 5, (5, 6, 7, 4)).astype(np.float32)
    path = _save(tmp_path / "bold.nii.gz", values)
    np.testing.assert_array_equal(np.asarray(open_saved_image(path)), read_volumes_to_show(path).values)
