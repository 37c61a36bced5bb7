"""Growing and shrinking: the basin of a prompt, or a cell of the labels, by a threshold or by pixels."""

from __future__ import annotations

import numpy as np

from napari_biofm.controllers.annotate.context import AnnotationContext
from napari_biofm.controllers.annotate.prompt_controller import PromptController
from napari_biofm.controllers.common.layers import layer_id
from napari_biofm.images.edit import Piece
from napari_biofm.images.prompt.backends import FLOW_BASINS

STEP = 0.5  # logits by which one key press grows or shrinks a basin


class CellSizes:
    """The threshold of the prompt, and one of its own for every cell that was changed by it.

    Parameters
    ----------
    context : gives layers, basins and history.
    prompt : what is asked for now.
    """

    def __init__(self, context: AnnotationContext, prompt: PromptController) -> None:
        self._context = context
        self._prompt = prompt
        self._levels: dict[tuple[str, int], float] = {}

    @property
    def by_threshold(self) -> bool:
        """Whether there are basins, so that sizes are thresholds and not pixels."""
        predictor = self._context.predictor
        return predictor.backend == FLOW_BASINS and predictor.segmentation() is not None

    @property
    def cell(self) -> int:
        """The cell that is changed: the one being refined, else the selected one; 0 for none."""
        context = self._context
        if context.labels is None:
            return 0
        return self._prompt.pending.label or int(context.labels.selected_label)

    @property
    def threshold(self) -> float:
        """The threshold of the prompt, or that of the selected cell where nothing is asked and it has one."""
        context = self._context
        usual = context.predictor.threshold
        if self._asks or not self.cell:
            return usual
        return self._levels.get((layer_id(context.labels), self.cell), usual)

    @property
    def _asks(self) -> bool:
        pending = self._prompt.pending
        return bool(pending.points) or pending.box is not None

    @property
    def _has_cell(self) -> bool:
        cell = self.cell
        return bool(cell) and cell in self._context.editor.index

    def grow(self, direction: int) -> None:
        """Grow (1) or shrink (-1): the prompt's basin by its threshold, else the selected cell."""
        context = self._context
        if self.by_threshold:
            self.set_threshold(self.threshold - direction * STEP)
            return
        editor, cell = context.editor, self.cell
        if not self._has_cell:
            context.say("Select a cell first: click it with Refine, or commit one.")
            return
        if self._prompt.pending.start is not None:
            context.say("Commit or clear the mask first; then the cell can be grown and shrunk.")
            return
        context.do(editor.grow(context.view, cell, direction))

    def set_threshold(self, threshold: float) -> None:
        """Grow or shrink what is asked for, or else the selected cell, to this threshold."""
        if self._asks or not self._has_cell:
            self.ask_at(threshold)
        else:
            self.threshold_cell(self.cell, threshold)

    def ask_at(self, threshold: float) -> None:
        """Set the logit above which a basin's pixels belong to the prompt's cell, and show it anew."""
        context = self._context
        context.predictor.threshold = float(threshold)
        if self._asks:
            self._prompt.ask()
        context.changed.emit()

    def show_at(self, threshold: float) -> None:
        """Show what `set_threshold` would do, while a slider moves; nothing is written."""
        context = self._context
        if self._asks or not self._has_cell:
            self.ask_at(threshold)
            return
        piece = self._above(self.cell, threshold)
        if piece is not None:
            context.preview.show(context.labels, context.view, piece)
            context.say(f"Cell {self.cell} above {threshold:+.1f}: {piece.area} px")

    def threshold_cell(self, label: int, threshold: float) -> None:
        """Give a cell of the labels the shape of its basin above a threshold of its own."""
        context = self._context
        wanted = self._above(label, threshold)
        context.preview.show(context.labels, context.view, None)
        if wanted is None:
            return
        self._levels[(layer_id(context.labels), label)] = threshold
        editor = context.editor
        context.do(editor.reshape(context.view, label, wanted, "threshold cell", {"threshold": threshold}))

    def _above(self, label: int, threshold: float) -> Piece | None:
        """Return a cell's basin above a threshold, in pixels of the labels; None where there is none."""
        from napari_biofm.images.prompt.flow_basins import basin_under, region

        context = self._context
        view = context.view
        piece = context.editor.piece(view, label)
        if not piece:
            context.say(f"Cell {label} is not in this plane.")
            return None
        way, image_view = context.plane_map(view)
        table = context.predictor.basins(context.image, image_view)
        inside = np.argwhere(piece.mask) + np.array(piece.origin)
        points = way.to_image(inside.astype(float))
        return way.piece_to_labels(region(table, basin_under(table, points), threshold))
