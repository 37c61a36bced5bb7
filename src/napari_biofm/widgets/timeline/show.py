"""Show panel: what is laid over the image, and the slider's tie to the time."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from napari_biofm.widgets.base import Dock
from napari_biofm.widgets.timeline.points import EventPoints
from napari_biofm.widgets.timeline.state import TimelineState


class ShowPanel(QWidget):
    """Switches for the overlays.

    Parameters
    ----------
    dock : that holds the panel.
    state : of the dock.
    """

    def __init__(self, dock: Dock, state: TimelineState) -> None:
        super().__init__()
        self.state = state
        self.points = EventPoints(state)
        self.show_points = QCheckBox("Show events on the image")
        self.show_points.setToolTip(
            "A point on the cell from the frame an event falls in, in its class's colour."
        )
        self.hold = QDoubleSpinBox()
        self.hold.setRange(0.0, 60.0)
        self.hold.setDecimals(2)
        self.hold.setSingleStep(0.05)
        self.hold.setSuffix(" s")
        self.hold.setValue(self.points.hold_s)
        self.hold.setKeyboardTracking(False)
        self.hold.setToolTip("How long an event stays visible while it fades.")
        self.words = QLabel()
        self.words.setWordWrap(True)
        form = QFormLayout()
        form.addRow(self.show_points)
        form.addRow("Visible for", self.hold)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.words)
        layout.addStretch(1)
        self.show_points.toggled.connect(lambda on: self.words.setText(self.points.show(on)))
        self.hold.valueChanged.connect(self._hold_changed)
        dock.listen(state.events_moved, self.refresh)

    def refresh(self) -> None:
        """Bring the overlays up to date."""
        words = self.points.refresh()
        if words:
            self.words.setText(words)

    def _hold_changed(self, seconds: float) -> None:
        self.points.hold_s = seconds
        self.refresh()
