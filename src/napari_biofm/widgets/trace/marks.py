"""Events on the traces: coloured by class, score at the mouse, a handle to drag the selected one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QObject, Signal

from napari_biofm.events.colours import class_colour
from napari_biofm.types import Events, no_events
from napari_biofm.widgets.trace.curves import detach
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
        self._review: list[str] = []
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

    def set_events(self, events: Events, review: list[str], row: int | None) -> None:
        """Show these events; `row` is the selected one."""
        if events is not self._events:
            self._values.clear()
        self._events, self._review, self._row = events, review, row
        self.update()

    def select(self, row: int | None) -> None:
        """Mark another event as the selected one."""
        self.set_events(self._events, self._review, row)

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

    def _in_view(self, channel: int) -> tuple[np.ndarray, np.ndarray]:
        """Return rows of the table and places on the time axis of a channel's events in view."""
        plots, events = self._plots, self._events
        recording = plots.recording
        if recording is None or not len(events):
            return np.zeros(0, int), np.zeros(0)
        from napari_biofm.widgets.trace.layout import SweepMode

        wanted = events["channel"] == channel
        if plots.mode in (SweepMode.ONE, SweepMode.OVERLAY, SweepMode.STACKED):
            wanted &= events["sweep"] == plots.sweep
            at = events["time_s"]
        else:
            sweeps = np.clip(events["sweep"], 0, recording.n_sweeps - 1)
            at = events["time_s"] + recording.sweep_starts[sweeps]
        start, stop = plots.span()
        rows = np.flatnonzero(wanted & (at >= start) & (at <= stop))
        return rows, at[rows]

    def _draw(self, row: Row) -> None:
        rows, at = self._in_view(row.channel)
        points, ticks = self._points[row.channel], self._ticks[row.channel]
        if len(rows) > MAX_MARKS:
            points.clear()
            self._draw_ticks(row, ticks, at)
            return
        ticks.clear()
        source = self._plots.source
        if source is None:
            return
        events = self._events
        drop = self._plots.lines.offset(self._plots.sweep, row.channel)
        spots: list[dict[str, Any]] = []
        for index, x in zip(rows.tolist(), at.tolist(), strict=True):
            event = events[index]
            verdict = self._review[index] if index < len(self._review) else ""
            if index not in self._values:
                self._values[index] = source.value_at(
                    int(event["sweep"]), row.channel, float(event["time_s"])
                )
            value = self._values[index]
            colour = class_colour(str(event["class"]))
            chosen = index == self._row
            spots.append(
                {
                    "pos": (x, value - drop),
                    "data": index,
                    "brush": pg.mkBrush(colour),
                    "symbol": _SYMBOLS.get(verdict, "o"),
                    "size": 13 if chosen else 9,
                    "pen": pg.mkPen(
                        self._plots.colours.accent if chosen else "#20242b", width=2 if chosen else 1
                    ),
                }
            )
        points.setData(spots, tip=self._tip)

    def _draw_ticks(self, row: Row, ticks: pg.PlotCurveItem, at: np.ndarray) -> None:
        """Draw a rug at the foot of the plot, at most one tick per pixel."""
        (x0, x1), (y0, y1) = row.view.viewRange()
        pixel = (x1 - x0) / max(row.view.width(), 1)
        unique = np.unique(np.round(at / pixel)) * pixel
        foot = y0 + 0.02 * (y1 - y0)
        ticks.setData(np.repeat(unique, 2), np.tile([foot, foot + 0.06 * (y1 - y0)], len(unique)))

    def _tip(self, x: float, y: float, data: int) -> str:
        event = self._events[data]
        verdict = self._review[data] if data < len(self._review) and self._review[data] else "not reviewed"
        return (
            f"{event['class']}, score {event['score']:.2f}, {verdict}\n"
            f"{event['time_s']:.5f} s, {event['amplitude']:.4g} {event['unit']}"
        )

    def _draw_handle(self) -> None:
        """Show the selected event as a line that can be dragged to another time."""
        if self._handle is not None:
            detach(self._handle)
        self._handle = None
        if self._row is None or self._row >= len(self._events):
            return
        event = self._events[self._row]
        for row in self._plots.rows:
            rows, at = self._in_view(row.channel)
            if event["channel"] == row.channel and self._row in rows:
                place = float(at[list(rows).index(self._row)])
                self._handle = pg.InfiniteLine(
                    place,
                    movable=True,
                    pen=pg.mkPen(self._plots.colours.accent, width=1, style=pg.QtCore.Qt.PenStyle.DotLine),
                )
                self._handle.setToolTip("Drag to move the selected event")
                self._handle.setZValue(5)
                row.plot.addItem(self._handle, ignoreBounds=True)
                self._handle.sigPositionChangeFinished.connect(self._dragged)

    def _dragged(self, line: pg.InfiniteLine) -> None:
        if self._row is not None:
            sweep, time_s = self._plots.from_axis(float(line.value()))
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
