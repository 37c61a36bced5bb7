"""The behaviour signal as a track under the raster, on the same axis of time."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import pyqtgraph as pg

from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.signals.behaviour import behaviour_samples
from napari_biofm.widgets.timeline.panel import Host

COLOUR, ACCENT, FOREGROUND = "#7fc8a9", "#f6c945", "#d6d6d6"


class BehaviourTrack:
    """A plot that is there where a behaviour signal is set: the signal, its threshold, and where its events begin.

    Parameters
    ----------
    host : whose signals it hears.
    controller : of the timeline.
    plots : gets the plot as its last row.
    above : plot whose axis of time is followed.
    """

    def __init__(self, host: Host, controller: TimelineController, plots: Any, above: Any) -> None:
        self.controller, self._plots, self._above = controller, plots, above
        self.plot = pg.PlotItem()
        self.curve = self.plot.plot(pen=pg.mkPen(COLOUR, width=1), connect="finite")
        self.curve.setDownsampling(auto=True, method="peak")
        self.curve.setClipToView(True)
        self.threshold = pg.InfiniteLine(
            angle=0, pen=pg.mkPen(FOREGROUND, width=1, style=pg.QtCore.Qt.PenStyle.DashLine)
        )
        self.events = pg.ScatterPlotItem(symbol="t", size=9, brush=pg.mkBrush(ACCENT), pen=None)
        self.cursor = pg.InfiniteLine(angle=90, pen=pg.mkPen(ACCENT, width=1))
        for item in (self.threshold, self.events, self.cursor):
            self.plot.addItem(item, ignoreBounds=True)
        self.plot.hideButtons()
        self.plot.setMenuEnabled(False)
        self.plot.setMouseEnabled(x=True, y=False)
        self.plot.setXLink(above)
        for side in ("left", "bottom"):
            self.plot.getAxis(side).setPen(FOREGROUND)
            self.plot.getAxis(side).setTextPen(FOREGROUND)
        self.plot.getAxis("left").setWidth(52)
        self.plot.getAxis("left").enableAutoSIPrefix(False)
        self.plot.setLabel("bottom", "time (s)")
        self._shown: object = None
        host.listen(controller.events_moved, self.refresh)
        host.listen(controller.session.time_changed, self.show_time)
        self.refresh()

    @property
    def is_shown(self) -> bool:
        """Whether a behaviour signal is set."""
        return self._shown is not None

    def refresh(self) -> None:
        """Draw the signal as it is now."""
        found = self.controller.behaviour()
        here = None if found is None else (id(found[1]), found[2])
        if here == self._shown:
            return
        if self._shown is None:
            self._plots.addItem(self.plot, row=2, col=0)
            self._plots.ci.layout.setRowStretchFactor(2, 1)
        elif here is None:
            self._plots.removeItem(self.plot)
        self._shown = here
        self._above.getAxis("bottom").setStyle(showValues=here is None)
        self._above.setLabel("bottom", "time (s)" if here is None else "")
        if found is None:
            return
        _, recording, behaviour = found
        seconds, values = behaviour_samples(recording, behaviour)
        about = recording.channels[behaviour.channel]
        self.curve.setData(seconds, values)
        known = values[np.isfinite(values)]
        if len(known):
            self.plot.setYRange(float(known.min()), float(max(known.max(), known.min() + 1e-9)), padding=0.05)
        self.plot.setLabel("left", escape(f"{about.name} ({about.unit})"))
        self.threshold.setVisible(behaviour.threshold is not None)
        self.threshold.setValue(behaviour.threshold or 0.0)
        at = self.controller.behaviour_seconds()
        self.events.setData(at, np.full(len(at), behaviour.threshold or 0.0))
        self.show_time(self.controller.session.time_s)

    def show_time(self, seconds: float) -> None:
        """Put the cursor at a time."""
        self.cursor.setValue(seconds)
