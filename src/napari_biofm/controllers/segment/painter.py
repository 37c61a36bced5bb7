"""Which part of a layer is on the screen, and finished tiles shown over an image as they come."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_biofm.controllers.common.layers import HELPER, full_data
from napari_biofm.images.tiling.passes import TilePiece

Box = tuple[int, int, int, int]  # y0, x0, y1, x1


def visible_box(viewer: Any, layer: Any) -> Box | None:
    """Return the part of a layer's plane that is on the screen, y0, x0, y1, x1; None when it is off it."""
    shape = full_data(layer).shape
    height, width = shape[-3:-1] if getattr(layer, "rgb", False) else shape[-2:]
    if set(viewer.dims.displayed[-2:]) != {viewer.dims.ndim - 2, viewer.dims.ndim - 1}:
        return 0, 0, int(height), int(width)
    corners = np.asarray(layer.corner_pixels)[:, -2:]
    if layer.multiscale:
        corners = corners * np.asarray(layer.downsample_factors)[layer.data_level][-2:]
    y0, x0 = (max(0, int(c)) for c in corners[0])
    y1, x1 = (min(n, int(c) + 1) for c, n in zip(corners[1], (height, width), strict=True))
    return (y0, x0, y1, x1) if y1 > y0 and x1 > x0 else None


class TilePainter:
    """Paints finished tiles over the image, as how sure the network is that a pixel is a cell."""

    def __init__(self, viewer: Any, image: Any, shape: tuple[int, int], placing: dict[str, Any]) -> None:
        self._viewer = viewer
        self._name = f"{image.name}: cells so far"
        self._canvas = np.zeros(shape, np.uint8)
        self._placing = placing
        self._plane = -1
        self.layer: Any = None

    def paint(self, piece: TilePiece) -> None:
        """Add a finished tile; the layer appears with the first."""
        if piece.plane != self._plane:
            self._plane = piece.plane
            self._canvas[:] = 0
        y0, x0, y1, x1 = piece.box
        logits = np.clip(piece.cell_prob, -20, 20)
        sure = (255 / (1 + np.exp(-logits))).astype(np.uint8)
        if sure.shape != (y1 - y0, x1 - x0) or y1 > self._canvas.shape[0] or x1 > self._canvas.shape[1]:
            return  # planes of another orientation of a volume
        np.maximum(self._canvas[y0:y1, x0:x1], sure, out=self._canvas[y0:y1, x0:x1])
        if self.layer is None:
            active = self._viewer.layers.selection.active
            self.layer = self._viewer.add_image(
                self._canvas,
                name=self._name,
                colormap="green",
                blending="additive",
                opacity=0.6,
                contrast_limits=(0, 255),
                metadata={HELPER: True},
                **self._placing,
            )
            self._viewer.layers.selection.active = active
        else:
            self.layer.refresh(extent=False, thumbnail=False, highlight=False)

    def close(self) -> None:
        """Take the layer away."""
        if self.layer is not None and self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        self.layer = None
