"""Filters for display, or as a processed copy. Detection never sees a display filter."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QVBoxLayout, QWidget

from napari_biofm.signals import Recording
from napari_biofm.signals.filters import FilterSettings
from napari_biofm.widgets.common.buttons import button
from napari_biofm.widgets.common.forms import choice, form, note, number

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
        self.notch = choice(MAINS, "Take out mains hum and its harmonics.")
        self.harmonics = number(
            3, 1, 20, "How many multiples of the mains frequency are taken out, itself included.", decimals=0
        )
        self.baseline = choice(BASELINES, "What is subtracted from each sweep before filtering.")
        self.window_s = number(1, 0.001, 1000, "Length of the running median.", suffix=" s")
        self.show_filters = QCheckBox("Show the traces filtered")
        self.show_filters.setToolTip(
            "Draw filtered traces. The data, and what detection sees, stay as they are."
        )
        self.message = note("Traces are shown as recorded.")
        boxes = (
            ("Low-pass", self.lowpass), ("High-pass", self.highpass), ("Notch", self.notch),
            ("Harmonics", self.harmonics), ("Baseline", self.baseline), ("Window", self.window_s),
        )  # fmt: skip
        layout = QVBoxLayout(self)
        layout.addLayout(form(boxes))
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
            self.window_s.valueChanged,
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
            harmonics=int(self.harmonics.value()),
            baseline=BASELINES[self.baseline.currentText()],  # type: ignore[arg-type]
            window=self.window_s.value(),
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
        tip = f"{name} cutoff (-3 dB), Butterworth of order 4, zero phase; 0 is off."
        box = number(0, 0, 1e6, tip, suffix=" Hz", decimals=2, lowest="Off")
        box.setKeyboardTracking(False)
        return box

    def _changed(self, *_: object) -> None:
        shown = self.shown
        self.message.setText(
            f"On display only. {shown.sentences()}" if shown else "Traces are shown as recorded."
        )
        self.changed.emit(shown)
