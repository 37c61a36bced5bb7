"""Prepares the images of a series ahead, one at a time, and makes way when the hand asks for something."""

from __future__ import annotations

from typing import Any

from psygnal import Signal
from qtpy.QtCore import QObject, QTimer

from napari_biofm.controllers.annotate.mask_predictor import MaskPredictor
from napari_biofm.controllers.common.ports import TellError
from napari_biofm.images.prompt.backends import precompute_file
from napari_biofm.session import Session
from napari_biofm.widgets.common.qt_parts import when_destroyed

QUIET_MS = 2500  # without a question before the preparing goes on


class Prefetch(QObject):
    """A line of images for one backend.

    Images that were prepared in another session are found on disk and passed over.

    Parameters
    ----------
    session : has the engine.
    predictor : whose questions go first.
    tell_error : shows what cannot be prepared.
    parent : with which it ends.
    """

    changed = Signal()

    def __init__(
        self, session: Session, predictor: MaskPredictor, tell_error: TellError, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._predictor = predictor
        self._tell_error = tell_error
        self._gone = False
        when_destroyed(parent, lambda one: one and one.end(), self)
        self._line: list[str] = []
        self._job: Any = None
        self.prepared: set[str] = set()
        self.total = 0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._next)
        predictor.asked.connect(self.make_way)

    def begin(self, paths: list[str]) -> None:
        """Prepare these images, in this order, from now on."""
        self.stop()
        self._line = [p for p in paths if p not in self.prepared]
        self.total = len(self._line) + len(self.prepared)
        self._timer.start(0)
        self.changed.emit()

    def end(self) -> None:
        """Prepare nothing more: the parent is gone."""
        self._gone = True

    def stop(self) -> None:
        """Prepare nothing more; what is done is kept."""
        self._line.clear()
        self._timer.stop()
        self._cancel()

    def forget(self) -> None:
        """Stop, and count anew: another series or backend."""
        self.stop()
        self.prepared.clear()
        self.total = 0
        self.changed.emit()

    def make_way(self) -> None:
        """Let a question of the user go first; the image under way is begun again afterwards."""
        if self._line or self._job is not None:
            self._cancel()
            self._timer.start(QUIET_MS)

    @property
    def text(self) -> str:
        """How far it is, in words; empty where there is nothing to prepare."""
        if not self.total:
            return ""
        state = "" if self._line or self._job is not None else "; kept for the next session as well"
        return f"prepared for clicks: {len(self.prepared)} of {self.total}{state}"

    def _cancel(self) -> None:
        job, self._job = self._job, None
        if job is not None and not job.state.is_final:
            job.cancel()

    def _next(self) -> None:
        if not self._line or self._predictor.is_local:
            return
        path = self._line[0]
        self._job = self._session.engine.submit(
            precompute_file,
            path,
            self._predictor.backend,
            self._predictor.device,
            name="preparing the next images",
            on_done=self._done,
            on_error=lambda error: self._failed(path, error),
        )

    def _done(self, path: str) -> None:
        if self._gone:
            return
        self._job = None
        self.prepared.add(path)
        self._line = [p for p in self._line if p != path]
        self._timer.start(0)
        self.changed.emit()

    def _failed(self, path: str, error: BaseException) -> None:
        if self._gone:
            return
        self._job = None
        self._line = [p for p in self._line if p != path]
        self._tell_error(error)
        self._timer.start(0)
        self.changed.emit()
