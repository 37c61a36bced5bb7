"""The classes: name, colour, hot key and how many cells are labelled; one of them is being given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QAction, QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QMenu,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_biofm.types import BiofmError, CellsError
from napari_biofm.widgets.common.buttons import push_button
from napari_biofm.widgets.common.qt_parts import there

N_KEYS = 9
COLOUR, NAME, KEY, COUNT = range(4)
TellError = Callable[[BaseException], None]


class ClassesSource(Protocol):
    """The classes that are shown and changed."""

    @property
    def classes(self) -> list[tuple[str, str]]: ...

    @property
    def by_hand(self) -> NDArray[np.int16]: ...

    def add_class(self, name: str, colour: str | None = None) -> int: ...

    def rename(self, code: int, name: str) -> None: ...

    def set_colour(self, code: int, colour: str) -> None: ...

    def remove_class(self, code: int, into: int | None = None) -> None: ...


class ClassList(QWidget):
    """Define classes and choose the one that clicks and hot keys give."""

    current_changed = Signal(int)  # code of the chosen class, -1 for none

    def __init__(self, classes: ClassesSource, tell_error: TellError) -> None:
        super().__init__()
        self.states = classes
        self._tell_error = tell_error
        self.name = QLineEdit()
        self.name.setPlaceholderText("New class, e.g. metaphase")
        self.add_button = push_button("Add class", "Add this class; cells you click then get it.")
        self.edit_button = push_button("Edit ...", "Remove the chosen class, or merge it into another.")
        self._menu = QMenu(self)
        self._menu.aboutToShow.connect(self._fill_menu)
        self.edit_button.setMenu(self._menu)
        self.table = QTableWidget(0, 4)
        self.table.setHorizontalHeaderLabels(["", "Class", "Key", "Labelled"])
        self.table.setToolTip(
            "The chosen class is given to cells you click. Double-click a name or a colour to change it."
        )
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        there(self.table.verticalHeader()).hide()
        header = there(self.table.horizontalHeader())
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        for column, width in ((COLOUR, 28), (KEY, 56), (COUNT, 68)):
            self.table.setColumnWidth(column, width)
        self.table.setMinimumHeight(110)
        row = QHBoxLayout()
        row.addWidget(self.name, 1)
        row.addWidget(self.add_button)
        row.addWidget(self.edit_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.table)
        self.add_button.clicked.connect(self.add)
        self.name.returnPressed.connect(self.add)
        self.table.itemChanged.connect(self._edited)
        self.table.currentCellChanged.connect(lambda row, *_: self.current_changed.emit(row))
        self.table.cellDoubleClicked.connect(self._choose_colour)
        self._filling = False
        self.refill()

    @property
    def current(self) -> int:
        """Code of the chosen class, -1 where there is none."""
        return self.table.currentRow()

    def choose(self, code: int) -> None:
        """Choose the class that is given from now on."""
        if 0 <= code < self.table.rowCount():
            self.table.setCurrentCell(code, NAME)

    def add(self) -> None:
        """Add the class named in the field."""
        try:
            code = self.states.add_class(self.name.text())
        except CellsError as error:
            self._tell_error(error)
            return
        self.name.clear()
        self.choose(code)

    def refill(self) -> None:
        """Show the classes as they are."""
        self._filling = True
        current = self.table.currentRow()
        self.table.setRowCount(len(self.states.classes))
        for i, (name, colour) in enumerate(self.states.classes):
            swatch = QTableWidgetItem()
            swatch.setBackground(QColor(colour))
            swatch.setFlags(Qt.ItemFlag.ItemIsEnabled)
            self.table.setItem(i, COLOUR, swatch)
            self.table.setItem(i, NAME, QTableWidgetItem(name))
            for column, words in ((KEY, f"Alt+{i + 1}" if i < N_KEYS else ""), (COUNT, "")):
                item = QTableWidgetItem(words)
                item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
                self.table.setItem(i, column, item)
        self._filling = False
        if self.states.classes:
            self.choose(min(max(current, 0), len(self.states.classes) - 1))
        self.recount()

    def _fill_menu(self) -> None:
        """Offer what can be done with the chosen class."""
        self._menu.clear()
        names, code = [name for name, _ in self.states.classes], self.current
        if not 0 <= code < len(names):
            return
        remove = QAction(f"Remove '{names[code]}'", self._menu)
        remove.triggered.connect(lambda: self._remove(code, None))
        self._menu.addAction(remove)
        for other, name in enumerate(names):
            if other != code:
                merge = QAction(f"Merge '{names[code]}' into '{name}'", self._menu)
                merge.triggered.connect(lambda _=False, other=other: self._remove(code, other))
                self._menu.addAction(merge)

    def _remove(self, code: int, into: int | None) -> None:
        try:
            self.states.remove_class(code, into)
        except BiofmError as error:
            self._tell_error(error)

    def recount(self) -> None:
        """Show how many cells of each class are labelled."""
        self._filling = True
        hand = self.states.by_hand
        counts = np.bincount(hand[hand >= 0], minlength=len(self.states.classes))
        for i in range(self.table.rowCount()):
            item = self.table.item(i, COUNT)
            if item is not None:
                item.setText(str(counts[i]))
        self._filling = False

    def _edited(self, item: QTableWidgetItem) -> None:
        if self._filling or item.column() != NAME:
            return
        try:
            self.states.rename(item.row(), item.text())
        except CellsError as error:
            self._tell_error(error)
            self.refill()

    def _choose_colour(self, row: int, column: int) -> None:
        if column == COLOUR:
            colour = QColorDialog.getColor(QColor(self.states.classes[row][1]), self)
            if colour.isValid():
                self.states.set_colour(row, colour.name())
