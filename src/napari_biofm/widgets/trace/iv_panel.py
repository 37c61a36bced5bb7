"""Measure all sweeps between the cursors, and plot against the command: IV and other step plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QApplication, QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_biofm.signals import Recording
from napari_biofm.types import Events
from napari_biofm.widgets.trace.events_panel import button
from napari_biofm.widgets.trace.small_plot import small_plot
from napari_biofm.widgets.trace.style import Colours

MEASURES: dict[str, Callable[[NDArray[np.float32]], float]] = {
    "Mean": lambda v: float(np.nanmean(v)),
    "Peak (largest)": lambda v: float(np.nanmax(v)),
    "Peak (smallest)": lambda v: float(np.nanmin(v)),
    "Standard deviation": lambda v: float(np.nanstd(v)),
}
EVENT_RATE = "Events per second"  # FI and other rates against the command


def step_curve(
    recording: Recording,
    channel: int,
    start_s: float,
    stop_s: float,
    measure: str = "Mean",
    events: Events | None = None,
    sweeps: Sequence[int] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    """Measure every sweep between two times, beside the command there.

    Parameters
    ----------
    measure : one of `MEASURES`, or `EVENT_RATE`, which counts `events`.
    events : of the recording; artefacts and rejected ones are not counted.
    sweeps : that are measured; all by default.

    Returns
    -------
    x : (n,) median command in the span, or the sweep number where the command is unknown.
    y : (n,) the measure, in the channel's unit, or events per second.
    unit : of x; "" for sweep numbers.
    """
    about = recording.channels[channel]
    x, y, unit = [], [], ""
    if events is not None:
        events = events[(events["channel"] == channel) & ~np.isin(events["class"], ("artefact", "rejected"))]
    for sweep in range(recording.n_sweeps) if sweeps is None else sweeps:
        n = recording.n_samples(sweep, channel)
        start, stop = (int(np.clip(round(t * about.sampling_rate), 0, n)) for t in (start_s, stop_s))
        if stop <= start:
            continue
        if measure == EVENT_RATE:
            times = events["time_s"][events["sweep"] == sweep] if events is not None else np.zeros(0)
            y.append(float(np.sum((times >= start_s) & (times < stop_s)) / (stop_s - start_s)))
        else:
            y.append(MEASURES[measure](recording.values(sweep, channel, start, stop)))
        command = recording.stimulus(sweep, channel)
        if command is None or not np.isfinite(command.values[start:stop]).any():
            x.append(float(sweep))
        else:
            x.append(float(np.nanmedian(command.values[start:stop])))
            unit = command.unit
    return np.array(x), np.array(y), unit


class StepPanel(QWidget):
    """The plot and its table."""

    asked = Signal(str)  # measure

    def __init__(self, colours: Colours | None = None) -> None:
        super().__init__()
        colours = colours or Colours()
        self.measure = QComboBox()
        self.measure.addItems([*MEASURES, EVENT_RATE])
        self.measure.setToolTip("What is measured between the cursors in every sweep.")
        self.said = QLabel("Switch the cursors on, put them around a step, and press Plot.")
        self.said.setWordWrap(True)
        self.canvas = small_plot(colours)
        self.canvas.setMinimumHeight(160)
        self._colours = colours
        self._rows = ""
        row = QHBoxLayout()
        row.addWidget(self.measure, 1)
        row.addWidget(
            button("Plot", "Measure every sweep between the cursors against its command.",
                   lambda: self.asked.emit(self.measure.currentText()))
        )  # fmt: skip
        row.addWidget(button("Copy table", "Copy the numbers for a spreadsheet.", self.copy))
        layout = QVBoxLayout(self)
        layout.addLayout(row)
        layout.addWidget(self.said)
        layout.addWidget(self.canvas, 1)

    def show_curve(
        self, x: NDArray[np.float64], y: NDArray[np.float64], x_unit: str, y_name: str, y_unit: str
    ) -> None:
        """Plot what was measured, with the slope of a straight line through it."""
        self.canvas.clear()
        if not len(x):
            self.said.setText("No sweep reaches the cursors: move them into the sweeps.")
            return
        order = np.argsort(x, kind="stable")
        colour = self._colours.channel(0)
        self.canvas.plot(
            x[order],
            y[order],
            pen=pg.mkPen(colour, width=1),
            symbol="o",
            symbolSize=7,
            symbolBrush=colour,
            symbolPen=None,
        )
        x_name = f"Command ({x_unit})" if x_unit else "Sweep"
        self.canvas.setLabel("bottom", x_name, color=self._colours.foreground)
        self.canvas.setLabel("left", f"{y_name} ({y_unit})", color=self._colours.foreground)
        self._rows = "\n".join(
            [f"{x_name}\t{y_name} ({y_unit})", *(f"{a:.6g}\t{b:.6g}" for a, b in zip(x, y, strict=True))]
        )
        said = f"{len(x)} sweeps."
        if x_unit and len(np.unique(x)) > 2:
            slope = float(np.polyfit(x, y, 1)[0])
            said += f" Slope {slope:.4g} {y_unit}/{x_unit}."
            if (y_unit, x_unit) == ("pA", "mV"):
                said += f" Conductance {slope:.4g} nS."
            elif (y_unit, x_unit) == ("mV", "pA"):
                said += f" Resistance {slope * 1e3:.4g} MOhm."
        self.said.setText(said)

    @property
    def table(self) -> str:
        """The numbers, tab-separated, with a header."""
        return self._rows

    def copy(self) -> None:
        """Put the table on the clipboard."""
        clipboard = QApplication.clipboard()
        if self._rows and clipboard is not None:
            clipboard.setText(self._rows)
            self.said.setText("Copied.")
