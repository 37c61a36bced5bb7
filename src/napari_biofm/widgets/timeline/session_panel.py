"""Session panel: save, open, autosave, NWB, and the movie that shows what was found."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_biofm.session.nwb import write_nwb
from napari_biofm.session.saving import SessionWriter, load_session
from napari_biofm.session.snapshot import restore
from napari_biofm.timeline.movie_file import write_movie
from napari_biofm.types import BiofmError
from napari_biofm.widgets.common.dock import Dock
from napari_biofm.widgets.timeline.autosave import AutoSaver, Background, frozen_snapshot, last_autosave
from napari_biofm.widgets.timeline.canvas_movie import canvas_pictures
from napari_biofm.widgets.timeline.layers import put_layers
from napari_biofm.widgets.timeline.movies import n_frames, show_frame, shown_frame
from napari_biofm.widgets.timeline.panel import Panel
from napari_biofm.widgets.timeline.state import TimelineState


class SessionPanel(Panel):
    """Writes the session to a folder and reads it back.

    Parameters
    ----------
    dock : that holds the panel.
    state : of the dock.
    """

    def __init__(self, dock: Dock, state: TimelineState) -> None:
        super().__init__(dock, state, "Nothing was saved yet in this window.")
        self.writer: SessionWriter | None = None
        self.log: list[dict[str, Any]] = []
        self.background = Background(self)
        self.autosaver = AutoSaver(state, lambda: self.log, dock.tell_error, self.background, self)
        self.save_button = _button(
            "Save session ...", "Cells, tables, events, links and clocks into one folder."
        )
        self.open_button = _button("Open session ...", "Bring a saved folder into this window.")
        self.recover_button = QPushButton("Recover the last session")
        self.nwb_button = _button(
            "Export NWB ...", "Regions, dF/F, sweeps and events as one file for DANDI and other programs."
        )
        self.movie_button = _button(
            "Export movie ...", "The canvas as you see it, with a running trace, as GIF or MP4."
        )
        self.autosave = QCheckBox("Save by itself after every edit")
        self.autosave.setToolTip("Into a folder of its own; offered here after a crash.")
        self.autosave.setChecked(self.autosaver.is_on)
        self.first = _frames(0, "First frame of the exported movie.")
        self.last = _frames(0, "Last frame of the exported movie.")
        self.fps = _frames(20, "Frames per second of the exported movie.")
        self._exporting = False
        self._lay_out()
        self.save_button.clicked.connect(lambda: self._ask_save())
        self.open_button.clicked.connect(lambda: self._ask_open())
        self.nwb_button.clicked.connect(lambda: self._ask_nwb())
        self.movie_button.clicked.connect(lambda: self._ask_movie())
        self.recover_button.clicked.connect(lambda: self.recover())
        self.autosave.toggled.connect(self._switch_autosave)
        dock.listen(state.session.history.recorded, self._did)
        dock.listen(state.chosen, self._movie_chosen)
        self._movie_chosen()
        self._offer_recovery()

    # ------------------------------------------------------------------ save and open

    def save_to(self, folder: Path) -> None:
        """Have the session saved; the panel says when that is done, the dock when it failed."""
        if self.writer is None or self.writer.folder != folder:
            self.writer = SessionWriter(folder)
        writer, saved = self.writer, frozen_snapshot(self.state, self.log)
        self.words.setText(f"Saving to {folder} ...")
        self.background.run(
            lambda: writer.save(saved), lambda: self.words.setText(f"Saved to {folder}."), self._failed
        )

    def open_from(self, folder: Path) -> bool:
        """Open a saved session into this viewer; return whether that worked."""
        self.background.wait()
        try:
            saved = load_session(folder)
            layers, said = put_layers(self.state.viewer, saved)
            restore(self.state.session, saved, layers)
        except BiofmError as error:
            self.dock.tell_error(error)
            return False
        self.log = [dict(entry) for entry in saved.log]
        for which, uid in (("movie", saved.image), ("labels", saved.labels)):
            if uid in layers:
                self.state.choose(which, layers[uid])
        self.words.setText(" ".join([f"Opened {folder}.", *saved.warnings, *said]))
        if saved.warnings or said:
            self.dock.tell(" ".join([*saved.warnings, *said]))
        return True

    def recover(self) -> None:
        """Open what was autosaved last by a process that is gone."""
        folder = last_autosave()
        if folder is not None and self.open_from(folder):
            self.recover_button.hide()

    def _failed(self, error: BaseException) -> None:
        self.words.setText("Not saved.")
        self.dock.tell_error(error)

    def _did(self, record: dict[str, Any]) -> None:
        self.log.append({"at": time.strftime("%Y-%m-%dT%H:%M:%S"), **record})
        self.autosaver.edited()

    def _switch_autosave(self, on: bool) -> None:
        self.autosaver.is_on = on
        self.autosaver.edited()

    def _offer_recovery(self) -> None:
        folder = last_autosave()
        self.recover_button.setVisible(folder is not None)
        if folder is not None:
            self.recover_button.setToolTip(f"Open what was saved by itself in {folder.name}.")

    # ------------------------------------------------------------------ NWB and movie

    def export_nwb(self, path: Path) -> None:
        """Have the session written as NWB; the panel says when that is done, the dock when it failed."""
        saved = frozen_snapshot(self.state, self.log)
        self.words.setText(f"Exporting to {path} ...")
        self.background.run(
            lambda: write_nwb(path, saved), lambda: self.words.setText(f"Exported to {path}."), self._failed
        )

    def export_movie(self, path: Path) -> int:
        """Write the frames chosen as a movie; return their number, 0 where that failed."""
        movie = self.state.movie
        if movie is None:
            self.dock.tell("Open a movie first.")
            return 0
        before = shown_frame(self.state.viewer, movie)
        self._exporting = True
        self.movie_button.setText("Stop")
        try:
            pictures = canvas_pictures(
                self.state,
                self.selected_labels(),
                self.first.value(),
                self.last.value(),
                lambda: not self._exporting,
            )
            n = write_movie(path, pictures, self.fps.value() or 20)
        except BiofmError as error:
            self.dock.tell_error(error)
            return 0
        finally:
            self._exporting = False
            self.movie_button.setText("Export movie ...")
            show_frame(self.state.viewer, movie, before)
        self.words.setText(f"{n} frames written to {path}.")
        return n

    # ------------------------------------------------------------------ dialogs and layout

    def _ask_save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Folder of the session", "session.biofm")
        if name:
            self.save_to(Path(name))

    def _ask_open(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Folder of a session")
        if name:
            self.open_from(Path(name))

    def _ask_nwb(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Export NWB", "session.nwb", "NWB (*.nwb)")
        if name:
            self.export_nwb(Path(name))

    def _ask_movie(self) -> None:
        if self._exporting:
            self._exporting = False  # the frames written so far stay
            return
        name, _ = QFileDialog.getSaveFileName(self, "Export movie", "movie.gif", "Movies (*.gif *.mp4)")
        if name:
            self.export_movie(Path(name))

    def _movie_chosen(self) -> None:
        movie = self.state.movie
        if movie is not None:
            for box in (self.first, self.last):
                box.setMaximum(n_frames(movie) - 1)
            self.last.setValue(n_frames(movie) - 1)

    def _lay_out(self) -> None:
        keep = QGroupBox("Session")
        buttons = QHBoxLayout()
        buttons.addWidget(self.save_button)
        buttons.addWidget(self.open_button)
        column = QVBoxLayout(keep)
        column.addLayout(buttons)
        column.addWidget(self.autosave)
        column.addWidget(self.recover_button)
        give = QGroupBox("Export")
        form = QFormLayout(give)
        form.addRow(self.nwb_button)
        frames = QWidget()
        row = QHBoxLayout(frames)
        row.setContentsMargins(0, 0, 0, 0)
        for widget in (self.first, QLabel("to"), self.last, QLabel("at"), self.fps, QLabel("frames/s")):
            row.addWidget(widget)
        row.addStretch(1)
        form.addRow("Frames", frames)
        form.addRow(self.movie_button)
        for widget in (keep, give, self.words):
            self.column.addWidget(widget)
        self.column.addStretch(1)


def _button(text: str, tooltip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tooltip)
    return button


def _frames(value: int, tooltip: str) -> QSpinBox:
    box = QSpinBox()
    box.setRange(0, 10_000_000)
    box.setValue(value)
    box.setToolTip(tooltip)
    return box
