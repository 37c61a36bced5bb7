"""Segmenters of other packages: called as these are called, listed only where they are installed."""

from __future__ import annotations

import importlib.machinery
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage as ndi

import napari_biofm as biofm
from napari_biofm.engine import warm
from napari_biofm.images.segment import catalogue
from napari_biofm.images.segment.catalogue import families, make_segmenter, models_here
from napari_biofm.types import ImageError, ModelError, SegmentationParameters, run_task

NAMES = (
    "stardist-fluo",
    "stardist-he",
    "instanseg-fluo",
    "instanseg-brightfield",
    "cellpose3-cyto3",
    "cellpose3-nuclei",
)
DEFAULT = SegmentationParameters()


def bright(plane: np.ndarray) -> np.ndarray:
    return ndi.label(plane > 0.5 * plane.max())[0].astype(np.int32)


class StarDist2D:
    """With the signatures of StarDist 0.9."""

    asked: dict[str, Any] = {}
    thresholds = SimpleNamespace(prob=0.48, nms=0.3)

    @classmethod
    def from_pretrained(cls, name_or_alias: str | None = None) -> StarDist2D:
        cls.asked = {"weights": name_or_alias}
        return cls()

    def predict_instances(
        self, img: np.ndarray, axes: Any = None, normalizer: Any = None, sparse: bool = True, prob_thresh: Any = None,
        nms_thresh: Any = None, scale: Any = None, n_tiles: Any = None, show_tile_progress: bool = True,
        verbose: bool = False, return_labels: bool = True, predict_kwargs: Any = None, nms_kwargs: Any = None,
        overlap_label: Any = None, return_predict: bool = False,
    ) -> tuple[np.ndarray, dict[str, Any]]:  # fmt: skip
        type(self).asked |= {"img": img, "prob_thresh": prob_thresh, "scale": scale}
        return bright(img if img.ndim == 2 else img.max() - img.mean(-1)), {"prob": []}


class InstanSeg:
    """With the signatures of InstanSeg 0.1."""

    asked: dict[str, Any] = {}

    def __init__(
        self, model_type: Any = "brightfield_nuclei", device: str | None = None, image_reader: str = "tiffslide",
        verbosity: int = 1,
    ) -> None:  # fmt: skip
        type(self).asked = {"weights": model_type, "device": device}

    def eval_small_image(
        self, image: torch.Tensor, pixel_size: float | None = None, normalise: bool = True,
        return_image_tensor: bool = True, target: str = "all_outputs", rescale_output: bool = True, **kwargs: Any,
    ) -> torch.Tensor:  # fmt: skip
        type(self).asked |= {"image": image, "pixel_size": pixel_size, "normalise": normalise}
        cells = bright(image[0].numpy())
        nuclei = np.where(ndi.binary_erosion(cells > 0, iterations=2), cells, 0)
        return torch.from_numpy(np.stack([nuclei, cells])[None]).float()


