"""Joint table: activity beside looks, and which of the two go together."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtWidgets import QLabel, QPushButton, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from napari_biofm.timeline.joint import (
    BLOCK,
    TRACE_FEATURES,
    Associations,
    add_trace_features,
    associate,
    trace_features,
)
from napari_biofm.widgets.base import Dock
from napari_biofm.widgets.timeline.state import TimelineState

COLUMNS = ("looks", "activity", "rho", "q", "information", "q")


class JointPanel(QWidget):
    """Adds trace features to the table of cells, and tests them against what the cells look like.

    Parameters
    ----------
    dock : that holds the panel.
    state : of the dock.
    """

    def __init__(self, dock: Dock, state: TimelineState) -> None:
        super().__init__()
        self.dock = dock
        self.state = state
        self.add_button = QPushButton("Add activity to the table of cells")
        self.add_button.setToolTip("Rate, amplitude, synchrony ... as columns and a block of vectors.")
        self.test_button = QPushButton("Test what goes together")
        self.test_button.setToolTip("Rank correlation and mutual information by permutation, all pairs.")
        self.words = QLabel("Activity of each cell: rate, amplitude, intervals, bursts, synchrony, trace.")
        self.words.setWordWrap(True)
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        layout = QVBoxLayout(self)
        for widget in (self.add_button, self.test_button, self.words):
            layout.addWidget(widget)
        layout.addWidget(self.table, 1)
        self.add_button.clicked.connect(lambda: self.add())
        self.test_button.clicked.connect(lambda: self.test())

    def add(self) -> Any | None:
        """Put trace features into the session's table of cells, made from the masks where there is none."""
        labels, clock = self.state.labels, self.state.clock
        if labels is None or clock is None:
            self.dock.tell("Choose cells and align the movie first.")
            return None
        session, uid = self.state.session, str(self.state.labels_uid)
        table = session.cells(uid)
        if table is None:
            from napari_biofm.cells.table import make_table

            table = make_table(self.state.label_plane(), layer=uid)
        else:
            table = table.copy()
        ids = table.obs["label"].to_numpy(np.int64)
        tables = {name: entry.events for name, entry in session.recordings.items()}
        traces = [e.recording for e in session.recordings.values() if e.recording.is_cells]
        events = self.state.population()
        span = float(clock.times[0]), float(clock.at_frames([clock.n_frames])[0])
        features = trace_features(events, tables, ids, *span, traces[-1] if traces else None)
        session.set_cells(uid, add_trace_features(table, features, {"start_s": span[0], "stop_s": span[1]}))
        active = int((features[:, 0] > 0).sum())
        self.words.setText(f"{len(ids)} cells, {active} with events: {len(TRACE_FEATURES)} columns added.")
        return session.cells(uid)

    def test(self) -> None:
        """Test looks against activity in a job."""
        table = self.add()
        if table is None:
            return
        names = list(table.uns["blocks"]["regionprops"]["columns"])
        looks = np.asarray(table.obsm["regionprops"], float)
        few = [i for i, name in enumerate(names) if "intensity" not in name][:12]
        self.test_button.setEnabled(False)
        self.dock.run(
            associate,
            looks[:, few],
            np.asarray(table.obsm[BLOCK], float),
            [names[i] for i in few],
            list(TRACE_FEATURES),
            name="Test what goes together",
            bound_to=self.state.labels_uid,
            on_done=self._show,
            on_end=lambda: self.test_button.setEnabled(True),
        )

    def _show(self, found: Associations) -> None:
        self.words.setText(found.in_words())
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
