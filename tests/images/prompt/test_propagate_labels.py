"""All cells of one plane are carried through a stack, both ways, by whichever model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_biofm as biofm
from napari_biofm.cli import main
from napari_biofm.images.prompt import propagate, propagate_labels
from napari_biofm.images.segment import catalogue
from napari_biofm.types import Capabilities, ImageError


def disc(cy: float, cx: float, radius: float = 9) -> np.ndarray:
    y, x = np.mgrid[:70, :90]
    return (y - cy) ** 2 + (x - cx) ** 2 <= radius**2


@pytest.fixture
def truth() -> np.ndarray:
    """(7, 70, 90): cell 4 drifts through all planes, cell 9 is in planes 1 to 4."""
    labels = np.zeros((7, 70, 90), np.int32)
    for t in range(7):
        labels[t][disc(25, 20 + 2 * t)] = 4
        if 1 <= t <= 4:
            labels[t][disc(50, 65, 8)] = 9
    return labels


@pytest.fixture
def stack(truth: np.ndarray) -> np.ndarray:
    return ((truth > 0) * 1000 + np.random.default_rng(0).normal(100, 5, truth.shape)).astype(np.uint16)


class Follower:
    """A model with a memory that knows the answer; counts its passes."""

    name, weights_sha256, capabilities = "follower", "", Capabilities(propagates=True)

    def __init__(self, truth: np.ndarray) -> None:
        self.truth, self.passes = truth, []

    def carry(self, stack, masks):
        at = [
            next(t for t in range(7) if (stack[k].astype(int) // 500 == (self.truth[t] > 0) * 2).all())
            for k in range(len(stack))
        ]
        self.passes.append(at)
        for t in at[1:]:
            yield {label: (self.truth[t] == label, 0.9 if label == 4 else 0.8) for label in masks}


@pytest.mark.parametrize("model", ["level-sets", "follower"])
def test_cells_are_carried_both_ways_and_end_where_they_are_gone(
    truth: np.ndarray, stack: np.ndarray, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = Follower(truth)
    if model == "follower":
        stack = np.where(truth > 0, 1000, 100).astype(np.uint16)
        monkeypatch.setattr(catalogue, "make_follower", lambda name, device: follower)
        monkeypatch.setattr(propagate_labels, "capabilities_of", lambda name: follower.capabilities)
    done = biofm.propagate(stack, truth, plane=3, model=model)
    np.testing.assert_array_equal(done.labels[3], truth[3])
    for label in (4, 9):
        both = ((done.labels == label) & (truth == label)).sum() / (
            (done.labels == label) | (truth == label)
        ).sum()
        assert both > 0.8
    first, second = done.cells
    assert (first.label, first.first, first.last, first.reason_before, first.reason_after) == (
        4,
        0,
        6,
        "",
        "",
    )
    assert (second.label, second.first, second.last) == (9, 1, 4)
    assert second.reason_before and second.reason_after
    if model == "follower":
        assert follower.passes == [[3, 2, 1, 0], [3, 4, 5, 6]]  # one pass a way, for all cells
        assert propagate.followed_pieces is propagate_labels.followed_pieces


def test_what_does_not_fit_is_said(truth: np.ndarray, stack: np.ndarray) -> None:
    with pytest.raises(ImageError, match="there is no plane 7"):
        biofm.propagate(stack, truth[0], plane=7, model="level-sets")
    with pytest.raises(ImageError, match="must be equal"):
        biofm.propagate(stack, truth[0, :50], plane=0, model="level-sets")
    with pytest.raises(ImageError, match="no cell"):
        biofm.propagate(stack, 0 * truth[0], plane=0, model="level-sets")
    with pytest.raises(ImageError, match="a stack"):
        biofm.propagate(stack[0], truth[0], model="level-sets")


def test_the_command_line_writes_all_planes_and_says_where_cells_end(
    truth: np.ndarray, stack: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", stack, metadata={"axes": "ZYX"}, imagej=True)
    tifffile.imwrite(tmp_path / "mask.tif", truth[2].astype(np.uint16))
    out = tmp_path / "carried.tif"
    call = ["propagate", str(tmp_path / "stack.tif"), "--masks", str(tmp_path / "mask.tif"), "--plane", "2"]
    assert main([*call, "--model", "level-sets", "--out", str(out)]) == 0
    said = capsys.readouterr().err
    assert "cell 9 ends at plane 4" in said and "2 cells carried through 7 planes by level-sets" in said
    written = tifffile.imread(out)
    assert written.shape == truth.shape and set(np.unique(written)) == {0, 4, 9}
    assert main([*call, "--model", "level-sets", "--out", str(out)]) == 1  # nothing is replaced unasked
    assert "--force" in capsys.readouterr().err
    assert main([*call, "--out", str(tmp_path / "carried.png")]) == 1
    assert main([*call, "--model", "classical", "--out", str(tmp_path / "x.tif")]) == 1
    assert "answers no clicks" in capsys.readouterr().err
