"""The Conditions dock: a plate as a grid that is read or typed, coloured by a value, whose wells open their fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QGridLayout,
    QTableWidget,
    QTableWidgetItem,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_biofm.analyses.description import Source
from napari_biofm.analyses.treatments import NAME as TREATMENTS
from napari_biofm.conditions.treatments import KINDS
from napari_biofm.controllers.common.analysing import Analysing
from napari_biofm.controllers.conditions.controller import ConditionsController
from napari_biofm.widgets.common.analyse_panel import AnalysePanel
from napari_biofm.widgets.common.buttons import button
from napari_biofm.widgets.common.dock import Dock
from napari_biofm.widgets.common.forms import as_tip, note
from napari_biofm.widgets.common.plot_style import colours_of
from napari_biofm.widgets.common.recipe_bar import RecipeBar
from napari_biofm.widgets.common.scrolled import Scrolled

NO_WELLS = "Open a plate map with a column smiles or sequence on the tab Plate, and the wells of a run with Profiles."
MAPS = "Plate maps (*.csv *.tsv *.txt *.xlsx)"


class ConditionsDock(Dock):
    """Plate map, heat map, and the field of a well that is clicked."""

    def __init__(self, napari_viewer: Any, *, session: Any = None) -> None:
        super().__init__(napari_viewer, session=session)
        self.control = control = ConditionsController(self.session, self.viewer, self.run)
        self.plate, self.column, self.grid = QComboBox(), QComboBox(), QTableWidget()
        self.plate.setToolTip("Which plate is shown.")
        self.column.setToolTip("What the wells show: a column of the plate map, or a value of their cells.")
        self.grid.setToolTip("Click a well to open its next field; double-click to type what was done to it.")
        self.words = note("Open the folder of a run or a plate, and a plate map, or type into the grid.")
        self.analysing = Analysing((), source=lambda _: Source(), run=self.run)
        self.analyse_panel = AnalysePanel(self.analysing, colours_of(self.viewer))
        self.analyse_panel.choose("hits")
        self.vectors = Analysing(
            (), source=lambda _: Source(), run=self.run, only=(TREATMENTS,), missing=NO_WELLS
        )
        offers = {"vectors": KINDS}
        self.vectors_panel = AnalysePanel(self.vectors, colours_of(self.viewer), lambda: offers)
        self.vectors_panel.summary.setText(NO_WELLS)
        self.tabs, plate = QTabWidget(), QWidget()
        layout, top = QVBoxLayout(plate), QGridLayout()
        tip = "The folder of a run, a plate of OME-Zarr, or a folder of images."
        top.addWidget(button("Open run or plate ...", tip, self._ask_run), 0, 0)
        top.addWidget(button("Open plate map ...", "A row per well, or a grid.", self._ask_map), 0, 1)
        top.addWidget(button("Save plate map ...", "Write the grid as CSV.", self._ask_save), 1, 0)
        tip = "Docking results: the best pose of a well's compound stands beside its field, in 3D."
        top.addWidget(button("Open poses ...", tip, self._ask_poses), 2, 0)
        tip = "Cells to wells: counts, medians, fractions of classes."
        top.addWidget(button("Profiles", tip, lambda: control.profile()), 1, 1)
        tip = "Keep the masks of the shown field as corrected by hand; what depends on them is done again: its cells, tables, report."
        top.addWidget(button("Run again with these masks", tip, lambda: control.correct()), 2, 1)
        top.addWidget(self.plate, 3, 0)
        top.addWidget(self.column, 3, 1)
        layout.addLayout(top)
        layout.addWidget(self.grid, 1)
        self.recipe = RecipeBar(control.draft, self.tell, self.tell_error)
        layout.addWidget(self.recipe)
        self.tabs.addTab(plate, "Plate")
        self.tabs.addTab(Scrolled(self.analyse_panel), "Analyse")
        self.tabs.addTab(Scrolled(self.vectors_panel), "Vectors")
        whole = QVBoxLayout(self)
        for widget in (self.tabs, self.words, self.job_bar):
            whole.addWidget(widget)
        self.grid.cellClicked.connect(control.show_at)
        self.grid.itemChanged.connect(lambda item: control.type_at(item.row(), item.column(), item.text()))
        self.plate.currentTextChanged.connect(lambda name: control.choose(name, control.column))
        self.column.currentTextChanged.connect(lambda name: control.choose(control.plate, name))
        self.listen(control.changed, self._draw)
        self.listen(control.said, lambda text: self.words.setText(text))
        for source in (control, self.analysing, self.vectors):
            self.listen(source.failed, self.tell_error)
        for one in (self.analysing, self.vectors):
            self.listen(one.message, self.tell)
        self.listen(control.profiled, self.analysing.use_table)
        self.listen(control.treated.table_changed, self.vectors.use_table)
        self.listen(self.vectors.done, control.use_vectors)
        self._draw()

    def _draw(self) -> None:
        control, grid = self.control, self.grid
        for box, names, now in (
            (self.plate, control.plates(), control.plate), (self.column, control.columns(), control.column),
        ):  # fmt: skip
            box.blockSignals(True)
            box.clear()
            box.addItems(names)
            box.setCurrentText(now)
            box.blockSignals(False)
        self.plate.setVisible(len(control.plates()) > 1)
        rows = control.grid()
        grid.blockSignals(True)
        grid.setRowCount(len(rows))
        grid.setColumnCount(len(rows[0]))
        grid.setVerticalHeaderLabels(control.row_names())
        for r, line in enumerate(rows):
            for c, well in enumerate(line):
                item = QTableWidgetItem(well.text)
                item.setToolTip(as_tip(well.tip))
                if well.colour is not None:
                    item.setBackground(QColor(*well.colour))
                    item.setForeground(QColor("black" if well.shade > 0.6 else "white"))
                grid.setItem(r, c, item)
        grid.resizeColumnsToContents()
        grid.blockSignals(False)

    def _ask_run(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, "Open run or plate"):
            self.control.open(Path(name))

    def _ask_poses(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, "Open poses"):
            self.control.open_poses(Path(name))

    def _ask_map(self) -> None:
        if name := QFileDialog.getOpenFileName(self, "Open plate map", "", MAPS)[0]:
            self.control.read_map(Path(name))

    def _ask_save(self) -> None:
        if name := QFileDialog.getSaveFileName(self, "Save plate map", "plate_map.csv", "CSV (*.csv)")[0]:
            self.control.save_map(Path(name))
