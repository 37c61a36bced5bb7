"""The Conditions dock: a plate as a grid that is read or typed, coloured by a value, whose wells open their fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QComboBox, QFileDialog, QGridLayout, QTableWidget, QTableWidgetItem, QVBoxLayout

from napari_biofm.conditions.wells import row_letters, well_name
from napari_biofm.controllers.conditions.controller import ConditionsController
from napari_biofm.widgets.common.buttons import button
from napari_biofm.widgets.common.dock import Dock
from napari_biofm.widgets.common.forms import note
from napari_biofm.widgets.common.recipe_bar import RecipeBar

LOW, HIGH = np.array([68, 1, 84]), np.array([253, 231, 37])  # ends of the colours of the heat map


class ConditionsDock(Dock):
    """Plate map, heat map, and the field of a well that is clicked."""

    def __init__(self, napari_viewer: Any, *, session: Any = None) -> None:
        super().__init__(napari_viewer, session=session)
        self.control = control = ConditionsController(self.session, self.viewer, self.run)
        self.plate, self.column = QComboBox(), QComboBox()
        self.plate.setToolTip("Which plate is shown.")
        self.column.setToolTip("What the wells show: a column of the plate map, or a value of their cells.")
        self.grid = QTableWidget()
        self.grid.setToolTip("Click a well to open its next field; double-click to type what was done to it.")
        self.words = note("Open the folder of a run or a plate, and a plate map, or type into the grid.")
        layout, top = QVBoxLayout(self), QGridLayout()
        for i, (text, tip, ask) in enumerate(
            (
                ("Open run or plate ...", "The folder of a run, a plate of OME-Zarr, or a folder of images.", self._ask_run),
                ("Open plate map ...", "CSV, TSV or XLSX: a row per well, or a grid.", self._ask_map),
                ("Save plate map ...", "Write what stands in the grid as CSV.", self._ask_save),
                ("Profiles", "Cells to wells: counts, medians, fractions of classes.", control.profile),
            )
        ):  # fmt: skip
            top.addWidget(button(text, tip, lambda *_, ask=ask: ask()), i // 2, i % 2)
        top.addWidget(self.plate, 2, 0)
        top.addWidget(self.column, 2, 1)
        layout.addLayout(top)
        layout.addWidget(self.grid, 1)
        self.recipe = RecipeBar(control.draft, self.tell, self.tell_error)
        for widget in (self.words, self.recipe, self.job_bar):
            layout.addWidget(widget)
        self.grid.cellClicked.connect(lambda r, c: control.show(well_name(r, c)))
        self.grid.itemChanged.connect(
            lambda item: control.set_well(well_name(item.row(), item.column()), item.text())
        )
        for box in (self.plate, self.column):
            box.currentTextChanged.connect(
                lambda _: control.choose(self.plate.currentText(), self.column.currentText())
            )
        self.listen(control.changed, self._draw)
        self.listen(control.said, self._say)
        self.listen(control.failed, self.tell_error)
        self._draw()

    def _say(self, text: str) -> None:
        self.words.setText(text)

    def _draw(self) -> None:
        control = self.control
        for box, names, now in (
            (self.plate, control.plates(), control.plate),
            (self.column, control.columns(), control.column),
        ):
            box.blockSignals(True)
            box.clear()
            box.addItems(names)
            box.setCurrentText(now)
            box.blockSignals(False)
        self.plate.setVisible(len(control.plates()) > 1)
        rows = control.grid()
        self.grid.blockSignals(True)
        self.grid.setRowCount(len(rows))
        self.grid.setColumnCount(len(rows[0]))
        self.grid.setVerticalHeaderLabels([row_letters(r) for r in range(len(rows))])
        for r, line in enumerate(rows):
            for c, well in enumerate(line):
                item = QTableWidgetItem(well.text)
                item.setToolTip(well.tip)
                if np.isfinite(well.shade):
                    colour = LOW + well.shade * (HIGH - LOW)
                    item.setBackground(QColor(*(int(v) for v in colour)))
                    item.setForeground(QColor("black" if well.shade > 0.6 else "white"))
                self.grid.setItem(r, c, item)
        self.grid.resizeColumnsToContents()
        self.grid.blockSignals(False)

    def _ask_run(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, "Open run or plate"):
            self.control.open(Path(name))

    def _ask_map(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, "Open plate map", "", "Plate maps (*.csv *.tsv *.txt *.xlsx)"
        )
        if name:
            self.control.read_map(Path(name))

    def _ask_save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save plate map", "plate_map.csv", "CSV (*.csv)")
        if name:
            self.control.save_map(Path(name))
