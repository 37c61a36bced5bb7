"""The part of the Cells dock that gives labels and leads from cell to cell."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtWidgets import QComboBox, QPushButton

from napari_biofm.cells.rarity import find_similar, label_next
from napari_biofm.types import BiofmError, CellsError
from napari_biofm.widgets.cells.blocks import BlocksDock
from napari_biofm.widgets.cells.canvas import go_to
from napari_biofm.widgets.cells.cell_table import CellTable
from napari_biofm.widgets.cells.classes import ClassList

EVERY, NEXT, SIMILAR, RARE, LABELLED = "All cells", "Label next", "Similar", "Rare", "Labelled"
LISTED = 100


class TeachingDock(BlocksDock):
    """Labels by clicks, keys and selections; lists of cells worth a look."""

    click_button: QPushButton
    list_box: QComboBox
    class_list: ClassList
    cell_table: CellTable

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

    def _list(self, which: str) -> None:
        if self.list_box.currentText() == which:
            self._relist()
        else:
            self.list_box.setCurrentText(which)

    def _relist(self) -> None:
        states, which = self.states, self.list_box.currentText()
        order = np.arange(len(states.values))
        prepared = states.prepared
        if which == LABELLED:
            order = np.flatnonzero(states.by_hand >= 0)
        elif which == RARE and states.outlier is not None:
            order = np.argsort(-np.nan_to_num(states.outlier), kind="stable")[:LISTED]
        elif which == SIMILAR and prepared is not None:
            rows = states.selected_rows
            if len(rows):
                order = np.concatenate([rows, find_similar(prepared.features, rows, LISTED)])
            else:
                order = order[:0]
                self.status.setText("Choose a cell first: click it in the image, the plot or the table.")
        elif which == NEXT and prepared is not None:
            probabilities = None if states.prediction is None else states.prediction.probabilities
            order = label_next(prepared.features, states.by_hand >= 0, probabilities, states.outlier, 30)
        self.cell_table.cells.set_order(order)
        self.cell_table.show_selection(states.selected_rows)

    def go_to_next(self) -> None:
        """Go to the cell that is worth most to label, and select it."""
        self._list(NEXT)
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
