"""How good the shown sweep is: noise, hum, drift, access, flags, and its power spectrum."""

from __future__ import annotations

from html import escape

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_biofm.signals import Recording
from napari_biofm.signals.access import MEAN_OF_ALL
from napari_biofm.signals.describe import describe_pulses, describe_quality
from napari_biofm.signals.display.colours import Colours
from napari_biofm.signals.quality import Quality
from napari_biofm.widgets.common.buttons import button
from napari_biofm.widgets.common.forms import choice, note
from napari_biofm.widgets.common.plot_style import small_plot


class QualityPanel(QWidget):
    """Numbers and spectrum of one channel of the current sweep; asks for them, computes nothing itself."""

    asked = Signal(int, int)  # channel, test pulse

    def __init__(self, colours: Colours | None = None) -> None:
        super().__init__()
        colours = colours or Colours()
        self.channel = choice((), "The channel that is measured.")
        self.pulse = choice(
            (),
            "The step of the command that access resistance is measured with, or the mean of all like the first.",
        )
        self.pulse.activated.connect(lambda _: self.ask())
        self.pulse.hide()
        self.numbers = note("Press Measure to look at the shown sweep.", selectable=True, rich=True)
        self.canvas = small_plot(colours)
        self.canvas.setLogMode(True, True)
        self.canvas.setLabel("bottom", "Frequency (Hz)", color=colours.foreground)
        self.canvas.setMinimumHeight(140)
        self._colour = colours.channel(0)
        self._foreground = colours.foreground
        layout = QVBoxLayout(self)
        layout.addWidget(self.channel)
        layout.addWidget(button("Measure", "Measure the shown sweep of this channel.", lambda: self.ask()))
        layout.addWidget(self.pulse)
        layout.addWidget(self.numbers)
        layout.addWidget(self.canvas, 1)

    def set_recording(self, recording: Recording | None) -> None:
        """Offer the channels of another recording."""
        self.channel.clear()
        self._offer([])
        if recording is not None:
            self.channel.addItems(
                [f"{i}: {c.name} ({c.unit})" for i, c in enumerate(recording.channels[:2000])]
            )
        self.numbers.setText("Press Measure to look at the shown sweep.")
        self.canvas.clear()
        self.canvas.setLabel("left", "Power", color=self._foreground)

    def recolour(self, colours: Colours) -> None:
        """Write later labels in other colours."""
        self._foreground = colours.foreground

    def ask(self) -> None:
        """Ask for the numbers of the chosen channel."""
        if self.channel.count():
            number = self.pulse.currentIndex()
            mean = self.pulse.count() > 1 and number == self.pulse.count() - 1
            self.asked.emit(self.channel.currentIndex(), MEAN_OF_ALL if mean else max(number, 0))

    def _offer(self, names: list[str]) -> None:
        """Offer these test pulses, and their mean where there are several."""
        if names != [self.pulse.itemText(i) for i in range(self.pulse.count())]:
            now = self.pulse.currentIndex()
            self.pulse.clear()
            self.pulse.addItems(names)
            self.pulse.setCurrentIndex(now if 0 <= now < len(names) else 0)
        self.pulse.setVisible(len(names) > 1)

    def show_report(self, report: tuple[Quality, NDArray[np.float64], NDArray[np.float64]]) -> None:
        """Show what was measured."""
        quality, frequencies, power = report
        self._offer(describe_pulses(quality))
        remarks = describe_quality(quality)
        self.numbers.setText(
            "<br>".join(f"<b>{escape(r.text)}</b>" if r.warns else escape(r.text) for r in remarks)
        )
        self.canvas.clear()
        keep = (frequencies > 0) & (power > 0)
        if keep.any():
            self.canvas.plot(frequencies[keep], power[keep], pen=pg.mkPen(self._colour, width=1))
            self.canvas.setLabel("left", f"Power ({escape(quality.unit)}^2/Hz)", color=self._foreground)
