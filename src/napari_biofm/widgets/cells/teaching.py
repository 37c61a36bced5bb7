"""The part of the Cells dock that gives labels and leads from cell to cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from qtpy.QtWidgets import QComboBox, QPushButton

from napari_biofm.cells.classify.active_learning import find_similar, label_next, largest
from napari_biofm.cells.classify.live import Prepared
from napari_biofm.types import BiofmError, CellsError
from napari_biofm.widgets.cells.canvas import go_to
from napari_biofm.widgets.cells.cell_table import CellTable
from napari_biofm.widgets.cells.classes import ClassList
from napari_biofm.widgets.cells.embeddings import EmbeddingsDock
from napari_biofm.widgets.cells.latest import Latest

EVERY, NEXT, SIMILAR, RARE, LABELLED = "All cells", "Label next", "Similar", "Rare", "Labelled"
LISTED, LISTED_NEXT = 100, 30


class TeachingDock(EmbeddingsDock):
    """Labels by clicks, keys and selections; lists of cells worth a look."""

    click_button: QPushButton
    list_box: QComboBox
    class_list: ClassList
    cell_table: CellTable
    lists: Latest

    def _canvas_clicked(self, label: int, event: Any) -> None:
        row = int(self.states.rows_of([label])[0])
        if row < 0:
            if self.states.table is not None:
                self.status.setText(f"Cell {label} is not in the table yet; press 'Measure cells'.")
            return
        if self.click_button.isChecked():
            self._give([row], take_away="Shift" in event.modifiers)
        elif "Shift" in event.modifiers:
            self.states.select_rows(np.union1d(self.states.selected_rows, [row]))
        else:
            self.states.select_rows([row])

    def _canvas_hovered(self, label: int) -> None:
        if label:
            self._say_row(int(self.states.rows_of([label])[0]))

    def _point_clicked(self, row: int) -> None:
        if self.click_button.isChecked():
            self._give([row])
        else:
            self.states.select_rows([row])

    def _give(self, rows: Any, code: int | None = None, take_away: bool = False) -> None:
        chosen = -1 if take_away else self.class_list.current if code is None else code
        if chosen < 0 and not take_away:
            self.status.setText("Add a class first, then click cells of it.")
            return
        try:
            self.states.assign(rows, chosen)
        except CellsError as error:
            self.tell_error(error)

    def label_selection(self) -> None:
        """Give the chosen class to the selected cells."""
        rows = self.states.selected_rows
        if not len(rows):
            self.status.setText("Select cells first: click one, or draw a lasso in the plot.")
            return
        self._give(rows)

    def press_key(self, code: int) -> None:
        """What a class's hot key does: choose the class, and give it to the selected cells."""
        if code >= len(self.states.classes):
            return
        self.class_list.choose(code)
        rows = self.states.selected_rows
        if len(rows):
            self._give(rows, code)
            if self.list_box.currentText() == NEXT:
                self.go_to_next()

    def undo(self) -> None:
        """Take the last edit back."""
        try:
            self.session.history.undo()
        except BiofmError as error:
            self.tell_error(error)

    def _list(self, which: str, then: Callable[[], None] | None = None) -> None:
        self.list_box.blockSignals(True)
        self.list_box.setCurrentText(which)
        self.list_box.blockSignals(False)
        self._relist(then)

    def _relist(self, then: Callable[[], None] | None = None) -> None:
        """Put the cells of the chosen list into the table; what takes thought is thought of off the GUI thread.

        Parameters
        ----------
        then : called when they are there.
        """
        states, which = self.states, self.list_box.currentText()
        values, prepared, rows = states.values, states.prepared, states.selected_rows

        def show(order: Any) -> None:
            if states.values is values and self.list_box.currentText() == which:
                self.cell_table.cells.set_order(order)
                self.cell_table.show_selection(states.selected_rows)
                if then is not None:
                    then()

        if which == SIMILAR and prepared is not None and len(rows):
            features = prepared.features
            self.lists.submit(
                lambda: np.concatenate([rows, find_similar(features, rows, LISTED)]), show, self._failed
            )
            return
        if which == NEXT and prepared is not None:
            self.lists.submit(self._next_cells(prepared), show, self._failed)
            return
        order = np.arange(len(values))
        if which == LABELLED:
            order = np.flatnonzero(states.by_hand >= 0)
        elif which == RARE and states.outlier is not None:
            order = largest(np.nan_to_num(states.outlier), LISTED)
        elif which == SIMILAR and prepared is not None:
            order = order[:0]
            self.status.setText("Choose a cell first: click it in the image, the plot or the table.")
        show(order)

    def _next_cells(self, prepared: Prepared) -> Callable[[], Any]:
        states = self.states
        labelled, outlier = states.by_hand >= 0, states.outlier
        probabilities = None if states.prediction is None else states.prediction.probabilities
        return lambda: label_next(
            prepared.features, labelled, probabilities, outlier, LISTED_NEXT, finite=prepared.finite
        )

    def go_to_next(self) -> None:
        """Go to the cell that is worth most to label, and select it."""
        self._list(NEXT, then=self._go_to_first)

    def _go_to_first(self) -> None:
        order = self.cell_table.cells.order
        if len(order):
            self.states.select_rows(order[:1])
            self.go_to_row(int(order[0]))
        else:
            self.status.setText("Every cell has a label, or there are none.")

    def go_to_row(self, row: int) -> None:
        """Bring a cell into view."""
        table, layer = self.states.table, self.layer
        if table is None or layer is None:
            return
        axes = sorted(c for c in table.obs.columns if c.startswith("centroid-"))
        centroid = table.obs.iloc[row][axes].to_numpy(float)
        go_to(self.viewer, layer, centroid, 2 * float(np.sqrt(table.obs["area"].iat[row] / np.pi)))

    def _table_double_clicked(self, index: Any) -> None:
        self.go_to_row(int(self.cell_table.cells.order[index.row()]))
