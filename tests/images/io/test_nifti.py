"""NIfTI: series of regions as by hand, cleaning and connectivity as nilearn's, atlases of another space refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_biofm.cli import main
from napari_biofm.images.io.nifti import (
    Volumes,
    check_space,
    cleaned_series,
    connectivity,
    read_names,
    read_nifti,
    region_series,
)
from napari_biofm.types import ImageError

nibabel = pytest.importorskip("nibabel")

AFFINE = np.array([[-3.0, 0, 0, 20], [0, 3, 0, -30], [0, 0, 3.5, -10], [0, 0, 0, 1]])


def _atlas() -> np.ndarray:
    atlas = np.zeros((6, 7, 5), np.int16)
    atlas[:2], atlas[3:5, :4], atlas[3:, 5:] = 1, 4, 9
    return atlas


def _series(t: int = 60) -> np.ndarray:
    rng = np.random.default_rng(0)
    slow = np.cumsum(rng.normal(0, 1, (t, 1)), 0)
    values = rng.normal(100, 3, (6, 7, 5, t)) + 2 * slow[:, 0] * (_atlas() == 4)[..., None]
    return values.astype(np.float32)


def _write(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE, tr: float = 2.0) -> Path:
    image: Any = nibabel.Nifti1Image(values, affine)
    if values.ndim == 4:
        image.header.set_zooms((3, 3, 3.5, tr))
        image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, path)
    return path


def test_affine_time_and_region_means_are_those_of_the_file(tmp_path: Path) -> None:
    values = _series()
    volumes = read_nifti(_write(tmp_path / "bold.nii.gz", values))
    atlas = read_nifti(_write(tmp_path / "atlas.nii", _atlas()))
    np.testing.assert_allclose(volumes.affine, AFFINE)
    assert volumes.repetition_time == 2.0 and not volumes.notes
    assert atlas.repetition_time is None and "one volume, no series" in atlas.notes[0]
    (tmp_path / "names.txt").write_text("index,name\n1,Left, lower\n4\tRight\n")
    series, labels, numbers = region_series(volumes, atlas, read_names(tmp_path / "names.txt"))
    assert labels == ["Left, lower", "Right", "9"] and list(numbers) == [1, 4, 9]
    by_hand = values.astype(np.float64)[_atlas() == 4].mean(0)
    np.testing.assert_allclose(series[:, 1], by_hand, rtol=1e-12)


def test_confounds_and_trend_leave_nothing_behind() -> None:
    rng = np.random.default_rng(2)
    clean, motion = rng.normal(0, 1, (200, 2)), rng.normal(0, 1, (200, 3))
    mixed = clean + motion @ rng.normal(0, 5, (3, 2)) + np.arange(200)[:, None] * 0.3
    found = cleaned_series(mixed, motion)
    assert np.abs(found.T @ (motion - motion.mean(0)) / 200).max() < 0.02
    for i in range(2):
        assert np.corrcoef(found[:, i], clean[:, i])[0, 1] > 0.97


def test_a_band_keeps_what_lies_in_it() -> None:
    t = np.arange(400) * 2.0
    inside, outside = np.sin(2 * np.pi * 0.05 * t), np.sin(2 * np.pi * 0.2 * t)
    found = cleaned_series((inside + outside)[:, None], None, 2.0, (0.01, 0.1))[:, 0]
    middle = slice(100, -100)  # away from the ends, where a filter of 100 s rings
    for wave, amplitude in ((inside, 1.0), (outside, 0.0)):
        assert 2 * np.mean(found[middle] * wave[middle]) == pytest.approx(amplitude, abs=0.02)
    with pytest.raises(ImageError, match="between 0 and 0.25 Hz"):
        cleaned_series(inside[:, None], None, 2.0, (0.01, 0.3))
    with pytest.raises(ImageError, match="time between volumes"):
        cleaned_series(inside[:, None], None, None, (0.01, 0.1))


def test_partial_correlation_is_that_of_residuals() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1, (300, 3))
    x[:, 1] += x[:, 0]
    x[:, 2] += x[:, 1]
    found = connectivity(x, "partial")
    centred = x - x.mean(0)
    rest = centred[:, [1]]  # 0 and 2 with 1 held fixed, by regression
    left = [centred[:, k] - (rest @ np.linalg.lstsq(rest, centred[:, k], rcond=None)[0]) for k in (0, 2)]
    assert found[0, 2] == pytest.approx(np.corrcoef(*left)[0, 1], abs=1e-10)
    assert connectivity(x)[0, 2] == pytest.approx(np.corrcoef(x[:, 0], x[:, 2])[0, 1], abs=1e-12)
    with pytest.raises(ImageError, match="do not change over time"):
        connectivity(np.column_stack([x, np.ones(300)]))


def test_series_and_correlations_are_nilearns(tmp_path: Path) -> None:
    maskers = pytest.importorskip("nilearn.maskers")
    values = _series().astype(np.float64)  # nilearn averages float32 in float32, which alone makes 3e-6
    bold, atlas = _write(tmp_path / "b.nii", values), _write(tmp_path / "a.nii", _atlas())
    motion = np.random.default_rng(4).normal(0, 1, (60, 3))
    masker = maskers.NiftiLabelsMasker(
        atlas,
        detrend=True,
        standardize=None,
        low_pass=0.1,
        high_pass=0.02,
        t_r=2.0,
        standardize_confounds=True,
    )
    theirs = masker.fit_transform(str(bold), confounds=motion)
    raw, _, _ = region_series(read_nifti(bold), read_nifti(atlas))
    ours = cleaned_series(raw, motion, 2.0, (0.02, 0.1))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    np.testing.assert_allclose(connectivity(ours), np.corrcoef(theirs.T), atol=1e-6)


def test_an_atlas_of_another_space_is_refused() -> None:
    volumes = Volumes(_series(4), AFFINE, 2.0, "bold.nii")
    moved = AFFINE.copy()
    moved[0, 3] += 2
    with pytest.raises(ImageError, match="another space.*2 mm apart"):
        check_space(volumes, Volumes(_atlas(), moved, None, "atlas.nii"))
    with pytest.raises(ImageError, match="another space"):
        check_space(volumes, Volumes(_atlas()[1:], AFFINE, None, "atlas.nii"))
    with pytest.raises(ImageError, match="not whole numbers"):
        region_series(volumes, Volumes(_atlas() + 0.5, AFFINE, None, "atlas.nii"))
    with pytest.raises(ImageError, match="holds one volume"):
        region_series(Volumes(_atlas(), AFFINE, None, "t1.nii"), Volumes(_atlas(), AFFINE, None, "atlas.nii"))


def test_damaged_files_end_in_one_line(tmp_path: Path) -> None:
    whole = _write(tmp_path / "b.nii", _series(4)).read_bytes()
    for i, content in enumerate((b"", whole[:200], whole[:2000], b"x" * 4000)):
        (tmp_path / f"d{i}.nii").write_bytes(content)
        with pytest.raises(ImageError, match=f"d{i}.nii"):
            read_nifti(tmp_path / f"d{i}.nii")


def test_the_verb_writes_series_matrix_and_a_vector_per_subject(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(_write(tmp_path / f"s{i}.nii.gz", _series() + i)) for i in range(2)]
    atlas = str(_write(tmp_path / "atlas.nii", _atlas()))
    assert (
        main(
            [
                "volumes",
                *files,
                "--atlas",
                atlas,
                "--low",
                "0.01",
                "--figures",
                "--out",
                str(tmp_path / "out"),
            ]
        )
        == 0
    )
    assert "<svg" in (tmp_path / "out" / "s0_connectivity.svg").read_text()
    assert "s0.nii.gz: 60 volumes, 3 regions" in capsys.readouterr().err
    rows = pd.read_csv(tmp_path / "out" / "s0_series.csv")
    assert list(rows.columns) == ["time_s", "1", "4", "9"] and rows["time_s"][59] == 118
    matrix = pd.read_csv(tmp_path / "out" / "s1_connectivity.csv")
    subjects = pd.read_csv(tmp_path / "out" / "subjects.csv")
    assert list(subjects["subject"]) == ["s0", "s1"] and list(subjects.columns[1:]) == [
        "1 - 4",
        "1 - 9",
        "4 - 9",
    ]
    assert subjects["1 - 9"][1] == pytest.approx(matrix["9"][0], abs=1e-12)