class Cellpose:
    """With the signatures of Cellpose 3."""

    asked: dict[str, Any] = {}

    def __init__(
        self,
        gpu: bool = False,
        model_type: str = "cyto3",
        nchan: int = 2,
        device: Any = None,
        backbone: str = "default",
    ) -> None:
        type(self).asked = {"weights": model_type, "device": device}

    def eval(
        self, x: np.ndarray, batch_size: int = 8, channels: Any = (0, 0), channel_axis: int | None = None,
        invert: bool = False, normalize: Any = True, diameter: float | None = 30.0, do_3D: bool = False,
        **kwargs: Any,
    ) -> tuple[np.ndarray, list[Any], np.ndarray, float]:  # fmt: skip
        type(self).asked |= {
            "x": x,
            "channels": channels,
            "channel_axis": channel_axis,
            "diameter": diameter,
            "normalize": normalize,
        } | kwargs
        return bright(x if x.ndim == 2 else x[..., 0]), [], np.zeros(256), diameter or 17.0


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand-ins of the three packages, as if they were installed."""

    def stand_in(name: str, **content: Any) -> None:
        module = ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)

    stand_in("stardist")
    stand_in("stardist.models", StarDist2D=StarDist2D)
    stand_in("instanseg", InstanSeg=InstanSeg)
    stand_in("cellpose")
    stand_in("cellpose.models", Cellpose=Cellpose)
    version = catalogue.importlib.metadata.version
    known = {"cellpose": "3.1.1.2", "stardist": "0.9.1", "instanseg-torch": "0.1.2"}
    monkeypatch.setattr(
        catalogue.importlib.metadata, "version", lambda name: known.get(name) or version(name)
    )
    warm.forget()
    yield
    warm.forget()


def test_what_is_not_installed_is_not_offered_and_says_what_is_missing() -> None:
    missing = [name for name in NAMES if name not in families()]
    assert {"cellpose3-cyto3", "cellpose3-nuclei"} <= set(missing)  # Cellpose 4 is here
    assert not set(missing) & set(models_here(lambda model: model.segments))
    with pytest.raises(ModelError, match="cellpose in a version before 4, which is not installed here"):
        make_segmenter("cellpose3-cyto3")


def test_installed_ones_are_offered_and_segment(packages: None) -> None:
    image = np.zeros((96, 96), np.float32)
    yy, xx = np.mgrid[:96, :96]
    for y, x in ((24, 24), (24, 70), (70, 40)):
        image[np.hypot(yy - y, xx - x) < 9] = 200
    image += np.random.default_rng(0).normal(20, 2, image.shape).astype(np.float32)
    assert set(NAMES) <= set(models_here(lambda model: model.segments))
    for name in ("stardist-fluo", "instanseg-fluo", "cellpose3-cyto3", "cellpose3-nuclei"):
        found = biofm.segment(image, model=name, diameter=18)
        assert found.masks.max() == 3 and found.masks.dtype == np.int32, name
        assert found.provenance["model"] == name
    assert "instanseg-fluo" in families() and families()["instanseg-fluo"].licence == "Apache-2.0"


def test_stardist_gets_a_stretched_plane_the_scale_and_the_threshold(packages: None) -> None:
    image = np.full((60, 60), 100, np.uint16)
    image[20:40, 20:40] = 1100
    model = make_segmenter("stardist-fluo")
    run_task(model.segment(image, SegmentationParameters(diameter=44)))
    asked = StarDist2D.asked
    assert asked["weights"] == "2D_versatile_fluo" and asked["scale"] == 0.5
    assert asked["img"].min() == 0 and asked["img"].max() == pytest.approx(1)
    assert asked["prob_thresh"] == pytest.approx(0.48)
    run_task(model.segment(image, SegmentationParameters(cellprob_threshold=1.0)))
    assert asked["prob_thresh"] > 0.7 or StarDist2D.asked["prob_thresh"] > 0.7
    with pytest.raises(ImageError, match="red, green and blue"):
        run_task(make_segmenter("stardist-he").segment(image, DEFAULT))


def test_instanseg_gets_channels_first_and_gives_cells(packages: None) -> None:
    image = np.zeros((40, 3, 2), np.float32)  # an image narrower than it has channels is still told apart
    image[10:20, :, 0] = 1
    found = run_task(make_segmenter("instanseg-fluo").segment(image, SegmentationParameters(diameter=20)))
    assert InstanSeg.asked["image"].shape == (2, 40, 3) and InstanSeg.asked["pixel_size"] == 0.5
    assert (found.masks > 0).sum() == 30  # cells, not their nuclei


def test_cellpose_3_gets_the_second_channel_as_nuclei(packages: None) -> None:
    image = np.zeros((50, 50, 2), np.uint8)
    image[10:30, 10:30, 0] = 200
    image[15:25, 15:25, 1] = 200
    found = run_task(make_segmenter("cellpose3-cyto3").segment(image, DEFAULT))
    assert Cellpose.asked["channels"] == [1, 2] and Cellpose.asked["x"].shape == (50, 50, 3)
    assert Cellpose.asked["diameter"] is None and found.diameter == 17.0
    assert Cellpose.asked["flow_threshold"] == 0.4
    run_task(make_segmenter("cellpose3-nuclei").segment(image[..., 0], DEFAULT))
    assert Cellpose.asked["channels"] == [0, 0] and Cellpose.asked["weights"] == "nuclei"


def test_percentiles_are_told_to_each_program_in_its_own_words(packages: None) -> None:
    image = np.arange(2500, dtype=np.float32).reshape(50, 50)
    given = SegmentationParameters(normalise=(10, 90))
    run_task(make_segmenter("stardist-fluo").segment(image, given))
    np.testing.assert_allclose(np.percentile(StarDist2D.asked["img"], (10, 90)), (0, 1), atol=1e-6)
    run_task(make_segmenter("cellpose3-cyto3").segment(image, given))
    assert Cellpose.asked["normalize"] == {"percentile": [10.0, 90.0]}
    run_task(make_segmenter("cellpose3-cyto3").segment(image, DEFAULT))
    assert Cellpose.asked["normalize"] is True
    run_task(make_segmenter("instanseg-fluo").segment(image, given))
    assert InstanSeg.asked["normalise"] is False
    np.testing.assert_allclose(np.percentile(InstanSeg.asked["image"], (10, 90)), (0, 1), atol=1e-6)
    run_task(make_segmenter("instanseg-fluo").segment(image, DEFAULT))
    assert InstanSeg.asked["normalise"] is True and InstanSeg.asked["image"].max() == 2499


def test_a_failure_of_the_program_is_told_with_its_name(
    packages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(StarDist2D, "from_pretrained", fails)
    with pytest.raises(ModelError, match=r"stardist-fluo \(stardist\) failed: no route to host"):
        run_task(make_segmenter("stardist-fluo").segment(np.eye(32), DEFAULT))


def test_a_blank_image_runs_no_program(packages: None) -> None:
    assert not run_task(make_segmenter("stardist-fluo").segment(np.ones((32, 32)), DEFAULT)).masks.any()
