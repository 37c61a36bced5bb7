"""Movie and masks of the viewer -> traces of cells."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from napari_biofm.signals.calcium import TraceSettings
from napari_biofm.widgets.common.buttons import button
from napari_biofm.widgets.common.viewers import layer_by_id, layer_id

EMPTY = "Open a movie (T, Y, X) and segment its cells: then their traces can be made here."


class MoviePanel(QWidget):
    """A form for `TraceSettings` over the layers of a viewer."""

    asked = Signal(object, object, float, object)  # image layer, labels layer, frame rate, settings

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self.movie, self.masks = QComboBox(), QComboBox()
        self.movie.setToolTip("Image layer with a time axis: (T, Y, X).")
        self.masks.setToolTip("Labels layer with one value per cell, on one frame: (Y, X).")
        self.rate = self._number(0, 0, 1e5, " Hz", "Frames per second of the movie.")
        self.rate.setSpecialValueText("?")
        self.factor = self._number(
            0.7, 0, 1, "", "Share of the neuropil around a cell that is subtracted from it."
        )
        self.percentile = self._number(
            8, 0, 50, " %", "Percentile of the running window that is taken for F0."
        )
        self.window = self._number(30, 0.1, 1e4, " s", "Length of the running window for F0.")
        self.bleaching = QCheckBox("Correct bleaching")
        self.bleaching.setToolTip("Divide by the fitted exponential decay of the whole field.")
        self.message = QLabel(EMPTY)
        self.message.setWordWrap(True)
        self.go = button(
            "Make traces", "Measure every cell in every frame; the movie is read in pieces.", self._ask
        )
        form = QFormLayout()
        for text, box in (
            ("Movie", self.movie),
            ("Cells", self.masks),
            ("Frame rate", self.rate),
            ("Neuropil", self.factor),
            ("Percentile", self.percentile),
            ("Window", self.window),
        ):
            form.addRow(text, box)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.bleaching)
        layout.addWidget(self.go)
        layout.addWidget(self.message)
        layout.addStretch(1)

    @property
    def settings(self) -> TraceSettings:
        """What the form says."""
        return TraceSettings(
            neuropil_factor=self.factor.value(),
            percentile=self.percentile.value(),
            window=self.window.value(),
            correct_bleaching=self.bleaching.isChecked(),
        )

    def update_layers(
        self, image: str | None = None, labels: str | None = None, rate: float | None = None
    ) -> None:
        """Offer the viewer's movies and masks; those in play are chosen."""
        kinds = ((self.movie, "image", 3, image), (self.masks, "labels", 2, labels))
        for box, kind, ndim, wanted in kinds:
            now = wanted or box.currentData()
            box.clear()
            for layer in self._viewer.layers:
                if (
                    getattr(layer, "_type_string", "") == kind
                    and layer.ndim == ndim
                    and not getattr(layer, "rgb", False)
                ):
                    box.addItem(layer.name, layer_id(layer))
            if now is not None and box.findData(now) >= 0:
                box.setCurrentIndex(box.findData(now))
        if rate is not None and rate > 0:
            self.rate.setValue(rate)
        ready = self.movie.count() > 0 and self.masks.count() > 0
        self.go.setEnabled(ready)
        if ready and self.message.text() == EMPTY:
            self.message.setText("")
        elif not ready:
            self.message.setText(EMPTY)

    def _ask(self) -> None:
        if self.rate.value() <= 0:
            self.message.setText("Type the frame rate of the movie first: it is never guessed.")
            self.rate.setFocus()
            return
        movie, masks = (layer_by_id(self._viewer, box.currentData()) for box in (self.movie, self.masks))
        if movie is not None and masks is not None:
            self.asked.emit(movie, masks, self.rate.value(), self.settings)

    def _number(self, value: float, low: float, high: float, suffix: str, tip: str) -> QDoubleSpinBox:
        box = QDoubleSpinBox()
        box.setRange(low, high)
        box.setDecimals(3)
        box.setValue(value)
        box.setSuffix(suffix)
        box.setToolTip(tip)
        return box
