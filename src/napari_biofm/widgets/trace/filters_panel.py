"""Filters for display, or as a processed copy. Detection never sees a display filter."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_biofm.signals import Recording
from napari_biofm.signals.filters import FilterSettings
from napari_biofm.widgets.common.buttons import button

MAINS = {"Off": None, "50 Hz": 50.0, "60 Hz": 60.0}
BASELINES = {
    "Leave": "none",
    "Mean of the sweep": "mean",
    "Median of the sweep": "median",
    "Running median": "running median",
}


class FiltersPanel(QWidget):
    """A form for `FilterSettings`."""

    changed = Signal(object)  # FilterSettings for display
    copy_asked = Signal(object)  # FilterSettings of a processed copy

    def __init__(self) -> None:
        super().__init__()
        self.lowpass, self.highpass = self._frequency("Low-pass"), self._frequency("High-pass")
        self.notch = QComboBox()
        self.notch.addItems(list(MAINS))
        self.notch.setToolTip("Take out mains hum and its harmonics.")
        self.harmonics = QSpinBox()
        self.harmonics.setRange(1, 20)
        self.harmonics.setValue(3)
        self.harmonics.setToolTip("How many multiples of the mains frequency are taken out, itself included.")
        self.baseline = QComboBox()
        self.baseline.addItems(list(BASELINES))
        self.baseline.setToolTip("What is subtracted from each sweep before filtering.")
        self.window = QDoubleSpinBox()
        self.window.setRange(0.001, 1000)
        self.window.setDecimals(3)
        self.window.setValue(1.0)
        self.window.setSuffix(" s")
        self.window.setToolTip("Length of the running median.")
        self.show_filters = QCheckBox("Show the traces filtered")
        self.show_filters.setToolTip(
            "Draw filtered traces. The data, and what detection sees, stay as they are."
        )
        self.message = QLabel("Traces are shown as recorded.")
        self.message.setWordWrap(True)
        form = QFormLayout()
        for text, box in (
            ("Low-pass", self.lowpass),
            ("High-pass", self.highpass),
            ("Notch", self.notch),
            ("Harmonics", self.harmonics),
            ("Baseline", self.baseline),
            ("Window", self.window),
        ):
            form.addRow(text, box)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.show_filters)
        layout.addWidget(
            button(
                "Make a processed copy",
                "Add a filtered copy as a recording of its own; detect on that to detect on filtered traces.",
                lambda: self.copy_asked.emit(self.settings),
            )
        )
        layout.addWidget(self.message)
        layout.addStretch(1)
        for signal in (
            self.lowpass.valueChanged,
            self.highpass.valueChanged,
            self.notch.currentTextChanged,
            self.harmonics.valueChanged,
            self.baseline.currentTextChanged,
            self.window.valueChanged,
            self.show_filters.toggled,
        ):
            signal.connect(self._changed)

    @property
    def settings(self) -> FilterSettings:
        """What the form says."""
        return FilterSettings(
            lowpass=self.lowpass.value() or None,
            highpass=self.highpass.value() or None,
            notch=MAINS[self.notch.currentText()],
            harmonics=self.harmonics.value(),
            baseline=BASELINES[self.baseline.currentText()],  # type: ignore[arg-type]
            window=self.window.value(),
        )

    @property
    def shown(self) -> FilterSettings:
        """What is applied to the display: nothing unless asked for."""
        return self.settings if self.show_filters.isChecked() else FilterSettings()

    def set_recording(self, recording: Recording | None) -> None:
        """Allow frequencies below half the sampling rate of a recording only."""
        if recording is not None:
            for box in (self.lowpass, self.highpass):
                box.setMaximum(0.499 * min(c.sampling_rate for c in recording.channels))

    def _frequency(self, name: str) -> QDoubleSpinBox:
        box = QDoubleSpinBox()
        box.setRange(0, 1e6)
        box.setDecimals(2)
        box.setSuffix(" Hz")
        box.setSpecialValueText("Off")
        box.setKeyboardTracking(False)
        box.setToolTip(f"{name} cutoff (-3 dB), Butterworth of order 4, zero phase; 0 is off.")
        return box

    def _changed(self, *_: object) -> None:
        shown = self.shown
        self.message.setText(
            f"On display only. {shown.sentences()}" if shown else "Traces are shown as recorded."
        )
        self.changed.emit(shown)
