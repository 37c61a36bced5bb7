"""Segment Anything and the models that share its architecture.

Clicks, boxes and masks in, masks out (`Promptable`); features for any image (`Embedder`); all objects of
an image at once (`Segmenter`). The network is built from the checkpoint's own shapes, so ViT-B, L, H and
the micro-sam checkpoints load alike; its attention is replaced by a faster one with the same numbers.

Kirillov et al., Segment Anything, ICCV 2023. Archit et al., Segment Anything for Microscopy, Nature
Methods 2025 (micro-sam).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.io.normalization import as_rgb8, is_blank
from napari_biofm.images.prompt import sam_api
from napari_biofm.images.prompt.sam_automatic import Candidate, merge, point_grid, select
from napari_biofm.images.prompt.upsampling import upsampled_masks
from napari_biofm.images.protocols import Box
from napari_biofm.images.segment.adapter import WeightsAdapter, time_block, torch_dtype
from napari_biofm.images.tiling.tiles import Blender, TileGrid
from napari_biofm.models import device as devices
from napari_biofm.models.checkpoints import Checkpoint
from napari_biofm.models.device import DevicePlan
from napari_biofm.types import (
    Capabilities,
    FeatureMap,
    Image,
    ImageError,
    Progress,
    Prompt,
    Segmentation,
    SegmentationParameters,
    Task,
)

SIDE = 1024  # pixels of the network's input
STRIDE = 16
_TILED_ABOVE = 1536  # images with a longer side are cut, or their cells would get too small
_TILE_OVERLAP = 0.25
_POINTS_AT_ONCE = 64
_MASK_LOGIT = 8.0  # how sure a mask given as a prompt is meant to be
_BYTES_PER_TILE = 1_500_000_000  # activations of one image in float32, measured with ViT-B


@dataclass(frozen=True)
class PreparedTile:
    """Features of one part of an image.

    Attributes
    ----------
    box : y0, x0, y1, x1 of the part, image pixels.
    features : (C, 64, 64) float32.
    input_size : (y, x) of the part when its longest side is brought to 1024.
    """

    box: Box
    features: NDArray[np.float32]
    input_size: tuple[int, int]


@dataclass(frozen=True)
class Prepared:
    """An image that clicks can be asked about; plain arrays, so it travels between processes.

    Attributes
    ----------
    shape : (Y, X) of the image.
    tiles : its parts; one for images up to 1536 pixels.
    model : name of the encoder that made it.
    """

    shape: tuple[int, int]
    tiles: tuple[PreparedTile, ...]
    model: str


class SAM(WeightsAdapter):
    """Promptable, Embedder and Segmenter on weights of segment-anything or micro-sam.

    Parameters are those of `WeightsAdapter`; the precision is the encoder's, the decoder runs in float32.
    """

    family = "sam"
    capabilities = Capabilities(
        segments=True, embeds=True, clicks=True, viewport=True, feature_map=True, estimates=True
    )
    library = "segment-anything"
    _tile_memory = _BYTES_PER_TILE
    _batch = 1

    # ------------------------------------------------------------------ Promptable

    def prepare(self, image: Image, viewport: Box | None = None) -> Task[Prepared]:
        """Run the encoder once, so that every click is quick afterwards.

        Parameters
        ----------
        image : (Y, X) or (Y, X, C); other dtypes than uint8 are stretched to 8 bits.
        viewport : part of the image to begin with.
        """
        return (yield from self._prepare(as_rgb8(image, self.channels), viewport))

    def _prepare(self, pixels: NDArray[np.uint8], viewport: Box | None) -> Task[Prepared]:
        grid = _grid(pixels.shape)
        tiles: dict[int, PreparedTile] = {}
        for done, index in enumerate(grid.order(viewport), 1):
            y0, x0, y1, x1 = grid.image_box(index)
            features, input_size = self._encode(pixels[y0:y1, x0:x1])
            tiles[index] = PreparedTile((y0, x0, y1, x1), features, input_size)
            yield Progress(done, len(grid), f"tile {done} of {len(grid)}")
        return Prepared(grid.shape, tuple(tiles[index] for index in sorted(tiles)), self.name)

    def predict(self, prepared: Prepared, prompt: Prompt) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Return masks (n, Y, X) and their predicted IoU (n,), best first.

        A single point is ambiguous: the three alternatives are sorted by their score. With more points or
        a box the network's answer for clear prompts comes first, the alternatives after it.
        """
        tile = _tile_for(prepared, prompt)
        y0, x0, y1, x1 = tile.box
        height, width = y1 - y0, x1 - x0
        points = np.asarray(prompt.points, np.float64).reshape(-1, 2) - (y0, x0)
        box = None
        if prompt.box is not None:
            box = np.clip(np.asarray(prompt.box) - (y0, x0, y0, x0), 0, (height, width, height, width))
        mask = None if prompt.mask is None else prompt.mask[y0:y1, x0:x1]
        if not len(points) and box is None and mask is None:
            raise ImageError("an empty prompt was given; click on the object or draw a box around it")
        logits, scores = self._decode(tile, points[None], np.asarray(prompt.positive, bool)[None], box, mask)
        order = 1 + np.argsort(-scores[0, 1:], kind="stable")
        if len(points) != 1 or box is not None or mask is not None:
            order = np.concatenate([[0], order])
        whole = self._masks(logits[0, order], tile)
        if whole.shape[1:] == tuple(prepared.shape):
            return whole, scores[0, order]
        masks = np.zeros((len(whole), *prepared.shape), bool)
        masks[:, y0:y1, x0:x1] = whole
        return masks, scores[0, order]

    # ------------------------------------------------------------------ Embedder

    def embed(self, image: Image) -> Task[FeatureMap]:
        """Return the encoder's features, 256 channels, one position per 16 network pixels."""
        prepared = yield from self.prepare(image)
        return feature_map(prepared)

    # ------------------------------------------------------------------ Segmenter

    def segment(
        self, image: Image, parameters: SegmentationParameters, viewport: Box | None = None
    ) -> Task[Segmentation]:
        """Find all objects by asking about a grid of points; overlaps go to the better mask.

        Parameters
        ----------
        image : (Y, X) or (Y, X, C).
        parameters : `diameter` sets the distance of the points (two per diameter), `min_size` the
            smallest object; the thresholds on flows have no meaning here.
        """
        if is_blank(image):
            yield Progress(1, 1, "the image is blank: no cells")
            return Segmentation(
                np.zeros(np.shape(image)[:2], np.int32), provenance=self._provenance(parameters)
            )
        pixels = as_rgb8(image, self.channels, parameters.normalise)
        prepared = yield from self._prepare(pixels, viewport)
        found: list[Candidate] = []
        batches = [
            (tile, part)
            for tile in prepared.tiles
            for part in _batches(point_grid(tile.box, parameters.diameter), _POINTS_AT_ONCE)
        ]
        for done, (tile, points) in enumerate(batches, 1):
            y0, x0, _, _ = tile.box
            inside = np.ones((len(points), 1), bool)
            logits, scores = self._decode(tile, (points - (y0, x0))[:, None], inside, None, None)
            for low, score in select(logits[:, 1:], scores[:, 1:]):
                mask = self._masks(low[None], tile)[0]
                candidate = Candidate.cut(mask, score, (y0, x0))
                if candidate is not None and candidate.area >= parameters.min_size:
                    found.append(candidate)
            yield Progress(done, len(batches), f"asking about points, {done} of {len(batches)}")
        masks = merge(found, prepared.shape, parameters.min_size)
        return Segmentation(
            masks,
            features=feature_map(prepared),
            diameter=parameters.diameter,
            provenance=self._provenance(parameters),
        )

    # ------------------------------------------------------------------ the network

    def _build(self, checkpoint: Checkpoint) -> Any:
        from napari_biofm.images.prompt.sam_decoder import quicken
        from napari_biofm.images.segment.attention import install

        net: Any = sam_api.build(checkpoint).requires_grad_(False)
        install(net.image_encoder.blocks)
        quicken(net.mask_decoder, net.prompt_encoder)
        return net.eval()

    def _time_tile(self, net: Any, device: str, dtype: str) -> float:
        """Time a block with windows; one without takes about three times as long."""
        encoder = net.image_encoder
        windowed = next((b for b in encoder.blocks if b.window_size > 0), encoder.blocks[0])
        whole = sum(b.window_size == 0 for b in encoder.blocks)
        seconds = time_block(windowed, encoder.pos_embed.shape[1], device, dtype, 1)
        return seconds * (len(encoder.blocks) + 2 * whole)

    def _place(self, net: Any, plan: DevicePlan) -> None:
        net.to(plan.device, torch_dtype("float32"))
        net.image_encoder.to(torch_dtype(plan.dtype))

    def _cost(
        self, shape: Sequence[int], parameters: SegmentationParameters, plan: DevicePlan
    ) -> tuple[int, int]:
        return len(_grid(shape)), _BYTES_PER_TILE // (1 if plan.dtype == "float32" else 2)

    def _encode(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], tuple[int, int]]:
        """Return features (C, 64, 64) and the size the pixels were brought to."""
        import torch

        network = self._load()
        sam, plan = network.net, network.plan
        resized = sam_api.resize_longest(pixels, sam.image_encoder.img_size)
        seconds = devices.Stopwatch()
        try:
            with torch.inference_mode():
                x = torch.as_tensor(resized, device=plan.device).permute(2, 0, 1)[None]
                x = sam.preprocess(x).to(torch_dtype(plan.dtype))
                features = sam.image_encoder(x).float().cpu().numpy()[0]
        except (RuntimeError, MemoryError) as error:
            if not devices.is_out_of_memory(error) or plan.device == "cpu":
                raise
            features = None
        if features is None:  # without memory on the device: once more on the CPU
            self._to_cpu()
            return self._encode(pixels)
        network.plan = replace(plan, seconds_per_tile=seconds.read())
        return features, (resized.shape[0], resized.shape[1])

    def _decode(
        self,
        tile: PreparedTile,
        points: NDArray[np.float64],
        positive: NDArray[np.bool_],
        box: NDArray[np.float64] | None,
        mask: NDArray[np.bool_] | None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Ask about n prompts: logits (n, 4, 256, 256) and scores (n, 4); the first is the single mask.

        Parameters
        ----------
        points : (n, k, 2) y, x in pixels of the tile.
        positive : (n, k).
        box, mask : for n = 1, in pixels of the tile.
        """
        import torch

        sam, device = self._load().net, self._load().plan.device
        scale = self._scale(tile)
        corners = None
        asked = None
        with torch.inference_mode():
            if points.shape[1]:
                where = torch.as_tensor(points[..., ::-1] * scale[::-1], dtype=torch.float32, device=device)
                asked = (where, torch.as_tensor(positive, dtype=torch.int, device=device))
            if box is not None:
                flat = np.asarray(box, np.float64).reshape(1, 2, 2)[..., ::-1] * scale[::-1]
                corners = torch.as_tensor(flat.reshape(1, 4), dtype=torch.float32, device=device)
            hint = None if mask is None else torch.as_tensor(self._hint(mask, tile), device=device)
            sparse, dense = sam.prompt_encoder(points=asked, boxes=corners, masks=hint)
            logits, scores = sam.mask_decoder.predict_masks(
                image_embeddings=torch.as_tensor(tile.features, device=device)[None],
                image_pe=sam.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
            )
            return logits.float().cpu().numpy(), scores.float().cpu().numpy()

    def _scale(self, tile: PreparedTile) -> NDArray[np.float64]:
        y0, x0, y1, x1 = tile.box
        return np.asarray(tile.input_size) / (y1 - y0, x1 - x0)

    def _hint(self, mask: NDArray[np.bool_], tile: PreparedTile) -> NDArray[np.float32]:
        """Bring a mask to the prompt encoder's logits, (1, 1, 256, 256)."""
        import torch
        from torch.nn.functional import interpolate, pad

        sam = self._load().net
        side, low = sam.image_encoder.img_size, sam.prompt_encoder.mask_input_size
        values = torch.as_tensor(np.where(mask, _MASK_LOGIT, -_MASK_LOGIT), dtype=torch.float32)[None, None]
        values = interpolate(values, tile.input_size, mode="bilinear", align_corners=False)
        height, width = tile.input_size
        values = pad(values, (0, side - width, 0, side - height), value=-_MASK_LOGIT)
        hint: NDArray[np.float32] = interpolate(values, low, mode="bilinear", align_corners=False).numpy()
        return hint

    def _masks(self, logits: NDArray[np.float32], tile: PreparedTile) -> NDArray[np.bool_]:
        """Bring logits (n, 256, 256) to masks in the pixels of the tile."""
        y0, x0, y1, x1 = tile.box
        side = self._load().net.image_encoder.img_size
        return upsampled_masks(logits, side, tile.input_size, (y1 - y0, x1 - x0))


def feature_map(prepared: Prepared) -> FeatureMap:
    """Return the features of a prepared image as one map, tapered where tiles overlap."""
    tiles = prepared.tiles
    if len(tiles) == 1:
        tile = tiles[0]
        height, width = (math.ceil(n / STRIDE) for n in tile.input_size)
        stride = STRIDE * max(prepared.shape) / max(tile.input_size)
        data = tile.features[:, :height, :width]
        return FeatureMap(data.astype(np.float16), stride, prepared.shape, prepared.model)
    grid = _grid(prepared.shape)
    table = Blender(grid, tiles[0].features.shape[0], STRIDE)
    for index, tile in enumerate(tiles):
        table.add(index, tile.features)
    return FeatureMap(table.result().astype(np.float16), float(STRIDE), prepared.shape, prepared.model)


def _grid(shape: Sequence[int]) -> TileGrid:
    """Return one tile for small images, and tiles of 1024 pixels at full size for large ones."""
    size = (shape[0], shape[1])
    if max(size) <= _TILED_ABOVE:
        side = max(size)
        return TileGrid(size, size, (0, 0), (side, side), side, ((0,), (0,)))
    starts = []
    for length in size:
        count = max(1, math.ceil((length / SIDE - _TILE_OVERLAP) / (1 - _TILE_OVERLAP)))
        starts.append(tuple(int(s) for s in np.linspace(0, max(0, length - SIDE), count)))
    frame = (max(SIDE, size[0]), max(SIDE, size[1]))
    return TileGrid(size, size, (0, 0), frame, SIDE, (starts[0], starts[1]))


def _tile_for(prepared: Prepared, prompt: Prompt) -> PreparedTile:
    """Return the tile in which the prompt lies deepest."""
    if prompt.box is not None:
        y0, x0, y1, x1 = prompt.box
        centre = ((y0 + y1) / 2, (x0 + x1) / 2)
    elif len(prompt.points):
        chosen = prompt.points[prompt.positive] if prompt.positive.any() else prompt.points
        centre = tuple(np.asarray(chosen).mean(0))
    elif prompt.mask is not None and prompt.mask.any():
        centre = tuple(np.argwhere(prompt.mask).mean(0))
    else:
        return prepared.tiles[0]

    def distance(tile: PreparedTile) -> float:
        y0, x0, y1, x1 = tile.box
        return max(abs(centre[0] - (y0 + y1) / 2), abs(centre[1] - (x0 + x1) / 2))

    return min(prepared.tiles, key=distance)


def _batches(points: NDArray[np.float64], size: int) -> list[NDArray[np.float64]]:
    return [points[start : start + size] for start in range(0, len(points), size)]
