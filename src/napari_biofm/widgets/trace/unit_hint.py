"""A line above the plots that says when a unit looks wrong, and a button that puts it right."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_biofm.signals import Recording
from napari_biofm.signals.plausible import UnitHint
from napari_biofm.widgets.common.forms import note


class UnitHintBar(QWidget):
    """Hidden while all units look right."""

    taken = Signal(int, str, float)  # channel, unit, factor

    def __init__(self) -> None:
        super().__init__()
        self.message = note("")
        self.fix = QPushButton("Set")
        self.fix.setToolTip("Change the unit as proposed; the numbers stay. Can be undone.")
        self.fix.clicked.connect(self._take)
        self._shown: tuple[int, UnitHint] | None = None
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 0, 4, 0)
        row.addWidget(self.message, 1)
        row.addWidget(self.fix)
        self.hide()

    def show_hints(self, recording: Recording | None, hints: dict[int, UnitHint]) -> None:
        """Say what looks wrong in the first of the channels with a hint."""
        self._shown = next(iter(hints.items()), None)
        self.setVisible(self._shown is not None)
        if self._shown is not None and recording is not None:
            channel, hint = self._shown
            now = recording.channels[channel]
            self.message.setText(f"The unit of {now.name} ({now.unit}) looks wrong: {hint.reason}.")
            times = f", values times {hint.factor:g}" if hint.factor != 1 else ""
            self.fix.setText(f"Set to {hint.proposal}{times}")

    def _take(self) -> None:
        if self._shown is not None:
            channel, hint = self._shown
            self.taken.emit(channel, hint.proposal, hint.factor)
