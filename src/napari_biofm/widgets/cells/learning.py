"""The part of the Cells dock that has heads trained, scored and applied to movies in the worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtWidgets import QComboBox, QFileDialog

from napari_biofm.cells.classify.heads import LogisticHead
from napari_biofm.cells.table.cell_table import BASELINE, part_widths, text, vectors_of
from napari_biofm.cells.track.tracks import LABELS_ARE_TRACKS, tracks_from_csv
from napari_biofm.types import CellsError
from napari_biofm.widgets.cells import jobs
from napari_biofm.widgets.cells.files_panel import FilesPanel, identity
from napari_biofm.widgets.cells.planes import image_for, movie_for, plane_of_cells
from napari_biofm.widgets.cells.scores_panel import ScoresPanel
from napari_biofm.widgets.cells.teaching import TeachingDock
from napari_biofm.widgets.cells.timeline_panel import BY_LABEL, BY_OVERLAP, TimelinePanel
from napari_biofm.widgets.common.later_tabs import LaterTabs
from napari_biofm.widgets.common.viewers import layer_by_id, layer_id

CELLS, PLOT, SCORES, TIME, VALUES, FILES = "Cells", "Plot", "Scores", "Time", "Values", "Files"  # tabs


class LearningDock(TeachingDock):
    """Trains the chosen head, scores the labels, classifies movies."""

    head_box: QComboBox
    scores: ScoresPanel
    timeline: TimelinePanel
    files: FilesPanel
    tabs: LaterTabs
    movie: jobs.ClassifiedMovie | None = None

    def _vectors_chosen(self, name: str) -> None:
        if name and self.states.table is not None:
            self.states.use_embeddings(name)

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
            part_widths(table, self.states.embedding_names),
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
        return vectors_of(states.table, states.embedding_names), rows, names, groups

    def score(self) -> None:
        """Score the labels given so far, in the worker."""
        vectors, rows, names, groups = self._training_data()
        if vectors is None or self.states.table is None or self.layer is None:
            return
        table, layer, head = self.states.table, self.layer, self.head_box.currentText()
        baselines = (
            {} if self.states.embeddings == BASELINE else {BASELINE: vectors_of(table, BASELINE)[rows]}
        )
        plane = plane_of_cells(self.viewer, layer)
        image = image_for(self.viewer, self.session.image, layer) if plane.ndim == 2 else None
        self.run(
            jobs.score_cells,
            head,
            vectors[rows],
            names,
            groups,
            baselines,
            self.states.embeddings,
            image,
            plane,
            rows,
            None if head == LogisticHead.name else part_widths(table, self.states.embedding_names),
            name="Score",
            bound_to=self.states.uid,
            on_done=self.scores.show_report,
        )

    def classify_movie(self) -> None:
        """Classify every cell in every frame with what was learnt on the frame in the table."""
        layer, states = self.layer, self.states
        taught = states.other_head is not None or (
            states.head is not None and states.head.weights is not None
        )
        if layer is None or layer.ndim != 3 or not taught or states.table is None:
            self.tell_error(
                CellsError(
                    "Choose a Labels layer with time as first axis, press 'Measure cells' on one frame, and "
                    "label cells of two classes there (or load a classifier)."
                )
            )
            return
        names, uid = [n for n, _ in states.classes], layer_id(layer)
        data = layer.data[0] if layer.multiscale else layer.data
        head = states.other_head or states.head.as_head(names)
        embeddings = {b: identity(states.table.uns["blocks"][b]) for b in states.head_embeddings}
        try:
            tracks = self._tracks_for(layer)
        except CellsError as error:
            self.tell_error(error)
            return
        self.run(
            jobs.classify_movie,
            np.asarray(data),
            movie_for(self.viewer, data.shape),
            head.name,
            *head.state(),
            embeddings,
            names,
            states.min_probability,
            uid,
            tracks,
            name="Classify movie",
            bound_to=uid,
            on_done=self._movie_classified,
        )

    def _tracks_for(self, layer: Any) -> Any:
        """Points of the chosen Tracks layer in pixels of the labels, or the way that needs none."""
        chosen = self.timeline.tracks_box.currentData()
        if chosen == BY_OVERLAP:
            return None
        if chosen == BY_LABEL:
            return LABELS_ARE_TRACKS
        tracks = layer_by_id(self.viewer, chosen)
        if tracks is None or tracks.data.shape[1] != layer.ndim + 1:
            raise CellsError(
                f"The tracks do not have the axes of '{layer.name}' (time, y, x); choose others, or "
                f"'{BY_OVERLAP}'."
            )
        points = np.asarray(tracks.data, float).copy()
        world = [tracks.data_to_world(row) for row in points[:, 1:]]
        points[:, 1:] = [layer.world_to_data(row) for row in world]
        return points

    def read_tracks(self, path: Path) -> None:
        """Add a Tracks layer from a CSV, and choose it."""
        layer = self.layer
        if layer is None:
            raise CellsError("Open the movie's Labels layer first; tracks are given in its pixels.")
        points = tracks_from_csv(path)
        if points.shape[1] != layer.ndim + 1:
            raise CellsError(
                f"{path}: tracks with {points.shape[1] - 1} axes do not fit '{layer.name}' with {layer.ndim}."
            )
        added = self.viewer.add_tracks(points, name=path.stem, scale=layer.scale, translate=layer.translate)
        self._offer_tracks()
        self.timeline.tracks_box.setCurrentIndex(self.timeline.tracks_box.findData(layer_id(added)))

    def ask_tracks(self) -> None:
        """Let the user choose a CSV of tracks."""
        name, _ = QFileDialog.getOpenFileName(self, "Tracks", "", "CSV (*.csv)")
        if name:
            try:
                self.read_tracks(Path(name))
            except CellsError as error:
                self.tell_error(error)

    def _offer_tracks(self, event: Any = None) -> None:
        if self.tabs.made(TIME) is not None:
            self.timeline.set_tracks(self._tracks_layers())

    def _tracks_layers(self) -> list[tuple[str, str]]:
        return [(x.name, layer_id(x)) for x in self.viewer.layers if type(x).__name__ == "Tracks"]

    def _movie_classified(self, found: jobs.ClassifiedMovie) -> None:
        self.movie = found
        self.overlay.paint_frames(found.luts)
        self.timeline.show_timeline(found.timeline, dict(self.states.classes))
        self._frame_changed()

    def _frame_changed(self, event: Any = None) -> None:
        if self.tabs.made(TIME) is not None and self.timeline.timeline is not None:
            self.timeline.set_frame(int(self.viewer.dims.current_step[0]))
