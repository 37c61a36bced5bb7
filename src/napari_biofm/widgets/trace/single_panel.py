"""Single channels in numbers: dwell times and amplitudes with their fits, and what is published of them."""

from __future__ import annotations

from html import escape

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QApplication, QVBoxLayout, QWidget

from napari_biofm.events.features.single_channels import ChannelSummary, DwellHistogram, to_tables
from napari_biofm.signals.display.colours import Colours
from napari_biofm.widgets.common.buttons import button
from napari_biofm.widgets.common.forms import choice, note, row
from napari_biofm.widgets.common.plot_style import small_plot

VIEWS = ("Amplitudes", "Open times", "Shut times")
HOW = "Idealises the topmost channel of the shown sweep: how many channels are open when."


class SingleChannelPanel(QWidget):
    """One plot of three kinds, the numbers in words, and the table."""

    asked = Signal()

    def __init__(self, colours: Colours | None = None) -> None:
        super().__init__()
        self._colours = colours or Colours()
        self._summary: ChannelSummary | None = None
        self.view = choice(VIEWS, "All samples over the baseline, or how long channels stayed open or shut.")
        self.view.currentTextChanged.connect(lambda: self._draw())
        self.message = note(HOW, selectable=True)
        self.canvas = small_plot(self._colours)
        self.canvas.setMinimumHeight(160)
        self.button = button("Idealise", HOW, lambda: self.asked.emit())
        copy = button("Copy table", "Copy the numbers for a spreadsheet.", self.copy)
        layout = QVBoxLayout(self)
        layout.addLayout(row(self.button, self.view, copy, stretched=self.view))
        layout.addWidget(self.message)
        layout.addWidget(self.canvas, 1)

    def recolour(self, colours: Colours) -> None:
        """Draw the same in other colours."""
        if colours != self._colours:
            self._colours = colours
            self._draw()

    def set_busy(self, busy: bool) -> None:
        """Idealise once at a time."""
        self.button.setEnabled(not busy)

    def show_message(self, text: str) -> None:
        """Say what is missing."""
        self.message.setText(text)

    def show_summary(self, summary: ChannelSummary | None) -> None:
        """Plot what was found; None takes it away."""
        self._summary = summary
        self.message.setText(HOW if summary is None else summary.text)
        self._draw()

    def copy(self) -> None:
        """Put the numbers on the clipboard, tab-separated."""
        clipboard = QApplication.clipboard()
        if self._summary is not None and clipboard is not None:
            clipboard.setText(to_tables([self._summary])["summary"].replace(",", "\t"))

    def _draw(self) -> None:
        self.canvas.clear()
        if self._summary is None:
            return
        if self.view.currentText() == "Amplitudes":
            a = self._summary.amplitudes
            self.canvas.setLogMode(False, False)
            self._bars(a.edges, a.counts.astype(float), a.fitted if len(a.counts) else np.zeros(0))
            self._label(f"Current over the baseline ({self._summary.unit})", "Samples")
        else:
            is_open = self.view.currentText() == "Open times"
            self._dwells(self._summary.open_dwells if is_open else self._summary.shut_dwells)
            self._label(f"{self.view.currentText()} (log10 ms)", "Square root of counts")
        self.canvas.enableAutoRange()

    def _dwells(self, histogram: DwellHistogram) -> None:
        """Square roots over the logarithm of time: each exponential peaks at its time constant."""
        if not len(histogram.counts):
            self.canvas.setTitle("Too few complete dwells", color=self._colours.foreground)
            return
        edges = np.log10(1e3 * histogram.edges_s)
        self._bars(edges, np.sqrt(histogram.counts), np.sqrt(histogram.fitted))

    def _bars(self, edges: np.ndarray, counts: np.ndarray, fitted: np.ndarray) -> None:
        self.canvas.setTitle(None)
        colour = self._colours.channel(0)
        bars = pg.BarGraphItem(
            x0=edges[:-1], x1=edges[1:], height=counts, brush=pg.mkBrush(colour), pen=self._colours.background
        )
        self.canvas.addItem(bars)
        if len(fitted) and np.isfinite(fitted).all():
            middle = 0.5 * (edges[:-1] + edges[1:])
            self.canvas.plot(middle, fitted, pen=pg.mkPen(self._colours.accent, width=2))

    def _label(self, bottom: str, left: str) -> None:
        self.canvas.setLabel("bottom", escape(bottom), color=self._colours.foreground)
        self.canvas.setLabel("left", escape(left), color=self._colours.foreground)
