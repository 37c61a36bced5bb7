"""Cellpose-SAM, driven tile by tile.

The network and its post-processing are Cellpose's; cutting, order, batches, attention, precision and
storage are ours. One pass gives flows, cell probabilities and a feature map (the output of the encoder's
neck, 256 channels at 8 pixels); masks are made from the flows as often as one likes.

Pachitariu, Rariden and Stringer, Cellpose-SAM: superhuman generalization for cellular segmentation,
bioRxiv 2025.04.28.651001.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.io.normalization import as_channels, contrast_limits, is_blank
from napari_biofm.images.protocols import Box, StackMode, StackOptions
from napari_biofm.images.segment import cellpose_api as cellpose
from napari_biofm.images.segment import volumes
from napari_biofm.images.segment.adapter import WeightsAdapter, time_block, torch_dtype
from napari_biofm.images.segment.cellpose_api import TRAINED_DIAMETER
from napari_biofm.images.tiling.pass_store import Pass, PassStore, content_hash
from napari_biofm.images.tiling.passes import Products, TilePiece, TileRunner
from napari_biofm.images.tiling.tiles import Blender, TileGrid, fitted_grid, stock_grid
from napari_biofm.models import device as devices
from napari_biofm.models.checkpoints import Checkpoint
from napari_biofm.models.device import DevicePlan
from napari_biofm.types import (
    Capabilities,
    FeatureMap,
    Image,
    ImageError,
    Labels,
    ModelError,
    Progress,
    Segmentation,
    SegmentationParameters,
    Task,
)

Tiling = Literal["fitted", "stock"]

TILE = 256
STRIDE = 8
_STEPS = 200  # Euler steps at the trained diameter
_PASS_VERSION = 1  # part of the key of kept passes; raise it when their meaning changes
_BYTES_PER_TILE = 160_000_000  # activations of one tile in float32, measured


@dataclass(frozen=True)
class Maps:
    """What a pass leaves behind, at image resolution: flows (2, Y, X), cell_prob (Y, X)."""

    flows: NDArray[np.float32]
    cell_prob: NDArray[np.float32]
    features: FeatureMap | None
    tiles: int
    computed: int


class CellposeSAM(WeightsAdapter):
    """Segmenter and Embedder on Cellpose-SAM weights, official or fine-tuned.

    Parameters
    ----------
    weights, device : see `WeightsAdapter`, as for the options not named here.
    batch : tiles at once; by default 1 on a CPU and 8 elsewhere.
    tiling : "fitted" shrinks an image by up to 10 % where that saves tiles; "stock" cuts as Cellpose does.
    overlap : least fraction of a tile shared with its neighbour, at least 0.05.
    store : keeps finished tiles, so that a pass can go on where it stopped; None keeps nothing.
    keep_features : whether passes give a feature map.
    """

    family = "cellpose-sam"
    capabilities = Capabilities(
        segments=True,
        embeds=True,
        stacks=True,
        viewport=True,
        limits=True,
        flows=True,
        remasks=True,
        feature_map=True,
        estimates=True,
        keeps_passes=True,
    )
    library = "cellpose"
    _tile_memory = _BYTES_PER_TILE

    def __init__(
        self,
        weights: Path | str,
        device: str = "auto",
        *,
        batch: int | None = None,
        tiling: Tiling = "fitted",
        overlap: float = 0.1,
        store: PassStore | None = None,
        keep_features: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(weights, device, **options)
        self._batch = batch
        self.tiling: Tiling = tiling
        self.overlap = overlap
        self.store = store
        self.keep_features = keep_features

    def keep_passes(self) -> None:
        """Keep finished tiles on disk from now on, in the cache where no other store was given."""
        self.store = self.store or PassStore()

    # ------------------------------------------------------------------ one image

    def segment(
        self,
        image: Image,
        parameters: SegmentationParameters,
        viewport: Box | None = None,
        limits: NDArray[np.float64] | None = None,
    ) -> Task[Segmentation]:
        """Segment one image; yields every finished tile as a `TilePiece`, from the viewport outward.

        Parameters
        ----------
        image : (Y, X) or (Y, X, C), any real dtype.
        parameters : diameter and thresholds.
        viewport : part of the image to begin with, y0, x0, y1, x1.
        limits : intensities (C, 2) that become 0 and 1, for parts of a larger image; the 1st and 99th
            percentile of this image by default.
        """
        pixels = as_channels(image, self.channels)
        if is_blank(pixels):
            yield Progress(1, 1, "the image is blank: no cells")
            return self._nothing(pixels.shape[:2], parameters)
        if limits is None and parameters.normalise is not None:
            limits = contrast_limits(pixels, parameters.normalise)
        if limits is not None:
            pixels = self._between(pixels, limits)
        maps = yield from self.run(pixels, parameters, viewport, normalised=limits is not None)
        yield Progress(maps.tiles, maps.tiles, "making masks")
        masks = self.follow(maps.flows, maps.cell_prob, parameters)
        return Segmentation(
            masks,
            maps.flows,
            maps.cell_prob,
            maps.features,
            parameters.diameter,
            self._provenance(parameters, computed=maps.computed, tiles=maps.tiles),
        )

    def embed(self, image: Image) -> Task[FeatureMap]:
        """Return the feature map of one image: 256 channels, one position per 8 network pixels."""
        pixels = as_channels(image, self.channels)
        maps = yield from self.run(pixels, SegmentationParameters(), None, features=True)
        if maps.features is None:
            raise ModelError(f"{self.name} gave no features; report this with the file's origin")
        return maps.features

    def remask(
        self, segmentation: Segmentation, parameters: SegmentationParameters, region: Box | None = None
    ) -> Segmentation:
        """Make the masks again with other thresholds, from the flows that were kept.

        Parameters
        ----------
        segmentation : a result of this class.
        parameters : the new thresholds; its diameter is not used, as it would need the network.
        region : y0, x0, y1, x1 to work on, e.g. what is visible; the result has that shape.

        Raises
        ------
        ImageError
            When the segmentation has no flows.
        """
        flows, cell_prob = segmentation.flows, segmentation.cell_prob
        if flows is None or cell_prob is None:
            raise ImageError("this segmentation holds no flows; run Cellpose-SAM on the image first")
        if region is not None:
            y0, x0, y1, x1 = region
            flows, cell_prob = flows[..., y0:y1, x0:x1], cell_prob[..., y0:y1, x0:x1]
        parameters = replace(parameters, diameter=segmentation.diameter)
        if cell_prob.ndim == 2:
            masks = self.follow(flows, cell_prob, parameters)
        else:
            options = StackOptions(**segmentation.provenance.get("stack", {}))
            masks = volumes.stack_masks(self, flows, cell_prob, parameters, options)
        seen = segmentation.provenance.get("parameters", {}).get("normalise")
        told = {**asdict(parameters), "normalise": seen}
        provenance = {**segmentation.provenance, "parameters": told, "remasked": True}
        return replace(segmentation, masks=masks, flows=flows, cell_prob=cell_prob, provenance=provenance)

    def segment_stack(
        self,
        stack: NDArray[Any],
        parameters: SegmentationParameters,
        mode: StackMode = "stitch",
        anisotropy: float = 1.0,
        stitch_threshold: float = 0.25,
        limits: NDArray[np.float64] | None = None,
    ) -> Task[Segmentation]:
        """Segment a z-stack or a time series; see `volumes`, and `segment` for `limits`."""
        pixels = np.stack([as_channels(plane, self.channels) for plane in np.asarray(stack)])
        options = StackOptions(mode, anisotropy, stitch_threshold)
        if limits is None and parameters.normalise is not None:
            limits = contrast_limits(pixels, parameters.normalise)
        if limits is not None:
            pixels = self._between(pixels, limits)
        flows, cell_prob = yield from volumes.stack_maps(
            self, pixels, parameters, options, normalised=limits is not None
        )
        yield Progress(1, 1, "making masks")
        masks = volumes.stack_masks(self, flows, cell_prob, parameters, options)
        provenance = self._provenance(parameters, stack=asdict(options))
        return Segmentation(masks, flows, cell_prob, None, parameters.diameter, provenance)

    # ------------------------------------------------------------------ the pass

    def run(
        self,
        pixels: NDArray[np.float32],
        parameters: SegmentationParameters,
        viewport: Box | None = None,
        features: bool | None = None,
        normalised: bool = False,
        plane: tuple[int, int] = (0, 1),
    ) -> Task[Maps]:
        """Run the network over one plane.

        Parameters
        ----------
        pixels : (Y, X, C) float32.
        parameters : its diameter sets the scale.
        viewport : where to begin, y0, x0, y1, x1.
        features : whether to make the feature map; by default as the object was made.
        normalised : whether `pixels` are normalised already.
        plane : number of this plane and of all planes, for the progress.
        """
        network = self._load()
        features = self.keep_features if features is None else features
        shape = (pixels.shape[0], pixels.shape[1])
        grid = self._grid(shape, parameters)
        kept = self._kept(pixels, grid, normalised)
        frame = _frame(pixels if normalised else cellpose.normalise(pixels), grid)
        runner = TileRunner(self._forward, network.plan, self._to_cpu)
        out = Blender(grid, 3)
        table = Blender(grid, cellpose.feature_channels(network.net), STRIDE) if features else None
        number, planes = plane
        for done, (index, products) in enumerate(runner.run(frame, grid, grid.order(viewport), kept), 1):
            out.add(index, products["output"])
            if table is not None:
                table.add(index, products["features"])
            message = runner.notes[-1] if runner.notes else f"tile {done} of {len(grid)}"
            piece = _piece(index, products["output"][2], grid, number)
            yield Progress(number * len(grid) + done, planes * len(grid), message, piece)
        network.plan = runner.plan
        result = out.result().transpose(1, 2, 0)
        if grid.scaled != grid.shape:
            result = cellpose.resize(result, shape)
        result = np.ascontiguousarray(result.transpose(2, 0, 1))
        mapped = None
        if table is not None:
            data = table.result().astype(np.float16)
            mapped = FeatureMap(data, STRIDE / grid.scale, shape, self.name)
        return Maps(result[:2], result[2], mapped, len(grid), runner.computed)

    def _forward(self, tiles: NDArray[np.float32]) -> Products:
        """Run (n, 3, 256, 256) tiles: output (n, 3, 256, 256) and features (n, 256, 32, 32)."""
        import torch

        network = self._load()
        net = network.net
        seen: list[torch.Tensor] = []
        hook = net.encoder.neck.register_forward_hook(lambda _module, _args, output: seen.append(output))
        try:
            with torch.inference_mode():
                x = torch.from_numpy(tiles).to(network.plan.device, torch_dtype(network.plan.dtype))
                output = net(x)[0]
                return {
                    "output": output.float().cpu().numpy(),
                    "features": seen[0].to(torch.float16).cpu().numpy(),
                }
        finally:
            hook.remove()

    def _grid(self, shape: Sequence[int], parameters: SegmentationParameters) -> TileGrid:
        rescale = self.rescale(parameters)
        if self.tiling == "stock":
            return stock_grid(shape, TILE, self.overlap, rescale)
        return fitted_grid(shape, TILE, self.overlap, rescale, align=STRIDE)

    def rescale(self, parameters: SegmentationParameters) -> float:
        """Return the magnification that brings the diameter to the one the network was trained at."""
        diameter = parameters.diameter
        if diameter is None:
            return 1.0
        if not diameter > 0:
            raise ImageError(f"a cell diameter of {diameter} pixels is not possible; give a positive one")
        return TRAINED_DIAMETER / diameter

    def _kept(self, pixels: NDArray[np.float32], grid: TileGrid, normalised: bool) -> Pass | None:
        if self.store is None:
            return None
        parameters = {
            "version": _PASS_VERSION,
            "starts": grid.starts,
            "scaled": grid.scaled,
            "offset": grid.offset,
            "dtype": self.plan.dtype,
            "normalised": normalised,
        }
        key = content_hash(pixels, self.weights_sha256, parameters)
        about = {"model": self.name, "sha256": self.weights_sha256, "shape": grid.shape}
        return self.store.open(key, len(grid), about)

    # ------------------------------------------------------------------ masks

    def follow(
        self, flows: NDArray[np.float32], cell_prob: NDArray[np.float32], parameters: SegmentationParameters
    ) -> Labels:
        """Follow flows (2, Y, X) or (3, Z, Y, X) to masks, on the device the network is on."""
        name = self._network.plan.device if self._network else devices.pick_device(self._asked[0])
        steps = int(_STEPS / self.rescale(parameters))
        return cellpose.masks_of(flows, cell_prob, parameters, steps, name)

    def _between(self, pixels: NDArray[np.float32], limits: NDArray[np.float64]) -> NDArray[np.float32]:
        """Scale channels so that their limits become 0 and 1."""
        low, high = np.asarray(limits, np.float32)[list(self.channels or range(pixels.shape[-1]))].T
        return np.asarray((pixels - low) / np.maximum(high - low, 1e-6), np.float32)

    def _nothing(self, shape: Sequence[int], parameters: SegmentationParameters) -> Segmentation:
        return Segmentation(
            np.zeros(tuple(shape), np.int32),
            np.zeros((2, *shape), np.float32),
            np.full(tuple(shape), -np.inf, np.float32),
            None,
            parameters.diameter,
            self._provenance(parameters, blank=True),
        )

    def _provenance(self, parameters: SegmentationParameters, **more: Any) -> dict[str, Any]:
        return super()._provenance(parameters, tiling=self.tiling, **more)

    # ------------------------------------------------------------------ the network

    def _build(self, checkpoint: Checkpoint) -> Any:
        from napari_biofm.images.segment.attention import install

        net: Any = cellpose.build(checkpoint).requires_grad_(False)
        install(net.encoder.blocks)
        return net.eval()

    def _time_tile(self, net: Any, device: str, dtype: str) -> float:
        blocks = net.encoder.blocks
        return time_block(blocks[0], TILE // STRIDE, device, dtype, 3) * len(blocks)

    def _place(self, net: Any, plan: DevicePlan) -> None:
        net.to(plan.device)
        net.dtype = torch_dtype(plan.dtype)

    def _cost(
        self, shape: Sequence[int], parameters: SegmentationParameters, plan: DevicePlan
    ) -> tuple[int, int]:
        grid = self._grid(shape, parameters)
        maps = grid.frame[0] * grid.frame[1] * 4 * 12 + shape[0] * shape[1] * 4 * 8
        half = 1 if plan.dtype == "float32" else 2
        return len(grid), plan.batch * _BYTES_PER_TILE // half + maps


def _frame(pixels: NDArray[np.float32], grid: TileGrid) -> NDArray[np.float32]:
    """Lay a normalised image on the frame of its grid, (3, y, x); missing channels are zero."""
    if grid.scaled != grid.shape:
        pixels = cellpose.resize(pixels, grid.scaled)
    frame = np.zeros((3, *grid.frame), np.float32)
    (top, left), (height, width) = grid.offset, grid.scaled
    frame[: pixels.shape[-1], top : top + height, left : left + width] = pixels.transpose(2, 0, 1)
    return frame


def _piece(index: int, cell_prob: NDArray[np.float32], grid: TileGrid, plane: int) -> TilePiece:
    """Bring a tile's cell probabilities to image pixels."""
    box = grid.image_box(index)
    y0, x0 = grid.boxes[index][:2]
    (top, left), (height, width) = grid.offset, grid.scaled
    inside = cell_prob[max(top - y0, 0) : top + height - y0, max(left - x0, 0) : left + width - x0]
    size = box[2] - box[0], box[3] - box[1]
    inside = np.ascontiguousarray(inside) if inside.shape == size else cellpose.resize(inside, size)
    return TilePiece(index, box, inside, plane)
