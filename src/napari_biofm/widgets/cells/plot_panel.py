"""The scatter plot with its choice of projection; UMAP is computed in the background."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QSpinBox, QVBoxLayout, QWidget

from napari_biofm.cells.classify.clustering import METHODS, cluster
from napari_biofm.cells.classify.live import Prepared
from napari_biofm.cells.classify.projection import AXES as UMAP_AXES
from napari_biofm.cells.classify.projection import UMAP_MISSING, has_umap, pca, umap
from napari_biofm.cells.table.classes import COLOURS
from napari_biofm.teaching.cell_states import CellStates
from napari_biofm.widgets.cells.scatter import Scatter
from napari_biofm.widgets.common.buttons import enable, push_button
from napari_biofm.widgets.common.event_loop import EventLoopTask
from napari_biofm.widgets.common.forms import choice, note

PCA, PCA_34, UMAP = "PCA 1, 2", "PCA 3, 4", "UMAP"
NO_GROUPS = "Off: cluster the cells first."
RUNNING = "UMAP runs in the background; PCA is shown meanwhile."


class PlotPanel(QWidget):
    """Projection of the vectors in use, coloured like the image.

    Parameters
    ----------
    run : runs a job in the engine: `run(function, *args, name=, bound_to=, on_done=)`.
    """

    def __init__(self, states: CellStates, run: Callable[..., Any], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.states = states
        self._run = run
        self.kind = QComboBox()
        self.kind.addItems([PCA, PCA_34, UMAP])
        self.kind.setToolTip("How the vectors are laid out in two dimensions.")
        self.words = note("")
        self.scatter = Scatter()
        row = QHBoxLayout()
        row.addWidget(self.kind)
        row.addWidget(self.words, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.method = choice(METHODS, "How cells that look alike are grouped, without labels.")
        self.number = QSpinBox()
        self.number.setRange(2, 99)
        self.number.setValue(4)
        self.number.setToolTip(
            "Number of groups; for HDBSCAN the smallest number of cells of a group, for Leiden of neighbours of a cell."
        )
        self.cluster_button = push_button("Cluster", "Group the cells; the table gets a column 'cluster'.")
        self.classes_button = push_button(
            "As classes", "Label every cell with its group; undo takes it back."
        )
        enable(self.classes_button, False, NO_GROUPS)
        groups = QHBoxLayout()
        for part in (self.method, self.number, self.cluster_button, self.classes_button):
            groups.addWidget(part)
        layout.addLayout(row)
        layout.addLayout(groups)
        layout.addWidget(self.scatter, 1)
        self.cluster_button.clicked.connect(self._cluster)
        self.classes_button.clicked.connect(self._as_classes)
        self._groups: Any = None
        self.kind.currentTextChanged.connect(self.project)
        self._projected: Any = None
        self._pca: tuple[Any, int] | None = None  # the vectors shown by PCA, first axis
        self._event_loop_task = EventLoopTask(self)  # of UMAP, what is heavy has one of its own

    def project(self, *_: Any) -> None:
        """Lay out the vectors in use."""
        prepared, kind = self.states.prepared, self.kind.currentText()
        self._projected = prepared
        self.words.setText("")
        if prepared is None:
            self._pca = None
            self.scatter.set_points(np.zeros((0, 2), np.float32), ("", ""))
            return
        self._show_pca(prepared, 2 if kind == PCA_34 else 0)
        if kind == UMAP and not has_umap():
            self.words.setText(UMAP_MISSING)
        elif kind == UMAP:
            self.words.setText(RUNNING)
            self._event_loop_task.start(self._start_umap(prepared))

    def _show_pca(self, prepared: Prepared, first: int) -> None:
        if self._pca is not None and self._pca[0] is prepared and self._pca[1] == first:
            return
        points = pca(prepared.features, 4)[:, first : first + 2]
        points[~prepared.finite] = np.nan
        self._show(points, (f"PCA {first + 1}", f"PCA {first + 2}"))
        self._pca = prepared, first

    def _start_umap(self, prepared: Prepared) -> Iterator[None]:
        yield
        if prepared is not self.states.prepared or self.kind.currentText() != UMAP:
            return
        first_axes = prepared.features[:, :UMAP_AXES].copy()
        first_axes[~prepared.finite] = np.nan
        yield
        self._run(
            umap,
            first_axes,
            name="UMAP",
            bound_to=self.states.uid,
            on_done=lambda points: self._event_loop_task.start(self._show_umap(prepared, points)),
            on_end=self._umap_ended,
        )

    def _cluster(self) -> None:
        """Group the cells by the vectors in use, in the worker."""
        prepared = self.states.prepared
        if prepared is None:
            self.words.setText("Measure the cells first.")
            return
        features = prepared.features.copy()
        features[~prepared.finite] = np.nan
        self._run(
            cluster, features, self.method.currentText(), self.number.value(),
            name="Cluster", bound_to=self.states.uid, on_done=lambda groups: self._show_groups(prepared, groups),
        )  # fmt: skip

    def _show_groups(self, prepared: Prepared, groups: Any) -> None:
        if prepared is not self.states.prepared:
            return
        self._groups = groups
        n = int(groups.max(initial=0))
        self.states.write_columns({"cluster": groups})
        enable(self.classes_button, n > 0, NO_GROUPS)
        colours = [COLOURS[i % len(COLOURS)] for i in range(n)]
        self.scatter.set_colours(groups.astype(np.uint8), colours)
        alone = int((groups == 0).sum())
        self.words.setText(f"{n} groups" + (f", {alone} cells in none" if alone else ""))

    def _as_classes(self) -> None:
        """Give every cell its group as a class, as one edit."""
        ids = self.states.measured().obs["cell_id"].astype(str).to_numpy()
        if self._groups is not None and len(self._groups) == len(ids):
            on = np.flatnonzero(self._groups > 0)
            self.states.assign_names({ids[i]: f"group {self._groups[i]}" for i in on})

    def refresh(self) -> None:
        """Colour the points like the cells; lay them out first where the vectors are others."""
        if self._projected is not self.states.prepared:
            self._groups = None
            enable(self.classes_button, False, NO_GROUPS)
            self.project()
        else:
            self.scatter.set_colours(self.states.shown_codes, [c for _, c in self.states.classes])

    def show_selection(self, rows: Any) -> None:
        """Mark the selected cells."""
        self.scatter.set_selected(rows)

    def _umap_ended(self) -> None:
        """Done, cancelled or failed: it runs no more."""
        if self.words.text() == RUNNING:
            self.words.setText("")

    def _show_umap(self, prepared: Prepared, points: Any) -> Iterator[None]:
        yield  # the engine's end of the job has a turn of its own
        if prepared is self.states.prepared and self.kind.currentText() == UMAP:
            self._pca = None
            self._show(points, ("UMAP 1", "UMAP 2"))
            yield
            self.words.setText("")

    def _show(self, points: Any, names: tuple[str, str]) -> None:
        self.scatter.set_points(points, names)
        self.scatter.set_colours(self.states.shown_codes, [c for _, c in self.states.classes])
        self.scatter.set_selected(self.states.selected_rows)
