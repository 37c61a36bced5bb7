"""What every dock shares: its session, listening that ends with the dock, jobs with progress and errors."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QBoxLayout, QDockWidget, QMainWindow, QSizePolicy, QVBoxLayout, QWidget

from napari_biofm.controllers.common.session_files import Opened, SessionFiles
from napari_biofm.controllers.common.session_layers import ViewerLayers
from napari_biofm.engine import Job, Lane
from napari_biofm.session import Session
from napari_biofm.session.journal_files import autosave_folder
from napari_biofm.sizes import memory_words
from napari_biofm.types import BiofmError, Progress
from napari_biofm.widgets.common.accessible import name_parts
from napari_biofm.widgets.common.background import Background
from napari_biofm.widgets.common.job_bar import JobBar
from napari_biofm.widgets.common.opening import RIGHT_WIDTH
from napari_biofm.widgets.common.plot_style import colours_of, recolour
from napari_biofm.widgets.common.qt_parts import Closing, when_destroyed
from napari_biofm.widgets.common.recovery_bar import RecoveryBar, is_first
from napari_biofm.widgets.common.scrolled import Scrolled
from napari_biofm.widgets.common.viewers import close_with_window, viewer_session

AREAS = {
    "right": Qt.DockWidgetArea.RightDockWidgetArea,
    "bottom": Qt.DockWidgetArea.BottomDockWidgetArea,
}
SAY_DONE_S = 3.0  # a job that took longer is told in the status bar when it is done
BESIDE_LAYERS, BESIDE_NOTHING = 0.4, 0.6  # of the window's height, for docks below the canvas


class Dock(Closing):
    """Base of all docks.

    Parameters
    ----------
    napari_viewer : the viewer, injected by napari under this name.
    session : of this viewer; looked up when not given.

    Attributes
    ----------
    area : where the dock opens, "right" or "bottom" (napari itself opens every plugin on the right).
    """

    area = "right"

    def __init__(self, napari_viewer: Any, *, session: Session | None = None) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.session = session or viewer_session(napari_viewer)
        self.job_bar = JobBar(self)
        self.recovery: RecoveryBar | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._connections: list[tuple[Any, Callable[..., Any]]] = []
        self._gone = False
        self.is_placed = False
        when_destroyed(self, lambda one: one and one.let_go(), self)
        self.listen(napari_viewer.events.theme, self._follow_theme)

    def scrolled_column(self) -> QVBoxLayout:
        """Return the layout to fill; it scrolls where the window is lower than what is in it."""
        inside, outside = QWidget(), QVBoxLayout(self)
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 4, 0)
        outside.setContentsMargins(4, 4, 0, 4)
        outside.addWidget(Scrolled(inside))
        return column

    def listen(self, signal: Any, callback: Callable[..., Any]) -> None:
        """Connect a psygnal signal or a napari event emitter until this dock is destroyed."""
        signal.connect(callback)
        self._connections.append((signal, callback))

    def let_go(self) -> None:
        """Hear nothing any more: Qt destroyed this dock."""
        self._gone = True
        for signal, callback in self._connections:
            try:
                signal.disconnect(callback)
            except (ValueError, RuntimeError, TypeError, KeyError):
                continue  # the emitter went first
        self._connections.clear()

    def run(
        self,
        function: Callable[..., Any],
        *args: Any,
        name: str,
        lane: Lane = "bulk",
        bound_to: str | None = None,
        on_done: Callable[[Any], None] | None = None,
        on_step: Callable[[Progress], None] | None = None,
        on_end: Callable[[], None] | None = None,
        **kwargs: Any,
    ) -> Job:
        """Run a job in the session's engine, shown in this dock's job bar.

        Parameters
        ----------
        function, *args, **kwargs : the job, see `Engine.submit`.
        name : shown to the user.
        lane : "interactive" where a person waits for the answer: it does not wait for bulk jobs.
        bound_to : unique id of the layer it belongs to.
        on_done : called with the result, on the GUI thread, unless the dock is gone by then.
        on_step : called at each step, e.g. to paint a finished tile.
        on_end : called when the job has ended in any way, e.g. to enable a button again.
        """
        row = self.job_bar.row(lane)
        shown: list[Job] = []  # the job, from the moment it is in the job bar

        def start() -> None:
            if not self._gone:
                row.refresh()

        def step(progress: Progress) -> None:
            if self._gone:
                return
            for job in shown:
                row.progressed(job, progress)
            if on_step is not None:
                on_step(progress)

        def end(then: Callable[[], None] | None = None) -> None:
            if self._gone:
                return
            for job in shown:
                row.finished(job)
            if on_end is not None:
                on_end()
            if then is not None:
                then()

        started = time.monotonic()

        def done(result: Any) -> None:
            if on_done is not None:
                on_done(result)
            seconds = time.monotonic() - started
            if lane == "bulk" and seconds > SAY_DONE_S:
                self.viewer.status = f"{name}: done after {seconds:.0f} s"

        job = self.session.engine.submit(
            function,
            *args,
            name=name,
            lane=lane,
            bound_to=bound_to,
            on_start=start,
            on_progress=step,
            on_done=lambda result: end(lambda: done(result)),
            on_error=lambda error: end(lambda: self.tell_error(error)),
            on_cancel=lambda: end(lambda: self.tell(f"{name}: cancelled.")),
            **kwargs,
        )
        if not job.state.is_final:  # an inline engine is done before anybody looks
            shown.append(job)
            row.track(job)
        return job

    def tell(self, message: str) -> None:
        """Show a short message in napari."""
        from napari.utils.notifications import show_info

        show_info(message)

    def tell_error(self, error: BaseException) -> None:
        """Show an error in napari's notifications: ours as words, others with their traceback."""
        from napari.utils.notifications import notification_manager, show_error

        if isinstance(error, BiofmError):
            show_error(str(error))
        elif isinstance(error, MemoryError):
            show_error(memory_words(error))
        else:
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Learn which window this dock lives in and, the first time, take a sensible place there."""
        super().showEvent(event)
        close_with_window(self, self.session)
        if not self.is_placed:
            self.is_placed = True
            name_parts(self)
            self._follow_theme()
            self._offer_recovery()
            QTimer.singleShot(0, self._take_place)

    def _follow_theme(self, _: object = None) -> None:
        """Draw the plots in the colours of napari's theme, which may have changed."""
        recolour(self, colours_of(self.viewer))

    def session_recovered(self, opened: Opened) -> None:
        """Take up a session that was brought back; for docks that must choose layers."""

    def _offer_recovery(self) -> None:
        """Show, in the first dock of a window, what a napari that was killed left behind."""
        layout = self.layout()
        if (
            autosave_folder() is None
            or not isinstance(layout, QBoxLayout)
            or not is_first(self.session, self)
        ):
            return
        files = SessionFiles(self.session, ViewerLayers(self.viewer), Background(self))
        files.told.connect(self.tell)
        files.failed.connect(self.tell_error)
        self.recovery = RecoveryBar(files.recover)
        self.recovery.recovered.connect(self.session_recovered)
        layout.insertWidget(0, self.recovery)
        self.recovery.offer()

    def _take_place(self) -> None:
        """Go to this dock's area; docks of ours in the same area become tabs instead of squeezing each other."""
        if self._gone:
            return
        window, frame = self.window(), self.parentWidget()
        while frame is not None and not isinstance(frame, QDockWidget):
            frame = frame.parentWidget()
        if not isinstance(window, QMainWindow) or frame is None or frame.isFloating():
            return
        area = AREAS[self.area]
        height = int((BESIDE_LAYERS if len(self.viewer.layers) else BESIDE_NOTHING) * window.height())
        if self.area == "bottom" and _left_needs(window) > window.height() - height:
            # a low window: stand beside napari's lists, not below them
            window.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
        if window.dockWidgetArea(frame) != area:
            window.addDockWidget(area, frame)
        for other in window.findChildren(Dock):
            place = other.parentWidget()
            while place is not None and not isinstance(place, QDockWidget):
                place = place.parentWidget()
            if other is self or place is None or place is frame or place.isFloating() or not other.is_placed:
                continue
            if other.area == self.area and window.dockWidgetArea(place) == area:
                window.tabifyDockWidget(place, frame)
                break
        frame.raise_()
        if self.area == "right":
            window.resizeDocks([frame], [RIGHT_WIDTH], Qt.Orientation.Horizontal)
        else:
            window.resizeDocks([frame], [height], Qt.Orientation.Vertical)


def _left_needs(window: QMainWindow) -> int:
    """Return the height in pixels that the docks left of the canvas cannot do without."""
    left = Qt.DockWidgetArea.LeftDockWidgetArea
    docks = [
        d for d in window.findChildren(QDockWidget) if d.isVisible() and window.dockWidgetArea(d) == left
    ]
    return sum(dock.minimumSizeHint().height() for dock in docks)
