"""The prompt so far, what the backend says to it, and its way into the labels."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_biofm.controllers.annotate.context import AnnotationContext
from napari_biofm.images.edit import Piece, View
from napari_biofm.images.edit.plane_map import PlaneMap
from napari_biofm.images.edit.shapes import enclosed
from napari_biofm.images.prompt.correction import Answer
from napari_biofm.types import Prompt

Point = NDArray[np.float64]


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


class PromptController:
    """Collects a prompt, asks the backend, shows its mask, and writes it when told to.

    Parameters
    ----------
    context : gives layers, backend, preview and history.
    """

    def __init__(self, context: AnnotationContext) -> None:
        self._context = context
        self.pending = Pending()
        self.answer: Answer | None = None
        self.chosen = 0

    @property
    def shown(self) -> Piece | None:
        """The mask in the preview."""
        if self.answer is None or not self.answer.pieces:
            return None
        return self.answer.pieces[min(self.chosen, len(self.answer.pieces) - 1)]

    def clear(self) -> None:
        """Drop the prompt and its preview."""
        self._context.predictor.cancel()
        self.pending, self.answer, self.chosen = Pending(), None, 0
        self._context.preview.clear()
        self._context.changed.emit()

    def take_back(self) -> bool:
        """Take back the last click of the prompt, or the prompt; False where there is none."""
        if self.pending.points:
            self.pending.points.pop()
            self.pending.positive.pop()
            self.ask()
            return True
        if self.pending:
            self._context.clear()
            return True
        return False

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
        self.ask()

    def set_box(self, first: Point, second: Point, view: View) -> None:
        """Set the box of the prompt."""
        self._begin(view)
        low, high = np.minimum(first, second), np.maximum(first, second)
        self.pending.box = (float(low[0]), float(low[1]), float(high[0]) + 1, float(high[1]) + 1)
        self.ask()

    def set_outline(self, outline: NDArray[np.float64], view: View) -> None:
        """Take a drawn outline as the mask itself; points may correct it."""
        self._begin(view)
        low = np.floor(outline.min(axis=0)).astype(int)
        size = tuple(int(n) for n in np.ceil(outline.max(axis=0)).astype(int) - low + 1)
        drawn = Piece.of(enclosed((size[0], size[1]), outline - low), (int(low[0]), int(low[1])))
        full = view.shape(self._context.editor.target.shape)
        drawn = Piece.of(drawn.within((0, 0), full).mask) if max(full) <= 4096 else drawn
        if not drawn:
            self._context.say("The outline encloses no pixel.")
            return
        self.pending.start, self.pending.box, self.pending.points, self.pending.positive = drawn, None, [], []
        self._arrived(Answer((drawn,), (1.0,)))

    def refine(self, label: int, view: View) -> None:
        """Take a cell of the labels as the mask to correct."""
        self._context.clear()
        piece = self._context.editor.piece(view, label)
        self.pending = Pending(view, start=piece, label=label)
        self._context.select(label)
        self._arrived(Answer((piece,), (1.0,)))
        self._context.say(
            f"Refining cell {label}: add and take away with points, or draw its outline; then commit."
        )

    def _begin(self, view: View) -> None:
        if self.pending.view is not None and self.pending.view != view:
            self._context.clear()
        self.pending.view = view

    def ask(self) -> None:
        """Ask the backend for the mask of the prompt as it is."""
        pending = self.pending
        if pending.view is None:
            return
        if not pending or not (any(pending.positive) or pending.box is not None or pending.start is not None):
            self._arrived(None)
            return
        way, image_view = self._context.plane_map(pending.view)
        points = way.to_image(np.array(pending.points, float).reshape(-1, 2))
        prompt = Prompt(points, np.array(pending.positive, bool), self._box_in(way))
        start = None if pending.start is None else way.piece_to_image(pending.start)

        def arrived(answer: Answer) -> None:
            pieces = tuple(way.piece_to_labels(p) for p in answer.pieces)
            self._arrived(Answer(pieces, answer.scores))

        self._context.say("...")
        self._context.predictor.ask((self._context.image, image_view, prompt, start), arrived)

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
        if view is None or self._context.labels is None:
            return
        self._context.preview.show(self._context.labels, view, self.shown)
        points = np.array(self.pending.points, float).reshape(-1, 2)
        self._context.preview.show_clicks(
            self._context.labels, view, points, np.array(self.pending.positive, bool)
        )
        if self.answer is None or not self.answer.pieces:
            self._context.say("No mask here; click again, or try another tool." if self.pending else "")
            return
        score, n = self.answer.scores[self.chosen], len(self.answer.pieces)
        area = self.shown.area if self.shown else 0
        self._context.say(f"score {score:.2f}, {area} px, alternative {self.chosen + 1} of {n}")

    def commit(self) -> int | None:
        """Write the preview into the labels and return the id of the cell."""
        piece, pending, view = self.shown, self.pending, self.pending.view
        if piece is None or view is None:
            self._context.say("Nothing to commit: click a cell first.")
            return None
        details = {
            "tool": "prompt",
            "backend": self._context.predictor.backend,
            "points": [
                [*map(float, p), int(s)] for p, s in zip(pending.points, pending.positive, strict=True)
            ],
            "box": pending.box,
            "alternative": self.chosen,
        }
        edit = self._context.editor.commit(
            view,
            piece,
            pending.label,
            replace=pending.label is not None,
            overwrite=self._context.overwrite,
            name="add cell" if pending.label is None else "refine cell",
            details=details,
        )
        self._context.clear()
        if not self._context.do(edit):
            return None
        label = int(edit.details["cell"])
        self._context.select(label)
        return label
