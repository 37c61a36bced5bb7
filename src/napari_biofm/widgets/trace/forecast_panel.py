"""What comes next, drawn ahead of the cursor, and how unexpected the present is: the form."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QSpinBox, QVBoxLayout, QWidget

from napari_biofm.widgets.common.buttons import button
from napari_biofm.widgets.common.forms import note, row

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
        self.on = QCheckBox("Draw ahead of the cursor (key F)")
        self.on.setToolTip("Show the forecast of the topmost channel from the clicked moment on.")
        self.on.toggled.connect(self._changed)
        self.horizon = QSpinBox()
        self.horizon.setRange(8, 512)
        self.horizon.setValue(64)
        self.horizon.setSuffix(" samples")
        self.horizon.setKeyboardTracking(False)
        self.horizon.setToolTip("How far ahead; most signals fall back to their mean within a few samples.")
        self.horizon.valueChanged.connect(self._changed)
        self.message = note(selectable=True)
        self.surprise_button = button(
            "Surprise as a recording",
            "How unexpected each moment of the topmost channel is from its surroundings, as a new recording.",
            lambda: self.surprise.emit(),
        )
        layout = QVBoxLayout(self)
        layout.addWidget(note(HOW))
        layout.addWidget(self.on)
        layout.addLayout(row("Horizon", self.horizon, stretched=self.horizon))
        layout.addWidget(self.message)
        layout.addWidget(self.surprise_button)
        layout.addStretch(1)

    def show_message(self, text: str) -> None:
        """Say what was measured, or what is missing."""
        self.message.setText(text)

    def set_busy(self, busy: bool) -> None:
        """Ask for surprise once at a time."""
        self.surprise_button.setEnabled(not busy)

    def _changed(self, *_: object) -> None:
        self.changed.emit(self.on.isChecked(), self.horizon.value())
