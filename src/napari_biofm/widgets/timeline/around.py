"""What happens around the events of a cell: in the field, and in its own trace."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtWidgets import QComboBox, QFormLayout

from napari_biofm.controllers.common.layers import OVERLAY, placing_of
from napari_biofm.controllers.common.movie_layers import movie_frames
from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.timeline.cell_positions import is_of_movie
from napari_biofm.timeline.peri_event import own_events_average, peri_event_movie
from napari_biofm.widgets.common.buttons import enable, push_button
from napari_biofm.widgets.timeline.panel import Host, Panel, number_box
from napari_biofm.widgets.timeline.raster import ACCENT, BACKGROUND

CELLS, BEHAVIOUR = "events of cells", "events of behaviour"
COLOURS = ("#9aa7e0", "#e0b89a")  # of dF/F and of z-scores


class AroundPanel(Panel):
    """Peri-event averages of the selected cells' events, or of all events where none is selected.

    Parameters
    ----------
    host : runs the panel's jobs and shows its messages.
    controller : of the timeline.
    viewer : napari viewer, gets the averaged movie.
    """

    def __init__(self, host: Host, controller: TimelineController, viewer: Any) -> None:
        super().__init__(host, controller, "Select a cell to average around its events.")
        self.viewer = viewer
        self.what = QComboBox()
        self.what.addItems([CELLS, BEHAVIOUR])
        self.what.setToolTip("Events of cells, or those of the behaviour signal (tab Behaviour).")
        self.before = number_box(0.01, 600, 2, " s", "Seconds shown before the event.", 0.5)
        self.after = number_box(0.01, 600, 2, " s", "Seconds shown from the event on.", 2.0)
        self.button = push_button(
            "Average movie and traces",
            "Mean of the movie around the events, as a new layer, and of the traces.",
        )
        self.plot = pg.PlotWidget(background=BACKGROUND)
        self.plot.setLabel("bottom", "time from event (s)")
        self.plot.setLabel("left", "dF/F")
        self.plot.getAxis("left").enableAutoSIPrefix(False)
        self.plot.setMinimumHeight(160)
        form = QFormLayout()
        form.addRow("Around", self.what)
        form.addRow("Before", self.before)
        form.addRow("After", self.after)
        self.column.addLayout(form)
        self.column.addWidget(self.button)
        self.column.addWidget(self.plot, 1)
        self.column.addWidget(self.words)
        self.button.clicked.connect(lambda: self.average())

    def seconds(self) -> tuple[np.ndarray, str]:
        """Return the times of the events meant, and whose they are."""
        if self.what.currentText() == BEHAVIOUR:
            return self.controller.behaviour_seconds(), "behaviour"
        labels = self.controller.selected_labels()
        if not labels:
            return self.controller.population().seconds, "all cells"
        whose = f"cell {labels[0]}" if len(labels) == 1 else f"{len(labels)} cells"
        return self.controller.events_of(labels).seconds, whose

    def average(self) -> None:
        """Average the traces now and the movie in a job."""
        movie, clock = self.controller.movie, self.controller.clock
        if movie is None or clock is None:
            self.host.tell("Open a movie and align it first.")
            return
        seconds, whose = self.seconds()
        if len(seconds) == 0:
            where = " Set them in the tab Behaviour." if whose == "behaviour" else self.rejected_words()
            self.words.setText(f"No events of {whose} yet.{where}")
            return
        self._traces()
        frames = [max(1, round(box.value() * clock.imaging_rate)) for box in (self.before, self.after)]
        enable(self.button, False)
        self.host.run(
            peri_event_movie,
            movie_frames(movie, self.controller.movie_part()),
            clock,
            seconds,
            frames[0],
            frames[1],
            name=f"Movie around events of {whose}",
            bound_to=self.controller.movie_uid,
            on_done=lambda found: self._show(found, whose),
            on_end=lambda: enable(self.button, True),
        )

    def _show(self, found: tuple[np.ndarray, int], whose: str) -> None:
        mean, n = found
        movie: Any = self.controller.movie
        if movie is None:
            return
        placed = placing_of(movie)
        top = float(np.percentile(np.abs(mean), 99.8)) or 1.0
        self.viewer.add_image(
            mean,
            name=f"around {n} events of {whose}",
            colormap="inferno",
            contrast_limits=(0, top),
            metadata={OVERLAY: "around"},
            **placed,
        )
        self.words.setText(
            f"{n} events of {whose} averaged; the mean before the event is subtracted.{self.rejected_words()}"
        )

    def _traces(self) -> None:
        """Draw the mean trace of the cells meant, each around its own events or those of behaviour, with the standard error."""
        self.plot.clear()
        clock, recording = self.controller.clock, self.controller.counted_traces()
        if clock is None or recording is None or not is_of_movie(recording, clock):
            self.words.setText("No traces of these cells in this movie yet: measure them under 'Cells'.")
            return
        chosen = self.controller.selected_labels()
        everybody = self.controller.population()
        channels = [c for c, a in enumerate(recording.channels) if not chosen or a.label in chosen]
        units = {recording.channels[c].unit for c in channels}
        for unit, colour in zip(sorted(units), COLOURS, strict=False):
            mine = [c for c in channels if recording.channels[c].unit == unit]
            labels = [int(recording.channels[c].label or 0) for c in mine]
            if self.what.currentText() == BEHAVIOUR:  # the same for every cell
                own = [self.controller.behaviour_seconds() for _ in labels]
            elif chosen:  # a patched cell's spikes before what was found in its trace
                own = [self.controller.events_of([label]).seconds for label in labels]
            else:
                own = [everybody.seconds[everybody.labels == label] for label in labels]
            values = np.stack([recording.values(0, c) for c in mine])
            lags, mean, error, n = own_events_average(
                values, clock, own, self.before.value(), self.after.value()
            )
            if n == 0:
                continue
            edges = [pg.PlotCurveItem(lags, mean + sign * error) for sign in (-1, 1)]
            self.plot.addItem(pg.FillBetweenItem(*edges, brush=(154, 167, 224, 70)))
            self.plot.plot(lags, mean, pen=pg.mkPen(colour, width=1), name=escape(unit))
        self.plot.setLabel("left", escape(" and ".join(sorted(units)) or "dF/F"))
        self.plot.addItem(pg.InfiniteLine(0.0, angle=90, pen=pg.mkPen(ACCENT, width=1)))
