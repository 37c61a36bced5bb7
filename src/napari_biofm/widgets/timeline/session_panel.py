"""Session panel: save, open, autosave, NWB, and the movie that shows what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_biofm.controllers.common.session_files import Opened, SessionFiles
from napari_biofm.controllers.common.session_layers import ViewerLayers
from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.controllers.timeline.movies import n_frames, show_frame, shown_frame
from napari_biofm.timeline.movie_file import write_movie
from napari_biofm.types import BiofmError
from napari_biofm.widgets.common.background import Background
from napari_biofm.widgets.common.buttons import push_button
from napari_biofm.widgets.timeline.canvas_movie import canvas_pictures
from napari_biofm.widgets.timeline.panel import Host, Panel


class SessionPanel(Panel):
    """Writes the session to a folder and reads it back.

    Parameters
    ----------
    host : runs the panel's jobs and shows its messages.
    controller : of the timeline.
    viewer : napari viewer.
    """

    def __init__(self, host: Host, controller: TimelineController, viewer: Any) -> None:
        super().__init__(host, controller, "Nothing was saved yet in this window.")
        self.viewer = viewer
        self.background = Background(self)
        self.files = SessionFiles(controller.session, ViewerLayers(viewer), self.background)
        self.save_button = push_button(
            "Save session ...", "Cells, tables, events, links and clocks into one folder."
        )
        self.open_button = push_button("Open session ...", "Bring a saved folder into this window.")
        self.nwb_button = push_button(
            "Export NWB ...", "Regions, dF/F, sweeps and events as one file for DANDI and other programs."
        )
        self.movie_button = push_button(
            "Export movie ...", "The canvas as you see it, with a running trace, as GIF or MP4."
        )
        self.first = _frames(0, "First frame of the exported movie.")
        self.last = _frames(0, "Last frame of the exported movie.")
        self.fps = _frames(20, "Frames per second of the exported movie.")
        self._exporting = False
        self._lay_out()
        self.files.told.connect(lambda message: self.words.setText(message))
        self.files.failed.connect(host.tell_error)
        self.files.opened.connect(self._opened)
        self.save_button.clicked.connect(lambda: self._ask_save())
        self.open_button.clicked.connect(lambda: self._ask_open())
        self.nwb_button.clicked.connect(lambda: self._ask_nwb())
        self.movie_button.clicked.connect(lambda: self._ask_movie())
        host.listen(controller.chosen, self._movie_chosen)
        self._movie_chosen()

    def _opened(self, opened: Opened) -> None:
        """Take up the movie and the cells of a session that was opened."""
        for which, uid in (("movie", opened.saved.image), ("labels", opened.saved.labels)):
            if uid in opened.layers:
                self.controller.choose(which, opened.layers[uid])
        if opened.warnings:
            self.host.tell(" ".join(opened.warnings))

    # ------------------------------------------------------------------ NWB and movie

    def export_movie(self, path: Path) -> int:
        """Write the frames chosen as a movie; return their number, 0 where that failed."""
        movie = self.controller.movie
        if movie is None:
            self.host.tell("Open a movie first.")
            return 0
        before = shown_frame(self.viewer, movie)
        self._exporting = True
        self.movie_button.setText("Stop")
        try:
            pictures = canvas_pictures(
                self.viewer,
                self.controller,
                self.first.value(),
                self.last.value(),
                lambda: not self._exporting,
            )
            n = write_movie(path, pictures, self.fps.value() or 20)
        except BiofmError as error:
            self.host.tell_error(error)
            return 0
        finally:
            self._exporting = False
            self.movie_button.setText("Export movie ...")
            show_frame(self.viewer, movie, before)
        self.words.setText(f"{n} frames written to {path}.")
        return n

    # ------------------------------------------------------------------ dialogs and layout

    def _ask_save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Folder of the session", "session.biofm")
        if name:
            self.files.save_to(Path(name))

    def _ask_open(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Folder of a session")
        if name:
            self.files.open_from(Path(name))

    def _ask_nwb(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Export NWB", "session.nwb", "NWB (*.nwb)")
        if name:
            self.files.export_nwb(Path(name))

    def _ask_movie(self) -> None:
        if self._exporting:
            self._exporting = False  # the frames written so far stay
            return
        name, _ = QFileDialog.getSaveFileName(self, "Export movie", "movie.gif", "Movies (*.gif *.mp4)")
        if name:
            self.export_movie(Path(name))

    def _movie_chosen(self) -> None:
        movie = self.controller.movie
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
        for part in (keep, give, self.words):
            self.column.addWidget(part)
        self.column.addStretch(1)


def _frames(value: int, tooltip: str) -> QSpinBox:
    box = QSpinBox()
    box.setRange(0, 10_000_000)
    box.setValue(value)
    box.setToolTip(tooltip)
    return box
