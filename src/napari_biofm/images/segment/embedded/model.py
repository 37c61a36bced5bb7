"""`EmbeddedModel`: the shipped image model as segmenter, embedder and promptable model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.segment.embedded import passes
from napari_biofm.images.segment.embedded.input_planes import HIGH, LOW, to_planes
from napari_biofm.images.segment.embedded.weights import build as build_network
from napari_biofm.images.segment.embedded.weights import read as read_weights
from napari_biofm.images.segment.flows import masks_from_flows
from napari_biofm.models.device import memory_format
from napari_biofm.types import (
    Capabilities,
    FeatureMap,
    Image,
    ImageError,
    Labels,
    ModelError,
    Progress,
    Prompt,
    Segmentation,
    SegmentationParameters,
    Task,
    Vectors,
)

if TYPE_CHECKING:
    from napari_biofm.images.segment.embedded.clicks import Prepared

SECOND_PASS = 0.3  # octaves between estimated and measured diameter beyond which the image is seen again
# logits by which the threshold of cell probability moves with the diameter (image pixels): small cells, which are
# enlarged, come out too wide, large ones too narrow; chosen on training pictures
SHIFT_AT, SHIFT = (12.0, 20.0, 28.0, 40.0), (0.25, 0.0, 0.0, -0.25)
SURETY = 1.0  # logits, see `masks_from_flows`: faint patches beside clear cells are none; chosen alike
LARGEST_IMAGE = 1 << 26  # pixels; beyond, the caller goes tile by tile


class EmbeddedModel:
    """The compact model that comes with the package.

    Parameters
    ----------
    weights : `.safetensors` file or folder; None for the shipped weights.
    device : "cpu", "cuda", "cuda:1", "mps".
    threads : CPU threads of torch while this model works; None leaves torch's own choice.

    Raises
    ------
    ModelError : if weights are missing or damaged, or the device is not there.
    """

    name = "biofm-image"
    capabilities = Capabilities(
        segments=True,
        embeds=True,
        clicks=True,
        flows=True,
        remasks=True,
        feature_map=True,
        vectors=True,
        crops=True,
    )
    surety = SURETY  # see `masks_from_flows`

    def __init__(self, weights: Path | None = None, device: str = "cpu", threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise ModelError(f"threads is {threads}; give 1 or more, or None")
        stored = read_weights(weights)
        self.config: Mapping[str, Any] = stored.config
        self.weights_sha256, self.device, self.threads = stored.sha256, device, threads
        self.network = build_network(stored)
        try:
            self.network = self.network.to(device).to(memory_format=memory_format(device))
        except (RuntimeError, AssertionError) as error:
            raise ModelError(f"device {device!r} cannot be used ({error}); choose cpu") from error

    @property
    def settings(self) -> Mapping[str, Any]:
        """How the weights are to be used, from their JSON."""
        chosen: Mapping[str, Any] = self.config["inference"]
        return chosen

    @property
    def crop_parts(self) -> tuple[int, int, int]:
        """Columns of `crop_vectors` that are learned maps, texture, and size and brightness."""
        from napari_biofm.images.segment.embedded.vectors import part_widths

        return part_widths(self.network)

    def calibrated(
        self, parameters: SegmentationParameters, diameter: float | None
    ) -> SegmentationParameters:
        """Return the user's thresholds, shifted by what the weights were calibrated with and by what suits cells of
        the diameter (image pixels) that was used.
        """
        shift = float(self.settings["cellprob_shift"])
        if diameter is not None:
            shift += float(np.interp(np.log2(diameter), np.log2(SHIFT_AT), SHIFT))
        threshold = parameters.cellprob_threshold + shift
        return replace(parameters, diameter=diameter, cellprob_threshold=threshold)

    def remask(self, segmentation: Segmentation, parameters: SegmentationParameters) -> Segmentation:
        """Make the masks again with other thresholds, from flows that were kept; no network runs.

        Parameters
        ----------
        segmentation : a result of this class, of a plane or of planes.
        parameters : the new thresholds; its diameter is not used, as it would need the network.

        Raises
        ------
        ImageError : if the segmentation has no flows.
        """
        from napari_biofm.images.segment.stacks import masks_of_planes

        fitting = self.calibrated(parameters, segmentation.diameter)
        masks = masks_of_planes(segmentation, lambda f, p: masks_from_flows(f, p, fitting, self.surety))
        return replace(segmentation, masks=masks)

    def segment(self, image: Image, parameters: SegmentationParameters | None = None) -> Task[Segmentation]:
        """Find all cells of `image` (Y, X) or (Y, X, C) in one pass.

        Returns
        -------
        Segmentation with masks, flows, cell_prob at image size, features, diameter and provenance. Images
        without
        contrast give no cells.

        Raises
        ------
        ImageError : if the image has no pixels, wrong axes, is larger than 64 million pixels, or the
        diameter is not
            a positive number.
        """
        chosen = parameters or SegmentationParameters()
        found, masks, flows, cell_prob = yield from self._masks(image, chosen)
        return Segmentation(
            masks, flows, cell_prob, self._feature_map(found), found.diameter, self._provenance(chosen, found)
        )

    def embed(self, image: Image) -> Task[FeatureMap]:
        """Compute the feature map of `image` (Y, X) or (Y, X, C); the same as that of `segment`."""
        found, *_ = yield from self._masks(image, SegmentationParameters())
        return self._feature_map(found)

    def prepare(self, image: Image) -> Task[Prepared]:
        """Run the encoder once, so that `predict` can answer clicks on `image`."""
        from napari_biofm.images.segment.embedded.clicks import Prepared

        found, *_ = yield from self._masks(image, SegmentationParameters(), keep_decoded=True)
        return Prepared.of(found)

    def predict(self, prepared: Prepared, prompt: Prompt) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Answer a prompt: masks (n, Y, X), best first, and the IoU expected of each.

        Raises
        ------
        ImageError : if the prompt holds neither a positive point, a box nor a mask, or does not fit the
        image.
        """
        from napari_biofm.images.segment.embedded.clicks import predict

        with self._threads(1):  # a window is too small to share: threads would wait for each other
            return predict(self.network, prepared, prompt, self.device)

    def vectors(self, features: FeatureMap, masks: Labels) -> Vectors:
        """Pool one vector per label of `masks` (in rising order of label) from a feature map of this
        model.
        """
        from napari_biofm.images.segment.embedded.vectors import pool_masks

        return pool_masks(features, masks)

    def crop_vectors(self, crops: NDArray[Any]) -> Vectors:
        """Compute one vector per single-cell crop of `crops` (N, Y, X[, C]): (N, d)."""
        from napari_biofm.images.segment.embedded.vectors import crop_vectors

        with self._threads():
            return crop_vectors(self.network, crops, self.device)

    def _masks(
        self, image: Image, chosen: SegmentationParameters, keep_decoded: bool = False
    ) -> Task[tuple[passes.Pass, Labels, NDArray[np.float32], NDArray[np.float32]]]:
        """Run a pass and follow its flows; once more if the cells turn out to be of another size than
        estimated.
        """
        diameter = chosen.diameter
        while True:
            found = yield from self._pass(image, diameter, keep_decoded, chosen.normalise)
            yield Progress(1, 1, "following flows")
            flows, cell_prob = passes.at_image_size(found)
            if not keep_decoded:
                found = found.without_flow()
            fitting = self.calibrated(chosen, found.diameter)
            masks = masks_from_flows(flows, cell_prob, fitting, self.surety)
            measured = passes.typical_diameter(masks)
            if diameter is not None or measured is None or found.diameter is None:
                return found, masks, flows, cell_prob
            if abs(np.log2(measured / found.diameter)) < SECOND_PASS:
                return found, masks, flows, cell_prob
            diameter = measured
            del found, masks, flows, cell_prob

    def _pass(
        self,
        image: Image,
        diameter: float | None,
        keep_decoded: bool = False,
        normalise: tuple[float, float] | None = None,
    ) -> Task[passes.Pass]:
        if diameter is not None and not (np.isfinite(diameter) and diameter > 0):
            raise ImageError(
                f"diameter {diameter} is not a positive number of pixels; give one, or none to estimate it"
            )
        pixels = int(np.prod(np.shape(image)[:2]))
        if pixels > LARGEST_IMAGE:
            raise ImageError(
                f"image of shape {np.shape(image)} has {pixels / 1e6:.0f} million pixels, more than "
                f"{LARGEST_IMAGE / 1e6:.0f}; segment it in parts or at a lower resolution"
            )
        planes = to_planes(image, percentiles=normalise or (LOW, HIGH))
        task = passes.run_pass(self.network, planes, diameter, self.settings, self.device, keep_decoded)
        while True:
            try:
                with self._threads():
                    progress = next(task)
            except StopIteration as stop:
                found: passes.Pass = stop.value
                return found
            yield progress

    def _feature_map(self, found: passes.Pass) -> FeatureMap:
        height, width = (-(-n // 4) for n in found.inner)
        return FeatureMap(found.vector_map[:, :height, :width], 4.0 / found.zoom[0], found.shape, self.name)

    def _provenance(self, chosen: SegmentationParameters, found: passes.Pass) -> dict[str, Any]:
        import torch

        return {
            "model": self.name,
            "version": self.config["version"],
            "weights_sha256": self.weights_sha256,
            "device": self.device,
            "parameters": {**vars(chosen), "diameter_used": found.diameter, "zoom": found.zoom[0]},
            "versions": {
                "napari-biofm": _version(),
                "torch": str(torch.__version__),
                "numpy": np.__version__,
            },
        }

    @contextmanager
    def _threads(self, most: int | None = None) -> Iterator[None]:
        import torch

        before, wanted = torch.get_num_threads(), most or self.threads
        if wanted is not None:
            torch.set_num_threads(wanted)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _version() -> str:
    try:
        return metadata.version("napari-biofm")
    except metadata.PackageNotFoundError:
        return "unknown"
