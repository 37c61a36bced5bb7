"""Seeing a segmentation before it is done: tiles as they come, and masks while thresholds move."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, QTimer

from napari_biofm.types import Labels, Segmentation
from napari_biofm.widgets.common.layers import HELPER

DEBOUNCE_MS = 120
Box = tuple[int, int, int, int]


def visible_box(viewer: Any, layer: Any) -> Box | None:
    """Return the part of a layer's plane that is on the screen, y0, x0, y1, x1; None when it is off it."""
    shape = (layer.data[0] if layer.multiscale else layer.data).shape
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

    def paint(self, piece: Any) -> None:
        """Add one `TilePiece`; the layer appears with the first."""
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


class ThresholdPreview(QObject):
    """Waits until the sliders rest, then asks for the masks of the visible region.

    Parameters
    ----------
    ask : called with the part of the segmentation to make masks of, and its box.
    """

    def __init__(self, viewer: Any, ask: Any, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._ask = ask
        self._timer = QTimer(self, singleShot=True, interval=DEBOUNCE_MS)
        self._timer.timeout.connect(self._fire)
        self.layer: Any = None
        self._labels: Any = None
        self._segmentation: Segmentation | None = None

    def watch(self, labels: Any, segmentation: Segmentation) -> None:
        """Preview on this layer from now on."""
        self.close()
        self._labels, self._segmentation = labels, segmentation

    @property
    def is_possible(self) -> bool:
        """Whether there are flows of a single plane to make masks from."""
        found = self._segmentation
        return (
            found is not None
            and found.cell_prob is not None
            and found.cell_prob.ndim == 2
            and self._labels in self._viewer.layers
        )

    def touch(self) -> None:
        """A threshold moved."""
        if self.is_possible:
            self._timer.start()

    def _fire(self) -> None:
        found = self._segmentation
        if not self.is_possible or found is None or found.flows is None or found.cell_prob is None:
            return
        box = visible_box(self._viewer, self._labels)
        if box is None:
            return
        y0, x0, y1, x1 = box
        part = replace(
            found,
            masks=np.ascontiguousarray(self._labels.data[y0:y1, x0:x1], np.int32),
            flows=np.ascontiguousarray(found.flows[:, y0:y1, x0:x1]),
            cell_prob=np.ascontiguousarray(found.cell_prob[y0:y1, x0:x1]),
            features=None,
        )
        self._ask(part, box)

    def show(self, masks: Labels, box: Box) -> None:
        """Show the outlines of new masks over the old ones."""
        if self._labels not in self._viewer.layers:
            return
        whole = np.zeros(self._labels.data.shape[-2:], np.int32)
        y0, x0, y1, x1 = box
        whole[y0:y1, x0:x1] = masks
        if self.layer is None or self.layer not in self._viewer.layers:
            self.layer = self._viewer.add_labels(
                whole,
                name=f"{self._labels.name} (preview)",
                affine=self._labels.affine.affine_matrix[-3:, -3:],
                metadata={HELPER: True},
            )
            self.layer.contour = 2
            self._viewer.layers.selection.active = self._labels
        else:
            self.layer.data = whole

    def close(self) -> None:
        """Take the preview away."""
        self._timer.stop()
        if self.layer is not None and self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        self.layer = None
