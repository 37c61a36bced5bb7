"""How good the shown sweep is: noise, hum, drift, access, flags, and its power spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QLabel, QVBoxLayout, QWidget

from napari_biofm.signals import Recording
from napari_biofm.signals.access import MEAN_OF_ALL
from napari_biofm.signals.quality import Quality
from napari_biofm.signals.units import same_quantity
from napari_biofm.widgets.trace.events_panel import button
from napari_biofm.widgets.trace.small_plot import small_plot
from napari_biofm.widgets.trace.style import Colours


class QualityPanel(QWidget):
    """Numbers and spectrum of one channel of the current sweep; asks for them, computes nothing itself."""

    asked = Signal(int, int)  # channel, test pulse

    def __init__(self, colours: Colours | None = None) -> None:
        super().__init__()
        colours = colours or Colours()
        self.channel = QComboBox()
        self.channel.setToolTip("The channel that is measured.")
        self.pulse = QComboBox()
        self.pulse.setToolTip(
            "The step of the command that access resistance is measured with, or the mean of all like the first."
        )
        self.pulse.activated.connect(lambda _: self.ask())
        self.pulse.hide()
        self.numbers = QLabel("Press Measure to look at the shown sweep.")
        self.numbers.setWordWrap(True)
        self.numbers.setTextInteractionFlags(pg.QtCore.Qt.TextInteractionFlag.TextSelectableByMouse)
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
        self._offer(())
        if recording is not None:
            self.channel.addItems(
                [f"{i}: {c.name} ({c.unit})" for i, c in enumerate(recording.channels[:2000])]
            )
        self.numbers.setText("Press Measure to look at the shown sweep.")
        self.canvas.clear()
        self.canvas.setLabel("left", "Power", color=self._foreground)

    def ask(self) -> None:
        """Ask for the numbers of the chosen channel."""
        if self.channel.count():
            number = self.pulse.currentIndex()
            mean = self.pulse.count() > 1 and number == self.pulse.count() - 1
            self.asked.emit(self.channel.currentIndex(), MEAN_OF_ALL if mean else max(number, 0))

    def _offer(self, pulses: Sequence[tuple[float, float]]) -> None:
        """Offer these test pulses, and their mean where there are several."""
        names = [
            f"Test pulse {i + 1}: {v * 1e3:.3g} mV at {t:.4g} s" for i, (t, v) in enumerate(pulses[:200])
        ]
        if len(names) > 1:
            names.append("Mean of all pulses like the first")
        if names != [self.pulse.itemText(i) for i in range(self.pulse.count())]:
            now = self.pulse.currentIndex()
            self.pulse.clear()
            self.pulse.addItems(names)
            self.pulse.setCurrentIndex(now if 0 <= now < len(names) else 0)
        self.pulse.setVisible(len(names) > 1)

    def show_report(self, found: tuple[Quality, Any, Any]) -> None:
        """Show what was measured."""
        quality, frequencies, power = found
        self._offer(quality.pulses)
        self.numbers.setText("<br>".join(sentences(quality)))
        self.canvas.clear()
        keep = (frequencies > 0) & (power > 0)
        if keep.any():
            self.canvas.plot(frequencies[keep], power[keep], pen=pg.mkPen(self._colour, width=1))
            self.canvas.setLabel("left", f"Power ({quality.unit}^2/Hz)", color=self._foreground)


def sentences(quality: Quality) -> list[str]:
    """Return the numbers as lines, what needs attention in bold."""
    unit = quality.unit
    said = [f"Noise: {quality.noise_rms:.3g} {unit} RMS about a mean of {quality.mean:.4g} {unit}"]
    hum = quality.hum
    loud = hum.rms > 0.5 * quality.noise_rms and hum.share > 0.02
    text = f"Hum at {hum.frequency:.0f} Hz: {hum.rms:.3g} {unit} RMS, {hum.share:.0%} of the power"
    said.append(f"<b>{text}: check the grounding, or filter a copy</b>" if loud else text)
    said.append(f"Drift: {quality.drift_per_s:.3g} {unit}/s")
    if quality.access is not None:
        a = quality.access
        said.append(
            f"Test pulse of {a.step * 1e3:.3g} mV: access resistance {a.access_resistance / 1e6:.3g} MOhm, "
            f"input resistance {a.input_resistance / 1e6:.4g} MOhm, "
            f"capacitance {a.capacitance * 1e12:.3g} pF, tau {a.tau * 1e3:.3g} ms"
        )
    elif same_quantity(unit, "A"):
        said.append("Access resistance: no square voltage step of 1 to 40 mV in this sweep's command")
    for name, spans in (("saturated", quality.flags.saturated), ("flat or missing", quality.flags.dropouts)):
        n = int(np.sum(spans[:, 1] - spans[:, 0])) if len(spans) else 0
        stretches = "stretch" if len(spans) == 1 else "stretches"
        said.append(f"<b>{len(spans)} {stretches} {name}, {n} samples</b>" if n else f"Nothing {name}")
    if quality.unit_hint is not None:
        said.append(f"<b>The unit looks wrong: {quality.unit_hint.reason}</b>")
    return said
