"""The forecast in the trace dock: computed in the worker, drawn as a band ahead of the clicked moment."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pyqtgraph as pg

from napari_biofm.events.physio_fm.jobs import Ahead, look_ahead, surprise_recording
from napari_biofm.signals import Recording

if TYPE_CHECKING:
    from napari_biofm.widgets.trace.dock import TraceDock

BANDS = ((0, -1, 50), (2, -3, 90))  # indices of quantiles, opacity of 255: 5 to 95 %, 25 to 75 %
SEEN_BEFORE = 3.0  # horizons in view before the moment, when the view is too wide to see the band


class Forecasting:
    """Draws the quantile band and asks for surprise.

    Parameters
    ----------
    dock : whose panel and plots are served.

    Attributes
    ----------
    shown : the forecast that is drawn, or None.
    """

    def __init__(self, dock: TraceDock) -> None:
        self._dock = dock
        self.shown: Ahead | None = None
        self._items: list[tuple[Any, Any]] = []
        self._asked = 0
        self._at: tuple[int, float] | None = None
        dock.forecast_panel.changed.connect(self.update)
        dock.forecast_panel.surprise.connect(self.surprise)
        dock.plots.clicked.connect(self._clicked)
        dock.plots.rebuilt.connect(self._draw)
        dock.plots.sweep_changed.connect(lambda _: self._draw())
        dock.listen(dock.session.recordings_changed, self._forget)

    def _clicked(self, channel: int, time_s: float, value: float, event: Any) -> None:
        self._at = self._dock.plots.from_axis(time_s)
        self.update()

    def _forget(self) -> None:
        """Take the band away when another recording is shown."""
        self._at = None
        self._set(None)

    def update(self) -> None:
        """Ask the worker for the forecast from the clicked moment, or take it away."""
        dock, panel = self._dock, self._dock.forecast_panel
        recording = dock.recording
        if not panel.on.isChecked():
            self._set(None)
            panel.message.setText("")
            return
        if recording is None or not dock.plots.channels or self._at is None:
            panel.message.setText("Click a moment of the trace.")
            return
        sweep, at_s = self._at
        channel = dock.plots.channels[0]
        if (
            not 1
            <= round(at_s * recording.channels[channel].sampling_rate)
            <= recording.n_samples(sweep, channel)
        ):
            panel.message.setText("Click inside the sweep: a forecast needs a past.")
            self._set(None)
            return
        self._asked += 1
        number = self._asked
        dock.run(
            look_ahead, recording, sweep, channel, at_s, panel.horizon.value(),
            name="Forecast",
            lane="interactive",
            on_done=lambda ahead: self._set(ahead) if number == self._asked else None,
        )  # fmt: skip

    def _set(self, ahead: Ahead | None) -> None:
        self.shown = ahead
        self._draw()
        if ahead is None:
            return
        self._dock.forecast_panel.message.setText(ahead.text)
        plots = self._dock.plots
        start, stop = plots.span()
        first, last = (plots.to_axis(ahead.sweep, float(t)) for t in (ahead.time_s[0], ahead.time_s[-1]))
        width = last - first
        if stop - start > 20 * width or not start <= first < last <= stop:
            plots.show_span(first - SEEN_BEFORE * width, last + width)

    def _draw(self) -> None:
        """Put the band into the plot of its channel, if its sweep is shown."""
        for view, item in self._items:
            with suppress(RuntimeError):  # went with its plot
                view.removeItem(item)
        self._items = []
        ahead, plots = self.shown, self._dock.plots
        row = next((r for r in plots.rows if ahead is not None and r.channel == ahead.channel), None)
        if ahead is None or row is None or plots.sweep != ahead.sweep:
            return
        x = ahead.time_s + plots.to_axis(ahead.sweep, 0.0)
        colour = pg.mkColor(plots.colours.accent)
        made: list[Any] = []
        for low, high, opacity in BANDS:
            edges = [pg.PlotCurveItem(x, ahead.quantiles[k].astype(float), pen=None) for k in (low, high)]
            fill = pg.mkColor(colour)
            fill.setAlpha(opacity)
            made += [*edges, pg.FillBetweenItem(*edges, brush=fill)]
        middle = ahead.quantiles[len(ahead.q) // 2]
        made.append(pg.PlotCurveItem(x, middle.astype(float), pen=pg.mkPen(colour, width=2)))
        for item in made:
            row.view.addItem(item, ignoreBounds=True)
        self._items = [(row.view, item) for item in made]

    def surprise(self) -> None:
        """Add how unexpected each moment of the topmost channel is as a recording."""
        dock = self._dock
        recording, uid = dock.recording, dock.uid
        if recording is None or uid is None or not dock.plots.channels:
            dock.tell("Open a recording first.")
            return
        button = dock.forecast_panel.surprise_button
        button.setEnabled(False)

        def add(found: Recording) -> None:
            dock.session.add_recording(found, f"{uid} (surprise)")

        dock.run(
            surprise_recording, recording, dock.plots.channels[0],
            name="Surprise", on_done=add, on_end=lambda: button.setEnabled(True),
        )  # fmt: skip
