"""The row above the plots: which recording, which sweep, how sweeps and scales are laid out."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QLabel, QLineEdit, QSpinBox, QVBoxLayout, QWidget

from napari_biofm.signals import Recording
from napari_biofm.signals.display import ScaleMode, SweepMode
from napari_biofm.widgets.common.buttons import button
from napari_biofm.widgets.common.forms import as_tip, choice, row


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
        self.recordings = choice((), "The recording that is shown.")
        self.recordings.activated.connect(lambda _: self.recording_chosen.emit(self.recordings.currentText()))
        self.parts = choice(
            (), "Which part of the file is shown: a series, a stream, or another kind of data."
        )
        self.parts.activated.connect(self.part_chosen)
        self.parts.hide()
        for box, width in ((self.recordings, 14), (self.parts, 8)):
            box.setMinimumContentsLength(width)
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.sweep = QSpinBox()
        self.sweep.setToolTip("The current sweep, counted from 0 (left and right arrow keys).")
        self.sweep.setKeyboardTracking(False)
        self.sweep.setMaximumWidth(104)
        self.sweep.valueChanged.connect(self.sweep_asked)
        self.count = QLabel("of 0")
        self.mode = choice(
            [mode.value for mode in SweepMode],
            "Sweeps one by one, overlaid, stacked below each other, or one after the other.",
        )
        self.mode.currentTextChanged.connect(lambda text: self.mode_asked.emit(SweepMode(text)))
        self.scale = choice(
            [scale.value for scale in ScaleMode],
            "Real: channels of one unit share their axis. Same: one span for all of a unit, each about its "
            "own middle. By channel: each fits its own.",
        )
        self.scale.setCurrentText(ScaleMode.BY_CHANNEL.value)
        self.scale.currentTextChanged.connect(lambda text: self.scale_asked.emit(ScaleMode(text)))
        self.chosen = QLineEdit()
        self.chosen.setPlaceholderText("all sweeps")
        self.chosen.setMaximumWidth(110)
        self.chosen.setToolTip(
            "Sweeps that are drawn together, averaged and measured, such as 0-5, 8. Empty: all. Events are "
            "found in all sweeps."
        )
        self.chosen.editingFinished.connect(lambda: self.sweeps_asked.emit(self.chosen.text()))
        self.average, self.command, self.bars, self.cursors = (
            button(text, tip, lambda _: None, checkable=True)
            for text, tip in (
                ("Average", "Draw the mean of all sweeps."),
                ("Command", "Show what the amplifier was commanded to do."),
                ("Scale bars", "Scale bars instead of axes."),
                ("Cursors", "Two cursors to measure between (key C)."),
            )
        )
        self.command.setChecked(True)
        back = button(
            "Back", "Go back to the view before the last zoom (Backspace).", lambda: self.back_asked.emit()
        )
        whole = button("All", "Show everything (Home).", lambda: self.whole_asked.emit())
        opening = button("Open", "Open a recording of any supported format.", lambda: self.open_asked.emit())
        closing = button("Close", "Close this recording; the file stays.", lambda: self.close_asked.emit())
        rows = QVBoxLayout(self)
        rows.setContentsMargins(2, 2, 2, 2)
        rows.setSpacing(2)
        first = (self.recordings, opening, closing, "Sweep", self.sweep, self.count, self.mode)
        rows.addLayout(row(*first, stretched=self.recordings, spacing=4))
        rows.addWidget(self.parts)
        second = (self.chosen, self.average, self.command, self.bars, self.cursors, back, whole)
        rows.addLayout(row("Scale", self.scale, *second, None, spacing=4))

    def set_recordings(self, names: list[str], current: str | None) -> None:
        """Offer these recordings."""
        with QSignalBlocker(self.recordings):
            self.recordings.clear()
            self.recordings.addItems(names)
            if current is not None:
                self.recordings.setCurrentText(current)
                self.recordings.setToolTip(as_tip(f"{current}: the recording that is shown."))
        self.recordings.setEnabled(bool(names))
        _widen_list(self.recordings)

    def set_parts_of(self, recording: Recording | None) -> None:
        """Offer the parts of the shown recording's file; hidden where there is only one."""
        metadata = recording.metadata if recording is not None else {}
        with QSignalBlocker(self.parts):
            self.parts.clear()
            self.parts.addItems([str(part) for part in metadata.get("parts", ())])
            self.parts.setCurrentIndex(int(metadata.get("part", 0)))
        self.parts.setVisible(self.parts.count() > 1)
        _widen_list(self.parts)

    def set_sweeps(self, n_sweeps: int, current: int) -> None:
        """Offer these sweeps."""
        with QSignalBlocker(self.sweep):
            self.sweep.setRange(0, max(n_sweeps - 1, 0))
            self.sweep.setValue(current)
        self.count.setText(f"of {n_sweeps}")
        for one in (self.sweep, self.mode, self.average, self.chosen):
            one.setEnabled(n_sweeps > 1)

    def show_mode(self, mode: SweepMode) -> None:
        """Say how sweeps are laid out, without asking for it."""
        with QSignalBlocker(self.mode):
            self.mode.setCurrentText(mode.value)


def _widen_list(box: QComboBox) -> None:
    """Let a list show its names whole, however narrow its box is."""
    view = box.view()
    if view is not None:
        view.setMinimumWidth(min(view.sizeHintForColumn(0) + 30, 700))
