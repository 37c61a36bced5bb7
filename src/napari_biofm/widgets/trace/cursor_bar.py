"""The row under the toolbar while cursors are shown: their times, typed; the baseline; how the peak is read."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_biofm.controllers.trace.cursors import HowMeasured, Span
from napari_biofm.widgets.common.buttons import button
from napari_biofm.widgets.common.forms import choice, number, row

_FAR = 1e7  # s


class CursorBar(QWidget):
    """Times of both pairs of cursors, in seconds of the current sweep."""

    baseline_toggled = Signal(bool)
    typed = Signal(object, object)  # baseline, peak: Span
    how_changed = Signal(object)  # HowMeasured
    all_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.baseline = QCheckBox("Baseline")
        self.baseline.setChecked(True)
        self.baseline.setToolTip("Two more cursors: the mean between them is taken off what is measured.")
        self.baseline.toggled.connect(self._toggled)
        self.times = [
            number(0, -_FAR, _FAR, f"{tip} this time of the sweep.", suffix=" s", decimals=6)
            for tip in ("Baseline from", "Baseline to", "Measured from", "Measured to")
        ]
        for box in self.times:
            box.setKeyboardTracking(False)
            box.setMinimumWidth(78)
            box.setButtonSymbols(box.ButtonSymbols.NoButtons)
            box.valueChanged.connect(lambda _: self.typed.emit(*self.spans))
        self.polarity = choice(("largest", "up", "down"), "Direction of the peak from the baseline.")
        self.polarity.currentTextChanged.connect(lambda _: self.how_changed.emit(self.how))
        self.mean = number(
            0, 0, 1000, "The peak is the extreme of means over this time.", suffix=" ms", lowest="sample"
        )
        self.mean.setKeyboardTracking(False)
        self.mean.valueChanged.connect(lambda _: self.how_changed.emit(self.how))
        self.all = button(
            "All sweeps", "Measure all sweeps so, in the tab Analyse.", lambda: self.all_asked.emit()
        )
        a, b, c, d = self.times
        rows = QVBoxLayout(self)
        rows.setContentsMargins(2, 0, 2, 0)
        rows.setSpacing(2)
        rows.addLayout(row(self.baseline, a, "to", b, "Measured", c, "to", d, None, spacing=4))
        rows.addLayout(row("Peak", self.polarity, "mean over", self.mean, self.all, None, spacing=4))
        self.hide()

    @property
    def spans(self) -> tuple[Span, Span]:
        """What stands in the boxes: baseline, and what is measured."""
        a, b, c, d = (box.value() for box in self.times)
        return (a, b), (c, d)

    @property
    def how(self) -> HowMeasured:
        """How the peak is read."""
        return HowMeasured(self.polarity.currentText(), self.mean.value())

    def show_spans(self, baseline: Span, peak: Span) -> None:
        """Say where the cursors stand."""
        for box, value in zip(self.times, (*baseline, *peak), strict=True):
            with QSignalBlocker(box):
                box.setValue(value)

    def _toggled(self, on: bool) -> None:
        for widget in (*self.times[:2], self.polarity, self.mean, self.all):
            widget.setEnabled(on)
        self.baseline_toggled.emit(on)
