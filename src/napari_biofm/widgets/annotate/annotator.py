"""What is being annotated: the prompt so far, its preview, and the edits that come of clicks. No Qt
widgets here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_biofm.images.correction import Answer
from napari_biofm.images.edit import LabelsEdit
from napari_biofm.images.editing import LabelIndex, LabelsEditor, Piece, View
from napari_biofm.images.editing.shapes import draw_line, enclosed
from napari_biofm.images.prompting import FLOW_BASINS
from napari_biofm.session import CellKey
from napari_biofm.types import Prompt, SessionError
from napari_biofm.widgets.annotate.broker import Broker
from napari_biofm.widgets.annotate.geometry import PlaneMap, view_of
from napari_biofm.widgets.annotate.preview import Preview
from napari_biofm.widgets.annotate.target import LayerTarget, StrokeCapture
from napari_biofm.widgets.annotate.tools import Tool
from napari_biofm.widgets.viewers import layer_id

Point = NDArray[np.float64]
SCRIBBLE_POINTS = 12  # points of a scribble that are given to the backend
STEP = 0.5  # logits by which one key press grows or shrinks a basin


@dataclass
class Pending:
    """The prompt so far, in pixels of the labels plane.

    Attributes
    ----------
    view : plane it belongs to. start : mask to correct. label : cell being corrected, None for a new one.
    """

    view: View | None = None
    points: list[Point] = field(default_factory=list)
    positive: list[bool] = field(default_factory=list)
    box: tuple[float, float, float, float] | None = None
    start: Piece | None = None
    label: int | None = None

    def __bool__(self) -> bool:
        return bool(self.points) or self.box is not None or self.start is not None


class Annotator:
    """Gestures in, edits out.

    Parameters
    ----------
    dock : gives viewer, session, jobs and messages.
    """

    changed = Signal()
    edited = Signal(object)  # LabelsEdit

    def __init__(self, dock: Any) -> None:
        self._dock = dock
        self.viewer = dock.viewer
        self.session = dock.session
        self.broker = Broker(dock)
        self.preview = Preview(dock.viewer)
        self.tool = Tool.OFF
        self.overwrite = False
        self.labels: Any = None
        self.image: Any = None
        self.pending = Pending()
        self.answer: Answer | None = None
        self.chosen = 0
        self.status = ""
        self._editors: dict[str, LabelsEditor] = {}
        self._captures: list[StrokeCapture] = []
        self._seeds: list[Point] = []
        self._first: int = 0
        self._hovered = 0
        self._levels: dict[tuple[str, int], float] = {}

    # ------------------------------------------------------------------ layers

    def use(self, image: Any, labels: Any) -> None:
        """Work on these layers; either may be None."""
        self.clear()
        self.image, self.labels = image, None
        self.broker.image_changed()
        if labels is not None and layer_id(labels) not in self._editors:
            target = LayerTarget(labels)
            editor = LabelsEditor(target, LabelIndex(target))
            self._editors[target.uid] = editor
            self._captures.append(StrokeCapture(target, lambda edit: self.do(edit, applied=True)))
        self.labels = labels
        self.say("")

    def data_replaced(self, labels: Any) -> None:
        """Look up cells afresh after something else put new data into a layer."""
        editor = self._editors.get(layer_id(labels))
        if editor is not None:
            editor.index = LabelIndex(editor.target)
            self.clear()

    @property
    def editor(self) -> LabelsEditor:
        """The editor of the labels in play."""
        if self.labels is None:
            raise SessionError("Choose a labels layer, or make one with 'New labels'.")
        return self._editors[layer_id(self.labels)]

    @property
    def view(self) -> View:
        """The plane shown."""
        return view_of(self.viewer, self.labels)

    def plane_map(self, view: View) -> tuple[PlaneMap, View]:
        """Return the way from the labels plane to the image plane, and the image's view."""
        if self.image is None:
            raise SessionError("Choose an image layer to click on.")
        image_view = view_of(self.viewer, self.image)
        return PlaneMap.between(self.labels, view, self.image, image_view), image_view

    # ------------------------------------------------------------------ edits

    def do(self, edit: LabelsEdit, *, applied: bool = False) -> bool:
        """Carry an edit out through the history; False where it changes nothing."""
        if not edit:
            self.say(f"{edit.name}: nothing changes.")
            return False
        self.session.history.do(edit, applied=applied)
        self._editors[edit.target.uid].index.changed(edit.patches)
        self.edited.emit(edit)
        self.say(edit.name)
        return True

    def undo(self) -> None:
        """Take back the last click of the prompt, else the last edit."""
        if self.pending.points:
            self.pending.points.pop()
            self.pending.positive.pop()
            self._ask()
        elif self.pending:
            self.clear()
        else:
            name = self.session.history.undo()
            self.say(f"undone: {name}" if name else "Nothing to undo.")

    def redo(self) -> None:
        """Do again what was undone last."""
        name = self.session.history.redo()
        self.say(f"again: {name}" if name else "Nothing to redo.")

    def commit(self) -> int | None:
        """Write the preview into the labels and return the id of the cell."""
        piece = self.shown
        if piece is None or self.pending.view is None:
            self.say("Nothing to commit: click a cell first.")
            return None
        pending = self.pending
        details = {
            "tool": "prompt",
            "backend": self.broker.backend,
            "points": [
                [*map(float, p), int(s)] for p, s in zip(pending.points, pending.positive, strict=True)
            ],
            "box": pending.box,
            "alternative": self.chosen,
        }
        edit = self.editor.commit(
            pending.view,
            piece,
            pending.label,
            replace=pending.label is not None,
            overwrite=self.overwrite,
            name="add cell" if pending.label is None else "refine cell",
            details=details,
        )
        self.clear()
        if not self.do(edit):
            return None
        label = int(edit.details["cell"])
        self._select(label)
        return label

    def _select(self, label: int) -> None:
        self.labels.selected_label = label
        self.session.select([CellKey(layer_id(self.labels), label)])

    # ------------------------------------------------------------------ prompt

    @property
    def shown(self) -> Piece | None:
        """The mask in the preview."""
        if self.answer is None or not self.answer.pieces:
            return None
        return self.answer.pieces[min(self.chosen, len(self.answer.pieces) - 1)]

    def clear(self) -> None:
        """Drop the prompt and its preview."""
        self.broker.cancel()
        self.pending, self.answer, self.chosen = Pending(), None, 0
        self._seeds, self._first, self._hovered = [], 0, 0
        self.preview.clear()
        self.changed.emit()

    def next_alternative(self) -> None:
        """Show the next of the backend's masks."""
        if self.answer is not None and len(self.answer.pieces) > 1:
            self.chosen = (self.chosen + 1) % len(self.answer.pieces)
            self._show()

    def add_points(self, points: NDArray[np.float64], positive: bool, view: View) -> None:
        """Add points (n, 2) to the prompt and ask for the mask."""
        self._begin(view)
        for point in points:
            self.pending.points.append(np.asarray(point, float))
            self.pending.positive.append(positive)
        self._ask()

    def set_box(self, first: Point, second: Point, view: View) -> None:
        """Set the box of the prompt."""
        self._begin(view)
        low, high = np.minimum(first, second), np.maximum(first, second)
        self.pending.box = (float(low[0]), float(low[1]), float(high[0]) + 1, float(high[1]) + 1)
        self._ask()

    def set_outline(self, outline: NDArray[np.float64], view: View) -> None:
        """Take a drawn outline as the mask itself; the backend's view of the same box is the alternative."""
        self._begin(view)
        low = np.floor(outline.min(axis=0)).astype(int)
        size = tuple(int(n) for n in np.ceil(outline.max(axis=0)).astype(int) - low + 1)
        drawn = Piece.of(enclosed((size[0], size[1]), outline - low), (int(low[0]), int(low[1])))
        full = view.shape(self.editor.target.shape)
        drawn = Piece.of(drawn.within((0, 0), full).mask) if max(full) <= 4096 else drawn
        if not drawn:
            self.say("The outline encloses no pixel.")
            return
        self.pending.start, self.pending.box, self.pending.points, self.pending.positive = drawn, None, [], []
        self._arrived(Answer((drawn,), (1.0,)))

    def refine(self, label: int, view: View) -> None:
        """Take a cell of the labels as the mask to correct."""
        self.clear()
        piece = self.editor.piece(view, label)
        self.pending = Pending(view, start=piece, label=label)
        self._select(label)
        self._arrived(Answer((piece,), (1.0,)))
        self.say(f"Refining cell {label}: add and take away with points, or draw its outline; then commit.")

    def _begin(self, view: View) -> None:
        if self.pending.view is not None and self.pending.view != view:
            self.clear()
        self.pending.view = view

    def _ask(self) -> None:
        pending = self.pending
        if pending.view is None:
            return
        if not pending or not (any(pending.positive) or pending.box is not None or pending.start is not None):
            self._arrived(None)
            return
        way, image_view = self.plane_map(pending.view)
        points = way.to_image(np.array(pending.points, float).reshape(-1, 2))
        prompt = Prompt(points, np.array(pending.positive, bool), self._box_in(way))
        start = None if pending.start is None else way.piece_to_image(pending.start)

        def arrived(answer: Answer) -> None:
            pieces = tuple(way.piece_to_labels(p) for p in answer.pieces)
            self._arrived(Answer(pieces, answer.scores))

        self.say("...")
        self.broker.ask((self.image, image_view, prompt, start), arrived)

    def _box_in(self, way: PlaneMap) -> tuple[float, float, float, float] | None:
        if self.pending.box is None:
            return None
        y0, x0, y1, x1 = self.pending.box
        corners = way.to_image(np.array([[y0, x0], [y0, x1], [y1, x0], [y1, x1]]))
        low, high = corners.min(axis=0), corners.max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    def _arrived(self, answer: Answer | None) -> None:
        self.answer, self.chosen = answer, 0
        self._show()

    def _show(self) -> None:
        view = self.pending.view
        if view is None or self.labels is None:
            return
        self.preview.show(self.labels, view, self.shown)
        points = np.array(self.pending.points, float).reshape(-1, 2)
        self.preview.show_clicks(self.labels, view, points, np.array(self.pending.positive, bool))
        if self.answer is None or not self.answer.pieces:
            self.say("No mask here; click again, or try another tool." if self.pending else "")
            return
        score, n = self.answer.scores[self.chosen], len(self.answer.pieces)
        area = self.shown.area if self.shown else 0
        self.say(f"score {score:.2f}, {area} px, alternative {self.chosen + 1} of {n}")

    # ------------------------------------------------------------------ gestures

    def set_tool(self, tool: Tool) -> None:
        """Choose what clicks and drags mean; the prompt stays, so that tools can be mixed."""
        self.tool = tool
        self._seeds, self._first = [], 0
        if self.labels is not None:
            self.viewer.layers.selection.active = self.labels
            self.labels.mode = "paint" if tool is Tool.BRUSH else "pan_zoom"
            if tool is Tool.BRUSH and self.pending.label is None and self.labels.selected_label == 0:
                self.labels.selected_label = self.editor.next_id()
        self.changed.emit()

    def click(self, point: Point, shift: bool, view: View, label: int | None = None) -> None:
        """Handle a click at a point of the labels view; `label` is what lies there, where it is known."""
        tool = self.tool
        if tool in (Tool.POINT, Tool.MINUS, Tool.SCRIBBLE):
            self.add_points(point[None], (tool is not Tool.MINUS) != shift, view)
            return
        if tool in (Tool.BOX, Tool.LASSO):
            return
        found = self.editor.value(view, point) if label is None else label
        if not found:
            self.say("There is no cell here.")
            return
        self._click_cell(found, point, shift, view)

    def _click_cell(self, label: int, point: Point, shift: bool, view: View) -> None:
        tool, editor = self.tool, self.editor
        if tool is Tool.REFINE:
            self.refine(label, view)
            self.set_tool(Tool.POINT)
        elif tool is Tool.DELETE:
            self.do(editor.delete(label, None if shift else view))
        elif tool is Tool.FILL:
            self.do(editor.fill_holes(view, label))
        elif tool is Tool.SMOOTH:
            self.do(editor.smooth(view, label))
        elif tool is Tool.MERGE:
            first, self._first = self._first, label
            if first and first != label:
                self._first = 0
                self.do(editor.merge(first, label, view))
            else:
                self.say(f"Cell {label}: click the cell to join with it.")
        elif tool is Tool.SPLIT:
            self._split_at(label, point, view)

    def _split_at(self, label: int, point: Point, view: View) -> None:
        if self._first != label:
            self._seeds, self._first = [], label
        self._seeds.append(point)
        if len(self._seeds) < 2:
            self.preview.show_clicks(self.labels, view, point[None], np.ones(1, bool))
            self.say(f"Cell {label}: click the centre of its other part.")
            return
        seeds, self._seeds, self._first = self._seeds, [], 0
        self.preview.clear()
        self.do(self.editor.split(view, label, [s[None] for s in seeds]))

    def drag(self, path: NDArray[np.float64], view: View) -> None:
        """Show a drag while it goes on; `path` (n, 2) in pixels of the labels view."""
        line = path
        if self.tool is Tool.BOX:
            (y0, x0), (y1, x1) = path[0], path[-1]
            line = np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0], [y0, x0]])
        elif self.tool in (Tool.SPLIT, Tool.MERGE):
            line = path[[0, -1]]
        low = np.floor(line.min(axis=0)).astype(int)
        size = tuple(int(n) for n in np.ceil(line.max(axis=0)).astype(int) - low + 1)
        drawn = Piece((int(low[0]), int(low[1])), draw_line(size, line - low))
        self.preview.show_line(self.labels, view, drawn)

    def drop(self, path: NDArray[np.float64], shift: bool, view: View) -> None:
        """Handle the end of a drag."""
        self.preview.show_line(self.labels, view, None)
        tool = self.tool
        if tool is Tool.BOX:
            self.set_box(path[0], path[-1], view)
        elif tool is Tool.LASSO:
            self.set_outline(path, view)
        elif tool in (Tool.SCRIBBLE, Tool.POINT):
            n = min(len(path), SCRIBBLE_POINTS)
            pick = np.unique(np.linspace(0, len(path) - 1, n).round().astype(int))
            self.add_points(path[pick], not shift, view)
        elif tool is Tool.MERGE:
            first, last = self.editor.value(view, path[0]), self.editor.value(view, path[-1])
            if first and last and first != last:
                self.do(self.editor.merge(first, last, view))
            else:
                self.say("Drag from one cell to another to join them.")
        elif tool is Tool.SPLIT:
            self._cut(path, view)

    def _cut(self, path: NDArray[np.float64], view: View) -> None:
        steps = np.linspace(0, 1, 64)[:, None]
        under = [self.editor.value(view, p) for p in path[0] + (path[-1] - path[0]) * steps]
        cells = [k for k in under if k]
        if not cells:
            self.say("Draw the line across a cell.")
            return
        label = max(set(cells), key=cells.count)
        self.do(self.editor.cut(view, label, np.asarray(path)))

    def hover(self, point: Point, view: View) -> None:
        """Preview the basin under the mouse, where basins are there and nothing else is going on."""
        if self.broker.backend != FLOW_BASINS or self.tool is not Tool.POINT or self.pending:
            return
        if self.broker.segmentation() is None:
            return
        from napari_biofm.images.basins_lookup import basin_at, region

        way, image_view = self.plane_map(view)
        table = self.broker.basins(self.image, image_view)
        at = way.to_image(point[None])[0]
        if (at < 0).any() or (at > np.array(table.shape) - 1).any():
            return
        basin = basin_at(table, at)
        if basin != self._hovered:
            self._hovered = basin
            piece = region(table, basin, self.broker.threshold, at)
            self.preview.show(self.labels, view, way.piece_to_labels(piece))

    # ------------------------------------------------------------------ size of a cell

    def grow(self, direction: int) -> None:
        """Grow (1) or shrink (-1): the prompt's basin by its threshold, else the selected cell."""
        if self.pending.points and self.broker.backend == FLOW_BASINS:
            self.set_threshold(self.broker.threshold - direction * STEP)
            return
        label = self.pending.label or int(self.labels.selected_label)
        view = self.view
        if self.broker.backend == FLOW_BASINS and self.broker.segmentation() is not None:
            self.threshold_cell(
                label, self._levels.get((layer_id(self.labels), label), 0.0) - direction * STEP
            )
            return
        self.do(self.editor.grow(view, label, direction))

    def set_threshold(self, threshold: float) -> None:
        """Set the logit above which a basin's pixels belong to its cell, and show the prompt anew."""
        self.broker.threshold = float(threshold)
        if self.pending.points or self.pending.box is not None:
            self._ask()
        self.changed.emit()

    def threshold_cell(self, label: int, threshold: float) -> None:
        """Give a cell of the labels the shape of its basin above a threshold of its own."""
        from napari_biofm.images.basins_lookup import basin_at, region

        view = self.view
        piece = self.editor.piece(view, label)
        if not piece:
            self.say(f"Cell {label} is not in this plane.")
            return
        way, image_view = self.plane_map(view)
        table = self.broker.basins(self.image, image_view)
        centre = np.argwhere(piece.mask)[len(np.argwhere(piece.mask)) // 2] + np.array(piece.origin)
        basin = basin_at(table, way.to_image(centre[None].astype(float))[0])
        wanted = way.piece_to_labels(region(table, basin, threshold))
        self._levels[(layer_id(self.labels), label)] = threshold
        self.do(self.editor.reshape(view, label, wanted, "threshold cell", {"threshold": threshold}))

    # ------------------------------------------------------------------ the end

    def say(self, message: str) -> None:
        """Set the status line."""
        self.status = message
        self.changed.emit()

    def close(self) -> None:
        """Let go of layers and helper layers."""
        for capture in self._captures:
            capture.stop()
        self._captures.clear()
        self.preview.remove()
