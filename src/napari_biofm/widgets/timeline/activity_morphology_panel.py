"""Activity and morphology: activity beside looks, and which of the two go together."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtWidgets import QTableWidget, QTableWidgetItem

from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.timeline.activity_and_morphology import (
    BLOCK,
    TRACE_FEATURES,
    Associations,
    add_trace_features,
    associate,
    trace_features,
)
from napari_biofm.timeline.patched import (
    PatchFeatures,
    add_patch_features,
    add_trace_vectors,
    patch_features,
    trace_vectors,
)
from napari_biofm.widgets.common.buttons import enable, push_button
from napari_biofm.widgets.timeline.panel import Host, Panel

COLUMNS = ("looks", "activity", "rho", "q", "information", "q")


class ActivityMorphologyPanel(Panel):
    """Adds trace features to the table of cells, and tests them against what the cells look like.

    Parameters
    ----------
    host : runs the panel's jobs and shows its messages.
    controller : of the timeline.
    """

    def __init__(self, host: Host, controller: TimelineController) -> None:
        super().__init__(
            host, controller, "Activity of each cell: rate, amplitude, intervals, bursts, synchrony, trace."
        )
        self.add_button = push_button(
            "Add activity to the table of cells",
            "Rate, amplitude, synchrony ... as columns and an embedding of vectors.",
        )
        self.patch_button = push_button(
            "Add features of patched cells",
            "Resistance, capacitance, threshold ... of every cell linked to a recording: medians over its sweeps "
            "and events, as columns 'patch_...'.",
        )
        self.vector_button = push_button(
            "Add physio-FM vectors of the traces",
            "One vector of the physio model per cell, for the classifier. Takes a while.",
        )
        self.test_button = push_button(
            "Test what goes together", "Rank correlation and mutual information by permutation, all pairs."
        )
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        for widget in (self.add_button, self.patch_button, self.vector_button, self.test_button, self.words):
            self.column.addWidget(widget)
        self.column.addWidget(self.table, 1)
        self.add_button.clicked.connect(lambda: self.add())
        self.patch_button.clicked.connect(lambda: self.add_patch())
        self.vector_button.clicked.connect(lambda: self.add_vectors())
        self.test_button.clicked.connect(lambda: self.test())

    def add(self) -> Any | None:
        """Put trace features into the session's table of cells, made from the masks where there is none."""
        labels, clock = self.controller.labels, self.controller.clock
        if labels is None or clock is None:
            self.host.tell("Choose cells and align the movie first.")
            return None
        session, uid = self.controller.session, str(self.controller.labels_uid)
        table = self.controller.table()
        ids = table.obs["label"].to_numpy(np.int64)
        tables = {name: entry.events for name, entry in session.recordings.items()}
        events = self.controller.population()
        span = float(clock.times[0]), float(clock.at_frames([clock.n_frames])[0])
        features = trace_features(
            events, tables, ids, *span, self.controller.counted_traces(),
            imaged_s=clock.imaged_s, rejected=self.controller.left_out(),
        )  # fmt: skip
        session.set_cells(uid, add_trace_features(table, features, {"start_s": span[0], "stop_s": span[1]}))
        active = int((features[:, 0] > 0).sum())
        self.words.setText(
            f"{len(ids)} cells, {active} with events: {len(TRACE_FEATURES)} columns added.{self.rejected_words()}"
        )
        return session.cells(uid)

    def add_patch(self) -> None:
        """Describe the recorded cells in a job, and put what was found into the table of cells."""
        if self.controller.labels is None:
            self.host.tell("Choose the labels layer with the cells first.")
            return
        session, uid = self.controller.session, str(self.controller.labels_uid)
        recordings = session.recordings
        linked = self.controller.linked_cells()
        places: dict[int, list[tuple[str, int]]] = {}
        for name in linked.keys() & recordings.keys():
            for channel, label in linked[name].items():
                places.setdefault(label, []).append((name, channel))
        enable(self.patch_button, False)
        self.host.run(
            patch_features,
            {name: (e.recording, e.events) for name, e in recordings.items() if name in linked},
            places,
            name="Features of patched cells",
            bound_to=uid,
            on_done=lambda found: self._patched(uid, found),
            on_end=lambda: enable(self.patch_button, True),
        )

    def add_vectors(self) -> None:
        """Describe the traces by the physio model in a job, as an embedding of vectors in the table of cells."""
        labels = self.controller.labels
        traces = self.controller.counted_traces()
        if labels is None or traces is None:
            self.host.tell("Choose cells and measure their traces under 'Cells' first.")
            return
        uid, table = str(self.controller.labels_uid), self.controller.table()
        enable(self.vector_button, False)
        self.host.run(
            trace_vectors,
            traces,
            table.obs["label"].to_numpy(np.int64),
            name="physio-FM vectors",
            bound_to=uid,
            on_done=lambda vectors: self._embedded(uid, vectors, traces.name),
            on_end=lambda: enable(self.vector_button, True),
        )

    def _patched(self, uid: str, found: PatchFeatures) -> None:
        if uid != self.controller.labels_uid:
            return
        self.controller.session.set_cells(uid, add_patch_features(self.controller.table(), found))
        n, several = len(found.labels), int((found.recordings > 1).sum())
        more = f", {several} of them from several recordings" if several else ""
        self.words.setText(f"{n} patched cells{more}: {len(found.names)} columns 'patch_...' added.")

    def _embedded(self, uid: str, vectors: np.ndarray, source: str) -> None:
        table = self.controller.table() if uid == self.controller.labels_uid else None
        if table is None or table.n_obs != len(vectors):
            self.host.tell("The cells changed meanwhile: add the vectors again.")
            return
        lacking = add_trace_vectors(table, vectors, {"traces": source})
        self.controller.session.set_cells(uid, table)
        without = f" {lacking} cells without a trace took the median." if lacking else ""
        self.words.setText(
            f"Vectors of {len(vectors) - lacking} traces, {vectors.shape[1]} numbers each.{without}{self.rejected_words()}"
        )

    def test(self) -> None:
        """Test looks against activity in a job."""
        table = self.add()
        if table is None:
            return
        names = list(table.uns["blocks"]["regionprops"]["columns"])
        looks = np.asarray(table.obsm["regionprops"], float)
        few = [i for i, name in enumerate(names) if "intensity" not in name][:12]
        counted = ~np.isin(table.obs["label"].to_numpy(np.int64), self.controller.left_out())
        enable(self.test_button, False)
        self.host.run(
            associate,
            looks[counted][:, few],
            np.asarray(table.obsm[BLOCK], float)[counted],
            [names[i] for i in few],
            list(TRACE_FEATURES),
            name="Test what goes together",
            bound_to=self.controller.labels_uid,
            on_done=self._show,
            on_end=lambda: enable(self.test_button, True),
        )

    def _show(self, found: Associations) -> None:
        self.words.setText(found.in_words() + self.rejected_words())
        order = np.argsort(found.p_correlation.ravel())[:50]
        self.table.setRowCount(len(order))
        for row, flat in enumerate(order):
            i, j = np.unravel_index(flat, found.correlation.shape)
            cells = (
                found.first[i],
                found.second[j],
                f"{found.correlation[i, j]:+.2f}",
                f"{found.q_correlation[i, j]:.3f}",
                f"{found.information[i, j]:.2f}",
                f"{found.q_information[i, j]:.3f}",
            )
            for column, text in enumerate(cells):
                self.table.setItem(row, column, QTableWidgetItem(text))
        self.table.resizeColumnsToContents()
