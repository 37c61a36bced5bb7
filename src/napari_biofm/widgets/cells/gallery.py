"""The gallery: pictures of cells by class or by score; a click goes to the cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QColor, QIcon, QImage, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_biofm.teaching.cell_states import CellStates
from napari_biofm.teaching.gallery import MOST, ORDERS, SIDE, ordered, thumbnails
from napari_biofm.types import BiofmError
from napari_biofm.widgets.cells.classes import TellError
from napari_biofm.widgets.common.buttons import push_button
from napari_biofm.widgets.common.forms import as_tip, choice, note

ALL = "All classes"
ROW = Qt.ItemDataRole.UserRole


class GalleryPanel(QWidget):
    """Pictures of the cells in view, made when they are asked for.

    Parameters
    ----------
    states : the cells. pixels : returns labels and image of a layer by its id.
    go_to : brings a row into view. tell_error : shows an error.
    """

    def __init__(
        self,
        states: CellStates,
        pixels: Callable[[str], tuple[Any, Any]],
        go_to: Callable[[int], None],
        tell_error: TellError,
    ) -> None:
        super().__init__()
        self._states, self._pixels, self._go_to, self._tell_error = states, pixels, go_to, tell_error
        self.order = choice(ORDERS, "In which order the cells are shown.")
        self.which = QComboBox()
        self.which.setToolTip("Which cells are shown, by what they are shown as.")
        self.show_button = push_button("Show", "Make the pictures of the cells as they are now.")
        self.pictures = QListWidget()
        self.pictures.setViewMode(QListWidget.ViewMode.IconMode)
        self.pictures.setResizeMode(QListWidget.ResizeMode.Adjust)
        self.pictures.setMovement(QListWidget.Movement.Static)
        self.pictures.setIconSize(QSize(SIDE, SIDE))
        self.pictures.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.pictures.setAccessibleName("Pictures of cells")
        self.words = note("")
        row = QHBoxLayout()
        for part in (self.order, self.which, self.show_button):
            row.addWidget(part)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.pictures, 1)
        layout.addWidget(self.words)
        self.show_button.clicked.connect(self.fill)
        self.order.activated.connect(self.fill)
        self.which.activated.connect(self.fill)
        self.pictures.itemSelectionChanged.connect(self._select)
        self.pictures.itemDoubleClicked.connect(lambda item: self._go_to(int(item.data(ROW))))
        self.refresh_classes()

    def refresh_classes(self) -> None:
        """Offer the classes there are."""
        chosen = self.which.currentText()
        self.which.clear()
        self.which.addItems([ALL, *(name for name, _ in self._states.classes)])
        self.which.setCurrentText(chosen if self.which.findText(chosen) >= 0 else ALL)

    def fill(self, *_: Any) -> None:
        """Make the pictures."""
        states = self._states
        self.refresh_classes()
        self.pictures.clear()
        table = states.table
        if table is None or states.uid is None or not table.n_obs:
            self.words.setText("Measure the cells first.")
            return
        rows = ordered(states, self.order.currentText(), self.which.currentIndex() - 1)
        shown = rows[:MOST]
        axes = sorted(c for c in table.obs.columns if c.startswith("centroid-"))
        try:
            labels, image = self._pixels(states.uid)
            centres, areas = table.obs[axes].to_numpy(float)[shown], table.obs["area"].to_numpy(float)
            made = thumbnails(labels, image, centres, states.values[shown], areas)
        except BiofmError as error:
            self._tell_error(error)
            return
        codes = states.shown_codes
        for cell, picture in zip(shown.tolist(), made, strict=True):
            self.pictures.addItem(self._item(cell, picture, int(codes[cell])))
        more = f", the first {len(shown)} of {len(rows)}" if len(rows) > len(shown) else ""
        self.words.setText(f"{len(shown)} cells{more}. A click selects, a double click goes there.")

    def _item(self, row: int, picture: Any, code: int) -> QListWidgetItem:
        data = np.ascontiguousarray(picture)
        image = QImage(
            data.tobytes(), data.shape[1], data.shape[0], 3 * data.shape[1], QImage.Format.Format_RGB888
        )
        item = QListWidgetItem(QIcon(QPixmap.fromImage(image.copy())), str(self._states.values[row]))
        item.setData(ROW, row)
        item.setToolTip(as_tip(self._states.describe(row)))
        if 1 <= code <= len(self._states.classes):
            item.setForeground(QColor(self._states.classes[code - 1][1]))
        return item

    def _select(self) -> None:
        self._states.select_rows(sorted(int(item.data(ROW)) for item in self.pictures.selectedItems()))
