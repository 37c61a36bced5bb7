"""Play the movie in the recording's own time: the slider runs, and every cursor with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QWidget

from napari_biofm.controllers.timeline.controller import TimelineController
from napari_biofm.controllers.timeline.movies import frame_rate, n_frames, show_frame, shown_frame, time_axis
from napari_biofm.widgets.common.forms import words

TICK_MS = 33  # 30 pictures a second are asked for; a slower machine shows fewer and stays in time
SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 50.0)
DEFAULT_RATE = 20.0  # Hz, of a movie that says nothing of its rate


class Player(QWidget):
    """A button that plays, and how fast.

    The frame that is due is worked out from the time that has passed: when a picture takes longer than its
    turn, the frames in between are left out instead of piling up.

    Parameters
    ----------
    viewer : napari viewer.
    controller : of the timeline.
    in_step : whether other movies are shown in step: then the session's time runs, not only from frame to frame.
    """

    def __init__(
        self, viewer: Any, controller: TimelineController, in_step: Callable[[], bool] = lambda: False
    ) -> None:
        super().__init__()
        self._in_step = in_step
        self.viewer = viewer
        self.controller = controller
        self.button = QPushButton()
        self.button.setCheckable(True)
        self.button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.speed = QComboBox()
        for speed in SPEEDS:
            self.speed.addItem(f"x {speed:g}", speed)
        self.speed.setCurrentIndex(SPEEDS.index(1.0))
        self.speed.setToolTip("How many seconds of the recording pass in one second.")
        self.words = words()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for widget in (self.button, self.speed, self.words):
            row.addWidget(widget)
        row.addStretch(1)
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self.tick)
        self._start = (0.0, 0.0)  # when play began, and the movie's time then, seconds
        self._last = -1  # the frame that was shown last by this player
        self._counted: list[float] = []
        self.button.toggled.connect(self.play)
        self.speed.currentIndexChanged.connect(lambda _: self._anchor())
        self._dress(False)

    @property
    def is_playing(self) -> bool:
        return self._timer.isActive()

    def play(self, on: bool = True) -> None:
        """Start, from the first frame where the slider stands on the last, or stop."""
        if self.button.isChecked() != on:
            self.button.setChecked(on)  # comes back here
            return
        movie = self.controller.movie
        on = on and movie is not None and time_axis(self.viewer, movie) not in self._displayed()
        if on:
            if shown_frame(self.viewer, movie) >= n_frames(movie) - 1:
                show_frame(self.viewer, movie, 0)
            self._anchor()
            self._timer.start()
        else:
            self._timer.stop()
            self.button.setChecked(False)
            self.words.setText("" if movie is not None else "no movie open")
        self._dress(on)

    def tick(self) -> None:
        """Show the frame that is due now."""
        movie = self.controller.movie
        if movie is None:
            self.play(False)
            return
        now = time.perf_counter()
        if shown_frame(self.viewer, movie) != self._last:
            self._anchor()  # somebody else moved the slider: go on from there
            return
        began, seconds = self._start
        seconds += (now - began) * float(self.speed.currentData())
        due = self._frame_at(movie, seconds)
        moved, self._last = due != self._last, due
        if self._in_step() and self.controller.clock is not None:
            self.controller.session.set_time(
                seconds
            )  # the slider follows; a faster movie shows the frames in between
            self._count(now)
        elif moved:
            show_frame(self.viewer, movie, due)
            self._count(now)
        if due >= n_frames(movie) - 1:
            self.play(False)

    def _anchor(self) -> None:
        """Count the time from now and from the frame that is shown."""
        movie = self.controller.movie
        if movie is not None:
            self._last = shown_frame(self.viewer, movie)
            self._start = (time.perf_counter(), self._time_of(movie, self._last))
            self._counted = []

    def _time_of(self, movie: Any, frame: int) -> float:
        clock = self.controller.clock
        return clock.time_of(frame) if clock is not None else frame / (frame_rate(movie) or DEFAULT_RATE)

    def _frame_at(self, movie: Any, seconds: float) -> int:
        clock = self.controller.clock
        if clock is not None:
            return clock.frame_at(seconds)
        due = int(seconds * (frame_rate(movie) or DEFAULT_RATE) + 1e-6)
        return min(max(due, 0), n_frames(movie) - 1)

    def _count(self, now: float) -> None:
        """Say once a second how many pictures were shown in it."""
        self._counted.append(now)
        if now - self._counted[0] >= 1.0:
            self.words.setText(f"{len(self._counted) - 1} pictures/s")
            self._counted = [now]

    def _displayed(self) -> tuple[int, ...]:
        return tuple(self.viewer.dims.displayed)

    def _dress(self, playing: bool) -> None:
        self.button.setText("Stop" if playing else "Play")
        self.button.setToolTip(
            "Stop." if playing else "Play the movie; the cursor in the traces and the raster runs along."
        )
