"""SAM 2 carries masks through planes: our part with a stand-in, and the true network with random weights where it is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_biofm.cli import main
from napari_biofm.images.edit.view import Piece
from napari_biofm.images.prompt import sam2, sam2_api
from napari_biofm.images.prompt.propagate import propagate_followed
from napari_biofm.images.prompt.sam2 import SAM2
from napari_biofm.images.segment import catalogue
from napari_biofm.images.segment.catalogue import make_follower, models_here
from napari_biofm.models import registry, store
from napari_biofm.models.checkpoints import identify, open_checkpoint
from napari_biofm.types import ImageError, ModelError, run_task

HERE = importlib.util.find_spec("sam2") is not None
needs_sam2 = pytest.mark.skipif(not HERE, reason="the package sam2 is not installed: pip install sam2")


def disc(cy: float, cx: float, radius: float = 9, shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (y - cy) ** 2 + (x - cx) ** 2 <= radius**2


@pytest.fixture
def movie() -> np.ndarray:
    """Two discs of which one moves by 2 pixels a frame, (6, 60, 80) uint16; the other goes after frame 3."""
    frames = [100 + 900.0 * disc(20, 15 + 2 * t) + 700.0 * disc(40, 60) * (t < 4) for t in range(6)]
    return np.stack(frames).astype(np.uint16)


class Tracker:
    """Stands for the network: an object is where its brightness is, near where it was."""

    def __init__(self, order: list[int] | None = None) -> None:
        self.order, self.closed, self.seen = order, False, 0

    def track(self, net: Any, pictures: np.ndarray, masks: dict[int, np.ndarray]) -> Any:
        assert pictures.dtype == np.uint8 and pictures.shape[-1] == 3
        now = {label: mask.copy() for label, mask in masks.items()}
        try:
            for index in self.order or range(len(pictures)):
                self.seen += 1
                bright = pictures[index, ..., 0] > 100
                if index:
                    near = {
                        k: torch.nn.functional.max_pool2d(torch.as_tensor(m)[None].float(), 7, 1, 3)[
                            0
                        ].numpy()
                        > 0
                        for k, m in now.items()
                    }
                    now = {k: bright & m for k, m in near.items()}
                yield index, {k: np.where(m, 3.0, -3.0).astype(np.float32) for k, m in now.items()}
        finally:
            self.closed = True


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> Tracker:
    made = Tracker()
    monkeypatch.setattr(sam2_api, "track", lambda *args: made.track(*args))
    monkeypatch.setattr(SAM2, "_load", lambda self: None)
    return made


# ---------------------------------------------------------------------- our part


def test_every_plane_comes_in_its_order_with_all_ids_and_a_score(tracker: Tracker, movie: np.ndarray) -> None:
    masks = {7: disc(20, 15), 3: disc(40, 60)}
    found = list(SAM2("none.pt").carry(movie, masks))
    assert len(found) == 5 and all(set(one) == {7, 3} for one in found)
    for t, one in enumerate(found, 1):
        mask, score = one[7]
        np.testing.assert_array_equal(mask, disc(20, 15 + 2 * t))
        assert score == pytest.approx(1 / (1 + np.exp(-3)))
    assert not found[4][3][0].any() and found[4][3][1] == 0  # it is gone, which is no error
    assert tracker.closed


def test_a_cell_is_carried_both_ways_and_stops_where_it_is_lost(
    tracker: Tracker, movie: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "make_follower", lambda name, device: SAM2("none.pt"))
    done = run_task(propagate_followed(movie, Piece.of(disc(20, 15)), "sam2"))
    assert [s.index for s in done.steps] == [1, 2, 3, 4, 5] and done.stopped_at is None
    assert done.steps[-1].piece.overlap(Piece.of(disc(20, 25))) == 1
    back = run_task(propagate_followed(movie[::-1], Piece.of(disc(20, 25)), "sam2"))
    assert back.steps[-1].piece.overlap(Piece.of(disc(20, 15))) == 1
    lost = run_task(propagate_followed(movie, Piece.of(disc(40, 60)), "sam2"))
    assert lost.stopped_at == 4 and lost.reason == "no mask was found"
    assert tracker.closed


def test_cancelled_it_stops_the_network(
    tracker: Tracker, movie: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "make_follower", lambda name, device: SAM2("none.pt"))
    task = propagate_followed(movie, Piece.of(disc(20, 15)), "sam2")
    next(task), next(task), next(task)  # loading, plane 1, plane 2
    task.close()
    assert tracker.closed and tracker.seen == 3


def test_what_goes_wrong_is_said(movie: np.ndarray, tracker: Tracker) -> None:
    with pytest.raises(ImageError, match="object 4: a mask"):
        next(SAM2("none.pt").carry(movie, {4: np.zeros((60, 80), bool)}))
    with pytest.raises(ImageError, match="object 4: a mask"):
        next(SAM2("none.pt").carry(movie, {4: np.ones((6, 8), bool)}))
    tracker.order = [0, 2, 1]
    with pytest.raises(ModelError, match="left out plane 1"):
        list(SAM2("none.pt").carry(movie, {1: disc(20, 15)}))


def test_old_memories_are_let_go() -> None:
    outputs = {"cond_frame_outputs": {0: "given"}, "non_cond_frame_outputs": {k: k for k in range(1, 30)}}
    sam2_api.forget_before({"output_dict_per_obj": {0: outputs}}, 30 - 16)
    assert set(outputs["non_cond_frame_outputs"]) == set(range(14, 30)) and outputs["cond_frame_outputs"]


def test_checkpoints_are_known_by_their_sizes() -> None:
    for version, extra in (("sam2.1", {"no_obj_embed_spatial": torch.zeros(1)}), ("sam2", {})):
        for size, width, depth in (("t", 96, 12), ("s", 96, 16), ("b+", 112, 24), ("l", 144, 48)):
            state = {f"image_encoder.trunk.blocks.{k}.norm1.weight": torch.zeros(1) for k in range(depth)}
            state["image_encoder.trunk.patch_embed.proj.weight"] = torch.zeros(width, 3, 7, 7)
            state["maskmem_tpos_enc"] = torch.zeros(1)
            assert identify({**state, **extra}) == ("sam2", f"{version}_hiera_{size}")


def test_where_it_is_missing_it_is_not_listed_and_the_remedy_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda n: None if n == "sam2" else find(n))
    monkeypatch.setenv("NAPARI_BIOFM_MODELS", str(tmp_path))
    (tmp_path / "sam2.1_hiera_tiny.pt").write_bytes(b"x")
    assert not [row for row in store.overview() if row["family"] == "sam2"]
    assert models_here(lambda model: model.propagates) == []
    with pytest.raises(ModelError, match="package.s. sam2, which are not installed"):
        make_follower("sam2.1_hiera_tiny")
    assert main(["models", "download", "sam2.1_hiera_large"]) == 1
    assert "sam2" in capsys.readouterr().err
    with pytest.raises(ModelError, match="carries no masks through planes"):
        make_follower("classical")


# ---------------------------------------------------------------------- the true network, random weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from sam2.build_sam import build_sam2_video_predictor

    torch.manual_seed(0)
    net = build_sam2_video_predictor(
        "configs/sam2.1/sam2.1_hiera_t.yaml", device="cpu", apply_postprocessing=False
    )
    path = tmp_path_factory.mktemp("weights") / "sam2.1_hiera_tiny.pt"
    torch.save({"model": net.state_dict()}, path)
    return path


@needs_sam2
@pytest.mark.filterwarnings("ignore")
def test_the_tiny_network_loads_and_follows(weights: Path, movie: np.ndarray) -> None:
    checkpoint = open_checkpoint(weights)
    assert (checkpoint.family, checkpoint.architecture) == ("sam2", "sam2.1_hiera_t")
    model = SAM2(weights, "cpu", side=128)
    found = list(model.carry(movie, {7: disc(20, 15), 3: disc(40, 60)}))
    assert len(found) == 5
    assert all(set(one) == {7, 3} and one[7][0].shape == (60, 80) for one in found)
    again = list(model.carry(movie, {7: disc(20, 15), 3: disc(40, 60)}))
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one[3][0], other[3][0])


@needs_sam2
@pytest.mark.filterwarnings("ignore")
def test_memory_does_not_grow_with_the_movie(weights: Path) -> None:
    net = sam2_api.build(open_checkpoint(weights), "cpu", 128)
    states: list[Any] = []
    real = net.init_state
    net.init_state = lambda frames: states.append(real(frames)) or states[-1]
    net.num_maskmem, net.max_obj_ptrs_in_encoder = 2, 3
    pictures = np.zeros((9, 30, 30, 3), np.uint8)
    for _index, _ in sam2_api.track(net, pictures, {1: disc(15, 15, 5, (30, 30))}):
        kept = states[0]["output_dict_per_obj"][0]["non_cond_frame_outputs"]
        assert len(kept) <= 4


@needs_sam2
def test_pictures_are_those_the_package_would_read(tmp_path: Path) -> None:
    import imageio.v3 as imageio
    from sam2.utils.misc import _load_img_as_tensor

    picture = np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8)
    imageio.imwrite(tmp_path / "0.png", picture)
    wanted, *_ = _load_img_as_tensor(str(tmp_path / "0.png"), 64)
    mean, spread = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    torch.testing.assert_close(sam2_api.Frames(picture[None], 64)[0], (wanted.float() - mean) / spread)


@needs_sam2
@pytest.mark.filterwarnings("ignore")
def test_weights_of_another_size_are_refused(weights: Path, tmp_path: Path) -> None:
    state = torch.load(weights, weights_only=True)["model"]
    state["maskmem_tpos_enc"] = torch.zeros(3)
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(ModelError, match="does not fit the installed sam2"):
        SAM2(tmp_path / "other.pt", "cpu", side=128)._load()


def test_planes_are_stretched_alike(
    tracker: Tracker, movie: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []
    monkeypatch.setattr(
        sam2_api,
        "track",
        lambda net, pictures, masks: (seen.append(pictures), tracker.track(net, pictures, masks))[1],
    )
    list(sam2.SAM2("none.pt").carry(movie, {1: disc(20, 15)}))
    assert seen[0].shape == (6, 60, 80, 3) and len(np.unique(seen[0])) == 3
    assert seen[0][0, 0, 0, 0] == seen[0][5, 0, 0, 0]
