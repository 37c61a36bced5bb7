"""The row above the plots: which recording, which sweep, how sweeps and scales are laid out."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QLineEdit, QSpinBox, QVBoxLayout, QWidget

from napari_biofm.signals.display import ScaleMode, SweepMode
from napari_biofm.widgets.common.buttons import button


class TraceToolbar(QWidget):
    """Controls of the plots; tells what is asked for."""

    recording_chosen = Signal(str)
    part_chosen = Signal(int)
    open_asked = Signal()
    close_asked = Signal()
    sweep_asked = Signal(int)
    mode_asked = Signal(object)
    sweeps_asked = Signal(str)
    scale_asked = Signal(object)
    back_asked = Signal()
    whole_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.recordings = QComboBox()
        self.recordings.setMinimumContentsLength(14)
        self.recordings.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.recordings.setToolTip("The recording that is shown.")
        self.recordings.activated.connect(lambda _: self.recording_chosen.emit(self.recordings.currentText()))
        self.parts = QComboBox()
        self.parts.setToolTip("Which part of the file is shown: a series, a stream, or another kind of data.")
        self.parts.setMinimumContentsLength(8)
        self.parts.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.parts.activated.connect(self.part_chosen)
        self.parts.hide()
        self.sweep = QSpinBox()
        self.sweep.setToolTip("The current sweep, counted from 0 (left and right arrow keys).")
        self.sweep.setKeyboardTracking(False)
        self.sweep.setMaximumWidth(104)
        self.sweep.valueChanged.connect(self.sweep_asked)
        self.count = QLabel("of 0")
        self.mode, self.scale = QComboBox(), QComboBox()
        for mode in SweepMode:
            self.mode.addItem(mode.value)
        for scale in ScaleMode:
            self.scale.addItem(scale.value)
        self.scale.setCurrentText(ScaleMode.BY_CHANNEL.value)
        self.mode.setToolTip("Sweeps one by one, overlaid, stacked below each other, or one after the other.")
        self.scale.setToolTip(
            "Real: channels of one unit share their axis. Same: one span for all of a unit, each about its "
            "own middle. By channel: each fits its own."
        )
        self.mode.currentTextChanged.connect(lambda text: self.mode_asked.emit(SweepMode(text)))
        self.scale.currentTextChanged.connect(lambda text: self.scale_asked.emit(ScaleMode(text)))
        self.chosen = QLineEdit()
        self.chosen.setPlaceholderText("all sweeps")
        self.chosen.setMaximumWidth(110)
        self.chosen.setToolTip(
            "Sweeps that are drawn together, averaged and measured, such as 0-5, 8. Empty: all. Events are "
            "found in all sweeps."
        )
        self.chosen.editingFinished.connect(lambda: self.sweeps_asked.emit(self.chosen.text()))
        self.average = button("Average", "Draw the mean of all sweeps.", lambda _: None, checkable=True)
        self.command = button(
            "Command", "Show what the amplifier was told to do.", lambda _: None, checkable=True
        )
        self.command.setChecked(True)
        self.bars = button("Scale bars", "Scale bars instead of axes.", lambda _: None, checkable=True)
        self.cursors = button(
            "Cursors", "Two cursors to measure between (key C).", lambda _: None, checkable=True
        )
        back = button(
            "Back", "Go back to the view before the last zoom (Backspace).", lambda: self.back_asked.emit()
        )
        whole = button("All", "Show everything (Home).", lambda: self.whole_asked.emit())
        opening = button("Open", "Open a recording of any supported format.", lambda: self.open_asked.emit())
        closing = button("Close", "Close this recording; the file stays.", lambda: self.close_asked.emit())
        rows = QVBoxLayout(self)
        rows.setContentsMargins(2, 2, 2, 2)
        rows.setSpacing(2)
        for stretched, widgets in (
            (
                True,
                (
                    self.recordings,
                    opening,
                    closing,
                    QLabel("Sweep"),
                    self.sweep,
                    self.count,
                    self.mode,
                ),
            ),
            (
                False,
                (
                    QLabel("Scale"),
                    self.scale,
                    self.chosen,
                    self.average,
                    self.command,
                    self.bars,
                    self.cursors,
                    back,
                    whole,
                ),
            ),
        ):
            row = QHBoxLayout()
            row.setSpacing(4)
            for widget in widgets:
                row.addWidget(widget, 1 if stretched and widget is self.recordings else 0)
            if not stretched:
                row.addStretch(1)
            rows.addLayout(row)
        rows.insertWidget(1, self.parts)

    def set_recordings(self, names: list[str], current: str | None) -> None:
        """Offer these recordings."""
        self.recordings.blockSignals(True)
        self.recordings.clear()
        self.recordings.addItems(names)
        if current is not None:
            self.recordings.setCurrentText(current)
            self.recordings.setToolTip(f"{current}: the recording that is shown.")
        self.recordings.blockSignals(False)
        self.recordings.setEnabled(bool(names))
        _widen_list(self.recordings)

    def set_parts(self, names: list[str], current: int) -> None:
        """Offer the parts of the shown recording's file; hidden where there is only one."""
        self.parts.blockSignals(True)
        self.parts.clear()
        self.parts.addItems(names)
        self.parts.setCurrentIndex(current)
        self.parts.blockSignals(False)
        self.parts.setVisible(len(names) > 1)
        _widen_list(self.parts)

    def set_sweeps(self, n_sweeps: int, current: int) -> None:
        """Offer these sweeps."""
        for one in (self.sweep, self.mode):
            one.blockSignals(True)
        self.sweep.setRange(0, max(n_sweeps - 1, 0))
        self.sweep.setValue(current)
        self.count.setText(f"of {n_sweeps}")
        several = n_sweeps > 1
        for one in (self.sweep, self.mode, self.average, self.chosen):
            one.setEnabled(several)
        for one in (self.sweep, self.mode):
            one.blockSignals(False)

    def show_mode(self, mode: SweepMode) -> None:
        """Say how sweeps are laid out, without asking for it."""
        self.mode.blockSignals(True)
        self.mode.setCurrentText(mode.value)
        self.mode.blockSignals(False)


def _widen_list(box: QComboBox) -> None:
    """Let a list show its names whole, however narrow its box is."""
    view = box.view()
    if view is not None:
        view.setMinimumWidth(min(view.sizeHintForColumn(0) + 30, 700))
