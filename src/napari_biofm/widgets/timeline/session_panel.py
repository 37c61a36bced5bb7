"""Session panel: save, open, autosave, NWB, and the movie that shows what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QMenu,
    QSpinBox,
    QWidget,
)

from napari_biofm.controllers.common.session_files import Opened
from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.controllers.timeline.movies import n_frames, show_frame, shown_frame
from napari_biofm.timeline.movie_file import write_movie
from napari_biofm.types import BiofmError
from napari_biofm.widgets.common.buttons import push_button
from napari_biofm.widgets.common.nwb_dialog import ask_about
from napari_biofm.widgets.common.session_menu import (
    fill_recent,
    open_session,
    save_session,
    save_session_as,
    session_files,
)
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
        self.files = files = session_files(viewer)
        self.background = files.writer
        self.save_button = push_button(
            "Save session", "Cells, tables, events, links and clocks into the folder of before, or a new one."
        )
        self.save_as_button = push_button("Save session as ...", "The same into another folder.")
        self.open_button = push_button("Open session ...", "Bring a saved folder into this window.")
        self.recent_button = push_button("Recent", "Open one of the sessions used last.")
        self.recent_menu = QMenu(self)
        self.recent_menu.aboutToShow.connect(lambda: fill_recent(self.recent_menu, files))
        self.recent_button.setMenu(self.recent_menu)
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
        host.listen(files.told, self._say)
        host.listen(files.failed, host.tell_error)
        host.listen(files.opened, self._opened)
        self.save_button.clicked.connect(lambda: save_session())
        self.save_as_button.clicked.connect(lambda: save_session_as())
        self.open_button.clicked.connect(lambda: open_session())
        self.nwb_button.clicked.connect(lambda: self._ask_nwb())
        self.movie_button.clicked.connect(lambda: self._ask_movie())
        host.listen(controller.chosen, self._movie_chosen)
        self._movie_chosen()

    def _say(self, message: str) -> None:
        self.words.setText(message)

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

    def _ask_nwb(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Export NWB", "session.nwb", "NWB (*.nwb)")
        about = ask_about(self, self.files.known_about) if name else None
        if about is not None:
            self.files.export_nwb(Path(name), about)

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
        buttons = QGridLayout(keep)
        for at, one in enumerate(
            (self.save_button, self.save_as_button, self.open_button, self.recent_button)
        ):
            buttons.addWidget(one, at // 2, at % 2)
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
