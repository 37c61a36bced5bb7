"""Growing and shrinking: the basin of a prompt, or a cell of the labels, by a threshold or by pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_biofm.images.edit import Piece
from napari_biofm.images.prompt.backends import FLOW_BASINS
from napari_biofm.widgets.common.viewers import layer_id

if TYPE_CHECKING:
    from napari_biofm.widgets.annotate.annotator import Annotator

STEP = 0.5  # logits by which one key press grows or shrinks a basin


class CellSizes:
    """The threshold of the prompt, and one of its own for every cell that was changed by it.

    Parameters
    ----------
    annotator : gives layers, basins, prompt and history.
    """

    def __init__(self, annotator: Annotator) -> None:
        self._annotator = annotator
        self._levels: dict[tuple[str, int], float] = {}

    @property
    def by_threshold(self) -> bool:
        """Whether there are basins, so that sizes are thresholds and not pixels."""
        predictor = self._annotator.predictor
        return predictor.backend == FLOW_BASINS and predictor.segmentation() is not None

    @property
    def cell(self) -> int:
        """The cell that is changed: the one being refined, else the selected one; 0 for none."""
        annotator = self._annotator
        if annotator.labels is None:
            return 0
        return annotator.prompt.pending.label or int(annotator.labels.selected_label)

    @property
    def threshold(self) -> float:
        """The threshold of the prompt, or that of the selected cell where nothing is asked and it has one."""
        annotator = self._annotator
        usual = annotator.predictor.threshold
        if self._asks or not self.cell:
            return usual
        return self._levels.get((layer_id(annotator.labels), self.cell), usual)

    @property
    def _asks(self) -> bool:
        pending = self._annotator.prompt.pending
        return bool(pending.points) or pending.box is not None

    @property
    def _has_cell(self) -> bool:
        cell = self.cell
        return bool(cell) and cell in self._annotator.editor.index

    def grow(self, direction: int) -> None:
        """Grow (1) or shrink (-1): the prompt's basin by its threshold, else the selected cell."""
        annotator = self._annotator
        if self.by_threshold:
            self.set_threshold(self.threshold - direction * STEP)
            return
        editor, cell = annotator.editor, self.cell
        if not self._has_cell:
            annotator.say("Select a cell first: click it with Refine, or commit one.")
            return
        if annotator.prompt.pending.start is not None:
            annotator.say("Commit or clear the mask first; then the cell can be grown and shrunk.")
            return
        annotator.do(editor.grow(annotator.view, cell, direction))

    def set_threshold(self, threshold: float) -> None:
        """Grow or shrink what is asked for, or else the selected cell, to this threshold."""
        if self._asks or not self._has_cell:
            self.ask_at(threshold)
        else:
            self.threshold_cell(self.cell, threshold)

    def ask_at(self, threshold: float) -> None:
        """Set the logit above which a basin's pixels belong to the prompt's cell, and show it anew."""
        annotator = self._annotator
        annotator.predictor.threshold = float(threshold)
        if self._asks:
            annotator.prompt.ask()
        annotator.changed.emit()

    def show_at(self, threshold: float) -> None:
        """Show what `set_threshold` would do, while a slider moves; nothing is written."""
        annotator = self._annotator
        if self._asks or not self._has_cell:
            self.ask_at(threshold)
            return
        piece = self._above(self.cell, threshold)
        if piece is not None:
            annotator.preview.show(annotator.labels, annotator.view, piece)
            annotator.say(f"Cell {self.cell} above {threshold:+.1f}: {piece.area} px")

    def threshold_cell(self, label: int, threshold: float) -> None:
        """Give a cell of the labels the shape of its basin above a threshold of its own."""
        annotator = self._annotator
        wanted = self._above(label, threshold)
        annotator.preview.show(annotator.labels, annotator.view, None)
        if wanted is None:
            return
        self._levels[(layer_id(annotator.labels), label)] = threshold
        editor = annotator.editor
        annotator.do(
            editor.reshape(annotator.view, label, wanted, "threshold cell", {"threshold": threshold})
        )

    def _above(self, label: int, threshold: float) -> Piece | None:
        """Return a cell's basin above a threshold, in pixels of the labels; None where there is none."""
        from napari_biofm.images.prompt.flow_basins import basin_at, region

        annotator = self._annotator
        view = annotator.view
        piece = annotator.editor.piece(view, label)
        if not piece:
            annotator.say(f"Cell {label} is not in this plane.")
            return None
        way, image_view = annotator.plane_map(view)
        table = annotator.predictor.basins(annotator.image, image_view)
        inside = np.argwhere(piece.mask) + np.array(piece.origin)
        points = np.clip(way.to_image(inside.astype(float)), 0, np.array(table.shape) - 1)
        at = np.rint(points).astype(int)
        under = np.bincount(table.basins[at[:, 0], at[:, 1]])
        under[0] = 0
        basin = int(under.argmax()) if under.any() else basin_at(table, points[len(points) // 2])
        return way.piece_to_labels(region(table, basin, threshold))
