"""Masks with other thresholds, shown while the sliders move."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from qtpy.QtCore import QObject

from napari_biofm.controllers.common.layers import HELPER
from napari_biofm.controllers.segment.painter import Box, visible_box
from napari_biofm.types import Labels, Segmentation
from napari_biofm.widgets.common.qt_parts import timer

DEBOUNCE_MS = 120


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
        self._timer = timer(self, DEBOUNCE_MS, self._fire)
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
