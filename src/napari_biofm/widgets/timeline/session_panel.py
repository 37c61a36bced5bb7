"""Session panel: save, open, autosave, NWB, and the movie that shows what was found."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_biofm.store import SessionWriter, load_session, restore, snapshot
from napari_biofm.store.nwb import write_nwb
from napari_biofm.timeline.movie_file import TraceStrip, write_movie
from napari_biofm.types import BiofmError
from napari_biofm.widgets.base import Dock
from napari_biofm.widgets.timeline.layers import put_layers, saved_layers
from napari_biofm.widgets.timeline.movies import n_frames, show_frame, shown_frame
from napari_biofm.widgets.timeline.state import TimelineState

AUTOSAVE_VARIABLE = "NAPARI_BIOFM_AUTOSAVE"  # folder of the autosaves, or "off"
AUTOSAVE_AFTER_MS = 2000
KEEP_AUTOSAVES = 5


class SessionPanel(QWidget):
    """Writes the session to a folder and reads it back.

    Parameters
    ----------
    dock : that holds the panel.
    state : of the dock.
    """

    def __init__(self, dock: Dock, state: TimelineState) -> None:
        super().__init__()
        self.dock = dock
        self.state = state
        self.writer: SessionWriter | None = None
        self.log: list[dict[str, Any]] = []
        self.save_button = QPushButton("Save session ...")
        self.save_button.setToolTip("Cells, tables, events, links and clocks into one folder.")
        self.open_button = QPushButton("Open session ...")
        self.recover_button = QPushButton("Recover")
        self.nwb_button = QPushButton("Export NWB ...")
        self.movie_button = QPushButton("Export movie ...")
        self.movie_button.setToolTip("The canvas as you see it, with a running trace, as GIF or MP4.")
        self.autosave = QCheckBox("Save by itself after every edit")
        self.autosave.setToolTip("Into a folder of its own; offered here after a crash.")
        self.autosave.setChecked(autosave_folder() is not None)
        self.first, self.last, self.fps = QSpinBox(), QSpinBox(), QSpinBox()
        for box, value, tooltip in (
            (self.first, 0, "First frame of the exported movie."),
            (self.last, 0, "Last frame of the exported movie."),
            (self.fps, 20, "Frames per second of the exported movie."),
        ):
            box.setRange(0, 10_000_000)
            box.setValue(value)
            box.setToolTip(tooltip)
        self.words = QLabel()
        self.words.setWordWrap(True)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(AUTOSAVE_AFTER_MS)
        self._timer.timeout.connect(self.save_by_itself)
        self._own: SessionWriter | None = None
        self._lay_out()
        self.save_button.clicked.connect(lambda: self._ask_save())
        self.open_button.clicked.connect(lambda: self._ask_open())
        self.nwb_button.clicked.connect(lambda: self._ask_nwb())
        self.movie_button.clicked.connect(lambda: self._ask_movie())
        self.recover_button.clicked.connect(lambda: self.recover())
        dock.listen(state.session.history.recorded, self._did)
        dock.listen(state.chosen, self._movie_chosen)
        self._movie_chosen()
        self._offer_recovery()

    # ------------------------------------------------------------------ save and open

    def save_to(self, folder: Path) -> bool:
        """Save the session; return whether that worked."""
        if self.writer is None or self.writer.folder != folder:
            self.writer = SessionWriter(folder)
        return self._write(self.writer, f"Saved to {folder}.")

    def open_from(self, folder: Path) -> bool:
        """Open a saved session into this viewer; return whether that worked."""
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

    def save_by_itself(self) -> None:
        """Save into the autosave folder of this process."""
        root = autosave_folder()
        if root is None or not self.autosave.isChecked() or self.state.session.is_closed:
            return
        if self._own is None:
            root.mkdir(parents=True, exist_ok=True)
            _thin_out(root)
            self._own = SessionWriter(root / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")
        self._write(self._own, "")

    def recover(self) -> None:
        """Open what was autosaved last by a process that is gone."""
        folder = last_autosave()
        if folder is not None and self.open_from(folder):
            self.recover_button.hide()

    def _write(self, writer: SessionWriter, done: str) -> bool:
        try:
            writer.save(snapshot(self.state.session, saved_layers(self.state.viewer), self.log))
        except BiofmError as error:
            self.dock.tell_error(error)
            return False
        if done:
            self.words.setText(done)
        return True

    def _did(self, record: dict[str, Any]) -> None:
        self.log.append({"at": time.strftime("%Y-%m-%dT%H:%M:%S"), **record})
        self._timer.start()

    def _offer_recovery(self) -> None:
        folder = last_autosave()
        self.recover_button.setVisible(folder is not None)
        if folder is not None:
            self.recover_button.setToolTip(f"Open what was saved by itself in {folder.name}.")

    # ------------------------------------------------------------------ NWB and movie

    def export_nwb(self, path: Path) -> bool:
        """Write the session as NWB; return whether that worked."""
        try:
            write_nwb(path, snapshot(self.state.session, saved_layers(self.state.viewer)))
        except BiofmError as error:
            self.dock.tell_error(error)
            return False
        self.words.setText(f"Exported to {path}.")
        return True

    def export_movie(self, path: Path) -> int:
        """Write the frames chosen as a movie; return their number, 0 where that failed."""
        movie = self.state.movie
        if movie is None:
            self.dock.tell("Open a movie first.")
            return 0
        before = shown_frame(self.state.viewer, movie)
        try:
            n = write_movie(path, self._pictures(movie), self.fps.value() or 20)
        except BiofmError as error:
            self.dock.tell_error(error)
            return 0
        finally:
            show_frame(self.state.viewer, movie, before)
        self.words.setText(f"{n} frames written to {path}.")
        return n

    def _pictures(self, movie: Any) -> Iterator[np.ndarray]:
        """Step through the movie and yield the canvas with the running trace under it."""
        strip: TraceStrip | None = None
        clock = self.state.clock
        for frame in range(self.first.value(), min(self.last.value(), n_frames(movie) - 1) + 1):
            show_frame(self.state.viewer, movie, frame)
            QApplication.processEvents()
            picture = self.state.viewer.screenshot(canvas_only=True, flash=False)[..., :3]
            if clock is not None:
                if strip is None:
                    strip = self._strip(picture.shape[1])
                picture = np.concatenate([picture, strip.at(clock.time_of(frame))])
            yield picture

    def _strip(self, width: int) -> TraceStrip:
        """Return the strip of the selected cell's trace, or of the rate of all events."""
        clock: Any = self.state.clock
        labels = [k.label for k in self.state.session.selection if k.layer == self.state.labels_uid]
        for entry in self.state.session.recordings.values():
            for channel, about in enumerate(entry.recording.channels):
                if about.label in labels and entry.recording.n_samples(0, channel) == clock.n_frames:
                    values = entry.recording.values(0, channel)
                    return TraceStrip(clock.times, values, width, 70, f"cell {about.label} ({about.unit})")
        edges = np.append(clock.times, clock.at_frames([clock.n_frames]))
        counts = np.histogram(self.state.events().seconds, edges)[0]
        return TraceStrip(clock.times, counts.astype(float), width, 70, "events per frame")

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
        name, _ = QFileDialog.getSaveFileName(self, "Export movie", "movie.gif", "Movies (*.gif *.mp4)")
        if name:
            self.export_movie(Path(name))

    def _movie_chosen(self) -> None:
        movie = self.state.movie
        if movie is not None:
            self.last.setValue(n_frames(movie) - 1)

    def _lay_out(self) -> None:
        form = QFormLayout()
        frames = QHBoxLayout()
        for widget in (self.first, QLabel("to"), self.last, QLabel("at"), self.fps, QLabel("/s")):
            frames.addWidget(widget)
        form.addRow("Frames", frames)
        layout = QVBoxLayout(self)
        for widget in (self.save_button, self.open_button, self.recover_button, self.autosave):
            layout.addWidget(widget)
        layout.addWidget(self.nwb_button)
        layout.addLayout(form)
        layout.addWidget(self.movie_button)
        layout.addWidget(self.words)
        layout.addStretch(1)


def autosave_folder() -> Path | None:
    """Return where sessions are saved by themselves, None where that is switched off."""
    stated = os.environ.get(AUTOSAVE_VARIABLE, "")
    if stated.lower() == "off":
        return None
    if stated:
        return Path(stated)
    import pooch

    return Path(pooch.os_cache("napari-biofm")) / "autosave"


def last_autosave() -> Path | None:
    """Return the newest autosave of a process that is gone."""
    root = autosave_folder()
    if root is None or not root.is_dir():
        return None
    found = sorted((p.parent for p in root.glob("[0-9]*/session.json")), reverse=True)
    return next((folder for folder in found if not _is_alive(folder.name.rsplit("-", 1)[-1])), None)


def _is_alive(pid: str) -> bool:
    if not pid.isdigit() or os.name == "nt":
        return pid == str(os.getpid())
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _thin_out(root: Path) -> None:
    """Keep the newest autosaves only; those of running processes stay."""
    import shutil

    folders = sorted((p for p in root.iterdir() if p.is_dir()), reverse=True)
    for folder in folders[KEEP_AUTOSAVES:]:
        if not _is_alive(folder.name.rsplit("-", 1)[-1]):
            shutil.rmtree(folder, ignore_errors=True)
