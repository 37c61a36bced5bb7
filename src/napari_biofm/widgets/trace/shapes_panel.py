"""The averaged event, and histograms of amplitudes and intervals."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_biofm.events.average import AveragedEvent, Histogram
from napari_biofm.events.table import NOT_EVENTS
from napari_biofm.signals.display.colours import Colours
from napari_biofm.types import Events
from napari_biofm.widgets.common.buttons import button
from napari_biofm.widgets.common.forms import choice, note, number, row
from napari_biofm.widgets.common.plot_style import small_plot

VIEWS = ("Averaged event", "Amplitudes", "Intervals")


class ShapesPanel(QWidget):
    """One plot of three kinds over the events of one class in one channel; rejected ones are left out."""

    asked = Signal(str, str, float, float)  # view, class ("" for all), seconds before and after

    def __init__(self, colours: Colours | None = None) -> None:
        super().__init__()
        self._colours = colours or Colours()
        self.view = choice(VIEWS, "What is plotted of the events.")
        self.which = choice(["All classes"], "Events of this class only.")
        self.before, self.after = (
            number(ms, 0.1, 60_000, f"How much {side} each event is shown.", suffix=" ms", decimals=1)
            for ms, side in ((5.0, "before"), (30.0, "after"))
        )
        self.message = note("Find events first, then press Plot.")
        self.canvas = small_plot(self._colours)
        self.canvas.setMinimumHeight(160)
        plot = button("Plot", "Plot the events of the first shown channel that has any.", self._ask)
        layout = QVBoxLayout(self)
        layout.addLayout(row(self.view, self.which, plot))
        layout.addLayout(row("Window", self.before, "to", self.after, None))
        layout.addWidget(self.message)
        layout.addWidget(self.canvas, 1)

    def show_message(self, text: str) -> None:
        """Say what was measured, or what is missing."""
        self.message.setText(text)

    def set_events(self, events: Events) -> None:
        """Offer the classes there are."""
        names = np.setdiff1d(events["class"], NOT_EVENTS).tolist()
        now = self.which.currentText()
        self.which.clear()
        self.which.addItems(["All classes", *names])
        self.which.setCurrentText(now if now in names else "All classes")

    def show_average(self, average: AveragedEvent, name: str) -> None:
        """Plot single events, faint, and their mean."""
        self.canvas.clear()
        if not average.n:
            self.message.setText("No event lies far enough from the ends: make the window smaller.")
            return
        self._label("Time (ms)", f"{name} ({average.unit})")
        milli = average.time_s * 1e3
        if len(average.cuts):
            gap = np.full((len(average.cuts), 1), np.nan)
            self.canvas.plot(
                np.tile(np.append(milli, milli[-1]), len(average.cuts)), np.hstack([average.cuts, gap]).ravel(),
                pen=pg.mkPen(self._colours.faint, width=1), connect="finite",
            )  # fmt: skip
        self.canvas.plot(milli, average.mean, pen=pg.mkPen(self._colours.accent, width=2))
        self.canvas.setYRange(*average.value_range, padding=0.1)
        self.canvas.setXRange(float(milli[0]), float(milli[-1]), padding=0.02)
        self.message.setText(
            f"{average.n} events, mean peak {average.peak:.4g} {average.unit} from the baseline before."
        )

    def show_histogram(self, histogram: Histogram) -> None:
        """Plot counts per bin."""
        self.canvas.clear()
        if not len(histogram.counts):
            self.message.setText("Too few events for a histogram.")
            return
        self._label(histogram.label, "Events")
        bars = pg.BarGraphItem(
            x0=histogram.edges[:-1], x1=histogram.edges[1:], height=histogram.counts,
            brush=pg.mkBrush(self._colours.channel(0)), pen=self._colours.background,
        )  # fmt: skip
        self.canvas.addItem(bars)
        self.canvas.enableAutoRange()
        self.message.setText(f"{len(histogram.sorted_values)} values, median {histogram.median:.4g}.")

    def _label(self, bottom: str, left: str) -> None:
        self.canvas.setLabel("bottom", bottom, color=self._colours.foreground)
        self.canvas.setLabel("left", left, color=self._colours.foreground)

    def _ask(self) -> None:
        name = self.which.currentText()
        before, after = (box.value() * 1e-3 for box in (self.before, self.after))
        self.asked.emit(self.view.currentText(), "" if name == "All classes" else name, before, after)
