"""The cells as a table, in an order of your choice: all, what to label next, similar, rare, labelled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QItemSelection, QItemSelectionModel, QModelIndex, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QTableView

from napari_biofm.teaching.cell_states import CellStates
from napari_biofm.widgets.common.qt_parts import there

MOST_RUNS = 100  # of selected rows that Qt keeps; it compares each with each
MOST_ROWS = 500  # selected rows that Qt keeps; at each repaint its header asks each of them, in every column
COLUMNS = ("Cell", "By hand", "Predicted", "Probability", "Oddness", "Area (px)")
WIDTHS = (42, 66, 70, 76, 60)  # pixels, of all but the last


class CellModel(QAbstractTableModel):
    """Rows of the cells in `order`; text is made for the rows in sight only."""

    def __init__(self, states: CellStates) -> None:
        super().__init__()
        self.states = states
        self.order: NDArray[np.int64] = np.zeros(0, np.int64)

    def set_order(self, order: NDArray[np.int64]) -> None:
        """Show these cells, in this order."""
        self.beginResetModel()
        self.order = np.asarray(order, np.int64)
        self.endResetModel()

    def refresh(self) -> None:
        """Read the rows in sight again."""
        if len(self.order):
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.order) - 1, len(COLUMNS) - 1))

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        return 0 if parent.isValid() else len(self.order)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return COLUMNS[section]
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or index.row() >= len(self.order):
            return None
        row = int(self.order[index.row()])
        if row >= len(self.states.values):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self._words(row, index.column())
        if role == Qt.ItemDataRole.DecorationRole and index.column() in (1, 2):
            code = self._code(row, index.column())
            return QColor(self.states.classes[code][1]) if 0 <= code < len(self.states.classes) else None
        return None

    def _code(self, row: int, column: int) -> int:
        if column == 1:
            return int(self.states.by_hand[row])
        found = self.states.prediction
        return -1 if found is None or row >= len(found.code) else int(found.code[row])

    def _words(self, row: int, column: int) -> str:
        states = self.states
        if column == 0:
            return str(states.values[row])
        if column in (1, 2):
            code = self._code(row, column)
            return states.classes[code][0] if 0 <= code < len(states.classes) else ""
        if column == 3:
            found = states.prediction
            return "" if found is None or self._code(row, 2) < 0 else f"{found.probability[row]:.2f}"
        if column == 4:
            return "" if states.outlier is None else f"{states.outlier[row]:.2f}"
        return "" if states.table is None else f"{states.table.obs['area'].iat[row]:.0f}"


class CellTable(QTableView):
    """View of `CellModel`; its selection is the session's, both ways."""

    def __init__(self, states: CellStates) -> None:
        super().__init__()
        self.states = states
        self.cells = CellModel(states)
        self.setModel(self.cells)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        there(self.verticalHeader()).hide()
        there(self.verticalHeader()).setDefaultSectionSize(22)
        for column, width in enumerate(WIDTHS):
            self.setColumnWidth(column, width)
        there(self.horizontalHeader()).setStretchLastSection(True)
        self.setToolTip(
            "Click to select the cell; double-click to go there; a class's hot key labels the selection."
        )
        there(self.selectionModel()).selectionChanged.connect(self._chosen)
        self._showing = False
        self.marked: NDArray[np.int64] = np.zeros(0, np.int64)  # places selected beside Qt's own
        self._command = QItemSelectionModel.SelectionFlag.NoUpdate
        self.setItemDelegate(_Marked(self))

    @property
    def chosen_rows(self) -> NDArray[np.int64]:
        """Rows of the cells selected in this table."""
        return self.cells.order[np.union1d(self._places(), self.marked)]

    def _places(self) -> NDArray[np.int64]:
        """Places that Qt has selected, ascending."""
        runs = [
            np.arange(run.top(), run.bottom() + 1) for run in iter(there(self.selectionModel()).selection())
        ]
        return np.unique(np.concatenate([np.zeros(0, np.int64), *runs]))

    def selectAll(self) -> None:
        """Select every cell of the list."""
        self.states.select_rows(self.cells.order)

    def show_selection(self, rows: NDArray[np.int64]) -> None:
        """Mark the selected cells, without telling the session again.

        A lasso selects rows all over the table. Qt keeps a selection as a list of ranges, and takes seconds for
        some ten thousand of them, and for many rows whenever it paints the header; where there are many, they are
        kept here and drawn as if Qt had them.
        """
        at = np.flatnonzero(np.isin(self.cells.order, rows))
        self._showing = True
        chosen = QItemSelection()
        breaks = np.flatnonzero(np.diff(at) > 1)
        few = len(breaks) < MOST_RUNS and len(at) < MOST_ROWS
        self.marked = at[:0] if few else at
        if few:
            starts, ends = np.append(at[:1], at[breaks + 1]), np.append(at[breaks], at[-1:])
            for a, b in zip(starts.tolist(), ends.tolist(), strict=True):
                chosen.select(self.cells.index(a, 0), self.cells.index(b, len(COLUMNS) - 1))
        there(self.selectionModel()).select(chosen, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        there(self.viewport()).update()
        if 0 < len(at) <= 50:
            self.scrollTo(self.cells.index(int(at[0]), 0))
        self._showing = False

    def is_marked(self, place: int) -> bool:
        """Tell whether a row of the table is selected beside Qt's own selection."""
        at = int(np.searchsorted(self.marked, place))
        return at < len(self.marked) and int(self.marked[at]) == place

    def selectionCommand(self, index: QModelIndex, event: Any = None) -> QItemSelectionModel.SelectionFlag:
        """Keep what a click means, for `_chosen`."""
        self._command = super().selectionCommand(index, event)
        return self._command

    def _chosen(self, *_: Any) -> None:
        if self._showing:
            return
        if len(self.marked):  # a click took these away, added to them, or (with Ctrl) turned its own row over
            flags = QItemSelectionModel.SelectionFlag
            at = self._places()
            if self._command & flags.Clear:
                self.marked = at
            elif self._command & flags.Toggle:
                self.marked = np.setxor1d(self.marked, at)
            else:
                self.marked = np.union1d(self.marked, at)
            self.states.select_rows(self.cells.order[self.marked])
        else:
            self.states.select_rows(self.chosen_rows)


class _Marked(QStyledItemDelegate):
    """Draws the rows a table has marked like those Qt has selected."""

    def __init__(self, table: CellTable) -> None:
        super().__init__(table)
        self._table = table

    def initStyleOption(self, option: QStyleOptionViewItem | None, index: QModelIndex) -> None:
        super().initStyleOption(option, index)
        if option is not None and self._table.is_marked(index.row()):
            option.state |= QStyle.StateFlag.State_Selected
