"""Which channels are shown, their units (to be put right), and their gain."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from napari_biofm.signals import Recording
from napari_biofm.signals.describe import describe_recording
from napari_biofm.signals.plausible import UnitHint
from napari_biofm.widgets.common.buttons import button
from napari_biofm.widgets.common.forms import as_tip, note
from napari_biofm.widgets.common.qt_parts import there

MOST = 500  # rows in the table; cells beyond are reached through the heatmap


class ChannelsPanel(QWidget):
    """One row per channel."""

    shown = Signal(list)  # channels to show
    unit_changed = Signal(int, str)
    gain = Signal(int, float)  # channel, factor

    def __init__(self) -> None:
        super().__init__()
        self.table = QTableWidget(0, 5)
        self.table.setHorizontalHeaderLabels(["Channel", "Unit", "Rate (Hz)", "Gain", ""])
        there(self.table.verticalHeader()).hide()
        there(self.table.horizontalHeader()).setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column, width in ((1, 56), (2, 74), (3, 34), (4, 34)):
            self.table.setColumnWidth(column, width)
        self.table.itemChanged.connect(self._changed)
        self.description = note(selectable=True)
        layout = QVBoxLayout(self)
        layout.addWidget(
            note("Tick to show. Double-click a unit to put it right; the numbers stay as they are.")
        )
        layout.addWidget(self.table, 1)
        layout.addWidget(self.description)

    def set_recording(
        self, recording: Recording | None, shown: list[int], hints: dict[int, UnitHint]
    ) -> None:
        """List the channels of a recording."""
        with QSignalBlocker(self.table):
            self.table.setRowCount(0)
            if recording is not None:
                self.table.setRowCount(min(recording.n_channels, MOST))
                for row in range(self.table.rowCount()):
                    self._fill(row, recording, row in shown, hints.get(row))
        self.description.setText("\n".join(describe_recording(recording)) if recording is not None else "")

    def set_shown(self, shown: list[int]) -> None:
        """Tick what is shown."""
        with QSignalBlocker(self.table):
            for row in range(self.table.rowCount()):
                state = Qt.CheckState.Checked if row in shown else Qt.CheckState.Unchecked
                there(self.table.item(row, 0)).setCheckState(state)

    def _fill(self, row: int, recording: Recording, is_shown: bool, hint: UnitHint | None) -> None:
        channel = recording.channels[row]
        texts = (channel.name, channel.unit, f"{channel.sampling_rate:g}")
        name, unit, rate = (QTableWidgetItem(text) for text in texts)
        name.setFlags((name.flags() | Qt.ItemFlag.ItemIsUserCheckable) & ~Qt.ItemFlag.ItemIsEditable)
        name.setCheckState(Qt.CheckState.Checked if is_shown else Qt.CheckState.Unchecked)
        rate.setFlags(rate.flags() & ~Qt.ItemFlag.ItemIsEditable)
        unit.setToolTip("Double-click to change the unit this channel is labelled with.")
        if hint is not None:
            unit.setText(f"{channel.unit} ?")
            unit.setToolTip(as_tip(f"Probably {hint.proposal}: {hint.reason}."))
        for column, item in enumerate((name, unit, rate)):
            self.table.setItem(row, column, item)
        if row < 64:
            for column, (text, factor) in enumerate((("+", 1.25), ("-", 0.8)), start=3):
                one = button(text, "Stretch or shrink this channel.", partial(self._gain, row, factor))
                one.setMaximumWidth(30)
                self.table.setCellWidget(row, column, one)

    def _gain(self, row: int, factor: float, *_: Any) -> None:
        self.gain.emit(row, factor)

    def _changed(self, item: QTableWidgetItem) -> None:
        if item.column() == 1:
            self.unit_changed.emit(item.row(), item.text().rstrip(" ?"))
        elif item.column() == 0:
            rows = range(self.table.rowCount())
            ticked = [r for r in rows if there(self.table.item(r, 0)).checkState() == Qt.CheckState.Checked]
            self.shown.emit(ticked)
