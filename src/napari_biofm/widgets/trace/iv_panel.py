"""Measure all sweeps between the cursors, and plot against the command: IV and other step plots."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QApplication, QVBoxLayout, QWidget

from napari_biofm.events.features.step_curves import EVENT_RATE, MEASURES, StepCurve
from napari_biofm.signals.display.colours import Colours
from napari_biofm.widgets.common.buttons import button
from napari_biofm.widgets.common.forms import choice, note, row
from napari_biofm.widgets.common.plot_style import small_plot

WHERE = {
    "Between the cursors": "", "Epoch that varies": "*",
    **{f"Epoch {letter}": letter for letter in "ABCDEFGHIJ"},
}  # fmt: skip


class StepPanel(QWidget):
    """The plot and its table."""

    asked = Signal(
        str, str
    )  # measure, and where: "" between the cursors, "*" the epoch that varies, or its letter

    def __init__(self, colours: Colours | None = None) -> None:
        super().__init__()
        colours = colours or Colours()
        self.measure = choice([*MEASURES, EVENT_RATE], "What is measured between the cursors in every sweep.")
        self.where = choice(
            WHERE,
            "Between the cursors, or in a part of the command: the one that varies across sweeps, or by letter.",
        )
        self.message = note("Switch the cursors on, put them around a step, and press Plot.")
        self.canvas = small_plot(colours)
        self.canvas.setMinimumHeight(160)
        self._colours = colours
        self.table = ""  # the numbers, tab-separated, with a header
        plot = button(
            "Plot", "Measure every sweep there against its command.",
            lambda: self.asked.emit(self.measure.currentText(), WHERE[self.where.currentText()]),
        )  # fmt: skip
        copy = button("Copy table", "Copy the numbers for a spreadsheet.", self.copy)
        layout = QVBoxLayout(self)
        layout.addLayout(row(self.measure, plot, copy, stretched=self.measure))
        layout.addLayout(row(self.where))
        layout.addWidget(self.message)
        layout.addWidget(self.canvas, 1)

    def show_message(self, text: str) -> None:
        """Say what was measured, or what is missing."""
        self.message.setText(text)

    def show_curve(self, curve: StepCurve) -> None:
        """Plot what was measured, with the slope of a straight line through it."""
        self.canvas.clear()
        self.table = ""
        if not len(curve.x):
            self.message.setText("No sweep reaches the cursors: move them into the sweeps.")
            return
        order = np.argsort(curve.x, kind="stable")
        colour = self._colours.channel(0)
        self.canvas.plot(
            curve.x[order], curve.y[order], pen=pg.mkPen(colour, width=1),
            symbol="o", symbolSize=7, symbolBrush=colour, symbolPen=None,
        )  # fmt: skip
        for side, label in zip(("bottom", "left"), curve.labels, strict=True):
            self.canvas.setLabel(side, label, color=self._colours.foreground)
        self.table = curve.table
        self.message.setText(curve.text)

    def copy(self) -> None:
        """Put the table on the clipboard."""
        clipboard = QApplication.clipboard()
        if self.table and clipboard is not None:
            clipboard.setText(self.table)
            self.message.setText("Copied.")
