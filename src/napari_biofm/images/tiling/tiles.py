"""Cutting an image into the network's own tiles, and putting the pieces together again.

A network sees squares of one size. `fitted_grid` shrinks an image by a few per cent where that saves
whole rows of tiles; `stock_grid` repeats Cellpose's own cutting, for comparison. Both lay the image on
a frame of the network's pixels; `Blender` brings tiles back to the image with tapered seams.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.images.protocols import Box
from napari_biofm.types import ImageError

MIN_OVERLAP = 0.05
_TAPER_INSET = 20.0  # pixels from the border at which a tile counts half
_TAPER_WIDTH = 7.5


@dataclass(frozen=True)
class TileGrid:
    """How an image lies on the network's tiles.

    Attributes
    ----------
    shape : (Y, X) of the image.
    scaled : (y, x) the image is resized to.
    offset : (y, x) where the resized image begins in the frame; zeros surround it.
    frame : (y, x) of the frame the tiles cover.
    tile : side of a tile in frame pixels.
    starts : first row of every row of tiles, first column of every column.
    """

    shape: tuple[int, int]
    scaled: tuple[int, int]
    offset: tuple[int, int]
    frame: tuple[int, int]
    tile: int
    starts: tuple[tuple[int, ...], tuple[int, ...]]

    def __len__(self) -> int:
        return len(self.starts[0]) * len(self.starts[1])

    @property
    def boxes(self) -> list[Box]:
        """Tiles in frame pixels, row by row."""
        t = self.tile
        return [(y, x, y + t, x + t) for y in self.starts[0] for x in self.starts[1]]

    @property
    def scale(self) -> float:
        """Frame pixels per image pixel."""
        return math.sqrt(self.scaled[0] * self.scaled[1] / (self.shape[0] * self.shape[1]))

    def image_box(self, index: int) -> Box:
        """Return the part of the image that tile `index` shows, in image pixels."""
        y0, x0, y1, x1 = self.boxes[index]
        found = []
        for low, high, axis in ((y0, y1, 0), (x0, x1, 1)):
            factor = self.shape[axis] / self.scaled[axis]
            limits = [(edge - self.offset[axis]) * factor for edge in (low, high)]
            found.append((max(0, math.floor(limits[0])), min(self.shape[axis], math.ceil(limits[1]))))
        return found[0][0], found[1][0], found[0][1], found[1][1]

    def order(self, viewport: Box | None = None) -> list[int]:
        """Return tile indices from the middle of the viewport (image pixels) outward."""
        y0, x0, y1, x1 = viewport if viewport is not None else (0, 0, *self.shape)
        centre = ((y0 + y1) / 2, (x0 + x1) / 2)

        def distance(index: int) -> float:
            top, left, bottom, right = self.image_box(index)
            return math.hypot((top + bottom) / 2 - centre[0], (left + right) / 2 - centre[1])

        return sorted(range(len(self)), key=lambda index: (round(distance(index), 3), index))


def fitted_grid(
    shape: Sequence[int],
    tile: int = 256,
    overlap: float = 0.1,
    rescale: float = 1.0,
    shrink: float = 0.1,
    align: int = 8,
) -> TileGrid:
    """Return the grid with the fewest tiles that shrinks the image by no more than `shrink`.

    Parameters
    ----------
    shape : (Y, X) of the image.
    tile : side of a tile.
    overlap : least fraction of a tile shared with its neighbour, at least 0.05.
    rescale : magnification wanted before any fitting, e.g. 30 / diameter.
    shrink : largest further reduction allowed to save tiles; 0 fits nothing.
    align : tiles start at multiples of this, so that features of neighbours coincide.
    """
    wanted = _scaled(shape, rescale)
    overlap = min(0.5, max(MIN_OVERLAP, overlap))
    scales = {1.0}
    for side in wanted:
        most = _tiles_needed(side, tile, overlap)
        for count in range(1, most + 1):
            scale = _span(count, tile, overlap) / side
            if 1.0 - shrink <= scale < 1.0:
                scales.add(scale)

    def cost(scale: float) -> tuple[int, float]:
        tiles = [_tiles_needed(int(side * scale + 1e-6), tile, overlap) for side in wanted]
        return tiles[0] * tiles[1], -scale

    best = min(scales, key=cost)
    scaled = (max(1, int(wanted[0] * best + 1e-6)), max(1, int(wanted[1] * best + 1e-6)))
    offset, frame, starts = [], [], []
    for side in scaled:
        count = _tiles_needed(side, tile, overlap)
        length = tile if count == 1 else align * math.ceil(side / align)
        offset.append(align * ((length - side) // 2 // align))
        frame.append(length)
        starts.append(tuple(align * round(s / align) for s in np.linspace(0, length - tile, count)))
    return TileGrid(
        (shape[0], shape[1]),
        scaled,
        (offset[0], offset[1]),
        (frame[0], frame[1]),
        tile,
        (starts[0], starts[1]),
    )


def stock_grid(shape: Sequence[int], tile: int = 256, overlap: float = 0.1, rescale: float = 1.0) -> TileGrid:
    """Return the grid that Cellpose 4 itself lays: padded on all sides, with generous overlaps."""
    scaled = _scaled(shape, rescale)
    offset, frame, starts = [], [], []
    for side in scaled:
        padding = 16 * math.ceil(side / 16) - side if side >= tile else max(0, tile - side - 16)
        length = side + padding + 16
        count = 1 if length <= tile else math.ceil((1 + 2 * overlap) * length / tile)
        offset.append(8 + padding // 2)
        frame.append(length)
        starts.append(tuple(int(s) for s in np.linspace(0, length - tile, count)))
    return TileGrid(
        (shape[0], shape[1]),
        scaled,
        (offset[0], offset[1]),
        (frame[0], frame[1]),
        tile,
        (starts[0], starts[1]),
    )


def _scaled(shape: Sequence[int], rescale: float) -> tuple[int, int]:
    if len(shape) < 2 or min(shape[:2]) < 1:
        raise ImageError(f"an image of shape {tuple(shape)} has no pixels; choose another layer")
    return max(1, int(shape[0] * rescale)), max(1, int(shape[1] * rescale))


def _span(count: int, tile: int, overlap: float) -> float:
    """Return the longest side that `count` tiles cover with that overlap."""
    return tile * (count - (count - 1) * overlap)


def _tiles_needed(side: float, tile: int, overlap: float) -> int:
    return max(1, math.ceil((side / tile - overlap) / (1 - overlap) - 1e-9))


def taper(tile: int, scale: int = 1) -> NDArray[np.float32]:
    """Return the weight of a tile's pixels in overlaps, (tile/scale, tile/scale).

    A logistic edge that counts half 20 pixels inside the border, as Cellpose has it.
    """
    centre = (tile - 1) / 2
    distance = np.abs(np.arange(tile) - centre)
    edge = 1 / (1 + np.exp((distance - (tile / 2 - _TAPER_INSET)) / _TAPER_WIDTH))
    if scale > 1:
        edge = edge.reshape(-1, scale).mean(1)
    return np.asarray(np.outer(edge, edge), np.float32)


class Blender:
    """Sums tapered tiles on a canvas.

    Parameters
    ----------
    grid : the tiles.
    channels : channels of what is put in.
    stride : frame pixels per position of what is put in: 1 for flows, 8 for a feature map.
    """

    def __init__(self, grid: TileGrid, channels: int, stride: int = 1) -> None:
        self.grid = grid
        self.stride = stride
        height, width = (math.ceil(side / stride) for side in grid.frame)
        self._sum = np.zeros((channels, height, width), np.float32)
        self._weight = np.zeros((height, width), np.float32)
        self._taper = taper(grid.tile, stride)

    def add(self, index: int, piece: NDArray[np.floating[Any]]) -> None:
        """Put the output of tile `index`, (channels, tile/stride, tile/stride), in its place."""
        y0, x0, _, _ = self.grid.boxes[index]
        y, x = round(y0 / self.stride), round(x0 / self.stride)
        height, width = piece.shape[-2:]
        self._sum[:, y : y + height, x : x + width] += piece * self._taper
        self._weight[y : y + height, x : x + width] += self._taper

    def result(self) -> NDArray[np.float32]:
        """Return the blend on the resized image's extent, (channels, y, x)."""
        top, left = (o // self.stride for o in self.grid.offset)
        height, width = (math.ceil(side / self.stride) for side in self.grid.scaled)
        inside = (slice(top, top + height), slice(left, left + width))
        weight = np.maximum(self._weight[inside], np.finfo(np.float32).tiny)
        return np.asarray(self._sum[(slice(None), *inside)] / weight)
