"""Events on the traces: coloured by class, score at the mouse, a handle to drag the selected one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from napari_biofm.events.colours import class_colour
from napari_biofm.events.listing import describe_event
from napari_biofm.events.reviewed import verdicts_of
from napari_biofm.signals.display.scales import tick_line
from napari_biofm.types import Events, no_events
from napari_biofm.widgets.trace.curves import detach, vertical_line
from napari_biofm.widgets.trace.plots import TracePlots
from napari_biofm.widgets.trace.rows import Row

MAX_MARKS = 400  # drawn as symbols; above that as ticks that thin out by pixel
_SYMBOLS = {"accept": "o", "unclear": "t1", "reject": "x", "": "o"}


class EventMarks(QObject):
    """Puts the events of a recording into its plots.

    Parameters
    ----------
    plots : where they are shown.
    """

    picked = Signal(int)  # row of the table
    pointed = Signal(int)  # row under the mouse, -1 when it left
    moved = Signal(int, float)  # row, new time in its sweep

    def __init__(self, plots: TracePlots) -> None:
        super().__init__(plots)
        self._plots = plots
        self._events: Events = no_events()
        self._verdicts: list[str] = []
        self._values: dict[int, float] = {}  # of the trace at each event, once drawn
        self._row: int | None = None
        self._points: dict[int, pg.ScatterPlotItem] = {}
        self._ticks: dict[int, pg.PlotCurveItem] = {}
        self._handle: pg.InfiniteLine | None = None
        self._known: list[Row] = []
        plots.rebuilt.connect(self._install)
        plots.drawn.connect(self.update)
        plots.sweep_changed.connect(lambda _: self.update())
        plots.view_changed.connect(lambda *_: self.update())
        self._install()

    def set_events(self, events: Events, row: int | None) -> None:
        """Show these events, with their verdicts where they have any; `row` is the selected one."""
        if events is not self._events:
            self._values.clear()
        self._events, self._row = events, row
        self._verdicts = verdicts_of(events).tolist()
        self.update()

    def select(self, row: int | None) -> None:
        """Mark another event as the selected one."""
        self.set_events(self._events, row)

    def _install(self) -> None:
        """Put empty marks into new plots."""
        self._points.clear()
        self._ticks.clear()
        self._handle = None
        self._known = list(self._plots.rows)
        for row in self._plots.rows:
            points = pg.ScatterPlotItem(pxMode=True, hoverable=True, hoverSize=13, tip=None)
            points.sigClicked.connect(self._clicked)
            points.sigHovered.connect(self._hovered)
            ticks = pg.PlotCurveItem(pen=pg.mkPen(self._plots.colours.accent, width=1), connect="pairs")
            for item in (points, ticks):
                item.setZValue(10)
                row.plot.addItem(item, ignoreBounds=True)
            self._points[row.channel], self._ticks[row.channel] = points, ticks
        self.update()

    def update(self) -> None:
        """Follow view, sweep and table."""
        if self._known != self._plots.rows:
            return  # plots are being made anew
        for row in self._known:
            self._draw(row)
        self._draw_handle()

    def _in_view(self, channel: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return rows of the table and places on the time axis of a channel's events in view."""
        return self._plots.lines.events_in_view(self._events, channel, *self._plots.span())

    def _draw(self, row: Row) -> None:
        rows, places = self._in_view(row.channel)
        points, ticks = self._points[row.channel], self._ticks[row.channel]
        if len(rows) > MAX_MARKS:
            points.clear()
            (x0, x1), (y0, y1) = row.view.viewRange()
            pixel = (x1 - x0) / max(row.view.width(), 1)
            ticks.setData(*tick_line(places, pixel, y0 + 0.02 * (y1 - y0), y0 + 0.08 * (y1 - y0)))
            return
        ticks.clear()
        if self._plots.lines.source is not None:
            spots = [
                self._spot(row.channel, i, x) for i, x in zip(rows.tolist(), places.tolist(), strict=True)
            ]
            points.setData(spots, tip=self._tip)

    def _spot(self, channel: int, index: int, place: float) -> dict[str, Any]:
        """Return how an event is drawn: colour by class, symbol by verdict, larger if it is selected."""
        event, lines, accent = self._events[index], self._plots.lines, self._plots.colours.accent
        if index not in self._values:
            self._values[index] = lines.drawn_value(event)
        chosen = index == self._row
        return {
            "pos": (place, self._values[index] - lines.offset(lines.sweep, channel)),
            "data": index,
            "brush": pg.mkBrush(class_colour(str(event["class"]))),
            "symbol": _SYMBOLS.get(self._verdicts[index], "o"),
            "size": 13 if chosen else 9,
            "pen": pg.mkPen(accent, width=2) if chosen else pg.mkPen("#20242b", width=1),
        }

    def _tip(self, x: float, y: float, data: int) -> str:
        return describe_event(self._events[data])

    def _draw_handle(self) -> None:
        """Show the selected event as a line that can be dragged to another time."""
        if self._handle is not None:
            detach(self._handle)
        self._handle = None
        plots, selected = self._plots, self._row
        if selected is None or selected >= len(self._events):
            return
        channel = int(self._events[selected]["channel"])
        for row in (row for row in plots.rows if row.channel == channel):
            rows, places = self._in_view(channel)
            for place in places[rows == selected].tolist():
                self._handle = vertical_line(plots.colours.accent, at=place, dotted=True, movable=True)
                self._handle.setToolTip("Drag to move the selected event")
                self._handle.setZValue(5)
                row.plot.addItem(self._handle, ignoreBounds=True)
                self._handle.sigPositionChangeFinished.connect(self._dragged)

    def _dragged(self, line: pg.InfiniteLine) -> None:
        if self._row is not None:
            sweep, time_s = self._plots.lines.from_axis(float(line.value()))
            if sweep == int(self._events[self._row]["sweep"]) or len(self._plots.lines.sweeps()) == 1:
                self.moved.emit(self._row, time_s)
            else:
                self.update()

    def _clicked(self, _: Any, points: Any, event: Any) -> None:
        if len(points):
            event.accept()
            self.picked.emit(int(points[0].data()))

    def _hovered(self, _: Any, points: Any, event: Any) -> None:
        self.pointed.emit(int(points[0].data()) if len(points) else -1)
