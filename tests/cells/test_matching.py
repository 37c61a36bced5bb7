"""Cells of two sessions against simulated truth: shift, rotation, cells that come and go."""

import csv

import numpy as np
import pytest
import tifffile

import napari_biofm as biofm
from napari_biofm.cli import main
from napari_biofm.types import CellsError


def field(centres, radii, shape=(200, 220)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    masks = np.zeros(shape, np.int32)
    for k, ((cy, cx), r) in enumerate(zip(centres, radii, strict=True), 1):
        masks[(y - cy) ** 2 + (x - cx) ** 2 <= r**2] = k
    return masks


def sessions(seed, angle=2.0, shift=(9.0, -14.0)):
    """Return both masks and the true pairs."""
    rng = np.random.default_rng(seed)
    grid = np.array([(20 + 18 * i, 20 + 18 * j) for i in range(10) for j in range(11)], float)
    centres = grid + rng.uniform(-3, 3, grid.shape)
    radii = rng.uniform(4, 6.5, len(centres))
    turn = np.deg2rad(angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = (centres - 100) @ rotation.T + 100 + np.array(shift) + rng.normal(0, 0.7, centres.shape)
    first, second = rng.random(len(centres)) < 0.85, rng.random(len(centres)) < 0.85
    inside = ((moved > 7) & (moved < np.array([193, 213]))).all(axis=1)
    second &= inside
    a, b = np.flatnonzero(first), rng.permutation(np.flatnonzero(second))
    true = {(int(np.flatnonzero(a == k)[0]) + 1, int(np.flatnonzero(b == k)[0]) + 1) for k in set(a) & set(b)}
    return field(centres[a], radii[a]), field(moved[b], radii[b] * rng.uniform(0.92, 1.08, len(b))), true


@pytest.mark.parametrize("seed", range(4))
def test_pairs_are_the_true_ones(seed):
    first, second, true = sessions(seed)
    found = biofm.match_cells(first, second)
    mine = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert len(mine & true) >= 0.97 * len(true) and len(mine - true) <= 0.03 * len(true)
    assert found.transform[:, :2] == pytest.approx(
        np.array([[np.cos(0.0349), np.sin(0.0349)], [-np.sin(0.0349), np.cos(0.0349)]]), abs=0.01
    )


def test_the_second_session_gets_the_ids_of_the_first(tmp_path):
    first, second, true = sessions(1)
    tifffile.imwrite(tmp_path / "a.tif", first)
    tifffile.imwrite(tmp_path / "b.tif", second)
    out, masks = tmp_path / "pairs.csv", tmp_path / "b_as_a.tif"
    assert (
        main(
            [
                "cells",
                "match",
                f"{tmp_path}/a.tif",
                f"{tmp_path}/b.tif",
                "--out",
                str(out),
                "--masks-out",
                str(masks),
            ]
        )
        == 0
    )
    rows = list(csv.DictReader(out.read_text().splitlines()))
    pairs = {(int(r["first"]), int(r["second"])) for r in rows if r["first"] and r["second"]}
    assert len(pairs & true) >= 0.97 * len(true)
    again = tifffile.imread(masks)
    for i, j in pairs:
        assert (again[second == j] == i).all()
    assert (again > 0).sum() == (second > 0).sum() and len(np.unique(again)) == len(np.unique(second))


def test_other_cells_make_no_pairs():
    rng = np.random.default_rng(0)
    first = field(rng.uniform(10, 190, (6, 2)), np.full(6, 4.0))
    with pytest.raises(CellsError, match="second session needs masks"):
        biofm.match_cells(first, np.zeros((50, 50), np.int32))
    far = biofm.match_cells(first, field([(20.0, 20.0)], [15.0]), most_px=3.0)
    assert len(far.first) == 0 and len(far.only_first) == len(np.unique(first)) - 1
