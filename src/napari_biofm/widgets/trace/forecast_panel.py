"""What comes next, drawn ahead of the cursor, and how unexpected the present is: the form."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QSpinBox, QVBoxLayout, QWidget

from napari_biofm.widgets.common.buttons import button

HOW = (
    "Click a moment of the trace: the quantiles of what follows are drawn from what came before it, over what "
    "really came."
)


class ForecastPanel(QWidget):
    """Toggle and horizon of the forecast, and a button for surprise."""

    changed = Signal(bool, int)  # on, horizon in samples
    surprise = Signal()

    def __init__(self) -> None:
        super().__init__()
        how = QLabel(HOW)
        how.setWordWrap(True)
        self.on = QCheckBox("Draw ahead of the cursor (key F)")
        self.on.setToolTip("Show the forecast of the topmost channel from the clicked moment on.")
        self.on.toggled.connect(lambda _: self.changed.emit(self.on.isChecked(), self.horizon.value()))
        self.horizon = QSpinBox()
        self.horizon.setRange(8, 512)
        self.horizon.setValue(64)
        self.horizon.setSuffix(" samples")
        self.horizon.setKeyboardTracking(False)
        self.horizon.setToolTip("How far ahead; most signals fall back to their mean within a few samples.")
        self.horizon.valueChanged.connect(
            lambda _: self.changed.emit(self.on.isChecked(), self.horizon.value())
        )
        self.message = QLabel("")
        self.message.setWordWrap(True)
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.surprise_button = button(
            "Surprise as a recording",
            "How unexpected each moment of the topmost channel is from its surroundings, as a new recording.",
            lambda: self.surprise.emit(),
        )
        form = QGridLayout()
        form.addWidget(QLabel("Horizon"), 0, 0)
        form.addWidget(self.horizon, 0, 1)
        form.setColumnStretch(1, 1)
        layout = QVBoxLayout(self)
        layout.addWidget(how)
        layout.addWidget(self.on)
        layout.addLayout(form)
        layout.addWidget(self.message)
        layout.addWidget(self.surprise_button)
        layout.addStretch(1)

    def show_message(self, text: str) -> None:
        """Say what was measured, or what is missing."""
        self.message.setText(text)

    def set_busy(self, busy: bool) -> None:
        """Ask for surprise once at a time."""
        self.surprise_button.setEnabled(not busy)
