"""Events as a table: sorted by any column, filtered by class and verdict, selection both ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QItemSelection, QItemSelectionModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from napari_biofm.events.colours import class_colour
from napari_biofm.events.listing import COLUMNS, cell_text, followed_rows, listed_rows
from napari_biofm.events.reviewed import reviewed
from napari_biofm.types import Events, no_events
from napari_biofm.widgets.common.qt_parts import there


class EventModel(QAbstractTableModel):
    """The rows of an event table that pass the filter, in the order asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.events: Events = reviewed(no_events())
        self.rows: NDArray[np.intp] = np.zeros(0, np.intp)  # of the table, as shown
        self._class: str | None = None
        self._verdict: str | None = None
        self._sorted: tuple[int, bool] = (2, True)

    def set_events(self, events: Events) -> None:
        """Show another table, of REVIEWED_DTYPE."""
        self.beginResetModel()
        self.events = events
        self._arrange()
        self.endResetModel()

    def set_filter(self, name: str | None, verdict: str | None) -> None:
        """Show events of one class and one verdict only; None shows all."""
        self.beginResetModel()
        self._class, self._verdict = name, verdict
        self._arrange()
        self.endResetModel()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column."""
        self.beginResetModel()
        self._sorted = (column, order == Qt.SortOrder.AscendingOrder)
        self._arrange()
        self.endResetModel()

    def _arrange(self) -> None:
        column, ascending = self._sorted
        self.rows = listed_rows(
            self.events, class_name=self._class, verdict=self._verdict,
            sort_by=COLUMNS[column][1], ascending=ascending,
        )  # fmt: skip

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        return len(COLUMNS)

    def headerData(self, section: int, orientation: Any, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section][0] if orientation == Qt.Orientation.Horizontal else str(section + 1)
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row, key = int(self.rows[index.row()]), COLUMNS[index.column()][1]
        if role == Qt.ItemDataRole.DisplayRole:
            return cell_text(self.events, row, key)
        if role == Qt.ItemDataRole.DecorationRole and key == "class":
            return QColor(class_colour(str(self.events["class"][row])))
        if role == Qt.ItemDataRole.TextAlignmentRole and key not in ("class", "verdict"):
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None


class EventTable(QTableView):
    """The table. `picked` gives rows of the event table, whatever the order on screen."""

    picked = Signal(list)

    def __init__(self) -> None:
        super().__init__()
        self.events_model = EventModel()
        self.setModel(self.events_model)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setSortingEnabled(True)
        self.sortByColumn(2, Qt.SortOrder.AscendingOrder)
        there(self.verticalHeader()).setDefaultSectionSize(20)
        there(self.verticalHeader()).hide()
        self.setMinimumHeight(110)
        there(self.horizontalHeader()).setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        for column, width in enumerate((48, 58, 76, 76, 48, 92, 62, 66, 62)):
            self.setColumnWidth(column, width)
        self._quiet = False
        there(self.selectionModel()).selectionChanged.connect(self._changed)

    def set_events(self, events: Events) -> None:
        """Show another table; the selection follows its events."""
        rows = followed_rows(self.events_model.events, events, self.selected())
        self._quiet = True
        self.events_model.set_events(events)
        self._quiet = False
        self.select_rows(rows, emit=False)

    def selected(self) -> list[int]:
        """Return the selected rows of the event table, in the order on screen."""
        chosen = sorted(index.row() for index in there(self.selectionModel()).selectedRows())
        return [int(self.events_model.rows[i]) for i in chosen if i < len(self.events_model.rows)]

    def select_rows(self, rows: Sequence[int], emit: bool = True) -> None:
        """Select rows of the event table and bring the first into view."""
        places = np.flatnonzero(np.isin(self.events_model.rows, list(rows)))
        selection = QItemSelection()
        last = len(COLUMNS) - 1
        for place in places.tolist():
            selection.select(self.events_model.index(place, 0), self.events_model.index(place, last))
        self._quiet = not emit
        there(self.selectionModel()).select(selection, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        self._quiet = False
        if len(places):
            first = self.events_model.index(int(places[0]), 0)
            self.scrollTo(first)
            there(self.selectionModel()).setCurrentIndex(first, QItemSelectionModel.SelectionFlag.NoUpdate)

    def step(self, by: int) -> None:
        """Select the next or former row on screen, from the first if none is selected."""
        n = len(self.events_model.rows)
        if not n:
            return
        chosen = [index.row() for index in there(self.selectionModel()).selectedRows()]
        place = int(np.clip(chosen[0] + by, 0, n - 1)) if chosen else 0
        self.select_rows([int(self.events_model.rows[place])])

    def _changed(self, *_: Any) -> None:
        if not self._quiet:
            self.picked.emit(self.selected())
