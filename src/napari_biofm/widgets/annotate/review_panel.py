"""Cells that need a look, stepped through by key."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_biofm.controllers.annotate.annotator import Annotator
from napari_biofm.controllers.common.layers import is_helper, layer_id
from napari_biofm.controllers.common.ports import RunJob, TellError
from napari_biofm.images.edit.review_queue import ReviewItem, outline, part_around, review_items
from napari_biofm.session import CellKey
from napari_biofm.types import BiofmError
from napari_biofm.widgets.common.buttons import enable, push_button
from napari_biofm.widgets.common.forms import note

NOTHING = "no second segmentation"
HOW = "Lists cells that are unsure, odd in size or shape, cut by the border, or seen otherwise by a second model."


class ReviewPanel(QWidget):
    """List of doubtful cells of the plane shown, worst first.

    Parameters
    ----------
    annotator : whose labels are looked through.
    run : carries the job.
    tell_error : shows what cannot be done.
    """

    def __init__(self, annotator: Annotator, *, run: RunJob, tell_error: TellError) -> None:
        super().__init__()
        self._annotator = annotator
        self._run = run
        self._tell_error = tell_error
        self._view: Any = None
        self.find_button = push_button(
            "Find cells that need a look",
            "Low confidence, odd size, ragged, cut by the border, or unlike a second segmentation.",
        )
        self.find_button.clicked.connect(self.find_doubtful)
        self.other = QComboBox()
        self.other.setToolTip("Labels of another model or person to compare with.")
        self.list = QListWidget()
        self.list.setWordWrap(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.currentRowChanged.connect(self._go)
        self.about = note(HOW)
        row = QHBoxLayout()
        row.addWidget(self.find_button, 1)
        row.addWidget(self.other, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.about)
        layout.addWidget(self.list, 1)
        self.refresh_layers()

    def refresh_layers(self) -> None:
        """Offer the labels layers there are for comparison."""
        chosen = self.other.currentData()
        self.other.clear()
        self.other.addItem(NOTHING, None)
        for layer in self._annotator.viewer.layers:
            if isinstance(layer, Labels) and not is_helper(layer) and layer is not self._annotator.labels:
                self.other.addItem(layer.name, layer_id(layer))
        self.other.setCurrentIndex(max(0, self.other.findData(chosen)))

    def find_doubtful(self) -> None:
        """Look for doubtful cells of the plane shown, in the background."""
        annotator = self._annotator
        try:
            target, view = annotator.editor.target, annotator.view
        except BiofmError as error:
            self._tell_error(error)
            return
        shape = view.shape(target.shape)
        origin, size = self._part(shape)
        labels = view.take(target.read(view.region(origin, size)))
        box = tuple(slice(o, o + n) for o, n in zip(origin, size, strict=True))
        segmentation = self._annotator.session.segmentation(layer_id(annotator.labels))
        prob = segmentation.cell_prob if segmentation is not None else None
        prob = prob[box] if prob is not None and prob.shape == shape else None
        self._view = view
        enable(self.find_button, False)
        self._run(
            review_items,
            np.ascontiguousarray(labels),
            prob,
            self._second(view, box, shape),
            origin,
            name="Looking for doubtful cells",
            bound_to=layer_id(annotator.labels),
            on_done=self.show_items,
            on_end=lambda: enable(self.find_button, True),
        )

    def _part(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        labels = self._annotator.labels
        middle = labels.world_to_data(self._annotator.viewer.scene.camera.center[-labels.ndim :])
        return part_around(shape, self._view_point(middle))

    def _view_point(self, point: Any) -> tuple[float, ...]:
        full = [0.0] * (self._annotator.labels.ndim - len(point)) + [float(c) for c in point]
        return self._annotator.view.point(tuple(full))

    def _second(self, view: Any, box: Any, shape: tuple[int, ...]) -> Any:
        uid = self.other.currentData()
        layer = next((x for x in self._annotator.viewer.layers if layer_id(x) == uid), None)
        if layer is None or layer.multiscale or layer.data.shape != self._annotator.editor.target.shape:
            return None
        origin = tuple(s.start for s in box)
        size = tuple(s.stop - s.start for s in box)
        return np.ascontiguousarray(view.take(np.asarray(layer.data[view.region(origin, size)])))

    def show_items(self, found: list[ReviewItem]) -> None:
        """Fill the list."""
        self.list.blockSignals(True)
        self.list.clear()
        for doubt in found:
            item = QListWidgetItem(f"{doubt.label or '-'}: {'; '.join(doubt.reasons)}")
            item.setData(Qt.ItemDataRole.UserRole, doubt)
            self.list.addItem(item)
        self.list.setCurrentRow(-1)
        self.list.blockSignals(False)
        text = f"{len(found)} cells need a look, worst first." if found else "No cell here needs a look."
        self.about.setText(text)
        self._annotator.say(text)

    def step(self, by: int) -> None:
        """Go to the next (1) or previous (-1) cell of the list."""
        n = self.list.count()
        if n == 0:
            self.find_doubtful()
            return
        self.list.setCurrentRow((self.list.currentRow() + by) % n)

    def _go(self, row: int) -> None:
        item = self.list.item(row)
        labels = self._annotator.labels
        if item is None or labels is None or self._view is None:
            return
        doubt: ReviewItem = item.data(Qt.ItemDataRole.UserRole)
        at = [float(p) for p in self._view.position]
        for axis, c in zip(self._view.axes, doubt.centre, strict=True):
            at[axis] = c
        viewer = self._annotator.viewer
        world = np.asarray(labels.data_to_world(at), float)
        ahead = viewer.dims.ndim - len(world)
        for axis in range(len(world)):
            if axis + ahead not in viewer.dims.displayed:
                viewer.dims.set_point(axis + ahead, float(world[axis]))
        centre = list(viewer.scene.camera.center)
        shown = [float(world[a - ahead]) for a in viewer.dims.displayed if a >= ahead]
        centre[-len(shown) :] = shown
        viewer.scene.camera.center = tuple(centre)
        if doubt.label:
            labels.selected_label = doubt.label
            self._annotator.session.select([CellKey(layer_id(labels), doubt.label)])
        self._outline(doubt)
        self._annotator.say(item.text())

    def _outline(self, doubt: ReviewItem) -> None:
        """Draw a line around the cell, or a ring where one is missing; the next click takes it away."""
        annotator, view = self._annotator, self._annotator.view
        if len(view.axes) != 2:
            return
        piece = annotator.editor.piece(view, doubt.label) if doubt.label else None
        line = outline(doubt.centre, piece, view.shape(annotator.editor.target.shape))
        annotator.preview.show_line(annotator.labels, view, line)
