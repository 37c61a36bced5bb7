"""Segmenters of other programs, run in their own packages where these are installed: StarDist, InstanSeg, Cellpose 3.

Their packages fetch their weights, with their licences, when they are used first. Nothing of them is imported before.
Schmidt et al., MICCAI 2018 (StarDist); Goldsborough et al., arXiv 2408.15954 (InstanSeg); Stringer and Pachitariu,
Nature Methods 22:592, 2025 (Cellpose 3).
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.io.checks import check_image
from napari_biofm.images.io.normalization import as_channels, contrast_limits, is_blank
from napari_biofm.types import (
    Capabilities,
    Image,
    ImageError,
    Labels,
    ModelError,
    Progress,
    Segmentation,
    SegmentationParameters,
    Task,
)

CELL_UM = 10.0  # what InstanSeg is told a cell of the given diameter measures


class _OtherProgram:
    """A segmenter that another package holds.

    Parameters
    ----------
    device : "cpu", "cuda" or "mps"; StarDist chooses for itself.
    """

    name: ClassVar[str]
    package: ClassVar[str]  # distribution, whose version goes into the provenance
    weights: ClassVar[str]  # as the package calls them
    weights_sha256 = ""  # the package fetches and checks its own
    capabilities = Capabilities(segments=True)

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self._loaded: object = None

    def segment(self, image: Image, parameters: SegmentationParameters) -> Task[Segmentation]:
        """Segment a plane.

        Parameters
        ----------
        image : (Y, X) or (Y, X, C).
        parameters : diameter (pixels), thresholds as far as the program has them, smallest size.

        Raises
        ------
        ModelError
            If the program fails, with what it said.
        """
        pixels = check_image(image)
        yield Progress(0, 1, f"{self.name} ...")
        notes: Mapping[str, Any] = {}
        if is_blank(as_channels(pixels)):
            masks = np.zeros(pixels.shape[:2], np.int32)
        else:
            try:
                if self._loaded is None:
                    self._loaded = self._load()
                masks, notes = self._run(self._loaded, pixels, parameters)
            except ImageError:
                raise
            except Exception as error:
                raise ModelError(f"{self.name} ({self.package}) failed: {error}") from error
        masks = _numbered(masks, parameters.min_size)
        if masks.shape != pixels.shape[:2]:
            raise ModelError(f"{self.name} gave masks of {masks.shape} for an image of {pixels.shape[:2]}.")
        about = {
            "model": self.name,
            "weights": self.weights,
            "device": self.device,
            "parameters": asdict(parameters),
            "versions": {self.package: _version(self.package)},
            **notes,
        }
        return Segmentation(masks, diameter=notes.get("diameter_px"), provenance=about)

    def _load(self) -> Any:
        """Return the program's own model."""
        raise NotImplementedError

    def _run(
        self, model: Any, pixels: NDArray[Any], parameters: SegmentationParameters
    ) -> tuple[Labels, Mapping[str, Any]]:
        """Return masks (Y, X), and what goes into the provenance."""
        raise NotImplementedError


class StarDistFluorescence(_OtherProgram):
    """StarDist's `2D_versatile_fluo`: bright, round nuclei; several channels are averaged."""

    name, package, weights = "stardist-fluo", "stardist", "2D_versatile_fluo"
    trained = 22.0  # diameter, pixels, of nuclei in the set it was trained on (a part of DSB 2018)

    def _load(self) -> Any:
        return importlib.import_module("stardist.models").StarDist2D.from_pretrained(self.weights)

    def _run(self, model: Any, pixels: NDArray[Any], parameters: SegmentationParameters) -> Any:
        scale = None if parameters.diameter is None else self.trained / parameters.diameter
        threshold = _shifted(float(model.thresholds.prob), parameters.cellprob_threshold)
        masks, _ = model.predict_instances(
            self._prepared(pixels, parameters.normalise),
            prob_thresh=threshold,
            scale=scale,
            show_tile_progress=False,
        )
        return masks, {"diameter_px": parameters.diameter, "prob_thresh": threshold}

    def _prepared(self, pixels: NDArray[Any], percentiles: tuple[float, float] | None) -> NDArray[np.float32]:
        plane = pixels.astype(np.float32)
        return _stretched(plane.mean(-1) if plane.ndim == 3 else plane, percentiles)


class StarDistTissue(StarDistFluorescence):
    """StarDist's `2D_versatile_he`: nuclei in H&E."""

    name, weights = "stardist-he", "2D_versatile_he"

    def _prepared(self, pixels: NDArray[Any], percentiles: tuple[float, float] | None) -> NDArray[np.float32]:
        return _stretched(_three_colours(pixels, self.name).astype(np.float32), percentiles)


