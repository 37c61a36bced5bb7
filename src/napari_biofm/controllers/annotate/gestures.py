"""What clicks, drags and moves of the mouse mean with each tool."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_biofm.controllers.annotate.context import AnnotationContext
from napari_biofm.controllers.annotate.prompt_controller import PromptController
from napari_biofm.controllers.annotate.tools import Tool
from napari_biofm.images.edit import Piece, View
from napari_biofm.images.edit.shapes import draw_line
from napari_biofm.images.prompt.backends import FLOW_BASINS

Point = NDArray[np.float64]
SCRIBBLE_POINTS = 12  # points of a scribble that are given to the backend


class Gestures:
    """Gestures in, prompts and edits out.

    Parameters
    ----------
    context : whose tool and layers they are for.
    prompt : gets what points, boxes and outlines mean.
    """

    def __init__(self, context: AnnotationContext, prompt: PromptController) -> None:
        self._context = context
        self._prompt = prompt
        self._seeds: list[Point] = []
        self._first = 0
        self._hovered = 0

    def forget(self) -> None:
        """Begin anew: what was clicked or hovered before does not count any more."""
        self._seeds, self._first, self._hovered = [], 0, 0

    def click(self, point: Point, shift: bool, view: View, label: int | None = None) -> None:
        """Handle a click at a point of the labels view; `label` is what lies there, where it is known."""
        self._context.preview.show_line(self._context.labels, view, None)
        tool = self._context.tool
        if tool in (Tool.POINT, Tool.MINUS, Tool.SCRIBBLE):
            self._prompt.add_points(point[None], (tool is not Tool.MINUS) != shift, view)
            return
        if tool in (Tool.BOX, Tool.LASSO):
            return
        found = self._context.editor.value(view, point) if label is None else label
        if not found:
            self._context.say("There is no cell here.")
            return
        self._click_cell(found, point, shift, view)

    def _click_cell(self, label: int, point: Point, shift: bool, view: View) -> None:
        tool, editor = self._context.tool, self._context.editor
        if tool is Tool.REFINE:
            self._context.set_tool(Tool.POINT)
            self._prompt.refine(label, view)
        elif tool is Tool.DELETE:
            self._context.do(editor.delete(label, None if shift else view))
        elif tool is Tool.FILL:
            self._context.do(editor.fill_holes(view, label))
        elif tool is Tool.SMOOTH:
            self._context.do(editor.smooth(view, label))
        elif tool is Tool.MERGE:
            first, self._first = self._first, label
            if first and first != label:
                self._first = 0
                self._context.do(editor.merge(first, label, view))
            else:
                self._context.say(f"Cell {label}: click the cell to join with it.")
        elif tool is Tool.SPLIT:
            self._split_at(label, point, view)

    def _split_at(self, label: int, point: Point, view: View) -> None:
        if self._first != label:
            self._seeds, self._first = [], label
        self._seeds.append(point)
        if len(self._seeds) < 2:
            self._context.preview.show_clicks(self._context.labels, view, point[None], np.ones(1, bool))
            self._context.say(f"Cell {label}: click the centre of its other part.")
            return
        seeds, self._seeds, self._first = self._seeds, [], 0
        self._context.preview.clear()
        self._context.do(self._context.editor.split(view, label, [s[None] for s in seeds]))

    def drag(self, path: NDArray[np.float64], view: View) -> None:
        """Show a drag while it goes on; `path` (n, 2) in pixels of the labels view."""
        line = path
        if self._context.tool is Tool.BOX:
            (y0, x0), (y1, x1) = path[0], path[-1]
            line = np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0], [y0, x0]])
        elif self._context.tool in (Tool.SPLIT, Tool.MERGE):
            line = path[[0, -1]]
        low = np.floor(line.min(axis=0)).astype(int)
        size = tuple(int(n) for n in np.ceil(line.max(axis=0)).astype(int) - low + 1)
        drawn = Piece((int(low[0]), int(low[1])), draw_line(size, line - low))
        self._context.preview.show_line(self._context.labels, view, drawn)

    def drop(self, path: NDArray[np.float64], shift: bool, view: View) -> None:
        """Handle the end of a drag."""
        self._context.preview.show_line(self._context.labels, view, None)
        tool = self._context.tool
        if tool is Tool.BOX:
            self._prompt.set_box(path[0], path[-1], view)
        elif tool is Tool.LASSO:
            self._prompt.set_outline(path, view)
        elif tool in (Tool.SCRIBBLE, Tool.POINT):
            n = min(len(path), SCRIBBLE_POINTS)
            pick = np.unique(np.linspace(0, len(path) - 1, n).round().astype(int))
            self._prompt.add_points(path[pick], not shift, view)
        elif tool is Tool.MERGE:
            first, last = (
                self._context.editor.value(view, path[0]),
                self._context.editor.value(view, path[-1]),
            )
            if first and last and first != last:
                self._context.do(self._context.editor.merge(first, last, view))
            else:
                self._context.say("Drag from one cell to another to join them.")
        elif tool is Tool.SPLIT:
            self._cut(path, view)

    def _cut(self, path: NDArray[np.float64], view: View) -> None:
        steps = np.linspace(0, 1, 64)[:, None]
        under = [self._context.editor.value(view, p) for p in path[0] + (path[-1] - path[0]) * steps]
        cells = [k for k in under if k]
        if not cells:
            self._context.say("Draw the line across a cell.")
            return
        label = max(set(cells), key=cells.count)
        self._context.do(self._context.editor.cut(view, label, np.asarray(path)))

    def hover(self, point: Point, view: View) -> None:
        """Preview the basin under the mouse, where basins are there and nothing else is going on."""
        context = self._context
        predictor = context.predictor
        if predictor.backend != FLOW_BASINS or context.tool is not Tool.POINT or self._prompt.pending:
            return
        if predictor.segmentation() is None:
            return
        from napari_biofm.images.prompt.flow_basins import basin_at, region

        way, image_view = context.plane_map(view)
        table = predictor.basins(context.image, image_view)
        at = way.to_image(point[None])[0]
        outside = (at < 0).any() or (at > np.array(table.shape) - 1).any()
        basin = 0 if outside else basin_at(table, at)
        if basin != self._hovered:
            self._hovered = basin
            piece = region(table, basin, predictor.threshold, at) if basin else None
            shown = None if piece is None else way.piece_to_labels(piece)
            context.preview.show(context.labels, view, shown)
