"""Continuous targets of cells: read what was measured, learn it from the vectors, and see how well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_biofm.cells.classify.persist import SavedHead, load_head, save_head
from napari_biofm.cells.table.cell_table import BASELINE, text, vectors_of
from napari_biofm.cells.values.regression import RegressionHead, RegressionScore
from napari_biofm.cells.values.targets import Targets, read_targets
from napari_biofm.types import BiofmError, CellsError
from napari_biofm.widgets.cells import jobs
from napari_biofm.widgets.cells.files_panel import FilesPanel, identity

EMPTY = (
    "Read a CSV or AnnData of numbers measured for some of these cells (object_id or cell_id and one column "
    "per target) or for whole wells (group), e.g. the expression of genes; a regression learns them from the "
    "vectors in use."
)
HEADER = ("R²", "permuted", "p", "regionprops", "cells")


class ValuesPanel(QWidget):
    """Buttons and scores for heads of values.

    Parameters
    ----------
    dock : the Cells dock.
    """

    def __init__(self, dock: Any) -> None:
        super().__init__()
        self.dock = dock
        self.targets: Targets | None = None
        self.head: RegressionHead | None = None
        self.embeddings: tuple[str, ...] = ()
        self.values: NDArray[np.float32] | None = None
        self.read_button = self._button("Read targets ...", "Read measured values from CSV or AnnData.")
        self.train_button = self._button(
            "Learn", "Score on groups left out and against permuted targets, train, and predict every cell."
        )
        self.save_button = self._button(
            "Save regression ...", "Save what was learnt, to use it on other images."
        )
        self.load_button = self._button(
            "Load regression ...", "Predict the values of these cells with a saved regression."
        )
        self.target_box = QComboBox()
        self.target_box.setToolTip("The target whose predicted values are shown.")
        self.show_button = self._button(
            "Show as layer", "Add an image whose pixels are the predicted values."
        )
        self.words = QLabel(EMPTY)
        self.words.setWordWrap(True)
        self.table = QTableWidget(0, len(HEADER))
        self.table.setHorizontalHeaderLabels(HEADER)
        self.table.setToolTip(
            "R² on cells (or whole groups) left out; of permuted targets, which is chance; share of "
            "permutations that do as well; R² of handcrafted measures; cells with a measured value."
        )
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widgets in (
            (self.read_button, self.train_button),
            (self.save_button, self.load_button),
            (self.target_box, self.show_button),
        ):
            row = QHBoxLayout()
            for widget in widgets:
                row.addWidget(widget, 1)
            layout.addLayout(row)
        layout.addWidget(self.words)
        layout.addWidget(self.table, 1)
        self.read_button.clicked.connect(lambda: self._ask_file(self.read))
        self.train_button.clicked.connect(lambda: self._guarded(self.learn))
        self.save_button.clicked.connect(self._ask_save)
        self.load_button.clicked.connect(self._ask_load)
        self.show_button.clicked.connect(lambda: self._guarded(self.add_layer))
        self._enable()

    @staticmethod
    def _button(words: str, tip: str) -> QPushButton:
        button = QPushButton(words)
        button.setToolTip(tip)
        return button

    def _enable(self) -> None:
        self.train_button.setEnabled(self.targets is not None)
        self.save_button.setEnabled(self.head is not None and bool(self.embeddings))
        self.target_box.setEnabled(self.values is not None)
        self.show_button.setEnabled(self.values is not None)

    # ------------------------------------------------------------------ what the buttons do

    def read(self, path: Path) -> None:
        """Read measured values; nothing changes where ids are not of these cells."""
        found = read_targets(path)
        measured = self._measured(found)
        self.targets = found
        n = int(np.isfinite(measured).any(1).sum())
        self.words.setText(
            f"{path.name}: {len(found.names)} targets, measured in {n} of {len(measured)} cells. Press 'Learn'."
        )
        self._enable()

    def learn(self) -> None:
        """Score, train and predict in the worker."""
        if self.targets is None:
            raise CellsError("Read targets first: a CSV or AnnData of numbers measured for these cells.")
        table, states = self._table(), self.dock.states
        measured, embeddings = self._measured(self.targets), tuple(states.embedding_names)
        groups = [str(g) for g in text(table, "group")]
        baseline = None if embeddings == (BASELINE,) else vectors_of(table, BASELINE)
        self.train_button.setEnabled(False)
        self.dock.run(
            jobs.regress,
            vectors_of(table, embeddings),
            measured,
            self.targets.names,
            groups,
            baseline,
            name=f"Learn {len(self.targets.names)} targets",
            bound_to=states.uid,
            on_done=lambda found: self._learnt(table, embeddings, found),
            on_end=self._enable,
        )

    def save(self, folder: Path) -> None:
        """Save the head of values into a folder of its own."""
        if self.head is None or not self.embeddings:
            raise CellsError("Nothing was learnt yet; read targets and press 'Learn' first.")
        encoders = {b: identity(self._table().uns["blocks"][b]) for b in self.embeddings}
        save_head(folder, SavedHead(self.head, self.embeddings, encoders))
        self.words.setText(f"Saved a regression of {len(self.head.targets)} targets in {folder}.")

    def load(self, folder: Path) -> None:
        """Predict with a saved head of values; vectors that lack are computed first."""
        saved, table = load_head(folder), self._table()
        head = saved.regression
        if not FilesPanel.can_compute(saved, table):
            saved.match(table.uns["blocks"])  # says what is wrong
        missing = saved.missing(table.uns["blocks"])
        wanted = {name: saved.encoders[name] for name in missing}

        def predict() -> None:
            names = saved.match(self._table().uns["blocks"])
            self._use(head, tuple(names), head.predict(vectors_of(self._table(), names)))
            self.table.setRowCount(0)
            self.words.setText(f"Predicted {len(head.targets)} targets with the regression in {folder}.")

        if wanted:
            self.dock.vectors_for(wanted, then=predict)
        else:
            predict()

    def add_layer(self) -> None:
        """Add an image layer of the predicted values; it stays as it is."""
        if self.head is None or self.values is None:
            raise CellsError("Nothing is predicted yet; press 'Learn' or load a regression first.")
        layer, states = self.dock.layer, self.dock.states
        name = self.target_box.currentText()
        column = self.values[:, list(self.head.targets).index(name)]
        labels = np.asarray(layer.data[0] if layer.multiscale else layer.data)
        lut = np.full(int(labels.max(initial=0)) + 1, np.nan, np.float32)
        there = states.values < len(lut)
        lut[states.values[there]] = column[there]
        lut[0] = np.nan
        finite = column[np.isfinite(column)]
        low, high = np.percentile(finite, (2, 98)) if len(finite) else (0.0, 1.0)
        self.dock.viewer.add_image(
            lut[labels],
            name=f"{layer.name}: {name}",
            colormap="viridis",
            contrast_limits=(float(low), float(max(high, low + 1e-9))),
            scale=layer.scale,
            translate=layer.translate,
            affine=layer.affine,
            metadata={"predicted": name},
        )

    # ------------------------------------------------------------------ parts

    def _learnt(self, table: Any, embeddings: tuple[str, ...], found: jobs.Regressed) -> None:
        if table is not self.dock.states.table:
            self.dock.tell("The cells changed while their values were learnt; press 'Learn' again.")
            return
        self._use(RegressionHead.restore(found.arrays, found.settings), embeddings, found.values)
        self._show_score(found.score, found.baseline)

    def _use(self, head: RegressionHead, embeddings: tuple[str, ...], values: NDArray[np.float32]) -> None:
        self.head, self.embeddings, self.values = head, embeddings, values
        for i, name in enumerate(head.targets):
            self._table().obs[f"predicted_{name}"] = values[:, i].astype(np.float64)
        self.target_box.clear()
        self.target_box.addItems(head.targets)
        self._enable()

    def _show_score(self, score: RegressionScore, baseline: RegressionScore | None) -> None:
        self.table.setRowCount(len(score.targets))
        self.table.setVerticalHeaderLabels(score.targets)
        beside = score.r2 if baseline is None else baseline.r2
        columns = zip(score.r2, score.chance, score.p, beside, score.n_cells, strict=True)
        for i, (r2, chance, p, other, n) in enumerate(columns):
            for j, words in enumerate((f"{r2:.2f}", f"{chance:.2f}", f"{p:.2f}", f"{other:.2f}", str(n))):
                self.table.setItem(i, j, QTableWidgetItem(words))
        self.table.resizeColumnsToContents()
        told = len(score.targets) - len(score.warnings)
        how = "whole groups" if score.left_out == "groups" else "random cells (optimistic)"
        said = [
            f"{told} of {len(score.targets)} targets are predicted better than by chance; {how} left out."
        ]
        self.words.setText("\n".join(said + [f"⚠ {words}" for words in score.warnings[:4]]))

    def _measured(self, targets: Targets) -> NDArray[np.float64]:
        table = self._table()
        cells = [str(c) for c in table.obs["cell_id"]]
        groups = [str(g) for g in text(table, "group")]
        return targets.for_cells(cells, groups, [str(v) for v in table.obs["label"]])

    def _table(self) -> Any:
        if self.dock.states.table is None:
            raise CellsError("Measure the cells first; there is no table yet.")
        return self.dock.states.table

    def forget(self) -> None:
        """Other cells are in view: what was predicted belongs to the former ones."""
        self.targets, self.head, self.values, self.embeddings = None, None, None, ()
        self.target_box.clear()
        self.table.setRowCount(0)
        self.words.setText(EMPTY)
        self._enable()

    def _guarded(self, work: Any) -> None:
        try:
            work()
        except (BiofmError, OSError) as error:
            self.dock.tell_error(error if isinstance(error, BiofmError) else CellsError(str(error)))

    def _ask_file(self, use: Any) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Targets", "", "Values (*.csv *.h5ad)")
        if name:
            self._guarded(lambda: use(Path(name)))

    def _ask_save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save regression: name of a new folder", "values")
        if name:
            self._guarded(lambda: self.save(Path(name)))

    def _ask_load(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Folder of the regression")
        if name:
            self._guarded(lambda: self.load(Path(name)))
