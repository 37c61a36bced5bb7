"""Align panel: which frame is which second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QHBoxLayout, QLineEdit, QWidget

from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.controllers.timeline.movies import frame_rate, n_frames
from napari_biofm.timeline import Clock, Explanation, Pulses
from napari_biofm.timeline.align import clock_from_explanations, explain_channel, likely_trigger
from napari_biofm.timeline.correlate import OffsetProposal, propose_offset
from napari_biofm.timeline.explanations import ClockUnclearError
from napari_biofm.timeline.frame_numbers import parse_numbers
from napari_biofm.timeline.metadata import frame_times_of_file
from napari_biofm.timeline.offset_hints import (
    CellWithSpikes,
    activity_of_movie,
    cell_with_spikes,
    spike_seconds,
    uncovered,
)
from napari_biofm.types import TimelineError
from napari_biofm.widgets.common.buttons import enable, push_button
from napari_biofm.widgets.timeline.chooser import Chooser
from napari_biofm.widgets.timeline.offset_plot import OffsetPlot
from napari_biofm.widgets.timeline.panel import Host, Panel, number_box

TRIGGERS, RATE, FILE = "pulses in a recorded channel", "rate and offset", "times stated in a file"


class AlignPanel(Panel):
    """Frame times from the camera's pulses in a recording, or from a rate and an offset.

    Parameters
    ----------
    host : runs the panel's jobs and shows its messages.
    controller : of the timeline.
    """

    def __init__(self, host: Host, controller: TimelineController) -> None:
        super().__init__(host, controller)
        self.source = QComboBox()
        self.source.addItems([TRIGGERS, RATE, FILE])
        self.source.setToolTip("Where the frame times come from.")
        self.channel = Chooser("no recording", "The channel that holds one pulse per frame.")
        self.edge = QComboBox()
        self.edge.addItems(["auto", "rising", "falling"])
        self.edge.setToolTip("Which edge of a pulse begins a frame; auto looks at the level between pulses.")
        self.meaning = Chooser(
            "press Align to count pulses and frames",
            "What the pulses mean, where they and the frames do not agree by themselves. The plot shows it.",
        )
        self.skipped = QLineEdit()
        self.skipped.setPlaceholderText("none")
        self.skipped.setToolTip(
            "Numbers of frames the camera took but the file does not hold, from 0, such as 12,40-44."
        )
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
        self.file_button = push_button("Choose ...", "Choose the file that states the frame times.")
        self._file_row = QWidget()
        row = QHBoxLayout(self._file_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.file, 1)
        row.addWidget(self.file_button)
        self.button = push_button("Align", "Give the movie these frame times. Can be undone.")
        self.propose_button = push_button(
            "Propose from spikes",
            "Find the offset at which a cell's calcium trace looks like the response to its spikes.",
        )
        self.report = self.words
        self.plot = OffsetPlot()
        self._activity: Any = None
        self._spikes = np.zeros(0)  # seconds
        self._counted: tuple[Pulses, list[Explanation]] | None = None  # where a person has to choose
        self._rate_of: str | None = None  # movie that the rate in the form belongs to
        self._form = QFormLayout()
        self._form.addRow("Frame times", self.source)
        self._form.addRow("Channel", self.channel)
        self._form.addRow("Edge", self.edge)
        self._form.addRow("Frames not in the file", self.skipped)
        self._form.addRow("Pulses mean", self.meaning)
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
        self.meaning.chosen.connect(lambda _: self.show_offset())
        for changed in (self.channel.chosen, self.edge.currentTextChanged, self.skipped.textChanged):
            changed.connect(lambda _: self._forget_pulses())
        self.propose_button.clicked.connect(lambda: self.propose())
        self.plot.dragged.connect(self.offset.setValue)
        for box in (self.rate, self.offset, self.drift):
            box.valueChanged.connect(lambda _: self.show_offset())
        host.listen(controller.events_moved, self.show_activity)
        host.listen(controller.chosen, self.things_chosen)
        host.listen(controller.session.clocks_changed, self._tell_clock)
        self._show_rows()
        self.things_chosen()
        self.show_activity()

    def align(self) -> None:
        """Set the movie's clock from what the form says."""
        movie = self.controller.movie
        if movie is None:
            self.host.tell("Open a movie first: an image with a time axis.")
            return
        try:
            if self.source.currentText() == RATE:
                self._use_rate(movie)
            elif self.source.currentText() == FILE:
                self._use_file(movie)
            else:
                self._use_pulses(movie)
        except TimelineError as error:
            self.host.tell_error(error)

    def propose(self) -> None:
        """Look for the offset in the activity of a linked cell, and put it into the form."""
        try:
            found = self._cell_with_spikes()
        except TimelineError as error:
            self.host.tell_error(error)
            return
        enable(self.propose_button, False)
        self.host.run(
            propose_offset,
            found.trace,
            self.rate.value(),
            found.spikes,
            name=f"Match the calcium of cell {found.label} with its spikes",
            bound_to=self.controller.movie_uid,
            on_done=self._proposed,
            on_end=lambda: enable(self.propose_button, True),
        )

    def _proposed(self, proposal: OffsetProposal) -> None:
        self.source.setCurrentText(RATE)
        self.offset.setValue(proposal.offset)
        self.report.setText(proposal.in_words() + " Press Align to use it.")

    def _cell_with_spikes(self) -> CellWithSpikes:
        """Return the linked cell with most spikes, its trace and its spike times."""
        if self.rate.value() <= 0:
            raise TimelineError("Type the frame rate of the movie first.")
        controller, uid = self.controller, str(self.controller.recording_uid)
        if controller.movie is None or controller.recording is None:
            raise TimelineError("Open a movie and a recording first.")
        cells = controller.linked_cells().get(uid, {})
        events, frames = controller.session.events(uid), n_frames(controller.movie)
        return cell_with_spikes(controller.recordings, events, uid, cells, frames)

    def things_chosen(self) -> None:
        """Offer the channels of the recording and the rate of the movie in play."""
        recording = self.controller.recording
        movie = self.controller.movie
        if recording is None:
            self.channel.set_choices([])
        else:
            channels = recording.channels
            self.channel.set_choices(
                [(f"{i}: {c.name} ({c.unit})", i) for i, c in enumerate(channels)],
                prefer=likely_trigger(recording),
            )
        rate = None if movie is None else frame_rate(movie)
        if movie is not None and self._rate_of != self.controller.movie_uid:
            self._rate_of = self.controller.movie_uid
            self.rate.setValue(rate or 0.0)  # the rate of the former movie says nothing of this one
        elif rate and not self.rate.value():
            self.rate.setValue(rate)
        if recording is None or likely_trigger(recording) is None:
            if self.controller.clock is None:
                self.source.setCurrentText(RATE)
        else:
            self.source.setCurrentText(TRIGGERS)
            self.channel.choose(likely_trigger(recording))
        self._tell_clock()

    def _use_rate(self, movie: Any) -> None:
        uid = self.controller.movie_uid
        clock = Clock.from_rate(
            n_frames(movie),
            self.rate.value(),
            self.offset.value(),
            self.drift.value() * 1e-6,
            self.controller.recording_uid or "",
        )
        self.controller.session.set_clock(str(uid), clock)
        self._tell_clock()

    def _use_file(self, movie: Any) -> None:
        stated = self.file.text().strip() or str(movie.metadata.get("path") or movie.source.path or "")
        if not stated:
            raise TimelineError(
                "The movie came from no file; choose the OME-TIFF or NWB that states its times."
            )
        times, where = frame_times_of_file(Path(stated), n_frames(movie))
        clock = Clock(times + self.offset.value(), where, self.controller.recording_uid or "")
        self.controller.session.set_clock(str(self.controller.movie_uid), clock)
        self._tell_clock()

    def _ask_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, "File that states the frame times", "", "OME-TIFF and NWB (*.tif *.tiff *.nwb)"
        )
        if name:
            self.file.setText(name)

    def _use_pulses(self, movie: Any) -> None:
        recording = self.controller.recording
        channel = self.channel.key
        if recording is None or not isinstance(channel, int):
            raise TimelineError("Open a recording with a frame-trigger channel, or choose 'rate and offset'.")
        uid = str(self.controller.movie_uid)
        if self._counted is not None and self.meaning.key is not None:
            self._pulses_counted(uid, self._counted, str(self.meaning.key))
            return
        skipped = parse_numbers(self.skipped.text())
        enable(self.button, False)
        self.host.run(
            explain_channel,
            recording,
            channel,
            n_frames(movie) + len(set(skipped)),
            self.rate.value() or None,
            self.edge.currentText(),
            name="Find frame pulses",
            bound_to=uid,
            on_done=lambda counted: self._pulses_counted(uid, counted, "auto"),
            on_end=lambda: enable(self.button, True),
        )

    def _pulses_counted(self, uid: str, counted: tuple[Pulses, list[Explanation]], choice: str) -> None:
        """Set the clock where the pulses have one meaning or one was chosen; else offer what they may mean."""
        movie = self.controller.layers.layer(uid)
        if movie is None:
            self.report.setText("The movie was removed while its frame times were looked for.")
            return
        pulses, explanations = counted
        try:
            alignment = clock_from_explanations(
                pulses,
                explanations,
                n_frames(movie),
                self.rate.value() or None,
                self.controller.recording_uid or "",
                choice=choice,
                skipped=parse_numbers(self.skipped.text()),
            )
        except ClockUnclearError as unclear:
            self._counted = counted
            self.meaning.set_choices([(one.text, one.name) for one in unclear.explanations])
            self._show_rows()
            self.host.tell(
                f"{len(pulses.times)} pulses and {n_frames(movie)} frames do not agree. Choose what the "
                "pulses mean, look at the plot, and press Align again."
            )
            return
        except TimelineError as error:
            self.host.tell_error(error)
            return
        self._forget_pulses()
        self.controller.session.set_clock(uid, alignment.clock)
        self.report.setText("\n".join(alignment.notes))

    def _forget_pulses(self) -> None:
        """Count the pulses again at the next press: something they depend on was changed."""
        if self._counted is not None:
            self._counted = None
            self.meaning.set_choices([])
            self._show_rows()

    def _tell_clock(self) -> None:
        clock = self.controller.clock
        if self.controller.movie is None:
            self.report.setText("Open a movie: an image with a time axis.")
        elif clock is None:
            self.report.setText(
                "This movie has no clock yet. Choose where its frame times come from, then Align."
            )
        else:
            aligned = self.controller.recordings.get(clock.recording)
            gaps = "" if aligned is None else uncovered(clock, aligned)
            to = f", on the clock of {clock.recording}" if clock.recording else ""
            self.report.setText(
                f"{clock.n_frames} frames from {clock.times[0]:.4f} to {clock.times[-1]:.4f} s"
                f" ({clock.frame_rate:.5g} Hz), from {clock.source}{to}.{gaps}"
            )

    def _show_rows(self, *_: Any) -> None:
        source = self.source.currentText()
        by_rate = source == RATE
        self._form.setRowVisible(self.channel, source == TRIGGERS)
        for row in (self.edge, self.skipped):
            self._form.setRowVisible(row, source == TRIGGERS)
        unclear = source == TRIGGERS and self._counted is not None
        self._form.setRowVisible(self.meaning, unclear)
        self._form.setRowVisible(self._file_row, source == FILE)
        self._form.setRowVisible(self.rate, source != FILE)
        self._form.setRowVisible(self.offset, source != TRIGGERS)
        self._form.setRowVisible(self.drift, by_rate)
        self.plot.setVisible(by_rate or unclear)
        self.show_offset()

    def show_offset(self, *_: Any) -> None:
        """Draw the movie's activity where the form puts it, over the spikes of the recording."""
        movie = self.controller.movie
        if self.source.currentText() == TRIGGERS and self._counted is not None:
            self._show_meaning(*self._counted)
            return
        self.plot.show_spikes(self._spikes)
        if self.source.currentText() != RATE or movie is None or self.rate.value() <= 0:
            self.plot.clear_all()
            return
        period = (1 + self.drift.value() * 1e-6) / self.rate.value()
        times = self.offset.value() + period * np.arange(n_frames(movie), dtype=np.float64)
        self.plot.show_movie(times, self._activity, self.offset.value())
        self.plot.fit()

    def _show_meaning(self, pulses: Pulses, explanations: list[Explanation]) -> None:
        """Draw the frames of the chosen explanation as a band under the pulses."""
        for one in explanations:
            if one.name == self.meaning.key:
                self.plot.show_spikes(pulses.times)
                self.plot.show_frames(one.times)
                self.plot.fit()
                self.report.setText(one.text)

    def show_activity(self) -> None:
        """Take up what cells and recording do now."""
        movie = self.controller.movie
        controller, uid = self.controller, self.controller.recording_uid or ""
        linked = controller.linked_cells().get(uid, {}).values()
        frames = 0 if movie is None else n_frames(movie)
        self._activity = (
            activity_of_movie(controller.recordings, frames, linked, str(controller.movie_uid))
            if frames
            else None
        )
        recording = controller.recording
        self._spikes = (
            np.zeros(0) if recording is None else spike_seconds(recording, controller.session.events(uid))
        )
        self.show_offset()
