"""The part of the Cells dock that has heads trained, scored and applied to movies in the worker."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtWidgets import QComboBox

from napari_biofm.cells.table import BASELINE, text, vectors_of
from napari_biofm.types import CellsError
from napari_biofm.widgets.cells import jobs
from napari_biofm.widgets.cells.files_panel import FilesPanel
from napari_biofm.widgets.cells.planes import image_for, movie_for, plane_of_cells
from napari_biofm.widgets.cells.scores_panel import ScoresPanel
from napari_biofm.widgets.cells.teaching import TeachingDock
from napari_biofm.widgets.cells.timeline_panel import TimelinePanel
from napari_biofm.widgets.viewers import layer_id


class LearningDock(TeachingDock):
    """Trains the chosen head, scores the labels, classifies movies."""

    head_box: QComboBox
    scores: ScoresPanel
    timeline: TimelinePanel
    files: FilesPanel
    movie: jobs.ClassifiedMovie | None = None

    def _vectors_chosen(self, name: str) -> None:
        if name and self.states.table is not None:
            self.states.use_blocks(name)

    def _confidence_changed(self, value: float) -> None:
        self.states.min_probability = value
        self._predicted()

    def train(self) -> None:
        """Train the chosen head: logistic at once, the others in the worker."""
        if self.head_box.currentText() == "logistic":
            self.states.refit()
            return
        vectors, rows, names, groups = self._training_data()
        if vectors is None:
            return
        table = self.states.table
        self.run(
            jobs.train_head,
            self.head_box.currentText(),
            vectors,
            rows,
            names,
            groups,
            name=f"Train '{self.head_box.currentText()}'",
            bound_to=self.states.uid,
            on_done=lambda trained: self.files.use_trained(trained, table),
        )

    def _training_data(self) -> Any:
        states = self.states
        rows = np.flatnonzero(states.by_hand >= 0)
        if states.table is None or len(set(states.by_hand[rows].tolist())) < 2:
            self.tell_error(CellsError("Two classes are needed to learn; label cells of two classes first."))
            return None, None, None, None
        names = np.asarray([states.classes[c][0] for c in states.by_hand[rows]], object)
        groups = [str(g) for g in text(states.table, "group")[rows]]
        return vectors_of(states.table, states.block_names), rows, names, groups

    def score(self) -> None:
        """Score the labels given so far, in the worker."""
        vectors, rows, names, groups = self._training_data()
        if vectors is None or self.states.table is None or self.layer is None:
            return
        table, layer = self.states.table, self.layer
        baselines = {} if self.states.blocks == BASELINE else {BASELINE: vectors_of(table, BASELINE)[rows]}
        plane = plane_of_cells(self.viewer, layer)
        image = image_for(self.viewer, self.session.image, layer) if plane.ndim == 2 else None
        self.run(
            jobs.score_cells,
            self.head_box.currentText(),
            vectors[rows],
            names,
            groups,
            baselines,
            self.states.blocks,
            image,
            plane,
            rows,
            name="Score",
            bound_to=self.states.uid,
            on_done=self.scores.show_report,
        )

    def classify_movie(self) -> None:
        """Classify every cell in every frame with what was learnt on the frame in the table."""
        layer, states = self.layer, self.states
        if layer is None or layer.ndim != 3 or states.head is None or states.head.weights is None:
            self.tell_error(
                CellsError(
                    "Choose a Labels layer with time as first axis, press 'Measure cells' on one frame, and "
                    "label cells of two classes there."
                )
            )
            return
        if states.block_names != [BASELINE]:
            self.tell_error(
                CellsError(
                    f"Movies are classified by '{BASELINE}'; choose these vectors. Others need their encoder."
                )
            )
            return
        names, uid = [n for n, _ in states.classes], layer_id(layer)
        data = layer.data[0] if layer.multiscale else layer.data
        self.run(
            jobs.classify_movie,
            np.asarray(data),
            movie_for(self.viewer, data.shape),
            *states.head.as_head(names).state(),
            names,
            states.min_probability,
            uid,
            name="Classify movie",
            bound_to=uid,
            on_done=self._movie_classified,
        )

    def _movie_classified(self, found: jobs.ClassifiedMovie) -> None:
        self.movie = found
        self.overlay.paint_frames(found.luts)
        self.timeline.show_timeline(found.timeline, dict(self.states.classes))
        self._frame_changed()

    def _frame_changed(self, event: Any = None) -> None:
        if self.timeline.timeline is not None:
            self.timeline.set_frame(int(self.viewer.dims.current_step[0]))
