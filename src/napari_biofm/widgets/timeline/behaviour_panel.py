"""Behaviour panel: which recorded channel is the behaviour signal, where it lies in time, and what its events are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QFormLayout, QHBoxLayout

from napari_biofm.analyses.description import Result, Source
from napari_biofm.analyses.running import run_analysis
from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.session import CellKey
from napari_biofm.signals.behaviour import Behaviour, read_behaviour
from napari_biofm.timeline import recording_time
from napari_biofm.types import BiofmError
from napari_biofm.widgets.common.buttons import enable, push_button
from napari_biofm.widgets.timeline.chooser import Chooser
from napari_biofm.widgets.timeline.panel import Host, Panel, number_box

ABOVE, BELOW = "goes above", "falls below"
NONE = "Choose a channel, or open a table with a column of time, and press Use."


class BehaviourPanel(Panel):
    """Shows a channel as a track under the raster; where it crosses a threshold an event begins.

    Parameters
    ----------
    host : runs the panel's jobs and shows its messages.
    controller : of the timeline.
    """

    def __init__(self, host: Host, controller: TimelineController) -> None:
        super().__init__(host, controller, NONE)
        self.channel = Chooser(
            "no recording open", "The channel that holds the behaviour, such as running speed."
        )
        self.open_button = push_button(
            "Open ...", "A CSV with a column of time and columns of values, or any recording."
        )
        self.offset = number_box(
            -1e6, 1e6, 4, " s", "Second of the session at which the signal's second 0 is.", 0.0
        )
        self.has_events = QCheckBox("An event begins where it")
        self.has_events.setToolTip("Events of behaviour serve averages (Around events) and the test below.")
        self.way = QComboBox()
        self.way.addItems([ABOVE, BELOW])
        self.way.setToolTip("Which way the threshold is crossed.")
        self.threshold = number_box(-1e9, 1e9, 4, "", "In the unit of the signal.", 0.0)
        self.least = number_box(
            0, 1e4, 3, " s", "The signal stays beyond the threshold so long, and was not before.", 0.5
        )
        self.use_button = push_button("Use", "Show the signal under the raster. Can be undone.")
        self.clear_button = push_button("Take away", "Take the behaviour signal away. Can be undone.")
        self.test_button = push_button(
            "Which cells respond",
            "Test every cell against the behaviour's events (responsive-cells) and choose those that respond.",
        )
        form = QFormLayout()
        row = QHBoxLayout()
        row.addWidget(self.channel, 1)
        row.addWidget(self.open_button)
        form.addRow("Signal", row)
        form.addRow("Offset", self.offset)
        crossing = QHBoxLayout()
        for widget in (self.has_events, self.way, self.threshold):
            crossing.addWidget(widget)
        form.addRow(crossing)
        form.addRow("For at least", self.least)
        buttons = QHBoxLayout()
        buttons.addWidget(self.use_button)
        buttons.addWidget(self.clear_button)
        self.column.addLayout(form)
        self.column.addLayout(buttons)
        self.column.addWidget(self.test_button)
        self.column.addWidget(self.words)
        self.column.addStretch(1)
        self.open_button.clicked.connect(lambda: self._ask_file())
        self.use_button.clicked.connect(lambda: self.use())
        self.clear_button.clicked.connect(lambda: controller.set_behaviour(None, None))
        self.test_button.clicked.connect(lambda: self.test())
        host.listen(controller.session.recordings_changed, self.refresh)
        self._shown: Behaviour | None = None
        self.refresh()

    def refresh(self) -> None:
        """Offer the channels of all recordings that are no traces of cells, and say what is set."""
        offered = [
            (f"{uid}, {i}: {about.name} ({about.unit})", (uid, i))
            for uid, one in self.controller.recordings.items()
            if not one.is_cells
            for i, about in enumerate(one.channels)
        ]
        self.channel.set_choices(offered)
        found = self.controller.behaviour()
        enable(self.clear_button, found is not None, "Off: no behaviour signal is set.")
        enable(
            self.test_button, len(self.controller.behaviour_seconds()) > 0, "Off: no event of behaviour yet."
        )
        if found is None:
            self._shown = None
            self.words.setText(NONE)
            return
        uid, recording, behaviour = found
        if behaviour != self._shown:
            self._shown = behaviour
            self.channel.choose((uid, behaviour.channel))
            self.offset.setValue(behaviour.offset_s)
            self.has_events.setChecked(behaviour.threshold is not None)
            self.threshold.setValue(behaviour.threshold or 0.0)
            self.way.setCurrentText(BELOW if behaviour.falling else ABOVE)
            self.least.setValue(behaviour.least_s)
        about = recording.channels[behaviour.channel]
        n = len(self.controller.behaviour_seconds())
        said = f"{about.name} of {uid} is shown under the raster"
        if behaviour.threshold is None:
            self.words.setText(f"{said}; it has no events.")
            return
        way = BELOW if behaviour.falling else ABOVE
        self.words.setText(f"{said}; {n} events where it {way} {behaviour.threshold:g} {about.unit}.")

    def use(self) -> None:
        """Make the chosen channel the behaviour signal, as the form says."""
        if not isinstance(self.channel.key, tuple):
            self.host.tell("Open a table with a column of time, or a recording, first.")
            return
        uid, channel = self.channel.key
        threshold = self.threshold.value() if self.has_events.isChecked() else None
        falling = self.way.currentText() == BELOW
        chosen = Behaviour(int(channel), self.offset.value(), threshold, falling, self.least.value())
        try:
            self.controller.set_behaviour(str(uid), chosen)
        except BiofmError as error:
            self.host.tell_error(error)

    def open(self, path: Path) -> None:
        """Open a file and offer its first channel."""
        try:
            recording = read_behaviour(path)
        except BiofmError as error:
            self.host.tell_error(error)
            return
        uid = self.controller.session.add_recording(recording, path.name)
        self.channel.choose((uid, 0))
        self.words.setText(
            f"{path.name} is open: press Use. {recording.metadata.get('resampled', '')}".strip()
        )

    def test(self) -> None:
        """Test in a job which cells respond to the events of behaviour."""
        traces, clock = self.controller.counted_traces(), self.controller.clock
        if traces is None:
            self.host.tell("No traces of these cells: measure them under 'Cells' first.")
            return
        times = [recording_time(traces, at, clock) for at in self.controller.behaviour_seconds().tolist()]
        enable(self.test_button, False)
        self.host.run(
            run_analysis,
            "responsive-cells",
            Source(traces.name, traces),
            {"times": ", ".join(f"{at:.6f}" for at in times), "rejected": self.controller.rejected},
            name="Which cells respond to behaviour",
            bound_to=self.controller.labels_uid,
            on_done=self._tested,
            on_end=lambda: enable(self.test_button, True),
        )

    def _tested(self, found: Result) -> None:
        table: dict[str, Any] = found.table
        chosen = np.asarray(table["cell"])[np.asarray(table["responsive"], bool)]
        layer = str(self.controller.labels_uid)
        self.controller.session.select(CellKey(layer, int(label)) for label in chosen)
        notes = "".join(f" {note[0].upper()}{note[1:]}." for note in found.notes)
        self.words.setText(f"{found.summary} The responsive ones are chosen.{notes}")

    def _ask_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, "Behaviour signal", "", "Tables (*.csv *.tsv *.txt);;All files (*)"
        )
        if name:
            self.open(Path(name))
