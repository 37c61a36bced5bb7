"""Continuous targets of cells: read what was measured, learn it from the vectors, and see how well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from psygnal import SignalInstance
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_biofm.cells.values.regression import RegressionHead, RegressionScore
from napari_biofm.cells.values.targets import Targets
from napari_biofm.widgets.cells.classes import TellError
from napari_biofm.widgets.cells.files_panel import guarded
from napari_biofm.widgets.common.buttons import enable, push_button
from napari_biofm.widgets.common.forms import note

EMPTY = (
    "Read a CSV or AnnData of numbers measured for some of these cells (object_id or cell_id and one column "
    "per target) or for whole wells (group), e.g. the expression of genes; a regression learns them from the "
    "vectors in use."
)
UNTRAINED = "Off: train or load a model of values first."
HEADER = ("R²", "permuted", "p", "regionprops", "cells")


class ValuesSource(Protocol):
    """Measured and predicted values of the cells in view; see `teaching.cell_values.CellValues`."""

    targets: Targets | None
    head: RegressionHead | None
    embeddings: tuple[str, ...]
    values: NDArray[np.float32] | None
    scores: tuple[RegressionScore, RegressionScore | None] | None

    @property
    def changed(self) -> SignalInstance: ...

    @property
    def said(self) -> SignalInstance: ...

    def read(self, path: Path) -> None: ...

    def learn(self) -> None: ...

    def save(self, folder: Path) -> None: ...

    def load(self, folder: Path) -> None: ...


class ValuesPanel(QWidget):
    """Buttons and scores for regressions.

    Parameters
    ----------
    source : the values. add_layer : makes a layer of the predicted values of a target. tell_error : shows an error.
    """

    def __init__(self, source: ValuesSource, add_layer: Callable[[str], None], tell_error: TellError) -> None:
        super().__init__()
        self.source = source
        self._tell_error = tell_error
        self.read_button = push_button("Read targets ...", "Read measured values from CSV or AnnData.")
        self.train_button = push_button(
            "Learn", "Score on groups left out and against permuted targets, train, and predict every cell."
        )
        self.save_button = push_button(
            "Save regression ...", "Save what was learnt, to use it on other images."
        )
        self.load_button = push_button(
            "Load regression ...", "Predict the values of these cells with a saved regression."
        )
        self.target_box = QComboBox()
        self.target_box.setToolTip("The target whose predicted values are shown.")
        self.show_button = push_button("Show as layer", "Add an image whose pixels are the predicted values.")
        self.words = note(EMPTY)
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
        self.read_button.clicked.connect(self._ask_targets)
        self.train_button.clicked.connect(self._learn)
        self.save_button.clicked.connect(self._ask_save)
        self.load_button.clicked.connect(self._ask_load)
        self.show_button.clicked.connect(
            lambda: self.guarded(lambda: add_layer(self.target_box.currentText()))
        )
        source.changed.connect(self.refresh)
        source.said.connect(self.say)
        self.refresh()

    def refresh(self) -> None:
        """Show what was read and learnt."""
        source = self.source
        targets = [] if source.head is None or source.values is None else list(source.head.targets)
        if targets != [self.target_box.itemText(i) for i in range(self.target_box.count())]:
            self.target_box.clear()
            self.target_box.addItems(targets)
        enable(self.train_button, source.targets is not None, "Off: read values of cells first.")
        enable(self.save_button, source.head is not None and bool(source.embeddings), UNTRAINED)
        for one in (self.target_box, self.show_button):
            enable(one, bool(targets), UNTRAINED)
        self._show_scores()
        if source.targets is None and source.head is None:
            self.words.setText(EMPTY)

    def _show_scores(self) -> None:
        self.table.setRowCount(0)
        if self.source.scores is None:
            return
        score, baseline = self.source.scores
        self.table.setRowCount(len(score.targets))
        self.table.setVerticalHeaderLabels(score.targets)
        beside = score.r2 if baseline is None else baseline.r2
        columns = zip(score.r2, score.chance, score.p, beside, score.n_cells, strict=True)
        for i, (r2, chance, p, other, n) in enumerate(columns):
            for j, words in enumerate((f"{r2:.2f}", f"{chance:.2f}", f"{p:.2f}", f"{other:.2f}", str(n))):
                self.table.setItem(i, j, QTableWidgetItem(words))
        self.table.resizeColumnsToContents()

    def say(self, words: str) -> None:
        """Show a line of text."""
        self.words.setText(words)

    def guarded(self, work: Callable[[], None]) -> None:
        """Do something with files; what goes wrong is shown."""
        guarded(work, self._tell_error)

    def _learn(self) -> None:
        enable(self.train_button, False)
        self.guarded(self.source.learn)

    def _ask_targets(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Targets", "", "Values (*.csv *.h5ad)")
        if name:
            self.guarded(lambda: self.source.read(Path(name)))

    def _ask_save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save regression: name of a new folder", "values")
        if name:
            self.guarded(lambda: self.source.save(Path(name)))

    def _ask_load(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Folder of the regression")
        if name:
            self.guarded(lambda: self.source.load(Path(name)))