class InstanSegFluorescence(_OtherProgram):
    """InstanSeg's `fluorescence_nuclei_and_cells`: whole cells from any number of channels.

    It wants micrometres. A given diameter is taken to be a cell of 10 um; without one the image is taken at the
    model's own pixel size.
    """

    name, package, weights = "instanseg-fluo", "instanseg-torch", "fluorescence_nuclei_and_cells"

    def _load(self) -> Any:
        program = importlib.import_module("instanseg").InstanSeg
        return program(self.weights, device=self.device, verbosity=0)

    def _run(self, model: Any, pixels: NDArray[Any], parameters: SegmentationParameters) -> Any:
        size = None if parameters.diameter is None else CELL_UM / parameters.diameter
        import torch

        given = self._prepared(pixels)
        if parameters.normalise is not None:
            low, high = contrast_limits(given, parameters.normalise).T
            given = ((given - low) / np.maximum(high - low, 1e-12)).astype(np.float32)
        channels = np.moveaxis(given, -1, 0)  # told apart by place, not by size
        found = model.eval_small_image(
            torch.from_numpy(np.ascontiguousarray(channels)),
            pixel_size=size,
            normalise=parameters.normalise is None,
            return_image_tensor=False,
            target="all_outputs",
        )
        layers = np.asarray(found).reshape(-1, *np.shape(found)[-2:])
        return layers[-1], {
            "diameter_px": parameters.diameter,
            "pixel_size_um_told": size,
        }  # cells after nuclei

    def _prepared(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray(pixels if pixels.ndim == 3 else pixels[..., None], np.float32)


class InstanSegBrightfield(InstanSegFluorescence):
    """InstanSeg's `brightfield_nuclei`: nuclei in stained tissue."""

    name, weights = "instanseg-brightfield", "brightfield_nuclei"

    def _prepared(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        return _three_colours(pixels, self.name).astype(np.float32)


class Cellpose3Cells(_OtherProgram):
    """Cellpose 3's `cyto3`: the first channel is the cell, a second one its nucleus; colours are averaged."""

    name, package, weights = "cellpose3-cyto3", "cellpose", "cyto3"

    def _load(self) -> Any:
        import torch

        models = importlib.import_module("cellpose.models")
        gpu = self.device != "cpu"
        return models.Cellpose(gpu=gpu, model_type=self.weights, device=torch.device(self.device))

    def _run(self, model: Any, pixels: NDArray[Any], parameters: SegmentationParameters) -> Any:
        planes, channels = self._prepared(pixels)
        own = True if parameters.normalise is None else {"percentile": list(parameters.normalise)}
        masks, _, _, diameter = model.eval(
            planes,
            normalize=own,
            channels=channels,
            channel_axis=-1 if planes.ndim == 3 else None,
            diameter=parameters.diameter,
            flow_threshold=parameters.flow_threshold,
            cellprob_threshold=parameters.cellprob_threshold,
            min_size=parameters.min_size,
        )
        used = float(np.mean(diameter))
        return masks, {"diameter_px": used if used > 0 else None, "channels_told": channels}

    def _prepared(self, pixels: NDArray[Any]) -> tuple[NDArray[np.float32], list[int]]:
        """Return the planes, and the channels of cell and nucleus as Cellpose 3 counts them (0 is grey, 1 the first)."""
        if pixels.ndim == 3 and pixels.shape[-1] == 2:
            return np.concatenate([pixels, np.zeros_like(pixels[..., :1])], -1).astype(np.float32), [1, 2]
        plane = pixels.astype(np.float32)
        return (plane.mean(-1) if plane.ndim == 3 else plane), [0, 0]


class Cellpose3Nuclei(Cellpose3Cells):
    """Cellpose 3's `nuclei`."""

    name, weights = "cellpose3-nuclei", "nuclei"

    def _prepared(self, pixels: NDArray[Any]) -> tuple[NDArray[np.float32], list[int]]:
        plane = pixels.astype(np.float32)
        return (plane.mean(-1) if plane.ndim == 3 else plane), [0, 0]


def _stretched(pixels: NDArray[np.float32], percentiles: tuple[float, float] | None) -> NDArray[np.float32]:
    """Return (Y, X[, C]) with two percentiles of all channels at 0 and 1; as StarDist was trained, 1 and 99.8."""
    low, high = np.percentile(pixels, percentiles or (1.0, 99.8))
    return np.asarray((pixels - low) / max(float(high - low), 1e-12), np.float32)


def _three_colours(pixels: NDArray[Any], name: str) -> NDArray[Any]:
    if pixels.ndim != 3 or pixels.shape[-1] != 3:
        raise ImageError(f"{name} needs red, green and blue; this image has shape {pixels.shape}.")
    return pixels


def _shifted(probability: float, logit: float) -> float:
    """Return a threshold of probability moved by logits, as the form gives them."""
    return float(1 / (1 + np.exp(-(np.log(probability / (1 - probability)) + logit))))


def _numbered(masks: NDArray[Any], min_size: int) -> Labels:
    """Return labels 1..n without objects of fewer pixels than `min_size`."""
    values, inverse, counts = np.unique(masks, return_inverse=True, return_counts=True)
    keep = (values > 0) & (counts >= min_size)
    numbers = np.where(keep, np.cumsum(keep), 0)
    return numbers[inverse].reshape(np.shape(masks)).astype(np.int32)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
