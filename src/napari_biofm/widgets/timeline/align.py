"""Align panel: which frame is which second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QHBoxLayout, QLineEdit, QPushButton, QWidget

from napari_biofm.timeline import Clock, event_seconds
from napari_biofm.timeline.align import Alignment, align_to_channel, likely_trigger
from napari_biofm.timeline.correlate import OffsetProposal, propose_offset
from napari_biofm.timeline.metadata import frame_times_of_file
from napari_biofm.types import TimelineError
from napari_biofm.widgets.common.dock import Dock
from napari_biofm.widgets.common.viewers import layer_by_id
from napari_biofm.widgets.timeline.chooser import Chooser
from napari_biofm.widgets.timeline.movies import frame_rate, n_frames
from napari_biofm.widgets.timeline.offset_plot import OffsetPlot, activity_of, spikes_of
from napari_biofm.widgets.timeline.panel import Panel, number_box
from napari_biofm.widgets.timeline.state import TimelineState

TRIGGERS, RATE, FILE = "pulses in a recorded channel", "rate and offset", "times stated in a file"


class AlignPanel(Panel):
    """Frame times from the camera's pulses in a recording, or from a rate and an offset.

    Parameters
    ----------
    dock : that holds the panel; runs its jobs and shows its errors.
    state : of the dock.
    """

    def __init__(self, dock: Dock, state: TimelineState) -> None:
        super().__init__(dock, state)
        self.source = QComboBox()
        self.source.addItems([TRIGGERS, RATE, FILE])
        self.source.setToolTip("Where the frame times come from.")
        self.channel = Chooser("no recording", "The channel that holds one pulse per frame.")
        self.rate = number_box(
            0, 100_000, 4, " Hz", "Frames per second on the camera's clock; 0 = not known."
        )
        self.offset = number_box(-1e6, 1e6, 4, " s", "Second of the recording at which frame 0 began.")
        self.drift = number_box(
            -1e5, 1e5, 2, " ppm", "How much longer a second of the camera is, in millionths."
        )
        self.file = QLineEdit()
        self.file.setPlaceholderText("the movie's own file")
        self.file.setToolTip(
            "OME-TIFF or NWB that states when each frame began; empty = the movie's own file."
        )
        self.file_button = QPushButton("Choose ...")
        self.file_button.setToolTip("Choose the file that states the frame times.")
        self._file_row = QWidget()
        row = QHBoxLayout(self._file_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.file, 1)
        row.addWidget(self.file_button)
        self.button = QPushButton("Align")
        self.button.setToolTip("Give the movie these frame times. Can be undone.")
        self.propose_button = QPushButton("Propose from spikes")
        self.propose_button.setToolTip(
            "Find the offset at which a cell's calcium trace looks like the response to its spikes."
        )
        self.report = self.words
        self.plot = OffsetPlot()
        self._activity: Any = None
        self._form = QFormLayout()
        self._form.addRow("Frame times", self.source)
        self._form.addRow("Channel", self.channel)
        self._form.addRow("File", self._file_row)
        self._form.addRow("Frame rate", self.rate)
        self._form.addRow("Offset", self.offset)
        self._form.addRow("Drift", self.drift)
        self.column.addLayout(self._form)
        self.column.addWidget(self.plot, 1)
        self.column.addWidget(self.button)
        self.column.addWidget(self.propose_button)
        self.column.addWidget(self.report)
        self.column.addStretch(1)
        self.source.currentTextChanged.connect(self._show_rows)
        self.button.clicked.connect(lambda: self.align())
        self.file_button.clicked.connect(lambda: self._ask_file())
        self.propose_button.clicked.connect(lambda: self.propose())
        self.plot.dragged.connect(self.offset.setValue)
        for box in (self.rate, self.offset, self.drift):
            box.valueChanged.connect(lambda _: self.show_offset())
        dock.listen(state.events_moved, self.show_activity)
        dock.listen(state.chosen, self.things_chosen)
        dock.listen(state.session.clocks_changed, self._tell_clock)
        self._show_rows()
        self.things_chosen()
        self.show_activity()

    def align(self) -> None:
        """Set the movie's clock from what the form says."""
        movie = self.state.movie
        if movie is None:
            self.dock.tell("Open a movie first: an image with a time axis.")
            return
        try:
            if self.source.currentText() == RATE:
                self._use_rate(movie)
            elif self.source.currentText() == FILE:
                self._use_file(movie)
            else:
                self._use_pulses(movie)
        except TimelineError as error:
            self.dock.tell_error(error)

    def propose(self) -> None:
        """Look for the offset in the activity of a linked cell, and put it into the form."""
        try:
            trace, spikes, label = self._cell_with_spikes()
        except TimelineError as error:
            self.dock.tell_error(error)
            return
        self.propose_button.setEnabled(False)
        self.dock.run(
            propose_offset,
            trace,
            self.rate.value(),
            spikes,
            name=f"Match the calcium of cell {label} with its spikes",
            bound_to=self.state.movie_uid,
            on_done=self._proposed,
            on_end=lambda: self.propose_button.setEnabled(True),
        )

    def _proposed(self, proposal: OffsetProposal) -> None:
        self.source.setCurrentText(RATE)
        self.offset.setValue(proposal.offset)
        self.report.setText(proposal.in_words() + " Press Align to use it.")

    def _cell_with_spikes(self) -> tuple[Any, Any, int]:
        """Return trace, spike times and label of the linked cell with most spikes."""
        if self.rate.value() <= 0:
            raise TimelineError("Type the frame rate of the movie first.")
        movie, session = self.state.movie, self.state.session
        entry = session.recordings.get(self.state.recording_uid or "")
        if movie is None or entry is None:
            raise TimelineError("Open a movie and a recording first.")
        cells = {
            link.channel: link.cell.label
            for link in session.links
            if link.recording == self.state.recording_uid and link.cell.layer == self.state.labels_uid
        }
        if not cells:
            raise TimelineError("Link a channel of the recording to its cell first, under 'Cells'.")
        fired = np.isin(entry.events["class"], ("AP", "spike"))
        counts = {c: int((fired & (entry.events["channel"] == c)).sum()) for c in cells}
        channel = max(counts, key=lambda c: counts[c])
        if not counts[channel]:
            raise TimelineError("No spikes yet: find them in the dock 'Traces and events' first.")
        label = cells[channel]
        for other in reversed(list(session.recordings.values())):
            known = {a.label: c for c, a in enumerate(other.recording.channels) if a.label is not None}
            if label in known and other.recording.n_samples(0, known[label]) == n_frames(movie):
                rows = entry.events[fired & (entry.events["channel"] == channel)]
                return other.recording.values(0, known[label]), event_seconds(rows, entry.recording), label
        raise TimelineError(f"There is no trace of cell {label}: measure the traces under 'Cells' first.")

    def things_chosen(self) -> None:
        """Offer the channels of the recording and the rate of the movie in play."""
        entry = self.state.session.recordings.get(self.state.recording_uid or "")
        movie = self.state.movie
        if entry is None:
            self.channel.set_choices([])
        else:
            channels = entry.recording.channels
            self.channel.set_choices(
                [(f"{i}: {c.name} ({c.unit})", i) for i, c in enumerate(channels)],
                prefer=likely_trigger(entry.recording),
            )
        rate = None if movie is None else frame_rate(movie)
        if rate:
            self.rate.setValue(rate)
        if entry is None or likely_trigger(entry.recording) is None:
            if self.state.clock is None:
                self.source.setCurrentText(RATE)
        else:
            self.source.setCurrentText(TRIGGERS)
            self.channel.choose(likely_trigger(entry.recording))
        self._tell_clock()

    def _use_rate(self, movie: Any) -> None:
        uid = self.state.movie_uid
        clock = Clock.from_rate(
            n_frames(movie),
            self.rate.value(),
            self.offset.value(),
            self.drift.value() * 1e-6,
            self.state.recording_uid or "",
        )
        self.state.session.set_clock(str(uid), clock)
        self._tell_clock()

    def _use_file(self, movie: Any) -> None:
        stated = self.file.text().strip() or str(movie.metadata.get("path") or movie.source.path or "")
        if not stated:
            raise TimelineError(
                "The movie came from no file; choose the OME-TIFF or NWB that states its times."
            )
        times, where = frame_times_of_file(Path(stated), n_frames(movie))
        clock = Clock(times + self.offset.value(), where, self.state.recording_uid or "")
        self.state.session.set_clock(str(self.state.movie_uid), clock)
        self._tell_clock()

    def _ask_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, "File that states the frame times", "", "OME-TIFF and NWB (*.tif *.tiff *.nwb)"
        )
        if name:
            self.file.setText(name)

    def _use_pulses(self, movie: Any) -> None:
        entry = self.state.session.recordings.get(self.state.recording_uid or "")
        channel = self.channel.key
        if entry is None or not isinstance(channel, int):
            raise TimelineError("Open a recording with a frame-trigger channel, or choose 'rate and offset'.")
        uid = str(self.state.movie_uid)
        self.button.setEnabled(False)
        self.dock.run(
            align_to_channel,
            entry.recording,
            channel,
            n_frames(movie),
            self.rate.value() or None,
            str(self.state.recording_uid),
            name="Find frame pulses",
            bound_to=uid,
            on_done=lambda alignment: self._pulses_found(uid, alignment),
            on_end=lambda: self.button.setEnabled(True),
        )

    def _pulses_found(self, uid: str, alignment: Alignment) -> None:
        if layer_by_id(self.state.viewer, uid) is None:
            self.report.setText("The movie was removed while its frame times were looked for.")
            return
        self.state.session.set_clock(uid, alignment.clock)
        self.report.setText("\n".join(alignment.notes))

    def _tell_clock(self) -> None:
        clock = self.state.clock
        if self.state.movie is None:
            self.report.setText("Open a movie: an image with a time axis.")
        elif clock is None:
            self.report.setText(
                "This movie has no clock yet. Choose where its frame times come from, then Align."
            )
        else:
            to = f", on the clock of {clock.recording}" if clock.recording else ""
            self.report.setText(
                f"{clock.n_frames} frames from {clock.times[0]:.4f} to {clock.times[-1]:.4f} s"
                f" ({clock.frame_rate:.5g} Hz), from {clock.source}{to}.{self._uncovered(clock)}"
            )

    def _uncovered(self, clock: Clock) -> str:
        """Return in words which frames the recording has nothing for, "" where it covers the movie."""
        entry = self.state.session.recordings.get(clock.recording)
        if entry is None or entry.recording.n_sweeps == 0:
            return ""
        recording = entry.recording
        last = recording.n_sweeps - 1
        start, stop = (
            float(recording.sweep_starts[0]),
            float(recording.sweep_starts[last]) + recording.duration(last),
        )
        outside = int(((clock.times < start - 1e-9) | (clock.times > stop)).sum())
        if not outside:
            return ""
        return (
            f" {clock.recording} runs from {start:.4g} to {stop:.4g} s: {outside} frames lie outside it and show no "
            "events of it."
        )

    def _show_rows(self, *_: Any) -> None:
        source = self.source.currentText()
        by_rate = source == RATE
        self._form.setRowVisible(self.channel, source == TRIGGERS)
        self._form.setRowVisible(self._file_row, source == FILE)
        self._form.setRowVisible(self.rate, source != FILE)
        self._form.setRowVisible(self.offset, source != TRIGGERS)
        self._form.setRowVisible(self.drift, by_rate)
        self.plot.setVisible(by_rate)
        self.show_offset()

    def show_offset(self, *_: Any) -> None:
        """Draw the movie's activity where the form puts it, over the spikes of the recording."""
        movie = self.state.movie
        if self.source.currentText() != RATE or movie is None or self.rate.value() <= 0:
            self.plot.clear_all()
            return
        period = (1 + self.drift.value() * 1e-6) / self.rate.value()
        times = self.offset.value() + period * np.arange(n_frames(movie))
        self.plot.show_movie(times, self._activity, self.offset.value())
        self.plot.fit()

    def show_activity(self) -> None:
        """Take up what cells and recording do now."""
        movie = self.state.movie
        self._activity = None if movie is None else activity_of(self.state, n_frames(movie))
        self.plot.show_spikes(spikes_of(self.state))
        self.show_offset()
