"""Two cursors over all plots, and what lies between them in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from napari_biofm.widgets.trace.curves import detach
from napari_biofm.widgets.trace.plots import TracePlots

_LOOK = 2_000_000


@dataclass(frozen=True)
class Reading:
    """What two cursors say about one channel of one sweep; values in `unit`.

    Attributes
    ----------
    v1, v2 : at the cursors; NaN in a gap.
    rms : root mean square about the mean.
    slope : of the straight line through all samples between the cursors, unit/s.
    """

    channel: str
    unit: str
    t1: float
    t2: float
    v1: float
    v2: float
    mean: float
    rms: float
    slope: float
    low: float
    high: float

    @property
    def text(self) -> str:
        """One line for people."""
        dt, rise = self.t2 - self.t1, self.v2 - self.v1
        length = f"{dt:.5g} s" if dt >= 10 else f"{dt * 1e3:.4g} ms"
        rate = f" ({1 / dt:.4g} Hz)" if dt > 0 else ""
        risen = f"{rise:.4g} {self.unit}" if np.isfinite(rise) else "unknown: a cursor is in a gap"
        return (
            f"{self.channel}: dt {length}{rate}, d{'V' if self.unit.endswith('V') else 'y'} {risen}, "
            f"slope {self.slope:.4g} {self.unit}/s, "
            f"mean {self.mean:.4g}, RMS {self.rms:.4g}, min {self.low:.4g}, max {self.high:.4g} {self.unit}"
        )


def read_between(
    times: NDArray[np.float64], values: NDArray[np.float32], channel: str, unit: str
) -> Reading | None:
    """Measure a span of samples; None if it holds none that are finite.

    Parameters
    ----------
    times, values : (n,) s and `unit`.
    """
    finite = np.isfinite(values)
    if not finite.any():
        return None
    t, v = times[finite], values[finite].astype(np.float64)
    centred = t - t.mean()
    spread = float(np.dot(centred, centred))
    return Reading(
        channel, unit, float(times[0]), float(times[-1]), float(values[0]), float(values[-1]),
        float(v.mean()), float(v.std()),
        float(np.dot(centred, v - v.mean()) / spread) if spread > 0 else 0.0, float(v.min()), float(v.max()),
    )  # fmt: skip


class CursorPair(QObject):
    """Two lines to drag, the same in every plot."""

    changed = Signal()

    def __init__(self, plots: TracePlots) -> None:
        super().__init__(plots)
        self._plots = plots
        self._lines: list[list[pg.InfiniteLine]] = []
        self._at = [0.0, 1.0]
        self._visible = False
        plots.rebuilt.connect(self._install)

    @property
    def visible(self) -> bool:
        return self._visible

    @property
    def span(self) -> tuple[float, float]:
        """Return the cursors' places on the time axis, earlier first."""
        return min(self._at), max(self._at)

    def set_visible(self, on: bool) -> None:
        """Show the cursors, at a third and two thirds of the view if they are out of it."""
        self._visible = on
        start, stop = self._plots.span()
        if on and not any(start <= at <= stop for at in self._at):
            self._at = [start + (stop - start) * k / 3 for k in (1, 2)]
        self._install()
        self.changed.emit()

    def place(self, first: float, second: float) -> None:
        """Put the cursors at two places on the time axis."""
        self._at = [first, second]
        self._install()
        self.changed.emit()

    def readings(self) -> list[Reading]:
        """Return what lies between the cursors in each shown channel of the current sweep."""
        source, plots = self._plots.source, self._plots
        if source is None or not self._visible:
            return []
        first, last = self.span
        shift = plots.to_axis(plots.sweep, 0.0)
        found = []
        for channel in plots.channels:
            about = source.recording.channels[channel]
            times, values, _ = source.span(plots.sweep, channel, first - shift, last - shift, _LOOK)
            reading = read_between(times, values, about.name, about.unit) if len(times) else None
            if reading is not None:
                found.append(reading)
        return found

    def _install(self) -> None:
        for pair in self._lines:
            for line in pair:
                detach(line)
        self._lines = []
        if not self._visible:
            return
        for row in self._plots.rows:
            pair = []
            for k in (0, 1):
                line = pg.InfiniteLine(
                    self._at[k], movable=True, pen=pg.mkPen(self._plots.colours.accent, width=1),
                    hoverPen=pg.mkPen(self._plots.colours.accent, width=3),
                    label="12"[k], labelOpts={"position": 0.95, "color": self._plots.colours.accent},
                )  # fmt: skip
                line.setZValue(20)
                line.sigPositionChanged.connect(lambda one, k=k: self._moved(k, float(one.value())))
                row.plot.addItem(line, ignoreBounds=True)
                pair.append(line)
            self._lines.append(pair)

    def _moved(self, k: int, at: float) -> None:
        if at == self._at[k]:
            return
        self._at[k] = at
        for pair in self._lines:
            pair[k].blockSignals(True)
            pair[k].setValue(at)
            pair[k].blockSignals(False)
        self.changed.emit()
