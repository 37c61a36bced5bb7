"""The classes on the image: a Labels layer whose pixels are looked up from the cells' classes.

Giving the cells' own layer a `DirectLabelColormap` with an entry per cell costs 65 ms at 4,900 cells and
grows with their number (and compiles with numba at first use). The overlay holds codes of one byte instead,
computes only the plane that is shown, and its colormap is a table of 256 colours, one per code. A movie's
planes are coloured as napari slices them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_biofm.canvas.napari_compat import selection_kept, without_painting
from napari_biofm.controllers.cells.coded_labels import CodedLabels
from napari_biofm.controllers.common.layers import OVERLAY_OF, full_data, placing_of
from napari_biofm.teaching.predictions import SELECTED_CODE, UNKNOWN_CODE

SUFFIX = " · classes"
# Opacity of the classes over an image and over the cells' own colours, which must not mix with them.
OVER_IMAGE, OVER_COLOURS = 0.6, 0.85
FAINT = 0.3  # opacity of the cells below which their colours hardly show
DENSE = 1 << 22  # ids up to which a table with an entry per id is worth its memory


class Overlay:
    """Keeps the class layer of one Labels layer in step."""

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self.layer: Any = None
        self.coded: CodedLabels | None = None
        self._of: Any = None
        self._table: NDArray[np.float32] | None = None

    def show(self, labels_layer: Any, values: NDArray[np.int64]) -> None:
        """Lay a class layer over a Labels layer, in its place and scale; `values` are the ids of its cells."""
        n_max = int(values.max(initial=0))
        ids = values if n_max > DENSE else None
        if self._of is labels_layer and self.is_shown and self.coded is not None:
            if not self._fits(n_max, ids) or self.coded.labels is not full_data(labels_layer):
                self.coded = CodedLabels(full_data(labels_layer), n_max, ids)
                self.layer.data = self.coded
            return
        self.hide()
        for left in [x for x in self.viewer.layers if SUFFIX in x.name]:  # by a dock that was closed
            if left.metadata.get(OVERLAY_OF) == str(labels_layer.unique_id):
                self.viewer.layers.remove(left)
        self._of, self.coded = labels_layer, CodedLabels(full_data(labels_layer), n_max, ids)
        from napari.layers import Labels

        layer = Labels(
            self.coded,
            name=f"{labels_layer.name}{SUFFIX}",
            opacity=OVER_IMAGE if labels_layer.opacity < FAINT else OVER_COLOURS,
            blending="translucent",
            metadata={OVERLAY_OF: str(labels_layer.unique_id)},
            **placing_of(labels_layer),
        )
        layer.editable = False
        without_painting(layer)  # which this layer is not for: half its price
        with selection_kept(self.viewer.layers):
            self.layer = self.viewer.add_layer(layer)

    def _fits(self, n_max: int, ids: NDArray[np.int64] | None) -> bool:
        if self.coded is None:
            return False
        known = self.coded.ids
        if known is None or ids is None:
            return known is None and ids is None and len(self.coded.lut) > n_max
        return np.array_equal(ids, known)

    @property
    def is_shown(self) -> bool:
        return self.layer is not None and self.layer in self.viewer.layers

    def hide(self) -> None:
        """Take the class layer away."""
        if self.is_shown:
            self.viewer.layers.remove(self.layer)
        self.layer = self.coded = self._of = self._table = None

    def set_colours(self, colours: list[str]) -> None:
        """Colour the classes, in the order of their codes."""
        from napari.utils.colormaps import CyclicLabelColormap

        if not self.is_shown:
            return
        table = np.zeros((256, 4), np.float32)
        table[:, 3] = 1.0
        table[0] = 0.0
        for code, colour in [*enumerate(colours, 1), (UNKNOWN_CODE, "#6b6b6b"), (SELECTED_CODE, "#ffffff")]:
            table[code, :3] = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        if self._table is None or not np.array_equal(table, self._table):
            self._table = table
            self.layer.colormap = CyclicLabelColormap(colors=table, background_value=0)

    def paint(self, values: NDArray[np.int64], codes: NDArray[np.uint8], selected: NDArray[np.int64]) -> None:
        """Show the code of each cell, the selected ones in white, and draw the plane again."""
        if not self.is_shown or self.coded is None:
            return
        shown = codes
        if len(selected):
            shown = codes.copy()
            shown[selected] = SELECTED_CODE
        # a mask that was edited may have brought larger labels; the last entry is for labels of no cell
        if int(values.max(initial=0)) > DENSE:
            self.coded.ids = values
            lut = np.concatenate([np.zeros(1, np.uint8), shown.astype(np.uint8)])
        else:
            former = len(self.coded.lut) if self.coded.ids is None else 0
            self.coded.ids = None
            lut = np.zeros(max(former, int(values.max(initial=0)) + 2), np.uint8)
            lut[values] = shown
            lut[0] = 0
        if self.coded.luts is None and np.array_equal(lut, self.coded.lut):
            return
        self.coded.luts, self.coded.lut = None, lut
        self.layer.refresh(extent=False, thumbnail=False, highlight=False)

    def paint_frames(self, luts: list[NDArray[np.uint8]], ids: NDArray[np.int64] | None) -> None:
        """Show classes that differ from frame to frame; `ids` as in `CodedLabels`."""
        if self.is_shown and self.coded is not None:
            self.coded.luts, self.coded.ids = luts, ids
            self.layer.refresh(extent=False, thumbnail=False, highlight=False)
