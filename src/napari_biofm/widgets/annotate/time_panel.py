"""Through z and t: carry a cell from plane to plane, and link cells over time."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from napari.layers import Tracks
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_biofm.controllers.annotate.annotator import Annotator
from napari_biofm.controllers.annotate.mask_predictor import LazyPlane
from napari_biofm.controllers.common.layers import full_data, layer_id, layer_shape
from napari_biofm.controllers.common.ports import RunJob, TellError
from napari_biofm.images.edit.labels_edit import LabelsEdit
from napari_biofm.images.edit.linking import Tracking, link_array, n_tracks, relabel_edit
from napari_biofm.images.prompt.backends import FLOW_BASINS, LEVEL_SETS
from napari_biofm.images.prompt.propagate import (
    Propagated,
    Step,
    propagate_basins,
    propagate_followed,
    propagate_stack,
)
from napari_biofm.images.segment.catalogue import models_here
from napari_biofm.teaching.relabelling import link_over_time
from napari_biofm.types import BiofmError, Progress, SessionError
from napari_biofm.widgets.annotate.layer_choice import short_box
from napari_biofm.widgets.common.buttons import enable, push_button
from napari_biofm.widgets.common.forms import note

NOTHING_NEW = "Off: no planes are done; press Propagate first."
NO_FOLLOWER = "Off: SAM 2 is not here. pip install sam2, then napari-biofm models download sam2.1_hiera_tiny, and open the dock again."
FLAT = "The labels in play have no z or t: open a stack or a movie to go through its planes."


class TimePanel(QWidget):
    """Range and direction of a propagation, its outcome, and linking.

    Parameters
    ----------
    annotator : whose layers are gone through.
    run : carries the jobs.
    tell_error : shows what cannot be done.
    """

    def __init__(self, annotator: Annotator, *, run: RunJob, tell_error: TellError) -> None:
        super().__init__()
        self._annotator = annotator
        self._run = run
        self._tell_error = tell_error
        self._steps: list[Step] = []
        self._label = 0
        self._plan: tuple[Any, int, list[int]] | None = None
        self.axis = QComboBox()
        self.axis.setToolTip("The axis to go along.")
        self.last = QSpinBox()
        self.last.setRange(0, 1_000_000)
        self.last.setToolTip("The plane to go to, forwards or backwards from the one shown.")
        self.go_button = push_button(
            "Propagate", "Carry the selected cell to the other plane; stops where it becomes doubtful."
        )
        self.keep_button = push_button("Keep", "Write the planes that are done into the labels, as one edit.")
        self.drop_button = push_button("Discard", "Forget the planes that are done; nothing is written.")
        self.link_button = push_button(
            "Link over time",
            "Follow all cells along the first axis; each gets its track's id. Divisions are found.",
        )
        self.by = short_box("What carries the cell: the choice under 'Clicks by', or SAM 2.")
        self.by.addItem("as clicks", "")
        self.by.about_to_open.connect(self.offer_models)
        self.offer_models()
        self.outcome = note()
        self.go_button.clicked.connect(self.propagate)
        self.keep_button.clicked.connect(self.keep)
        self.drop_button.clicked.connect(self.discard)
        self.link_button.clicked.connect(self.link)
        form = QFormLayout()
        form.addRow("Along", self.axis)
        form.addRow("To plane", self.last)
        form.addRow("By", self.by)
        row = QHBoxLayout()
        for button in (self.go_button, self.keep_button, self.drop_button):
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addLayout(row)
        layout.addWidget(self.outcome)
        layout.addWidget(self.link_button)
        layout.addStretch(1)
        self._offer(False)

    def offer_models(self) -> None:
        """Offer the models that carry masks and are here."""
        with suppress(BiofmError):  # an own file was changed: `models list` tells which
            for name in models_here(lambda model: model.propagates):
                if self.by.findData(name) < 0:
                    self.by.addItem(name, name)
        enable(self.by, self.by.count() > 1, NO_FOLLOWER)

    def refresh_layers(self) -> None:
        """Offer the axes of the labels that are not shown."""
        labels = self._annotator.labels
        self.axis.clear()
        if labels is not None:
            view = self._annotator.view
            for axis in range(labels.ndim):
                if axis not in view.axes:
                    self.axis.addItem(f"axis {axis} ({layer_shape(labels)[axis]} planes)", axis)
            if self.axis.count():
                self.last.setValue(layer_shape(labels)[self.axis.itemData(0)] - 1)
        possible = self.axis.count() > 0
        for part in (self, self.go_button, self.link_button):
            enable(part, possible, f"Off: {FLAT[:1].lower()}{FLAT[1:]}")
        if not possible:
            self.outcome.setText(FLAT)
        elif self.outcome.text() == FLAT:
            self.outcome.setText("")

    # ------------------------------------------------------------------ propagation

    def propagate(self) -> None:
        """Carry the selected cell (or the preview, which is committed first) through the range."""
        annotator = self._annotator
        try:
            if annotator.prompt.shown is not None:
                annotator.prompt.commit()
            self._start()
        except BiofmError as error:
            self._tell_error(error)

    def _start(self) -> None:
        annotator = self._annotator
        view, axis = annotator.view, self.axis.currentData()
        if axis is None or annotator.image is None:
            raise SessionError("Propagation needs an image and labels with z or t.")
        self._label = int(annotator.labels.selected_label)
        piece = annotator.editor.piece(view, self._label)
        if not piece:
            raise SessionError(
                f"Cell {self._label} is not in this plane; click it with Refine or commit it first."
            )
        here = view.position[axis]
        end = min(self.last.value(), annotator.editor.target.shape[axis] - 1)
        way = list(range(here, end + 1)) if end >= here else list(range(here, end - 1, -1))
        if len(way) < 2:
            raise SessionError(f"Plane {end} is the one shown; choose another to go to.")
        plane_map, image_view = annotator.plane_map(view)
        behind = annotator.image.ndim - annotator.labels.ndim
        if axis + behind < 0:
            raise SessionError("The image has no such axis; it is the same in all planes.")
        stack = np.stack(
            [np.asarray(LazyPlane(annotator.image, image_view.moved(axis + behind, k))) for k in way]
        )
        job = self._job(axis + behind, way, plane_map.piece_to_image(piece))
        self._steps, self._plan = [], (view, axis, way)
        self.outcome.setText("")
        self._offer(False)
        enable(self.go_button, False)
        self._map = plane_map
        self._run(
            job[0],
            stack,
            *job[1:],
            name=f"Propagating cell {self._label}",
            bound_to=layer_id(annotator.labels),
            on_step=self._stepped,
            on_done=self._done,
            on_end=self._ended,
        )

    def _job(self, axis: int, way: list[int], piece: Any) -> tuple[Any, ...]:
        """Return the job and what it is given beside the pictures: flow basins where the planes have them."""
        if self.by.currentData():
            return propagate_followed, piece, self.by.currentData()
        predictor = self._annotator.predictor
        found = predictor.segmentation() if predictor.backend == FLOW_BASINS else None
        if found is None or found.flows is None or found.cell_prob is None or found.cell_prob.ndim != 3:
            return propagate_stack, piece, LEVEL_SETS if predictor.is_local else predictor.backend
        if axis != self._annotator.image.ndim - 3 or max(way) >= len(found.cell_prob):
            raise SessionError(
                "The flows belong to other planes; propagate along the axis that was segmented."
            )
        flows, prob = found.flows[-2:, way], found.cell_prob[way]
        return propagate_basins, flows, prob, piece, predictor.threshold, found.diameter

    def _stepped(self, progress: Progress) -> None:
        if isinstance(progress.payload, Step):
            self._steps.append(progress.payload)

    def _done(self, outcome: Propagated) -> None:
        assert self._plan is not None
        view, axis, way = self._plan
        self._steps = list(outcome.steps)
        if outcome.stopped_at is None:
            self.keep()
            return
        plane = way[outcome.stopped_at]
        done = f"{len(self._steps)} planes are done: keep them. " if self._steps else ""
        self.outcome.setText(
            f"Stopped at plane {plane}: {outcome.reason}. {done}Correct the cell in plane {plane}, then propagate from there."
        )
        self._offer(bool(self._steps))
        self._show_plane(view, axis, plane)

    def _ended(self) -> None:
        enable(self.go_button, True)
        if self._steps and not self.keep_button.isEnabled() and not self.outcome.text():
            self.outcome.setText(f"Cancelled; {len(self._steps)} planes are done.")
            self._offer(True)

    def keep(self) -> None:
        """Write the planes done so far into the labels, as one edit."""
        if self._plan is None or not self._steps:
            return
        view, axis, way = self._plan
        editor = self._annotator.editor
        patches: list[Any] = []
        for step in self._steps:
            piece = self._map.piece_to_labels(step.piece)
            there = view.moved(axis, way[step.index])
            patches += editor.commit(there, piece, self._label, replace=True).patches
        details = {"cell": self._label, "axis": axis, "planes": [way[s.index] for s in self._steps]}
        n = len(self._steps)
        self._steps = []
        self._offer(False)
        self._annotator.do(LabelsEdit(editor.target.uid, "propagate cell", tuple(patches), details))
        self.outcome.setText(f"Cell {self._label}: {n} planes written.")

    def discard(self) -> None:
        """Forget the planes done so far."""
        self._steps = []
        self.outcome.setText("")
        self._offer(False)

    def _offer(self, on: bool) -> None:
        enable(self.keep_button, on, NOTHING_NEW)
        enable(self.drop_button, on, NOTHING_NEW)

    def _show_plane(self, view: Any, axis: int, index: int) -> None:
        labels, viewer = self._annotator.labels, self._annotator.viewer
        at = [float(p) for p in view.position]
        at[axis] = index
        world = np.asarray(labels.data_to_world(at), float)
        ahead = viewer.dims.ndim - len(world)
        viewer.dims.set_point(axis + ahead, float(world[axis]))

    # ------------------------------------------------------------------ linking

    def link(self) -> None:
        """Follow all cells over time, give them their tracks' ids, and show the tracks."""
        labels = self._annotator.labels
        if labels is None or labels.ndim < 3:
            self._tell_error(SessionError("Linking needs labels over time (T, Y, X)."))
            return
        uid = layer_id(labels)
        enable(self.link_button, False)
        self._run(
            link_array,
            np.asarray(full_data(labels)),
            name="Linking cells over time",
            bound_to=uid,
            on_done=lambda tracking: self._linked(labels, tracking),
            on_end=lambda: enable(self.link_button, True),
        )

    def _linked(self, labels: Any, tracking: Tracking) -> None:
        if self._annotator.labels is not labels or not len(tracking.data):
            return
        edit = relabel_edit(self._annotator.editor.target, tracking)
        if edit:
            session = self._annotator.session
            session.do(link_over_time(session, edit, tracking))
        viewer = self._annotator.viewer
        name = f"{labels.name} tracks"
        for old in [x for x in viewer.layers if x.name == name and isinstance(x, Tracks)]:
            viewer.layers.remove(old)
        viewer.add_tracks(
            tracking.data, graph=tracking.graph, name=name, scale=labels.scale, translate=labels.translate,
            rotate=labels.rotate, shear=labels.shear, affine=labels.affine, units=labels.units,
        )  # fmt: skip
        viewer.layers.selection.active = labels
        self._annotator.say(f"{n_tracks(tracking)} tracks, {len(tracking.graph) // 2} divisions.")
